"""Performance with labels and without: against scikit-learn, simulation and bad rows."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference_metrics

from brixa.ai.registry import PerformanceEstimator
from brixa_flows.drift.performance import PerformanceReport
from brixa_flows.drift.performance.expected import binary_metrics, multiclass_metrics
from brixa_flows.errors import DriftError

BINARY = {
    "target_column": "y",
    "prediction_column": "called",
    "score_column": "score",
}


def scored(seed: int, rows: int, shift: float = 0.0) -> pd.DataFrame:
    """Scores that are too sure of themselves, and a group for which they mean less."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(shift, 1.5, rows)
    group = rng.choice(["home", "dormitory"], rows, p=[0.9, 0.1])
    true_odds = np.where(group == "home", 0.7 * odds, 0.3 * odds - 1)
    return pd.DataFrame(
        {
            "score": 1 / (1 + np.exp(-odds)),
            "called": (odds > 0).astype(int),
            "group": group,
            "y": (rng.random(rows) < 1 / (1 + np.exp(-true_odds))).astype(int),
        }
    )


@pytest.fixture(scope="module")
def estimator() -> PerformanceEstimator:
    return PerformanceEstimator("binary", chunk_rows=1000).fit(
        scored(0, 12_000), **BINARY, feature_columns=["group"]
    )


def test_with_labels_metrics_are_those_of_scikit_learn():
    rows = scored(1, 3000)
    rows["score"] = rows["score"].round(2)  # ties
    found = binary_metrics(
        rows["y"].to_numpy(float),
        rows["called"].to_numpy(bool),
        rows["score"].to_numpy(),
    )
    y, called = rows["y"], rows["called"]
    exact = {
        "accuracy": reference_metrics.accuracy_score(y, called),
        "precision": reference_metrics.precision_score(y, called),
        "recall": reference_metrics.recall_score(y, called),
        "specificity": reference_metrics.recall_score(y, called, pos_label=0),
        "f1": reference_metrics.f1_score(y, called),
        "roc_auc": reference_metrics.roc_auc_score(y, rows["score"]),
    }
    assert {name: each.value for name, each in found.items()} == pytest.approx(exact)
    assert all(each.variance == 0 for each in found.values())


@pytest.mark.parametrize("drawn", ["labels", "rows"])
def test_bands_are_as_wide_as_simulation_makes_them(drawn):
    rng = np.random.default_rng(0)
    chances, rows = rng.beta(0.7, 0.9, 2000), 2000
    called, scores = chances + rng.normal(0, 0.2, rows) > 0.5, chances.round(2)
    found = binary_metrics(chances, called, scores)
    labels = rng.random(rows) < chances
    if drawn == "rows":
        found = binary_metrics(labels.astype(float), called, scores)
    draws = []
    for _ in range(400):
        y, place = rng.random(rows) < chances, np.arange(rows)
        if drawn == "rows":
            place = rng.integers(0, rows, rows)
            y = labels[place]
        again = binary_metrics(y.astype(float), called[place], scores[place])
        draws.append([again[name].value for name in found])
    for name, deviation in zip(found, np.std(draws, axis=0), strict=True):
        variance = found[name].variance if drawn == "labels" else found[name].sampling
        assert np.sqrt(variance) == pytest.approx(deviation, rel=0.15), name


def test_estimates_are_near_what_labels_say_later_and_within_the_band(estimator):
    for seed, shift in ((2, 0.0), (3, -0.6), (4, 0.6)):
        window = scored(seed, 4000, shift)
        estimate = estimator.estimate(window.drop(columns="y"))
        truth = estimator.realise(window)
        assert (estimate.realised, truth.realised) == (False, True)
        for name, each in truth.metrics.items():
            low, high = estimate.metrics[name].interval
            assert low <= each.value <= high, (seed, name)
            assert estimate.metrics[name].value == pytest.approx(each.value, abs=0.03)


def test_a_window_of_one_group_alone_needs_the_features(estimator):
    window = scored(5, 30_000).query("group == 'dormitory'")
    truth = estimator.realise(window).metrics["f1"].value
    blind = PerformanceEstimator(chunk_rows=1000).fit(scored(0, 12_000), **BINARY)
    assert abs(blind.estimate(window).metrics["f1"].value - truth) > 0.1
    report = estimator.estimate(window)
    low, high = report.metrics["f1"].interval
    assert low <= truth <= high
    assert report.metrics["f1"].value == pytest.approx(truth, abs=0.05)
    assert report.status == "degraded"
    assert "Degraded over" in report.sentence
    assert "estimated without labels" in report.sentence


