"""Features as codes of bins and categories: whatever comes, a linear model takes it."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from brixa_flows.drift.performance.columns import as_floats, as_texts
from brixa_flows.drift.radix import Floats, Integers

__all__ = ["Encoding", "encode_all", "learn_encoding", "sums"]

_BINS = 20
_MOST_CATEGORIES = 50


@dataclass(frozen=True)
class Encoding:
    """The codes of one feature; 0 is missing or never seen.

    Attributes:
        name: Of the column.
        edges: Between the bins of a number, ascending.
        categories: Of anything else, the most frequent ones.
    """

    name: str
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many codes there are."""
        return 1 + (len(self.categories) or len(self.edges) + 1)

    def codes(self, column: Any) -> Integers:
        """The code of each row, of shape (n_rows,).

        Raises:
            DriftError: If numbers are expected and the column holds none.
        """
        if self.categories:
            places = {name: place + 1 for place, name in enumerate(self.categories)}
            texts = as_texts(column)
            found = [places.get(text, 0) if text is not None else 0 for text in texts]
            return np.array(found, dtype=np.int64)
        values = as_floats(column, self.name)
        codes = 1 + np.searchsorted(np.array(self.edges), values, side="right")
        return np.where(np.isnan(values), 0, codes).astype(np.int64)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def learn_encoding(name: str, column: Any) -> Encoding:
    """Twenty bins of equal shares, or the fifty most frequent categories."""
    adapter = importlib.import_module("brixa_flows.drift.performance._arrow")
    if not adapter.is_number(column):
        counts = Counter(text for text in as_texts(column) if text is not None)
        kept = [text for text, _ in counts.most_common(_MOST_CATEGORIES)]
        return Encoding(name, categories=tuple(kept))
    values = as_floats(column, name)
    values = values[np.isfinite(values)]
    if not len(values):
        return Encoding(name)
    levels = np.arange(1, _BINS) / _BINS
    return Encoding(name, edges=tuple(np.unique(np.quantile(values, levels)).tolist()))


def encode_all(encodings: tuple[Encoding, ...], columns: dict[str, Any]) -> Integers:
    """Codes that no two features share, of shape (n_rows, n_features)."""
    offset, codes = 0, []
    for each in encodings:
        codes.append(each.codes(columns[each.name]) + offset)
        offset += each.size
    return np.stack(codes, axis=1)


def sums(weights: Floats, codes: Integers) -> Floats:
    """What a linear model adds for the codes of each row, of shape (n_rows,)."""
    added: Floats = weights[codes].sum(axis=1)
    return added
