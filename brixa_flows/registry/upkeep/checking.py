"""Compares what MLflow shows with what storage says; changes nothing."""

from __future__ import annotations

import time
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from itertools import starmap

from brixa_flows.errors import (
    DamagedArtifactError,
    MissingExtraError,
    StorageError,
    TrackingError,
    UnmetDependencyError,
    some_of,
)
from brixa_flows.registry.facts.resolving import exact
from brixa_flows.registry.facts.stages import SINGLE_HOLDER, Lifecycle
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.dependencies import check_dependencies
from brixa_flows.registry.reading.opening import Opener
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.registry.reading.shown_alone import is_vouched
from brixa_flows.registry.reading.unmeasured import unmeasured
from brixa_flows.registry.upkeep.moved import elsewhere, moved, unknown
from brixa_flows.registry.upkeep.obstacles import in_the_way, strays, told
from brixa_flows.registry.upkeep.retagged import (
    other_digests,
    retagged,
    strangers,
    undead,
    without_run,
)
from brixa_flows.registry.upkeep.vanished_models import VanishedModels
from brixa_flows.registry.writing.mirroring import (
    by_version,
    lost_of,
    untrusted_of,
)
from brixa_flows.registry.writing.projecting import knows_more
from brixa_flows.serializers import check_source
from brixa_flows.serializers.manifest import MANIFEST_NAME
from brixa_flows.tracking import TrackedVersion
from brixa_flows.versioning import ModelVersion

__all__ = ["Checker"]

_ASKED_AT_MOST = 5
_WRITTEN_WITHIN_SECONDS = 0.2
_FIX = "brixa doctor --fix"
_ACCEPT = (
    "; if that record is gone for good and brixa model history NAME tells what is right, "
    "brixa model accept-losses NAME --reason WHY lets it count without that record"
)


