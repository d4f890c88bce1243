"""``brixa model evaluate``, ``compare``, ``leaderboard``, ``report``: how good versions are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from brixa_flows.cli.judging_options import question_options
from brixa_flows.cli.workspace import (
    MODEL_REF,
    Workspace,
    as_json,
    exact_rows_option,
    json_option,
    print_table,
)
from brixa_flows.refs import ModelRef

if TYPE_CHECKING:
    from brixa_flows.evaluation import EvaluationResult, LabelResult

__all__ = ["compare", "evaluate", "leaderboard", "report"]

_ENDINGS = {".html": "html", ".htm": "html", ".json": "json", ".xml": "junit"}


@click.command("evaluate")
@click.argument("ref", type=MODEL_REF)
@click.argument("dataset")
@question_options
@click.option("--metric", "metrics", multiple=True, help="Repeat for several.")
@click.option("--slice", "slices", multiple=True, help="Column to judge by its values.")
@click.option("--again", is_flag=True, help="Also if it is known from before.")
@exact_rows_option
@json_option
@click.pass_obj
def evaluate(
    workspace: Workspace,
    ref: ModelRef,
    dataset: str,
    asked: dict[str, Any],
    metrics: tuple[str, ...],
    slices: tuple[str, ...],
    again: bool,
    exact_rows: int,
    json_output: bool,
) -> None:
    """Judge a version on a CSV or Parquet file (or glob)."""
    from brixa_flows.evaluation import ModelEvaluator

    registry = workspace.registry
    result = ModelEvaluator(registry, exact_rows=exact_rows).evaluate(
        model_name=ref.name,
        version=registry.resolve(ref.name, ref.spec),
        dataset=dataset,
        metrics=list(metrics) or None,
        **asked,
        slices=slices,
        again=again,
    )
    if json_output:
        as_json(result.to_dict())
        return
    print_table(
        f"{ref.name} {result.version} on {result.rows} rows, {result.conditions}",
        ("metric", "value", "95 % interval"),
        (
            (name, f"{value:.4f}", _interval(result.intervals.get(name)))
            for name, value in result.metrics.items()
        ),
    )
    for warning in result.warnings:
        click.echo(f"note: {warning}", err=True)
    if result.slices:
        _print_slices(result)
    if result.labels:
        names = list(dict.fromkeys(n for each in result.labels for n in each.metrics))
        print_table(
            "each label",
            ("label", "rows that have it", *names),
            (
                (each.label, each.rows, *(_in_label(each, name) for name in names))
                for each in result.labels
            ),
        )


def _print_slices(result: EvaluationResult) -> None:
    names = list(result.metrics)
    print_table(
        "each slice",
        ("slice", "rows", *names),
        (
            (
                f"{part.column} = {part.value}",
                part.rows,
                *(
                    f"{part.metrics[name]:.4f}" if name in part.metrics else "n/a"
                    for name in names
                ),
            )
            for part in result.slices
        ),
    )


def _in_label(part: LabelResult, name: str) -> str:
    if name not in part.metrics:
        return "n/a"
    return f"{part.metrics[name]:.4f} ({_interval(part.intervals[name])})"


def _interval(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.4f} to {bounds[1]:.4f}"


@click.command("compare")
@click.argument("name")
@click.argument("baseline")
@click.argument("candidate")
@click.argument("dataset")
@question_options
@click.option("--metric", "metrics", multiple=True, help="Repeat for several.")
@click.option("--slice", "slices", multiple=True, help="Column; repeat for several.")
@click.option("--margin", default=0.0, help="How much worse is still not worse.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write it as a page.")
@click.option(
    "--record/--no-record", default=True, help="Keep it with the candidate (default)."
)
@json_option
@click.pass_obj
def compare(
    workspace: Workspace,
    name: str,
    baseline: str,
    candidate: str,
    dataset: str,
    asked: dict[str, Any],
    metrics: tuple[str, ...],
    slices: tuple[str, ...],
    margin: float,
    html: str | None,
    record: bool,
    json_output: bool,
) -> None:
    """Judge two versions of NAME on the same rows of DATASET, paired.

    BASELINE and CANDIDATE are versions, stages, aliases or constraints; DATASET is a
    CSV or Parquet file or glob.
    """
    from brixa_flows.evaluation import ModelEvaluator, render_comparison_html

    found = ModelEvaluator(workspace.registry).compare(
        name,
        baseline,
        candidate,
        dataset,
        list(metrics) or None,
        **asked,
        slices=slices,
        margin=margin,
        record=record,
    )
    if html:
        _write(html, render_comparison_html(found))
    if json_output:
        as_json(found.to_dict())
    else:
        click.echo(found.to_markdown())


@click.command("leaderboard")
@click.argument("name")
@click.argument("dataset", required=False)
@question_options
@click.option("--metric", "metrics", multiple=True, help="Repeat; the first one ranks.")
@click.option("--constraint", default="*", help="Only versions such as ^1.2.")
@click.option("--against", help="Test the others against this one, not the best.")
@click.option("--margin", default=0.0, help="How much worse is still not worse.")
@click.option("--html", type=click.Path(dir_okay=False), help="Write it as a page.")
@exact_rows_option
@json_option
@click.pass_obj
def leaderboard(
    workspace: Workspace,
    name: str,
    dataset: str | None,
    asked: dict[str, Any],
    metrics: tuple[str, ...],
    constraint: str,
    against: str | None,
    margin: float,
    html: str | None,
    exact_rows: int,
    json_output: bool,
) -> None:
    """Rank the versions of NAME on the same rows, and test them against the best.

    Without DATASET (a CSV or Parquet file or glob) by what is kept of the rows that
    most versions were judged on, without tests.
    """
    from brixa_flows.evaluation import ModelEvaluator, render_leaderboard_html

    board = ModelEvaluator(workspace.registry, exact_rows=exact_rows).leaderboard(
        name,
        dataset,
        list(metrics) or None,
        versions=constraint,
        by=metrics[0] if metrics else None,
        **asked,
        against=against,
        margin=margin,
    )
    if html:
        _write(html, render_leaderboard_html(board))
    if json_output:
        as_json(board.to_dict())
        return
    tested = [f"{board.by} against {board.reference}"] if board.tests else []
    print_table(
        f"{name} on {board.dataset.rows} rows of {board.dataset.name}, "
        f"{board.conditions}",
        ("", "version", *board.metrics, *tested),
        (
            (
                place,
                board.shown(each.version),
                *(_with_interval(each, metric) for metric in board.metrics),
                *(board.standing(each.version) for _ in tested),
            )
            for place, each in enumerate(board.results, start=1)
        ),
    )
    for note in board.notes:
        click.echo(note, err=True)


def _write(file: str, page: str) -> None:
    Path(file).write_text(page, encoding="utf-8")
    click.echo(f"wrote {file}", err=True)


def _with_interval(result: EvaluationResult, metric: str) -> str:
    low, high = result.intervals[metric]
    return f"{result.metrics[metric]:.4f} ({low:.4f} to {high:.4f})"


@click.command("report")
@click.argument("ref", type=MODEL_REF)
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["markdown", "html", "json", "junit"]),
    help="Markdown if neither this nor the file's ending says otherwise.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False),
    help="Write it here; its ending tells the format where that is not said.",
)
@click.pass_obj
def report(
    workspace: Workspace, ref: ModelRef, output_format: str | None, output: str | None
) -> None:
    """Print the report of the last evaluation of a version, or write it to a file."""
    from brixa_flows.evaluation import ModelEvaluator

    registry = workspace.registry
    version = registry.resolve(ref.name, ref.spec)
    text = ModelEvaluator(registry).generate_report(
        model_name=ref.name,
        version=version,
        output_format=output_format or _format_of(output),
    )
    if output:
        _write(output, text)
    else:
        click.echo(text)


def _format_of(file: str | None) -> str:
    return _ENDINGS.get(Path(file or "").suffix.lower(), "markdown")
