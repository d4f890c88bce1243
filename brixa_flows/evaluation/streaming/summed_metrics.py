"""Values and intervals of metrics from a summary of rows that are not kept.

Metrics of labels and means are those of all rows. Metrics of order come from histograms
with a bound of how far they can be from those of the rows, and their intervals are
widened by it. Intervals: the Dirichlet posterior of the confusion matrix, the normal
distribution of means, DeLong's variance, the Poisson bootstrap of a histogram (Chamandy
and others, 2012), and for what is left a sample's deviations scaled to all rows
(the m-out-of-n bootstrap, class by class: a rare class is in the sample as a whole).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from brixa_flows.evaluation.costs import cost_draws, cost_of
from brixa_flows.evaluation.draws import counted
from brixa_flows.evaluation.intervals import (
    Interval,
    largest_draws,
    normal_draws,
    percentile_interval,
)
from brixa_flows.evaluation.measuring import (
    OF_A_LABEL,
    Found,
    matrix_shown,
    number_warnings,
    open_sklearn,
    share_warnings,
    slice_of,
)
from brixa_flows.evaluation.metric import Metric
from brixa_flows.evaluation.metrics import MetricValues, finite, obstacle
from brixa_flows.evaluation.outcomes import CLASSES_WITH_CURVES
from brixa_flows.evaluation.ranking import Part, auc_interval, belongs
from brixa_flows.evaluation.results import LabelResult, SliceResult
from brixa_flows.evaluation.streaming.label_sums import LabelSums
from brixa_flows.evaluation.streaming.score_histogram import Bounded, ScoreHistogram
from brixa_flows.evaluation.streaming.summary import Summary, is_of_rows
from brixa_flows.evaluation.terms import terms_of

__all__ = ["found_in_summary", "slice_of_summary"]

_CURVE_POINTS = 200
_DRAWS = 500

Floats = NDArray[np.float64]


def found_in_summary(summary: Summary, metrics: Sequence[Metric], seed: int) -> Found:
    """What the rows of a summary show, without slices.

    Raises:
        EvaluationError: If a metric is no finite number.
    """
    values, intervals, bounds = _measure(summary, metrics, seed)
    matrix = () if summary.cells is None else matrix_shown(summary.cells)
    return Found(
        judged=summary,
        values=values,
        intervals=intervals,
        bounds=bounds,
        method="streamed",
        confusion=matrix,
        curves=_curves(summary),
        labels=_each_label(summary, seed),
        warnings=share_warnings(summary, metrics) + number_warnings(summary, metrics),
    )


def slice_of_summary(
    column: str, value: str, part: Summary, metrics: Sequence[Metric], seed: int
) -> SliceResult:
    """The metrics of one slice; exact where the sample holds all of its rows."""
    sample = part.sample.outcomes
    assert sample is not None  # a slice has rows
    if part.rows == sample.rows:
        return slice_of(column, value, sample, metrics, seed)
    obstacles = {metric.name: obstacle(metric, part) for metric in metrics}
    possible = [metric for metric in metrics if obstacles[metric.name] is None]
    values, intervals, bounds = _measure(part, possible, seed)
    notes = tuple(f"{name} {why}" for name, why in obstacles.items() if why)
    return SliceResult(column, value, part.rows, values, intervals, notes, bounds)


def _measure(
    summary: Summary, metrics: Sequence[Metric], seed: int
) -> tuple[MetricValues, MetricValues, MetricValues]:
    values, intervals, bounds = MetricValues(), MetricValues(), MetricValues()
    for metric in metrics:
        found = _value(metric, summary)
        values[metric.name] = finite(metric, found.value, summary.rows)
        intervals[metric.name] = _widened(metric, summary, found, seed)
        if found.bound:
            bounds[metric.name] = found.bound
    return values, intervals, bounds


def _curves(summary: Summary) -> dict[str, Any]:
    """Points of the plots, as ``_sklearn.curves`` has them."""
    sample = summary.sample.outcomes
    if summary.task == "regression" and sample is not None:
        curves: dict[str, Any] = open_sklearn().curves(sample)
        return curves
    scores = list(summary.scores.values())
    if summary.task == "multilabel":
        return {}
    if summary.unseen or not scores or not all(each.both for each in scores):
        return {}
    if len(scores) > CLASSES_WITH_CURVES:
        return {}
    drawn = [_roc_and_precision(each) for each in scores]
    if summary.task == "multiclass":
        roc, precision = zip(*drawn, strict=True)
        return {
            "roc_by_class": list(roc),
            "precision_recall_by_class": list(precision),
        }
    shown = {"roc": drawn[0][0], "precision_recall": drawn[0][1]}
    if not summary.has_probabilities:
        return shown
    rows, hits, sums = summary.tenths[:, summary.tenths[0] > 0]
    calibration = [
        [float(score / n), float(hit / n), int(n)]
        for n, hit, score in zip(rows, hits, sums, strict=True)
    ]
    return {**shown, "calibration": calibration}


_Points: TypeAlias = list[list[float]]


def _roc_and_precision(histogram: ScoreHistogram) -> tuple[_Points, _Points]:
    up, down = histogram.thresholds(_CURVE_POINTS)
    recall = up / up[-1]
    roc = np.stack([np.append(0, down / down[-1]), np.append(0, recall)], axis=1)
    precision = np.stack([recall, up / (up + down)], axis=1)
    return roc.round(5).tolist(), precision.round(5).tolist()


def _value(metric: Metric, summary: Summary) -> Bounded:
    if metric.needs == "run":
        return Bounded(cost_of(metric.name, summary), 0.0)
    if metric.name in _RANKED:
        return _RANKED[metric.name](summary)
    if summary.labels is not None and not is_of_rows(metric):
        return Bounded(summary.labels.value(metric.name), 0.0)
    if metric.name in _OTHERS:
        return Bounded(_OTHERS[metric.name](summary), 0.0)
    if metric.method == "confusion" and summary.labels is None:
        assert summary.cells is not None  # there are rows
        return Bounded(summary.cells.value(metric.name), 0.0)
    means = summary.moments[metric.name].means
    if summary.labels is not None:
        return Bounded(float(means[0]), 0.0)
    return Bounded(float(terms_of(metric)[1](means[None, :])[0]), 0.0)


def _area(summary: Summary) -> Bounded:
    areas = [each.area() for each in summary.scores.values()]
    return _weighted(areas, np.ones(len(areas)))


def _precision(summary: Summary) -> Bounded:
    found = [each.average_precision() for each in summary.scores.values()]
    return _weighted(found, np.ones(len(found)))


def _paired_area(summary: Summary) -> Bounded:
    areas = [each.area() for each in summary.pairs.values()]
    return _weighted(areas, np.ones(len(areas)))


def _paired_area_weighted(summary: Summary) -> Bounded:
    rows = summary.class_rows
    weights = np.array([rows[code] + rows[other] for code, other in summary.pairs])
    return _weighted([each.area() for each in summary.pairs.values()], weights)


def _largest(summary: Summary) -> float:
    return float(summary.largest.max())


def _weighted_area(summary: Summary) -> Bounded:
    areas = [each.area() for each in summary.scores.values()]
    return _weighted(areas, summary.class_rows[: summary.known])


def _weighted(found: list[Bounded], weights: NDArray[Any]) -> Bounded:
    value = np.average([each.value for each in found], weights=weights)
    bound = np.average([each.bound for each in found], weights=weights)
    return Bounded(float(value), float(bound))


def _calibration(summary: Summary) -> float:
    return float(np.abs(summary.gaps).sum() / summary.rows)


def _explained(summary: Summary) -> float:
    rows = summary.class_rows
    guessing = -xlogy(rows, rows / rows.sum()).sum()
    loss = summary.moments["log_loss"].means[0] * summary.rows
    return float(1 - loss / guessing) if guessing > 0 else float("nan")


def _brier_explained(summary: Summary) -> float:
    rows = summary.class_rows
    guessing = (rows * (1 - rows / rows.sum())).sum()
    guessing /= 2 if summary.task == "binary" else 1
    loss = summary.moments["brier_score_loss"].means[0] * summary.rows
    return float(1 - loss / guessing) if guessing > 0 else float("nan")


_RANKED: dict[str, Callable[[Summary], Bounded]] = {
    "roc_auc": _area,
    "roc_auc_ovo": _paired_area,
    "roc_auc_ovo_weighted": _paired_area_weighted,
    "roc_auc_ovr_weighted": _weighted_area,
    "average_precision": _precision,
}

_OTHERS: dict[str, Callable[[Summary], float]] = {
    "expected_calibration_error": _calibration,
    "d2_log_loss_score": _explained,
    "d2_brier_score": _brier_explained,
    "max_error": _largest,
}


def _widened(metric: Metric, summary: Summary, found: Bounded, seed: int) -> Interval:
    """The metric's 95 % interval around its value, widened by the bound."""
    low, high = _interval(metric, summary, found.value, seed)
    if found.bound == 0:
        return Interval(low, high)
    return Interval(max(low - found.bound, 0.0), min(high + found.bound, 1.0))


