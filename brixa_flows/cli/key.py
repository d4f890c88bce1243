"""``brixa key``: keys to sign with, and whose signatures are believed here."""

from __future__ import annotations

import getpass
import os
from pathlib import Path

import click

from brixa_flows.cli.workspace import Workspace, as_json, json_option, print_table
from brixa_flows.errors import SettingsError
from brixa_flows.registry.journal.vouching import keys_of
from brixa_flows.signing import KeyRing

__all__ = ["key", "passphrase_in", "passphrase_option"]

passphrase_option = click.option(
    "--passphrase-env",
    metavar="VARIABLE",
    help="Environment variable with the passphrase of the key.",
)


def passphrase_in(variable: str | None) -> str | None:
    """The passphrase in an environment variable, ``None`` if none is named.

    Raises:
        SettingsError: If the variable is not set.
    """
    if variable is None:
        return None
    value = os.environ.get(variable)
    if not value:
        raise SettingsError(variable, "is not set; put the passphrase of the key there")
    return value


@click.group()
def key() -> None:
    """Keep keys to sign models with, and decide whose signatures to believe."""


def _keys(workspace: Workspace) -> KeyRing:
    settings = workspace.settings
    here = settings.storage_type == "local" and "://" not in settings.storage_path
    root = Path(settings.storage_path).expanduser() if here else None
    return keys_of(settings, root)


@key.command("new")
@click.argument("name")
@passphrase_option
@click.pass_obj
def new(workspace: Workspace, name: str, passphrase_env: str | None) -> None:
    """Make a key of your own; its public part NAME.pub is for your colleagues."""
    keys = _keys(workspace)
    made = keys.new(name, passphrase_in(passphrase_env))
    click.echo(f"{keys.folder / name}.pub")
    click.echo(
        f"made {name} ({made.fingerprint[:16]}); give the file above to whoever shall "
        f"believe you: brixa key add {name}.pub",
        err=True,
    )


@key.command("add")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--name", help="What it is called here. Default: the file's name.")
@click.pass_obj
def add(workspace: Workspace, file: Path, name: str | None) -> None:
    """Believe the signatures of a colleague, whose public key FILE is."""
    added = _keys(workspace).add(file, name)
    click.echo(f"signatures of {added.name} ({added.fingerprint[:16]}) are believed")


@key.command("list")
@json_option
@click.pass_obj
def list_command(workspace: Workspace, json_output: bool) -> None:
    """List the keys of this machine: own, trusted, revoked."""
    keys = _keys(workspace)
    known = keys.keys()
    if json_output:
        as_json(known)
        return
    if not known:
        click.echo(
            f"there are no keys in {keys.folder}; make one with: brixa key new NAME, or "
            "believe a colleague's with: brixa key add NAME.pub",
            err=True,
        )
        return
    print_table(
        f"Keys in {keys.folder}",
        ("name", "key", "state", "fingerprint"),
        (
            (
                each.name or "(not here)",
                "own" if each.can_sign else "public",
                "trusted" if each.revoked is None else f"revoked: {each.revoked}",
                each.fingerprint,
            )
            for each in known
        ),
    )


@key.command("revoke")
@click.argument("name_or_fingerprint")
@click.option("--reason", required=True, help="Why; kept for ever.")
@click.option("--actor", help="Who decides; you, if not given.")
@click.pass_obj
def revoke(
    workspace: Workspace, name_or_fingerprint: str, reason: str, actor: str | None
) -> None:
    """Never believe a key again, whatever the date of a signature."""
    revoked = _keys(workspace).revoke(
        name_or_fingerprint,
        reason=reason,
        actor=getpass.getuser() if actor is None else actor,
    )
    click.echo(f"revoked {revoked.name or revoked.fingerprint}: {revoked.revoked}")
