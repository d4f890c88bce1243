"""Which windows of traffic raise an alarm: each that drifted."""

from __future__ import annotations

from brixa_flows.blocks import BrixaDriftPolicy

NAME = "brixa"


def drift_policy() -> tuple[str, BrixaDriftPolicy]:
    """Each alarm is announced; the automation of `retrain` picks the months."""
    return NAME, BrixaDriftPolicy()