def _interval(metric: Metric, summary: Summary, point: float, seed: int) -> Interval:
    generator = np.random.default_rng(seed)
    if metric.needs == "run":
        drawn = cost_draws(metric.name, [summary], generator)[:, 0]
    elif summary.labels is not None and not metric.ranks:
        drawn = _label_draws(metric, summary, summary.labels, generator)
    elif metric.method == "confusion":
        assert summary.cells is not None  # there are rows
        drawn = summary.cells.draws(metric.name, generator)[:, 0]
    elif metric.method == "mean":
        moments = summary.moments[metric.name]
        means = normal_draws(moments.means, moments.error, generator)
        drawn = terms_of(metric)[1](means)
    elif metric.name == "max_error":
        drawn = largest_draws(summary.largest[:, None], generator)[:, 0]
    elif len(summary.scores) == 1 and metric.method == "ranking":
        drawn = next(iter(summary.scores.values())).precision_draws(generator)
    elif metric.method == "auc":
        return _area_interval(summary, point)
    else:
        return _sampled(metric, summary, point, generator)
    return percentile_interval(drawn, point)


def _label_draws(
    metric: Metric,
    summary: Summary,
    labels: LabelSums,
    generator: np.random.Generator,
) -> Floats:
    if not is_of_rows(metric):
        return labels.draws(metric.name, generator)
    moments = summary.moments[metric.name]
    return np.clip(normal_draws(moments.means, moments.error, generator)[:, 0], 0, 1)


