"""What each gate says about a version, with the numbers in a sentence."""

from __future__ import annotations

from collections.abc import Iterable

from brixa_flows.errors import some_of
from brixa_flows.evaluation.compare import Comparison, MetricComparison
from brixa_flows.evaluation.gate import Gate, GateOutcome
from brixa_flows.evaluation.metrics import METRICS, canonical_metric, no_such_metric
from brixa_flows.evaluation.results import EvaluationResult

__all__ = ["judge_gate"]


def judge_gate(
    gate: Gate, result: EvaluationResult, comparison: Comparison | None
) -> GateOutcome:
    """What a gate says about a version.

    Args:
        gate: The gate.
        result: Evaluation of the version.
        comparison: Of it with production, if there is one.
    """
    measured = {**result.metrics, **(comparison.metrics if comparison else {})}
    if canonical_metric(gate.metric) not in {*METRICS, *measured}:
        return GateOutcome(gate, False, _unknown(gate.metric, result, measured))
    parts = []
    if gate.min is not None or gate.max is not None:
        parts.append(_judge_value(gate, result))
    if gate.is_relative:
        parts.append(_judge_difference(gate, result, comparison))
    passed = all(part for part, _ in parts)
    return GateOutcome(gate, passed, "; ".join(sentence for _, sentence in parts))


def _judge_value(gate: Gate, result: EvaluationResult) -> tuple[bool, str]:
    name = canonical_metric(gate.metric)
    if name not in result.metrics:
        return False, _not_measured(gate.metric, "evaluated", result.metrics)
    value = result.metrics[name]
    facts = f"{gate.metric} is {value:.4f} on {result.rows} rows"
    if gate.min is not None and value < gate.min:
        return False, f"{facts}, below the least allowed {gate.min:g}"
    if gate.max is not None and value > gate.max:
        return False, f"{facts}, above the most allowed {gate.max:g}"
    limits = [
        f"at least {gate.min:g}" if gate.min is not None else "",
        f"at most {gate.max:g}" if gate.max is not None else "",
    ]
    return True, f"{facts}, {' and '.join(filter(None, limits))} as asked"


def _judge_difference(
    gate: Gate, result: EvaluationResult, comparison: Comparison | None
) -> tuple[bool, str]:
    if comparison is None:
        return _without_comparison(gate, result)
    if result.production not in (None, str(comparison.baseline)):
        return False, (
            f"{gate.metric} was compared with {comparison.baseline}, but "
            f"{result.production} is in production: compare with that one"
        )
    name = canonical_metric(gate.metric)
    if name not in comparison.metrics:
        return False, _not_measured(gate.metric, "compared", comparison.metrics)
    stage = "" if result.production is None else " in production"
    rival = f"{comparison.baseline}{stage}"
    return _judge_gain(gate, comparison.metrics[name], rival, comparison.dataset.rows)


def _without_comparison(gate: Gate, result: EvaluationResult) -> tuple[bool, str]:
    if result.production is None:
        return True, (
            f"{gate.metric}: no version is in production yet, so there is nothing to "
            "compare with; passes"
        )
    if result.production == str(result.version):
        return True, f"{gate.metric}: this version is itself in production; passes"
    return False, (
        f"{gate.metric} was not compared with {result.production}, which is in "
        "production: give decide() a comparison with it"
    )


def _judge_gain(
    gate: Gate, found: MetricComparison, rival: str, rows: int
) -> tuple[bool, str]:
    low, high = found.gain
    facts = (
        f"{gate.metric} is {found.candidate:.4f} against {found.baseline:.4f} of "
        f"{rival} on the same {rows} rows; the gain is between {low:+.4f} and "
        f"{high:+.4f} (95 %)"
    )
    if gate.not_worse_than and low < -gate.margin:
        return False, f"{facts}, so it may be worse by more than {gate.margin:g}"
    if gate.better_than and low <= gate.margin:
        return (
            False,
            f"{facts}, so it is not surely better by more than {gate.margin:g}",
        )
    if gate.better_than:
        return True, f"{facts}, so it is better by more than {gate.margin:g}"
    return True, f"{facts}, so it is not worse by more than {gate.margin:g}"


def _unknown(metric: str, result: EvaluationResult, measured: Iterable[str]) -> str:
    own = [name for name in measured if name not in METRICS]
    also = f"; measured beside them: {some_of(own)}" if own else ""
    return f"{no_such_metric(metric, result.task)}{also}; the gate stays shut"


def _not_measured(metric: str, done: str, known: Iterable[str]) -> str:
    return (
        f"{metric} was not {done} (only {some_of(known)}); a gate without its number "
        "stays shut"
    )
