"""Every error that Brixa Flows raises.

::

    BrixaError
    ├── InvalidVersionError        ValueError        not a semantic version
    ├── InvalidConstraintError     ValueError        not a version constraint
    ├── InvalidNameError           ValueError        model, alias or deployment name
    ├── InvalidMetadataError       ValueError        a metadata field
    │   └── InvalidSchemaError                       not a JSON Schema
    ├── SettingsError              ValueError        a BRXA_ variable
    ├── ModelNotFoundError         LookupError
    ├── VersionNotFoundError       LookupError
    │   └── ModelNotSavedError                       claimed, but no bytes yet
    ├── VersionExistsError         FileExistsError
    ├── StageTransitionError       ValueError
    ├── UnknownNodeError           LookupError       not in a lineage graph
    ├── FrameworkMismatchError     TypeError
    ├── SerializationError         TypeError
    ├── DamagedArtifactError       ValueError        bytes differ from the manifest
    ├── UntrustedArtifactError     PermissionError   loading it would run code
    ├── DeviceUnavailableError     ValueError
    ├── MissingExtraError          ImportError
    ├── UnknownPluginError         LookupError
    ├── DuplicatePluginError       ValueError
    ├── StorageError               OSError
    │   ├── ObjectNotFoundError    FileNotFoundError
    │   ├── ObjectExistsError      FileExistsError
    │   ├── StaleWriteError                          lost a compare-and-swap
    │   └── UnsafeKeyError         ValueError        a key that leaves the root
    ├── TrackingError              RuntimeError      MLflow said no
    │   └── TrackingUnavailableError ConnectionError
    ├── DatasetError               ValueError
    ├── EvaluationError            ValueError
    ├── DriftError                 ValueError
    ├── DeploymentError            RuntimeError
    │   ├── InvalidDeploymentError ValueError
    │   ├── DeploymentNotFoundError LookupError
    │   └── BadRequestError        ValueError        a request to predict
    └── OrchestrationError         RuntimeError
        └── PrefectUnavailableError ConnectionError

Each keeps its facts as attributes and survives pickling, because Prefect ships
exceptions between processes.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "BadRequestError",
    "BrixaError",
    "DamagedArtifactError",
    "DatasetError",
    "DeploymentError",
    "DeploymentNotFoundError",
    "DeviceUnavailableError",
    "DriftError",
    "DuplicatePluginError",
    "EvaluationError",
    "FrameworkMismatchError",
    "InsecureSerializationWarning",
    "InvalidConstraintError",
    "InvalidDeploymentError",
    "InvalidMetadataError",
    "InvalidNameError",
    "InvalidSchemaError",
    "InvalidVersionError",
    "MissingExtraError",
    "ModelNotFoundError",
    "ModelNotSavedError",
    "ObjectExistsError",
    "ObjectNotFoundError",
    "OrchestrationError",
    "PrefectUnavailableError",
    "SchemaBumpWarning",
    "SerializationError",
    "SettingsError",
    "StageTransitionError",
    "StaleWriteError",
    "StorageError",
    "TrackingError",
    "TrackingUnavailableError",
    "UnknownNodeError",
    "UnknownPluginError",
    "UnsafeKeyError",
    "UntrustedArtifactError",
    "VersionExistsError",
    "VersionNotFoundError",
]

_LISTED_AT_MOST = 8
_LONGEST_MESSAGE = 2000


def some_of(items: Iterable[object]) -> str:
    """Join the first few of ``items`` for a message whose length stays bounded."""
    texts = [str(item) for item in items]
    if not texts:
        return "none"
    more = len(texts) - _LISTED_AT_MOST
    listed = ", ".join(texts[:_LISTED_AT_MOST])
    return f"{listed} and {more} more" if more > 0 else listed


def _bounded(message: str) -> str:
    """Cut the middle out of a message that is too long; the remedy is at its end."""
    if len(message) <= _LONGEST_MESSAGE:
        return message
    half = _LONGEST_MESSAGE // 2 - 3
    return f"{message[:half]} ... {message[-half:]}"


class BrixaError(Exception):
    """Root of the tree; ``message`` is one sentence a person can act on.

    Args:
        message: What is wrong, where, what is allowed and what to do.
        **facts: Kept as attributes of the error.
    """

    def __init__(self, message: str, **facts: object) -> None:
        message = _bounded(message)
        super().__init__(message)
        self.message = message
        self.facts = facts
        self.__dict__.update(facts)

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from message and facts, whatever a subclass's constructor takes."""
        return _rebuild, (type(self), self.message, self.facts)


