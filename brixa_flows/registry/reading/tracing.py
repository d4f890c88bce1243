"""Builds the lineage graph from sealed lineage, the journal and the deployments."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from brixa_flows.errors import ObjectNotFoundError, UnsafeKeyError
from brixa_flows.registry.facts.graph import (
    LineageEdge,
    LineageGraph,
    LineageNode,
    NodeKind,
)
from brixa_flows.registry.facts.metadata import DatasetRef, Lineage, ModelMetadata
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.versioning import ModelVersion

__all__ = ["Tracer", "dataset_id", "model_id"]

_Part = LineageNode | LineageEdge


def model_id(name: str, version: ModelVersion | str) -> str:
    """Id of a version's node."""
    return f"model:{name}/{version}"


def dataset_id(dataset: DatasetRef | dict[str, Any]) -> str:
    """Id of a dataset's node: its content where known, else its name."""
    facts = dataset if isinstance(dataset, dict) else dataset.model_dump()
    return f"dataset:{facts.get('name', '')}@{facts.get('digest') or facts.get('uri')}"


class Tracer:
    """Reads lineage.

    Args:
        backends: The places.
        reader: What is known.
    """

    def __init__(self, backends: Backends, reader: Reader) -> None:
        self._backends = backends
        self._reader = reader

    def everything(self) -> LineageGraph:
        """The graph of the whole registry."""
        versions = list(self._versions())
        parts = [part for version in versions for part in self._birth(*version)]
        parts += [part for version in versions for part in self._life(*version)]
        return _graph([*parts, *self._deployments()])

    def of(self, name: str, version: ModelVersion) -> LineageGraph:
        """What went into a version and what it touches.

        Of the other versions' lives only those that come from this one are read.
        """
        self._reader.standing(name)  # or it can't be read, and nothing is known of it
        root = model_id(name, version)
        versions = {model_id(s.name, k.version): (s, k) for s, k in self._versions()}
        parts = [part for each in versions.values() for part in self._birth(*each)]
        parts += self._deployments()
        around = _graph(parts).around(root)
        touched = [root, *(node.id for node in around.downstream())]
        for id in touched:
            if id in versions:
                parts += self._life(*versions[id])
        return _graph(parts).around(root)

    def _versions(self) -> Iterator[tuple[Standing, ModelMetadata]]:
        """Every version that is not deleted; a damaged one as far as it can be read."""
        for standing in self._reader.standings():
            every = standing.claimed
            for known in self._reader.all_metadata(standing.name, every, standing):
                if known.state != "deleted":
                    yield standing, known

    def _birth(self, standing: Standing, known: ModelMetadata) -> Iterator[_Part]:
        """The version and what went in."""
        id = model_id(standing.name, known.version)
        facts: dict[str, Any] = {
            "state": known.state,
            "stage": known.stage,
            "model_type": known.model_type,
            "environment": known.lineage.environment,
        }
        yield LineageNode(id, "model", f"{standing.name} {known.version}", facts)
        yield from _inputs(id, known.lineage)

    def _life(self, standing: Standing, known: ModelMetadata) -> Iterator[_Part]:
        """How the version was judged and where it was moved."""
        name, version = standing.name, known.version
        id = model_id(name, version)
        yield from self._records(name, version, id)
        for record in standing.lifecycle.history:
            if record.version != version:
                continue
            node = f"stage:{name}/{record.number}"
            label = f"{record.target or 'none'} by {record.actor}"
            yield LineageNode(node, "stage", label, record.model_dump(mode="json"))
            yield LineageEdge(id, node, "moved")

    def _records(self, name: str, version: ModelVersion, id: str) -> Iterator[_Part]:
        kinds: tuple[tuple[str, NodeKind], ...] = (
            ("evaluations", "evaluation"),
            ("drift", "drift"),
            ("performance", "performance"),
        )
        for folder, kind in kinds:
            for record in self._backends.journal.records(name, folder, version):
                node = f"{kind}:{name}/{version}/{record['number']}"
                label = f"{record['number']} {_data_of(record)}".strip()
                yield LineageNode(node, kind, label, record)
                yield LineageEdge(
                    id, node, "judged" if kind == "evaluation" else "watched"
                )

    def _deployments(self) -> Iterator[_Part]:
        storage, layout = self._backends.storage, self._backends.layout
        for name in storage.list_directories(layout.deployments_prefix):
            key = f"{layout.deployments_prefix}/{name}/config.json"
            try:
                config = json.loads(storage.read(key)[0])
            except (ObjectNotFoundError, UnsafeKeyError, ValueError):
                continue
            if not isinstance(config, dict):
                continue
            model, version = config.get("model_name"), config.get("version")
            if not model or not version:
                continue
            id = f"deployment:{name}"
            facts = {key: config.get(key) for key in ("model_name", "version")}
            yield LineageNode(id, "deployment", name, facts)
            yield LineageEdge(model_id(str(model), str(version)), id, "serves")
            tried = config.get("canary")
            if isinstance(tried, dict) and tried.get("version"):
                yield LineageEdge(
                    model_id(str(model), str(tried["version"])), id, "tries"
                )


