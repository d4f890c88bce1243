"""Versions that were judged on the same rows, the best first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.comparison import MetricComparison
from brixa_flows.evaluation.conditions import Conditions
from brixa_flows.evaluation.metrics import (
    canonical_metric,
    direction_sign,
    no_such_metric,
)
from brixa_flows.evaluation.results import DatasetFacts, EvaluationResult
from brixa_flows.versioning import ModelVersion

__all__ = ["Leaderboard", "rank", "under"]


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
    def conditions(self) -> Conditions:
        """What all numbers are of."""
        return self.results[0].conditions

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
            "dataset": self.dataset.to_dict(),
            "task": self.conditions.task,
            "positive": self.conditions.positive,
            "threshold": self.conditions.threshold,
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
            f"{self.dataset.digest}), {self.conditions}, 95 % intervals.",
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
            for warning in filter(None, (*each.warnings, each.precision)):
                told.setdefault(warning, []).append(str(each.version))
        warned = [f"{', '.join(by)}: {warning}" for warning, by in told.items()]
        return [*left, *warned, *self.untested]


def rank(
    model_name: str,
    judged: Mapping[ModelVersion, Sequence[EvaluationResult] | str],
    by: str | None = None,
    production: ModelVersion | None = None,
) -> Leaderboard:
    """Rank versions by their newest results to the question that most were asked.

    That is of the same rows, label, task, positive class and threshold: a number that
    is of anything else means something else.

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
            else (
                f"no version of {model_name} was ever evaluated; give a dataset"
                if known
                else f"no version of {model_name} is asked for: none matches, or none is ready"
            )
        )
    shared = _shared_conditions(known)
    alike: dict[ModelVersion, list[EvaluationResult]] = {}
    for version, results in known.items():
        alike[version] = [r for r in results if not r.conditions.unlike(shared)]
        if not alike[version]:
            left_out[str(version)] = _not_alike(results[-1:], shared)
    usual = [results[-1] for results in alike.values() if results]
    name = canonical_metric(by or next(iter(usual[-1].metrics)))
    able = []
    for version, results in alike.items():
        measured = [each for each in results if name in each.metrics]
        able += measured[-1:]
        if results and not measured:
            left_out[str(version)] = f"{name} was not measured"
    if not able:
        raise EvaluationError(no_such_metric(name, usual[0].task), metric=name)
    able.sort(key=lambda each: each.version)
    able.sort(key=lambda each: each.metrics[name], reverse=_is_more_better(name, able))
    board = Leaderboard(model_name, name, able[0].dataset, tuple(able), left_out)
    return replace(board, production=production)


def under(
    results: Sequence[EvaluationResult], said: Mapping[str, Any]
) -> list[EvaluationResult]:
    """The results that were found under the conditions that are said.

    Args:
        results: Of one version.
        said: Of :class:`Conditions`, by name; ``None`` is not said.
    """
    wanted = {name: value for name, value in said.items() if value is not None}
    return [
        each
        for each in results
        if all(getattr(each.conditions, name) == wanted[name] for name in wanted)
    ]


def _not_alike(last: Sequence[EvaluationResult], shared: Conditions) -> str:
    if not last:
        return "never evaluated"
    why = f"judged {last[0].conditions.unlike(shared)} as the others"
    if {last[0].task, shared.task} == {"binary", "multiclass"}:
        why += "; task='multiclass' ranks both, by means over their classes"
    return why


def _is_more_better(name: str, results: Sequence[EvaluationResult]) -> bool:
    """The direction of a metric of which all results have a number.

    Raises:
        EvaluationError: If they do not agree on it.
    """
    more = {
        each.higher_is_better.get(name, direction_sign(name) > 0) for each in results
    }
    if len(more) > 1:
        raise EvaluationError(
            f"{name} was kept by some versions as better when it is higher and by "
            "others when it is lower; rank by another metric, or give the dataset",
            metric=name,
        )
    return more.pop()


def _shared_conditions(
    known: Mapping[ModelVersion, Sequence[EvaluationResult]],
) -> Conditions:
    """Those that most versions were judged under; of equals the newest."""
    newest: dict[Conditions, Any] = {}
    counts: Counter[Conditions] = Counter()
    for results in known.values():
        counts.update({each.conditions for each in results})
        for each in results:
            moment = newest.get(each.conditions, each.evaluated_at)
            newest[each.conditions] = max(moment, each.evaluated_at)
    return max(counts, key=lambda each: (counts[each], newest[each]))
