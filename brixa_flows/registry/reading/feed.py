"""What the journal recorded lately, for who tells others of it.

Finding what is new costs a listing of each journal and reads none of the old entries.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from brixa_flows.errors import BrixaError, DamagedArtifactError
from brixa_flows.registry.facts.damage import damaged_record, warn_once
from brixa_flows.registry.facts.records import Change
from brixa_flows.registry.facts.stages import SINGLE_HOLDER
from brixa_flows.registry.reading.adoptions import Adoptions
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader
from brixa_flows.serializers.manifest import MANIFEST_NAME
from brixa_flows.storage import StoredObject
from brixa_flows.versioning import ModelVersion

__all__ = ["JournalFeed", "Recorded"]

_LOG = logging.getLogger(__name__)

Kind = Literal["seal", "change", "evaluation", "drift", "performance"]


@dataclass(frozen=True)
class Recorded:
    """One entry of the journal.

    Attributes:
        kind: ``seal``, ``change`` (into staging or production), ``evaluation``,
            ``drift`` or ``performance``.
        name: The model.
        version: Its version.
        at: When it was recorded, UTC.
        event_id: Its event is delivered under this id.
        facts: What it says, as plain JSON.
    """

    kind: Kind
    name: str
    version: ModelVersion
    at: datetime
    event_id: str
    facts: Mapping[str, Any]


class JournalFeed:
    """Finds what is new, and what was left half done.

    Args:
        backends: The places.
        reader: What is known.
    """

    def __init__(self, backends: Backends, reader: Reader) -> None:
        self._backends = backends
        self._reader = reader
        self._adoptions = Adoptions(backends, reader)
        self._readers: dict[str, Callable[[str, str], Recorded | None]] = {
            "seals": self._seal,
            "changes": self._change,
            "evaluations": self._evaluation,
            "drift": self._drift,
            "performance": self._performance,
        }

    def since(self, when: datetime) -> Iterator[Recorded]:
        """Entries that storage took since then, model by model.

        An entry that can't be read is passed over, with a warning in the log.
        """
        for name in self._reader.models():
            for stored in self._listed(name):
                read = self._readers.get(self._kind(name, stored.key))
                if read is None or stored.modified_at < when:
                    continue
                try:
                    found = read(name, stored.key)
                except (BrixaError, ValueError, LookupError) as err:
                    _LOG.warning("set aside: %s: %s", stored.key, err)
                    continue
                if found is not None:
                    yield found

    def sealed(self, name: str, version: ModelVersion | str) -> Recorded:
        """The seal of a version.

        Raises:
            DamagedArtifactError: If there is none that can be read.
        """
        return self._seal(name, self._backends.layout.entry_key(name, "seals", version))

    def is_interrupted(self) -> bool:
        """Whether a process died in something that ``recover()`` would finish.

        Costs listings, and a question for each version that waits for its save; what
        leaves no such trace (a power cut) is found by ``recover()`` alone.
        """
        return any(map(self._was_interrupted, self._reader.models()))

    def _was_interrupted(self, name: str) -> bool:
        keys: dict[str, set[str]] = {}
        for stored in self._listed(name):
            stem = stored.key.rpartition("/")[2].removesuffix(".json")
            keys.setdefault(self._kind(name, stored.key), set()).add(stem)
        numbers = [int(each) for each in keys.get("changes", ()) if each.isdecimal()]
        if numbers and (self._backends.journal.projected(name) or 0) < max(numbers):
            return True
        waiting = keys.get("claims", set()) - keys.get("seals", set())
        waiting -= keys.get("quarantine", set())
        saving = {v for v in keys.get("saves", ()) if self._is_alive(name, v)}
        if keys.get("saves", set()) - saving:
            return True
        return any(self._has_files(name, each) for each in waiting - saving)

    def _is_alive(self, name: str, version: str) -> bool:
        parsed = ModelVersion.parse(version)
        return self._backends.leases.alive(name, parsed) is not None

    def _has_files(self, name: str, version: str) -> bool:
        prefix = self._backends.layout.version_prefix(name, version)
        return self._backends.storage.stat(f"{prefix}/{MANIFEST_NAME}") is not None

    def _listed(self, name: str) -> Iterator[StoredObject]:
        """Every entry; none of a journal that can't be listed, with a warning."""
        prefix = self._backends.layout.journal_prefix(name)
        try:
            yield from self._backends.journal.listings.objects(prefix, recursive=True)
        except DamagedArtifactError as err:
            warn_once(self._backends.storage.uri, f"set aside: {err}")

    def _kind(self, name: str, key: str) -> str:
        """Kind of an entry by its key; empty for what lies right in the journal."""
        inner = key.removeprefix(f"{self._backends.layout.journal_prefix(name)}/")
        return inner.partition("/")[0] if "/" in inner else ""

    def _seal(self, name: str, key: str) -> Recorded:
        journal = self._backends.journal
        version = _version_of(key)
        seal = journal.read_seal(name, version)
        claim = journal.read_claim(name, version)
        if seal is None or claim is None:
            raise damaged_record(key, "is missing")
        file = journal.read_metadata(name, version)
        core = claim.core if file is None else file.core
        facts = {"framework": core.framework or "", "digest": seal.digest}
        uri = claim.lineage.model_uri
        kept = self._adoptions.record(name, uri) if uri else None
        if kept is not None and kept.version == core.version:
            facts |= {"model_uri": kept.model_uri, **kept.event_facts}
        version = claim.core.version
        return Recorded("seal", name, version, seal.saved_at, seal.event_id, facts)

    def _change(self, name: str, key: str) -> Recorded | None:
        change = self._backends.journal.read_change(key)
        if not change.moves or change.moves[-1].target not in SINGLE_HOLDER:
            return None
        return _moved(name, change)

    def _evaluation(self, name: str, key: str) -> Recorded:
        return self._record("evaluation", name, key)

    def _drift(self, name: str, key: str) -> Recorded:
        return self._record("drift", name, key)

    def _performance(self, name: str, key: str) -> Recorded:
        return self._record("performance", name, key)

    def _record(self, kind: Kind, name: str, key: str) -> Recorded:
        record = self._backends.journal.read_record(key)
        at = datetime.fromisoformat(record["at"])
        version = _version_of(key.rpartition("/")[0])
        return Recorded(kind, name, version, at, record["event_id"], record)


def _moved(name: str, change: Change) -> Recorded:
    move = change.moves[-1]
    replaced = change.moves[0].version if len(change.moves) > 1 else None
    facts = {
        "stage": move.target,
        "replaced": str(replaced or ""),
        "actor": change.actor,
        "reason": move.reason,
    }
    return Recorded("change", name, move.version, change.at, move.event_id, facts)


def _version_of(key: str) -> ModelVersion:
    return ModelVersion.parse(key.rpartition("/")[2].removesuffix(".json"))
