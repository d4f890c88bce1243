"""Adapter to matplotlib: a column before and now, as PNG."""

from __future__ import annotations

import io

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from brixa_flows.drift.history import ColumnHistory
from brixa_flows.drift.report import ColumnDrift, ColumnShape
from brixa_flows.drift.sentences import mean_text
from brixa_flows.drift.shapes import SHOWN_PARTS

__all__ = ["draw_column", "draw_history"]

_REFERENCE, _CURRENT = "#7c8aa0", "#d1495b"
_LABEL_CHARACTERS = 18


def draw_history(history: ColumnHistory) -> bytes:
    """Draw the effect over its limit, window by window.

    Returns:
        A PNG image of about 10 to 20 KB.
    """
    figure = Figure(figsize=(5.6, 2.6), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    places = range(len(history.moments))
    ratios = [
        float("nan") if each.over_limit is None else each.over_limit
        for each in history.moments
    ]
    axes.plot(places, ratios, color=_REFERENCE, linewidth=1.4, zorder=1)
    for status, color, marker in (("ok", _REFERENCE, "o"), ("drift", _CURRENT, "D")):
        chosen = [n for n in places if history.moments[n].status == status]
        heights = [ratios[n] for n in chosen]
        axes.scatter(
            chosen, heights, color=color, marker=marker, s=28, label=status, zorder=2
        )
    for place in places:
        if history.moments[place].status == "gone":
            axes.axvline(place, color=_CURRENT, linestyle=":", linewidth=1.6)
    axes.axhline(1, color="#1c2430", linestyle="--", linewidth=1, label="limit")
    axes.set_ylim(bottom=0)
    shown = list(places)[:: max(len(places) // 8, 1)]
    names = [history.moments[place].start[:10] for place in shown]
    axes.set_xticks(shown, names, rotation=30, ha="right")
    axes.set_title(
        f"{history.column[:50]} ({history.kind})".replace("$", r"\$"), size=10
    )
    axes.set_ylabel("effect / limit", size=8)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def draw_column(column: ColumnDrift) -> bytes:
    """Draw both distributions over one another.

    Args:
        column: With a shape.

    Returns:
        A PNG image of about 10 to 20 KB.
    """
    figure = Figure(figsize=(5.6, 2.6), dpi=90, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    shape = column.shape
    if shape is not None:
        (_draw_categories if shape.labels else _draw_numbers)(axes, shape)
    if column.kind == "datetime":
        axes.xaxis.set_major_formatter(lambda at, _: mean_text("datetime", at)[:10])
        axes.xaxis.set_major_locator(MaxNLocator(5))
    title = f"{column.name[:60]}: {column.status.replace('_', ' ')}"
    axes.set_title(title.replace("$", r"\$"), size=10)
    axes.set_ylabel("share of rows", size=8)
    axes.set_xlabel(SHOWN_PARTS.get(column.kind, ""), size=8)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    target = io.BytesIO()
    figure.savefig(target, format="png")
    return target.getvalue()


def _draw_numbers(axes: Axes, shape: ColumnShape) -> None:
    axes.stairs(
        shape.reference,
        shape.edges,
        fill=True,
        color=_REFERENCE,
        alpha=0.5,
        label="reference",
    )
    axes.stairs(shape.current, shape.edges, color=_CURRENT, linewidth=1.6, label="now")


def _draw_categories(axes: Axes, shape: ColumnShape) -> None:
    places = range(len(shape.labels))
    axes.bar(
        [place - 0.2 for place in places],
        shape.reference,
        0.4,
        color=_REFERENCE,
        label="reference",
    )
    axes.bar(
        [place + 0.2 for place in places],
        shape.current,
        0.4,
        color=_CURRENT,
        label="now",
    )
    names = [label[:_LABEL_CHARACTERS].replace("$", r"\$") for label in shape.labels]
    axes.set_xticks(list(places), names, rotation=30, ha="right")
