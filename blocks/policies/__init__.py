"""Gate policies: the files beside this one, each a block document of its name."""

from __future__ import annotations

from pathlib import Path

from brixa_flows.blocks import BrixaGatePolicy
from brixa_flows.evaluation import GatePolicy


def policies() -> list[tuple[str, BrixaGatePolicy]]:
    """Every policy file of this folder."""
    files = sorted(Path(__file__).parent.glob("*.yaml"))
    return [
        (file.stem, BrixaGatePolicy.from_policy(GatePolicy.from_file(file)))
        for file in files
    ]
