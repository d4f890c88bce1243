"""Facts for gates: have the rows a version is judged on left its training rows?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from brixa_flows.drift.detector import DriftDetector
from brixa_flows.drift.profile import DriftProfile

__all__ = ["drift_facts"]


def drift_facts(who: str, profile: Path | None, rows: Any) -> dict[str, Any]:
    """The drift report of rows as facts; that nobody can know is one too.

    Args:
        who: The version, for people.
        profile: File of its reference profile, if it has one.
        rows: Those it is judged on.

    Raises:
        DriftError: If the rows can't be read.
    """
    if profile is None:
        sentence = f"{who} was saved without reference rows"
        return {"status": "unknown", "sentence": sentence}
    return DriftDetector().detect(DriftProfile.load(profile), rows).to_dict()
