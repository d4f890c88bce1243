"""Shows stages and aliases in the tracking backend, where people look at them.

The journal in storage is the authority. What is projected is always the whole present
state of whatever the new changes touched, never a single change, and it is repeated
until no change came in between: so the last one to project tells the truth.
"""

from __future__ import annotations

from collections.abc import Sequence

from brixa_flows.registry.backends import Backends
from brixa_flows.registry.index import update_index
from brixa_flows.registry.reading import Reader
from brixa_flows.registry.records import Change
from brixa_flows.registry.stages import SINGLE_HOLDER, Lifecycle, fold
from brixa_flows.tracking import tags
from brixa_flows.versioning import ModelVersion

__all__ = ["project"]


def project(backends: Backends, reader: Reader, name: str) -> bool:
    """Show the changes of a model that the tracking backend was not shown yet.

    Idempotent. What nobody changed here since is left alone: an alias that a person
    moved by hand in MLflow stays until the next change of that stage.

    Returns:
        Whether there was anything to show.
    """
    journal = backends.journal
    shown = journal.projected(name)
    changes = journal.changes(name)
    if not changes or changes[-1].number <= shown:
        return False
    while changes[-1].number > shown:
        _project_once(backends, name, changes, shown)
        shown = changes[-1].number
        changes = journal.changes(name)
    journal.mark_projected(name, shown)
    update_index(backends, reader, name)
    return True


def _project_once(
    backends: Backends, name: str, changes: Sequence[Change], shown: int
) -> None:
    state = fold(name, changes)
    versions, aliases = _touched(name, changes, shown)
    for version in versions:
        _show_version(backends, state, version)
    for alias in aliases:
        if alias in SINGLE_HOLDER:
            holder = state.holder(alias)
        else:
            holder = state.aliases.get(alias)
        number = None if holder is None else _backend_version(backends, name, holder)
        backends.tracking.set_alias(name, alias, number)


def _touched(
    name: str, changes: Sequence[Change], shown: int
) -> tuple[list[ModelVersion], list[str]]:
    """Versions and aliases that the changes behind ``shown`` may have moved."""
    versions: list[ModelVersion] = []
    aliases: list[str] = []
    for index, change in enumerate(changes):
        if change.number <= shown:
            continue
        for move in change.moves:
            versions.append(move.version)
            aliases += [s for s in (move.source, move.target) if s in SINGLE_HOLDER]
        if change.kind == "delete" and change.version is not None:
            versions.append(change.version)
            aliases += fold(name, changes[:index]).aliases_of(change.version)
        if change.alias is not None:
            aliases.append(change.alias)
    return list(dict.fromkeys(versions)), list(dict.fromkeys(aliases))


def _show_version(backends: Backends, state: Lifecycle, version: ModelVersion) -> None:
    number = _backend_version(backends, state.name, version)
    claim = backends.journal.read_claim(state.name, version)
    if claim is None or number is None:
        return
    tracked = backends.tracking.get_version(
        state.name, str(claim.core.version), backend_version=number
    )
    if tracked is None:
        return
    deleted = version in state.deleted
    backends.tracking.update_version(
        tracked,
        stage=state.stages.get(version, ""),
        facts={tags.STATE: "deleted"} if deleted else None,
    )


def _backend_version(
    backends: Backends, name: str, version: ModelVersion
) -> str | None:
    seal = backends.journal.read_seal(name, version)
    return None if seal is None else seal.backend_version
