"""``brixa gate``: may a version go on, by a policy in a file? For any CI."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from brixa_flows.cli.judging_options import question_options
from brixa_flows.cli.workspace import (
    MODEL_REF,
    Workspace,
    as_json,
    exact_rows_option,
    json_option,
)
from brixa_flows.errors import BrixaError, EvaluationError, UnansweredRowsError
from brixa_flows.refs import ModelRef

if TYPE_CHECKING:
    from brixa_flows.evaluation import (
        Comparison,
        EvaluationResult,
        GateDecision,
        GatePolicy,
        ModelEvaluator,
    )
    from brixa_flows.registry import ModelRegistry
    from brixa_flows.versioning import ModelVersion

__all__ = ["gate"]

_Found = TypeVar("_Found")
_UNJUDGED = (EvaluationError, UnansweredRowsError)


@click.command("gate")
@click.argument("ref", type=MODEL_REF)
@click.option("--policy", required=True, help="YAML, TOML or JSON file of the gates.")
@click.option("--dataset", help="CSV or Parquet file or glob of labelled rows.")
@question_options
@click.option(
    "--junit", type=click.Path(dir_okay=False), help="Write a test case a gate here."
)
@exact_rows_option
@json_option
@click.pass_obj
def gate(
    workspace: Workspace,
    ref: ModelRef,
    policy: str,
    dataset: str | None,
    asked: dict[str, Any],
    junit: str | None,
    exact_rows: int,
    json_output: bool,
) -> None:
    """Ask the gates of a policy about a version; exits with 3 when one says no.

    Judges the version on DATASET, and compares it with production on the same rows
    where a gate asks for that. Without DATASET its last evaluation is taken, and
    production is asked what that asked.
    """
    from brixa_flows.evaluation import GatePolicy, ModelEvaluator

    if dataset is None and any(value is not None for value in asked.values()):
        raise click.UsageError(
            "--target, --task, --positive and --threshold are of the rows of --dataset; "
            "without it the last evaluation decides as it was asked"
        )
    if junit and not Path(junit).parent.is_dir():  # told before anything is judged
        raise click.UsageError(
            f"--junit {junit}: there is no folder {Path(junit).parent}"
        )
    gates = GatePolicy.from_file(policy)
    registry = workspace.registry
    version = registry.resolve(ref.name, ref.spec)
    evaluator = ModelEvaluator(registry, exact_rows=exact_rows)
    judging = _Judging(registry, evaluator, gates, ref.name, version)
    try:
        decision = judging.decide(dataset, asked)
    except BrixaError as err:
        decision = gates.refuse(ref.name, str(version), err.message)
        if not _is_of_the_version(err):
            _write(junit, decision)
            raise
    if json_output:
        as_json(decision.to_dict())
    else:
        click.echo(decision.to_markdown())
    _write(junit, decision)
    if decision.verdict == "refused":
        raise click.exceptions.Exit(3)


def _is_of_the_version(err: BrixaError) -> bool:
    """Whether gates stay shut for want of a number, and nobody asked wrongly."""
    return isinstance(err, _UNJUDGED) and "argument" not in err.facts


def _write(junit: str | None, decision: GateDecision) -> None:
    if junit:
        Path(junit).write_text(decision.to_junit(), encoding="utf-8")
        click.echo(f"wrote {junit}", err=True)


@dataclass(frozen=True)
class _Judging:
    """What gates ask for of one version.

    Attributes:
        registry: Where it is.
        evaluator: Who measures.
        gates: The policy.
        name: The model.
        version: Its version.
    """

    registry: ModelRegistry
    evaluator: ModelEvaluator
    gates: GatePolicy
    name: str
    version: ModelVersion

    def decide(self, dataset: str | None, asked: Mapping[str, Any]) -> GateDecision:
        """On rows, or by the last evaluation.

        Raises:
            EvaluationError: If the version can't be judged, or never was.
            BrixaError: If the rows can't be read, say.
        """
        missing: dict[str, str] = {}
        if dataset is None:
            result = self._last()
        else:
            result = self._judged(dataset, asked, missing)
        asks = result.question if dataset is None else asked
        try:
            comparison = self._compared(result, asks, missing)
        except _UNJUDGED as err:
            return self.gates.decide(replace(result, doubt=err.message), None, missing)
        return self.gates.decide(result, comparison, missing)

    def _last(self) -> EvaluationResult:
        """The last evaluation, with who is in production now."""
        found = self.registry.production_version(self.name)
        last = self.evaluator.last_result(self.name, self.version)
        return replace(last, production=str(found) if found else None, doubt="")

    def _judged(
        self, dataset: str, asked: Mapping[str, Any], missing: dict[str, str]
    ) -> EvaluationResult:
        """The version on rows; what they can't give is told."""
        drift = _drift(self.registry, self.name, self.version, dataset, self.gates)

        def judge(metrics: list[str] | None) -> EvaluationResult:
            return self.evaluator.evaluate(
                *(self.name, self.version, dataset, metrics),
                slices=self.gates.slices,
                drift=drift,
                **asked,
            )

        return _as_far_as_possible(judge, self.gates.metrics, missing)

    def _compared(
        self,
        result: EvaluationResult,
        asked: Mapping[str, Any],
        missing: dict[str, str],
    ) -> Comparison | None:
        """With production on the rows of the result, if a gate asks and they are there.

        Raises:
            EvaluationError: If the rows are others by now.
        """
        rival, rows = result.production, result.dataset
        if not self.gates.needs_comparison or rival in (None, str(result.version)):
            return None
        if not rows.uri:
            return None  # the gate stays shut and says that nothing was compared
        wanted = [m for m in self.gates.compared_metrics if m not in missing]
        if not wanted:
            return None

        def compare(metrics: list[str] | None) -> Comparison:
            assert rival is not None
            return self.evaluator.compare(
                *(result.model_name, rival, result.version, rows.uri, metrics),
                dataset_name=rows.name,
                slices=self.gates.compared_slices,
                record=True,
                **{**asked, "target": rows.asked_target},
            )

        comparison = _as_far_as_possible(compare, wanted, missing)
        if comparison.dataset.digest != rows.digest:
            raise EvaluationError(
                f"the rows at {rows.uri} have changed since {result.model_name} "
                f"{result.version} was judged on them; name them by --dataset"
            )
        return comparison


def _as_far_as_possible(
    ask: Callable[[list[str] | None], _Found],
    metrics: Sequence[str],
    missing: dict[str, str],
) -> _Found:
    """Ask for metrics; one that can't be given is told and left out.

    Args:
        ask: Asks for some; for the usual ones if none is left.
        metrics: Names.
        missing: Gets the reasons.
    """
    wanted = list(metrics)
    while True:
        try:
            return ask(wanted or None)
        except EvaluationError as err:
            name = str(err.facts.get("metric", ""))
            if name not in wanted:
                raise
            wanted.remove(name)
            missing[name] = err.message


def _drift(
    registry: ModelRegistry,
    name: str,
    version: ModelVersion,
    dataset: str,
    gates: GatePolicy,
) -> dict[str, Any] | None:
    """Facts of the rows against the version's training rows, if a gate asks."""
    if not gates.needs_drift:
        return None
    from brixa_flows.drift import drift_facts

    profile = registry.reference_profile_path(name, version)
    return drift_facts(f"{name} {version}", profile, dataset)
