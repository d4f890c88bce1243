"""What each gate says about a version, with the numbers in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from brixa_flows.errors import some_of
from brixa_flows.evaluation.comparison import (
    Comparison,
    MetricComparison,
    SliceComparison,
)
from brixa_flows.evaluation.gate import Gate, GateOutcome
from brixa_flows.evaluation.intervals import LEVEL
from brixa_flows.evaluation.metric_catalog import named_metric
from brixa_flows.evaluation.metrics import METRICS, canonical_metric, no_such_metric
from brixa_flows.evaluation.results import EvaluationResult, SliceResult

__all__ = ["judge_gate"]

_SURELY = 1 - LEVEL + 1e-12
_SHUT = "a gate without its number stays shut"

_Part = TypeVar("_Part", SliceResult, SliceComparison)


def judge_gate(
    gate: Gate,
    result: EvaluationResult,
    comparison: Comparison | None,
    missing: Mapping[str, str],
) -> GateOutcome:
    """What a gate says about a version.

    Args:
        gate: The gate.
        result: Evaluation of the version.
        comparison: Of it with production, if there is one.
        missing: Why a metric has no number, by its name.
    """
    if gate.require is not None:
        passed, sentence = _FACTS[gate.require](result)
        return GateOutcome(gate, passed, sentence)
    measured = {**result.metrics, **(comparison.metrics if comparison else {})}
    if not named_metric(gate.metric) and gate.metric not in measured:
        return GateOutcome(gate, False, _unknown(gate.metric, result, measured))
    parts = []
    if gate.min is not None or gate.max is not None:
        judge_values = _judge_value if gate.slice is None else _judge_slices
        parts.append(judge_values(gate, result, missing))
    if gate.is_relative:
        parts.append(_judge_difference(gate, result, comparison, missing))
    passed = all(part for part, _ in parts)
    return GateOutcome(gate, passed, "; ".join(sentence for _, sentence in parts))


def _judge_value(
    gate: Gate, result: EvaluationResult, missing: Mapping[str, str]
) -> tuple[bool, str]:
    name = canonical_metric(gate.metric)
    if name not in result.metrics:
        return False, _not_measured(gate.metric, "evaluated", result.metrics, missing)
    value, bound = result.metrics[name], result.bounds.get(name, 0.0)
    facts = f"{gate.metric} is {value:.4f}{_within(bound)} on {result.rows} rows"
    fault = _fault(gate, value, bound)
    if fault:
        return False, f"{facts}, {fault}"
    return True, f"{facts}, {_limits(gate)} as asked{_wrong_side(gate, name, result)}"


def _wrong_side(gate: Gate, name: str, result: EvaluationResult) -> str:
    """That the bound stops no bad version; of a metric whose direction is not ours."""
    lone = (gate.min is None) != (gate.max is None) and not gate.is_relative
    more = result.higher_is_better.get(name)
    if not lone or more is None or more == (gate.min is not None):
        return ""
    return f"; {'more' if more else 'less'} of it is better: no bad version is stopped"


def _fault(gate: Gate, value: float, bound: float) -> str:
    """Why a value is refused; ``bound`` is how far it can be from that of the rows."""
    if gate.min is not None and value - bound < gate.min:
        surely = "" if value < gate.min else "and may be "
        return f"{surely}below the least allowed {gate.min:g}"
    if gate.max is not None and value + bound > gate.max:
        surely = "" if value > gate.max else "and may be "
        return f"{surely}above the most allowed {gate.max:g}"
    return ""


def _within(bound: float) -> str:
    """That rows which were summed up tell a value but for so much."""
    return f" (within {bound:.1g}, of rows that were summed up)" if bound else ""


def _limits(gate: Gate) -> str:
    limits = [
        f"at least {gate.min:g}" if gate.min is not None else "",
        f"at most {gate.max:g}" if gate.max is not None else "",
    ]
    return " and ".join(filter(None, limits))


def _judge_slices(
    gate: Gate, result: EvaluationResult, missing: Mapping[str, str]
) -> tuple[bool, str]:
    name = canonical_metric(gate.metric)
    if name in missing and name not in result.metrics:
        return False, _not_measured(gate.metric, "evaluated", result.metrics, missing)
    parts = [part for part in result.slices if part.column == gate.slice]
    if not parts:
        known = sorted({part.column for part in result.slices})
        return False, (
            f"{gate.metric} was not evaluated by {gate.slice} (slices: "
            f"{some_of(known) or 'none'}); evaluate with slices=[{gate.slice!r}]"
        )
    judged, aside = _with_support(gate, parts)
    if not judged:
        return False, _nothing_to_judge(gate, aside)
    faults = [fault for part in judged if (fault := _slice_fault(gate, name, part))]
    if faults:
        return False, f"{gate.metric} where {some_of(faults)}{aside}"
    worst = min if gate.min is not None else max
    value, shown = worst((part.metrics[name], part.value) for part in judged)
    return True, (
        f"{gate.metric} is {_limits(gate)} for each of {len(judged)} values of "
        f"{gate.slice}, at worst {value:.4f} where it is {shown!r}{aside}"
    )


def _with_support(gate: Gate, parts: Sequence[_Part]) -> tuple[list[_Part], str]:
    """Slices with enough rows, and the others in words."""
    few = [f"{each.value!r} ({each.rows})" for each in parts if _is_small(gate, each)]
    aside = f"; under {gate.min_rows} rows, not judged: {some_of(few)}" if few else ""
    return [each for each in parts if not _is_small(gate, each)], aside


def _is_small(gate: Gate, part: SliceResult | SliceComparison) -> bool:
    return part.rows < gate.min_rows


def _nothing_to_judge(gate: Gate, aside: str) -> str:
    return (
        f"{gate.metric} by {gate.slice}: no value has {gate.min_rows} rows, so "
        f"nothing can be judged{aside}"
    )


def _unjudged(gate: Gate, name: str, part: SliceResult | SliceComparison) -> str:
    why = next(
        (note for note in part.notes if note.startswith(f"{name} ")), "no number"
    )
    return f"{_where(gate, part)} can't be judged: {why}"


def _where(gate: Gate, part: SliceResult | SliceComparison) -> str:
    return f"{gate.slice} is {part.value!r} ({part.rows} rows)"


def _slice_fault(gate: Gate, name: str, part: SliceResult) -> str:
    where = _where(gate, part)
    if name not in part.metrics:
        return _unjudged(gate, name, part)
    value, bound = part.metrics[name], part.bounds.get(name, 0.0)
    fault = _fault(gate, value, bound)
    return f"{where} is {value:.4f}{_within(bound)}, {fault}" if fault else ""


def _signature(result: EvaluationResult) -> tuple[bool, str]:
    if result.signature:
        return True, "the version has schemas of its inputs and outputs"
    return False, (
        "the version has no schemas of its inputs and outputs; save the next one with "
        "save_model(..., input_example=)"
    )


def _no_drift(result: EvaluationResult) -> tuple[bool, str]:
    status = result.drift.get("status")
    if status == "ok":
        return True, "the rows it was judged on have not drifted from its training rows"
    if status is None:
        return False, (
            "nobody looked whether the rows it was judged on have drifted from its "
            "training rows: evaluate with drift=report.to_dict()"
        )
    sentence = result.drift.get("sentence") or f"the drift report says {status}"
    return False, f"against its training rows: {sentence}"


_FACTS: dict[str, Callable[[EvaluationResult], tuple[bool, str]]] = {
    "signature": _signature,
    "no_drift": _no_drift,
}


def _judge_difference(
    gate: Gate,
    result: EvaluationResult,
    comparison: Comparison | None,
    missing: Mapping[str, str],
) -> tuple[bool, str]:
    name = canonical_metric(gate.metric)
    if result.doubt:
        return False, f"{gate.metric} can't be compared with production: {result.doubt}"
    if comparison is None:
        passed, sentence = _without_comparison(gate, result)
        why = "" if passed else missing.get(name, "")
        return passed, f"{why}; {_SHUT}" if why else sentence
    apart = _apart(result, comparison)
    if apart:
        return False, (
            f"{gate.metric} was compared {apart} as the version was evaluated: "
            "evaluate and compare it on the same rows, and ask both the same"
        )
    if result.production not in (None, str(comparison.baseline)):
        return False, (
            f"{gate.metric} was compared with {comparison.baseline}, but "
            f"{result.production} is in production: compare with that one"
        )
    if name not in comparison.metrics:
        known = comparison.metrics
        return False, _not_measured(gate.metric, "compared", known, missing)
    stage = "" if result.production is None else " in production"
    rival = f"{comparison.baseline}{stage}"
    if gate.slice is not None:
        return _judge_slice_gains(gate, name, comparison, rival)
    return _judge_gain(gate, comparison.metrics[name], rival, comparison.dataset.rows)


def _apart(result: EvaluationResult, comparison: Comparison) -> str:
    """In what the two were not asked the same.

    Where production knows more classes the comparison is of all of them, and says so.
    """
    ours, theirs = result.conditions, comparison.conditions
    of_all = (ours.task, theirs.task) == ("binary", "multiclass")
    if of_all and comparison.classes_differ and not ours.threshold:
        theirs = theirs._replace(task=None)
    return theirs.unlike(ours)


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
    passed, words = _gain(gate, found)
    return passed, (
        f"{gate.metric} is {found.candidate:.4f} against {found.baseline:.4f} of "
        f"{rival} on the same {rows} rows; {words}"
    )


def _gain(gate: Gate, found: MetricComparison) -> tuple[bool, str]:
    low, high = found.gain
    facts = f"the gain is between {low:+.4f} and {high:+.4f} (95 %)"
    if gate.not_worse_than and low < -gate.margin:
        return False, f"{facts}, so it may be worse by more than {gate.margin:g}"
    if gate.better_than and low <= gate.margin:
        return (
            False,
            f"{facts}, so it is not surely better by more than {gate.margin:g}",
        )
    if gate.better_than and found.p_value > _SURELY:
        return False, (
            f"{facts}, and the {found.test} can't tell it from chance (p "
            f"{found.p_value:.3g}), so it is not surely better"
        )
    if gate.better_than:
        return True, f"{facts}, so it is better by more than {gate.margin:g}"
    return True, f"{facts}, so it is not worse by more than {gate.margin:g}"


def _judge_slice_gains(
    gate: Gate, name: str, comparison: Comparison, rival: str
) -> tuple[bool, str]:
    parts = [part for part in comparison.slices if part.column == gate.slice]
    if not parts:
        known = sorted({part.column for part in comparison.slices})
        return False, (
            f"{gate.metric} was not compared by {gate.slice} (slices: "
            f"{some_of(known) or 'none'}); compare with slices=[{gate.slice!r}]"
        )
    judged, aside = _with_support(gate, parts)
    if not judged:
        return False, _nothing_to_judge(gate, aside)
    faults = [fault for part in judged if (fault := _gain_fault(gate, name, part))]
    if faults:
        return False, f"{gate.metric} against {rival} where {some_of(faults)}{aside}"
    worst = min(judged, key=lambda part: part.metrics[name].gain.low)
    return True, (
        f"{gate.metric} against {rival} holds for each of {len(judged)} values of "
        f"{gate.slice}; at worst, where it is {worst.value!r} ({worst.rows} rows), "
        f"{_gain(gate, worst.metrics[name])[1]}{aside}"
    )


def _gain_fault(gate: Gate, name: str, part: SliceComparison) -> str:
    if name not in part.metrics:
        return _unjudged(gate, name, part)
    passed, words = _gain(gate, part.metrics[name])
    return "" if passed else f"{_where(gate, part)}: {words}"


def _unknown(metric: str, result: EvaluationResult, measured: Iterable[str]) -> str:
    own = [name for name in measured if name not in METRICS]
    also = f"; measured beside them: {some_of(own)}" if own else ""
    return f"{no_such_metric(metric, result.task)}{also}; {_SHUT}"


def _not_measured(
    metric: str, done: str, known: Iterable[str], missing: Mapping[str, str]
) -> str:
    why = missing.get(canonical_metric(metric))
    if why is not None:
        return f"{why}; {_SHUT}"
    return f"{metric} was not {done} (only {some_of(known) or 'nothing was'}); {_SHUT}"
