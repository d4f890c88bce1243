"""Adapter to pyarrow: a drift profile as one Parquet file.

Rows are ``column`` (its number), ``bin`` or ``category``, and ``count``; everything else
is JSON under the key ``brixa_drift_profile`` of the file's metadata, ``protocol`` first;
``brixa_drift_digest`` tells a file that was damaged.
A reader refuses a protocol it does not know; a change of meaning takes the next number.
Protocol 1 had no texts and tensors, so none of their parts, and is read as it was.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from brixa_flows.drift.column import ColumnProfile
from brixa_flows.drift.profile import PROTOCOL, DriftProfile
from brixa_flows.drift.radix import Histogram
from brixa_flows.drift.spread import ReferenceSpread
from brixa_flows.errors import DriftError

__all__ = ["describe", "dump", "is_profile", "parse", "read", "write"]

_READ = range(1, PROTOCOL + 1)
_KEY = b"brixa_drift_profile"
# Of the content; files of earlier releases have none.
_DIGEST = b"brixa_drift_digest"
# What reading a file raises of which any byte may be wrong.
_DAMAGE = (
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    NotImplementedError,
)
_FACTS = (
    "kind",
    "type_name",
    "rows",
    "missing",
    "infinite",
    "total",
    "squares",
    "minimum",
    "maximum",
    "centre",
    "whole",
    "other",
)


def describe(profile: DriftProfile) -> dict[str, Any]:
    """Everything but the counts, as JSON values."""
    spread = profile.spread
    return {
        "protocol": _protocol(profile),
        "rows": profile.rows,
        "window_column": profile.window_column,
        "columns": [
            {"name": name}
            | ({} if owner is None else {"part_of": owner})
            | {fact: getattr(column, fact) for fact in _FACTS}
            # Only of those that have some, so that other digests stay what they were.
            | ({"anchors": column.bins.anchors} if column.bins.anchors else {})
            | (
                {"negative": column.negative}
                if column.negative is not None and column.infinite
                else {}
            )
            for name, owner, column in _flat(profile)
        ],
        # Without it as before, so that its digest stays what it was.
        **({"absent": dict(profile.absent)} if profile.absent else {}),
        "spread": spread
        and {
            "window": spread.window,
            "windows": spread.windows,
            "effects": spread.effects,
            # Without rows as before, so that its digest stays what it was.
            **({"rows": spread.rows} if spread.rows else {}),
        },
    }


def _protocol(profile: DriftProfile) -> int:
    """The least that tells all, so that earlier releases read what they can."""
    if any(column.bins.anchors for _, _, column in _flat(profile)):
        return PROTOCOL
    return 2 if any(column.parts for column in profile.columns.values()) else 1


def _flat(profile: DriftProfile) -> Iterator[tuple[str, str | None, ColumnProfile]]:
    """Columns, each followed by its parts."""
    for name, column in profile.columns.items():
        yield name, None, column
        for part, measured in column.parts.items():
            yield part, name, measured


def write(profile: DriftProfile, path: Path) -> None:
    """Write beside the target, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        draft.write_bytes(dump(profile))
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def dump(profile: DriftProfile) -> bytes:
    """The content of its file."""
    facts = json.dumps(describe(profile)).encode()
    sealed = {_KEY: facts, _DIGEST: profile.digest.encode()}
    table = _table(profile).replace_schema_metadata(sealed)
    target = pa.BufferOutputStream()
    pq.write_table(
        table,
        target,
        compression="zstd",
        use_dictionary=["column", "category"],
        column_encoding={
            "bin": "DELTA_BINARY_PACKED",
            "count": "DELTA_BINARY_PACKED",
        },
    )
    return bytes(target.getvalue())


def is_profile(path: Path) -> bool:
    """Whether this is the file of a drift profile (of any protocol)."""
    if not path.is_file():
        return False
    try:
        return _KEY in (pq.read_schema(path).metadata or {})
    except _DAMAGE:
        return False


