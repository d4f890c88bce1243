"""``brixa model sign|verify|scan``: who vouches for the files of a version."""

from __future__ import annotations

import click

from brixa_flows.cli.key import passphrase_in, passphrase_option
from brixa_flows.cli.workspace import (
    MODEL_REF,
    Workspace,
    as_json,
    json_option,
    print_table,
)
from brixa_flows.refs import ModelRef
from brixa_flows.registry.facts.metadata import Verification
from brixa_flows.registry.facts.resolving import exact

__all__ = ["scan", "sign", "verify"]


@click.command("sign")
@click.argument("ref", type=MODEL_REF)
@click.option("--key", required=True, help="Name of a key of yours.")
@passphrase_option
@json_option
@click.pass_obj
def sign(
    workspace: Workspace,
    ref: ModelRef,
    key: str,
    passphrase_env: str | None,
    json_output: bool,
) -> None:
    """Sign every file of a version; signatures of others stay."""
    registry = workspace.registry
    version = registry.resolve(ref.name, ref.spec)
    passphrase = passphrase_in(passphrase_env)
    worth = registry.sign(ref.name, version, key=key, passphrase=passphrase)
    _show(worth, json_output)


@click.command("verify")
@click.argument("ref", type=MODEL_REF)
@click.option(
    "--signed", is_flag=True, help="Also fail unless a trusted key signed it."
)
@json_option
@click.pass_obj
def verify(
    workspace: Workspace, ref: ModelRef, signed: bool, json_output: bool
) -> None:
    """Check every file of a version, its recorded digest, and who signed it.

    Exits with 1 if a file differs, if it is signed and no signature is by a trusted
    key, or if the trust policy would not load it.
    """
    registry = workspace.registry
    worth = registry.verify(ref.name, registry.resolve(ref.name, ref.spec))
    _show(worth, json_output)
    doubtful = not worth.signers and (signed or bool(worth.problem))
    if doubtful or not worth.loads:
        raise click.exceptions.Exit(1)


def _show(worth: Verification, json_output: bool) -> None:
    if json_output:
        as_json(worth)
        return
    who = f"{worth.name} {worth.version}"
    click.echo(f"{who}: every file is what config.json lists ({worth.digest})")
    recorded = "has this digest" if worth.recorded else "has no digest of it"
    click.echo(f"  the tracking backend {recorded}")
    for check in worth.signatures:
        click.echo(f"  {check}")
    if not worth.signatures:
        click.echo(f"  {worth.problem or 'nobody signed it'}")
    loads = "loads" if worth.loads else "does not load"
    click.echo(f"  {loads} under BRXA_TRUST_POLICY={worth.policy}")


@click.command("scan")
@click.argument("ref", type=MODEL_REF)
@json_option
@click.pass_obj
def scan(workspace: Workspace, ref: ModelRef, json_output: bool) -> None:
    """Look for dangerous pickles in a version, also in quarantine; loads nothing.

    Exits with 3 if there are any, with 1 if the version is damaged and none were found
    in what is there. A clean scan proves nothing.
    """
    registry = workspace.registry
    version = exact(ref.spec) or registry.resolve(ref.name, ref.spec)
    report = registry.scan(ref.name, version)
    if json_output:
        as_json({**report.model_dump(mode="json"), "dangerous": report.dangerous})
    else:
        print_table(
            f"{ref.name} {version}",
            ("file", "read", "dangerous", "not known to the scanner"),
            (
                (
                    each.path,
                    each.seen,
                    ", ".join(each.dangerous),
                    ", ".join(each.unknown),
                )
                for each in report.files
            ),
        )
    if report.damaged:
        click.echo(f"error: {report.damaged}", err=True)
    if report.dangerous:
        raise click.exceptions.Exit(3)
    click.echo(
        "nothing dangerous was found, which proves nothing: scanners are evaded",
        err=True,
    )
    if report.damaged:
        raise click.exceptions.Exit(1)