class Checker:
    """Finds what people should know about a registry.

    Args:
        backends: The places.
        reader: What is known.
    """

    def __init__(self, backends: Backends, reader: Reader) -> None:
        self._backends = backends
        self._reader = reader

    def findings(self) -> list[str]:
        """A sentence for each thing that is wrong; empty if all is well.

        While the tracking backend is away, of what storage tells, and that it is away.
        """
        found: list[str] = []
        models = self._reader.models()
        gone = VanishedModels(self._backends, self._reader)
        # Nothing is made where nothing is.
        away = self._why_away() if models or gone else None
        for name in models:
            try:
                standing = self._reader.standing(name, thorough=True)
                found += self._of_storage(standing)
                if away is None:
                    found += self._compared(standing)
            except TrackingError as err:
                away = err
            except (DamagedArtifactError, StorageError) as err:
                found.append(str(err))
        found += gone.told(is_away=away is not None).values()
        found += strays(self._backends)
        found += starmap(told, in_the_way(self._backends, None).items())
        found += self._staging()
        if away is not None:
            found.append(f"what MLflow shows was not compared: {away}")
        return found

    def _of_storage(self, standing: Standing) -> list[str]:
        """What storage tells of a model, one finding for each thing."""
        damaged = self._backends.journal.damaged_records(standing.name)
        return [
            *self._damaged(standing),
            *self._without_file(standing),
            *self._referenced(standing),
            *self._unmet(standing),
            *map(str, damaged),
            *unmeasured(self._backends, self._reader, standing, damaged),
            *self._unfinished(standing),
        ]

    def _damaged(self, standing: Standing) -> list[str]:
        """What of a model can't be read, or is in the way of what should be written."""
        lost = {each.key: each.reason + _ACCEPT for each in standing.lifecycle.lost}
        known = lost | dict(_quarantined(standing))
        others = in_the_way(self._backends, standing).items()
        return [
            *known.values(),
            *(told(key, what) for key, what in others if key not in known),
        ]

    def _without_file(self, standing: Standing) -> list[str]:
        """Versions whose ``{version}_meta.json`` is gone, which hides nothing else."""
        name, backends = standing.name, self._backends
        obstacles = in_the_way(backends, standing)
        found = []
        for version in _without_file(backends, standing):
            state, key = standing.state(version), backends.layout.metadata_key(
                name, version
            )
            if state not in ("ready", "registered") or key in obstacles:
                continue
            kept = "config.json and MLflow"
            if state == "registered":
                kept = (
                    "what was registered, without what was changed since (except "
                    "metrics): restore it from a backup if that is missed"
                )
            found.append(
                f"{name} {version}: the file {key!r} is missing; {_FIX} writes it anew "
                f"from {kept}"
            )
        return found

    def _referenced(self, standing: Standing) -> Iterator[str]:
        """What is not as it was registered of models that are kept by reference."""
        opener = Opener(self._backends, self._reader)
        for version in filter(standing.is_ready, standing.listed_ready):
            known = self._reader.metadata(standing.name, version, standing)
            if known.external_uri is None:
                continue
            try:
                _, manifest = opener.verified(standing.name, version, known.digest)
                check_source(manifest, fetch=False)
            except (DamagedArtifactError, TrackingError, MissingExtraError) as err:
                yield f"{standing.name} {version}: {err}"

    def _unmet(self, standing: Standing) -> Iterator[str]:
        """Versions in a stage that need another model, of which none will do now.

        A version that is archived answers to no constraint, so a promotion can do that.
        """
        for version in sorted(set(standing.lifecycle.last_holders.values())):
            if not standing.is_ready(version):
                continue
            # What is damaged is told with its own model.
            with suppress(DamagedArtifactError):
                needed = self._reader.claim(standing.name, version).core.dependencies
                try:
                    check_dependencies(
                        standing.name, version, needed, self._reader.standing
                    )
                except UnmetDependencyError as err:
                    yield str(err)

    def _why_away(self) -> TrackingError | None:
        try:
            self._backends.tracking.ping()
        except TrackingError as err:
            return err
        return None

    def _compared(self, standing: Standing) -> list[str]:
        """What the backend does not show as it is, by a journal that stood still.

        Else who promotes at this moment would be told to have moved an alias by hand.
        """
        for _ in range(_ASKED_AT_MOST):
            found = self._of_mlflow(standing)
            now = self._reader.standing(standing.name, thorough=True)
            if _version_of(now) == _version_of(standing):
                return found
            standing = now
        return []  # it changes all the time; the next look tells

    def _of_mlflow(self, standing: Standing) -> list[str]:
        """What the backend does not show as it is."""
        name, backends = standing.name, self._backends
        every = backends.tracking.list_versions(name)
        there = by_version(every)
        lost = lost_of(standing, there)
        found = [backends.lost(name, lost)] if lost else []
        found += undead(standing, there)
        alone = without_run(standing, there)
        for version, tracked in alone.items():
            found.append(backends.without_run(name, version, tracked.run_id))
        late = self._late(standing)
        if late and not lost:  # what is lost is made anew with the last changes
            found.append(late)
        if late == "":
            found += self._moved_aliases(standing, lost)
        found += self._untrusted(standing, there, {*lost, *alone})
        found += strangers(standing, every, there)
        found += self._taken_again(standing, there)
        found += other_digests(self._reader, standing, there)
        for each in retagged(self._reader, standing, there, stages=late == ""):
            found.append(
                f"{name} {each.version}: in MLflow, {each}; storage decides here: "
                "brixa doctor --rebuild-tracking sets it back"
            )
        return found

    def _untrusted(
        self,
        standing: Standing,
        there: Mapping[str, TrackedVersion],
        told: Container[ModelVersion],
    ) -> list[str]:
        untrusted = untrusted_of(self._backends, standing, there)
        versions = [v for v in untrusted if standing.is_ready(v) and v not in told]
        if not versions:
            return []
        return [
            f"{standing.name}: MLflow recorded no digest of {some_of(versions)}, so what "
            "can run code does not load by the default policy unless it is signed; "
            "brixa trust --all --actor YOU --reason WHY vouches for them"
        ]

    def _taken_again(
        self, standing: Standing, there: Mapping[str, TrackedVersion]
    ) -> Iterator[str]:
        """Numbers without files that MLflow shows as saved: all but them was lost."""
        for version in standing.claimed:
            tracked = there.get(version.core)
            if tracked is None or not is_vouched(tracked):
                continue
            if standing.state(version) != "registered" or standing.published(version):
                continue
            if self._backends.leases.alive(standing.name, version) is None:
                yield (
                    f"{standing.name} {version}: MLflow shows it as saved, and storage has "
                    "its number and no file: restore its files and records from a backup; "
                    "if they are gone for good, save under another number and give this "
                    f"one up: brixa model delete {standing.name}@{version} --reason WHY"
                )

    def _unfinished(self, standing: Standing) -> list[str]:
        """Saves that ended before they were complete."""
        name, backends = standing.name, self._backends
        found: list[str] = []
        try:
            dead = dict(backends.leases.dead(name))
        except DamagedArtifactError:  # told with the damaged records
            return found
        for version in standing.claimed:
            if standing.state(version) != "registered":
                continue
            prefix = backends.layout.version_prefix(name, version)
            published = backends.storage.stat(f"{prefix}/{MANIFEST_NAME}") is not None
            alive = published and backends.leases.alive(name, version) is not None
            if version in dead or (published and not alive):
                lease = dead.get(version)
                by = f" by process {lease.pid} ({lease.host})" if lease else ""
                found.append(
                    f"{name} {version}: a save{by} ended before it was complete; {_FIX} "
                    "completes it or clears it away"
                )
        for version in dead:
            if version in standing.claimed and standing.state(version) != "registered":
                found.append(
                    f"{name} {version}: the lease of a process that ended is left; "
                    f"{_FIX} removes it"
                )
        return found

    def _staging(self) -> list[str]:
        """Half-written files of dead processes, where the storage node can tell."""
        abandoned = getattr(self._backends.storage, "abandoned", None)
        count, size_bytes = (0, 0) if abandoned is None else abandoned()
        if not count:
            return []
        return [
            f"{self._backends.storage.uri}: {count} unfinished directories of processes "
            f"that ended take {size_bytes / 1e6:.1f} MB; {_FIX} removes them"
        ]

    def _late(self, standing: Standing) -> str | None:
        """That MLflow does not show the last changes, if so; ``None``: nobody knows."""
        name, lifecycle = standing.name, standing.lifecycle
        marker = self._backends.layout.projected_key(name)
        shown_last = self._backends.journal.projected(name)
        if shown_last is None and lifecycle.number:
            if marker in in_the_way(self._backends, standing):
                return None  # that is told, and hides whether they were shown
            lags = not knows_more(self._backends, name)
        else:
            lags = (shown_last or 0) < lifecycle.number
        shown = self._backends.tracking.aliases(name) if lags else {}
        if lags and shown_last is None and _cores(_ours(lifecycle)) == _cores(shown):
            return (
                f"{name}: MLflow may not show the last changes, as there is no sound "
                f"file {marker!r}; {_FIX} shows them and writes it anew"
            )
        return f"{name}: MLflow does not show the last changes; run {_FIX}" * lags

    def _moved_aliases(
        self, standing: Standing, lost: Container[ModelVersion | None]
    ) -> list[str]:
        """Aliases that somebody moved, added or removed by hand in MLflow.

        Those of versions that are lost there went with them.
        """
        name, lifecycle = standing.name, standing.lifecycle
        ours, shown = _ours(lifecycle), self._backends.tracking.aliases(name)
        foreign = self._backends.tracking.foreign_aliases(name)
        found = []
        for alias in sorted({*ours, *shown, *(foreign.keys() & set(SINGLE_HOLDER))}):
            one, other = ours.get(alias), shown.get(alias)
            if alias in foreign:
                found.append(elsewhere(name, alias, one, foreign[alias]))
            elif lifecycle.doubt(alias) is not None:
                found.append(unknown(name, alias, one, other))
            elif other is None and exact(one) in lost:
                continue
            elif _core(one) != _core(other):
                found.append(moved(standing, alias, one, other))
        return found


