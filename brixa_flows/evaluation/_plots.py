"""Adapter: pictures of an evaluation by matplotlib, as PNG data URIs.

Shades and line styles differ in grey too. Figures are made without pyplot, so no
global state and no display is touched.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from brixa_flows.evaluation.comparison import Comparison, MetricComparison
from brixa_flows.evaluation.leaderboard import Leaderboard
from brixa_flows.evaluation.metric_catalog import METRICS
from brixa_flows.evaluation.results import EvaluationResult

__all__ = ["comparison_pictures", "leaderboard_pictures", "pictures"]

_INK = "#1f4e8c"
_GUIDE = "#8a93a3"
_WARM = "#c4571b"
_SHADES = ("#14365f", "#e0935a")  # dark and light, also in grey
_STYLES = ("-", "--", ":", "-.")
_NUMBERS_IN_CELLS = 12
_SLICES_DRAWN = 20
_SLICED_METRICS_DRAWN = 4
_LETTERS_OF_A_TITLE = 48
_COSTS = {name for name, metric in METRICS.items() if metric.needs == "run"}
_Drawn = TypeVar("_Drawn")


def pictures(result: EvaluationResult) -> Iterator[tuple[str, str]]:
    """Caption and data URI of each picture that fits the task."""
    if result.task != "regression":
        yield "metrics with their 95 % intervals", _draw(_metrics, result)
    if result.confusion:
        yield "confusion matrix", _draw(_confusion, result)
    drawers = {
        "roc": ("ROC curve", _roc),
        "precision_recall": ("precision and recall", _precision_recall),
        "roc_by_class": ("ROC curve of each class", _roc_by_class),
        "precision_recall_by_class": (
            "precision and recall of each class",
            _precision_recall_by_class,
        ),
        "calibration": ("calibration", _calibration),
        "residuals": ("residuals", _residuals),
    }
    for name, (caption, drawer) in drawers.items():
        if name in result.curves:
            yield caption, _draw(drawer, result)
    if result.labels:
        yield "F1 by label", _draw(_labels, result, len(result.labels))
    if result.slices:
        picture = _draw(_slices, result, len(result.slices))
        yield f"{_sliced_metric(result)} by slice", picture


def comparison_pictures(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Caption and data URI of the gains over the baseline, whole and by slice."""
    against = f"{comparison.candidate} against {comparison.baseline}"
    gains = _Gains(against, list(comparison.metrics.items()))
    yield f"gain of {against}", _draw(_gains, gains)
    parts = comparison.slices
    for name in list(comparison.metrics)[:_SLICED_METRICS_DRAWN] if parts else ():
        lines = [("all rows", comparison.metrics[name])]
        lines += [
            (_slice_label(part.column, part.value, part.rows), part.metrics[name])
            for part in parts
            if name in part.metrics
        ]
        title = f"{name}: {against}{_cut(len(lines) - 1)}"
        gains = _Gains(title, lines[: _SLICES_DRAWN + 1])
        yield f"gain of {against} in {name} by slice", _draw(_gains, gains, len(lines))


def leaderboard_pictures(board: Leaderboard) -> Iterator[tuple[str, str]]:
    """Caption and data URI of the versions' values, and of the tests."""
    yield f"{board.by} by version", _draw(_ranked, board, len(board.results))
    if board.tests:
        title = f"{board.by} against {board.reference}"
        gains = _Gains(title, list(board.tests.items())[:_SLICES_DRAWN])
        yield title, _draw(_gains, gains, len(board.tests))


def _ranked(axes: Axes, board: Leaderboard) -> None:
    results = board.results[:_SLICES_DRAWN]
    values = np.array([each.metrics[board.by] for each in results])
    bounds = np.array([each.intervals[board.by] for each in results])
    labels = [board.shown(each.version) for each in results]
    _forest(axes, labels, values, bounds)
    axes.set_title(f"{board.by} by version (95 % interval)")


@dataclass(frozen=True)
class _Gains:
    """Lines of a forest plot: what each is called, and what was found."""

    title: str
    lines: list[tuple[str, MetricComparison]]


