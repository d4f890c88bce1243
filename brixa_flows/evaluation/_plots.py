"""Adapter: pictures of an evaluation by matplotlib, as PNG data URIs.

Shades and line styles differ in grey too. Figures are made without pyplot, so no
global state and no display is touched.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from brixa_flows.evaluation.compare import Comparison
from brixa_flows.evaluation.metric_catalog import METRICS
from brixa_flows.evaluation.results import EvaluationResult

__all__ = ["comparison_picture", "pictures"]

_INK = "#1f4e8c"
_GUIDE = "#8a93a3"
_WARM = "#c4571b"
_SHADES = ("#14365f", "#e0935a")  # dark and light, also in grey
_STYLES = ("-", "--", ":", "-.")
_NUMBERS_IN_CELLS = 12
_SLICES_DRAWN = 20
_COSTS = {name for name, metric in METRICS.items() if metric.needs == "run"}
_Drawn = TypeVar("_Drawn", EvaluationResult, Comparison)


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
    if result.slices:
        yield f"{_sliced_metric(result)} by slice", _draw(_slices, result)


def comparison_picture(comparison: Comparison) -> str:
    """Data URI of the gains over the baseline with their 95 % intervals."""
    return _draw(_gains, comparison)


def _gains(axes: Axes, comparison: Comparison) -> None:
    names = list(comparison.metrics)
    found = list(comparison.metrics.values())
    bounds = np.array([each.gain for each in found])
    sign = np.array([1 if each.higher_is_better else -1 for each in found])
    gains = sign * np.array([each.difference for each in found])
    errors = np.abs(bounds - gains[:, np.newaxis]).T
    rows = np.arange(len(names))[::-1]
    axes.axvline(0, ls="--", color=_GUIDE, lw=1)
    axes.errorbar(gains, rows, xerr=errors, fmt="o", color=_INK, capsize=4)
    axes.set_yticks(rows, names)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.grid(axis="x", color="#e3e6eb")
    axes.set_xlabel("gain, right of 0 is better (95 % interval)")
    axes.set_title(f"{comparison.candidate} against {comparison.baseline}")


def _draw(drawer: Callable[[Axes, _Drawn], None], result: _Drawn) -> str:
    figure = Figure(figsize=(5, 4.2), dpi=130, layout="constrained")
    axes = FigureCanvasAgg(figure).figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    drawer(axes, result)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _metrics(axes: Axes, result: EvaluationResult) -> None:
    # Milliseconds and megabytes have another scale than shares.
    names = [name for name in result.metrics if name not in _COSTS]
    values = np.array([result.metrics[name] for name in names])
    bounds = np.array([result.intervals[name] for name in names])
    errors = np.abs(bounds.reshape(-1, 2).T - values)
    rows = np.arange(len(names))[::-1]
    axes.errorbar(values, rows, xerr=errors, fmt="o", color=_INK, capsize=4)
    axes.set_yticks(rows, names)
    axes.set_ylim(-0.6, max(len(names), 1) - 0.4)
    axes.grid(axis="x", color="#e3e6eb")
    axes.set_title("Metrics and 95 % intervals")


def _confusion(axes: Axes, result: EvaluationResult) -> None:
    counts = np.array(result.confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    labels = [str(label)[:16] for label in result.classes]
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
            label=str(label)[:16],
        )


def _sliced_metric(result: EvaluationResult) -> str:
    """The first metric that a slice has."""
    names = (name for part in result.slices for name in part.metrics)
    return next(names, next(iter(result.metrics)))


def _slices(axes: Axes, result: EvaluationResult) -> None:
    name = _sliced_metric(result)
    parts = [part for part in result.slices if name in part.metrics][:_SLICES_DRAWN]
    values = np.array([part.metrics[name] for part in parts])
    bounds = np.array([part.intervals[name] for part in parts]).reshape(-1, 2)
    rows = np.arange(len(parts))[::-1]
    errors = np.abs(bounds.T - values)
    if name in result.metrics:
        axes.axvline(
            result.metrics[name], ls="--", color=_GUIDE, lw=1, label="all rows"
        )
        axes.legend(frameon=False)
    axes.errorbar(values, rows, xerr=errors, fmt="o", color=_INK, capsize=3)
    labels = [f"{p.column}={p.value[:14] or '(missing)'} ({p.rows:,})" for p in parts]
    axes.set_yticks(rows, labels)
    axes.set_ylim(-0.6, max(len(parts), 1) - 0.4)
    axes.grid(axis="x", color="#e3e6eb")
    axes.set_title(f"{name} by slice (rows)")


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
