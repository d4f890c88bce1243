"""Tags of ours in MLflow that are not as we wrote them: somebody changed them by hand.

Storage decides what they say. Those of MLflow's say (owner, custom) are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.registry.reading.shown_alone import is_vouched
from brixa_flows.registry.writing.mirroring import not_deleted_here
from brixa_flows.registry.writing.recording import BIRTH_FACTS, birth_facts
from brixa_flows.tracking import TrackedVersion, tags
from brixa_flows.versioning import ModelVersion

__all__ = [
    "Retagged",
    "other_digests",
    "retagged",
    "strangers",
    "undead",
    "without_run",
]

_Tags = Mapping[str, str | None]


@dataclass(frozen=True)
class Retagged:
    """A version with other tags than storage says.

    Attributes:
        version: The version.
        tracked: As MLflow shows it.
        shown: Those tags as MLflow shows them; ``None`` where one is missing.
        ours: The same as they should be.
        shown_on_run: The same of its run.
        ours_on_run: The same of its run.
    """

    version: ModelVersion
    tracked: TrackedVersion
    shown: _Tags
    ours: _Tags
    shown_on_run: _Tags
    ours_on_run: _Tags

    def __str__(self) -> str:
        parts = [
            f"the tag {key} {where}is {_said(there.get(key))} and was "
            + ("not written" if ours[key] is None else f"written as {_said(ours[key])}")
            for there, ours, where in (
                (self.shown, self.ours, ""),
                (self.shown_on_run, self.ours_on_run, "of its run "),
            )
            for key in ours
        ]
        return "; ".join(parts)


def retagged(
    reader: Reader,
    standing: Standing,
    there: Mapping[str, TrackedVersion],
    *,
    stages: bool = True,
) -> Iterator[Retagged]:
    """The versions of a model whose tags somebody changed.

    Args:
        reader: What is known.
        standing: Of the model.
        there: What MLflow shows of it.
        stages: Compare the stages, too.
    """
    for known, tracked in _known(reader, standing, there):
        ours = _written(standing, known, tracked, stages)
        own: dict[str, str | None] = {}
        shown = {**tracked.facts, tags.STAGE: tracked.stage}
        shown[tags.DIGEST] = tracked.digest_shown
        run = tracked.run_facts
        if run is not None and known.state == "ready":
            own = {tags.MODEL: standing.name, tags.VERSION: str(known.version)}
            own |= _born(known)
        other = {k: each for k, each in ours.items() if shown.get(k) != each}
        other_on_run = {
            k: each for k, each in own.items() if (run or {}).get(k) != each
        }
        if other or other_on_run:
            yield Retagged(
                known.version, tracked, shown, other, run or {}, other_on_run
            )


def other_digests(
    reader: Reader, standing: Standing, there: Mapping[str, TrackedVersion]
) -> Iterator[str]:
    """A sentence for each version of which MLflow recorded another digest."""
    for known, tracked in _known(reader, standing, there):
        if known.state == "ready" and tracked.digest not in (None, known.digest):
            yield (
                f"{standing.name} {known.version}: the tag {tags.DIGEST} of its run "
                f"{tracked.run_id} in MLflow is {_said(tracked.digest)}, and its files in "
                f"storage have {known.digest}, so nothing of it loads: if somebody "
                "replaced the files with their records, restore both from a backup; if "
                f"somebody changed the tag, set it to {known.digest} in MLflow"
            )


def strangers(
    standing: Standing,
    every: Iterable[TrackedVersion],
    there: Mapping[str, TrackedVersion],
) -> Iterator[str]:
    """A sentence for each version of MLflow's that is called as if it was saved here.

    Args:
        standing: Of the model.
        every: All that MLflow shows of it.
        there: Those of them that count, by version.
    """
    known = {version.core for version in standing.claimed}
    for tracked in every:
        core = tracked.version.partition("+")[0]
        if core in known and there[core] is tracked:
            continue
        if core not in known and is_vouched(tracked):
            yield (
                f"{standing.name}: MLflow shows {tracked.version}, and storage has nothing "
                "of it: restore its files and records from a backup; if they are gone for "
                "good, a tombstone keeps the number from being given again: brixa model "
                f"delete {standing.name}@{core} --reason WHY"
            )
            continue
        what = "no such number was ever taken here"
        if core in known:
            what = f"so has its version {there[core].backend_version}, which counts"
        yield (
            f"{standing.name}: version {tracked.backend_version} of MLflow's own has the "
            f"tag {tags.VERSION} {_said(tracked.version)}, and {what}: if somebody "
            "changed that tag, set it back to what it was, else delete that version in "
            "MLflow"
        )


def undead(standing: Standing, there: Mapping[str, TrackedVersion]) -> Iterator[str]:
    """A sentence for each version that only MLflow's tag says is deleted."""
    for version in not_deleted_here(standing.lifecycle, standing.claimed, there):
        state = standing.state(version)
        undone = (
            f"so it {'loads' if state == 'ready' else 'is ' + state}: if it was not, "
        )
        undone += "brixa doctor --rebuild-tracking sets the tag back"
        if standing.lifecycle.is_patchy:
            undone = (
                "while one is lost that may say so, so it does not load: if it was not, "
                "set the tag to 'ready' in MLflow"
            )
        first = ""
        if (
            standing.lifecycle.doubt("production") is not None
        ):  # nothing is deleted then
            first = "first say who is in production, or accept the loss, then "
        yield (
            f"{standing.name}: the tag {tags.STATE} in MLflow says that {version} was "
            "deleted, and no record of the journal that can be read, which decides here, "
            f"says so, {undone}; if it was, {first}delete it again: "
            f"brixa model delete {standing.name}@{version} --reason WHY"
        )


def without_run(
    standing: Standing, there: Mapping[str, TrackedVersion]
) -> dict[ModelVersion, TrackedVersion]:
    """Versions whose run somebody deleted, which says nothing of the version itself."""
    return {
        version: tracked
        for version in standing.listed_ready
        if (tracked := there.get(version.core)) is not None
        and tracked.run_facts is None
    }


def _known(
    reader: Reader, standing: Standing, there: Mapping[str, TrackedVersion]
) -> Iterator[tuple[ModelMetadata, TrackedVersion]]:
    shown = [each for each in standing.claimed if each.core in there]
    for known in reader.all_metadata(standing.name, shown, standing):
        yield known, there[known.version.core]


def _written(
    standing: Standing, known: ModelMetadata, tracked: TrackedVersion, stages: bool
) -> dict[str, str | None]:
    """Our tags of a version as we write them, as far as one can know."""
    ours: dict[str, str | None] = {}
    if known.state == "ready":
        ours |= _born(known)
        if tracked.digest_shown is not None or tracked.digest is not None:
            ours[tags.DIGEST] = known.digest
    is_settled = not standing.lifecycle.is_patchy
    if known.state == "deleted" or (known.state == "ready" and is_settled):
        if tracked.facts.get(tags.STATE) != "deleted":  # that is told with both ways
            ours[tags.STATE] = known.state
    if stages and standing.lifecycle.is_known(known.version):
        if known.state in ("ready", "deleted"):
            ours[tags.STAGE] = standing.lifecycle.stage_of(known.version)
    return ours


def _born(known: ModelMetadata) -> dict[str, str | None]:
    return {**dict.fromkeys(BIRTH_FACTS), **birth_facts(known, known.lineage)}


def _said(value: str | None) -> str:
    return "missing" if value is None else repr(value[:80])
