"""The part of the registry that answers questions across versions and time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from brixa_flows.refs import check_model_name
from brixa_flows.registry.catalog import ModelCatalog
from brixa_flows.registry.facts.diffing import Judged, VersionDiff, diff_versions
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.registry.facts.resolving import Spec
from brixa_flows.registry.facts.timeline import (
    AliasRecord,
    StageSnapshot,
    alias_records,
    snapshot,
)
from brixa_flows.registry.reading.searching import Searcher, SearchPage

__all__ = ["QueryCatalog"]


class QueryCatalog(ModelCatalog):
    """Versions of models, to search, compare and ask about the past."""

    def search(
        self,
        filter: str | None = None,
        *,
        order_by: Sequence[str] | None = (),
        max_results: int = 1000,
        page_token: str | None = None,
    ) -> SearchPage:
        """Versions of all models that a filter in MLflow's grammar holds for.

        ``metrics.f1 > 0.8 and tags.team = 'fraud' and version >= '1.2.0'``: clauses
        joined by AND, on ``name``, ``version``, ``state``, ``stage`` (``none`` without
        one), ``framework``, ``model_type``, ``owner``, ``license``, ``description``,
        ``run_id``, ``creation_timestamp``, ``tags.KEY``, ``metrics.KEY``,
        ``params.KEY`` and ``dataset.name``, ``.digest`` or ``.context`` of data that went
        in or metrics are of; with ``= != < <= > >= LIKE ILIKE IN`` and
        ``IS NULL``. Versions compare as semantic versions. As in MLflow, what has no
        such tag or metric matches nothing but IS NULL. Deleted versions are found only
        by a filter on ``state``.

        Args:
            filter: The clauses; ``None``, or an empty one, finds all.
            order_by: Fields, each with ASC or DESC; then by name and version.
            max_results: Versions in a page.
            page_token: ``.token`` of the page before.

        Returns:
            A list with ``.token`` for the next page, ``None`` on the last one, and
            ``.doubts``: where a lost record hides who is in a stage that was asked for.

        Raises:
            InvalidFilterError: If it can't be read; names the place and what is
                allowed.
        """
        searcher = Searcher(self._reader)
        return searcher.search(filter, order_by, max_results, page_token)

    def diff(self, name: str, before: Spec, after: Spec) -> VersionDiff:
        """What differs between two versions, and which bump that asks for.

        Args:
            name: Model.
            before: One version, by any spec.
            after: The other.
        """
        one, other = self.get_metadata(name, before), self.get_metadata(name, after)
        return diff_versions(one, other, self._judged(one), self._judged(other))

    def _judged(self, known: ModelMetadata) -> Judged:
        name, version = known.name, known.version
        records = self._backends.journal.records
        measured = [*records(name, "evaluations", version)]
        measured += records(name, "measurements", version)
        measured.sort(key=lambda each: datetime.fromisoformat(each["at"]))
        return Judged(measured, self._reader.judged_on(name, version))

    def stage_at(self, name: str, when: datetime) -> StageSnapshot:
        """Who was in production and staging, and where own aliases pointed, once.

        Args:
            name: Model.
            when: The moment, with a time zone.

        Raises:
            ModelNotFoundError: If there is no such model.
            InvalidMetadataError: If ``when`` has no time zone.
        """
        self._reader.standing(check_model_name(name))
        return snapshot(name, self._backends.journal.changes(name), when)

    def alias_history(self, name: str) -> list[AliasRecord]:
        """Every change of an own alias: who, when, why; oldest first."""
        self._reader.standing(check_model_name(name))
        return alias_records(name, self._backends.journal.changes(name))
