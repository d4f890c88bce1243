"""scikit-learn estimators and any other Python object."""

from __future__ import annotations

import threading

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from brixa_flows.errors import DatasetError, SerializationError
from brixa_flows.serializers.pickled import PickleSerializer
from brixa_flows.serializers.sklearn import SklearnSerializer
from brixa_flows.testing.serializers import SerializerContract

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


class TestSklearnSerializer(SerializerContract):
    @pytest.fixture
    def serializer(self):
        return SklearnSerializer()

    @pytest.fixture
    def model(self):
        return make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME, LABELS)

    @pytest.fixture
    def inputs(self):
        return FRAME


class TestPickleSerializer(SerializerContract):
    @pytest.fixture
    def serializer(self):
        return PickleSerializer()

    @pytest.fixture
    def model(self):
        return Bias()

    @pytest.fixture
    def inputs(self):
        return X


def test_a_fresh_process_predicts_the_same(tmp_path, save, predict_elsewhere):
    model = LogisticRegression().fit(X, LABELS)
    manifest = save(model, tmp_path / "classifier")
    save(LinearRegression().fit(X, X[:, 0]), tmp_path / "regressor")
    scores, values = predict_elsewhere(
        X, tmp_path / "classifier", tmp_path / "regressor"
    )
    np.testing.assert_array_equal(scores, model.predict_proba(X))
    np.testing.assert_allclose(values, X[:, 0], atol=1e-9)
    assert manifest.saved.entry == "model.joblib"
    assert manifest.environment["scikit-learn"]


def test_classes_of_main_load_where_they_are_not_known(
    tmp_path, load, in_fresh_process
):
    in_fresh_process("save_from_main.py", tmp_path)
    inputs = np.arange(8.0).reshape(4, 2)
    for framework in ("sklearn", "pickle"):
        model = load(tmp_path / framework)
        np.testing.assert_allclose(model.predict(inputs), inputs[:, 0] * 2, atol=1e-9)


def test_a_joblib_file_is_not_compressed_so_that_it_can_be_mapped(tmp_path, save):
    save(LinearRegression().fit(X, X[:, 0]), tmp_path)
    model = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert isinstance(model.coef_, np.memmap)


@pytest.mark.parametrize("by", ["joblib", "pickle"])
def test_a_lambda_is_refused_by_the_name_of_its_attribute(by, tmp_path, save):
    if by == "joblib":
        scale = FunctionTransformer(lambda x: x)
        model, path = make_pipeline(PCA(), scale), r"model.steps\[1\]\[1\].func"
    else:
        model, path = Bias(), "model.bias"
        model.bias = lambda: 1
    with pytest.raises(SerializationError, match=f"attribute {path} .*importable"):
        save(model, tmp_path)


def test_a_lock_is_refused_by_the_name_of_its_attribute_even_by_value(tmp_path, save):
    model = Bias({"a": [1, threading.Lock()]})
    for chosen in ("pickle", "cloudpickle"):
        with pytest.raises(SerializationError) as caught:
            save(model, tmp_path, format=chosen)
        assert caught.value.attribute == "model.bias['a'][1]"


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
