"""Versions of models as assets of Prefect: ``brixa://models/NAME/VERSION``.

An extra for who follows assets; what went into a version is kept by the registry.
"""

from __future__ import annotations

from prefect.assets import Asset, AssetProperties, materialize
from prefect.cache_policies import NO_CACHE
from pydantic import ValidationError

from brixa_flows.registry import ModelMetadata

__all__ = ["materialize_version", "version_asset"]


def version_asset(metadata: ModelMetadata) -> Asset:
    """The asset that a version is."""
    version = str(metadata.version)
    return Asset(
        key=_key(metadata.name, version),
        properties=AssetProperties(
            name=f"{metadata.name} {version}",
            description=metadata.description or None,
            owners=[metadata.owner] if metadata.owner else None,
        ),
    )


def materialize_version(metadata: ModelMetadata) -> None:
    """Let Prefect know a new version, and what it was made of."""
    asset = version_asset(metadata)

    @materialize(
        asset,
        by="brixa-flows",
        asset_deps=_sources(metadata),
        name="asset",
        task_run_name=f"asset {metadata.name} {metadata.version}",
        cache_policy=NO_CACHE,
    )
    def tell() -> None:
        asset.add_metadata(
            {
                "digest": metadata.digest,
                "framework": metadata.framework,
                "size_bytes": metadata.size_bytes,
                "metrics": metadata.metrics,
            }
        )

    tell()


def _key(name: str, version: str) -> str:
    return f"brixa://models/{name}/{version}"


def _sources(metadata: ModelMetadata) -> list[Asset | str]:
    """Parents and data sets that have an address which Prefect takes."""
    lineage = metadata.lineage
    found: list[Asset | str] = []
    for uri in [
        *(_key(parent.name, str(parent.version)) for parent in lineage.parents),
        *(dataset.uri for dataset in lineage.datasets if dataset.uri),
    ]:
        try:
            found.append(Asset(key=uri))
        except ValidationError:
            continue  # a path, for instance
    return found
