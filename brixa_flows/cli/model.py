"""``brixa model``: what is registered, where it stands, and how good it is."""

from __future__ import annotations

from typing import Any

import click

from brixa_flows.cli.workspace import (
    MODEL_REF,
    Workspace,
    as_json,
    json_option,
    parse_moment,
    print_folded,
    print_table,
)
from brixa_flows.errors import DamagedArtifactError
from brixa_flows.refs import ModelRef
from brixa_flows.registry.facts.metadata import ModelMetadata, Stage
from brixa_flows.registry.facts.resolving import exact
from brixa_flows.registry.writing.registering import Bump

__all__ = ["model"]

_STAGES = click.Choice(["staging", "production", "archived"])
_actor_option = click.option("--actor", help="Who decides; you, if not given.")


@click.group()
def model() -> None:
    """Register, inspect, judge and promote model versions."""


@model.command("list")
@click.argument("name", required=False)
@click.option("--constraint", help="Only versions that satisfy it, such as ^1.2.")
@click.option("--stage", type=_STAGES, help="Only versions in that stage.")
@json_option
@click.pass_obj
def list_command(
    workspace: Workspace,
    name: str | None,
    constraint: str | None,
    stage: Stage | None,
    json_output: bool,
) -> None:
    """List the models, or the versions of the model NAME."""
    registry = workspace.registry
    listed: list[ModelMetadata] = []
    for each in registry.list_models() if name is None else [name]:
        try:
            listed += registry.list_versions(each, constraint=constraint, stage=stage)
        except DamagedArtifactError as err:
            if name is not None:
                raise
            click.echo(f"set aside: {err}", err=True)
    found = workspace.answered(listed)
    if not found:
        asked = name or constraint or stage
        workspace.say_none("versions like that" if asked else "models")
    if json_output:
        as_json(found)
        return
    workspace.say_problems(found)
    print_table(
        name or "Models",
        ("model", "version", "state", "stage", "framework", "created", "metrics"),
        (
            (
                item.name,
                item.version,
                item.state,
                item.stage,
                item.framework,
                f"{item.created_at:%Y-%m-%d}",
                _metrics_line(item.metrics),
            )
            for item in found
        ),
    )


def _metrics_line(metrics: dict[str, float]) -> str:
    shown = sorted(metrics.items())[:4]
    return ", ".join(f"{name} {value:.4g}" for name, value in shown)


@model.command("show")
@click.argument("ref", type=MODEL_REF)
@json_option
@click.pass_obj
def show_command(workspace: Workspace, ref: ModelRef, json_output: bool) -> None:
    """Show everything that is known about a version."""
    found = workspace.registry.get_metadata(ref.name, ref.spec)
    [metadata] = workspace.answered([found])
    if json_output:
        as_json(metadata)
        return
    print_table(
        f"{metadata.name} {metadata.version}",
        ("field", "value"),
        [(field, _cell(value)) for field, value in _shown(metadata)],
    )


def _shown(metadata: ModelMetadata) -> list[tuple[str, Any]]:
    facts = metadata.model_dump(mode="json", exclude={"name", "version"})
    return [(field, value) for field, value in facts.items() if value]


def _cell(value: Any) -> str:
    if not isinstance(value, dict):
        return _plain(value)
    columns = value.get("properties")
    if isinstance(columns, dict):
        return "\n".join(f"{name}: {_type(kind)}" for name, kind in columns.items())
    return "\n".join(f"{key}: {_plain(item)}" for key, item in value.items() if item)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return str(value)


def _type(schema: Any) -> str:
    """The type of a column in a few words; all of it is in the JSON."""
    if not isinstance(schema, dict):
        return str(schema)
    kind = schema.get("x-dtype") or schema.get("type") or "any"
    return _plain(kind) + (f" of {_plain(schema['enum'])}" if "enum" in schema else "")


@model.command("register-run")
@click.argument("model_uri")
@click.option("--name", required=True, help="Name of the model in the registry.")
@click.option("--model-type", default="", help="What it does, such as classification.")
@click.option("--description", default="", help="Free text.")
@click.option(
    "--bump",
    type=click.Choice(["major", "minor", "patch"]),
    help="Override the bump that the schemas ask for.",
)
@click.option(
    "--reference", is_flag=True, help="Copy no files: keep their address and digests."
)
@json_option
@click.pass_obj
def register_run(
    workspace: Workspace,
    model_uri: str,
    name: str,
    model_type: str,
    description: str,
    bump: Bump | None,
    reference: bool,
    json_output: bool,
) -> None:
    """Adopt the model that a training logged to MLflow (runs:/ID/model)."""
    metadata = workspace.registry.register_run(
        model_uri,
        name=name,
        copy=not reference,
        model_type=model_type,
        description=description,
        bump=bump,
    )
    where = f", its files stay at {metadata.external_uri}" if reference else ""
    done = f"registered {metadata.name} {metadata.version}{where}"
    _say(json_output, metadata, done)