def _rebuild(
    kind: type[BrixaError], message: str, facts: dict[str, object]
) -> BrixaError:
    new = OSError.__new__ if issubclass(kind, OSError) else kind.__new__
    error: BrixaError = new(kind)
    BrixaError.__init__(error, message, **facts)
    return error


class InvalidVersionError(BrixaError, ValueError):
    """A text that is not a SemVer 2.0.0 version."""

    def __init__(self, text: object, reason: str) -> None:
        super().__init__(
            f"{str(text)[:80]!r} is not a semantic version: {reason}; write "
            "MAJOR.MINOR.PATCH such as 1.2.0, 1.2.0-rc.1 or 1.2.0+build.5",
            text=text,
            reason=reason,
        )


class InvalidConstraintError(BrixaError, ValueError):
    """A text that is not a version constraint of npm's grammar."""

    def __init__(self, text: object, reason: str) -> None:
        super().__init__(
            f"{str(text)[:80]!r} is not a version constraint: {reason}; write for "
            "example ^1.2, ~1.2.3, '>=1.0 <2.0', 1.x or '^1.2 || ^2.0'",
            text=text,
            reason=reason,
        )


class InvalidNameError(BrixaError, ValueError):
    """A model, alias or deployment name that breaks the name rules."""

    def __init__(self, kind: str, name: object, allowed: str) -> None:
        super().__init__(
            f"{str(name)[:80]!r} can't be the name of a {kind}: {allowed}",
            kind=kind,
            name=name,
            allowed=allowed,
        )


class InvalidMetadataError(BrixaError, ValueError):
    """A metadata field that can't be stored."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"the field {field!r} {reason}", field=field, reason=reason)


class InvalidSchemaError(InvalidMetadataError):
    """An input or output schema that is no JSON Schema (draft 2020-12)."""


class SettingsError(BrixaError, ValueError):
    """A setting that is unknown or has a value it can't have."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"{setting} {reason}", setting=setting, reason=reason)


class ModelNotFoundError(BrixaError, LookupError):
    """No model of that name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        known = tuple(known)
        super().__init__(
            f"there is no model {name!r} in this registry; it has: {some_of(known)}",
            name=name,
            known=known,
        )


class VersionNotFoundError(BrixaError, LookupError):
    """No version that answers to a spec."""

    def __init__(
        self, name: str, spec: str, available: Iterable[object] = (), hint: str = ""
    ) -> None:
        listed = tuple(str(version) for version in available)
        super().__init__(
            f"no version of {name!r} answers to {spec!r}; ready versions: "
            f"{some_of(listed)}" + (f"; {hint}" if hint else ""),
            name=name,
            spec=spec,
            available=listed,
            hint=hint,
        )


class ModelNotSavedError(VersionNotFoundError):
    """The version's number is claimed, but no model was saved under it yet."""

    def __init__(self, name: str, version: object) -> None:
        BrixaError.__init__(
            self,
            f"{name} {version} is registered but no model was saved under it yet; "
            "call save_model(name, version, model) first",
            name=name,
            spec=str(version),
            available=(),
            hint="",
        )


class VersionExistsError(BrixaError, FileExistsError):
    """The version's number is taken, or its model is saved already."""

    def __init__(self, name: str, version: object, reason: str) -> None:
        super().__init__(
            f"{name} {version} {reason}; a version never changes: register the next "
            "one with register_model(name, ...) without version=",
            name=name,
            version=str(version),
            reason=reason,
        )


class StageTransitionError(BrixaError, ValueError):
    """A stage change that the transition table does not allow."""

    def __init__(
        self, name: str, version: object, source: str, target: str, remedy: str
    ) -> None:
        super().__init__(
            f"{name} {version} can't go from {source} to {target}: {remedy}",
            name=name,
            version=str(version),
            source=source,
            target=target,
            remedy=remedy,
        )


class UnknownNodeError(BrixaError, LookupError):
    """A node that is not in a lineage graph."""

    def __init__(self, id: str, known: Iterable[str]) -> None:
        known = tuple(known)
        super().__init__(
            f"the lineage has no {id!r}; it has: {some_of(known)}", id=id, known=known
        )


class FrameworkMismatchError(BrixaError, TypeError):
    """The object is of another framework than the version was registered with."""

    def __init__(self, registered: str, detected: str, where: str) -> None:
        super().__init__(
            f"{where} is registered with framework {registered!r}, but the object is "
            f"of {detected!r}; register a version with framework={detected!r} or "
            "save the matching object",
            registered=registered,
            detected=detected,
            where=where,
        )


class SerializationError(BrixaError, TypeError):
    """An object that can't be written or files that can't be read back."""


