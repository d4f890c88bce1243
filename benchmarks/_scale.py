"""Grows a registry to thousands of versions in seconds, by what the product writes.

The first version of a model is registered and saved by the public API. The others are
copies of it: claims, seals and ``{version}_meta.json`` are written as the product's own
records through its journal, the manifest (``config.json``) names their own version and
has its own digest, the other files of the directory are the first one's byte for byte.
MLflow's rows of the first version (run, params, metrics, tags, dataset inputs, model
version and its tags) are copied in one transaction, each with the new version, digest
and run. Nothing is forced to the disk meanwhile. What is grown is loaded once at the
end, with its digests checked, and MLflow's client is asked how many it shows.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from brixa.ai.registry import ModelRegistry, ModelVersion
from brixa_flows.registry.facts.records import Claim, MetadataFile, Seal, new_id
from brixa_flows.registry.journal.journal import Journal
from brixa_flows.serializers.manifest import (
    ArtifactManifest,
    read_manifest,
    write_manifest,
)
from brixa_flows.storage.local import LocalStorageNode

# Table -> its column with the run, or with the model version's number.
_BY_RUN = {
    "runs": "run_uuid",
    "params": "run_uuid",
    "metrics": "run_uuid",
    "latest_metrics": "run_uuid",
    "tags": "run_uuid",
}
_BY_NUMBER = {"model_versions": "version", "model_version_tags": "version"}
_Row = dict[str, Any]


def small_model() -> Any:
    """A classifier of a few hundred bytes."""
    inputs, labels = load_iris(return_X_y=True, as_frame=True)
    return LogisticRegression(max_iter=1000).fit(inputs, labels)


def register(registry: ModelRegistry, name: str, **facts: Any) -> ModelVersion:
    """Register with what people usually say of a model."""
    return registry.register_model(
        name,
        "classification",
        "sklearn",
        description="Which iris it is.",
        tags={"team": "flowers", "source": "benchmark"},
        hyperparameters={"max_iter": 1000, "penalty": "l2"},
        metrics={"accuracy": 0.97, "f1": 0.96},
        custom={"cost_center": 42},
        owner="ann",
        datasets=[{"name": "iris", "digest": "sha256:1", "rows": 150}],
        **facts,
    ).version


def grow(registry: ModelRegistry, name: str, versions: list[str]) -> None:
    """Give a model these versions, ready to load.

    Args:
        registry: On a local folder with its embedded sqlite backend.
        name: A model that has none yet.
        versions: The first one is saved as any, the others are copies of it.
    """
    first, *others = map(ModelVersion.parse, versions)
    model = small_model()
    inputs = load_iris(as_frame=True).data.head(3)
    register(registry, name, version=first)
    registry.save_model(name, first, model, input_example=inputs)
    storage = registry.storage
    assert isinstance(storage, LocalStorageNode)
    journal = Journal(storage, registry.layout)
    with _nothing_forced():
        seals = [
            _copy_files(registry, journal, name, first, version, number)
            for number, version in enumerate(others, start=2)
        ]
    database = storage.root / registry.layout.meta_prefix / "mlflow.db"
    _copy_rows(database, name, str(first), list(zip(others, seals, strict=True)))
    registry.load_model(name, others[-1] if others else first)


@contextmanager
def _nothing_forced() -> Iterator[None]:
    kept, os.fsync = os.fsync, lambda descriptor: None
    try:
        yield
    finally:
        os.fsync = kept


def _copy_files(
    registry: ModelRegistry,
    journal: Journal,
    name: str,
    first: ModelVersion,
    version: ModelVersion,
    number: int,
) -> Seal:
    claim, seal = journal.read_claim(name, first), journal.read_seal(name, first)
    file = journal.read_metadata(name, first)
    assert claim is not None and seal is not None and file is not None
    named = {"version": version}
    core = claim.core.model_copy(update=named)
    claim = claim.model_copy(update={"id": new_id(), "core": core})
    assert journal.claim(claim)
    manifest = _copy_directory(registry, name, first, version)
    sealed = seal.model_copy(
        update={
            "claim_id": claim.id,
            "digest": manifest.digest,
            "run_id": uuid.uuid4().hex,
            "backend_version": str(number),
            "event_id": new_id(),
        }
    )
    journal.seal(name, version, sealed)
    _write_file(journal, claim, file)
    return sealed


def _write_file(journal: Journal, claim: Claim, first: MetadataFile) -> None:
    core = first.core.model_copy(update={"version": claim.core.version})
    changed = first.model_copy(update={"core": core})
    journal.change_metadata(claim, lambda old: changed)


def _copy_directory(
    registry: ModelRegistry, name: str, first: ModelVersion, version: ModelVersion
) -> ArtifactManifest:
    root = Path(registry.storage.root)  # type: ignore[attr-defined]
    source = root / registry.layout.version_prefix(name, first)
    target = root / registry.layout.version_prefix(name, version)
    shutil.copytree(source, target, copy_function=shutil.copyfile)
    (target / "config.json").unlink()
    manifest = read_manifest(source)
    core = {**manifest.core, "version": str(version)}
    write_manifest(target, manifest.model_copy(update={"core": core}))
    return read_manifest(target)


def _copy_rows(
    database: Path, name: str, first: str, others: list[tuple[ModelVersion, Seal]]
) -> None:
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    with connection:
        run_id = connection.execute(
            "SELECT run_id FROM model_versions WHERE name = ? AND version = 1", (name,)
        ).fetchone()[0]
        for table, column in _BY_RUN.items():
            _copy(connection, table, {column: run_id}, first, others, _of_run(column))
        for table in _BY_NUMBER:
            own = {"name": name, "version": 1}
            _copy(connection, table, own, first, others, _of_version)
        _copy_inputs(connection, run_id, others)
    connection.close()


_Change = Callable[[_Row, ModelVersion, Seal], _Row]


def _of_run(column: str) -> _Change:
    return lambda row, version, seal: {**row, column: seal.run_id}


def _of_version(row: _Row, version: ModelVersion, seal: Seal) -> _Row:
    changed = {**row, "version": int(seal.backend_version)}
    return changed | ({"run_id": seal.run_id} if "run_id" in row else {})


def _copy(
    connection: sqlite3.Connection,
    table: str,
    own: _Row,
    first: str,
    others: list[tuple[ModelVersion, Seal]],
    change: _Change,
) -> None:
    where = " AND ".join(f"{column} = :{column}" for column in own)
    rows = [
        dict(row)
        for row in connection.execute(f"SELECT * FROM {table} WHERE {where}", own)
    ]
    copies = [
        _renamed(change(row, version, seal), first, version, seal)
        for version, seal in others
        for row in rows
    ]
    _insert(connection, table, copies)


def _renamed(row: _Row, first: str, version: ModelVersion, seal: Seal) -> _Row:
    """What names the version or its digest in a text names the copy's."""
    if row.get("key") == "brixa.digest":
        return {**row, "value": seal.digest}
    return {
        key: (
            value.replace(first, str(version))
            if key in ("value", "name", "source", "storage_location")
            and isinstance(value, str)
            else value
        )
        for key, value in row.items()
    }


def _copy_inputs(
    connection: sqlite3.Connection, run_id: str, others: list[tuple[ModelVersion, Seal]]
) -> None:
    found = connection.execute(
        "SELECT * FROM inputs WHERE destination_id = ?", (run_id,)
    )
    for row in map(dict, found.fetchall()):
        tags = connection.execute(
            "SELECT * FROM input_tags WHERE input_uuid = ?", (row["input_uuid"],)
        )
        tag_rows = [dict(tag) for tag in tags]
        ids = [uuid.uuid4().hex for _ in others]
        _insert(
            connection,
            "inputs",
            [
                {**row, "input_uuid": own, "destination_id": seal.run_id}
                for own, (_, seal) in zip(ids, others, strict=True)
            ],
        )
        _insert(
            connection,
            "input_tags",
            [{**tag, "input_uuid": own} for own in ids for tag in tag_rows],
        )


def _insert(connection: sqlite3.Connection, table: str, rows: list[_Row]) -> None:
    if not rows:
        return
    columns = list(rows[0])
    marks = ", ".join("?" * len(columns))
    connection.executemany(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})",
        [tuple(row[column] for column in columns) for row in rows],
    )