def _gains(axes: Axes, gains: _Gains) -> None:
    found = [each for _, each in gains.lines]
    sign = np.array([1 if each.higher_is_better else -1 for each in found])
    values = sign * np.array([each.difference for each in found])
    axes.axvline(0, ls="--", color=_GUIDE, lw=1)
    bounds = np.array([each.gain for each in found])
    _forest(axes, [label for label, _ in gains.lines], values, bounds)
    axes.set_xlabel("gain, right of 0 is better (95 % interval)")
    axes.set_title(gains.title)


def _forest(axes: Axes, labels: list[str], values: Any, bounds: Any) -> None:
    """Values with their intervals, the first line on top."""
    rows = np.arange(len(labels))[::-1]
    errors = np.abs(bounds.reshape(-1, 2).T - values)
    axes.errorbar(values, rows, xerr=errors, fmt="o", color=_INK, capsize=4)
    axes.set_yticks(rows, [_plain(label) for label in labels])
    axes.set_ylim(-0.6, max(len(labels), 1) - 0.4)
    axes.grid(axis="x", color="#e3e6eb")


def _slice_label(column: str, value: str, rows: int) -> str:
    short = value if len(value) <= 14 else f"{value[:13].rstrip()}…"
    return f"{column}={short or '(empty)'} ({rows:,})"


def _cut(slices: int) -> str:
    """That not all slices are drawn, if so; the table has them all."""
    return f" (first {_SLICES_DRAWN} of {slices})" if slices > _SLICES_DRAWN else ""


def _plain(text: str) -> str:
    """What stands between two dollars would be read as a formula, and may be none."""
    return text.replace("$", r"\$")


def _draw(
    drawer: Callable[[Axes, _Drawn], None], result: _Drawn, lines: int = 0
) -> str:
    """A picture, higher if it has many lines."""
    height = max(4.2, 0.24 * min(lines, _SLICES_DRAWN + 1) + 1.2)
    figure = Figure(figsize=(5, height), dpi=130, layout="constrained")
    axes = FigureCanvasAgg(figure).figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    drawer(axes, result)
    title = axes.get_title()  # of the figure: long labels leave the axes little room
    axes.set_title("")
    figure.suptitle(
        _plain(title), fontsize=11 if len(title) <= _LETTERS_OF_A_TITLE else 9
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _metrics(axes: Axes, result: EvaluationResult) -> None:
    # Milliseconds and megabytes have another scale than shares.
    names = [name for name in result.metrics if name not in _COSTS]
    values = np.array([result.metrics[name] for name in names])
    bounds = np.array([result.intervals[name] for name in names])
    _forest(axes, names, values, bounds)
    axes.set_title("Metrics and 95 % intervals")


def _confusion(axes: Axes, result: EvaluationResult) -> None:
    counts = np.array(result.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    labels = [_plain(str(label)[:16]) for label in result.classes]
    few = len(labels) <= _NUMBERS_IN_CELLS
    if few:
        tilt = 30 if max(map(len, labels)) > 6 else 0
        axes.set_xticks(range(len(labels)), labels, rotation=tilt)
        axes.set_yticks(range(len(labels)), labels)
        for (row, column), count in np.ndenumerate(counts):
            share = shares[row, column]
            ink = "white" if share > 0.55 else "#1c2330"
            text = f"{count:,}\n{share:.0%}" if len(labels) <= 5 else f"{count:,}"
            axes.text(column, row, text, ha="center", va="center", color=ink)
    axes.set_xlabel("predicted")
    axes.set_ylabel("label")
    axes.set_title("Confusion matrix (share of each label)")


def _roc(axes: Axes, result: EvaluationResult) -> None:
    points = np.array(result.curves["roc"])
    axes.plot([0, 1], [0, 1], ls="--", color=_GUIDE, lw=1)
    axes.plot(points[:, 0], points[:, 1], color=_INK, lw=2)
    area = result.metrics.get("roc_auc")
    axes.set_title("ROC curve" + (f" (area {area:.3f})" if area is not None else ""))
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_aspect("equal")


def _precision_recall(axes: Axes, result: EvaluationResult) -> None:
    points = np.array(result.curves["precision_recall"])
    if result.confusion:
        counts = np.array(result.confusion)
        row = result.classes.index(result.positive)
        share = counts[row].sum() / max(counts.sum(), 1)
        axes.axhline(share, ls="--", color=_GUIDE, lw=1, label="by chance")
        axes.legend(frameon=False, loc="lower left")
    axes.plot(points[:, 0], points[:, 1], color=_INK, lw=2)
    area = result.metrics.get("average_precision")
    words = f" (average {area:.3f})" if area is not None else ""
    axes.set_title("Precision and recall" + words)
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)


def _roc_by_class(axes: Axes, result: EvaluationResult) -> None:
    axes.plot([0, 1], [0, 1], ls="--", color=_GUIDE, lw=1)
    _lines_by_class(axes, result, "roc_by_class")
    area = result.metrics.get("roc_auc")
    words = f" (mean area {area:.3f})" if area is not None else ""
    axes.set_title("ROC curve, class against rest" + words)
    axes.set_xlabel("false positive rate")
    axes.set_ylabel("true positive rate")
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="lower right", fontsize=8)


