"""Who still needs a version: deployments, and other models by constraint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from brixa_flows.errors import (
    DamagedArtifactError,
    InvalidVersionError,
    ModelNotSavedError,
    ObjectNotFoundError,
    VersionInUseError,
    VersionNotFoundError,
    some_of,
)
from brixa_flows.registry.facts.damage import NO_FOLDER, damaged_folder
from brixa_flows.registry.facts.resolving import resolve
from brixa_flows.registry.journal.listings import FOLDER
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.dependencies import models_needed
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.versioning import ModelVersion

__all__ = ["Use", "deployed", "refuse_if_needed"]

_EARLIER = ("history", "previous")
_FILES = ("config.json", "status.json")


@dataclass(frozen=True)
class Use:
    """A deployment that names a version.

    Attributes:
        deployment: Its name.
        serves: It serves the version now, or is about to; else it may return to it.
    """

    deployment: str
    serves: bool


def deployed(backends: Backends) -> dict[tuple[str, str], list[Use]]:
    """Deployments by name and version of the model that they name anywhere.

    Their files are read as plain JSON: whatever names a model and a version is a use,
    however deep it stands and whatever it is called (canary, shadow, history).

    Raises:
        DamagedArtifactError: If one can't be read, so that nobody knows.
    """
    found: dict[tuple[str, str], list[Use]] = {}
    prefix = backends.layout.deployments_prefix
    for name in _names(backends, prefix):
        for file in _FILES:
            content = _read(backends, f"{prefix}/{name}/{file}")
            for spec, serves in _named(content, _is_up(content)):
                uses = found.setdefault(spec, [])
                if Use(name, serves) not in uses:
                    uses.append(Use(name, serves))
    return found


def refuse_if_needed(
    backends: Backends,
    reader: Reader,
    standing: Standing,
    version: ModelVersion,
    *,
    force: bool,
) -> None:
    """Go on only if nobody would miss a version.

    Args:
        backends: The places.
        reader: What is known.
        standing: Where the model's versions stand.
        version: The version.
        force: Only what serves it counts.

    Raises:
        VersionInUseError: If somebody needs it; says who, and what to do.
        DamagedArtifactError: If the files of a deployment can't be read.
    """
    name = standing.name
    uses = deployed(backends).get((name, version.core), [])
    serving = [each.deployment for each in uses if each.serves]
    if serving:
        raise VersionInUseError(
            name,
            version,
            f"the deployment {some_of(serving)} serves it",
            "deploy another version there, or delete the deployment first",
        )
    if force:
        return
    if uses:
        names = [each.deployment for each in uses]
        raise VersionInUseError(
            name,
            version,
            f"the deployment {some_of(names)} may roll back to it",
            "delete the deployment, or give force=True (--force) to do without",
        )
    needing = list(_needing(reader, standing, version))
    if needing:
        raise VersionInUseError(
            name,
            version,
            f"no other version will do for {some_of(needing)}",
            "save another version that will, or give force=True (--force)",
        )


def _names(backends: Backends, prefix: str) -> list[str]:
    """Of all deployments; none may hide behind what can't be listed."""
    listings = backends.journal.listings
    try:
        found = dict.fromkeys(listings.names(prefix), "file")
        for name, what in {**found, **listings.others(prefix)}.items():
            if what != FOLDER:
                raise damaged_folder(f"{prefix}/{name}", NO_FOLDER.format(what))
        return listings.folders(prefix)
    except DamagedArtifactError as err:
        key, reason = str(err.facts["file"]), err.facts["reason"]
        raise DamagedArtifactError(
            "deployments",
            key,
            f"{reason}, so nobody knows which versions are needed",
            "until then no version is deleted and no garbage removed. Put the folder "
            "itself there (what a link leads to, or a backup), or remove it",
            kind="folder",
        ) from err


def _read(backends: Backends, key: str) -> Any:
    try:
        return json.loads(backends.storage.read(key)[0])
    except ObjectNotFoundError:
        return None
    except ValueError as err:
        name = key.split("/")[-2]
        raise DamagedArtifactError(
            f"the deployment {name}",
            key,
            "is not JSON, so nobody knows which version it needs",
            "until then no version is deleted and no garbage removed. Restore the file "
            f"from a backup, or delete the deployment: brixa deployment delete {name}",
        ) from err


def _is_up(content: Any) -> bool:
    """Whether what a file names is served; a status tells also what was."""
    state = content.get("state") if isinstance(content, Mapping) else None
    return state not in ("stopped", "failed")


def _named(content: Any, serves: bool) -> Iterator[tuple[tuple[str, str], bool]]:
    """Every model and version in a file, and whether it is what is served now."""
    if isinstance(content, list):
        for each in content:
            yield from _named(each, serves)
    if not isinstance(content, Mapping):
        return
    model, version = content.get("model_name"), content.get("version")
    if isinstance(model, str) and isinstance(version, str):
        with suppress(InvalidVersionError):
            yield (model, ModelVersion.parse(version).core), serves
    for key, each in content.items():
        yield from _named(each, serves and key not in _EARLIER)


def _needing(
    reader: Reader, standing: Standing, version: ModelVersion
) -> Iterator[str]:
    """Ready versions of other models that only this version satisfies."""
    shut = standing.quarantined | {version}
    without = replace(standing, quarantined=shut)
    for other in reader.standings():
        for each in other.listed_ready if other.name != standing.name else ():
            with suppress(DamagedArtifactError):
                needed = models_needed(reader.claim(other.name, each).core.dependencies)
                constraint = needed.get(standing.name)
                if constraint is None or not _resolves(standing, constraint):
                    continue
                if not _resolves(without, constraint):
                    yield f"{other.name} {each} ({standing.name}@{constraint})"


def _resolves(standing: Standing, constraint: str) -> bool:
    try:
        resolve(standing, constraint)
    except (ModelNotSavedError, VersionNotFoundError):
        return False
    return True
