"""How good a version is on windows: real models, files, labels that come late."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from brixa.ai.registry import ModelRegistry
from brixa.storage.local import LocalStorageNode
from brixa_flows.drift import DriftProfile
from brixa_flows.errors import DatasetError, DriftError
from brixa_flows.prediction import (
    answers,
    judge_performance,
    learn_performance,
    see_window,
)
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    # These tests save scikit-learn models, whose format runs code; that is told.
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

LABELS = ["early", "late"]


def rows(seed: int, number: int = 4000, *, worth: float = 1.0) -> pd.DataFrame:
    """Rows whose label depends on ``a``; with less worth the model is worse on them."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(random.normal(size=(number, 2)), columns=["a", "b"])
    late = worth * frame["a"] + random.logistic(size=number) / 2 > 0
    frame["when"] = np.where(late, "late", "early")
    frame["minutes"] = 10 * worth * frame["a"] + random.normal(size=number)
    frame["kind"] = np.digitize(worth * frame["a"], [-0.5, 0.5])
    frame["row"] = [f"r{i}" for i in range(number)]
    return frame


def _saved(registry: ModelRegistry, name: str, model: Any, target: str) -> None:
    train = rows(0)
    model.fit(train[["a", "b"]], train[target])
    made = registry.register_model(name, "tabular")
    registry.save_model(name, made.version, model, train[["a", "b"]].head(3))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    """Models of each task, one without probabilities, one that learned no estimator."""
    root = tmp_path_factory.mktemp("registry")
    opened = ModelRegistry(LocalStorageNode(root), tracking=MemoryTrackingStore())
    made = {
        "when": (LogisticRegression(), "when"),
        "kind": (make_pipeline(StandardScaler(), LogisticRegression()), "kind"),
        "minutes": (LinearRegression(), "minutes"),
        "unsure": (LinearSVC(), "when"),
        "unlearned": (LogisticRegression(), "when"),
    }
    with warnings.catch_warnings(action="ignore"):
        for name, (model, target) in made.items():
            _saved(opened, name, model, target)
        for name in ("when", "kind", "minutes"):
            learn_performance(opened, name, "1.0.0", rows(1), target=made[name][1])
    return opened


def _without_labels(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["a", "b", "row"]]


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("when", "roc_auc"),
        ("kind", "accuracy"),
        ("minutes", "root_mean_squared_error"),
    ],
)
def test_a_window_without_labels_is_estimated_near_to_what_its_labels_say(
    registry: ModelRegistry, name: str, metric: str
) -> None:
    window = rows(2)
    estimated = judge_performance(registry, name, "1.0.0", _without_labels(window))
    realised = judge_performance(
        registry,
        name,
        "1.0.0",
        _without_labels(window),
        labels=window[["row", name]],
        row_id="row",
    )
    assert estimated is not None and realised is not None
    assert (estimated.report.realised, realised.report.realised) == (False, True)
    assert (estimated.labelled, realised.labelled) == (0, 4000)
    guess, truth = (x.report.metrics[metric] for x in (estimated, realised))
    assert guess.interval[0] <= truth.value <= guess.interval[1]
    assert estimated.report.status == realised.report.status == "ok"