def _precision_recall_by_class(axes: Axes, result: EvaluationResult) -> None:
    _lines_by_class(axes, result, "precision_recall_by_class")
    axes.set_title("Precision and recall, class against rest")
    axes.set_xlabel("recall")
    axes.set_ylabel("precision")
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.legend(frameon=False, loc="lower left", fontsize=8)


def _lines_by_class(axes: Axes, result: EvaluationResult, name: str) -> None:
    """A line a class: shade and style both differ, so that grey tells them apart."""
    lines = result.curves[name]
    for place, (label, points) in enumerate(
        zip(result.classes[: len(lines)], map(np.array, lines), strict=True)
    ):
        axes.plot(
            points[:, 0],
            points[:, 1],
            color=_SHADES[place // len(_STYLES)],
            ls=_STYLES[place % len(_STYLES)],
            lw=1.8,
            label=_plain(str(label)[:16]),
        )


def _sliced_metric(result: EvaluationResult) -> str:
    """The first metric that a slice has."""
    names = (name for part in result.slices for name in part.metrics)
    return next(names, next(iter(result.metrics)))


def _labels(axes: Axes, result: EvaluationResult) -> None:
    parts = result.labels[:_SLICES_DRAWN]
    values = np.array([part.metrics["f1"] for part in parts])
    bounds = np.array([part.intervals["f1"] for part in parts])
    names = [f"{str(part.label)[:18]} ({part.rows:,})" for part in parts]
    _forest(axes, names, values, bounds)
    axes.set_title(f"F1 by label (rows that have it){_cut(len(result.labels))}")


def _slices(axes: Axes, result: EvaluationResult) -> None:
    name = _sliced_metric(result)
    every = [part for part in result.slices if name in part.metrics]
    parts = every[:_SLICES_DRAWN]
    values = np.array([part.metrics[name] for part in parts])
    bounds = np.array([part.intervals[name] for part in parts])
    if name in result.metrics:
        axes.axvline(
            result.metrics[name], ls="--", color=_GUIDE, lw=1, label="all rows"
        )
        axes.legend(frameon=False)
    labels = [_slice_label(part.column, part.value, part.rows) for part in parts]
    _forest(axes, labels, values, bounds)
    axes.set_title(f"{name} by slice (rows){_cut(len(every))}")


def _calibration(axes: Axes, result: EvaluationResult) -> None:
    points = np.array(result.curves["calibration"])
    axes.plot([0, 1], [0, 1], ls="--", color=_GUIDE, lw=1, label="perfect")
    axes.plot(points[:, 0], points[:, 1], "o-", color=_INK, label="model")
    share = points[:, 2] / points[:, 2].sum()
    axes.bar(
        points[:, 0], share, width=0.05, color=_WARM, alpha=0.35, label="share of rows"
    )
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("predicted probability")
    axes.set_ylabel("share that is positive")
    axes.legend(frameon=False, loc="upper left")
    axes.set_title("Calibration")


def _residuals(axes: Axes, result: EvaluationResult) -> None:
    points = np.array(result.curves["residuals"])
    axes.axhline(0, ls="--", color=_GUIDE, lw=1)
    axes.scatter(points[:, 0], points[:, 1], s=12, color=_INK, alpha=0.6)
    axes.set_xlabel("predicted")
    axes.set_ylabel("label minus predicted")
    axes.set_title("Residuals")
