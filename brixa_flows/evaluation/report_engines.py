"""Pages of other libraries, which are opened by name and read rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.outcomes import Outcomes
from brixa_flows.evaluation.question import Question
from brixa_flows.evaluation.results import DatasetFacts
from brixa_flows.evaluation.run import Run
from brixa_flows.plugins import REPORT_ENGINES
from brixa_flows.prediction import ModelPredictor, as_batches
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.versioning import ModelVersion

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry

__all__ = ["ReportEngine", "show_rows"]

_ROWS_SHOWN = 50_000


class ReportEngine(Protocol):
    """Makes a page of labels and answers."""

    def html(self, outcomes: Outcomes, heading: str) -> str:
        """One page that asks no server for anything, with the heading on top."""
        ...


def show_rows(
    registry: ModelRegistry,
    model_name: str,
    version: ModelVersion | str | None,
    dataset: Any,
    *,
    engine: str = "evidently",
    rows: int = _ROWS_SHOWN,
    target: str | Sequence[str] | None = None,
    dataset_name: str | None = None,
    record: bool = True,
    seed: int = 0,
) -> str:
    """An HTML page of another library about a version's answers to labelled rows.

    Args:
        registry: Where the version is.
        model_name: The model.
        version: Which version; any spec the registry resolves.
        dataset: Labelled rows, as for ``ModelEvaluator.evaluate``.
        engine: Whose page; ``evidently`` (extra ``drift``) or a plug-in's.
        rows: Of more rows a fair sample of so many is shown; the page says so.
        target: Name of the label column, or of several.
        dataset_name: What people call the data.
        record: Whether to keep the page with the version's reports.
        seed: Of the sample.

    Raises:
        DatasetError: If the data can't be read or has no labels.
        EvaluationError: If the engine can't show such rows.
        MissingExtraError: If the engine's library is not installed.
        UnknownPluginError: If there is no such engine; lists those that are.
    """
    opened: ReportEngine = REPORT_ENGINES.load(engine)()
    predictor = ModelPredictor.from_registry(registry, model_name, version)
    batches = as_batches(
        dataset, target=target, metadata=predictor.metadata, name=dataset_name
    )
    run = Run([predictor], batches)
    shown = _ShownRows.of(run.outcomes(Question()), run.facts, rows, seed)
    page = opened.html(shown.outcomes, shown.heading(predictor.metadata))
    if record:
        name = f"{engine}-{run.facts.digest[:8]}.html"
        registry.log_report(model_name, predictor.metadata.version, name, page)
    return page


@dataclass(frozen=True)
class _ShownRows:
    """Rows that a page shows, of all that were judged.

    Attributes:
        outcomes: The rows shown.
        facts: Of the data set.
    """

    outcomes: Outcomes
    facts: DatasetFacts

    @classmethod
    def of(
        cls, outcomes: Outcomes, facts: DatasetFacts, most: int, seed: int
    ) -> _ShownRows:
        """All rows, or a fair sample of ``most`` of them.

        Raises:
            EvaluationError: If ``most`` is not positive.
        """
        if most < 1:
            raise EvaluationError(f"rows= is how many rows to show, not {most}")
        if outcomes.rows <= most:
            return cls(outcomes, facts)
        generator = np.random.default_rng([seed, most])
        chosen = generator.choice(outcomes.rows, size=most, replace=False)
        return cls(outcomes.take(np.sort(chosen)), facts)

    def heading(self, metadata: ModelMetadata) -> str:
        """What the page shows, for people."""
        shown, facts = self.outcomes.rows, self.facts
        sample = (
            f"a fair sample of {shown:,} of {facts.rows:,} rows"
            if shown < facts.rows
            else f"{shown:,} rows"
        )
        return (
            f"{metadata.name} {metadata.version} on {sample} of {facts.name}, digest "
            f"{facts.digest}. The report of Brixa Flows has intervals; this has none."
        )
