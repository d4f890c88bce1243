"""The reference data of a version: its drift profile, and rows to infer schemas from."""

from __future__ import annotations

import glob
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brixa_flows.drift.profile import DriftProfile
from brixa_flows.drift.seasons import SEASONS_FOLDER, SeasonalReference
from brixa_flows.errors import DatasetError

__all__ = ["PROFILE_NAME", "example_from", "write_profile"]

PROFILE_NAME = "drift_profile.parquet"
_EXAMPLE_ROWS = 1000
_WINDOW = "7D"


@dataclass(frozen=True)
class _Columns:
    """Names of a table's columns, and which of them are points in time."""

    names: tuple[str, ...]
    times: tuple[str, ...]


def write_profile(
    reference: Any,
    path: Path,
    input_schema: Mapping[str, Any] | None,
    target: str | None = None,
) -> None:
    """Profile the reference data and write it into a version directory.

    The columns that the model takes are profiled (all but ``target``, where it is not
    known which those are). A column of times that the model does not take splits the
    reference into weeks, whose spread tells how much is normal.

    Args:
        reference: A profile or a seasonal reference, or where one was saved; a frame,
            an Arrow table, an array, or a Parquet path.
        path: File to write.
        input_schema: What the model takes.
        target: Name of the label column.

    Raises:
        DriftError: If the reference can't be profiled.
        DatasetError: If its file can't be read or it has no rows.
    """
    known = _as_profiled(reference)
    if isinstance(known, SeasonalReference):
        known.save(path.with_name(SEASONS_FOLDER))
        known = known.whole
    if known is not None:
        _save(known, path)
        return
    columns = _columns_of(reference)
    if columns is None:
        _save(DriftProfile.build(reference), path)
        return
    taken = set((input_schema or {}).get("properties", {}))
    chosen = [name for name in columns.names if name in taken]
    if not chosen:
        beside = {target, *columns.times[:1]}
        chosen = [name for name in columns.names if name not in beside]
    times = [name for name in columns.times if name not in chosen]
    profile = DriftProfile.build(
        reference,
        columns=chosen,
        window_column=times[0] if times else None,
        window=_WINDOW,
    )
    _save(profile, path)


def _save(profile: DriftProfile, path: Path) -> None:
    if not profile.rows:
        raise DatasetError(
            "the reference has no rows, so nothing could be compared with it; give the "
            "rows that the model was trained on, or leave reference= out"
        )
    profile.save(path)


def example_from(model: Any, reference: Any) -> Any:
    """Rows of the reference as the model takes them, if the model says which it takes.

    Returns:
        ``None`` if there is no reference or the model names no columns of it.
    """
    taken = getattr(model, "feature_names_in_", None)
    if reference is None or taken is None or _as_profiled(reference) is not None:
        return None
    columns = _columns_of(reference)
    names = [str(name) for name in taken]
    if columns is None or not set(names) <= set(columns.names):
        return None
    return _head(reference)[names]


def _as_profiled(reference: Any) -> DriftProfile | SeasonalReference | None:
    """What was profiled before, in memory or saved at a path; ``None`` for rows."""
    if isinstance(reference, DriftProfile | SeasonalReference):
        return reference
    if not isinstance(reference, str | Path):
        return None
    if SeasonalReference.is_in(reference):
        return SeasonalReference.load(reference)
    return DriftProfile.load(reference) if DriftProfile.is_in(reference) else None


def _columns_of(reference: Any) -> _Columns | None:
    if isinstance(reference, str | Path):
        return _arrow_columns(_open_file(reference).schema)
    schema = getattr(reference, "schema", None)
    if _is_from("pyarrow", reference):
        return _arrow_columns(schema)
    if _is_from("polars", reference):
        return _arrow_columns(reference.head(1).to_arrow().schema)
    if _is_from("pandas", reference) and hasattr(reference, "columns"):
        names = tuple(str(name) for name in reference.columns)
        times = tuple(
            str(name)
            for name, dtype in zip(reference.columns, reference.dtypes, strict=True)
            if str(dtype).startswith(("datetime64", "timestamp"))
        )
        return _Columns(names, times)
    return None


def _arrow_columns(schema: Any) -> _Columns:
    times = tuple(
        field.name for field in schema if str(field.type).startswith("timestamp")
    )
    return _Columns(tuple(schema.names), times)


def _head(reference: Any) -> Any:
    if isinstance(reference, str | Path):
        return _open_file(reference).head(_EXAMPLE_ROWS).to_pandas()
    if _is_from("pyarrow", reference):
        return reference.slice(0, _EXAMPLE_ROWS).to_pandas()
    head = reference.head(_EXAMPLE_ROWS)
    return head.to_pandas() if _is_from("polars", reference) else head


def _open_file(path: str | Path) -> Any:
    """A Parquet file, folder or glob as a dataset of Arrow, nothing read yet."""
    found = sorted(glob.glob(str(path))) if glob.has_magic(str(path)) else str(path)
    if not found or (isinstance(found, str) and not Path(found).exists()):
        raise DatasetError(
            f"there is no reference file {path}; give the path or glob of Parquet files"
        )
    arrow = importlib.import_module("pyarrow.dataset")
    try:
        return arrow.dataset(found, format="parquet")
    except (OSError, ValueError) as err:
        raise DatasetError(
            f"the reference {path} can't be read as Parquet: {err}"
        ) from err


def _is_from(library: str, value: Any) -> bool:
    return any(
        each.__module__.partition(".")[0] == library for each in type(value).__mro__
    )
