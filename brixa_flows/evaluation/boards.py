"""Leaderboards: of what is kept, or of rows that every version is asked about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.board_tests import (
    against_reference,
    each_judged,
    untested,
)
from brixa_flows.evaluation.compare import check_margin
from brixa_flows.evaluation.kept import KeptResults
from brixa_flows.evaluation.leaderboard import Leaderboard, rank, under
from brixa_flows.evaluation.opening import Opener
from brixa_flows.evaluation.question import Question
from brixa_flows.evaluation.results import EvaluationResult, told_target
from brixa_flows.versioning import ModelVersion

__all__ = ["Contest", "judged_board", "kept_board"]

_NO_ROWS = "versions are not tested against the best without the rows: give the dataset"


@dataclass(frozen=True)
class Contest:
    """Which versions are ranked, and by what.

    Attributes:
        model_name: The model.
        versions: Which versions, as a constraint.
        question: What is asked of each.
        by: The metric that ranks; the first one if not given.
        target: Name of the label column, or of several.
        against: Version that the others are tested against; ``None`` for the best.
        margin: How much worse still counts as not worse.
    """

    model_name: str
    versions: str
    question: Question
    by: str | None
    target: str | Sequence[str] | None
    against: ModelVersion | str | None
    margin: float


def kept_board(opener: Opener, kept: KeptResults, contest: Contest) -> Leaderboard:
    """Of what is kept, under the conditions that were said.

    Raises:
        EvaluationError: If nothing is.
    """
    check_margin(contest.margin)
    question, target = contest.question, contest.target
    said = {
        "target": None if target is None else told_target(target),
        "task": question.task,
        "positive": question.positive,
        "threshold": question.threshold,
    }
    name = contest.model_name
    ready = opener.ready(name, contest.versions)
    known = {version: under(kept.of(name, version), said) for version in ready}
    holder, _ = opener.production(name)
    return untested(rank(name, known, contest.by, holder), _NO_ROWS)


def judged_board(
    opener: Opener,
    contest: Contest,
    dataset: Any,
    judge: Callable[[ModelVersion], EvaluationResult],
) -> Leaderboard:
    """Of rows, with tests.

    Args:
        opener: Of the versions.
        contest: Which ones are ranked.
        dataset: The rows, in a form that can be read again.
        judge: Judges one version on them.

    Raises:
        EvaluationError: If no version could be judged, or the rows can't be read again
            or change meanwhile.
    """
    check_margin(contest.margin)
    name = contest.model_name
    _refuse_what_is_read_once(name, dataset)
    judged = each_judged(opener.ready(name, contest.versions), judge)
    holder, _ = opener.production(name)
    board = rank(name, judged, contest.by, holder)
    against = contest.against
    return against_reference(
        board,
        None if against is None else opener.registry.resolve(name, against),
        lambda versions: opener.together(board, versions, dataset, contest.target),
        contest.question,
        contest.margin,
    )


def _refuse_what_is_read_once(name: str, dataset: Any) -> None:
    """Before any version is asked: the first one would use the rows up.

    A loader that shuffles is told by its sampler, as torch names it.
    """
    if isinstance(dataset, Iterator):
        raise EvaluationError(
            f"a leaderboard of {name} reads the rows once for each version, but an "
            "iterator can be read once; give a list of batches, or a file"
        )
    if type(getattr(dataset, "sampler", None)).__name__ == "RandomSampler":
        raise EvaluationError(
            f"a leaderboard of {name} reads the rows once for each version, but this "
            "loader shuffles them each time; make it with shuffle=False"
        )
