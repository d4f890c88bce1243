"""Our own verdicts in a workspace of Evidently, for those who look there."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from brixa_flows.drift.report import DriftReport
from brixa_flows.plugins import DRIFT_ENGINES

__all__ = ["write_workspace"]


def write_workspace(
    report: DriftReport,
    folder: str | Path,
    *,
    project: str,
    at: datetime | None = None,
) -> str:
    """Add a report to a project of an Evidently workspace, which ``evidently ui`` shows.

    Each column has its verdict (a test that fails where it drifted), its effect over the
    limit and its missing share. No row is written.

    Args:
        report: Of this or any engine.
        folder: Of the workspace; made if it is not there.
        project: Name of the project; made if it is not there.
        at: When the window was; without it, now.

    Returns:
        The id of the run in the workspace.

    Raises:
        MissingExtraError: If the extra ``drift`` is not installed.
        DriftError: If the folder is no workspace.
    """
    engine: Any = DRIFT_ENGINES.load("evidently")()
    told = _told(report)
    kept: str = engine.keep(told, report.sentence, Path(folder), project, at)
    return kept


def _told(report: DriftReport) -> dict[str, tuple[float, bool | None]]:
    """Values by name, and whether a test on them passes, where there is one."""
    told: dict[str, tuple[float, bool | None]] = {
        "drift share": (report.drift_share, None),
        "drift score": (report.drift_score, None),
        "rows": (float(report.rows), None),
    }
    drifted = report.drifted
    for name in dict.fromkeys([*report.columns, *drifted]):
        told[f"{name}: drift"] = (float(name in drifted), name not in drifted)
        column = report.columns.get(name)
        if column is None:
            continue
        if column.effect_size is not None and column.effect_threshold:
            over = column.effect_size / column.effect_threshold
            told[f"{name}: effect / limit"] = (over, None)
        told[f"{name}: missing share"] = (column.missing_share, None)
    return told
