"""What differs between two versions of a model, and which bump that asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from brixa_flows.registry.facts.inputs import middle_left_out
from brixa_flows.registry.facts.metadata import DatasetRef, ModelMetadata
from brixa_flows.registry.facts.schema_changes import (
    SchemaChange,
    bump_for,
    input_changes,
    output_changes,
)
from brixa_flows.versioning import ModelVersion

__all__ = ["FieldDiff", "Judged", "MetricDiff", "VersionDiff", "diff_versions"]

BumpAsked = Literal["major", "minor", "patch", "unknown"]
Records = Sequence[Mapping[str, Any]]
_MOST_REASONS = 3


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FieldDiff(_Value):
    """One fact that differs; ``None`` is not there."""

    name: str
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        return f"{self.name}: {_shown(self.before)} -> {_shown(self.after)}"


class MetricDiff(_Value):
    """One metric of both versions.

    Attributes:
        name: Name of the metric.
        before: Its latest value, ``None`` if it was not measured.
        after: The other version's.
        change: ``after - before`` where both are there.
        dataset_before: What it was last evaluated on, if the journal tells.
        dataset_after: The other version's.
    """

    name: str
    before: float | None
    after: float | None
    change: float | None
    dataset_before: str | None
    dataset_after: str | None

    @property
    def comparable(self) -> bool:
        """Whether both values are known to be measured on the same data."""
        return self.dataset_before is not None and (
            self.dataset_before == self.dataset_after
        )

    def __str__(self) -> str:
        moved = "" if self.change is None else f" ({self.change:+.4g})"
        values = f"{self.name}: {_shown(self.before)} -> {_shown(self.after)}{moved}"
        known = self.dataset_before or self.dataset_after
        if known and (self.before is None or self.after is None):
            return f"{values} on {known}"
        if self.comparable:
            return f"{values} on {self.dataset_after}"
        places = (self.dataset_before, self.dataset_after)
        if places == (None, None):
            return values
        before, after = (place or "data not recorded" for place in places)
        return f"{values}, on {before} and on {after}"


class VersionDiff(_Value):
    """What differs from version ``before`` to version ``after``.

    Attributes:
        name: Name of the model.
        before: One version.
        after: The other one.
        bump: What the schemas ask for: ``major``, ``minor`` or ``patch``; ``unknown``
            where a version is damaged, so that its schemas may be others.
        bump_reason: Why, in words.
        schema_changes: Every difference of the schemas, in words.
        metrics: All metrics of both.
        parameters: Hyperparameters that differ.
        environment: Installed packages that differ.
        dependencies: Declared dependencies that differ.
        datasets: Data that went in, or metrics are of, and differs, by role and name.
        tags: Tags that differ.
        custom: Custom metadata that differs, by its first key.
        facts: Framework, model type, size and the like, where they differ.
    """

    name: str
    before: ModelVersion
    after: ModelVersion
    bump: BumpAsked
    bump_reason: str
    schema_changes: tuple[str, ...] = ()
    metrics: tuple[MetricDiff, ...] = ()
    parameters: tuple[FieldDiff, ...] = ()
    environment: tuple[FieldDiff, ...] = ()
    dependencies: tuple[FieldDiff, ...] = ()
    datasets: tuple[FieldDiff, ...] = ()
    tags: tuple[FieldDiff, ...] = ()
    custom: tuple[FieldDiff, ...] = ()
    facts: tuple[FieldDiff, ...] = ()

    def __str__(self) -> str:
        head = f"{self.name} {self.before} -> {self.after}\n{self.bump_reason}"
        parts = {
            "schema": self.schema_changes,
            "metrics": self.metrics,
            "parameters": self.parameters,
            "environment": self.environment,
            "dependencies": self.dependencies,
            "datasets": self.datasets,
            "tags": self.tags,
            "custom": self.custom,
            "facts": self.facts,
        }
        lines = [head]
        for title, items in parts.items():
            if items:
                lines += [title, *(f"    {item}" for item in items)]
        return "\n".join(lines)


class Judged(NamedTuple):
    """How a version was judged.

    Attributes:
        records: Evaluations and measurements, newest last.
        datasets: Data that logged metrics are of.
    """

    records: Sequence[Mapping[str, Any]] = ()
    datasets: Sequence[DatasetRef] = ()


_NOT_JUDGED = Judged()


def diff_versions(
    before: ModelMetadata,
    after: ModelMetadata,
    judged_before: Judged = _NOT_JUDGED,
    judged_after: Judged = _NOT_JUDGED,
) -> VersionDiff:
    """Compare all that is known about two versions.

    Args:
        before: One.
        after: The other.
        judged_before: How the one was judged.
        judged_after: How the other was.
    """
    changes = (
        *input_changes(before.input_schema, after.input_schema),
        *output_changes(before.output_schema, after.output_schema),
    )
    bump: BumpAsked = bump_for(changes)
    why = _bump_reason(before.version, after.version, changes)
    problems = [e.problem for e in (before, after) if e.state == "quarantined"]
    if problems:
        bump, changes = "unknown", ()
        why = f"unknown which bump, because of what is damaged: {'; '.join(problems)}"
    return VersionDiff(
        name=after.name,
        before=before.version,
        after=after.version,
        bump=bump,
        bump_reason=why,
        schema_changes=tuple(_in_words(change) for change in changes),
        metrics=_metrics(before, after, judged_before.records, judged_after.records),
        parameters=_differing(before.hyperparameters, after.hyperparameters),
        environment=_differing(before.lineage.environment, after.lineage.environment),
        dependencies=_differing(before.dependencies, after.dependencies),
        datasets=_differing(
            _datasets(before.lineage.datasets) | _measured(judged_before.datasets),
            _datasets(after.lineage.datasets) | _measured(judged_after.datasets),
        ),
        tags=_differing(before.tags, after.tags),
        custom=_differing(before.custom, after.custom),
        facts=_differing(_facts(before), _facts(after)),
    )


def _bump_reason(
    before: ModelVersion, after: ModelVersion, changes: Sequence[SchemaChange]
) -> str:
    asked = bump_for(tuple(changes))
    reasons = [each for each in changes if each.breaking] or list(changes)
    if not reasons:
        why = "the schemas are the same"
    else:
        why = "; ".join(_in_words(each) for each in reasons[:_MOST_REASONS])
        rest = len(reasons) - _MOST_REASONS
        why += f"; and {rest} more" if rest > 0 else ""
    sentence = f"{asked}, because {why}"
    if before < after:
        made = _step(before, after)
        if made != asked:
            sentence += f" (the number says {made})"
    return sentence


def _step(before: ModelVersion, after: ModelVersion) -> str:
    if before.major != after.major:
        return "major"
    return "minor" if before.minor != after.minor else "patch"


def _in_words(change: SchemaChange) -> str:
    """``input:$.age is required now`` as ``input column age is required now``."""
    direction, _, path = change.path.partition(":")
    column = path.removeprefix("$").removeprefix(".")
    subject = f"{direction} column {column}" if column else f"the {direction}"
    return f"{subject} {change.sentence}" + (
        " and breaks callers" if change.breaking else ""
    )


def _metrics(
    before: ModelMetadata,
    after: ModelMetadata,
    judged_before: Records,
    judged_after: Records,
) -> tuple[MetricDiff, ...]:
    found = []
    for name in sorted({*before.metrics, *after.metrics}):
        old, new = before.metrics.get(name), after.metrics.get(name)
        found.append(
            MetricDiff(
                name=name,
                before=old,
                after=new,
                change=None if old is None or new is None else new - old,
                dataset_before=_measured_on(name, old, judged_before),
                dataset_after=_measured_on(name, new, judged_after),
            )
        )
    return tuple(found)


def _measured_on(metric: str, value: float | None, records: Records) -> str | None:
    """The data of the newest record that gave this value."""
    for evaluation in reversed(records):
        metrics, dataset = evaluation.get("metrics"), evaluation.get("dataset")
        if not isinstance(metrics, Mapping) or not isinstance(dataset, Mapping):
            continue
        if value is not None and metrics.get(metric) == value:
            digest = str(dataset.get("digest", "")).removeprefix("sha256:")[:12]
            name = str(dataset.get("name") or "data")
            return f"{name} ({digest})" if digest else name
    return None


def _datasets(datasets: Iterable[DatasetRef]) -> dict[str, str]:
    return {f"{each.role} {each.name}": _dataset(each) for each in datasets}


def _measured(datasets: Iterable[DatasetRef]) -> dict[str, str]:
    """Data of logged metrics: that it is ``training`` is said where nobody says it."""
    roles = {"training": "measured on"}
    return {
        f"{roles.get(each.role, each.role)} {each.name}": _dataset(each)
        for each in datasets
    }


def _dataset(dataset: DatasetRef) -> str:
    rows = "" if dataset.rows is None else f"{dataset.rows} rows"
    facts = (rows, dataset.digest[:24], dataset.uri)
    return ", ".join(fact for fact in facts if fact) or "recorded"


def _facts(known: ModelMetadata) -> dict[str, Any]:
    code = known.lineage.code
    return {
        "framework": known.framework,
        "model type": known.model_type,
        "size": known.size_bytes,
        "description": known.description or None,
        "license": known.license,
        "owner": known.owner,
        "code": None if code is None else code.commit + ("+dirty" * code.dirty),
        "state": known.state,
        "stage": known.stage,
    }


def _differing(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> tuple[FieldDiff, ...]:
    return tuple(
        FieldDiff(name=name, before=before.get(name), after=after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    )


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if value == "":  # a tag without a value
        return "set"
    if isinstance(value, float):
        return f"{value:.4g}"
    return middle_left_out(" ".join(str(value).split()))
