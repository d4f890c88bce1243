"""``brixa trust``: let a version load on a person's word, and who gave which."""

from __future__ import annotations

import click

from brixa_flows.cli.key import passphrase_in, passphrase_option
from brixa_flows.cli.workspace import Workspace, as_json, json_option, print_table
from brixa_flows.errors import BrixaError
from brixa_flows.refs import ModelRef
from brixa_flows.registry import TrustRecord

__all__ = ["trust"]


@click.command(
    epilog="brixa trust list shows who vouched for what, and what nobody vouched for."
)
@click.argument("what", metavar="[NAME@VERSION|list]", required=False)
@click.option(
    "--all", "everything", is_flag=True, help="Every ready version not saved here."
)
@click.option("--actor", help="Who vouches.")
@click.option("--reason", help="Why; kept for ever.")
@click.option("--key", help="A key of yours that signs the record.")
@passphrase_option
@json_option
@click.pass_obj
def trust(
    workspace: Workspace,
    what: str | None,
    everything: bool,
    actor: str | None,
    reason: str | None,
    key: str | None,
    passphrase_env: str | None,
    json_output: bool,
) -> None:
    """Vouch for a version that was not saved here, so that it loads.

    Its files are verified, the tracking backend records their digest, and who, when
    and why are kept. With --key the record outlives the tracking backend.

    \f
    Raises:
        click.UsageError: If it is not clear for what, by whom or why.
    """
    if what == "list" and not everything:
        _list(workspace, json_output)
        return
    if (what is None) != everything:
        raise click.UsageError("name NAME@VERSION, or --all, or list")
    if actor is None or reason is None:
        raise click.UsageError("say who vouches and why: --actor YOU --reason WHY")
    passphrase = passphrase_in(passphrase_env)
    registry = workspace.registry
    if what is None:
        done = registry.trust_all(
            actor=actor, reason=reason, key=key, passphrase=passphrase
        )
        _tell(done, json_output)
        return
    ref = ModelRef.parse(what)
    if ref.spec is None:
        raise click.UsageError("name the exact version: NAME@VERSION")
    record = registry.trust(
        ref.name, ref.spec, actor=actor, reason=reason, key=key, passphrase=passphrase
    )
    if record is not None:
        _tell([record], json_output)
        return
    if json_output:
        as_json([])
    click.echo(
        f"{ref} is trusted already, as the tracking backend has the digest of its "
        "files; nothing was written",
        err=True,
    )


def _tell(done: list[TrustRecord | BrixaError], json_output: bool) -> None:
    """Print what was trusted; what was not goes to standard error, with exit code 1."""
    records = [each for each in done if isinstance(each, TrustRecord)]
    if json_output:
        as_json(records)
    for record in () if json_output else records:
        signed = f", signed by {', '.join(record.signers)}" if record.signers else ""
        click.echo(
            f"{record.name} {record.version} is trusted on the word of {record.actor}"
            f"{signed}"
        )
    failed = [each for each in done if isinstance(each, BrixaError)]
    for error in failed:
        click.echo(f"error: {error}", err=True)
    click.echo(f"{len(records)} trusted, {len(failed)} refused", err=True)
    if failed:
        raise click.exceptions.Exit(1)


def _list(workspace: Workspace, json_output: bool) -> None:
    registry = workspace.registry
    records, untrusted = registry.trust_records(), registry.untrusted()
    if json_output:
        open_ones = [{"name": name, "version": str(each)} for name, each in untrusted]
        as_json({"records": records, "untrusted": open_ones})
        return
    rows: list[tuple[object, ...]] = [
        (
            record.name,
            record.version,
            record.actor,
            f"{record.at:%Y-%m-%d %H:%M}",
            ", ".join(record.signers) or record.problem,
            record.reason,
        )
        for record in records
    ]
    rows += [
        (name, version, "nobody yet", "", "", "not saved here")
        for name, version in untrusted
    ]
    if not rows:
        click.echo(
            "every version was saved here, and nobody has vouched for any", err=True
        )
        return
    columns = ("model", "version", "vouched for by", "when", "signed by", "why")
    print_table("Trust", columns, rows)