class DamagedArtifactError(BrixaError, ValueError):
    """Stored bytes that are not the ones that were saved."""

    def __init__(self, where: str, file: str, reason: str) -> None:
        super().__init__(
            f"{where}: the file {file!r} {reason}; nothing of it was read. Restore the "
            "file from a backup, or roll back to another version",
            where=where,
            file=file,
            reason=reason,
        )


class UntrustedArtifactError(BrixaError, PermissionError):
    """Loading would run code that this registry did not record when it was saved."""


class DeviceUnavailableError(BrixaError, ValueError):
    """A device that this machine does not have."""

    def __init__(self, device: str, present: Iterable[str]) -> None:
        present = tuple(present)
        super().__init__(
            f"device {device!r} is not available here; present: {some_of(present)}",
            device=device,
            present=present,
        )


class MissingExtraError(BrixaError, ImportError):
    """A part that needs a library which is not installed."""

    def __init__(self, what: str, extra: str, missing: str = "") -> None:
        because = f" ({missing} is not installed)" if missing else ""
        super().__init__(
            f"{what} needs an extra{because}; install it with: "
            f"pip install 'brixa-flows[{extra}]'",
            what=what,
            extra=extra,
            missing=missing,
        )


class UnknownPluginError(BrixaError, LookupError):
    """A name that no plug-in of that kind answers to."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = tuple(known)
        super().__init__(
            f"there is no {kind} called {name!r}; known: {some_of(known)}",
            kind=kind,
            name=name,
            known=known,
        )


class DuplicatePluginError(BrixaError, ValueError):
    """Two plug-ins that claim the same name."""

    def __init__(self, kind: str, name: str, targets: Iterable[str]) -> None:
        targets = tuple(targets)
        super().__init__(
            f"the {kind} name {name!r} is claimed by {some_of(targets)}; uninstall all "
            "but one of these packages",
            kind=kind,
            name=name,
            targets=targets,
        )


class StorageError(BrixaError, OSError):
    """The storage node could not do what was asked."""


class ObjectNotFoundError(StorageError, FileNotFoundError):
    """Nothing is stored under that key."""

    def __init__(self, key: str, root: str) -> None:
        super().__init__(f"nothing is stored under {key!r} in {root}", key=key)


class ObjectExistsError(StorageError, FileExistsError):
    """A create-once key that is taken."""

    def __init__(self, key: str, root: str) -> None:
        super().__init__(f"{key!r} exists already in {root}", key=key)


class StaleWriteError(StorageError):
    """A compare-and-swap whose object changed in between."""

    def __init__(self, key: str, root: str) -> None:
        super().__init__(
            f"{key!r} in {root} was changed by somebody else meanwhile; read it again "
            "and retry",
            key=key,
        )


class UnsafeKeyError(StorageError, ValueError):
    """A key or link that would leave the storage root."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(
            f"the storage key {key[:200]!r} is refused: {reason}",
            key=key,
            reason=reason,
        )


class TrackingError(BrixaError, RuntimeError):
    """The tracking backend (MLflow) refused or failed."""


class TrackingUnavailableError(TrackingError, ConnectionError):
    """The tracking backend does not answer."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(
            f"the MLflow backend at {uri} can't be reached ({reason}); check "
            "BRXA_TRACKING_URI and that the server runs",
            uri=uri,
            reason=reason,
        )


class DatasetError(BrixaError, ValueError):
    """Data that can't be predicted or judged."""


class EvaluationError(BrixaError, ValueError):
    """An evaluation, comparison or gate that can't be computed as asked."""


class DriftError(BrixaError, ValueError):
    """A drift question that can't be asked so."""


class DeploymentError(BrixaError, RuntimeError):
    """A deployment that could not be done."""


class InvalidDeploymentError(DeploymentError, ValueError):
    """A deployment configuration that can't work."""


class DeploymentNotFoundError(DeploymentError, LookupError):
    """No deployment of that name."""

    def __init__(self, name: str, known: Iterable[str] = ()) -> None:
        known = tuple(known)
        super().__init__(
            f"there is no deployment {name!r}; there are: {some_of(known)}",
            name=name,
            known=known,
        )


class BadRequestError(DeploymentError, ValueError):
    """A request to predict that a deployed model can't answer."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}", field=field, reason=reason)


class OrchestrationError(BrixaError, RuntimeError):
    """A flow, automation or project file that can't work."""


class PrefectUnavailableError(OrchestrationError, ConnectionError):
    """The Prefect server does not answer."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(
            f"the Prefect server at {uri} can't be reached ({reason}); check "
            "PREFECT_API_URL and start one with: prefect server start",
            uri=uri,
            reason=reason,
        )


class InsecureSerializationWarning(UserWarning):
    """A file was written or is read in a format that can run code on load."""


class SchemaBumpWarning(UserWarning):
    """Schemas inferred at save ask for a higher bump than the version made."""
