"""``brixa gc``: bytes that nothing refers to."""

from __future__ import annotations

import re
from datetime import timedelta

import click

from brixa_flows.cli.workspace import Workspace, as_json, json_option

__all__ = ["gc"]

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGE = re.compile(r"(\d{1,6})([mhdw])")


class _AgeType(click.ParamType[timedelta]):
    name = "age"

    def convert(
        self,
        value: object,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> timedelta:
        """Read ``30d``."""
        match = _AGE.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no age; write 45m, 12h, 30d or 8w", param, ctx)
        return timedelta(**{_UNITS[match[2]]: int(match[1])})


@click.command()
@click.option("--remove", is_flag=True, help="Remove what is listed.")
@click.option("--older-than", type=_AgeType(), help="Only what is that old: 30d.")
@click.option(
    "--registered-older-than",
    type=_AgeType(),
    help="Also give up numbers that were taken that long ago and never saved: 90d.",
)
@click.option("--actor", help="Who gives numbers up; you, if not given.")
@json_option
@click.pass_obj
def gc(
    workspace: Workspace,
    remove: bool,
    older_than: timedelta | None,
    registered_older_than: timedelta | None,
    actor: str | None,
    json_output: bool,
) -> None:
    """List bytes that nothing refers to; with --remove, free them.

    These are the files of deleted versions, files that belong to no version, and what
    processes that died left half-written. What a deployment still names is kept.
    """
    found = workspace.registry.collect_garbage(
        remove=remove,
        older_than=older_than,
        registered_older_than=registered_older_than,
        actor=actor,
    )
    if json_output:
        as_json(found)
        return
    for each in found:
        click.echo(str(each))
    free = [each for each in found if not each.kept_by]
    counted = [each for each in free if each.removed or not remove]
    size = sum(each.size_bytes for each in counted)
    if not free:
        click.echo("nothing to free", err=True)
        return
    done = "freed" if remove else "to free; --remove does it"
    things = "thing" if len(counted) == 1 else "things"
    click.echo(f"{len(counted)} {things}, {size} bytes {done}", err=True)
