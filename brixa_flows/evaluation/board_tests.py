"""Is a version of a leaderboard surely worse than the best, or better than a baseline?

Each is tested against one reference on the same rows by the metric that ranks, paired as
``evaluation.compare`` says. The p-values are adjusted over the versions (Holm, 1979). A
baseline is named beforehand, so there are as many hypotheses as other versions. The best
is chosen by the very rows, so any pair could have been the one that is looked at, and
all of them count: else the luck of the best would be taken for a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.aligning import align
from brixa_flows.evaluation.compare import Difference, difference_of, with_verdicts
from brixa_flows.evaluation.comparison import MetricComparison
from brixa_flows.evaluation.intervals import holm_p_values
from brixa_flows.evaluation.leaderboard import Leaderboard
from brixa_flows.evaluation.measuring import open_sklearn
from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.metrics import canonical_metric, named_metrics, obstacle
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.evaluation.question import Question
from brixa_flows.evaluation.results import EvaluationResult
from brixa_flows.evaluation.run import Run
from brixa_flows.evaluation.thresholds import refuse_two_units
from brixa_flows.versioning import ModelVersion

__all__ = ["against_reference", "each_judged", "untested"]


def each_judged(
    versions: Sequence[ModelVersion], judge: Callable[[ModelVersion], EvaluationResult]
) -> dict[ModelVersion, list[EvaluationResult] | str]:
    """What is found of each version, or why nothing is.

    Raises:
        EvaluationError: If the rows come in another order, or others come, when they
            are read again.
    """
    judged: dict[ModelVersion, list[EvaluationResult] | str] = {}
    first: EvaluationResult | None = None
    for version in versions:
        try:
            found = judge(version)
        except ValueError as err:  # data or metrics that don't fit this version
            judged[version] = str(err)
            continue
        first = first or found
        if found.dataset_digest != first.dataset_digest:
            raise EvaluationError(
                f"the rows of {found.dataset.name} came otherwise for {found.version} "
                f"than for {first.version}, so the two were judged on different rows; "
                "give them in one order (shuffle=False), or as a list of batches"
            )
        judged[version] = [found]
    return judged


def against_reference(
    board: Leaderboard,
    named: ModelVersion | None,
    ask: Callable[[Sequence[ModelVersion]], Run],
    question: Question,
    margin: float,
) -> Leaderboard:
    """The board with a test of each version against the best, or the one named.

    Args:
        board: Of the rows.
        named: The reference; ``None`` for the best.
        ask: Asks versions about the rows, together.
        question: What was asked of each.
        margin: How much worse still counts as not worse.

    Raises:
        EvaluationError: If the reference is not on the board, or the rows are others
            by now.
    """
    versions = _contestants(board, named)
    if len(versions) < 2:
        return untested(board, "there is no other version to test against")
    return _tested(board, ask(versions), question, margin, chosen=named is None)


def _contestants(
    board: Leaderboard, reference: ModelVersion | None
) -> list[ModelVersion]:
    """Versions of a board, the reference first; it is the best if none is named."""
    ranked = [each.version for each in board.results]
    first = ranked[0] if reference is None else reference
    if first not in ranked:
        why = board.left_out.get(str(first), "it is none of the versions asked for")
        raise EvaluationError(
            f"{board.model_name} {first} can't be tested against: {why}"
        )
    return [first, *(each for each in ranked if each != first)]


def untested(board: Leaderboard, why: str) -> Leaderboard:
    """The board without tests."""
    return replace(board, untested=(*board.untested, why))


def _tested(
    board: Leaderboard, run: Run, question: Question, margin: float, *, chosen: bool
) -> Leaderboard:
    """The board with a test of each version against the first of the run."""
    if run.facts.digest != board.dataset.digest:
        raise EvaluationError(
            f"the rows of {board.dataset.name} changed while {board.model_name} was "
            "judged on them, so its versions can't be compared; ask again"
        )
    reference = run.outcomes(question)
    found: list[tuple[Metric, Difference]] = []
    versions, notes = [], []
    for place, metadata in enumerate(run.metadata[1:], start=1):
        try:
            other = run.outcomes(question, place)
            refuse_two_units(question.threshold, other, reference)
            pair = _paired(reference, other)
            metric = _ranking(board.by, question, pair)
            value_of = open_sklearn().value_of
            found.append((metric, difference_of(metric, pair, value_of, question.seed)))
            versions.append(str(metadata.version))
        except EvaluationError as err:
            notes.append(f"{metadata.version} is not tested: {err.message}")
    tests = with_verdicts(found, margin, _adjusting(len(run.metadata), chosen))
    return replace(
        board,
        reference=run.metadata[0].version,
        tests=_by_version(versions, tests),
        untested=tuple(notes),
    )


def _by_version(
    versions: list[str], tests: list[MetricComparison]
) -> dict[str, MetricComparison]:
    return dict(zip(versions, tests, strict=True))


def _paired(baseline: Outcomes, candidate: Outcomes) -> tuple[Outcomes, Outcomes]:
    ours, theirs, _ = align(candidate, baseline)
    return theirs, ours


def _ranking(by: str, question: Question, pair: tuple[Outcomes, Outcomes]) -> Metric:
    metrics = named_metrics(question.metrics or [by], pair[0].task)
    metric = next(each for each in metrics if canonical_metric(each.name) == by)
    why = obstacle(metric, pair[0]) or obstacle(metric, pair[1])
    if why:
        raise EvaluationError(f"{by} {why}", metric=by)
    return metric


def _adjusting(versions: int, chosen: bool) -> Callable[[list[float]], list[float]]:
    others = versions - 1
    return partial(
        holm_p_values, hypotheses=others * versions // 2 if chosen else others
    )
