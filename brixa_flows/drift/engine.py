"""Other engines than the profile: they judge columns of a sample of rows."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from brixa_flows.drift.findings import ColumnPair
from brixa_flows.drift.profile import DriftProfile
from brixa_flows.drift.report import ColumnDrift, Finding
from brixa_flows.drift.shapes import shape_of
from brixa_flows.errors import DriftError

__all__ = ["DriftEngine", "EngineVerdict", "Sampled", "engine_columns", "take_samples"]

SAMPLE_ROWS = 50_000
_JUDGED = ("numeric", "category", "boolean")


@dataclass(frozen=True)
class EngineVerdict:
    """What an engine says of one column.

    Attributes:
        drifted: Its own verdict, by its own threshold.
        method: Its name of what it measured.
        value: A distance or a p-value, as the method is.
        threshold: Of the value.
    """

    drifted: bool
    method: str
    value: float
    threshold: float


class DriftEngine(Protocol):
    """Judges columns by rules of its own: ``brixa_flows.drift_engines``."""

    def judge(
        self, reference: Mapping[str, Any], current: Mapping[str, Any]
    ) -> dict[str, EngineVerdict]:
        """Compare columns.

        Args:
            reference: Values by column: floats with NaN where missing, or texts with
                ``None``; each has at least one value.
            current: The same columns of the same types.

        Raises:
            DriftError: If it can't judge them.
        """
        ...


@dataclass(frozen=True)
class Sampled:
    """A sample of rows: the Arrow columns, its profile, and how many rows there were."""

    columns: Mapping[str, Any]
    profile: DriftProfile
    rows: int


def take_samples(
    reference: Any, current: Any
) -> tuple[Sampled, Sampled, list[Finding]]:
    """At most 50,000 rows of each side, each as likely, and a note if they are a sample.

    Raises:
        DriftError: If data can't be read, or one is a profile.
    """
    if any(isinstance(each, DriftProfile) for each in (reference, current)):
        raise DriftError(
            "this engine compares rows and a profile keeps none; give the data it was "
            "made of, or take the engine 'profile'"
        )
    arrow: Any = importlib.import_module("brixa_flows.drift.multivariate._sampling")
    rng = np.random.default_rng(0)
    sides: list[Sampled] = []
    for data in (reference, current):
        columns, rows, absent = arrow.sample(data, None, SAMPLE_ROWS, rng)
        like = sides[0].profile if sides else None
        profile = DriftProfile.build(arrow.table(columns), like=like)
        profile = replace(profile, absent=absent)
        sides.append(Sampled(columns, profile, rows))
    findings = []
    if max(side.rows for side in sides) > SAMPLE_ROWS:
        findings.append(
            Finding(
                column=None,
                kind="sample",
                severity="note",
                sentence=f"Random samples of at most {SAMPLE_ROWS:,} rows were compared, "
                f"of {sides[1].rows:,} against {sides[0].rows:,}.",
            )
        )
    return sides[0], sides[1], findings


def engine_columns(
    engine: DriftEngine,
    pairs: Mapping[str, ColumnPair],
    samples: tuple[Sampled, Sampled],
) -> dict[str, ColumnDrift]:
    """Its verdict on each column that it can judge; others are ``not_judged``."""
    chosen = [
        name
        for name, (before, after) in pairs.items()
        if before.kind in _JUDGED and before.values and after.values
    ]
    sides = [_values(side, chosen, pairs) for side in samples]
    verdicts = engine.judge(*sides) if chosen else {}
    return {
        name: _column(name, pair, verdicts.get(name)) for name, pair in pairs.items()
    }


def _values(
    side: Sampled, names: list[str], pairs: Mapping[str, ColumnPair]
) -> dict[str, Any]:
    arrow: Any = importlib.import_module("brixa_flows.drift.multivariate._sampling")
    made = {}
    for name in names:
        if pairs[name][0].kind == "numeric":
            values = arrow.numbers(side.columns[name], name)
            made[name] = np.where(np.isfinite(values), values, np.nan)
        else:
            made[name] = arrow.texts(side.columns[name])
    return made


def _column(name: str, pair: ColumnPair, verdict: EngineVerdict | None) -> ColumnDrift:
    before, after = pair
    facts: dict[str, Any] = {
        "name": name,
        "kind": before.kind,
        "missing_share": after.missing_share,
        "reference_missing_share": before.missing_share,
        "mean": after.mean,
        "reference_mean": before.mean,
        "shape": shape_of(before, after),
    }
    if verdict is None:
        sentence = f"{name}: the engine judges no {before.kind} column without values."
        if before.kind not in _JUDGED:
            sentence = f"{name}: the engine judges no {before.kind} columns."
        return ColumnDrift(status="not_judged", sentence=sentence, **facts)
    said = "drifted" if verdict.drifted else "did not drift"
    return ColumnDrift(
        status="drift" if verdict.drifted else "ok",
        sentence=f"{name} {said} by the engine's own rule: {verdict.method} is "
        f"{verdict.value:.4g} (limit {verdict.threshold:g}).",
        effect_size=verdict.value,
        effect_name=verdict.method,
        effect_threshold=verdict.threshold,
        **facts,
    )
