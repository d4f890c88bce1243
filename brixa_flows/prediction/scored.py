"""What is seen of rows while they are predicted: their profile, how good answers are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from brixa_flows.drift import DriftProfile
from brixa_flows.errors import DriftError
from brixa_flows.prediction.performance import SeenAnswers, WindowPerformance
from brixa_flows.prediction.predictor import ModelPredictor
from brixa_flows.prediction.sources import Chunk
from brixa_flows.serializers.base import Prediction

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry

__all__ = ["JudgedAnswers", "WindowRows"]


class WindowRows:
    """The drift profile of the rows so far.

    Args:
        reference: What they will be compared with, if anything.
    """

    def __init__(self, reference: DriftProfile | None) -> None:
        self._reference = reference
        self._profile: DriftProfile | None = None

    @classmethod
    def of(cls, registry: ModelRegistry, name: str, version: str) -> WindowRows:
        """To compare with what a version was trained on, if that is known."""
        path = registry.reference_profile_path(name, version)
        return cls(DriftProfile.load(path) if path else None)

    def add(self, table: Any) -> None:
        """Count more rows."""
        if self._reference is None:
            return
        columns = [n for n in table.column_names if n in self._reference.columns]
        part = DriftProfile.build(table, columns=columns, like=self._reference)
        self._profile = part if self._profile is None else self._profile + part

    def save(self, output: Path) -> str:
        """Write it beside the output; returns where."""
        if self._profile is None:
            return ""
        path = output.with_name(f"{output.name}.profile.parquet")
        self._profile.save(path)
        return str(path)


class JudgedAnswers:
    """How good the version is on the rows so far; what can't be told spoils no output.

    Args:
        seen: Keeps its answers; ``None`` if nobody asked or nothing was learned.
    """

    def __init__(self, seen: SeenAnswers | None) -> None:
        self._seen = seen
        self._unknown = ""

    @classmethod
    def of(
        cls, registry: ModelRegistry, predictor: ModelPredictor, *, asked: bool
    ) -> JudgedAnswers:
        """By what was learned of a version, if somebody asks and something was."""
        return cls(SeenAnswers.of(registry, predictor) if asked else None)

    def add(self, chunk: Chunk, answer: Prediction) -> None:
        """Take more rows."""
        try:
            if self._seen is not None:
                self._seen.add(chunk, answer)
        except DriftError as err:
            self._seen, self._unknown = None, str(err)

    def tell(self) -> tuple[WindowPerformance | None, str]:
        """What is known, or why it can't be told."""
        try:
            return (None if self._seen is None else self._seen.tell()), self._unknown
        except DriftError as err:
            return None, str(err)
