"""What the registry asks of the backend that an ML team already has (MLflow).

Our words, so that nothing above this room knows MLflow's. ``version`` is always the
text of a semantic version, written as it was registered (with its build metadata, if
any); ``backend_version`` is the backend's own number as text, which is a cache and
never an identity.

MLflow's facts that shaped this protocol: nothing is unique there, so a caller owns
(name, version) in storage before it creates anything here; a tag changed later costs
time in proportion to the number of versions, so tags are given at creation; aliases
have no history and no compare-and-set, so they only mirror our journal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

__all__ = [
    "AdoptableModel",
    "LoggedModel",
    "TrackedDataset",
    "TrackedMeasurement",
    "TrackedVersion",
    "TrackingStore",
]


@dataclass(frozen=True)
class TrackedDataset:
    """A dataset as the backend shows it beside a run.

    Attributes:
        name: Its name.
        digest: Its content digest; the backend keeps at most 36 characters. Empty if
            nobody knows it.
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
class TrackedMeasurement:
    """Metrics of a moment.

    Attributes:
        metrics: Finite numbers by name.
        at: When they were measured.
        dataset: On what, if that is known.
    """

    metrics: Mapping[str, float]
    at: datetime
    dataset: TrackedDataset | None = None


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
        owner: Who answers for it.
        custom: Any JSON.
        stage: The stage as last projected from our journal.
        run_at: When its run began and ended, to the millisecond.
        facts: Our other ``brixa.`` tags (see :mod:`brixa_flows.tracking.tags`).
        digest_shown: What the version repeats of the digest; nothing rests on it.
        run_facts: Our tags on its run, ``None`` if that is gone or deleted.
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
    stage: str | None = None
    run_at: datetime | None = None
    facts: dict[str, str] = field(default_factory=dict)
    digest_shown: str | None = None
    run_facts: dict[str, str] | None = None


