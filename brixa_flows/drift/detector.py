"""Compares a window with a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from brixa_flows.drift.arguments import (
    checked_alpha,
    checked_rows,
    checked_thresholds,
    ignored_findings,
    judged_names,
)
from brixa_flows.drift.engine import DriftEngine, engine_columns, take_samples
from brixa_flows.drift.findings import (
    ColumnPair,
    comparable_columns,
    quality_findings,
    schema_findings,
)
from brixa_flows.drift.flow import Freshness, volume_findings
from brixa_flows.drift.judging import Judge, Judged
from brixa_flows.drift.profile import DriftProfile, load_methods
from brixa_flows.drift.report import CheckResult, ColumnDrift, DriftReport, Finding
from brixa_flows.drift.sentences import column_sentence, report_sentence
from brixa_flows.drift.shapes import shape_of
from brixa_flows.drift.spread import (
    ReferenceSpread,
    window_rows,
    window_seconds,
)
from brixa_flows.errors import DriftError, UnknownPluginError
from brixa_flows.plugins import DRIFT_ENGINES

__all__ = ["DriftDetector"]

_PROFILE = "profile"
# The kind of a window that is as long as it has rows.
ROWS = "rows"


class DriftDetector:
    """Says whether a window differs from a reference, column by column.

    A column drifted when a difference is *sure* (the p-value of a two-sample test,
    adjusted over all columns and questions, is below ``alpha``), *large* (an effect
    reaches its threshold) and, for a window of time, *unusual* (larger than the
    reference's own windows make likely, see :mod:`brixa_flows.drift.spread`).

    Args:
        engine: ``profile``, or ``evidently`` (extra ``drift``): the verdicts of its
            preset, which are no two-sample tests, on samples of at most 50,000 rows.
        min_rows: With fewer rows on either side nothing is judged.
        alpha: Share of false alarms over all columns and questions of one comparison.
        thresholds: Smallest effect that matters, by method name: ``ks`` .05 (share of
            rows), ``wasserstein`` .1 (of the reference's scale), ``share_change`` .03,
            ``missing_share_change`` .03, ``infinite_share_change`` .01,
            ``new_category_share`` .01. Finite and over 0.
        spread: Of the reference's windows, in place of the one kept in its profile.
        judge_datetimes: Judge the values of dates and times; without it they are taken
            for clocks, whose missing rows alone are judged.
        judge_volume: A window with less than half or more than twice the usual rows is
            an alarm; without it a note, since a reference is often a sample.

    Raises:
        UnknownPluginError: If the engine or a threshold's method is unknown.
        DriftError: If ``min_rows``, ``alpha``, a threshold or ``spread`` can't be.
    """

    def __init__(
        self,
        engine: str = _PROFILE,
        *,
        min_rows: int = 200,
        alpha: float = 0.05,
        thresholds: Mapping[str, float] | None = None,
        spread: ReferenceSpread | None = None,
        judge_datetimes: bool = False,
        judge_volume: bool = False,
    ) -> None:
        engines = (_PROFILE, *DRIFT_ENGINES.all())
        if engine not in engines:
            raise UnknownPluginError("drift engine", str(engine), engines)
        if spread is not None and not isinstance(spread, ReferenceSpread):
            raise DriftError(
                "spread is a ReferenceSpread, such as the .spread of a profile that was "
                f"built with window_column=, not a {type(spread).__name__}"
            )
        self.engine = engine
        self.min_rows = checked_rows(min_rows)
        self.alpha = checked_alpha(alpha)
        self.methods = load_methods()
        names = [method.name for method in self.methods]
        self.thresholds = checked_thresholds(thresholds, names)
        self.spread = spread
        self.judge_datetimes = judge_datetimes
        self.judge_volume = judge_volume

    def detect(
        self,
        reference: Any,
        current: Any,
        *,
        columns: Sequence[str] | None = None,
        ignore: Sequence[str] = (),
        kind: str | None = None,
        freshness: Freshness | None = None,
    ) -> DriftReport:
        """Compare ``current`` with ``reference``.

        Args:
            reference: A :class:`DriftProfile`, the path of one, or any data that
                :meth:`DriftProfile.build` reads.
            current: The same; it is read once.
            columns: Judge only these; by default all that either has.
            ignore: Pass these over (labels, row ids, clocks); a note tells of those
                that neither has.
            kind: ``week``, ``month``, ``7D`` ..., or ``rows``: judge the window against
                the spread of the reference's own windows, which a reference profile has
                when it was built with ``window_column=`` (``window_rows=``), and its
                rows against theirs. Leave it out for a random sample.
            freshness: Ask how old the newest row is.

        Raises:
            DriftError: If data can't be read, ``kind`` is no window, ``columns`` names
                one that neither has, or no column is left to judge.
            MissingExtraError: If the engine's library is not installed.
        """
        if self.engine != _PROFILE:
            if kind is not None or freshness is not None:
                raise DriftError(
                    f"the engine {self.engine!r} knows neither windows nor freshness; "
                    "leave kind= and freshness= out, or take the engine 'profile'"
                )
            return self._by_engine(reference, current, columns, ignore)
        before = DriftProfile.of(reference)
        after = DriftProfile.of(current, like=before)
        names = judged_names(before, after, columns, ignore)
        findings = schema_findings(before, after, names)
        findings += ignored_findings(before, after, ignore)
        pairs = comparable_columns(before, after, names)
        enough = min(before.rows, after.rows) >= self.min_rows
        spread, length = self._spread(before, kind, after.rows)
        findings += self._window_findings(after, kind, spread)
        if freshness is not None:
            findings += freshness.findings(after, before)
        judged: dict[str, Judged] = {}
        if enough:
            judged = self._judge(spread, length).judge(pairs)
            for name, pair in pairs.items():
                findings += quality_findings(name, pair)
        results = {
            name: _column(name, pair, judged.get(name)) for name, pair in pairs.items()
        }
        return self._report(before, after, kind, results, findings)

    def _judge(self, spread: ReferenceSpread | None, length: float) -> Judge:
        return Judge(
            self.methods,
            self.thresholds,
            self.alpha,
            spread,
            length,
            self.judge_datetimes,
        )

    def _window_findings(
        self, after: DriftProfile, kind: str | None, spread: ReferenceSpread | None
    ) -> list[Finding]:
        if kind is None:
            return []
        if spread is None:
            return [_no_spread(kind)]
        if kind == ROWS:
            return []
        judged = self.judge_volume
        found = volume_findings(after.rows, kind, spread, self.alpha, judged=judged)
        return list(found)

    def _by_engine(
        self,
        reference: Any,
        current: Any,
        columns: Sequence[str] | None,
        ignore: Sequence[str],
    ) -> DriftReport:
        engine: DriftEngine = DRIFT_ENGINES.load(self.engine)()
        first, second, findings = take_samples(reference, current)
        before, after = first.profile, second.profile
        names = judged_names(before, after, columns, ignore)
        sizes = replace(before, rows=first.rows), replace(after, rows=second.rows)
        findings += schema_findings(*sizes, names)
        findings += ignored_findings(before, after, ignore)
        pairs = comparable_columns(before, after, names)
        results = {name: _column(name, pair, None) for name, pair in pairs.items()}
        if min(first.rows, second.rows) >= self.min_rows:
            for name, pair in pairs.items():
                findings += quality_findings(name, pair)
            results = engine_columns(engine, pairs, (first, second))
        return self._report(*sizes, None, results, findings)

    def _spread(
        self, reference: DriftProfile, kind: str | None, rows: int
    ) -> tuple[ReferenceSpread | None, float]:
        if kind is None:
            return None, 0.0
        spread = self.spread or reference.spread
        if kind != ROWS:
            seconds = window_seconds(kind)
            of_time = spread is None or window_rows(spread.window) is None
            return (spread if of_time else None), seconds
        of_rows = spread is not None and window_rows(spread.window) is not None
        return (spread if of_rows else None), float(max(rows, 1))

    def _report(
        self,
        before: DriftProfile,
        after: DriftProfile,
        kind: str | None,
        columns: dict[str, ColumnDrift],
        findings: list[Finding],
    ) -> DriftReport:
        alarms = any(each.severity == "alarm" for each in findings)
        if min(before.rows, after.rows) < self.min_rows:
            status = "insufficient_data"
        elif alarms or any(each.status == "drift" for each in columns.values()):
            status = "drift"
        else:
            status = "ok"
        sentence = report_sentence(
            status,
            after.rows,
            before.rows,
            self.min_rows,
            list(columns.values()),
            findings,
        )
        return DriftReport.model_validate(
            {
                "status": status,
                "engine": self.engine,
                "kind": kind,
                "rows": after.rows,
                "reference_rows": before.rows,
                "alpha": self.alpha,
                "min_rows": self.min_rows,
                "columns": columns,
                "findings": tuple(findings),
                "sentence": sentence,
            }
        )


def _column(name: str, pair: ColumnPair, judged: Judged | None) -> ColumnDrift:
    before, after = pair
    facts: dict[str, Any] = {
        "name": name,
        "kind": before.kind,
        "missing_share": after.missing_share,
        "reference_missing_share": before.missing_share,
        "mean": after.mean,
        "reference_mean": before.mean,
    }
    if judged is None:
        sentence = f"{name}: too few rows to judge."
        return ColumnDrift(status="insufficient_data", sentence=sentence, **facts)
    checks = judged.checks
    speaker = _speaker(checks)
    drifted = any(check.status == "drift" for check in checks)
    if speaker is not None:
        facts |= {
            "p_value": speaker.p_value,
            "adjusted_p_value": speaker.adjusted_p_value,
            "effect_size": speaker.effect,
            "effect_name": speaker.method,
            "effect_threshold": speaker.threshold,
            "effect_limit": max(speaker.threshold or 0.0, speaker.window_limit or 0.0),
        }
    return ColumnDrift(
        status="drift" if drifted else "ok" if checks else "not_judged",
        sentence=column_sentence(name, before, after, checks),
        checks=checks,
        reported=judged.reported,
        shape=shape_of(before, after),
        **facts,
    )


def _speaker(checks: Sequence[CheckResult]) -> CheckResult | None:
    """The question that decided; of quiet columns the one about the values."""
    drifted = [check for check in checks if check.status == "drift"]
    values = [check for check in checks if check.check == "values"]
    chosen = drifted or values or list(checks)
    return min(chosen, key=lambda check: check.adjusted_p_value or 0.0, default=None)


def _no_spread(kind: str) -> Finding:
    return Finding(
        column=None,
        kind="no_spread",
        severity="note",
        sentence=f"The reference keeps no spread of such windows, so this {kind} is "
        "judged like a random sample; build the reference with window_column= for windows "
        "of time and window_rows= for those of rows.",
    )
