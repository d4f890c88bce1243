"""The HTML report: one file with styles and pictures inside, no request leaves it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from brixa_flows.evaluation.comparison import Comparison, MetricComparison
from brixa_flows.evaluation.leaderboard import Leaderboard
from brixa_flows.evaluation.pictures import board_pictures, gains_pictures, pictures_of
from brixa_flows.evaluation.results import EvaluationResult, LabelResult, SliceResult

__all__ = ["render_comparison_html", "render_html", "render_leaderboard_html"]

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2330; background: #f4f5f7;
       margin: 0; }
main { max-width: 1060px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 36px 0 12px; }
.facts { color: #566070; margin: 0 0 24px; overflow-wrap: anywhere; }
section, .figures figure { background: #fff; border: 1px solid #dde1e7;
       border-radius: 8px; padding: 16px 20px; overflow-x: auto; }
section { background: linear-gradient(to right, #fff 70%, transparent) right / 48px 100%
       no-repeat local, linear-gradient(to left, #8a93a3, transparent) right / 14px 100%
       no-repeat scroll, #fff; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: right; padding: 7px 10px; border-bottom: 1px solid #eceef2;
       font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th { color: #566070; font-weight: 600; white-space: normal; vertical-align: bottom; }
tr:last-child td { border-bottom: 0; }
.interval { color: #566070; font-size: 13px; }
.note { background: #fff7e0; border-left: 4px solid #c98a00; padding: 10px 14px;
       margin: 12px 0; border-radius: 4px; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(380px, 1fr));
       gap: 16px; }
.figures figure { margin: 0; padding: 10px; }
.figures img { width: 100%; height: auto; display: block; }
section + section, section + .figures { margin-top: 16px; }
footer { color: #7a8392; font-size: 13px; margin-top: 32px; }
"""


def render_html(result: EvaluationResult) -> str:
    """The report as one HTML page, with pictures as data URIs."""
    figures = _figures(pictures_of(result))
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in result.warnings)
    body = [
        f"<h1>{escape(result.model_name)} {escape(str(result.version))}</h1>",
        f'<p class="facts">{_facts(result)}</p>',
        notes,
        f"<section>{_metrics_table(result)}</section>",
    ]
    if result.labels:
        body += ["<h2>Labels</h2>", f"<section>{_labels(result)}</section>"]
    if figures:
        body.append(f'<h2>In pictures</h2><div class="figures">{figures}</div>')
    if result.slices:
        body.append("<h2>Slices</h2>")
        columns = dict.fromkeys(part.column for part in result.slices)
        body += [f"<section>{_slices(result, column)}</section>" for column in columns]
    body.append(
        "<footer>Intervals are 95 % intervals. Written by Brixa Flows, "
        f"{result.evaluated_at:%Y-%m-%d %H:%M} UTC.</footer>"
    )
    return _page(f"{result.model_name} {result.version}: evaluation", body)


def render_comparison_html(comparison: Comparison) -> str:
    """A comparison as one HTML page, with the gains as a forest plot."""
    title = f"{comparison.model_name} {comparison.candidate}"
    rows = "".join(f"<tr>{_gain_cells(each)}" for each in comparison.metrics.values())
    dataset = comparison.dataset
    body = [
        f"<h1>{escape(title)} against {comparison.baseline}</h1>",
        f'<p class="facts">Both on the same {dataset.rows:,} rows of '
        f"{escape(dataset.name)}, digest {escape(dataset.digest)}; "
        f"{escape(str(comparison.conditions))}"
        + f"; worse by less than {comparison.margin:g} counts as not worse"
        * (comparison.margin > 0)
        + ".</p>",
        *(f'<p class="note">{escape(note)}</p>' for note in comparison.warnings),
        f"<section><table><thead><tr>{_gain_heads(comparison)}"
        f"<tbody>{rows}</tbody></table></section>",
        f'<div class="figures">{_figures(gains_pictures(comparison))}</div>',
    ]
    if comparison.slices:
        body += ["<h2>Slices</h2>", *_compared_slices(comparison)]
    return _page(f"{title} against {comparison.baseline}", body)


def render_leaderboard_html(board: Leaderboard) -> str:
    """A leaderboard as one HTML page, with forest plots."""
    first, *others = board.metrics
    tested = [f"against {board.reference}"] * bool(board.tests)
    rows = ""
    for place, each in enumerate(board.results, start=1):
        standing = escape(board.standing(each.version)).replace("), ", "),<br>")
        cells = [str(place), escape(board.shown(each.version))]
        cells += [_board_cell(each, first)]
        cells += [f'<span class="interval">{standing}</span>' for _ in tested]
        cells += [_board_cell(each, name) for name in others]
        rows += "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    dataset = board.dataset
    heads = ["", "version", first, *tested, *others]
    head = "".join(f"<th>{_breakable(name)}</th>" for name in heads)
    title = f"{board.model_name}: versions by {board.by}"
    return _page(
        title,
        [
            f"<h1>{escape(title)}</h1>",
            f'<p class="facts">All on the same {dataset.rows:,} rows of '
            f"{escape(dataset.name)}, digest {escape(dataset.digest)}; "
            f"{escape(str(board.conditions))}; 95 % intervals.</p>",
            *(f'<p class="note">{escape(note)}</p>' for note in board.notes),
            f"<section><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody>"
            "</table></section>",
            f'<div class="figures">{_figures(board_pictures(board))}</div>',
        ],
    )