def _area_interval(summary: Summary, area: float) -> Interval:
    """Of one class by its histogram; of the mean of several by each row's influence.

    Influences are of the histograms of all rows; how they vary is told, class by class,
    by the sample, which has rows of every class.
    """
    if len(summary.scores) == 1:
        return auc_interval(area, next(iter(summary.scores.values())).area_parts())
    sample = summary.sample.outcomes
    assert sample is not None and sample.ranking is not None
    shares = [
        histogram.influence(sample.ranking[:, code], belongs(sample, code))
        for code, histogram in summary.scores.items()
    ]
    squares: Floats = np.mean(shares, axis=0) ** 2
    parts = [
        Part(float(squares[place].mean()) * rows / summary.rows**2, rows)
        for place, rows in summary.sample.places
    ]
    if summary.labels is not None:  # a stratum of theirs is not all rows of a label
        rarest = int(
            min(
                summary.labels.actual.min(),
                (summary.rows - summary.labels.actual).min(),
            )
        )
        whole = sum(part.variance for part in parts)
        parts = [Part(whole, summary.rows), Part(0.0, rarest)]
    return auc_interval(area, parts)


def _sampled(
    metric: Metric, summary: Summary, point: float, generator: np.random.Generator
) -> Interval:
    """Deviations of a sample, scaled to those of all rows."""
    sample = summary.sample.outcomes
    assert sample is not None  # there are rows
    if obstacle(metric, sample) is not None:
        return Interval(0.0, 1.0)  # a label so rare that the sample tells nothing
    counting = counted(metric, summary.task)
    assert counting is not None  # else it does not sum up
    draws = counting(sample, summary.sample.counts(_DRAWS, generator))
    centre = float(counting(sample, summary.sample.weights[None, :])[0])
    return percentile_interval(point + draws - centre, point)


def _each_label(summary: Summary, seed: int) -> tuple[LabelResult, ...]:
    """As ``measuring.each_label``, of counts."""
    if summary.labels is None:
        return ()
    return tuple(
        _label(summary, summary.labels, code, label, seed)
        for code, label in enumerate(summary.classes)
    )


def _label(
    summary: Summary, labels: LabelSums, code: int, label: Any, seed: int
) -> LabelResult:
    cells, rows = labels.cells(code), int(labels.actual[code])
    values, intervals = MetricValues(), MetricValues()
    for name in (name for name in OF_A_LABEL if name != "roc_auc"):
        values[name] = cells.value(name)
        drawn = cells.draws(name, np.random.default_rng(seed))[:, 0]
        intervals[name] = percentile_interval(drawn, values[name])
    histogram = summary.scores.get(code)
    if histogram is None:
        return LabelResult(label, rows, values, intervals)
    if not histogram.both:
        why = f"roc_auc needs rows with and without it, but {rows} of {summary.rows} "
        return LabelResult(label, rows, values, intervals, (why + "have it",))
    area = histogram.area()
    low, high = auc_interval(area.value, histogram.area_parts())
    values["roc_auc"] = area.value
    intervals["roc_auc"] = Interval(
        max(low - area.bound, 0.0), min(high + area.bound, 1.0)
    )
    bounds = {"roc_auc": area.bound} if area.bound else {}
    return LabelResult(label, rows, values, intervals, (), bounds)
