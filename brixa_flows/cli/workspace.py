"""What the commands share: the registry they talk to and how they print."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from textwrap import wrap
from typing import Any

import click
from pydantic import BaseModel

from brixa_flows.errors import TrackingUnavailableError
from brixa_flows.refs import ModelRef
from brixa_flows.registry import ModelMetadata, ModelRegistry
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage import StorageNode, open_storage

__all__ = [
    "MODEL_REF",
    "Workspace",
    "as_json",
    "exact_rows_option",
    "json_option",
    "parse_moment",
    "print_folded",
    "print_table",
]

_WIDEST_TABLE = 10_000


class Workspace:
    """The registry of this call, opened when a command first asks for it.

    Args:
        storage_uri: What ``--storage`` said.
        tracking_uri: What ``--tracking-uri`` said.
    """

    def __init__(self, storage_uri: str | None, tracking_uri: str | None) -> None:
        self._storage_uri = storage_uri
        self._tracking_uri = tracking_uri

    @cached_property
    def settings(self) -> BrixaSettings:
        """Settings from the environment."""
        return BrixaSettings.load()

    @cached_property
    def storage(self) -> StorageNode:
        """The storage node."""
        return open_storage(self._storage_uri, self.settings)

    @cached_property
    def registry(self) -> ModelRegistry:
        """The registry on that storage."""
        return ModelRegistry(
            self.storage, tracking_uri=self._tracking_uri, settings=self.settings
        )

    def answered(self, found: Sequence[ModelMetadata]) -> Sequence[ModelMetadata]:
        """Versions with what MLflow says of them.

        While it is away, with what storage last knew, and a note.
        """
        try:
            for each in found:
                _ = each.metrics
        except TrackingUnavailableError as err:
            note = (
                "description, tags, metrics, custom and owner are as storage has them"
            )
            click.echo(f"note: {err}; {note}", err=True)
            stored = [each.as_stored() for each in found]
            for each in stored:
                if each.state == "ready" and each.problem:
                    click.echo(f"in doubt: {each.problem}", err=True)
            return stored
        return found

    def say_problems(self, found: Iterable[ModelMetadata]) -> None:
        """Tell why versions that were listed are quarantined."""
        for problem in (x.problem for x in found if x.state == "quarantined"):
            click.echo(f"quarantined: {problem}", err=True)

    def say_none(self, what: str) -> None:
        """Tell that nothing was found, and where it was looked for."""
        root = getattr(self.storage, "root", None)
        absent = isinstance(root, Path) and not root.is_dir()
        hint = ", which does not exist; check --storage and BRXA_STORAGE_PATH" * absent
        click.echo(f"there are no {what} in {self.storage.uri}{hint}", err=True)


class _ModelRefType(click.ParamType[ModelRef]):
    name = "NAME[@SPEC]"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> ModelRef:
        try:
            return value if isinstance(value, ModelRef) else ModelRef.parse(value)
        except ValueError as err:
            self.fail(str(err), param, ctx)


MODEL_REF = _ModelRefType()


def parse_moment(text: str) -> datetime:
    """A moment as people write it (ISO 8601); UTC where no time zone is written.

    Raises:
        click.UsageError: If it is none.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as err:
        raise click.UsageError(
            f"{text!r} is no moment; write 2026-03-01 or 2026-03-01T12:00+01:00"
        ) from err
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The ``--json`` flag of every command that prints data."""
    return click.option(
        "--json", "json_output", is_flag=True, help="Print JSON to standard output."
    )(function)


def exact_rows_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The ``--exact-rows`` option of every command that judges rows."""
    return click.option(
        "--exact-rows",
        type=click.IntRange(min=0),
        default=1_000_000,
        show_default=True,
        help="Up to how many rows are kept; of more, sums.",
    )(function)


def as_json(value: Any) -> None:
    """Print ``value`` (pydantic models too) as JSON."""
    click.echo(json.dumps(_plain(value), indent=2, sort_keys=True, default=str))


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Print a table to standard output, every cell as it is.

    On a terminal the last column alone is folded where the line gets too long.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        last = column == columns[-1]
        table.add_column(column, overflow="fold", no_wrap=not last)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    width = _terminal_columns() or _WIDEST_TABLE
    console = Console(width=width, markup=False, emoji=False, highlight=False)
    click.echo(title)
    console.print(table)


def print_folded(text: str) -> None:
    """Print lines to standard output, long ones folded on a terminal."""
    width = _terminal_columns()
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())] + "    "
        folded = wrap(line, width, subsequent_indent=indent) if width else [line]
        click.echo("\n".join(folded))


def _terminal_columns() -> int | None:
    """Columns of the terminal, ``None`` where the output goes to a file or pipe."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return None
