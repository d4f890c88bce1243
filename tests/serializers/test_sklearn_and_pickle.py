"""scikit-learn estimators and any other Python object."""

from __future__ import annotations

import os
import resource
import threading
from collections import defaultdict, deque
from functools import partial

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from brixa_flows.errors import (
    DatasetError,
    InsecureSerializationWarning,
    SerializationError,
)
from brixa_flows.serializers import (
    LoadOptions,
    save_model_files,
    serializer_named,
)
from brixa_flows.serializers.pickled import PickleSerializer
from brixa_flows.serializers.sklearn import MAPPED_FROM_BYTES, SklearnSerializer

X = np.random.default_rng(0).normal(size=(30, 2))
FRAME = pd.DataFrame(X, columns=["width", "age"])
LABELS = np.where(X[:, 0] > 0, "late", "early")


class Bias:
    """A model of no framework."""

    def __init__(self, bias=1.0):
        self.bias = bias

    def predict(self, inputs):
        """The first column and a bit."""
        return np.asarray(inputs)[:, 0] + self.bias


class Slotted:
    """It has no __dict__."""

    __slots__ = ("value",)


class Stubborn:
    """It does not want to be pickled."""

    def __reduce__(self):
        raise LookupError("not me")


class Wrapped(RegressorMixin, BaseEstimator):
    """A torch module as an estimator."""

    def fit(self, inputs, targets):
        """Learn nothing."""
        self.network_ = torch.nn.Linear(inputs.shape[1], 1)
        return self

    def predict(self, inputs):
        """Of shape (n_samples,)."""
        with torch.no_grad():
            return self.network_(torch.as_tensor(inputs).float())[:, 0].numpy()


@pytest.mark.parametrize("method", ["zlib", "lzma", "gzip"])
def test_a_compressed_joblib_file_is_not_decompressed(method, tmp_path, save, load):
    """We write none, and a few kilobytes could become gigabytes."""
    manifest = save(LinearRegression(), tmp_path, format="joblib")
    joblib.dump(np.zeros(10**6), tmp_path / "model.joblib", compress=(method, 3))
    with pytest.raises(SerializationError, match="model.joblib.*it is compressed"):
        SklearnSerializer().load(tmp_path, manifest.saved, LoadOptions())


def test_large_arrays_are_mapped_and_small_ones_are_read(tmp_path, save, load, settled):
    large = {
        name: np.arange(MAPPED_FROM_BYTES / 8) for name in ("large", "b", "c", "d")
    }
    model = Bias(large | {"small": np.arange(9.0)})
    pipeline = make_pipeline(FunctionTransformer(model.predict)).fit(X)
    save(pipeline, tmp_path, format="joblib")
    plain = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    for loaded in (load(tmp_path), plain):
        arrays = loaded[0].func.__self__.bias
        assert isinstance(arrays["large"], np.memmap)
        assert type(arrays["small"]) is np.ndarray
        np.testing.assert_array_equal(arrays["large"], model.bias["large"])


def test_a_mapped_model_can_be_trained_on_and_saved_again(
    tmp_path, save, load, settled
):
    wide = np.random.default_rng(0).normal(size=(9, MAPPED_FROM_BYTES // 2))
    before = SGDClassifier(max_iter=5, tol=None, random_state=0).fit(
        wide, wide[:, 0] > 0
    )
    save(before, tmp_path / "first")
    loaded = load(tmp_path / "first")
    assert isinstance(loaded.coef_, np.memmap)
    scores = loaded.decision_function(wide)
    np.testing.assert_array_equal(scores, before.decision_function(wide))
    save(loaded, tmp_path / "second")
    loaded.partial_fit(wide, wide[:, 1] > 0)
    for name in ("first", "second"):
        again = load(tmp_path / name).decision_function(wide)
        np.testing.assert_array_equal(again, scores)


def test_a_model_of_more_arrays_than_files_may_be_open_is_read(
    tmp_path, save, load, settled
):
    arrays = [np.arange(MAPPED_FROM_BYTES / 8) for _ in range(30)]
    model = make_pipeline(FunctionTransformer(Bias(arrays).predict)).fit(X)
    save(model, tmp_path, format="joblib")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    in_use = set(map(int, os.listdir("/proc/self/fd")))
    free = [number for number in range(len(in_use) + 20) if number not in in_use]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[12], limits[1]))
    try:
        loaded = load(tmp_path)[0].func.__self__.bias
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert not any(isinstance(each, np.memmap) for each in loaded)
    np.testing.assert_array_equal(loaded, arrays)


@pytest.mark.parametrize("by", ["sklearn", "pickle"])
def test_a_lambda_is_taken_by_value_and_the_warning_says_why(by, tmp_path, load):
    if by == "sklearn":
        scale = FunctionTransformer(lambda x: x * 2)
        model, path = make_pipeline(PCA(), scale).fit(X), r"model.steps\[1\]\[1\].func"
    else:
        model, path = Bias(), "model.bias"
        model.bias = lambda: 1
    message = rf"model.pkl in the format cloudpickle.*{path} \(.*<lambda>\)"
    with pytest.warns(InsecureSerializationWarning, match=message):
        _, saved = save_model_files(model, tmp_path)
    loaded = serializer_named(by).load(tmp_path, saved, LoadOptions())
    if by == "sklearn":
        np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    else:
        assert loaded.bias() == 1


@pytest.mark.parametrize("by", ["joblib", "pickle"])
def test_a_lambda_is_refused_in_a_format_that_was_asked_for(by, tmp_path, save):
    model = FunctionTransformer(lambda x: x) if by == "joblib" else Bias(lambda: 1)
    path = "model.func" if by == "joblib" else "model.bias"
    with pytest.raises(SerializationError, match=f"attribute {path} .*importable"):
        save(model, tmp_path, format=by)