@dataclass(frozen=True)
class AdoptableModel:
    """A model that somebody logged to the backend, on its way into the registry.

    Attributes:
        uri: What it was asked for by.
        directory: Its files, on this machine.
        location: Where the backend keeps them (``file:///...``, ``s3://...``).
        server: Address of the MLflow server that hands them out, if one does.
        run_id: The training run that made it.
        params: The run's parameters.
        metrics: The run's metrics.
        datasets: The run's dataset inputs.
        tags: The run's tags.
    """

    uri: str
    directory: Path
    location: str
    server: str = ""
    run_id: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    datasets: tuple[TrackedDataset, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LoggedModel:
    """A model that somebody logged and that is whole.

    Attributes:
        uri: By which :meth:`TrackingStore.adopt` finds it.
        name: What the training called it.
        run_id: The training run that made it.
        at: When it was logged.
    """

    uri: str
    name: str
    run_id: str
    at: datetime


class TrackingStore(Protocol):
    """The backend.

    Every method raises ``TrackingUnavailableError`` when the backend does not answer
    within bounded time and ``TrackingError`` when it refuses; both name its address.
    A user's tag that begins with ``brixa.`` or ``mlflow.``, and a value longer than the
    backend keeps, is an ``InvalidMetadataError``.
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
        digest: str | None,
        params: Mapping[str, Any],
        measured: Sequence[TrackedMeasurement] = (),
        datasets: Sequence[TrackedDataset] = (),
        tags: Mapping[str, str] | None = None,
        at: datetime | None = None,
    ) -> str:
        """Create the version's own run and record the digest of its files there.

        A run that exists for (name, version) with the same digest is returned as it is;
        one of an earlier attempt with another digest is replaced, unless the version is
        visible already: then its digest stands and this is a ``TrackingError``. A run
        without a digest is given this one. Without a digest the run that exists is
        returned, whatever digest it has.

        Args:
            name: Model.
            version: Semantic version.
            digest: Digest of the manifest; this record is what trust rests on.
                ``None`` if nobody vouches for the files.
            params: Hyperparameters; long values are shortened by the backend's limits.
            measured: Metrics until now; of each name the latest counts.
            datasets: Inputs of the training.
            tags: Our own ``brixa.`` facts (``tags.TRAINING_RUN`` ...).
            at: When the run began and ended, if not now.

        Returns:
            The run id.
        """
        ...

    def recorded_digest(
        self, name: str, version: str, *, run_id: str | None = None
    ) -> str | None:
        """The digest recorded at save, ``None`` if nobody recorded one here.

        Args:
            name: Model.
            version: Semantic version.
            run_id: The run that may have it, which saves a search. It is believed only
                if it is alive, among the runs of this model, and says that it is this
                version's; any other does no harm.
        """
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
        facts: Mapping[str, str] | None = None,
    ) -> TrackedVersion:
        """Make the version visible in the backend, all tags in one call.

        One that is visible already is returned as it is. A run that :meth:`open_run`
        replaced since is a ``TrackingError``.

        Args:
            name: Model.
            version: Semantic version.
            source: Where its files are (``file:///...``, ``s3://...``).
            run_id: What :meth:`open_run` returned; its digest is repeated as a tag.
            description: Free text.
            tags: The user's tags.
            owner: Who answers for it.
            custom: Any JSON.
            facts: Our own ``brixa.`` tags (``tags.FRAMEWORK``, ``tags.STAGE`` ...).
        """
        ...

    def get_version(
        self, name: str, version: str, *, backend_version: str | None = None
    ) -> TrackedVersion | None:
        """What the backend knows, ``None`` if it knows nothing.

        Args:
            name: Model.
            version: Semantic version.
            backend_version: A cached number, which saves a search; one that has
                become wrong does no harm.
        """
        ...

    def list_versions(self, name: str) -> list[TrackedVersion]:
        """All versions of a model that the backend knows, in no special order.

        Costs a few calls however many versions there are; versions that somebody made
        by hand (without our ``brixa.version`` tag) are left out.
        """
        ...

    def newest_numbers(self, name: str) -> list[str]:
        """Semantic versions of the 200 versions that were made last, at most.

        Cheaper than :meth:`list_versions`; what their tags say, which nothing confirms.
        """
        ...

    def update_version(
        self,
        tracked: TrackedVersion,
        *,
        description: str | None = None,
        tags: Mapping[str, str | None] | None = None,
        custom: Mapping[str, Any] | None = None,
        owner: str | None = None,
        stage: str | None = None,
        facts: Mapping[str, str | None] | None = None,
        run_facts: Mapping[str, str | None] | None = None,
    ) -> None:
        """Change what is given and leave the rest.

        Args:
            tracked: The version, as :meth:`get_version` gave it.
            description: New description; ``""`` clears it.
            tags: Merged into those there; a value of ``None`` removes the tag.
            custom: Replaces the old one.
            owner: New owner; ``""`` clears it.
            stage: Projection of our journal (``production`` ...); ``""`` clears it.
            facts: Our own ``brixa.`` tags, merged; ``None`` removes one.
            run_facts: The same, on its run.
        """
        ...

    def remove_version(self, tracked: TrackedVersion) -> None:
        """Show a version no more, nor its aliases; its run stays as it is."""
        ...

    def log_metrics(
        self,
        run_id: str,
        metrics: Mapping[str, float],
        dataset: TrackedDataset | None = None,
        at: datetime | None = None,
    ) -> None:
        """Add metrics to the version's own run.

        Args:
            run_id: Of the run.
            metrics: Finite numbers by name.
            dataset: On what they were measured, if that is known.
            at: When, if not now.
        """
        ...

    def log_artifact(self, run_id: str, path: Path, folder: str = "") -> None:
        """Keep a report file beside the version's run."""
        ...

    def set_alias(self, name: str, alias: str, backend_version: str | None) -> None:
        """Point an alias at a version; ``None`` removes it.

        A flat cost, however many versions there are. Removing one that is not there
        is no error.
        """
        ...

    def aliases(self, name: str) -> dict[str, str]:
        """Alias -> semantic version, as the backend has it.

        An alias that somebody put on a version without our tags is left out.
        """
        ...

    def foreign_aliases(self, name: str) -> dict[str, str]:
        """Alias -> the backend's number, for aliases on versions without our tags."""
        ...

    def logged_models(
        self, experiment: str, since: datetime, until: datetime
    ) -> list[LoggedModel]:
        """The models that were logged to an experiment in a stretch of time, by time.

        Those that are still written, or could not be, are left out.

        Args:
            experiment: Its name.
            since: The first moment.
            until: The last moment.

        Raises:
            TrackingError: If there is no such experiment.
        """
        ...

    def adopt(self, model_uri: str, folder: Path) -> AdoptableModel:
        """Bring the files of a model that somebody logged, with what its run says.

        Args:
            model_uri: ``runs:/ID/model``, ``models:/ID``, or a version or alias of the
                backend's own (``models:/NAME/3``, ``models:/NAME@ALIAS``).
            folder: Where files go that are not on this machine.

        Raises:
            TrackingError: If there is none.
        """
        ...