def _without_file(backends: Backends, standing: Standing) -> list[ModelVersion]:
    """Versions that have no ``{version}_meta.json``.

    A number is taken just before the file is written, so it is looked for twice.
    """
    name, found = standing.name, list(standing.claimed)
    for pause in (0.0, _WRITTEN_WITHIN_SECONDS):
        if found:
            time.sleep(pause)
            there = backends.journal.listings.names(backends.layout.model_prefix(name))
            files = {each.removesuffix("_meta.json") for each in there}
            found = [each for each in found if each.core not in files - set(there)]
    return found


def _quarantined(standing: Standing) -> Iterator[tuple[str, str]]:
    """Why versions do not load that somebody saved or registered, by the file."""
    for version in standing.claimed:
        if standing.listed_state(version) == "quarantined":
            yield f"{version}", standing.why_quarantined(version)
        elif (damage := standing.damage(version)) is not None:
            yield str(damage.facts["file"]), str(damage)


def _version_of(standing: Standing) -> tuple[int, int, int]:
    """What only grows as a model changes."""
    sealed = len(standing.sealed)
    return standing.lifecycle.number, len(standing.claimed), sealed


def _ours(lifecycle: Lifecycle) -> dict[str, str]:
    """Where stages and own aliases are by the journal."""
    ours: dict[str, str] = {s: str(v) for s, v in lifecycle.last_holders.items()}
    return ours | {alias: str(each) for alias, each in lifecycle.aliases.items()}


def _cores(aliases: Mapping[str, str]) -> dict[str, str | None]:
    return {alias: _core(version) for alias, version in aliases.items()}


def _core(version: str | None) -> str | None:
    return None if version is None else version.partition("+")[0]