def _slotted(culprit):
    slotted = Slotted()
    slotted.value = culprit
    return slotted


@pytest.mark.parametrize(
    ("wrap", "path"),
    [
        (lambda lock: {"a": [1, lock]}, "['a'][1]"),
        (lambda lock: [{"b": {"c": ([lock],)}}], "[0]['b']['c'][0][0]"),
        (lambda lock: defaultdict(list, x=[lock]), "['x'][0]"),
        (lambda lock: deque([lock]), "[0]"),
        (lambda lock: np.array([None, lock]), "[1]"),
        (lambda lock: partial(max, lock, key=None), ".args[0]"),
        (lambda lock: Bias(lock).predict, ".__self__.bias"),
        (lambda lock: lambda: lock, ".lock"),
        (lambda lock: _slotted(lock), ".value"),
        (lambda lock: FunctionTransformer(kw_args={"by": lock}), ".kw_args['by']"),
    ],
)
def test_a_lock_is_refused_by_the_name_of_its_attribute(wrap, path, tmp_path, save):
    model = Bias(wrap(threading.Lock()))
    for chosen in (None, "pickle", "cloudpickle"):
        with pytest.raises(SerializationError) as caught:
            save(model, tmp_path, format=chosen)
        if chosen != "pickle" or path != ".lock":
            assert caught.value.attribute == f"model.bias{path}"
    assert not (tmp_path / "model.pkl").exists()


def test_an_object_that_raises_anything_when_pickled_is_named(tmp_path, save):
    with pytest.raises(SerializationError, match=r"model.bias\[0\].*Stubborn.*not me"):
        save(Bias([Stubborn()]), tmp_path)


def test_a_pipeline_around_a_network_is_of_scikit_learn(tmp_path, save, load):
    around = FunctionTransformer(partial(np.multiply, 2.0))
    model = make_pipeline(StandardScaler(), around, Wrapped()).fit(X, X[:, 0])
    manifest = save(model, tmp_path)
    assert (manifest.saved.serializer, manifest.saved.format) == ("sklearn", "joblib")
    np.testing.assert_array_equal(load(tmp_path).predict(X), model.predict(X))


def test_a_lambda_is_taken_by_value_when_that_is_asked_for(tmp_path, save, load):
    pipeline = make_pipeline(FunctionTransformer(lambda x: x * 2), LinearRegression())
    model = pipeline.fit(X, X[:, 0])
    assert save(model, tmp_path, format="cloudpickle").saved.entry == "model.pkl"
    np.testing.assert_array_equal(load(tmp_path).predict(X), model.predict(X))


def test_a_classifier_gives_labels_scores_and_the_names_of_their_columns():
    model = LogisticRegression().fit(FRAME, LABELS)
    answer = SklearnSerializer().predict(model, FRAME.to_dict("series"))
    assert answer.classes == ("early", "late")
    assert answer.scores.shape == (30, 2)
    best = answer.scores.argmax(axis=1)
    np.testing.assert_array_equal(answer.values, np.asarray(answer.classes)[best])


def test_a_regressor_has_no_scores():
    answer = SklearnSerializer().predict(LinearRegression().fit(X, X[:, 0]), X)
    assert answer.scores is None and answer.classes is None


@pytest.mark.parametrize("rows", [0, 1, 30, 600])
@pytest.mark.parametrize("kind", [RandomForestClassifier, ExtraTreesClassifier])
def test_a_forest_answers_as_scikit_learn_does_to_the_last_bit(kind, rows):
    model = kind(25, random_state=0, n_jobs=1).fit(FRAME, LABELS)
    many = pd.concat([FRAME] * 20)[: rows or 1].add(0.01)
    if rows == 0:
        many.iloc[0, 0] = np.nan  # which trees take, and some forests don't
    answer = SklearnSerializer().predict(model, dict(many.items()))
    np.testing.assert_array_equal(answer.scores, model.predict_proba(many))
    np.testing.assert_array_equal(answer.values, model.predict(many))


@pytest.mark.parametrize("kind", [RandomForestRegressor, ExtraTreesRegressor])
def test_a_forest_of_numbers_answers_as_scikit_learn_does(kind):
    model = kind(25, random_state=0).fit(X, X[:, 0])
    answer = SklearnSerializer().predict(model, X)
    np.testing.assert_array_equal(answer.values, model.predict(X))
    several = kind(5, random_state=0).fit(X, X)
    answer = SklearnSerializer().predict(several, X)
    np.testing.assert_array_equal(answer.values, several.predict(X))
    with pytest.raises(DatasetError, match="refused the inputs: .*3 features"):
        SklearnSerializer().predict(model, np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (LogisticRegression().fit(X, LABELS), "refused the inputs: .*3 features"),
        (PCA().fit(X), "PCA can't predict"),
    ],
)
def test_inputs_that_do_not_fit_are_a_dataset_error(model, message):
    with pytest.raises(DatasetError, match=message):
        SklearnSerializer().predict(model, np.zeros((2, 3)))


def test_an_object_that_is_called_predicts():
    answer = PickleSerializer().predict(np.negative, np.ones(3))
    np.testing.assert_array_equal(answer.values, [-1, -1, -1])


@pytest.mark.parametrize("options", [{"dtype": "float16"}, {"as_pipeline": True}])
def test_options_of_networks_are_refused(options, tmp_path, save, load):
    save(LinearRegression(), tmp_path)
    with pytest.raises(SerializationError, match=next(iter(options))):
        load(tmp_path, **options)
