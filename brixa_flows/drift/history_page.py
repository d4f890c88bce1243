"""The history of drift as one HTML page that loads nothing."""

from __future__ import annotations

import base64
import importlib
from collections.abc import Sequence
from html import escape
from typing import Any

from brixa_flows.drift.history import ColumnHistory
from brixa_flows.drift.html_page import STYLE

__all__ = ["render_history"]


def render_history(
    title: str, histories: Sequence[ColumnHistory], *, plots: int = 24
) -> str:
    """A table of all columns, and a plot over time of each of the first that were judged.

    Args:
        title: Of the page.
        histories: In the order in which they are shown.
        plots: At most so many are drawn.
    """
    module: Any = importlib.import_module("brixa_flows.drift._plots")
    figures = []
    judged = [each for each in histories if _was_judged(each)]
    for each in judged[:plots]:
        png = base64.b64encode(module.draw_history(each)).decode()
        figures.append(
            f'<figure><img src="data:image/png;base64,{png}" alt="{escape(each.column)}">'
            f"<figcaption>{escape(history_sentence(each))}</figcaption></figure>"
        )
    rows = [
        f"<tr><td>{escape(each.column)}</td><td>{escape(each.deployment)}</td>"
        f"<td>{escape(each.kind)}</td><td>{len(each.moments)}</td>"
        f"<td>{each.drifted}</td><td>{escape((each.since or '-')[:10])}</td>"
        f"<td>{escape(each.trend)}</td></tr>"
        for each in histories
    ]
    heads = "".join(
        f"<th>{head}</th>"
        for head in (
            "column",
            "deployment",
            "kind",
            "windows",
            "drifted",
            "since",
            "trend",
        )
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>",
            f"<h1>{escape(title)}</h1>",
            *figures,
            f"<table><thead><tr>{heads}</tr></thead><tbody>",
            *rows,
            "</tbody></table></body></html>",
            "",
        ]
    )


def _was_judged(history: ColumnHistory) -> bool:
    """A clock, of which only missing rows are asked, has nothing to draw."""
    drifted = history.drifted > 0
    return drifted or any(each.over_limit is not None for each in history.moments)


def history_sentence(history: ColumnHistory) -> str:
    """Since when, in plain words."""
    total = len(history.moments)
    what = f"{history.column}, {history.kind}s of {history.deployment}"
    count = f"{history.drifted} of {total} windows drifted"
    if history.since:
        return f"{what}: {count}; it has drifted since {history.since[:10]}."
    return f"{what}: {count}; it does not drift now."