def _graph(parts: Iterable[_Part]) -> LineageGraph:
    """Nodes and edges, with a node for every version that an edge alone names."""
    parts = list(parts)
    nodes = [part for part in parts if isinstance(part, LineageNode)]
    known = {node.id for node in nodes}
    edges = [part for part in parts if isinstance(part, LineageEdge)]
    nodes += [
        _unknown(id)
        for edge in edges
        for id in (edge.source, edge.target)
        if id not in known
    ]
    return LineageGraph(nodes, edges)


def _inputs(id: str, lineage: Lineage) -> Iterator[_Part]:
    for dataset in lineage.datasets:
        node = dataset_id(dataset)
        rows = f" ({dataset.rows} rows)" if dataset.rows is not None else ""
        facts = dataset.model_dump(mode="json")
        yield LineageNode(node, "dataset", dataset.name + rows, facts)
        yield LineageEdge(node, id, dataset.role)
    for features in lineage.features:
        label = f"{features.store}/{features.view} {features.version}".strip()
        node = f"features:{features.store}/{features.view}@{features.version}"
        yield LineageNode(node, "features", label, features.model_dump())
        yield LineageEdge(node, id, "features")
    for parent in lineage.parents:
        node = model_id(parent.name, parent.version)
        if parent.uri:  # one of ours may have the same name
            node += f"@{parent.uri}"
            facts = {"state": "unknown", "uri": parent.uri}
            yield LineageNode(node, "model", f"{parent.name} {parent.version}", facts)
        yield LineageEdge(node, id, parent.relation)
    if lineage.code is not None:
        dirty = " +dirty" if lineage.code.dirty else ""
        node = f"code:{lineage.code.commit}"
        label = lineage.code.commit[:12] + dirty
        yield LineageNode(node, "code", label, lineage.code.model_dump())
        yield LineageEdge(node, id, "trained")
    runs: tuple[tuple[NodeKind, str | None], ...] = (
        ("run", lineage.run_id),
        ("flow_run", lineage.flow_run_id),
    )
    for kind, run in runs:
        if run is not None:
            yield LineageNode(f"{kind}:{run}", kind, run)
            yield LineageEdge(f"{kind}:{run}", id, "made")


def _unknown(id: str) -> LineageNode:
    """A version that another one names but this registry does not have."""
    kind, _, rest = id.partition(":")
    if kind != "model":
        raise AssertionError(f"an edge without a node: {id}")
    return LineageNode(id, "model", rest.replace("/", " "), {"state": "unknown"})


def _data_of(record: dict[str, Any]) -> str:
    """Which rows an evaluation or drift check is about, in a few words."""
    dataset = record.get("dataset")
    if isinstance(dataset, dict):
        return f"on {dataset.get('name')} ({dataset.get('rows')} rows)"
    if record.get("start") and record.get("end"):
        return f"of {record['start'][:10]} to {record['end'][:10]}"
    return str(dataset or record.get("data_uri") or "")
