"""Which version a logged model became, so that it becomes no second one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from brixa_flows.errors import (
    ModelNotFoundError,
    ObjectNotFoundError,
    StaleWriteError,
    VersionExistsError,
)
from brixa_flows.registry.facts.records import AdoptedModel, parse_record
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader
from brixa_flows.versioning import ModelVersion

__all__ = ["Adoptions"]


class Adoptions:
    """The journal's records of adopted models.

    A record follows the claim of a number. A process that died in between left a
    claim whose lineage names the model, so :meth:`find` looks there as well.

    Args:
        backends: The places.
        reader: What is known.
    """

    def __init__(self, backends: Backends, reader: Reader) -> None:
        self._backends = backends
        self._reader = reader

    def find(self, name: str, model_uri: str) -> ModelVersion | None:
        """The version, ready or only claimed, that a logged model has become."""
        try:
            standing = self._reader.standing(name)
        except ModelNotFoundError:
            return None
        record = self.record(name, model_uri)
        waiting = [v for v in standing.claimed if standing.state(v) == "registered"]
        for version in (*([record.version] if record else ()), *waiting):
            claim = self._backends.journal.read_claim(name, version)
            if claim is None or claim.lineage.model_uri != model_uri:
                continue
            if standing.state(version) in ("ready", "registered"):
                return claim.core.version
        return None

    def record(self, name: str, model_uri: str) -> AdoptedModel | None:
        """What was kept with the version, ``None`` if nothing was."""
        return self._read(self._key(name, model_uri))[0]

    def keep(
        self,
        name: str,
        model_uri: str,
        version: ModelVersion,
        event_facts: Mapping[str, Any],
    ) -> None:
        """Record which version a logged model becomes.

        Raises:
            VersionExistsError: If another process was faster.
        """
        key = self._key(name, model_uri)
        present, etag = self._read(key)
        if present is not None and self._stands(name, present):
            if present.version == version:
                return
            reason = f"is being made of {model_uri} by somebody else right now"
            raise VersionExistsError(name, present.version, reason)
        record = AdoptedModel(
            model_uri=model_uri, version=version, event_facts=dict(event_facts)
        )
        try:
            self._backends.storage.replace(key, record.to_bytes(), etag=etag)
        except StaleWriteError:
            self.keep(name, model_uri, version, event_facts)

    def _stands(self, name: str, record: AdoptedModel) -> bool:
        """Whether the version of a record is still (going to be) that model."""
        claim = self._backends.journal.read_claim(name, record.version)
        state = self._reader.standing(name).state(record.version)
        same = claim is not None and claim.lineage.model_uri == record.model_uri
        return same and state in ("ready", "registered")

    def _read(self, key: str) -> tuple[AdoptedModel | None, str | None]:
        try:
            data, etag = self._backends.storage.read(key)
        except ObjectNotFoundError:
            return None, None
        return parse_record(key, data, AdoptedModel), etag

    def _key(self, name: str, model_uri: str) -> str:
        prefix = self._backends.layout.entries_prefix(name, "adoptions")
        return f"{prefix}/{uuid5(NAMESPACE_URL, model_uri)}.json"
