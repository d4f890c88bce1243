"""Rows that are summed up batch by batch show what rows that are kept show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation import EvaluationResult, evaluate_function
from brixa_flows.evaluation.metric_catalog import METRICS
from brixa_flows.evaluation.report import FORMATS, render
from brixa_flows.evaluation.streaming.moments import Moments
from brixa_flows.evaluation.streaming.row_sample import RowSample
from brixa_flows.evaluation.streaming.score_histogram import ScoreHistogram
from brixa_flows.serializers.base import Prediction
from tests.evaluation.outcome_makers import (
    many_classes,
    numbers,
    several_labels,
    two_classes,
)

ROWS, EXACT, BATCH = 30_000, 5_000, 2_000


def table(outcomes: Any) -> pd.DataFrame:
    """Labels, answers and a column to slice by, as a table whose model is a look-up."""
    facts = {"label": outcomes.truth, "answer": outcomes.predicted}
    if outcomes.probabilities is not None:
        for code, column in enumerate(outcomes.probabilities.T):
            facts[f"p{code}"] = column
    size = np.where(np.arange(outcomes.rows) % 10 == 0, "rare", "usual")
    return pd.DataFrame({**facts, "size": size})


def answers(inputs: pd.DataFrame) -> Prediction:
    columns = [name for name in inputs if str(name).startswith("p")]
    scores = inputs[columns].to_numpy() if columns else None
    classes = tuple(range(len(columns))) if columns else None
    return Prediction(inputs["answer"].to_numpy(), scores, classes)


def batches(data: pd.DataFrame) -> Iterator[pd.DataFrame]:
    for start in range(0, len(data), BATCH):
        yield data.iloc[start : start + BATCH]


def both(
    data: pd.DataFrame, metrics: list[Any] | None, **facts: Any
) -> tuple[EvaluationResult, EvaluationResult]:
    """Of rows that are summed up, and of rows that are kept."""
    results = [
        evaluate_function(
            answers, batches(data), metrics, target="label", exact_rows=rows, **facts
        )
        for rows in (EXACT, ROWS)
    ]
    assert [each.method for each in results] == ["streamed", "exact"]
    return results[0], results[1]


def names(task: Any) -> list[str]:
    return [
        name
        for name, each in METRICS.items()
        if task in each.tasks
        and each.sums_up(task)
        and each.needs != "run"
        and name != "hinge_loss"  # of decision scores
    ]


OUTCOMES = {
    "binary": two_classes(ROWS, prevalence=0.1),
    "multiclass": many_classes(ROWS),
    "regression": numbers(ROWS),
}


@pytest.fixture(scope="module", params=list(OUTCOMES))
def pair(request: pytest.FixtureRequest) -> tuple[EvaluationResult, EvaluationResult]:
    positive = "mean_gamma_deviance", "mean_poisson_deviance"
    wanted = [name for name in names(request.param) if name not in positive]
    if request.param == "regression":
        wanted = [name for name in wanted if "log" not in name]
    return both(table(OUTCOMES[request.param]), wanted, slices=["size"])


def test_values_are_those_of_the_rows_but_for_the_bound_that_is_told(pair: Any) -> None:
    streamed, exact = pair
    assert list(streamed.metrics) == list(exact.metrics)
    for name, value in exact.metrics.items():
        bound = streamed.bounds.get(name, 0.0)
        assert streamed.metrics[name] == pytest.approx(
            value, rel=1e-12, abs=bound
        ), name
        assert bound < 5e-4, name
    ranks = {name for name in exact.metrics if METRICS[name].ranks}
    assert set(streamed.bounds) <= ranks
    assert exact.bounds == {}


def test_intervals_are_nearly_those_of_the_rows(pair: Any) -> None:
    streamed, exact = pair
    for name, (low, high) in exact.intervals.items():
        near = streamed.intervals[name]
        assert near.low <= streamed.metrics[name] <= near.high
        assert near == pytest.approx((low, high), abs=0.25 * (high - low)), name


def test_matrix_classes_curves_and_warnings_are_the_same(pair: Any) -> None:
    streamed, exact = pair
    for fact in ("task", "classes", "positive", "confusion", "warnings", "rows"):
        assert getattr(streamed, fact) == getattr(exact, fact), fact
    assert set(streamed.curves) == set(exact.curves)
    if "roc" in exact.curves:
        assert np.allclose(streamed.curves["calibration"], exact.curves["calibration"])


def test_curves_lie_on_those_of_the_rows(pair: Any) -> None:
    streamed, _ = pair
    outcomes, curves = OUTCOMES[streamed.task], streamed.curves
    several = "roc_by_class" in curves
    places = range(len(outcomes.classes)) if several else [outcomes.positive]
    for code in places if outcomes.classifies else ():
        hit, score = outcomes.truth == code, outcomes.probabilities[:, code]
        false_rate, recall, _ = sk.roc_curve(hit, score, drop_intermediate=False)
        known = set(zip(false_rate.round(5), recall.round(5), strict=True))
        drawn = curves["roc_by_class"][code] if several else curves["roc"]
        assert len(drawn) > 100 and {tuple(point) for point in drawn} <= known
        precision, recall, _ = sk.precision_recall_curve(hit, score)
        known = set(zip(recall.round(5), precision.round(5), strict=True))
        name = "precision_recall"
        drawn = curves[f"{name}_by_class"][code] if several else curves[name]
        assert len(drawn) > 100 and {tuple(point) for point in drawn} <= known


def test_slices_are_summed_up_too_and_small_ones_are_exact(pair: Any) -> None:
    streamed, exact = pair
    for part, whole in zip(streamed.slices, exact.slices, strict=True):
        assert (part.value, part.rows, part.notes) == (
            whole.value,
            whole.rows,
            whole.notes,
        )
        for name, value in whole.metrics.items():
            bound = part.bounds.get(name, 0.0)
            assert part.metrics[name] == pytest.approx(value, rel=1e-12, abs=bound)
    rare = next(part for part in streamed.slices if part.value == "rare")
    assert rare.rows == ROWS // 10 and rare.bounds == {}


def test_result_and_reports_say_that_rows_were_summed_up(pair: Any) -> None:
    streamed, exact = pair
    assert EvaluationResult.from_dict(streamed.to_dict()) == streamed
    assert streamed.precision and not exact.precision
    for known in FORMATS:
        assert "summed up" in render(streamed, known) or known in ("json", "junit")
        assert "streamed" in render(streamed, known) or known in ("markdown", "html")
        assert "summed up" not in render(exact, known)


def test_bounds_of_order_hold_whatever_the_scores() -> None:
    generator = np.random.default_rng(0)
    for case in range(60):
        rows = int(generator.integers(20, 400))
        score = generator.random(rows) ** generator.choice([1, 4, 20])
        if case % 3 == 0:
            score = np.round(score, 1)  # many equal ones
        hit = generator.random(rows) < 0.1 + 0.8 * score
        hit[:2] = True, False
        histogram = ScoreHistogram(bits=int(generator.integers(0, 4)))
        for part in np.array_split(np.arange(rows), 3):
            histogram.add(score[part], hit[part])
        area, precision = histogram.area(), histogram.average_precision()
        true_area = sk.roc_auc_score(hit, score)
        true_precision = sk.average_precision_score(hit, score)
        assert abs(area.value - true_area) <= area.bound + 1e-12
        assert abs(precision.value - true_precision) <= precision.bound + 1e-12


def test_a_tree_of_few_leaves_has_an_exact_area() -> None:
    score = np.random.default_rng(0).choice([0.0, 0.1, 0.10001, 0.9, 1.0], size=9_000)
    hit = np.random.default_rng(1).random(9_000) < score
    histogram = ScoreHistogram(bits=16)
    histogram.add(score, hit)
    assert histogram.area().bound == 0
    assert histogram.area().value == pytest.approx(sk.roc_auc_score(hit, score))


def test_moments_of_batches_are_those_of_all_rows() -> None:
    rows = np.random.default_rng(0).normal(1e6, 1, size=(5_000, 3))
    moments = Moments(3)
    for part in np.array_split(rows, 7):
        moments.add(part)
    assert moments.means == pytest.approx(rows.mean(axis=0), rel=1e-14)
    assert moments.error == pytest.approx(np.cov(rows, rowvar=False) / 5_000, rel=1e-9)


def test_a_sample_is_fair_to_early_and_late_rows() -> None:
    whole = numbers(20_000)
    sample = RowSample(2_000, seed=0)
    for part in np.array_split(np.arange(20_000), 20):
        batch = whole.take(part)
        sample.add(batch)
    assert sample.outcomes is not None and sample.outcomes.rows == 2_000
    places = np.searchsorted(np.sort(whole.truth), sample.outcomes.truth)
    early = np.argsort(np.argsort(whole.truth)).argsort()[places] < 10_000
    assert 900 < early.sum() < 1_100


def test_a_sample_does_not_follow_labels_drawn_with_the_same_seed() -> None:
    whole = two_classes(20_000, seed=0, prevalence=0.1)
    sample = RowSample(2_000, seed=0)
    sample.add(whole)
    assert sample.outcomes is not None
    assert 150 < sample.outcomes.truth.sum() < 250


def test_a_class_that_comes_late_is_judged_like_any() -> None:
    data = table(OUTCOMES["binary"]).sort_values("label", kind="stable")
    streamed, exact = both(data, None)
    assert streamed.metrics == pytest.approx(exact.metrics, rel=1e-3)
    assert streamed.warnings == exact.warnings == ()


def test_labels_that_the_model_does_not_know_are_told_with_all_their_rows() -> None:
    data = table(OUTCOMES["multiclass"])
    data.loc[data.index[::1000], "label"] = 9
    streamed, exact = both(data, ["accuracy", "f1"])
    assert streamed.warnings == exact.warnings
    assert "9 (30 rows)" in streamed.warnings[0]
    assert streamed.metrics == pytest.approx(exact.metrics, rel=1e-12)
    with pytest.raises(EvaluationError, match="log_loss can't be computed.*9 \\(30|9"):
        both(data, ["log_loss"])


def test_what_needs_all_rows_keeps_them() -> None:
    data = table(OUTCOMES["regression"])

    def worst(truth: Any, answer: Any) -> float:
        return float(np.abs(truth - answer).max())

    for metric in ("median_absolute_error", worst):
        found = evaluate_function(
            answers, batches(data), [metric], target="label", exact_rows=EXACT
        )
        assert (found.method, found.rows) == ("exact", ROWS)


def test_late_rows_that_would_change_the_task_are_refused() -> None:
    late = np.arange(ROWS) > ROWS - 100
    data = table(OUTCOMES["binary"])[["label", "answer"]]
    with pytest.raises(EvaluationError, match="two classes, but here is 2; say task="):
        both(data.assign(label=np.where(late, 2, data["label"])), ["accuracy"])
    halves = data.assign(label=np.where(late, 0.5, data["label"]))
    with pytest.raises(EvaluationError, match="from row 24000 on: the labels are not"):
        both(halves, None)


def test_late_scores_of_another_kind_are_refused() -> None:
    data = table(OUTCOMES["binary"])
    data.loc[data.index[-10:], ["p0", "p1"]] = 3.0, -2.0
    with pytest.raises(
        EvaluationError, match="as the first ones are; raise exact_rows"
    ):
        both(data, ["accuracy"])


def test_a_late_number_that_a_metric_can_not_take_is_named_by_its_row() -> None:
    data = table(OUTCOMES["regression"]).drop(columns="size").abs()
    data.loc[data.index[20_500], "label"] = -1.0
    for rows in (EXACT, ROWS):
        with pytest.raises(EvaluationError, match="1 of 30000 .*first is row 20500"):
            evaluate_function(
                answers,
                batches(data),
                ["mean_squared_log_error"],
                target="label",
                exact_rows=rows,
            )


def test_networks_that_give_logits_are_read_alike_to_the_last_row() -> None:
    generator = np.random.default_rng(0)
    label = generator.integers(2, size=ROWS + 1)
    logit = generator.normal(size=ROWS + 1) * 3 + 2 * label - 1
    logit[-1] = 0.3  # alone it would pass for a probability
    data = pd.DataFrame({"x": logit, "label": label})

    def network(inputs: pd.DataFrame) -> Any:
        return inputs["x"].to_numpy()

    found = [
        evaluate_function(
            network,
            batches(data),
            ["log_loss", "f1"],
            target="label",
            task="binary",
            exact_rows=rows,
        )
        for rows in (EXACT, ROWS + 1)
    ]
    assert [each.method for each in found] == ["streamed", "exact"]
    assert found[0].metrics == pytest.approx(found[1].metrics, rel=1e-12)


def wide(outcomes: Any) -> pd.DataFrame:
    """As :func:`table`, of several labels a row."""
    columns = {f"label{c}": part for c, part in enumerate(outcomes.truth.T)}
    scores = {f"p{c}": part for c, part in enumerate(outcomes.probabilities.T)}
    size = np.where(np.arange(outcomes.rows) % 10 == 0, "rare", "usual")
    return pd.DataFrame({**columns, **scores, "size": size})


def shares(inputs: pd.DataFrame) -> Any:
    return inputs[[name for name in inputs if str(name).startswith("p")]].to_numpy()


def test_several_labels_a_row_are_summed_up() -> None:
    data = wide(several_labels(ROWS))
    wanted = [
        *("accuracy", "hamming_loss", "f1", "precision_micro", "recall_weighted"),
        *("jaccard_samples", "roc_auc", "average_precision"),
    ]
    streamed, exact = (
        evaluate_function(
            shares,
            batches(data),
            wanted,
            target=["label0", "label1", "label2"],
            exact_rows=rows,
            slices=["size"],
        )
        for rows in (EXACT, ROWS)
    )
    assert (streamed.method, exact.method) == ("streamed", "exact")
    assert streamed.classes == exact.classes == ("label0", "label1", "label2")
    parts = zip(streamed.labels, exact.labels, strict=True)
    parts_of_rows = zip(streamed.slices, exact.slices, strict=True)
    for near, true in ((streamed, exact), *parts, *parts_of_rows):
        assert near.rows == true.rows and list(near.metrics) == list(true.metrics)
        for name, value in true.metrics.items():
            bound = near.bounds.get(name, 0.0)
            assert near.metrics[name] == pytest.approx(value, rel=1e-12, abs=bound)
            low, high = true.intervals[name]
            assert near.intervals[name] == pytest.approx(
                (low, high), abs=0.3 * (high - low) + bound
            ), name
    assert EvaluationResult.from_dict(streamed.to_dict()) == streamed
    for at, sentence in (
        (["p0"], "not all between 0 and 1"),
        (["label0"], "0 and 1 only"),
    ):
        late = data.copy()
        late.loc[ROWS - 5, at] = 3
        with pytest.raises(EvaluationError, match=f"from row 2.000 on: .*{sentence}"):
            evaluate_function(
                shares,
                batches(late),
                ["f1"],
                target=["label0", "label1", "label2"],
                exact_rows=EXACT,
            )


def test_intervals_of_a_rare_class_are_those_of_its_own_rows() -> None:
    common = many_classes(ROWS, classes=3)
    assert common.probabilities is not None
    first = np.flatnonzero(common.truth == 2)[:40]
    kept = np.sort(np.concatenate([np.flatnonzero(common.truth != 2), first]))
    wanted = [
        *("roc_auc", "roc_auc_ovo", "average_precision", "d2_log_loss_score"),
        *("expected_calibration_error", "d2_brier_score", "roc_auc_ovo_weighted"),
    ]
    streamed, exact = both(table(common.take(kept)), wanted)
    for name in ("roc_auc_ovo_weighted", "d2_brier_score"):
        off = streamed.bounds.get(name, 1e-12)
        assert streamed.metrics[name] == pytest.approx(exact.metrics[name], abs=off)
    for name, (low, high) in exact.intervals.items():
        near = streamed.intervals[name]
        if name in ("roc_auc", "d2_log_loss_score", "expected_calibration_error"):
            told = high - low
            assert near.high - near.low == pytest.approx(told, rel=0.35), name
        # 40 rows decide; the sample of 5,000 rows that are kept has some 10 of them.
        assert near.high - near.low > 0.01 or name not in ("roc_auc", "roc_auc_ovo")


def test_a_sample_has_a_rare_class_as_a_whole() -> None:
    whole = two_classes(20_000, prevalence=0.01)
    sample = RowSample(2_000, seed=0)
    for part in np.array_split(np.arange(20_000), 20):
        batch = whole.take(part)
        sample.add(batch, batch.truth)
    found = sample.outcomes
    assert found is not None and 1_000 < found.rows <= 2_000
    assert found.truth.sum() == whole.truth.sum()
    assert sample.weights.sum() == pytest.approx(20_000)
    draws = sample.counts(400, np.random.default_rng(0)) @ (found.truth == 1)
    assert draws.std() == pytest.approx(np.sqrt(whole.truth.sum()), rel=0.15)
    assert draws.mean() == pytest.approx(whole.truth.sum(), rel=0.05)
    area = found.truth.mean()
    assert area > 0.1, "as many of each class as there are, up to a half"


def test_the_largest_error_of_many_rows_has_the_interval_of_their_bootstrap() -> None:
    outcomes = numbers(20_000)
    streamed, exact = both(table(outcomes), ["max_error"])
    errors = np.abs(outcomes.truth - outcomes.predicted)
    generator = np.random.default_rng(1)
    draws = [generator.choice(errors, errors.size).max() for _ in range(2_000)]
    expected = np.quantile(draws, [0.025, 0.975])
    for result in (streamed, exact):
        assert result.metrics["max_error"] == errors.max()
        assert result.intervals["max_error"] == pytest.approx(tuple(expected), abs=0.05)