def _board_cell(result: EvaluationResult, metric: str) -> str:
    low, high = result.intervals[metric]
    return (
        f'{result.metrics[metric]:.4f}<br><span class="interval">'
        f"{low:.4f} to {high:.4f}</span>"
    )


def _breakable(name: str) -> str:
    """A heading that may go on in the next line after an underscore."""
    return escape(name).replace("_", "_<wbr>")


def _gain_heads(comparison: Comparison) -> str:
    names = ["metric", str(comparison.baseline), str(comparison.candidate)]
    names += ["difference", "95 % interval", "adjusted p", "verdict", "test"]
    return "".join(f"<th>{escape(name)}</th>" for name in names) + "</tr></thead>"


def _gain_cells(found: MetricComparison) -> str:
    return (
        f"<td>{escape(found.metric)}</td><td>{found.baseline:.4f}</td>"
        f"<td>{found.candidate:.4f}</td><td>{found.difference:+.4f}</td>"
        f'<td class="interval">{found.interval}</td>'
        f"<td>{found.adjusted_p_value:.3g}</td>"
        f"<td>{found.verdict.replace('_', ' ')}</td>"
        f'<td class="interval">{escape(found.test)}</td></tr>'
    )


def _compared_slices(comparison: Comparison) -> Iterator[str]:
    """A table for each column."""
    for column in dict.fromkeys(part.column for part in comparison.slices):
        rows = ""
        for part in comparison.slices:
            if part.column != column:
                continue
            where = f"<tr><td>{escape(part.value) or '(empty)'}</td>"
            where += f"<td>{part.rows:,}</td>"
            rows += "".join(where + _gain_cells(each) for each in part.metrics.values())
            rows += "".join(
                f'{where}<td colspan="8" class="interval">{escape(note)}</td></tr>'
                for note in part.notes
            )
        yield (
            f"<section><table><thead><tr><th>{escape(column)}</th><th>rows</th>"
            f"{_gain_heads(comparison)}<tbody>{rows}</tbody></table></section>"
        )


def _figures(pictures: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<figure><img src="{uri}" alt="{escape(caption)}"></figure>'
        for caption, uri in pictures
    )


def _page(title: str, body: list[str]) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def _facts(result: EvaluationResult) -> str:
    dataset = result.dataset
    return (
        f"{escape(str(result.conditions))}, on {dataset.rows:,} rows of "
        f"{escape(dataset.name)}, digest {escape(dataset.digest)}. In production at "
        f"that time: {escape(result.rival)}."
        + (f" Precision: {escape(result.precision)}." if result.precision else "")
    )


def _metrics_table(result: EvaluationResult) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{value:.4f}</td>"
        f'<td class="interval">{result.intervals[name]}</td></tr>'
        for name, value in result.metrics.items()
    )
    return (
        "<table><thead><tr><th>metric</th><th>value</th><th>95 % interval</th></tr>"
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _labels(result: EvaluationResult) -> str:
    names = list(dict.fromkeys(n for part in result.labels for n in part.metrics))
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{escape(str(part.label))}</td><td>{part.rows:,}</td>"
        + "".join(_slice_cell(part, name) for name in names)
        + "</tr>"
        for part in result.labels
    )
    return (
        f"<table><thead><tr><th>label</th><th>rows that have it</th>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _slices(result: EvaluationResult, column: str) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in result.metrics)
    rows = "".join(
        f"<tr><td>{escape(part.value) or '(empty)'}</td><td>{part.rows:,}</td>"
        + "".join(_slice_cell(part, name) for name in result.metrics)
        + "</tr>"
        for part in result.slices
        if part.column == column
    )
    return (
        f"<table><thead><tr><th>{escape(column)}</th><th>rows</th>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _slice_cell(part: SliceResult | LabelResult, name: str) -> str:
    if name not in part.metrics:
        notes = "; ".join(note for note in part.notes if note.startswith(name))
        return f'<td title="{escape(notes)}">n/a</td>'
    low, high = part.intervals[name]
    return (
        f'<td>{part.metrics[name]:.3f}<br><span class="interval">'
        f"{low:.3f} to {high:.3f}</span></td>"
    )
