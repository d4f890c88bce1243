"""Who may ask a deployment: ``brixa deployment keys``."""

from __future__ import annotations

import click

from brixa_flows.cli.workspace import Workspace, as_json, json_option, print_table
from brixa_flows.deployment import ModelDeployer

__all__ = ["keys"]


@click.group("keys")
def keys() -> None:
    """Let callers in by keys, or out again, while a deployment serves."""


def _deployer(workspace: Workspace) -> ModelDeployer:
    return ModelDeployer(workspace.registry, workspace.storage)


@keys.command("list")
@click.argument("name")
@json_option
@click.pass_obj
def list_keys(workspace: Workspace, name: str, json_output: bool) -> None:
    """Show whose keys the deployment NAME takes; the keys are kept nowhere."""
    found = _deployer(workspace).keys(name)
    if json_output:
        as_json([{"name": key.name, "created_at": key.created_at} for key in found])
        return
    if not found:
        shut = _deployer(workspace).config(name).shut
        told = "it answers nobody" if shut else "whoever reaches it can ask it"
        click.echo(f"{name} has no key: {told}", err=True)
        return
    rows = [(key.name, f"{key.created_at:%Y-%m-%d %H:%M} UTC") for key in found]
    print_table(f"Keys of {name}", ("key", "since"), rows)


@keys.command("add")
@click.argument("name")
@click.argument("key")
@click.pass_obj
def add(workspace: Workspace, name: str, key: str) -> None:
    """Make a key called KEY and print it: this once, as only its hash is kept.

    One of that name is replaced; the first one shuts out who has none.
    """
    text = _deployer(workspace).add_key(name, key)
    click.echo(f"{name} takes the key {key}; it is shown this once", err=True)
    click.echo(text)


@keys.command("revoke")
@click.argument("name")
@click.argument("key")
@click.pass_obj
def revoke(workspace: Workspace, name: str, key: str) -> None:
    """Take the key called KEY no longer; when this returns no replica does.

    Without its last key it answers nobody: add one, or let everybody in by `open`.
    """
    deployer = _deployer(workspace)
    deployer.revoke_key(name, key)
    told = f"{name} takes the key {key} no longer"
    if not deployer.keys(name):
        told += (
            "; it was the last one, so nobody is let in until it gets another (brixa "
            f"deployment keys add {name} WHO) or is opened (brixa deployment keys open "
            f"{name})"
        )
    click.echo(told, err=True)


@keys.command("open")
@click.argument("name")
@click.pass_obj
def open_to_all(workspace: Workspace, name: str) -> None:
    """Forget all keys of the deployment NAME and answer everybody on this machine."""
    _deployer(workspace).open_to_all(name)
    click.echo(f"{name} has no key: whoever reaches it can ask it", err=True)