def test_labels_measure_exactly_and_late_ones_count_by_their_row(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    window = rows(3, worth=0.2)
    _without_labels(window).to_parquet(tmp_path / "asked.parquet")
    labels = window.loc[:2999, ["row", "when"]].sample(frac=1, random_state=0)
    stray = pd.DataFrame({"row": ["unknown", None], "when": ["late", "early"]})
    pd.concat([labels, stray]).to_parquet(tmp_path / "labels.parquet")
    found = judge_performance(
        registry,
        "when",
        "1.0.0",
        str(tmp_path / "asked.parquet"),
        labels=str(tmp_path / "labels.parquet"),
        row_id="row",
    )
    assert found is not None
    assert (found.rows, found.labelled, found.report.rows) == (4000, 3000, 3000)
    model, known = registry.load_model("when", "1.0.0"), window.head(3000)
    called = model.predict(known[["a", "b"]])
    scores = model.predict_proba(known[["a", "b"]])[:, 1]
    metrics = found.report.metrics
    assert metrics["accuracy"].value == pytest.approx(
        accuracy_score(known["when"], called)
    )
    assert metrics["roc_auc"].value == pytest.approx(
        roc_auc_score(known["when"] == "late", scores)
    )
    assert found.report.status == "degraded"
    # The scores look as sure as ever: no estimate can see that they mean less.
    estimated = judge_performance(
        registry, "when", "1.0.0", str(tmp_path / "asked.parquet")
    )
    assert estimated is not None and estimated.report.status == "ok"


def test_rows_that_hold_their_labels_are_measured_and_missing_ones_left_out(
    registry: ModelRegistry,
) -> None:
    window = rows(4)
    window.loc[::4, "when"] = None
    found = judge_performance(registry, "when", "1.0.0", window[["a", "b", "when"]])
    assert found is not None
    assert (found.report.realised, found.labelled, found.rows) == (True, 3000, 4000)
    window["when"] = None
    none = judge_performance(registry, "when", "1.0.0", window[["a", "b", "when"]])
    assert none is not None and not none.report.realised


def test_the_same_rows_teach_once_and_the_last_estimator_counts(
    registry: ModelRegistry,
) -> None:
    def learn(seed: int) -> int:
        record = learn_performance(
            registry, "when", "1.0.0", rows(seed), target="when", dataset_name="held"
        )
        return int(record["number"])

    first = len(registry.estimators("when", "1.0.0"))
    assert learn(1) == first == 1
    assert learn(7) == learn(7) == 2
    kept = registry.estimators("when", "1.0.0")[-1]
    assert kept["dataset"]["name"] == "held" and kept["dataset"]["rows"] == 4000
    assert len(json.dumps(kept)) < 100_000
    assert kept["importance"]["a"] > 0.2 > 10 * kept["importance"]["b"]
    minutes = registry.estimators("minutes", "1.0.0")[0]["importance"]
    assert minutes["a"] > 5 > minutes["b"]


def test_without_an_estimator_nothing_is_said(registry: ModelRegistry) -> None:
    assert judge_performance(registry, "unlearned", "1.0.0", rows(2)) is None


@pytest.mark.parametrize(
    ("name", "taught", "target", "said"),
    [
        ("unsure", rows(1), "when", "no probabilities"),
        ("unlearned", rows(1, 100), "when", "at least 200"),
        ("unlearned", rows(1).assign(when="late"), "when", "late"),
        ("unlearned", rows(1)[["a", "b"]], None, "can't tell which column"),
        ("unlearned", rows(1).drop(columns="a"), "when", "'a'"),
        ("unlearned", rows(1), "nope", "'nope'"),
    ],
)
def test_what_cannot_teach_says_why_and_keeps_nothing(
    registry: ModelRegistry, name: str, taught: Any, target: str | None, said: str
) -> None:
    with pytest.raises((DriftError, DatasetError), match=said):
        learn_performance(registry, name, "1.0.0", taught, target=target)
    assert registry.estimators(name, "1.0.0") == []


def test_labels_without_a_row_id_or_a_column_of_it_are_refused(
    registry: ModelRegistry,
) -> None:
    window = rows(2)
    labels = window[["row", "when"]]
    with pytest.raises(DriftError, match="row_id="):
        judge_performance(registry, "when", "1.0.0", window, labels=labels)
    with pytest.raises(DriftError, match="no column 'row'"):
        judge_performance(
            registry,
            "when",
            "1.0.0",
            window[["a", "b"]],
            labels=labels,
            row_id="row",
        )
    with pytest.raises(DriftError, match="nope"):
        judge_performance(
            registry, "when", "1.0.0", window, labels=labels, row_id="nope"
        )


def test_of_very_many_rows_a_random_part_is_looked_at(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "MOST_ROWS", 1000)
    batches = [rows(seed, 900)[["a", "b", "when"]] for seed in range(10, 20)]
    found = judge_performance(registry, "when", "1.0.0", batches)
    assert found is not None
    assert 1000 <= found.rows <= 2000
    assert found.report.metrics["accuracy"].value == pytest.approx(0.79, abs=0.05)


def test_labels_that_count_named_classes_mean_them(registry: ModelRegistry) -> None:
    # As Hugging Face data have 0 and 1 where a model says NEGATIVE and POSITIVE.
    window = rows(2)
    counted = window.assign(when=(window["when"] == "late").astype("int64"))
    judged = [
        judge_performance(registry, "when", "1.0.0", each[["a", "b", "when"]])
        for each in (window, counted)
    ]
    assert judged[0] == judged[1] and judged[1].report.realised
    labels = counted[["row", "when"]]
    late = judge_performance(
        registry, "when", "1.0.0", _without_labels(window), labels=labels, row_id="row"
    )
    assert late is not None and late.report.metrics == judged[0].report.metrics
    others = counted.assign(when=counted["when"] + 1)  # 1 and 2: no places
    found = judge_performance(registry, "when", "1.0.0", others[["a", "b", "when"]])
    assert found is not None and "a label that the reference has not" in (
        found.report.sentence
    )


def test_an_estimator_is_learned_from_labels_that_count(
    registry: ModelRegistry,
) -> None:
    _saved(registry, "counted", LogisticRegression(), "when")
    taught = rows(1)
    counted = taught.assign(when=(taught["when"] == "late").astype("int64"))
    record = learn_performance(
        registry, "counted", "1.0.0", counted[["a", "b", "when"]], target="when"
    )
    kept = registry.estimators("when", "1.0.0")[0]  # the fixture's
    assert record["estimator"]["usual"] == kept["estimator"]["usual"]


def test_a_window_without_rows_has_too_few_and_labels_are_single_values(
    registry: ModelRegistry,
) -> None:
    window = rows(2, 300)
    found = judge_performance(registry, "when", "1.0.0", window[["a", "b"]][:0])
    assert found is not None
    assert (found.rows, found.report.status) == (0, "insufficient_data")
    assert found.report.sentence.startswith("Too few rows to judge: 0;")
    listed = window[["a", "b"]].assign(when=[["late"]] * len(window))
    with pytest.raises(DriftError, match="'when' holds lists; the label of a row is"):
        judge_performance(registry, "when", "1.0.0", listed)


def test_one_reading_of_a_window_tells_both_its_drift_and_its_performance(
    registry: ModelRegistry,
) -> None:
    window = rows(5)[["a", "b"]]
    like = DriftProfile.build(rows(0)[["a", "b"]])
    batches = pa.Table.from_pandas(window).to_batches(max_chunksize=1000)
    seen = see_window(registry, "when", "1.0.0", iter(batches), like)
    assert seen.profile is not None and seen.unknown == ""
    assert seen.profile.digest == DriftProfile.build(batches, like=like).digest
    assert seen.performance == judge_performance(registry, "when", "1.0.0", window)
    nothing = see_window(registry, "when", "1.0.0", window[:0], like).performance
    assert nothing is not None and nothing.report.status == "insufficient_data"


def test_what_cannot_be_estimated_keeps_nobody_from_profiling_a_window(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    window = rows(5)[["a", "b"]]
    like = DriftProfile.build(rows(0)[["a", "b"]])
    seen = see_window(registry, "when", "1.0.0", window[["a"]], like)
    assert seen.performance is None and "'b'" in seen.unknown
    assert seen.profile is not None and seen.profile.rows == len(window)
    unlearned = see_window(registry, "unlearned", "1.0.0", window, like)
    assert (unlearned.performance, unlearned.unknown) == (None, "")
    like.save(tmp_path / "rows.profile.parquet")
    kept = see_window(
        registry, "when", "1.0.0", tmp_path / "rows.profile.parquet", like
    )
    assert (kept.performance, kept.unknown) == (None, "")
    assert kept.profile is not None and kept.profile.digest == like.digest
