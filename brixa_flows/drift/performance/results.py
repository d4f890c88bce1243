"""What an estimator says of a window, as values that travel as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from brixa_flows.drift.report import Finding

__all__ = ["MetricEstimate", "PerformanceReport", "performance_sentence"]

PerformanceStatus = Literal["ok", "degraded", "insufficient_data"]


class MetricEstimate(BaseModel):
    """One metric of a window.

    Attributes:
        value: Of the window.
        interval: Band of three standard deviations: of labels still to come around an
            estimate, of other rows around a realised value.
        reference: Of the labelled rows that were learned from.
        limits: Between which the reference's own chunks lie (three standard deviations,
            at the window's number of rows).
        status: ``degraded`` if the value is on the bad side of the limits, and the
            interval on that of the reference.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float
    interval: tuple[float, float]
    reference: float
    limits: tuple[float, float]
    status: Literal["ok", "degraded"]


class PerformanceReport(BaseModel):
    """A window's performance.

    Attributes:
        status: ``degraded`` if a metric is, or a finding is an alarm;
            ``insufficient_data`` if there were too few rows to say.
        realised: Measured with labels; else estimated without, which sees no concept
            drift.
        rows: That were judged.
        metrics: By name.
        findings: On rows that could not be judged.
        sentence: The verdict in plain words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: PerformanceStatus
    realised: bool
    rows: int
    metrics: dict[str, MetricEstimate]
    findings: tuple[Finding, ...] = ()
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """JSON values; :meth:`from_dict` reads them back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> PerformanceReport:
        """Read what :meth:`to_dict` wrote."""
        return cls.model_validate(payload)


def performance_sentence(
    metrics: Mapping[str, MetricEstimate],
    rows: int,
    min_rows: int,
    findings: Sequence[Finding],
    *,
    realised: bool,
) -> str:
    """The verdict in one sentence."""
    alarms = [
        each.sentence.rstrip(".") for each in findings if each.severity == "alarm"
    ]
    if rows < min_rows:
        told = f"Too few rows to judge: {rows:,}; at least {min_rows:,} are needed."
        return "; ".join([*alarms, told])
    worse = [
        f"{name} {each.value:.3f} ({each.interval[0]:.3f} to {each.interval[1]:.3f}; it "
        f"was {each.reference:.3f}, usual are {each.limits[0]:.3f} to "
        f"{each.limits[1]:.3f})"
        for name, each in metrics.items()
        if each.status == "degraded"
    ]
    how = "measured" if realised else "estimated without labels"
    if worse:
        alarms.insert(0, f"Degraded over {rows:,} rows, {how}: " + ", ".join(worse))
    if not alarms:
        return f"As good as the reference over {rows:,} rows, {how}."
    return "; ".join(alarms) + "."
