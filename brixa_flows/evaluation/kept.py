"""What is kept of evaluations: in the journal for good, in the tracking to be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.comparison import Comparison
from brixa_flows.evaluation.conditions import Conditions
from brixa_flows.evaluation.question import Question
from brixa_flows.evaluation.report import render
from brixa_flows.evaluation.report_html import render_comparison_html
from brixa_flows.evaluation.results import DatasetFacts, EvaluationResult
from brixa_flows.prediction import LabelledBatches
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.versioning import ModelVersion

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry

__all__ = ["KeptResults"]

_KINDS = ("bool", "int", "float", "double")


class KeptResults:
    """The evaluations of a registry's versions.

    Args:
        registry: Where they are kept.
    """

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry

    def add(
        self, result: EvaluationResult, facts: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Keep a result; the record, which comes last, is returned."""
        name, version = result.model_name, result.version
        dataset = result.dataset.reference()
        self._registry.log_metrics(name, version, result.metrics, dataset=dataset)
        stem = f"evaluation-{result.dataset_digest[:8]}"
        for output_format, suffix in (("markdown", "md"), ("html", "html")):
            text = render(result, output_format)
            self._registry.log_report(name, version, f"{stem}.{suffix}", text)
        record = {**result.to_dict(), **(facts or {})}
        return self._registry.record_evaluation(name, version, record)

    def of(self, model_name: str, version: ModelVersion) -> list[EvaluationResult]:
        """Everything kept of a version, oldest first."""
        return EvaluationResult.among(self._registry.evaluations(model_name, version))

    def last(self, model_name: str, version: ModelVersion) -> EvaluationResult:
        """What was kept last.

        Raises:
            EvaluationError: If the version was never evaluated.
        """
        kept = self.of(model_name, version)
        if not kept:
            raise EvaluationError(
                f"{model_name} {version} was never evaluated; call evaluate("
                f"model_name={model_name!r}, version='{version}', dataset=...) first"
            )
        return kept[-1]

    def add_comparison(self, comparison: Comparison) -> dict[str, Any]:
        """Keep a comparison with its candidate, and its page; the record is returned."""
        found = comparison.to_dict()
        record = {"comparison": found, "dataset": found["dataset"]}
        name, version = comparison.model_name, comparison.candidate
        digest = comparison.dataset.digest[:8]
        page = f"comparison-{comparison.baseline}-{digest}.html"
        text = render_comparison_html(comparison)
        self._registry.log_report(name, version, page, text)
        return self._registry.record_evaluation(name, version, record)

    def comparisons(self, model_name: str, version: ModelVersion) -> list[Comparison]:
        """Those kept with a candidate, oldest first."""
        records = self._registry.evaluations(model_name, version)
        kept = (each["comparison"] for each in records if "comparison" in each)
        return [Comparison.from_dict(each) for each in kept]

    def alike(
        self, metadata: ModelMetadata, batches: LabelledBatches, question: Question
    ) -> EvaluationResult | None:
        """The last answer to the same question about the same rows."""
        asked = question.asked
        if asked is None or batches.once:
            return None
        kept = self.of(metadata.name, metadata.version)
        candidates = [each for each in kept if each.asked == asked]
        if not candidates:  # so that no digest is computed in vain
            return None
        facts = DatasetFacts.of(batches)
        wanted = Conditions(facts.digest, facts.target)
        for each in reversed(candidates):
            alike = each.conditions.are_of_the_rows_of(wanted)
            if alike and _kinds(each.dataset) == _kinds(facts):
                return replace(each, dataset=facts)
        return None

    def is_last(self, result: EvaluationResult) -> bool:
        """Whether it was kept last, so that reports are of it already."""
        kept = self.of(result.model_name, result.version)[-1:]
        found = [(each.evaluated_at, each.dataset, each.drift) for each in kept]
        return found == [(result.evaluated_at, result.dataset, result.drift)]


def _kinds(facts: DatasetFacts) -> dict[str, str]:
    """What kind of value each column holds: ``False``, 0 and 0.0 have one digest.

    They are read differently all the same: as labels, or as names of slices.
    """
    return {
        column: next((kind for kind in _KINDS if kind in name.lower()), "other")
        for column, name in facts.columns.items()
    }
