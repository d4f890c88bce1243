"""From measurements to verdicts: a difference must be sure, large and unusual."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from brixa_flows.drift.base import DriftMethod, Measurement
from brixa_flows.drift.findings import ColumnPair
from brixa_flows.drift.report import CheckResult
from brixa_flows.drift.spread import ReferenceSpread, spread_key

__all__ = ["Judge", "Judged", "benjamini_hochberg"]

_Question = tuple[str, str]
_Answers = dict[_Question, list[tuple[DriftMethod, Measurement]]]


def benjamini_hochberg(p_values: Sequence[float]) -> npt.NDArray[np.float64]:
    """Adjusted p-values, of shape (n_tests,) (Benjamini and Hochberg, 1995)."""
    p = np.asarray(p_values, np.float64)
    if not len(p):
        return p
    order = np.argsort(p)[::-1]
    scaled = p[order] * len(p) / np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.minimum.accumulate(scaled), 1.0)
    return adjusted


@dataclass(frozen=True)
class Judged:
    """All questions about one column, and the effects that decide nothing."""

    checks: tuple[CheckResult, ...]
    reported: dict[str, float]


@dataclass(frozen=True)
class Judge:
    """Applies methods, thresholds and, for windows, the reference's spread.

    Attributes:
        methods: In order; between windows the first of a question that has an effect
            decides.
        thresholds: Smallest effect that matters, by method, over the method's own.
        alpha: Share of false alarms over all columns and questions.
        spread: Of the reference's own windows, to judge a window.
        length: Of that window, in seconds or rows.
        judge_datetimes: Judge the values of dates and times too.
    """

    methods: Sequence[DriftMethod]
    thresholds: Mapping[str, float]
    alpha: float
    spread: ReferenceSpread | None = None
    length: float = 0.0
    judge_datetimes: bool = False

    def judge(self, pairs: Mapping[str, ColumnPair]) -> dict[str, Judged]:
        """Ask everything about every column.

        Args:
            pairs: Reference and current profile by column name, same kind and centre.
        """
        deciding: _Answers = {}
        reported: dict[str, dict[str, float]] = {name: {} for name in pairs}
        for name, pair in pairs.items():
            for check, method, found in self._measured(pair):
                if self._decides(method, pair[0].kind):
                    deciding.setdefault((name, check), []).append((method, found))
                elif found.effect is not None and check == method.check:
                    reported[name][method.name] = found.effect
        results = self._results(deciding)
        return {
            name: Judged(
                tuple(each for (owner, _), each in results.items() if owner == name),
                reported[name],
            )
            for name in pairs
        }

    def _measured(
        self, pair: ColumnPair
    ) -> Iterator[tuple[str, DriftMethod, Measurement]]:
        """All measurements of a column and of the values of its parts, by question."""
        before, after = pair
        whole = [(method.check, method, before, after) for method in self.methods]
        parts = [
            (name, method, part, after.parts[name])
            for name, part in before.parts.items()
            if name in after.parts
            for method in self.methods
            if method.check == "values"
        ]
        for check, method, first, second in [*whole, *parts]:
            if first.kind in method.kinds and second.kind == first.kind:
                found = method.measure(first, second)
                if found is not None:
                    yield check, method, found

    def _decides(self, method: DriftMethod, kind: str) -> bool:
        if method.threshold is None and method.name not in self.thresholds:
            return False
        return kind != "datetime" or method.check != "values" or self.judge_datetimes

    def _threshold(self, method: DriftMethod) -> float:
        own = method.threshold if method.threshold is not None else 0.0
        return self.thresholds.get(method.name, own)

    def _results(self, deciding: _Answers) -> dict[_Question, CheckResult]:
        p_values = {
            question: min(
                (each.p_value for _, each in answers if each.p_value is not None),
                default=1.0,
            )
            for question, answers in deciding.items()
        }
        adjusted = _adjusted(p_values)
        chosen = {
            question: self._chosen(answers) for question, answers in deciding.items()
        }
        window = self._window_p_values(chosen)
        return {
            question: self._result(
                question,
                chosen[question],
                (p_values[question], adjusted[question]),
                window.get(question),
                len(window),
            )
            for question in deciding
        }

    def _chosen(
        self, answers: Sequence[tuple[DriftMethod, Measurement]]
    ) -> tuple[DriftMethod, Measurement]:
        """The method whose effect is furthest over its threshold speaks for all."""
        measured = [each for each in answers if each[1].effect is not None] or answers
        if self.spread is not None:
            return measured[0]

        def weight(answer: tuple[DriftMethod, Measurement]) -> float:
            threshold = self._threshold(answer[0])
            return (answer[1].effect or 0.0) / threshold if threshold else np.inf

        return max(measured, key=weight)

    def _window_p_values(
        self, chosen: Mapping[_Question, tuple[DriftMethod, Measurement]]
    ) -> dict[_Question, float]:
        if self.spread is None:
            return {}
        found: dict[_Question, float] = {}
        for question, (method, measurement) in chosen.items():
            p_value = self.spread.p_value(
                spread_key(question, method),
                method.name,
                measurement.effect or 0.0,
                self.length,
            )
            if p_value is not None:
                found[question] = p_value
        return _adjusted(found)

    def _result(
        self,
        question: _Question,
        answer: tuple[DriftMethod, Measurement],
        p_values: tuple[float, float],
        window_p_value: float | None,
        asked: int,
    ) -> CheckResult:
        method, measurement = answer
        threshold = self._threshold(method)
        sure = p_values[1] < self.alpha
        large = measurement.effect is not None and measurement.effect >= threshold
        unusual = window_p_value is None or window_p_value < self.alpha
        typical = limit = None
        if self.spread is not None:
            key = spread_key(question, method)
            typical = self.spread.typical(key, method.name, self.length)
            alpha = self.alpha / max(asked, 1)
            limit = self.spread.bound(key, method.name, self.length, alpha)
        return CheckResult(
            check=question[1],
            status="drift" if sure and large and unusual else "ok",
            method=method.name,
            effect=measurement.effect,
            threshold=threshold,
            p_value=p_values[0],
            adjusted_p_value=p_values[1],
            window_typical=typical,
            window_limit=limit,
            window_p_value=window_p_value,
            detail=measurement.detail,
        )


def _adjusted(p_values: Mapping[_Question, float]) -> dict[_Question, float]:
    adjusted = benjamini_hochberg(list(p_values.values()))
    return dict(zip(p_values, adjusted.tolist(), strict=True))
