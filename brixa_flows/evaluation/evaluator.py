"""Judges registered versions on data, alone or against one another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from brixa_flows.evaluation.answering import Answerer, Elsewhere
from brixa_flows.evaluation.boards import Contest, judged_board, kept_board
from brixa_flows.evaluation.comparison import Comparison
from brixa_flows.evaluation.kept import KeptResults
from brixa_flows.evaluation.leaderboard import Leaderboard
from brixa_flows.evaluation.opening import Opener
from brixa_flows.evaluation.outcomes import Task
from brixa_flows.evaluation.pairing import compare_run
from brixa_flows.evaluation.question import EXACT_ROWS, Question, Wanted
from brixa_flows.evaluation.report import check_format, render
from brixa_flows.evaluation.results import EvaluationResult
from brixa_flows.evaluation.run import Run, result_of
from brixa_flows.evaluation.thresholds import ThresholdChoice, choose
from brixa_flows.prediction import LabelledBatches
from brixa_flows.prediction.forms import InputForm
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.versioning import ModelVersion

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry

__all__ = ["ModelEvaluator"]


class ModelEvaluator:
    """Evaluates and compares versions of a registry.

    Args:
        registry: Where the versions are, and where results are kept.
        seed: Of every interval; the same seed and data give the same numbers.
        device: Where models run: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        batch_rows: Rows that a model is asked at once, where the data leave the choice;
            ``None`` for what suits its framework and inputs.
        exact_rows: Up to how many rows :meth:`evaluate` keeps labels and answers. Of
            more it keeps counts and sums, if they are enough for what is asked; the
            result says so by ``method`` and ``bounds``.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        *,
        seed: int = 0,
        device: str = "auto",
        batch_rows: int | None = None,
        exact_rows: int = EXACT_ROWS,
    ) -> None:
        self._registry = registry
        self._kept = KeptResults(registry)
        self._seed = seed
        self._opener = Opener(registry, device, batch_rows)
        self._exact_rows = exact_rows

    def evaluate(
        self,
        model_name: str,
        version: ModelVersion | str | None = None,
        dataset: Any = None,
        metrics: Wanted | None = None,
        *,
        target: str | Sequence[str] | None = None,
        dataset_name: str | None = None,
        slices: Sequence[str] = (),
        task: Task | None = None,
        positive: Any = None,
        threshold: float | None = None,
        drift: Mapping[str, Any] | None = None,
        record: bool = True,
        again: bool = False,
        answers: Callable[[Any], Any] | None = None,
    ) -> EvaluationResult:
        """Judge a version on labelled data and keep the result with it.

        It goes to the journal and, with reports, to the version's run in the tracking
        backend. What is kept of the same rows and question is not computed again.

        Args:
            model_name: The model.
            version: Which version; any spec the registry resolves.
            dataset: Labelled rows in any form that
                :func:`brixa_flows.prediction.as_batches` reads.
            metrics: Names, metrics or functions; ``None`` for the usual ones.
            target: Name of the label column, or of several; ``None`` infers it.
            dataset_name: What people call the data.
            slices: Columns for each of whose values the metrics are computed too.
            task: Said instead of inferred.
            positive: The positive label of a binary task; else the second class.
            threshold: Probability from which on a row is called positive.
            drift: Facts of a drift report of these data against what the version was
                trained on (``report.to_dict()``), for gates.
            record: Whether to keep the result.
            again: Whether to compute anew what was kept before.
            answers: Predicts in the version's place, such as an endpoint of it.

        Raises:
            DatasetError: If the data can't be read or has no labels.
            EvaluationError: If labels, predictions or metrics don't fit.
        """
        found = self._registry.resolve(model_name, version)
        metadata = self._registry.get_metadata(model_name, found)
        question = Question(
            metrics, slices, task, positive, threshold, self._seed, self._exact_rows
        )
        columns = question.slices
        batches = self._opener.batches(dataset, target, metadata, dataset_name, columns)
        anew = again or answers is not None
        known = None if anew else self._kept.alike(metadata, batches, question)
        result = known or self._ask(metadata, batches, question, answers)
        result = self._as_of_now(result, drift)
        if record and not self._kept.is_last(result):
            self.keep(result)
        return result

    def keep(
        self, result: EvaluationResult, facts: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Keep a result with its version, as :meth:`evaluate` does by default.

        Args:
            result: What was found.
            facts: JSON to keep in the same record.

        Returns:
            The record; it comes last, so what has one is kept as a whole.
        """
        return self._kept.add(result, facts)

    def compare(
        self,
        model_name: str,
        baseline: ModelVersion | str,
        candidate: ModelVersion | str,
        dataset: Any,
        metrics: Wanted | None = None,
        *,
        target: str | Sequence[str] | None = None,
        dataset_name: str | None = None,
        slices: Sequence[str] = (),
        task: Task | None = None,
        positive: Any = None,
        threshold: float | None = None,
        margin: float = 0.0,
        record: bool = False,
    ) -> Comparison:
        """Judge two versions on the same rows, paired; see ``evaluation.compare``.

        Args:
            model_name: The model.
            baseline: Version (or spec, such as ``production``) to beat.
            candidate: The other version.
            dataset: Labelled rows; read once, both predict each batch.
            metrics: As for :meth:`evaluate`, and so the six that follow.
            target: Name of the label column.
            dataset_name: What people call the data.
            slices: Columns for each of whose values the two are compared too.
            task: Said instead of inferred.
            positive: The positive label.
            threshold: Of both.
            margin: How much worse still counts as not worse, in the metric's units.
            record: Whether to keep it with the candidate, for :meth:`comparisons`.

        Raises:
            DatasetError: If the data does not fit both versions.
            EvaluationError: If the two can't be compared on these metrics.
        """
        before = self._opener.predictor(model_name, baseline)
        after = self._opener.predictor(model_name, candidate)
        question = Question(metrics, slices, task, positive, threshold, self._seed)
        known = (*InputForm.of(before.metadata).columns, *question.slices)
        batches = self._opener.batches(
            dataset, target, after.metadata, dataset_name, known
        )
        found = compare_run(
            Run([after, before], batches, question.slices), question, margin
        )
        if record:
            self._kept.add_comparison(found)
        return found

    def comparisons(
        self, model_name: str, version: ModelVersion | str | None = None
    ) -> list[Comparison]:
        """What is kept of a version's comparisons as the candidate, oldest first."""
        found = self._registry.resolve(model_name, version)
        return self._kept.comparisons(model_name, found)

    def choose_threshold(
        self,
        model_name: str,
        version: ModelVersion | str | None,
        dataset: Any,
        metric: str = "f1",
        *,
        at_least: Mapping[str, float] | None = None,
        target: str | None = None,
        positive: Any = None,
    ) -> ThresholdChoice:
        """The threshold of a binary version that is best by a metric on these rows.

        Judge it on other rows afterwards: on the rows that chose it, it looks better
        than it is.

        Args:
            model_name: The model.
            version: Which version.
            dataset: Labelled rows, as for :meth:`evaluate`.
            metric: Which number to make best, of labels (``f1``, ``balanced_accuracy``).
            at_least: What other metrics must reach, such as ``{"recall": 0.9}``.
            target: Name of the label column.
            positive: The positive label.

        Raises:
            DatasetError: If the data can't be read or has no labels.
            EvaluationError: If the task is not binary, there are no probabilities, or
                no threshold reaches what is asked.
        """
        predictor = self._opener.predictor(model_name, version)
        question = Question((metric,), (), None, positive, None, self._seed)
        batches = self._opener.batches(dataset, target, predictor.metadata, None, ())
        return choose(Run([predictor], batches).outcomes(question), metric, at_least)

    def leaderboard(
        self,
        model_name: str,
        dataset: Any = None,
        metrics: Wanted | None = None,
        *,
        versions: str = "*",
        by: str | None = None,
        target: str | Sequence[str] | None = None,
        dataset_name: str | None = None,
        task: Task | None = None,
        positive: Any = None,
        threshold: float | None = None,
        against: ModelVersion | str | None = None,
        margin: float = 0.0,
    ) -> Leaderboard:
        """The versions of a model on the same rows, the best first.

        With a dataset the others are tested against the best by the metric that ranks,
        paired on the same rows; see ``evaluation.board_tests``. That asks all versions
        once more, together.

        Args:
            model_name: The model.
            dataset: Rows to judge every version on, in a form that can be read again;
                what was judged on them before is not judged anew. ``None`` ranks by
                what is kept of the question that most versions were asked.
            metrics: What to measure.
            versions: Which versions, as a constraint such as ``^1.2``.
            by: The metric that ranks; the first one if not given.
            target: Name of the label column.
            dataset_name: What people call the data.
            task: As for :meth:`evaluate`.
            positive: The same.
            threshold: The same.
            against: Version (or spec, such as ``production``) to test the others
                against; ``None`` for the best.
            margin: How much worse still counts as not worse, in the metric's units.

        Raises:
            EvaluationError: If no version could be judged, by an unknown metric, or if
                the rows change meanwhile.
        """
        question = Question(metrics, (), task, positive, threshold, self._seed)
        contest = Contest(model_name, versions, question, by, target, against, margin)
        if dataset is None:
            return kept_board(self._opener, self._kept, contest)

        def judge(version: ModelVersion) -> EvaluationResult:
            return self.evaluate(
                *(model_name, version, dataset, metrics),
                target=target,
                dataset_name=dataset_name,
                task=task,
                positive=positive,
                threshold=threshold,
            )

        return judged_board(self._opener, contest, dataset, judge)

    def generate_report(
        self,
        model_name: str,
        version: ModelVersion | str | None = None,
        output_format: str = "markdown",
    ) -> str:
        """The report of a version's last evaluation, by whichever process it was made.

        Args:
            model_name: The model.
            version: Which version; any spec the registry resolves.
            output_format: ``markdown``, ``html`` (self-contained), ``json`` or
                ``junit``.

        Raises:
            EvaluationError: If the version was never evaluated, or the format is not
                known.
        """
        check_format(output_format)
        return render(self.last_result(model_name, version), output_format)

    def last_result(
        self, model_name: str, version: ModelVersion | str | None = None
    ) -> EvaluationResult:
        """A version's last evaluation.

        Args:
            model_name: The model.
            version: Which version; any spec the registry resolves.

        Raises:
            EvaluationError: If it was never evaluated.
        """
        resolved = self._registry.resolve(model_name, version)
        return self._kept.last(model_name, resolved)

    def _ask(
        self,
        metadata: ModelMetadata,
        batches: LabelledBatches,
        question: Question,
        answers: Callable[[Any], Any] | None,
    ) -> EvaluationResult:
        answerer: Answerer = (
            self._opener.predictor(metadata.name, metadata.version)
            if answers is None
            else Elsewhere(metadata, answers)
        )
        result = result_of(answerer, batches, question)
        schemas = metadata.input_schema, metadata.output_schema
        return replace(result, signature=all(schemas))

    def _as_of_now(
        self, result: EvaluationResult, drift: Mapping[str, Any] | None
    ) -> EvaluationResult:
        """With what else gates ask for."""
        holder, doubt = self._opener.production(result.model_name)
        return replace(
            result,
            production=str(holder) if holder else None,
            doubt=doubt,
            drift=dict(result.drift if drift is None else drift),
        )
