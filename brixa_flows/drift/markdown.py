"""A drift report as markdown, for an artifact of a run."""

from __future__ import annotations

import base64
import importlib

from brixa_flows.drift.report import ColumnDrift, DriftReport
from brixa_flows.drift.sentences import mean_text, number, p_number

__all__ = ["inline_plot", "ordered_columns", "render_markdown", "verdict_title"]

_TITLES = {
    "ok": "No drift",
    "drift": "Drift",
    "insufficient_data": "Too few rows to judge",
}
_RANKS = {"drift": 0, "insufficient_data": 1, "ok": 2, "not_judged": 3}


def verdict_title(report: DriftReport) -> str:
    """The status in words, with the kind of window."""
    title = _TITLES[report.status]
    return f"{title} ({report.kind})" if report.kind else title


def ordered_columns(report: DriftReport) -> list[ColumnDrift]:
    """Drifted columns first, the largest effect over its threshold at the top."""

    def rank(column: ColumnDrift) -> tuple[int, float]:
        over = (column.effect_size or 0.0) / (column.effect_threshold or 1.0)
        return _RANKS[column.status], -over

    return sorted(report.columns.values(), key=rank)


def inline_plot(column: ColumnDrift) -> str | None:
    """The column's plot as a PNG data URI; ``None`` if there is nothing to draw."""
    if column.shape is None:
        return None
    plots = importlib.import_module("brixa_flows.drift._plots")
    png: bytes = plots.draw_column(column)
    return "data:image/png;base64," + base64.b64encode(png).decode()


def render_markdown(report: DriftReport, plots: int) -> str:
    """Verdict, findings, a sentence a drifted column, and a table of all.

    Args:
        report: What to show.
        plots: At most so many drifted columns are drawn.
    """
    columns = ordered_columns(report)
    drifted = [column for column in columns if column.status == "drift"]
    lines = [f"# {verdict_title(report)}", "", report.sentence, ""]
    lines += [f"- {_escaped(column.sentence)}" for column in drifted]
    lines += [f"- {_escaped(finding.sentence)}" for finding in report.findings]
    for column in drifted[:plots]:
        image = inline_plot(column)
        if image:
            lines += ["", f"![{_escaped(column.name)}]({image})"]
    lines += _advice(report)
    lines += ["", *_table(columns), "", _footnote(report)]
    return "\n".join(lines) + "\n"


def _advice(report: DriftReport) -> list[str]:
    if not report.advice:
        return []
    lines = ["", "## What to do", ""]
    lines += ["| column | since | how sure | how much | what to do |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for each in report.advice:
        cells = (
            each.column or "the model",
            (each.since or "now")[:10],
            each.sure or "-",
            each.matters or "-",
            each.action,
        )
        lines.append("| " + " | ".join(map(_escaped, cells)) + " |")
    return lines


def _table(columns: list[ColumnDrift]) -> list[str]:
    lines = [
        "| column | status | effect | limit | adjusted p | mean before | mean now "
        "| missing before | missing now |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for column in columns:
        effect = f"{(column.effect_name or '').replace('_', ' ')} "
        cells = [
            _escaped(column.name),
            column.status.replace("_", " "),
            effect + number(column.effect_size),
            number(column.effect_threshold),
            _escaped(p_number(column.adjusted_p_value)),
            mean_text(column.kind, column.reference_mean),
            mean_text(column.kind, column.mean),
            f"{column.reference_missing_share:.1%}",
            f"{column.missing_share:.1%}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _footnote(report: DriftReport) -> str:
    text = (
        f"{report.rows:,} rows against {report.reference_rows:,} of the reference. A "
        f"column drifts when the adjusted p is below {report.alpha:g} and the effect "
        "reaches its limit"
    )
    if report.kind:
        text += (
            f"; a {report.kind} must also differ more than the reference's own windows "
            "make likely"
        )
    return text + "."


def _escaped(text: str) -> str:
    for mark in "\\|<>*_`[]":
        text = text.replace(mark, "\\" + mark)
    return text.replace("\n", " ")
