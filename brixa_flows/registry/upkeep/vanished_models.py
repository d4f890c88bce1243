"""Models of which storage has nothing any more: somebody removed the whole folder.

The index in storage still names them, and the tracking backend may know their numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from brixa_flows.errors import some_of
from brixa_flows.registry.facts.resolving import exact
from brixa_flows.registry.journal.listings import FOLDER
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader
from brixa_flows.registry.reading.shown_alone import is_vouched
from brixa_flows.registry.writing.index import vanished
from brixa_flows.versioning import ModelVersion

__all__ = ["VanishedModels"]


class VanishedModels:
    """Finds and tells them.

    Args:
        backends: The places.
        reader: What is known.
    """

    def __init__(self, backends: Backends, reader: Reader) -> None:
        self._backends = backends
        root, listings = backends.layout.root, backends.journal.listings
        others = listings.others(root).items()
        # What lies in the place of a folder is told with what it is.
        in_place = {name for name, what in others if what != FOLDER}
        in_place |= {*listings.names(root), *reader.models()}
        self._found = vanished(backends, in_place)

    def __bool__(self) -> bool:
        return bool(self._found)

    def told(self, *, is_away: bool) -> dict[str, str]:
        """A sentence for each, by name, with what helps.

        Args:
            is_away: The tracking backend does not answer, so it is not asked.
        """
        return {
            name: self._told(name, entry, None if is_away else self._shown(name))
            for name, entry in self._found.items()
        }

    def kept(self) -> dict[str, Any]:
        """What the index tells of those whose numbers the tracking backend knows."""
        return {name: each for name, each in self._found.items() if self._shown(name)}

    def _shown(self, name: str) -> list[ModelVersion]:
        """The versions that the backend shows, the highest first."""
        listed = self._backends.tracking.list_versions(name)
        found = {exact(each.version) for each in listed if is_vouched(each)}
        return sorted(filter(None, found), reverse=True)

    def _told(
        self, name: str, entry: Mapping[str, Any], shown: list[ModelVersion] | None
    ) -> str:
        layout = self._backends.layout
        sentence = (
            f"{name}: storage has nothing of it, and the index {layout.index_key!r} "
            f"names it{_as_it_was(entry)}: restore the folder "
            f"{layout.model_prefix(name)!r} from a backup"
        )
        if shown is None:
            return sentence
        if not shown:
            return (
                f"{sentence}; if it is gone for good, brixa doctor --fix takes it off the "
                "index, as MLflow knows no version of it either"
            )
        return (
            f"{sentence}; MLflow knows {some_of(map(str, shown))}: if they are gone for "
            "good, tombstones keep their numbers from being given again: brixa model "
            f"delete {name}@{shown[0].core} --reason WHY, and so each of them"
        )


def _as_it_was(entry: Mapping[str, Any]) -> str:
    """What the index tells of it; anybody may have written there."""
    told = []
    if isinstance(count := entry.get("versions"), int):
        told.append(f"{count} version{'s' * (count != 1)}")
    stages = entry.get("stages")
    for stage, version in stages.items() if isinstance(stages, Mapping) else ():
        told.append(f"{version} in {stage}")
    return f" with {', '.join(told)}"[:200] if told else ""
