"""Reports of an evaluation: markdown, HTML, JSON and JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Callable

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.junit import junit_suite
from brixa_flows.evaluation.report_html import render_html
from brixa_flows.evaluation.results import EvaluationResult, LabelResult, SliceResult
from brixa_flows.evaluation.tables import cell

__all__ = ["FORMATS", "check_format", "render"]

_CLASSES_IN_A_TABLE = 12


def render(result: EvaluationResult, output_format: str) -> str:
    """The report in a format.

    Raises:
        EvaluationError: If the format is not known; lists those that are.
    """
    check_format(output_format)
    return _RENDERERS[output_format](result)


def check_format(output_format: str) -> None:
    """Refuse a format that is not known.

    Raises:
        EvaluationError: If it is not; lists those that are.
    """
    if output_format not in _RENDERERS:
        raise EvaluationError(
            f"there is no report format {output_format!r}; known: {', '.join(FORMATS)}"
        )


def render_markdown(result: EvaluationResult) -> str:
    """Headings and tables that GitHub, Prefect and MLflow show."""
    blocks = [
        f"# {result.model_name} {result.version}: evaluation",
        _facts(result),
        _metrics_table(result),
    ]
    if result.warnings:
        blocks.append("\n".join(f"> **Note:** {note}" for note in result.warnings))
    if result.labels:
        blocks += ["## Labels", _labels_table(result)]
    if 0 < len(result.confusion) <= _CLASSES_IN_A_TABLE:
        blocks += ["## Confusion matrix", _confusion_table(result)]
    if result.slices:
        blocks.append("## Slices")
        columns = dict.fromkeys(part.column for part in result.slices)
        blocks += [_slices_table(result, column) for column in columns]
    return "\n\n".join(blocks) + "\n"


def _facts(result: EvaluationResult) -> str:
    dataset = result.dataset
    lines = [
        f"- Data: {dataset.name}, {dataset.rows:,} rows, digest `{dataset.digest}`",
        f"- Task: {result.conditions}",
        f"- Evaluated: {result.evaluated_at:%Y-%m-%d %H:%M} UTC",
        f"- In production at that time: {result.rival}",
    ]
    if result.precision:
        lines.append(f"- Precision: {result.precision}")
    return "\n".join(lines)


def _metrics_table(result: EvaluationResult) -> str:
    lines = ["| metric | value | 95 % interval |", "|---|---:|---|"]
    lines += [
        f"| {name} | {value:.4f} | {result.intervals[name]} |"
        for name, value in result.metrics.items()
    ]
    return "\n".join(lines)


def _confusion_table(result: EvaluationResult) -> str:
    labels = [cell(label) for label in result.classes]
    lines = [
        "| label \\\\ predicted | " + " | ".join(labels) + " |",
        "|---" + "|---:" * len(labels) + "|",
    ]
    lines += [
        f"| **{label}** | " + " | ".join(f"{count:,}" for count in row) + " |"
        for label, row in zip(labels, result.confusion, strict=True)
    ]
    return "\n".join(lines)


def _labels_table(result: EvaluationResult) -> str:
    names = list(dict.fromkeys(n for part in result.labels for n in part.metrics))
    lines = [
        "| label | rows that have it | " + " | ".join(names) + " |",
        "|---|---:" + "|---:" * len(names) + "|",
    ]
    lines += [
        f"| {cell(part.label)} | {part.rows:,} | "
        + " | ".join(_slice_cell(part, name) for name in names)
        + " |"
        for part in result.labels
    ]
    notes = (f"> {part.label}: {note}" for part in result.labels for note in part.notes)
    return "\n\n".join(["\n".join(lines), *notes])


def _slices_table(result: EvaluationResult, column: str) -> str:
    names = list(result.metrics)
    lines = [
        f"| {cell(column)} | rows | " + " | ".join(names) + " |",
        "|---|---:" + "|---:" * len(names) + "|",
    ]
    lines += [
        f"| {cell(part.value) or '(empty)'} | {part.rows:,} | "
        + " | ".join(_slice_cell(part, name) for name in names)
        + " |"
        for part in result.slices
        if part.column == column
    ]
    return "\n".join(lines)


def _slice_cell(part: SliceResult | LabelResult, name: str) -> str:
    if name not in part.metrics:
        return "n/a"
    return f"{part.metrics[name]:.4f} ({part.intervals[name]})"


def render_json(result: EvaluationResult) -> str:
    """What ``EvaluationResult.from_dict`` reads back."""
    return json.dumps(result.to_dict(), indent=2, default=str) + "\n"


def render_junit(result: EvaluationResult) -> str:
    """One test case a metric, so that a CI shows the numbers beside its tests."""
    cases = [
        (metric, f"{value:.6g} (95 % interval {result.intervals[metric]})", True)
        for metric, value in result.metrics.items()
    ]
    facts = {
        "dataset": result.dataset.name,
        "dataset_digest": result.dataset.digest,
        "rows": str(result.rows),
        "task": str(result.conditions),
        "method": result.method,
        **{f"metric.{metric}": repr(value) for metric, value in result.metrics.items()},
    }
    return junit_suite(
        f"{result.model_name} {result.version}",
        cases,
        properties=facts,
        notes=result.warnings,
        at=result.evaluated_at,
    )


_RENDERERS: dict[str, Callable[[EvaluationResult], str]] = {
    "markdown": render_markdown,
    "html": render_html,
    "json": render_json,
    "junit": render_junit,
}

FORMATS = tuple(_RENDERERS)