def read(path: Path) -> DriftProfile:
    """Read and check a file.

    Raises:
        DriftError: If it is absent, no drift profile, or of a newer protocol.
    """
    if not is_profile(path):
        raise DriftError(
            f"{path} is no drift profile; write one with DriftProfile.save"
        )
    return parse(path.read_bytes(), str(path))


def parse(content: bytes, name: str = "it") -> DriftProfile:
    """Read and check the content of a file.

    Raises:
        DriftError: If it is no drift profile, damaged, or of a newer protocol.
    """
    try:
        # On this thread: one of Arrow's pool that lets bytes of Python go while the
        # interpreter ends aborts the process, and read_table leaves them to the pool.
        table = pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False)
        metadata = table.schema.metadata or {}
        facts = json.loads(metadata.get(_KEY, b"{}"))
        protocol = facts.get("protocol")
        profile = _profile(facts, table) if protocol in _READ else None
        digest = "" if profile is None else profile.digest
    except _DAMAGE as err:
        raise DriftError(f"{name} can't be read as a drift profile: {err}") from err
    if _KEY not in metadata:
        raise DriftError(f"{name} is no drift profile")
    if profile is None:
        raise DriftError(
            f"{name} has protocol {protocol} of drift profiles, this brixa-flows reads "
            f"{PROTOCOL}; upgrade brixa-flows or build it anew"
        )
    if metadata.get(_DIGEST, digest.encode()) != digest.encode():
        raise DriftError(
            f"{name} was damaged: its content is not what was written; build it anew or "
            "take a copy"
        )
    return profile


def _profile(facts: dict[str, Any], table: pa.Table) -> DriftProfile:
    columns: dict[str, ColumnProfile] = {}
    numbers = table["column"].to_numpy()
    for number, column_facts in enumerate(facts["columns"]):
        lower, upper = np.searchsorted(numbers, [number, number + 1])
        rows = table.slice(lower, upper - lower)
        column_name = column_facts.pop("name")
        owner = column_facts.pop("part_of", None)
        column = _column(column_facts, rows)
        if owner is None:
            columns[column_name] = column
        else:
            whole = columns[owner]
            columns[owner] = replace(whole, parts={**whole.parts, column_name: column})
    spread = facts["spread"]
    return DriftProfile(
        facts["rows"],
        columns,
        facts["window_column"],
        None if spread is None else _spread(spread),
        facts.get("absent", {}),
    )


def _column(facts: dict[str, Any], rows: pa.Table) -> ColumnProfile:
    counts = rows["count"].to_numpy()
    if facts["infinite"]:
        facts.setdefault("negative", None)
    if facts["kind"] in ("category", "boolean", "text"):
        names = rows["category"].to_pylist()
        categories = dict(zip(names, counts.tolist(), strict=True))
        return ColumnProfile(**facts, categories=categories)
    if rows["bin"].null_count or rows["count"].null_count:
        raise ValueError("a bin of numbers is not there")
    keys, anchors = rows["bin"].to_numpy().astype(np.int64), facts.pop("anchors", ())
    bins = Histogram(keys, counts.astype(np.int64), tuple(map(float, anchors)))
    return ColumnProfile(**facts, bins=bins)


def _spread(facts: dict[str, Any]) -> ReferenceSpread:
    effects = {
        column: {method: tuple(each) for method, each in methods.items()}
        for column, methods in facts["effects"].items()
    }
    rows = tuple(facts.get("rows", ()))
    return ReferenceSpread(facts["window"], facts["windows"], effects, rows)


def _table(profile: DriftProfile) -> pa.Table:
    schema = pa.schema(
        [
            ("column", pa.int32()),
            ("bin", pa.int32()),
            ("category", pa.string()),
            ("count", pa.int64()),
        ]
    )
    parts = [schema.empty_table()]
    for number, (_, _, column) in enumerate(_flat(profile)):
        names = sorted(column.categories)
        counts = [*column.bins.counts, *(column.categories[name] for name in names)]
        bins = [*column.bins.keys, *([None] * len(names))]
        labels = [*([None] * len(column.bins.keys)), *names]
        arrays = [[number] * len(counts), bins, labels, counts]
        parts.append(pa.table(arrays, schema=schema))
    return pa.concat_tables(parts).combine_chunks()