@pytest.mark.parametrize("features", [[], ["half"]])
@pytest.mark.parametrize("meaning", [-0.2, 0.0, 0.2])
def test_rows_of_other_scores_widen_the_band_by_what_they_may_mean(features, meaning):
    def rows(seed, count, shift=0.0, off=0.0, steep=1.0):
        rng = np.random.default_rng(seed)
        odds = rng.normal(shift, 1.5, count)
        y = rng.random(count) < 1 / (1 + np.exp(-(steep * odds + off)))
        called = (odds > 0).astype(int)
        half = rng.choice(["a", "b"], count)
        score = 1 / (1 + np.exp(-odds))
        return pd.DataFrame(
            {"score": score, "called": called, "half": half, "y": y.astype(int)}
        )

    fitted = PerformanceEstimator(chunk_rows=5000).fit(
        rows(0, 30_000), **BINARY, feature_columns=features
    )
    widths = []
    for shift in (0.0, -1.6):  # scores as far from the usual ones as 40 % of rows
        window = rows(1, 5000, shift, shift / -1.6 * meaning, 1 - 0.5 * abs(meaning))
        estimate, truth = fitted.estimate(window), fitted.realise(window)
        for name in ("accuracy", "f1", "roc_auc") if shift else ():
            low, high = estimate.metrics[name].interval
            assert low <= truth.metrics[name].value <= high, name
        widths.append(np.subtract(*estimate.metrics["f1"].interval[::-1]))
    assert widths[1] > 1.5 * widths[0]


def test_the_same_population_is_seldom_called_degraded(estimator):
    reports = [estimator.estimate(scored(seed, 1000)) for seed in range(10, 30)]
    assert sum(report.status == "degraded" for report in reports) <= 1


def test_concept_drift_is_seen_with_labels_and_never_without(estimator):
    window = scored(6, 3000)
    window["y"] = 1 - window["y"]
    assert estimator.estimate(window).status == "ok"
    assert estimator.realise(window).status == "degraded"


def test_a_file_brings_an_estimator_back(estimator, tmp_path):
    estimator.save(tmp_path / "made" / "estimator.json")
    loaded = PerformanceEstimator.load(tmp_path / "made" / "estimator.json")
    window = scored(7, 1000)
    assert loaded.estimate(window) == estimator.estimate(window)
    report = loaded.realise(window)
    assert (
        PerformanceReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    )
    (tmp_path / "newer.json").write_text('{"protocol": 2}')
    with pytest.raises(DriftError, match="protocol 2.*upgrade"):
        PerformanceEstimator.load(tmp_path / "newer.json")
    (tmp_path / "other.json").write_text("[]x")
    with pytest.raises(DriftError, match="is no performance estimator"):
        PerformanceEstimator.load(tmp_path / "other.json")


def test_several_classes():
    rng = np.random.default_rng(0)

    def rows(count: int) -> pd.DataFrame:
        odds = rng.normal(size=(count, 3)) * 1.5
        scores = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
        true = np.exp(0.6 * odds) / np.exp(0.6 * odds).sum(axis=1, keepdims=True)
        truth = (true.cumsum(axis=1) < rng.random((count, 1))).sum(axis=1)
        names = np.array(["a", "b", "c"])
        frame = pd.DataFrame(scores, columns=["pa", "pb", "pc"])
        return frame.assign(called=names[scores.argmax(axis=1)], y=names[truth])

    estimator = PerformanceEstimator("multiclass", chunk_rows=1000).fit(
        rows(10_000),
        target_column="y",
        prediction_column="called",
        score_column={"a": "pa", "b": "pb", "c": "pc"},
    )
    window = rows(4000)
    estimate, truth = estimator.estimate(window), estimator.realise(window)
    y, called = window["y"], window["called"]
    exact = {
        "accuracy": reference_metrics.accuracy_score(y, called),
        "f1_macro": reference_metrics.f1_score(y, called, average="macro"),
        "precision_macro": reference_metrics.precision_score(
            y, called, average="macro"
        ),
        "recall_macro": reference_metrics.recall_score(y, called, average="macro"),
        "roc_auc_ovr": reference_metrics.roc_auc_score(
            y, window[["pa", "pb", "pc"]], multi_class="ovr"
        ),
    }
    assert {n: each.value for n, each in truth.metrics.items()} == pytest.approx(exact)
    for name, value in exact.items():
        low, high = estimate.metrics[name].interval
        assert low <= value <= high, name
        assert estimate.metrics[name].value == pytest.approx(value, abs=0.03)
    strange = window.assign(called="z")
    report = estimator.estimate(strange)
    assert report.metrics["accuracy"].value == 0
    assert report.findings[0].kind == "unseen_class"
    assert (
        multiclass_metrics(np.ones((1, 1)), np.array([0]), None)["accuracy"].value == 1
    )


def test_losses_of_a_regression_follow_the_rows_that_are_hard():
    rng = np.random.default_rng(0)

    def rows(count: int, hard: float) -> pd.DataFrame:
        x, kind = rng.normal(size=count), rng.random(count) < hard
        noise = rng.normal(size=count) * np.where(kind, 4, 1)
        kinds = np.where(kind, "hard", "easy")
        return pd.DataFrame({"called": 2 * x, "kind": kinds, "y": 2 * x + noise})

    estimator = PerformanceEstimator("regression", chunk_rows=1000).fit(
        rows(10_000, 0.2),
        target_column="y",
        prediction_column="called",
        feature_columns=["kind"],
    )
    window = rows(4000, 0.7)
    estimate, truth = estimator.estimate(window), estimator.realise(window)
    y, called = window["y"], window["called"]
    assert truth.metrics["mean_absolute_error"].value == pytest.approx(
        reference_metrics.mean_absolute_error(y, called)
    )
    assert truth.metrics["root_mean_squared_error"].value == pytest.approx(
        reference_metrics.root_mean_squared_error(y, called)
    )
    assert estimate.status == truth.status == "degraded"
    for name, each in truth.metrics.items():
        assert estimate.metrics[name].value == pytest.approx(each.value, rel=0.06)
    assert estimator.estimate(rows(4000, 0.2)).status == "ok"
    again = PerformanceEstimator.from_dict(json.loads(json.dumps(estimator.to_dict())))
    assert again.estimate(window) == estimate


