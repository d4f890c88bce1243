"""Commands that need Prefect; imported only inside their bodies."""

from __future__ import annotations

import importlib
from pathlib import Path

import click
from rich.console import Console

__all__ = ["automations", "demo", "init"]

_INTERRUPTED_BASE = 128


@click.command()
@click.option(
    "--home",
    default=".brixa-demo",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps all it writes; made afresh.",
)
@click.option(
    "--prefect-database",
    default="",
    metavar="URL",
    help="Database of its Prefect, such as postgresql+asyncpg://USER@HOST/EMPTY; "
    "without it a file of sqlite in the folder. What it writes there stays.",
)
@click.option("--keep", is_flag=True, help="Leave the UIs and the endpoint running.")
@click.option("--stop", is_flag=True, help="Stop what --keep left running.")
def demo(home: Path, prefect_database: str, keep: bool, stop: bool) -> None:
    """Play the whole loop on real flights, with a Prefect server of its own."""
    if keep and stop:
        raise click.UsageError("--keep and --stop exclude each other")
    running = importlib.import_module("brixa_flows.demo.running")
    homes = importlib.import_module("brixa_flows.demo.home")
    folder = homes.DemoHome(home, prefect_database)
    if stop:
        ended = running.stop_demo(folder)
        click.echo(f"stopped {ended} processes of the demo in {folder.path}")
        return
    console = Console(width=None if Console().is_terminal else 120)
    try:
        summary = running.Demo(folder, console).run(keep=keep)
    except running.Interrupted as err:
        click.echo(f"{err}; nothing was left running", err=True)
        raise SystemExit(_INTERRUPTED_BASE + err.number) from None
    summary.print(console)


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
def init(directory: Path) -> None:
    """Lay a Prefect project with the loop's flows and automations down in DIRECTORY."""
    project = importlib.import_module("brixa_flows.demo.project")
    for path in project.copy_project(directory):
        click.echo(path)
    click.echo(
        "\nNext, in that folder and with PREFECT_API_URL set:\n"
        "  prefect work-pool create brixa --type process\n"
        "  python -m blocks\n"
        "  prefect deploy --all\n"
        "  prefect worker start --pool brixa",
        err=True,
    )


@click.command()
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=".",
    help="Folder of brixa.toml and prefect.yaml.",
)
def automations(project: Path) -> None:
    """Make the automations that brixa.toml names, and remove those that it does not."""
    automating = importlib.import_module("brixa_flows.tasks.automating")
    done = [*automating.save_automations(project)]
    for sentence in done:
        click.echo(sentence)
    if not done:
        click.echo(
            "brixa.toml names no training, and there was no automation", err=True
        )
