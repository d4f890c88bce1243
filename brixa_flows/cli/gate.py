"""``brixa gate``: may a version go on, by a policy in a file? For any CI."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brixa_flows.cli.workspace import (
    MODEL_REF,
    Workspace,
    as_json,
    exact_rows_option,
    json_option,
)
from brixa_flows.errors import EvaluationError
from brixa_flows.refs import ModelRef

if TYPE_CHECKING:
    from brixa_flows.evaluation import (
        Comparison,
        EvaluationResult,
        GatePolicy,
        ModelEvaluator,
    )
    from brixa_flows.registry import ModelRegistry
    from brixa_flows.versioning import ModelVersion

__all__ = ["gate"]


@click.command("gate")
@click.argument("ref", type=MODEL_REF)
@click.option("--policy", required=True, help="YAML, TOML or JSON file of the gates.")
@click.option("--dataset", help="CSV or Parquet file or glob of labelled rows.")
@click.option("--target", help="Name of the label column.")
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
    target: str | None,
    junit: str | None,
    exact_rows: int,
    json_output: bool,
) -> None:
    """Ask the gates of a policy about a version; exits with 3 when one says no.

    Judges the version on DATASET, and compares it with production on the same rows
    where a gate asks for that. Without DATASET its last evaluation is taken.
    """
    from brixa_flows.evaluation import GatePolicy, ModelEvaluator

    gates = GatePolicy.from_file(policy)
    registry = workspace.registry
    evaluator = ModelEvaluator(registry, exact_rows=exact_rows)
    version = registry.resolve(ref.name, ref.spec)
    if dataset is None:
        result = _last(registry, evaluator, ref.name, version)
    else:
        result = evaluator.evaluate(
            ref.name,
            version,
            dataset,
            gates.metrics or None,
            target=target,
            slices=gates.slices,
            drift=_drift(registry, ref.name, version, dataset, gates),
        )
    decision = gates.decide(result, _comparison(evaluator, result, gates))
    if junit:
        Path(junit).write_text(decision.to_junit(), encoding="utf-8")
        click.echo(f"wrote {junit}", err=True)
    if json_output:
        as_json(decision.to_dict())
    else:
        click.echo(decision.to_markdown())
    if decision.verdict == "refused":
        raise click.exceptions.Exit(3)


def _last(
    registry: ModelRegistry, evaluator: ModelEvaluator, name: str, version: ModelVersion
) -> EvaluationResult:
    """The last evaluation, with who is in production now."""
    found = registry.production_version(name)
    last = evaluator.last_result(name, version)
    return replace(last, production=str(found) if found else None, doubt="")


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


def _comparison(
    evaluator: ModelEvaluator, result: EvaluationResult, gates: GatePolicy
) -> Comparison | None:
    """With production on the rows of the result, if a gate asks and they are there.

    Raises:
        EvaluationError: If the rows are others by now.
    """
    rival, rows = result.production, result.dataset
    if not gates.needs_comparison or rival in (None, str(result.version)):
        return None
    if not rows.uri:
        return None  # the gate stays shut and says that nothing was compared
    assert rival is not None
    comparison = evaluator.compare(
        result.model_name,
        rival,
        result.version,
        rows.uri,
        gates.metrics,
        target=rows.target.split(", ") if ", " in rows.target else rows.target or None,
        dataset_name=rows.name,
        slices=gates.compared_slices,
        task=result.task,
        record=True,
    )
    if comparison.dataset.digest != rows.digest:
        raise EvaluationError(
            f"the rows at {rows.uri} have changed since {result.model_name} "
            f"{result.version} was judged on them; name them by --dataset"
        )
    return comparison
