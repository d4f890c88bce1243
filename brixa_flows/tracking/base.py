"""What the registry asks of the backend that an ML team already has (MLflow).

Our words, so that nothing above this room knows MLflow's. ``version`` is always the
text of a semantic version; ``backend_version`` is the backend's own number, which is a
cache and never an identity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

__all__ = ["AdoptableModel", "TrackedDataset", "TrackedVersion", "TrackingStore"]


@dataclass(frozen=True)
class TrackedDataset:
    """A dataset as the backend shows it beside a run.

    Attributes:
        name: Its name.
        digest: Its content digest; the backend keeps at most 36 characters.
        uri: Where it is.
        rows: Number of rows, if known.
        context: What it was used for: ``training``, ``evaluation`` ...
    """

    name: str
    digest: str
    uri: str = ""
    rows: int | None = None
    context: str = "training"


@dataclass(frozen=True)
class TrackedVersion:
    """What the backend knows about one version.

    Attributes:
        name: Name of the model.
        version: Its semantic version.
        backend_version: The backend's own number for it.
        run_id: The version's own run, which carries its params and metrics.
        source: Where its files are.
        digest: The digest of the files that was recorded when they were saved here.
        description: Free text.
        tags: The user's tags; our own ``brixa.`` keys are left out.
        metrics: Latest value by name, from the version's own run.
    """

    name: str
    version: str
    backend_version: str
    run_id: str | None
    source: str
    digest: str | None
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    owner: str | None = None
    custom: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AdoptableModel:
    """A model that somebody logged to the backend, on its way into the registry.

    Attributes:
        uri: What it was asked for by.
        model: The live object, loaded by the flavor that logged it.
        flavor: That flavor (``sklearn``, ``pytorch`` ...).
        run_id: The training run that made it.
        params: The run's parameters.
        metrics: The run's metrics.
        datasets: The run's dataset inputs.
        tags: The run's tags.
        input_example: The example logged with it, if any.
    """

    uri: str
    model: Any
    flavor: str
    run_id: str | None
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    datasets: tuple[TrackedDataset, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    input_example: Any = None


class TrackingStore(Protocol):
    """The backend.

    Every method raises ``TrackingUnavailableError`` when the backend does not answer
    within bounded time and ``TrackingError`` when it refuses; both name its address.
    Methods are safe to call from many threads; several processes may share a backend.
    Calls that create are idempotent by (name, version), so a caller that crashed in
    between just calls again.
    """

    @property
    def uri(self) -> str:
        """Address of the backend, without credentials."""
        ...

    def ping(self) -> None:
        """Return if the backend answers."""
        ...

    def open_run(
        self,
        name: str,
        version: str,
        *,
        digest: str,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        datasets: Sequence[TrackedDataset] = (),
        tags: Mapping[str, str] | None = None,
    ) -> str:
        """Create the version's own run and record the digest of its files there.

        A run that exists for (name, version) with the same digest is returned as it is;
        one of an earlier attempt with another digest is replaced.

        Args:
            name: Model.
            version: Semantic version.
            digest: Digest of the manifest; this record is what trust rests on.
            params: Hyperparameters; long values are shortened by the backend's limits.
            metrics: Finite numbers by name.
            datasets: Inputs of the training.
            tags: Our own ``brixa.`` facts, such as the training run.

        Returns:
            The run id.
        """
        ...

    def recorded_digest(self, name: str, version: str) -> str | None:
        """The digest recorded at save, ``None`` if nothing was saved here."""
        ...

    def create_version(
        self,
        name: str,
        version: str,
        *,
        source: str,
        run_id: str,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str | None = None,
        custom: Mapping[str, Any] | None = None,
    ) -> TrackedVersion:
        """Make the version visible in the backend, all tags in one call."""
        ...

    def get_version(
        self, name: str, version: str, *, backend_version: str | None = None
    ) -> TrackedVersion | None:
        """What the backend knows, ``None`` if it knows nothing.

        Args:
            name: Model.
            version: Semantic version.
            backend_version: A cached number, which saves a search.
        """
        ...

    def update_version(
        self,
        tracked: TrackedVersion,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        custom: Mapping[str, Any] | None = None,
        owner: str | None = None,
        stage: str | None = None,
    ) -> None:
        """Change what is given; ``tags`` are merged into those there.

        ``stage`` is the projection of our journal (``production``, ``archived`` ...).
        """
        ...

    def log_metrics(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        dataset: TrackedDataset | None = None,
    ) -> None:
        """Add metrics to the version's own run, tied to a dataset where given."""
        ...

    def log_artifact(self, run_id: str, path: Path, folder: str = "") -> None:
        """Keep a report file beside the version's run."""
        ...

    def set_alias(self, name: str, alias: str, backend_version: str | None) -> None:
        """Point an alias at a version; ``None`` removes it."""
        ...

    def aliases(self, name: str) -> dict[str, str]:
        """Alias -> semantic version, as the backend has it."""
        ...

    def adopt(self, model_uri: str) -> AdoptableModel:
        """Load a model that somebody logged (``runs:/ID/model``, ``models:/ID``).

        Raises:
            TrackingError: If there is none, or its flavor can't be loaded here.
        """
        ...
