"""What a drifted column means: how sure, how much it matters, since when, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from brixa_flows.drift.history import ColumnHistory
from brixa_flows.drift.performance.results import PerformanceReport
from brixa_flows.drift.report import Advice, ColumnDrift, DriftReport, Finding
from brixa_flows.drift.sentences import p_text

__all__ = ["advised"]

_SOURCE = (
    "Look at the source that fills it and at the last change of its pipeline; to "
    "retrain on a fault would teach it."
)
_CATEGORIES = (
    "Look whether the new values are real or misspelt. The model never saw them: retrain "
    "if they are here to stay."
)
_WORSE = (
    "Retrain on recent rows; roll back instead if it began with a version of the model."
)
_WATCH = (
    "Watch it: the model is as good as on the reference, so nothing is to be done yet."
)
_UNKNOWN = (
    "Estimate the performance (PerformanceEstimator) or wait for labels before a "
    "retraining: it is not known whether the model got worse."
)


def advised(
    report: DriftReport,
    *,
    performance: PerformanceReport | None = None,
    importance: Mapping[str, float] | None = None,
    histories: Sequence[ColumnHistory] = (),
) -> DriftReport:
    """The report with what to make of it, what matters most first.

    Args:
        report: Of the window.
        performance: Of the same window, estimated or realised: what the drift costs.
        importance: Of columns for the model, of any scale; at least 0. Without it the
            advice says that it is unknown.
        histories: Of the windows before, for since when.
    """
    total = sum(importance.values()) if importance else 0.0
    shares = {
        name: weight / total for name, weight in (importance or {}).items() if total > 0
    }
    since = {each.column: each.since for each in histories if each.since}
    items = [*_of_findings(report.findings, since, shares)]
    items += _of_columns(report, performance, since, shares)
    if performance is not None and (items or performance.status == "degraded"):
        items.append(_of_performance(performance))
    items.sort(key=lambda each: -each.weight)
    return report.model_copy(update={"advice": tuple(items)})


def _of_performance(performance: PerformanceReport) -> Advice:
    worse = performance.status == "degraded"
    return Advice(
        column=None,
        weight=float("1e9") if worse else 0.0,
        what=performance.sentence,
        sure="three standard deviations" if worse else "",
        matters=_cost(performance),
        action=_WORSE if worse else _WATCH,
    )


def _of_findings(
    findings: Sequence[Finding], since: Mapping[str, str], shares: Mapping[str, float]
) -> Iterator[Advice]:
    for finding in findings:
        if finding.severity == "alarm":
            name = finding.column or ""
            yield Advice(
                column=finding.column,
                weight=1e6 * (1 + shares.get(name, 0.0)),
                what=finding.sentence,
                sure="certain",
                matters=_share(name, shares),
                since=since.get(name),
                action=_SOURCE,
            )


def _of_columns(
    report: DriftReport,
    performance: PerformanceReport | None,
    since: Mapping[str, str],
    shares: Mapping[str, float],
) -> Iterator[Advice]:
    for name, column in report.columns.items():
        if column.status == "drift":
            over = (column.effect_size or 0.0) / (column.effect_threshold or 1.0)
            yield Advice(
                column=name,
                weight=over * (shares.get(name, 0.0) if shares else 1.0),
                what=column.sentence,
                sure=p_text(column.adjusted_p_value),
                matters=f"{over:.1f} times the limit{_share(name, shares, ', ')}",
                since=since.get(name),
                action=_action(column, performance),
            )


def _action(column: ColumnDrift, performance: PerformanceReport | None) -> str:
    checks = {check.check for check in column.checks if check.status == "drift"}
    if checks & {"missing", "infinite", "not_finite"}:
        return _SOURCE
    if checks & {"new_categories", "new_words"}:
        return _CATEGORIES
    if performance is None or performance.status == "insufficient_data":
        return _UNKNOWN
    return _WORSE if performance.status == "degraded" else _WATCH


def _share(name: str, shares: Mapping[str, float], before: str = "") -> str:
    if not shares:
        return f"{before}importance unknown"
    return f"{before}{shares.get(name, 0.0):.0%} of the model's importance"


def _cost(performance: PerformanceReport) -> str:
    """The change of each metric."""
    return ", ".join(
        f"{name} {each.value - each.reference:+.3f}"
        for name, each in performance.metrics.items()
    )
