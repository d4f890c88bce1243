"""What is seen of rows while they are read once: their profile, how good answers are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brixa_flows.drift import DriftProfile
from brixa_flows.errors import BrixaError, DriftError
from brixa_flows.plugins import import_adapter
from brixa_flows.prediction.forms import InputForm
from brixa_flows.prediction.performance import SeenAnswers, WindowPerformance
from brixa_flows.prediction.predictor import ModelPredictor
from brixa_flows.prediction.sources import Chunk
from brixa_flows.serializers.base import Prediction

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry

__all__ = ["JudgedAnswers", "SeenWindow", "WindowRows", "see_window"]


@dataclass(frozen=True)
class SeenWindow:
    """What one reading of a window's rows told.

    Attributes:
        profile: Their drift profile; ``None`` if there is nothing to compare it with.
        performance: How good the version was on them, if that was asked and something
            was learned that tells it.
        unknown: Why that could not be told, if so.
    """

    profile: DriftProfile | None = None
    performance: WindowPerformance | None = None
    unknown: str = ""


def see_window(
    registry: ModelRegistry, name: str, version: str, rows: Any, like: DriftProfile
) -> SeenWindow:
    """Read the rows of a window once: profile them, and estimate the version on them.

    What can't be estimated keeps nobody from profiling the rows.

    Args:
        registry: Where the version is.
        name: The model.
        version: Its version.
        rows: What it was asked, in any form that :class:`DriftDetector` reads; the file
            of a profile has no rows to ask for.
        like: What the profile will be compared with.

    Raises:
        DriftError: If the rows can't be read.
    """
    asked = _AskedAgain(registry, name, version)
    profile = DriftProfile.of(rows, like=like, each=asked.see)
    return SeenWindow(profile, *asked.tell())


class _AskedAgain:
    """A version that is asked for rows while they are read for something else.

    Args:
        registry: Where the version is.
        name: The model.
        version: Its version, which is loaded only if something was learned of it.
    """

    def __init__(self, registry: ModelRegistry, name: str, version: str) -> None:
        self._seen: SeenAnswers | None = None
        self._read, self._unknown = False, ""
        if not registry.estimators(name, version):
            return
        try:
            self._predictor = ModelPredictor.from_registry(registry, name, version)
            self._form = InputForm.of(self._predictor.metadata)
            self._seen = SeenAnswers.of(registry, self._predictor)
        except BrixaError as err:
            self._unknown = str(err)

    def see(self, batch: Any) -> None:
        """Ask for an Arrow record batch, a model's usual number of rows at a time."""
        self._read = True
        if self._seen is None:
            return
        size = self._form.usual_rows
        try:
            for start in range(0, batch.num_rows, size):
                self._ask(self._seen, batch.slice(start, size))
        except BrixaError as err:
            self._seen, self._unknown = None, str(err)

    def _ask(self, seen: SeenAnswers, batch: Any) -> None:
        table = import_adapter("brixa_flows.prediction._tables").as_table(batch)
        inputs = self._form.from_table(table, (seen.target,))
        seen.add(Chunk(table=table), self._predictor.predict(inputs))

    def tell(self) -> tuple[WindowPerformance | None, str]:
        """How good it was, or why that can't be told; neither if nothing was learned."""
        if self._seen is None or not self._read:  # a profile has no rows
            return None, self._unknown
        return JudgedAnswers(self._seen).tell()


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

    @property
    def profile(self) -> DriftProfile | None:
        """The profile, if there are rows and something to compare it with."""
        return self._profile

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
