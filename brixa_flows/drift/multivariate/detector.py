"""Compares samples of whole rows."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from brixa_flows.drift.arguments import checked_alpha, checked_rows
from brixa_flows.drift.judging import benjamini_hochberg
from brixa_flows.drift.multivariate.matrix import matrices
from brixa_flows.drift.profile import DriftProfile
from brixa_flows.errors import DriftError, some_of
from brixa_flows.plugins import MULTIVARIATE_METHODS

__all__ = ["MethodResult", "MultivariateDetector", "MultivariateReport"]


Embed = Callable[[list[str]], Any]


class MethodResult(BaseModel):
    """What one method found."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Literal["ok", "drift"]
    effect: float
    threshold: float
    p_value: float
    adjusted_p_value: float


class MultivariateReport(BaseModel):
    """Whether rows changed as wholes.

    Attributes:
        status: ``drift`` if a method says so surely and largely.
        rows: Of the current data.
        reference_rows: Of the reference.
        sampled: At most so many rows of each were compared.
        columns: That went in.
        left_out: Columns that could not: texts, times, and what is gone or retyped.
        methods: Results by name.
        sentence: In plain words.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: Literal["ok", "drift", "insufficient_data"]
    rows: int
    reference_rows: int
    sampled: int
    columns: tuple[str, ...]
    left_out: tuple[str, ...]
    methods: dict[str, MethodResult]
    sentence: str


class MultivariateDetector:
    """Says whether whole rows differ: correlations, embeddings, rare combinations.

    It compares random samples of rows and so needs the rows of the reference; a profile
    does not have them.

    Args:
        methods: ``domain_classifier``, ``pca_reconstruction``, ``energy``, ``mmd``, or
            the name of a plug-in.
        sample_rows: Of each side at most.
        min_rows: With fewer on either side nothing is judged.
        alpha: Share of false alarms over all methods.
        seed: Of the sample and of all chance.
        embed: By a column of texts (or whatever else), what makes a vector of each
            value: it gets the values of the sample as a list of texts, an empty one
            where a value is missing, and returns an array of shape (n_rows, n_numbers).
            Embeddings that the rows have already, as lists of numbers, need none.

    Raises:
        UnknownPluginError: If a method is unknown.
        DriftError: If there is none, or a number can't be.
    """

    def __init__(
        self,
        methods: Sequence[str] = ("domain_classifier", "pca_reconstruction", "energy"),
        *,
        sample_rows: int = 4_000,
        min_rows: int = 200,
        alpha: float = 0.05,
        seed: int = 0,
        embed: Mapping[str, Embed] | None = None,
    ) -> None:
        self.methods = [MULTIVARIATE_METHODS.load(name)() for name in methods]
        if not self.methods:
            raise DriftError(
                "methods names none, so nothing would be compared; there are: "
                f"{some_of(MULTIVARIATE_METHODS.all())}"
            )
        self.sample_rows = checked_rows(sample_rows, "sample_rows")
        self.min_rows = checked_rows(min_rows)
        self.alpha = checked_alpha(alpha)
        self.seed = seed
        self.embed = dict(embed or {})

    def detect(
        self, reference: Any, current: Any, *, columns: Sequence[str] | None = None
    ) -> MultivariateReport:
        """Compare ``current`` with ``reference``.

        Args:
            reference: Rows in any form that :meth:`DriftProfile.build` reads.
            current: The same; each is read once.
            columns: Only these; all by default.

        Raises:
            DriftError: If data can't be read, one is a profile, or a column can't be
                embedded.
        """
        if any(isinstance(each, DriftProfile) for each in (reference, current)):
            raise DriftError(
                "a profile keeps no rows, so rows can't be compared with it; give the "
                "data it was made of"
            )
        arrow: Any = importlib.import_module("brixa_flows.drift.multivariate._sampling")
        rng = np.random.default_rng(self.seed)
        samples = [
            arrow.sample(data, columns, self.sample_rows, rng)
            for data in (reference, current)
        ]
        partly = list(dict.fromkeys(name for each in samples for name in each[2]))
        embedded = [self._embedded(each[0]) for each in samples]
        for side in embedded:
            for name in partly:
                side.pop(name, None)
        first, second, used, left = matrices(*embedded)
        left = [*left, *(f"{name} (some files lack it)" for name in partly)]
        sizes = samples[0][1], samples[1][1]
        results: dict[str, MethodResult] = {}
        enough = min(sizes) >= self.min_rows and bool(used)
        if enough:
            results = self._results(first, second, rng)
        drifted = any(each.status == "drift" for each in results.values())
        return MultivariateReport(
            status="drift" if drifted else "ok" if enough else "insufficient_data",
            rows=sizes[1],
            reference_rows=sizes[0],
            sampled=self.sample_rows,
            columns=tuple(used),
            left_out=tuple(left),
            methods=results,
            sentence=self._sentence(results, sizes, used, left),
        )

    def _embedded(self, sampled: dict[str, Any]) -> dict[str, Any]:
        """The sample with vectors in place of what can be embedded."""
        arrow: Any = importlib.import_module("brixa_flows.drift.multivariate._sampling")
        made = dict(sampled)
        for name, embed in self.embed.items():
            if name not in made:
                raise DriftError(
                    f"there is no column {name!r} to embed; there are: {some_of(made)}"
                )
            if not len(made[name]):
                continue
            texts = [text or "" for text in arrow.texts(made[name])]
            vectors = np.asarray(embed(texts), dtype=np.float64)
            if vectors.ndim != 2 or len(vectors) != len(texts):
                raise DriftError(
                    f"the embeddings of {name!r} have the shape {vectors.shape}; "
                    f"{len(texts)} values need an array of shape ({len(texts)}, n_numbers)"
                )
            made[name] = arrow.vectors(vectors)
        return made

    def _results(
        self, first: Any, second: Any, rng: np.random.Generator
    ) -> dict[str, MethodResult]:
        found = [
            (method, method.measure(first, second, rng)) for method in self.methods
        ]
        adjusted = benjamini_hochberg([each.p_value or 0.0 for _, each in found])
        results = {}
        for (method, each), p_value in zip(found, adjusted.tolist(), strict=True):
            effect = each.effect or 0.0
            drifted = p_value < self.alpha and effect >= method.threshold
            results[method.name] = MethodResult(
                status="drift" if drifted else "ok",
                effect=effect,
                threshold=method.threshold,
                p_value=each.p_value or 0.0,
                adjusted_p_value=p_value,
            )
        return results

    def _sentence(
        self,
        results: dict[str, MethodResult],
        sizes: tuple[int, int],
        used: Sequence[str],
        left: Sequence[str],
    ) -> str:
        if not used:
            return f"No column can be compared as a part of rows: {', '.join(left)}."
        if not results:
            return (
                f"Too few rows to judge: {sizes[1]:,} against {sizes[0]:,}; at least "
                f"{self.min_rows:,} of each are needed."
            )
        worse = [
            f"{name.replace('_', ' ')} {each.effect:.3g} (limit {each.threshold:g})"
            for name, each in results.items()
            if each.status == "drift"
        ]
        besides = f"; left out: {', '.join(left)}" if left else ""
        if not worse:
            return f"Rows of {len(used)} columns are as they were{besides}."
        changed = f"changed as wholes: {', '.join(worse)}"
        return f"Rows of {len(used)} columns {changed}{besides}."
