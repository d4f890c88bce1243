"""PSI and Jensen-Shannon: reported because people know them, decisive for nothing.

A category share that moves by five points has a PSI of .010 to .023, far below the
customary .1, and ten bins of a numeric column hide what happens inside of them.
"""

from __future__ import annotations

import numpy as np

from brixa_flows.drift.base import Measurement
from brixa_flows.drift.column import ColumnKind, ColumnProfile
from brixa_flows.drift.methods.categorical import aligned_counts
from brixa_flows.drift.radix import Floats, Integers

__all__ = ["JensenShannon", "PopulationStability"]

_KINDS: tuple[ColumnKind, ...] = ("numeric", "datetime", "category", "boolean")
_BINS = 10
_SMALLEST_SHARE = 1e-4


class _Divergence:
    """How far apart the shares of the same bins are; reported, never decisive."""

    check = "values"
    kinds = _KINDS
    threshold: float | None = None

    def measure(
        self, reference: ColumnProfile, current: ColumnProfile
    ) -> Measurement | None:
        shares = _shares(reference, current)
        return None if shares is None else Measurement(self._between(*shares))

    def _between(self, before: Floats, after: Floats) -> float:
        raise NotImplementedError


class PopulationStability(_Divergence):
    """Population stability index, numeric columns in ten equal shares of the reference.

    Empty bins count as a share of 0.0001.
    """

    name = "psi"

    def _between(self, before: Floats, after: Floats) -> float:
        before = np.maximum(before, _SMALLEST_SHARE)
        after = np.maximum(after, _SMALLEST_SHARE)
        return float(np.sum((after - before) * np.log(after / before)))


class JensenShannon(_Divergence):
    """Jensen-Shannon distance to base e, numeric columns binned as for the PSI."""

    name = "jensen_shannon"

    def _between(self, before: Floats, after: Floats) -> float:
        middle = (before + after) / 2
        halves = (_relative_entropy(part, middle) for part in (before, after))
        return float(np.sqrt(max(sum(halves) / 2, 0.0)))


def _shares(
    reference: ColumnProfile, current: ColumnProfile
) -> tuple[Floats, Floats] | None:
    if not reference.values or not current.values:
        return None
    first, second = _counts(reference, current)
    return first / first.sum(), second / second.sum()


def _counts(
    reference: ColumnProfile, current: ColumnProfile
) -> tuple[Integers, Integers]:
    if reference.kind in ("category", "boolean"):
        return aligned_counts(reference, current)[1:]
    inner = np.unique(reference.quantiles(*(np.arange(1, _BINS) / _BINS)))
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    whole = reference.whole and current.whole
    return (
        reference.bins.coarsened(edges, whole=whole),
        current.bins.coarsened(edges, whole=whole),
    )


def _relative_entropy(part: Floats, whole: Floats) -> float:
    filled = part > 0
    return float(np.sum(part[filled] * np.log(part[filled] / whole[filled])))
