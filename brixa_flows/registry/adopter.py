"""Makes a logged model a version; once, however often that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from brixa_flows.registry.adopting import (
    Adoption,
    Described,
    Said,
    adoption_of,
    refuse_own,
)
from brixa_flows.registry.facts.lineage import lineage_context
from brixa_flows.registry.facts.metadata import CodeRef, ModelMetadata
from brixa_flows.registry.reading.adoptions import Adoptions
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader
from brixa_flows.registry.upkeep.recovery import Recovery
from brixa_flows.registry.writing.registering import Registrar
from brixa_flows.registry.writing.saving import Saver
from brixa_flows.versioning import ModelVersion

__all__ = ["Adopter", "Wanted"]


@dataclass(frozen=True)
class Wanted:
    """What is to be adopted.

    Attributes:
        name: Model that gets a new version.
        model_uri: What was logged.
        said: What the caller says of it.
        copy: Keep its files; else their address and digests.
        code: Code that trained it, if the caller says so.
        described: What else is said about the version.
    """

    name: str
    model_uri: str
    said: Said
    copy: bool
    code: CodeRef | None
    described: Described


class Adopter:
    """Adopts logged models.

    Args:
        backends: The places.
        reader: What is known.
        registrar: Gives numbers back.
        saver: Saves.
        register: Takes the next number for what the model brings along.
    """

    def __init__(
        self,
        backends: Backends,
        reader: Reader,
        registrar: Registrar,
        saver: Saver,
        register: Callable[..., ModelMetadata],
    ) -> None:
        self._backends = backends
        self._reader = reader
        self._registrar = registrar
        self._saver = saver
        self._register = register
        self._adoptions = Adoptions(backends, reader)

    def adopt(self, wanted: Wanted) -> ModelMetadata:
        """Make it the next version; see :meth:`ModelRegistry.register_run`."""
        return self._adopt(wanted, None, None)

    def adopt_once(
        self, wanted: Wanted, event_facts: Mapping[str, Any]
    ) -> ModelMetadata:
        """Make it a version unless it is one; what a crash cut short is completed.

        Args:
            wanted: What is adopted.
            event_facts: JSON to keep, for who announces the version.

        Raises:
            VersionExistsError: If somebody else does it at this moment.
        """
        name, uri = wanted.name, wanted.model_uri
        known = self._adoptions.find(name, uri)
        if known is not None and self._registrar.is_published(name, known):
            Recovery(self._backends, self._reader).run()
            known = self._adoptions.find(name, uri)
        if known is not None and self._reader.standing(name).state(known) == "ready":
            return self._reader.metadata(name, known)
        return self._adopt(wanted, known, event_facts)

    def _adopt(
        self,
        wanted: Wanted,
        known: ModelVersion | None,
        event_facts: Mapping[str, Any] | None,
    ) -> ModelMetadata:
        name = wanted.name
        with self._backends.storage.staging() as folder:
            logged = self._backends.tracking.adopt(wanted.model_uri, folder)
            refuse_own(logged, self._backends)
            adopted = adoption_of(logged, wanted.said, copy=wanted.copy)
            with lineage_context(code=wanted.code or adopted.code):
                version = known or self._next(wanted, adopted)
            with self._registrar.withdrawn_if_it_fails(name, version):
                if event_facts is not None:
                    self._adoptions.keep(name, wanted.model_uri, version, event_facts)
                claim = self._reader.claim(name, version)
                return self._saver.save(claim, adopted.request)

    def _next(self, wanted: Wanted, adopted: Adoption) -> ModelVersion:
        facts = {**adopted.facts, **wanted.described}
        return self._register(wanted.name, **facts).version
