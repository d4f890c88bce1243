"""Where promoted versions are served: on the worker, as the settings say."""

from __future__ import annotations

from brixa_flows.blocks import BrixaServingTarget

NAME = "brixa"


def serving_target() -> tuple[str, BrixaServingTarget]:
    """The local engine; replicas and their size are left as they are."""
    return NAME, BrixaServingTarget()
