"""The digest of a dataset's content: equal tables, equal digest, whatever their form.

SHA-256 of each column's canonical bytes, then of the columns' names and digests in
order of name, shortened to 32 hexadecimal digits (MLflow keeps at most 36 characters).
Batch boundaries, column order, physical types (int32 or int64, dictionary or plain)
and the library that holds the table make no difference; row order does.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.plugins import import_adapter
from brixa_flows.prediction.pictures import holds_pictures

__all__ = ["ContentDigest"]

_DIGITS = 32
_COLUMNS_AT_MOST = 1_000
_PARTS = 3


class _Runs:
    """In which order rows of several shapes came; batch boundaries do not show."""

    def __init__(self) -> None:
        self._before = hashlib.sha256()
        self._header, self._rows = "", 0
        self.several = False

    def add(self, header: str, rows: int) -> None:
        if self._rows and header != self._header:
            self._before.update(f"{self._header} {self._rows};".encode())
            self._rows, self.several = 0, True
        self._header, self._rows = header, self._rows + rows

    def hexdigest(self) -> str:
        last = self._before.copy()
        last.update(f"{self._header} {self._rows};".encode())
        return last.hexdigest()


class ContentDigest:
    """Takes a dataset batch by batch."""

    def __init__(self) -> None:
        self._columns: dict[str, list[Any]] = {}
        self._runs: dict[str, _Runs] = {}
        self._tables = import_adapter("brixa_flows.prediction._tables")

    def update_column(self, name: str, values: Any) -> None:
        """Add the next values of a column (array of shape (n_samples,) or Arrow)."""
        self._add(name, self._tables.canonical_parts(values))

    def update_block(
        self, name: str, values: NDArray[Any], *, alone: bool = True
    ) -> None:
        """Add the next values of an array of shape (n_samples, ...).

        A matrix of up to 1,000 columns counts as columns called 0, 1, 2 ..., or
        ``name/0`` ... where it is not the only one.
        """
        if holds_pictures(values):
            for each in values:
                self._add_block(name, each[None])
        elif values.ndim == 1:
            self.update_column(name, values)
        elif values.ndim == 2 and values.shape[1] <= _COLUMNS_AT_MOST:
            for index in range(values.shape[1]):
                column = f"{index}" if alone else f"{name}/{index}"
                self.update_column(column, values[:, index])
        else:
            self._add_block(name, values)

    def _add_block(self, name: str, values: NDArray[Any]) -> None:
        header = f"{name} {values.dtype.str} {values.shape[1:]}"
        self._add(header, [np.ascontiguousarray(values).tobytes()])
        self._runs.setdefault(name, _Runs()).add(header, len(values))

    def _add(self, name: str, parts: list[bytes]) -> None:
        hashes = self._columns.setdefault(
            name, [hashlib.sha256() for _ in range(_PARTS)]
        )
        for each, part in zip(hashes, parts, strict=False):
            each.update(part)

    def hexdigest(self) -> str:
        """The digest of all that was added so far, 32 hexadecimal digits."""
        whole = hashlib.sha256()
        for name, runs in sorted(self._runs.items()):
            if runs.several:  # else the only header tells the shape
                whole.update(f"{name} {runs.hexdigest()}".encode())
        for name in sorted(self._columns):
            encoded = name.encode()
            whole.update(len(encoded).to_bytes(8, "big") + encoded)
            for each in self._columns[name]:
                whole.update(each.digest())
        return whole.hexdigest()[:_DIGITS]
