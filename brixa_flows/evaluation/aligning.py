"""Brings two models' outcomes on the same rows to one coding of the classes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.errors import EvaluationError, some_of
from brixa_flows.evaluation.outcomes import Outcomes

__all__ = ["align"]


def align(
    candidate: Outcomes, baseline: Outcomes
) -> tuple[Outcomes, Outcomes, tuple[str, ...]]:
    """Both with the same classes in the same order, and what a reader must know.

    Two models that know different classes lose their probabilities: those of one mean
    nothing for the other.

    Raises:
        EvaluationError: If one classifies and the other gives numbers, say.
    """
    kinds = {each.task if not each.classifies else "" for each in (candidate, baseline)}
    if len(kinds) > 1:
        raise EvaluationError(
            f"the candidate's task is {candidate.task} but the baseline's "
            f"{baseline.task}; only models of one task can be compared"
        )
    warnings = [f"candidate: {warning}" for warning in candidate.warnings]
    warnings += [f"baseline: {warning}" for warning in baseline.warnings]
    if not candidate.classifies or _same_coding(candidate, baseline):
        return candidate, baseline, tuple(dict.fromkeys(warnings))
    classes = tuple(dict.fromkeys(candidate.classes + baseline.classes))
    knows = [set(each.classes[: each.known]) for each in (candidate, baseline)]
    keep = knows[0] == knows[1]
    if not keep:
        warnings.append(different_classes(*knows))
    recoded = [_recode(each, classes, keep) for each in (candidate, baseline)]
    if recoded[0].task == "binary":  # of one class for both, whatever their orders
        recoded[1] = replace(recoded[1], positive=recoded[0].positive)
    return recoded[0], recoded[1], tuple(warnings)


def _same_coding(candidate: Outcomes, baseline: Outcomes) -> bool:
    return (candidate.classes, candidate.known) == (baseline.classes, baseline.known)


def different_classes(ours: set[Any], theirs: set[Any]) -> str:
    """That two models know different classes, and what it does to the numbers."""
    extra = [
        f"only the {who} knows {some_of(map(repr, sorted(more, key=str)))}"
        for who, more in (("candidate", ours - theirs), ("baseline", theirs - ours))
        if more
    ]
    return (
        f"the two know different classes ({', '.join(extra)}); metrics of probabilities "
        "are left out, and precision, recall, F and Jaccard are means over the classes"
    )


def _recode(outcomes: Outcomes, classes: tuple[Any, ...], keep: bool) -> Outcomes:
    code = {label: index for index, label in enumerate(classes)}
    lookup = np.array([code[label] for label in outcomes.classes], dtype=np.int64)
    places = lookup[: outcomes.known] if keep else None
    binary = outcomes.task == "binary" and len(classes) <= 2
    return replace(
        outcomes,
        task="binary" if binary else "multiclass",
        truth=lookup[outcomes.truth],
        predicted=lookup[outcomes.predicted],
        probabilities=_reordered(outcomes.probabilities, places),
        margins=_reordered(outcomes.margins, places),
        classes=classes,
        known=outcomes.known if keep else len(classes),
        positive=int(lookup[outcomes.positive]) if binary else 1,
    )


def _reordered(
    scores: NDArray[np.float64] | None, places: NDArray[np.int64] | None
) -> NDArray[np.float64] | None:
    if scores is None or places is None:
        return None
    moved = np.empty_like(scores)
    moved[:, places] = scores
    return moved