@model.command("transition")
@click.argument("ref", type=MODEL_REF)
@click.argument("stage", type=_STAGES)
@_actor_option
@click.option("--reason", required=True, help="Why; kept for ever.")
@click.option(
    "--replacing",
    metavar="VERSION",
    help="Only if this one is in the stage now; none for nobody.",
)
@json_option
@click.pass_obj
def transition(
    workspace: Workspace,
    ref: ModelRef,
    stage: str,
    actor: str | None,
    reason: str,
    replacing: str | None,
    json_output: bool,
) -> None:
    """Move a version to another stage."""
    registry = workspace.registry
    version = exact(ref.spec)  # a damaged one may be archived
    if version is None:
        version = registry.resolve(ref.name, ref.spec or "latest")
    registry.transition(
        ref.name, version, stage, actor=actor, reason=reason, replacing=replacing
    )
    metadata = registry.get_metadata(ref.name, version)
    _say(json_output, metadata, f"{ref.name} {version} is now in {stage}")


@model.command("rollback")
@click.argument("name")
@_actor_option
@click.option("--reason", required=True, help="Why; kept for ever.")
@json_option
@click.pass_obj
def rollback(
    workspace: Workspace, name: str, actor: str | None, reason: str, json_output: bool
) -> None:
    """Bring back what was in production before."""
    registry = workspace.registry
    record = registry.rollback(name, actor=actor, reason=reason)
    metadata = registry.get_metadata(name, record.version)
    done = f"{name} {record.version} is in production again: {record.reason}"
    _say(json_output, metadata, done)


@model.command("history")
@click.argument("name")
@click.option("--at", metavar="WHEN", help="Who stood where then: 2026-03-01T12:00Z.")
@click.option("--aliases", is_flag=True, help="Show the own aliases instead.")
@json_option
@click.pass_obj
def history(
    workspace: Workspace, name: str, at: str | None, aliases: bool, json_output: bool
) -> None:
    """Show who moved which version to which stage, when and why."""
    registry = workspace.registry
    if at is not None:
        found = registry.stage_at(name, parse_moment(at))
        as_json(found) if json_output else print_folded(str(found))
        return
    records = registry.alias_history(name) if aliases else registry.stage_history(name)
    if json_output:
        as_json(records)
        return
    if not records:
        what = "has no own alias" if aliases else "was never moved to a stage"
        click.echo(f"{name} {what}", err=True)
    for record in records:
        print_folded(str(record))
    for lost in registry.lost_changes(name):
        print_folded(f"not known: {lost}")


@model.command("accept-losses")
@click.argument("name")
@_actor_option
@click.option("--reason", required=True, help="Why; kept for ever.")
@json_option
@click.pass_obj
def accept_losses(
    workspace: Workspace, name: str, actor: str | None, reason: str, json_output: bool
) -> None:
    """Let stages and aliases count without the records that are lost for good.

    Prints who stands where from now on.
    """
    found = workspace.registry.accept_losses(name, actor=actor, reason=reason)
    as_json(found) if json_output else print_folded(str(found))


@model.command("delete")
@click.argument("ref", type=MODEL_REF)
@_actor_option
@click.option("--reason", required=True, help="Why; kept for ever.")
@click.option("--force", is_flag=True, help="Also if others could need it again.")
@click.pass_obj
def delete(
    workspace: Workspace, ref: ModelRef, actor: str | None, reason: str, force: bool
) -> None:
    """Delete the exact version NAME@VERSION; its number is never used again.

    Its files stay until brixa gc --remove.

    \f
    Raises:
        click.UsageError: If no version is named.
    """
    if ref.spec is None:
        raise click.UsageError("name the exact version: NAME@VERSION")
    workspace.registry.delete_version(
        ref.name, ref.spec, actor=actor, reason=reason, force=force
    )
    click.echo(f"deleted {ref.name} {ref.spec}", err=True)


def _say(json_output: bool, metadata: ModelMetadata, sentence: str) -> None:
    if json_output:
        as_json(metadata)
    else:
        click.echo(sentence)
