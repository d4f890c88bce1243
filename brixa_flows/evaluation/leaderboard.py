"""Versions that were judged on the same rows, the best first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.compare import MetricComparison
from brixa_flows.evaluation.metrics import (
    canonical_metric,
    direction_sign,
    no_such_metric,
)
from brixa_flows.evaluation.results import DatasetFacts, EvaluationResult
from brixa_flows.versioning import ModelVersion

__all__ = ["Leaderboard", "rank"]


@dataclass(frozen=True)
class Leaderboard:
    """Versions of a model, the best by one metric first.

    Attributes:
        model_name: The model.
        by: The metric that ranks.
        dataset: The rows that all were judged on.
        results: One for each version, the best first.
        left_out: Why others are not ranked, by version.
        production: The version in production now, if one is known to be.
        reference: The version that the others are tested against on the rows.
        tests: Each other version against it by the metric that ranks, by version; the
            version is the candidate.
        untested: Why there are no tests, or not of some versions.
    """

    model_name: str
    by: str
    dataset: DatasetFacts
    results: tuple[EvaluationResult, ...]
    left_out: dict[str, str] = field(default_factory=dict)
    production: ModelVersion | None = None
    reference: ModelVersion | None = None
    tests: dict[str, MetricComparison] = field(default_factory=dict)
    untested: tuple[str, ...] = ()

    @property
    def metrics(self) -> list[str]:
        """Metrics that all have, the one that ranks first."""
        shared = [
            name
            for name in self.results[0].metrics
            if name != self.by and all(name in each.metrics for each in self.results)
        ]
        return [self.by, *shared]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "model_name": self.model_name,
            "by": self.by,
            "dataset": vars(self.dataset) | {"columns": dict(self.dataset.columns)},
            "versions": [
                {
                    "rank": place,
                    "version": str(each.version),
                    "in_production": each.version == self.production,
                    "metrics": dict(each.metrics),
                    "intervals": {k: list(v) for k, v in each.intervals.items()},
                    "evaluated_at": each.evaluated_at.isoformat(),
                    "against_reference": self._test_of(each.version),
                }
                for place, each in enumerate(self.results, start=1)
            ],
            "left_out": dict(self.left_out),
            "reference": str(self.reference) if self.reference else None,
            "untested": list(self.untested),
        }

    def _test_of(self, version: ModelVersion) -> dict[str, Any] | None:
        found = self.tests.get(str(version))
        if found is None:
            return None
        return vars(found) | {"interval": list(found.interval)}

    def standing(self, version: ModelVersion) -> str:
        """How a version stands to the reference, for people."""
        if version == self.reference:
            return "the reference"
        found = self.tests.get(str(version))
        if found is None:
            return "not tested"
        return (
            f"{found.difference:+.4f} ({found.interval}), adjusted p "
            f"{found.adjusted_p_value:.3g}: {found.verdict.replace('_', ' ')}"
        )

    def to_markdown(self) -> str:
        """A table of the versions, and what is not in it and why."""
        heads = [*self.metrics, *([f"against {self.reference}"] * bool(self.tests))]
        lines = [
            f"## {self.model_name}: {len(self.results)} versions by {self.by}",
            "",
            f"{self.dataset.rows} rows of {self.dataset.name} (digest "
            f"{self.dataset.digest}), 95 % intervals.",
            "",
            "| | version | " + " | ".join(heads) + " |",
            "|---:|---|" + "---|" * len(heads),
        ]
        for place, each in enumerate(self.results, start=1):
            cells = [
                f"{each.metrics[m]:.4f} ({each.intervals[m]})" for m in self.metrics
            ]
            cells += [self.standing(each.version)] * bool(self.tests)
            version = self.shown(each.version)
            lines.append(f"| {place} | {version} | " + " | ".join(cells) + " |")
        return "\n".join([*lines, *(f"\n> {note}" for note in self.notes)]) + "\n"

    def shown(self, version: ModelVersion) -> str:
        """A version, and that it is in production if so."""
        return f"{version} (production)" if version == self.production else f"{version}"

    @property
    def notes(self) -> list[str]:
        """What a reader must know beside the table."""
        left = [f"left out {version}: {why}" for version, why in self.left_out.items()]
        told: dict[str, list[str]] = {}
        for each in self.results:
            for warning in each.warnings:
                told.setdefault(warning, []).append(str(each.version))
        warned = [f"{', '.join(by)}: {warning}" for warning, by in told.items()]
        return [*left, *warned, *self.untested]


def rank(
    model_name: str,
    judged: Mapping[ModelVersion, Sequence[EvaluationResult] | str],
    by: str | None = None,
    production: ModelVersion | None = None,
) -> Leaderboard:
    """Rank versions by their newest results on the rows that most were judged on.

    Args:
        model_name: The model.
        judged: What is known of each version, newest last, or why it has no result.
        by: The metric that ranks; the first of the newest result if not given.
        production: The version in production.

    Raises:
        EvaluationError: If nothing can be ranked; says why.
    """
    left_out = {str(v): why for v, why in judged.items() if isinstance(why, str)}
    known = {v: list(r) for v, r in judged.items() if not isinstance(r, str)}
    if not any(known.values()):
        whys = "".join(f"; {version}: {why}" for version, why in left_out.items())
        raise EvaluationError(
            f"no version of {model_name} was judged{whys}"
            if whys
            else f"no version of {model_name} was ever evaluated; give a dataset"
        )
    digest = _shared_digest(known)
    chosen: list[EvaluationResult] = []
    for version, results in known.items():
        on_it = [each for each in results if each.dataset_digest == digest]
        if on_it:
            chosen.append(on_it[-1])
        else:
            left_out[str(version)] = f"not judged on the rows {digest[:8]}"
    name = canonical_metric(by or next(iter(chosen[-1].metrics)))
    able = [each for each in chosen if name in each.metrics]
    for each in chosen:
        if name not in each.metrics:
            left_out[str(each.version)] = f"{name} was not measured"
    if not able:
        raise EvaluationError(no_such_metric(name, chosen[0].task), metric=name)
    sign = direction_sign(name)
    able.sort(key=lambda each: (-sign * each.metrics[name], each.version))
    board = Leaderboard(model_name, name, able[0].dataset, tuple(able), left_out)
    return replace(board, production=production)


def _shared_digest(known: Mapping[ModelVersion, Sequence[EvaluationResult]]) -> str:
    """Of the rows that most versions were judged on; of equals the newest."""
    newest: dict[str, Any] = {}
    counts: Counter[str] = Counter()
    for results in known.values():
        counts.update({each.dataset_digest for each in results})
        for each in results:
            moment = newest.get(each.dataset_digest, each.evaluated_at)
            newest[each.dataset_digest] = max(moment, each.evaluated_at)
    return max(counts, key=lambda digest: (counts[digest], newest[digest]))
