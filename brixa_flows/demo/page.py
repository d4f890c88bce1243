"""The demo's plot and its page, which needs nothing but itself.

Imports matplotlib: reached through ``importlib``.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from brixa_flows.demo.scenario import MODEL, Story
from brixa_flows.demo.summary import Summary

__all__ = ["draw_months", "render"]

_OLD, _NEW = "#7c8aa0", "#1d6f5f"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; color: #1f2933; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid #d9dee5; }
th { background: #f3f5f8; } img { max-width: 100%; }
blockquote { margin: 0; padding: .6rem 1rem; background: #fdf3e7;
             border-left: 4px solid #d98e2b; }
"""


def draw_months(story: Story) -> bytes:
    """AUC by month of the first version and its successor, as PNG."""
    figure = Figure(figsize=(8, 3.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    months = [score.month for score in story.months]
    old = [score.old for score in story.months]
    axes.plot(months, old, "o-", color=_OLD, label=f"{story.first_version} (first)")
    later = [
        (score.month, score.new) for score in story.months if score.new is not None
    ]
    label = f"{story.new_version} (retrained)"
    axes.plot(*zip(*later, strict=True), "o-", color=_NEW, label=label)
    axes.axvline(months.index(later[0][0]), color=_NEW, linestyle=":", linewidth=1)
    axes.set_ylabel("area under the ROC curve")
    axes.set_title(f"{MODEL}: flights over 15 minutes late, 2013", loc="left")
    axes.tick_params(axis="x", labelrotation=35)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def render(summary: Summary) -> str:
    """The page."""
    story = summary.story
    image = base64.b64encode(summary.png.read_bytes()).decode()
    first, new = story.first_version, story.new_version
    parts = [
        f"<h1>{_text(MODEL)}: from the first training to a better model</h1>",
        f"<p>{story.rows_sent:,} real flights were predicted through the endpoint. "
        f"Version {_text(first)} went into production, an alarm in "
        f"{_text(story.alarm_month)} led to {_text(new)}, and the candidate {_text(story.refused_version)} "
        "was refused.</p>",
        f"<blockquote>{_text(story.alarm)}</blockquote>",
        f'<p><img alt="AUC by month" src="data:image/png;base64,{image}"></p>',
        "<h2>AUC month by month</h2>",
        _table(("month", "flights", first, new, "gain"), _month_rows(story)),
        "<h2>Versions</h2>",
        _table(
            ("version", "stage", "AUC in the month after its data", "what", "policy"),
            (
                (v.version, v.stage, _number(v.auc), v.description, v.decision)
                for v in summary.versions
            ),
        ),
        "<h2>What each automation did, and when</h2>",
        _table(
            ("after", "automation", "run", "took"),
            (
                (f"{r.after_seconds:.0f} s", r.automation, r.run, f"{r.seconds:.1f} s")
                for r in summary.runs
            ),
        ),
        "<h2>How long each step took</h2>",
        _table(
            ("step", "seconds"), ((s.title, f"{s.seconds:.1f}") for s in summary.steps)
        ),
    ]
    head = f"<title>{_text(MODEL)}</title><style>{_STYLE}</style>"
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{head}</head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _month_rows(story: Story) -> Iterable[tuple[str, ...]]:
    for score in story.months:
        new = "trained on it" if score.new is None else f"{score.new:.3f}"
        gain = "" if score.new is None else f"{score.new - score.old:+.3f}"
        yield score.month, f"{score.rows:,}", f"{score.old:.3f}", new, gain


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: str) -> str:
    return html.escape(value)
