"""A data set summed up in one pass: a few KB a column, whatever its length."""

from __future__ import annotations

import hashlib
import importlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from brixa_flows.drift.base import DriftMethod
from brixa_flows.drift.column import ColumnKind, ColumnProfile
from brixa_flows.drift.spread import ReferenceSpread, measure_spread, window_seconds
from brixa_flows.errors import DriftError, some_of
from brixa_flows.plugins import DRIFT_METHODS

__all__ = ["PROTOCOL", "DriftProfile", "load_methods"]

PROTOCOL = 3
# A window that covers less of its length than this says little about such windows.
_FULL_WINDOW_SHARE = 0.8


def load_methods() -> list[DriftMethod]:
    """Every known drift method, ready to measure."""
    return [DRIFT_METHODS.load(name)() for name in DRIFT_METHODS.all()]


@dataclass(frozen=True, eq=False)
class DriftProfile:
    """All columns of some rows. Profiles add up: any window is a sum of smaller ones.

    Attributes:
        rows: Rows that went in.
        columns: Profile by column name.
        window_column: The time by which the rows were cut into windows; it is a clock,
            no feature, and is not among ``columns``.
        spread: How much the windows differ from one another, if they were cut.
        absent: Rows that came without a column that others have, by column: files of
            a folder may differ. They count as missing ones too.
    """

    rows: int
    columns: Mapping[str, ColumnProfile] = field(default_factory=dict)
    window_column: str | None = None
    spread: ReferenceSpread | None = None
    absent: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        data: Any,
        *,
        columns: Sequence[str] | None = None,
        like: DriftProfile | None = None,
        window_column: str | None = None,
        window: str = "7D",
        window_rows: int | None = None,
        kinds: Mapping[str, ColumnKind] | None = None,
        each: Callable[[Any], None] | None = None,
    ) -> DriftProfile:
        """Read data once, batch by batch.

        Args:
            data: A pandas or polars frame, an Arrow table, batches or reader, a Parquet
                path, folder or glob, a DuckDB relation, or a dict of arrays.
            columns: Only these; all by default.
            like: Take the centres of this profile, so that both have the same bins.
            window_column: Dates or times; with it the spread of the data's own windows
                is measured, against which later windows are judged. Rows without one
                are in no window and not counted.
            window: Length of those windows, such as ``7D`` or ``12h``.
            window_rows: In place of ``window_column``: windows of so many rows, in the
                order of the data.
            kinds: What columns hold where their type does not tell: ``category`` for
                numbers that are codes, ``text`` or ``category`` for strings. By
                default strings that seldom repeat and have three words are texts.
            each: Called with every Arrow record batch as it is read, so that what else
                wants the rows reads them no second time; not with windows.

        Raises:
            DriftError: If the data can't be read, a named column is absent, a column
                can't be of the kind that is said, or windows can't be cut so.
        """
        if [window_column, window_rows, each].count(None) < 2:
            raise DriftError(
                "windows are of time (window_column=) or of rows (window_rows=), and "
                "each= goes with neither; give one of the three"
            )
        building = importlib.import_module("brixa_flows.drift._building")
        if window_rows is not None:
            rows = building.build_row_windows(data, columns, (like, kinds), window_rows)
            full = [part for part in rows if part.rows == window_rows]
            return cls.from_windows(rows, window=f"{window_rows} rows", full=full)
        if window_column is None:
            whole: DriftProfile = building.build(data, columns, like, kinds, each)
            return whole
        seconds = window_seconds(window)
        wanted = None
        if columns is not None:
            wanted = list(dict.fromkeys([*columns, window_column]))
        likes = (like, kinds)
        parts = building.build_windows(data, wanted, likes, window_column, seconds)
        full = [part for part, share in parts if share >= _FULL_WINDOW_SHARE]
        whole = cls.from_windows([part for part, _ in parts], window=window, full=full)
        return replace(whole, window_column=window_column)

    @classmethod
    def from_windows(
        cls,
        windows: Sequence[DriftProfile],
        *,
        window: str,
        full: Sequence[DriftProfile] | None = None,
    ) -> DriftProfile:
        """Sum up windows of one length and keep how much they differ.

        Args:
            windows: Profiles of the windows, such as those of past weeks.
            window: Their length, such as ``7D``.
            full: Those that cover their whole length; all by default.

        Raises:
            DriftError: If there are none, or a column is of different kinds in them.
        """
        if not windows:
            raise DriftError("a reference needs at least one window")
        whole = windows[0]
        for part in windows[1:]:
            whole = whole + part
        parts = [part.about(whole) for part in (windows if full is None else full)]
        spread = measure_spread(
            window,
            [dict(part.columns) for part in parts],
            dict(whole.columns),
            load_methods(),
            [part.rows for part in parts],
        )
        return replace(whole, columns=_trimmed(whole.columns), spread=spread)

    def about(self, other: DriftProfile) -> DriftProfile:
        """The same profile about the centres of ``other``."""
        moved = {
            name: column.like(other.columns.get(name))
            for name, column in self.columns.items()
        }
        return replace(self, columns=moved)

    def __add__(self, other: DriftProfile) -> DriftProfile:
        """Both data sets together; the bins are about the first one's centres.

        A column that only one of them has counts as missing in the other's rows. The
        sum has no spread, because its windows would have to be compared anew.

        Raises:
            DriftError: If a column is numeric in one and categories in the other.
        """
        names = [*self.columns, *(n for n in other.columns if n not in self.columns)]
        summed = {}
        for name in names:
            first = self.columns.get(name, _absent(self.rows))
            try:
                summed[name] = first + other.columns.get(name, _absent(other.rows))
            except DriftError as err:
                raise DriftError(f"column {name!r}: {err}") from err
        absent = Counter(self.absent) + Counter(other.absent)
        for side, twin in ((self, other), (other, self)):
            absent.update({n: side.rows for n in twin.columns if n not in side.columns})
        return DriftProfile(
            self.rows + other.rows,
            summed,
            self.window_column or other.window_column,
            absent={name: rows for name, rows in absent.items() if rows},
        )

    def beside(self, other: DriftProfile) -> DriftProfile:
        """The same, where a column of another kind in ``other`` is of no kind in both.

        So rows add up whose files disagree on a type; it is told as retyped.
        """
        columns = dict(self.columns)
        for name, column in self.columns.items():
            twin = other.columns.get(name)
            if twin is None or "empty" in (column.kind, twin.kind):
                continue
            if column.kind != twin.kind:
                types = sorted({column.type_name, twin.type_name})
                columns[name] = ColumnProfile(
                    "unsupported", " or ".join(types), column.rows, column.missing
                )
        return replace(self, columns=columns)

    def newest(self, clock: str | None = None) -> float | None:
        """Seconds since 1970 of the latest date or time.

        Args:
            clock: Its column; by default the latest of all such columns.

        Raises:
            DriftError: If the column is absent or holds no dates or times.
        """
        chosen = {clock: self.columns.get(clock)} if clock else self.columns
        times = [c for c in chosen.values() if c is not None and c.kind == "datetime"]
        if clock and not times:
            raise DriftError(
                f"there is no column {clock!r} of dates or times; there are: "
                f"{some_of(self.columns)}"
            )
        return max((c.maximum for c in times if c.maximum is not None), default=None)

    @property
    def digest(self) -> str:
        """``sha256:...`` of the content, the same however the file was written."""
        facts = json.dumps(_files().describe(self), sort_keys=True, allow_nan=False)
        sha = hashlib.sha256(facts.encode())
        for name in sorted(self.columns):
            column = self.columns[name]
            for each in (column, *column.parts.values()):
                sha.update(each.bins.keys.astype("<i8").tobytes())
                sha.update(each.bins.counts.astype("<i8").tobytes())
                sha.update(json.dumps(sorted(each.categories.items())).encode())
        return f"sha256:{sha.hexdigest()}"

    def save(self, path: str | Path) -> None:
        """Write one Parquet file, whole or not at all."""
        _files().write(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> DriftProfile:
        """Read what :meth:`save` wrote.

        Raises:
            DriftError: If it is no drift profile, or one of a newer protocol.
        """
        profile: DriftProfile = _files().read(Path(path))
        return profile

    @staticmethod
    def is_in(path: str | Path) -> bool:
        """Whether a file is what :meth:`save` wrote."""
        found: bool = _files().is_profile(Path(path))
        return found

    def to_bytes(self) -> bytes:
        """What :meth:`save` writes, for a place that is no folder."""
        content: bytes = _files().dump(self)
        return content

    @classmethod
    def from_bytes(cls, content: bytes) -> DriftProfile:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            DriftError: If it is no drift profile, or one of a newer protocol.
        """
        profile: DriftProfile = _files().parse(content)
        return profile

    @classmethod
    def of(
        cls,
        data: Any,
        *,
        like: DriftProfile | None = None,
        each: Callable[[Any], None] | None = None,
    ) -> DriftProfile:
        """``data`` as a profile: itself, loaded if it is the file of one, or built.

        Args:
            data: The rows, or their profile.
            like: As in :meth:`build`.
            each: As in :meth:`build`; a profile has no rows to call it with.

        Raises:
            DriftError: If the data can't be read.
        """
        if isinstance(data, DriftProfile):
            # A sum keeps more than a whole that was built at once.
            trimmed = replace(data, columns=_trimmed(data.columns))
            return trimmed if like is None else trimmed.about(like)
        if isinstance(data, (str, Path)) and cls.is_in(data):
            return cls.of(cls.load(data), like=like)
        return cls.build(data, like=like, each=each)


def _trimmed(columns: Mapping[str, ColumnProfile]) -> dict[str, ColumnProfile]:
    return {name: column.trimmed() for name, column in columns.items()}


def _absent(rows: int) -> ColumnProfile:
    return ColumnProfile("empty", "absent", rows, missing=rows)


def _files() -> ModuleType:
    return importlib.import_module("brixa_flows.drift._parquet")
