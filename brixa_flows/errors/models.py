"""Models, versions and their artifacts."""

from __future__ import annotations

from collections.abc import Iterable

from brixa_flows.errors.base import BrixaError, some_of

__all__ = [
    "DamagedArtifactError",
    "DeviceUnavailableError",
    "FrameworkMismatchError",
    "InsecureSerializationWarning",
    "ModelNotFoundError",
    "ModelNotSavedError",
    "SchemaBumpWarning",
    "SerializationError",
    "StageTransitionError",
    "UnknownNodeError",
    "UnmetDependencyError",
    "UntrustedArtifactError",
    "VersionExistsError",
    "VersionNotFoundError",
]


class ModelNotFoundError(BrixaError, LookupError):
    """No model of that name."""

    def __init__(
        self, name: str, known: Iterable[str] = (), place: str = "this registry"
    ) -> None:
        known = tuple(known)
        super().__init__(
            f"there is no model {name!r} in {place}; it has: {some_of(known)}",
            name=name,
            known=known,
            place=place,
        )


class VersionNotFoundError(BrixaError, LookupError):
    """No version that answers to a spec."""

    def __init__(
        self, name: str, spec: str, available: Iterable[object] = (), hint: str = ""
    ) -> None:
        listed = tuple(str(version) for version in available)
        super().__init__(
            f"no version of {name!r} answers to {spec[:200]!r}"
            + (f"; ready versions: {some_of(listed)}" if listed or not hint else "")
            + (f"; {hint}" if hint else ""),
            name=name,
            spec=spec,
            available=listed,
            hint=hint,
        )


class ModelNotSavedError(VersionNotFoundError):
    """The version's number is claimed, but no model was saved under it yet."""

    def __init__(self, name: str, version: object, *, published: bool = False) -> None:
        why = (
            "is registered but no model was saved under it yet; call "
            "save_model(name, version, model) first"
        )
        if published:
            why = (
                "has files but no seal, which says that all of them are there: a save is "
                "under way, or ended early, or the seal was lost; brixa doctor --fix "
                "completes it"
            )
        BrixaError.__init__(
            self,
            f"{name} {version} {why}",
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


class VersionInUseError(BrixaError, ValueError):
    """A version that somebody needs, and that therefore is not deleted."""

    def __init__(self, name: str, version: object, why: str, remedy: str) -> None:
        super().__init__(
            f"{name} {version} is not deleted, because {why}; {remedy}",
            name=name,
            version=str(version),
            why=why,
            remedy=remedy,
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


class StageHolderError(StageTransitionError):
    """Somebody else holds the stage than whom the version was to replace."""

    def __init__(
        self, name: str, version: object, stage: str, expected: str, holder: str
    ) -> None:
        BrixaError.__init__(
            self,
            f"{name} {version} was to replace {expected} in {stage}, but {holder} is "
            f"there now; compare it with what is in {stage} and ask again",
            name=name,
            version=str(version),
            stage=stage,
            expected=expected,
            holder=holder,
        )


class UnmetDependencyError(BrixaError, LookupError):
    """A version needs another model, and no version of that will do."""

    def __init__(
        self, name: str, version: object, dependency: str, reason: str
    ) -> None:
        super().__init__(
            f"{name} {version} needs {dependency}, and {reason}",
            name=name,
            version=str(version),
            dependency=dependency,
            reason=reason,
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

    def __init__(
        self,
        registered: str,
        detected: str,
        where: str,
        given: str = "",
        expected: Iterable[str] = (),
    ) -> None:
        expected = tuple(expected)
        problem = (
            f"the object is of {detected!r}; register a version with "
            f"framework={detected!r} or save the matching object"
        )
        if given:
            kinds = some_of(expected)
            problem = f"what was given is {given}; give an object of {kinds}"
        super().__init__(
            f"{where} is registered with framework {registered!r}, but {problem}",
            registered=registered,
            detected=detected,
            where=where,
            given=given,
            expected=expected,
        )


class SerializationError(BrixaError, TypeError):
    """An object that can't be written or files that can't be read back."""


class DamagedArtifactError(BrixaError, ValueError):
    """Stored bytes that are not the ones that were saved."""

    def __init__(
        self,
        where: str,
        file: str,
        reason: str,
        remedy: str = "",
        *,
        kind: str = "file",
    ) -> None:
        remedy = remedy or (
            "nothing of the version is loaded. Restore the file from a backup, or use "
            "another version"
        )
        super().__init__(
            f"{where}: the {kind} {file!r} {reason}; {remedy}",
            where=where,
            file=file,
            reason=reason,
            remedy=remedy,
            kind=kind,
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


class InsecureSerializationWarning(UserWarning):
    """A file was written or is read in a format that can run code on load."""


class SchemaBumpWarning(UserWarning):
    """Schemas inferred at save ask for a higher bump than the version made."""
