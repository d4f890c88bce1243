"""Versions and data of an evaluation, opened alike for every question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from brixa_flows.errors import EvaluationError, VersionNotFoundError
from brixa_flows.evaluation.leaderboard import Leaderboard
from brixa_flows.evaluation.run import Run
from brixa_flows.prediction import LabelledBatches, ModelPredictor, as_batches
from brixa_flows.prediction.forms import InputForm
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.versioning import ModelVersion

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry

__all__ = ["Opener"]


@dataclass(frozen=True)
class Opener:
    """Opens versions of a registry, and labelled rows for them.

    Attributes:
        registry: Where the versions are.
        device: Where models run.
        batch_rows: Rows that a model is asked at once.
    """

    registry: ModelRegistry
    device: str
    batch_rows: int | None

    def batches(
        self,
        dataset: Any,
        target: str | Sequence[str] | None,
        metadata: ModelMetadata,
        name: str | None,
        besides: Sequence[str],
    ) -> LabelledBatches:
        """Labelled rows in the form of a version.

        Raises:
            DatasetError: If their form is not known.
            EvaluationError: If there are none.
        """
        if dataset is None:
            raise EvaluationError(
                "there is no dataset; give labelled rows, such as (X, y) or a DataFrame"
            )
        return as_batches(
            dataset,
            target=target,
            metadata=metadata,
            batch_rows=self.batch_rows,
            name=name,
            besides=besides,
        )

    def predictor(
        self, model_name: str, spec: ModelVersion | str | None
    ) -> ModelPredictor:
        """A version, loaded."""
        return ModelPredictor.from_registry(
            self.registry, model_name, spec, device=self.device
        )

    def ready(self, model_name: str, constraint: str) -> list[ModelVersion]:
        """Versions that can be asked."""
        found = self.registry.list_versions(model_name, constraint=constraint)
        return [each.version for each in found if each.state == "ready"]

    def together(
        self,
        board: Leaderboard,
        versions: Sequence[ModelVersion],
        dataset: Any,
        target: str | Sequence[str] | None,
    ) -> Run:
        """Versions of a board asked about the same rows."""
        answerers = [self.predictor(board.model_name, each) for each in versions]
        forms = [InputForm.of(each.metadata) for each in answerers]
        known = [column for form in forms for column in form.columns]
        first, name = answerers[0].metadata, board.dataset.name
        return Run(answerers, self.batches(dataset, target, first, name, known))

    def production(self, model_name: str) -> tuple[ModelVersion | None, str]:
        """Who is in production, and why nobody knows if so: to measure is allowed."""
        try:
            return self.registry.production_version(model_name), ""
        except VersionNotFoundError as err:
            return None, err.message
