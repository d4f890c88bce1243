"""A drift report as one HTML page that loads nothing."""

from __future__ import annotations

from html import escape

from brixa_flows.drift.markdown import inline_plot, ordered_columns, verdict_title
from brixa_flows.drift.report import ColumnDrift, DriftReport
from brixa_flows.drift.sentences import mean_text, number, p_number

__all__ = ["STYLE", "render_html"]

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;
color:#1c2430;background:#fff}
h1{margin-bottom:.2rem}.drift{color:#b3261e}.ok{color:#1b7f4b}
.insufficient_data,.not_judged{color:#7a5c00}
table{border-collapse:collapse;width:100%;margin:1rem 0}
th,td{padding:.3rem .6rem;border-bottom:1px solid #dde3ea;text-align:right}
th:first-child,td:first-child,.words{text-align:left}
.short{white-space:nowrap}
figure{display:inline-block;margin:.5rem;vertical-align:top}
figcaption{max-width:28rem;font-size:13px}img{max-width:28rem}
""".strip()
_HEADERS = (
    "column",
    "status",
    "effect",
    "size",
    "limit",
    "p",
    "adjusted p",
    "typical window",
    "window p",
    "mean before",
    "mean now",
    "missing before",
    "missing now",
)


def render_html(report: DriftReport, plots: int) -> str:
    """The page.

    Args:
        report: What to show.
        plots: At most so many columns are drawn, drifted ones first.
    """
    columns = ordered_columns(report)
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>{escape(verdict_title(report))}</title>",
        f"<style>{STYLE}</style></head><body>",
        f'<h1 class="{report.status}">{escape(verdict_title(report))}</h1>',
        f"<p>{escape(report.sentence)}</p>",
        *_findings(report),
        *_advice(report),
        *_figures(columns, plots),
        *_table(columns),
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _findings(report: DriftReport) -> list[str]:
    if not report.findings:
        return []
    items = [f"<li>{escape(each.sentence)}</li>" for each in report.findings]
    return ["<h2>Findings</h2><ul>", *items, "</ul>"]


def _advice(report: DriftReport) -> list[str]:
    if not report.advice:
        return []
    heads = "".join(
        f'<th class="words">{head}</th>'
        for head in ("column", "since", "how sure", "how much", "what to do")
    )
    rows = [
        f"<tr><td>{escape(each.column or 'the model')}</td>"
        f'<td class="words short">{escape((each.since or "now")[:10])}</td>'
        f'<td class="words short">{escape(each.sure or "-")}</td>'
        f'<td class="words">{escape(each.matters or "-")}</td>'
        f'<td class="words">{escape(each.action)}</td></tr>'
        for each in report.advice
    ]
    return [
        f"<h2>What to do</h2><table><thead><tr>{heads}</tr></thead><tbody>",
        *rows,
        "</tbody></table>",
    ]


def _figures(columns: list[ColumnDrift], plots: int) -> list[str]:
    drawn = [column for column in columns if column.shape is not None][:plots]
    parts = []
    for column in drawn:
        parts.append(
            f'<figure><img src="{inline_plot(column)}" alt="{escape(column.name)}">'
            f"<figcaption>{escape(column.sentence)}</figcaption></figure>"
        )
    return parts


def _table(columns: list[ColumnDrift]) -> list[str]:
    heads = "".join(f"<th>{head}</th>" for head in _HEADERS)
    return [
        "<h2>All columns</h2>",
        f"<table><thead><tr>{heads}</tr></thead><tbody>",
        *(_row(column) for column in columns),
        "</tbody></table>",
    ]


def _row(column: ColumnDrift) -> str:
    check = next((c for c in column.checks if c.method == column.effect_name), None)
    cells = [
        escape(column.name),
        f'<span class="{column.status}">{column.status.replace("_", " ")}</span>',
        escape((column.effect_name or "-").replace("_", " ")),
        number(column.effect_size),
        number(column.effect_threshold),
        escape(p_number(column.p_value)),
        escape(p_number(column.adjusted_p_value)),
        number(check.window_typical if check else None),
        escape(p_number(check.window_p_value if check else None)),
        mean_text(column.kind, column.reference_mean),
        mean_text(column.kind, column.mean),
        f"{column.reference_missing_share:.1%}",
        f"{column.missing_share:.1%}",
    ]
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