def test_rows_that_can_not_be_judged_are_told(estimator):
    window = scored(8, 1000).astype({"called": "object"})
    window.loc[:299, "score"] = np.nan
    report = estimator.estimate(window)
    assert (report.rows, report.status) == (700, "degraded")
    assert "300 of 1,000 rows (30.0%) have no finite score" in report.sentence
    nothing = estimator.estimate(window.assign(score=np.nan))
    assert (nothing.status, nothing.metrics) == ("insufficient_data", {})
    assert "1,000 of 1,000 rows" in nothing.sentence
    assert estimator.estimate(window.iloc[:0]).status == "insufficient_data"
    strange = scored(8, 1000).assign(called=7)
    report = estimator.estimate(strange)
    assert report.metrics["accuracy"].value == 0
    assert "predicted as 7, which the reference does not have" in report.sentence
    only = scored(9, 1000).assign(y=1, called=1)
    report = estimator.realise(only)
    assert report.metrics["accuracy"].value == 1
    assert "specificity" not in report.metrics
    assert {finding.kind for finding in report.findings} == {"undefined_metric"}
    labels = scored(9, 1000).astype({"y": object})
    labels.loc[:9, "y"], labels.loc[10:29, "y"] = None, "new"
    kinds = {finding.kind for finding in estimator.realise(labels).findings}
    assert kinds == {"missing_labels", "unseen_labels"}


def test_scores_beyond_those_of_the_reference_are_told(estimator):
    window = scored(8, 1000)
    window.loc[:9, "score"] = 1.5
    [note] = estimator.estimate(window).findings
    assert (note.kind, note.severity) == ("strange_scores", "note")
    percent = estimator.estimate(window.assign(score=100 * window["score"]))
    assert percent.status == "degraded" and "another unit" in percent.sentence
    rows = scored(0, 2000).assign(score=lambda frame: frame["score"] * 8 - 4)
    odds = PerformanceEstimator().fit(rows, **BINARY)  # any scale, as it is learned
    assert not odds.estimate(rows).findings
    with pytest.raises(DriftError, match="from which on a class is called"):
        PerformanceEstimator().fit(rows, target_column="y", score_column="score")


@pytest.mark.parametrize("form", ["bool", "text", "float", "category"])
def test_labels_of_any_type_are_the_same(form):
    reference, window = scored(0, 2000), scored(1, 500)
    types = {"bool": bool, "text": str, "float": float, "category": "category"}
    changed = {"y": types[form], "called": types[form]}
    fitted = [
        PerformanceEstimator().fit(frame, **BINARY)
        for frame in (reference, reference.astype(changed))
    ]
    plain, typed = fitted[0].realise(window), fitted[1].realise(window.astype(changed))
    if form == "bool":
        assert plain == fitted[1].realise(window)
    assert plain == typed


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("binary", {"target_column": "nope"}, "no column nope"),
        ("binary", {"score_column": None}, "two classes need score_column="),
        ("binary", {"score_column": "group"}, "'group' holds .* and not numbers"),
        ("binary", {"target_column": "one"}, "has the one class 1 in 'one'"),
        ("binary", {"target_column": "many"}, "use task='multiclass'"),
        ("multiclass", {}, "a mapping from each class"),
        ("regression", {"prediction_column": None}, "needs prediction_column="),
    ],
)
def test_what_can_not_teach_is_told(task, change, message):
    rows = scored(0, 500).assign(one=1, many=np.arange(500) % 3)
    with pytest.raises(DriftError, match=message):
        PerformanceEstimator(task).fit(rows, **(BINARY | change))


def test_an_estimator_that_learned_nothing_says_so():
    with pytest.raises(DriftError, match="was not fitted"):
        PerformanceEstimator().estimate({"score": [0.5]})
    with pytest.raises(DriftError, match="'ranking' is no task"):
        PerformanceEstimator("ranking")
    with pytest.raises(DriftError, match="at least 1"):
        PerformanceEstimator(chunk_rows=0)
    with pytest.raises(DriftError, match="50 labelled rows can't teach"):
        PerformanceEstimator().fit(scored(0, 50), **BINARY)


@pytest.mark.parametrize("rows", [0, 2.5, float("nan"), "x", True])
@pytest.mark.parametrize("name", ["chunk_rows", "min_rows"])
def test_numbers_of_rows_that_are_none_are_told(name, rows):
    with pytest.raises(DriftError, match=f"{name} is a whole number .* not {rows!r}"):
        PerformanceEstimator(**{name: rows})
