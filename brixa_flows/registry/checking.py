"""Compares what MLflow shows with what the journal says; changes nothing."""

from __future__ import annotations

from brixa_flows.errors import DamagedArtifactError
from brixa_flows.registry.backends import Backends
from brixa_flows.registry.reading import Reader, Standing
from brixa_flows.registry.stages import SINGLE_HOLDER

__all__ = ["Checker"]


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

        Raises:
            TrackingUnavailableError: If the tracking backend is away.
        """
        found: list[str] = []
        for name in self._reader.models():
            standing = self._reader.standing(name)
            found += [each.reason for each in standing.lifecycle.lost]
            found += self._unreadable(standing)
            found += map(str, self._backends.journal.damaged_records(name))
            if standing.sealed:
                found += self._moved_aliases(standing)
        return found

    def _unreadable(self, standing: Standing) -> list[str]:
        journal, found = self._backends.journal, []
        for version in standing.claimed:
            try:
                journal.read_claim(standing.name, version)
                journal.read_seal(standing.name, version)
            except DamagedArtifactError as err:
                found.append(str(err))
        return found

    def _moved_aliases(self, standing: Standing) -> list[str]:
        """Aliases that somebody moved, added or removed by hand in MLflow."""
        name, lifecycle = standing.name, standing.lifecycle
        if self._backends.journal.projected(name) < lifecycle.number:
            return [f"{name}: MLflow does not show the last changes; run recover()"]
        ours: dict[str, str] = {
            stage: str(holder)
            for stage in SINGLE_HOLDER
            if (holder := lifecycle.holder(stage)) is not None
        }
        ours |= {alias: str(each) for alias, each in lifecycle.aliases.items()}
        shown = self._backends.tracking.aliases(name)
        return [
            _moved(name, alias, ours.get(alias), shown.get(alias))
            for alias in sorted({*ours, *shown})
            if _core(ours.get(alias)) != _core(shown.get(alias))
        ]


def _core(version: str | None) -> str | None:
    return None if version is None else version.partition("+")[0]


def _moved(name: str, alias: str, ours: str | None, shown: str | None) -> str:
    remedy = (
        f"brixa model transition {name}@{shown or ours} {alias} --reason ..."
        if alias in SINGLE_HOLDER
        else f"registry.set_alias({name!r}, {alias!r}, {shown or ours!r})"
    )
    return (
        f"{name}: the alias {alias!r} is on {shown or 'no version'} in MLflow, and on "
        f"{ours or 'no version'} by the journal, which decides here; somebody moved it "
        f"by hand: to adopt that, or to set it again, run {remedy}"
    )
