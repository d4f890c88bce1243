"""Keras models, those of the spec's example included."""

from __future__ import annotations

import random
import warnings
from dataclasses import replace

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tiny_layers import Doubled, Own, halved

from brixa_flows.errors import (
    DatasetError,
    DeviceUnavailableError,
    InsecureSerializationWarning,
    SerializationError,
)
from brixa_flows.serializers import (
    LoadOptions,
    detect_framework,
    save_model_files,
    serializer_named,
)
from brixa_flows.serializers.keras import KerasSerializer, UnbuiltModelWarning
from brixa_flows.serializers.lost import LostAttributeWarning

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
KERAS = KerasSerializer()


def make_sequential():
    """Built, compiled, trained for a step."""
    layers = [keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dropout(0.5)]
    model = keras.Sequential(layers)
    model.compile(loss="mse", optimizer="sgd")
    model.train_on_batch(X, X[:, :3])
    return model


def make_functional():
    """Two inputs by name."""
    left, right = keras.Input((2,), name="left"), keras.Input((2,), name="right")
    joined = keras.layers.Concatenate()([left, right])
    return keras.Model([left, right], keras.layers.Dense(1)(joined))


def make_own():
    """Classes and functions of an importable module."""
    inputs = keras.Input((4,))
    return keras.Sequential([inputs, Doubled(), keras.layers.Dense(2, halved)])


def make_subclassed():
    """A model class of one's own."""
    model = Own()
    model(X)
    return model


@pytest.fixture(scope="module")
def sequential():
    return make_sequential()


def test_the_unbuilt_model_of_the_spec_is_saved_as_its_architecture(tmp_path):
    model = tf.keras.Sequential(
        [
            tf.keras.layers.Dense(10, activation="relu"),
            tf.keras.layers.Dense(2, activation="softmax"),
        ]
    )
    assert detect_framework(model) == "tensorflow"
    with pytest.warns(UnbuiltModelWarning, match="has no weights; call it") as got:
        _, saved = save_model_files(model, tmp_path, "tensorflow")
    assert [each.filename for each in got] == [__file__]
    assert not model.built
    loaded = KERAS.load(tmp_path, saved, LoadOptions())
    assert KERAS.predict(loaded, X).values.shape == (5, 2)


def test_inputs_of_every_form(sequential):
    expected = KERAS.predict(sequential, X).values
    assert isinstance(expected, np.ndarray) and expected.shape == (5, 3)
    for inputs in (pd.DataFrame(X), X.tolist(), X.astype("float64")):
        values = KERAS.predict(sequential, inputs).values
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-6)
    by_name = {"left": X[:, :2], "right": X[:, 2:]}
    assert KERAS.predict(make_functional(), by_name).values.shape == (5, 1)


def test_inputs_that_do_not_fit_are_a_dataset_error(sequential):
    with pytest.raises(DatasetError, match="Sequential refused the inputs"):
        KERAS.predict(sequential, X[:, :3])


def test_a_lambda_is_saved_as_code_and_the_warning_says_what_to_do(tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 7)])
    with pytest.warns(
        InsecureSerializationWarning, match="make it a function of a mod"
    ):
        _, saved = save_model_files(model, tmp_path)
    assert (saved.format, saved.tier, saved.entry) == (
        "keras-cloudpickle",
        "code",
        "model",
    )
    loaded = KERAS.load(tmp_path, saved, LoadOptions())
    np.testing.assert_allclose(KERAS.predict(loaded, X).values, X * 7)


def test_a_lambda_layer_of_a_named_function_is_data(tmp_path, save, load):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(halved)])
    saved = save(model, tmp_path).saved
    assert (saved.format, saved.config["classes"]) == ("keras", ["tiny_layers:halved"])
    np.testing.assert_allclose(KERAS.predict(load(tmp_path), X).values, X / 2)


def test_a_file_with_a_lambda_is_refused_on_load(tmp_path, save):
    saved = save(make_own(), tmp_path).saved
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x)])
    model.save(tmp_path / "model.keras")
    with pytest.raises(SerializationError, match="model.keras can't be read"):
        KERAS.load(tmp_path, saved, LoadOptions())


@pytest.mark.parametrize("listed", [[], ["os:system", "subprocess:Popen"]])
@pytest.mark.parametrize("path", ["os:system", "subprocess:Popen"])
def test_a_class_must_be_listed_and_of_keras(path, listed, tmp_path, save):
    saved = save(make_own(), tmp_path).saved
    config = {"registered": {"Doubled": path}, "classes": listed}
    with pytest.raises(SerializationError, match=path):
        KERAS.load(tmp_path, replace(saved, config=config), LoadOptions())


def test_absent_devices_and_dtypes_are_refused(tmp_path, save, load, sequential):
    save(sequential, tmp_path)
    with pytest.raises(DeviceUnavailableError, match="present: .*cpu"):
        load(tmp_path, device="cuda:9")
    with pytest.raises(SerializationError, match="dtype='float16'"):
        load(tmp_path, dtype="float16")
    assert load(tmp_path, device="cpu").built


@pytest.mark.parametrize(
    "make", [make_sequential, make_functional, make_own, make_subclassed]
)
def test_an_attribute_that_somebody_added_to_a_model_or_layer_is_not_lost_in_silence(
    make, tmp_path, save
):
    model = make()
    drawn = random.getstate()
    with warnings.catch_warnings():
        warnings.simplefilter("error", LostAttributeWarning)
        save(model, tmp_path / "before")
    assert random.getstate() == drawn  # the check draws no seeds of the user's
    model.threshold = 0.7
    model.layers[-1].labels_of = ["early", "late"]
    layer = model.layers[-1].name
    with pytest.warns(
        LostAttributeWarning,
        match=rf"without.*threshold, {layer}.labels_of.*get_config",
    ) as got:
        save(model, tmp_path / "after")
    assert sum(each.category is LostAttributeWarning for each in got) == 1


def test_a_value_that_was_changed_after_the_constructor_is_not_lost_in_silence(
    tmp_path, save
):
    model = make_subclassed()
    model.supports_jit = not model.supports_jit
    with pytest.warns(
        LostAttributeWarning, match="without its attributes supports_jit"
    ):
        save(model, tmp_path)


class Given(keras.layers.Layer):
    """A layer that keeps what its constructor is given."""

    def __init__(self, options, **others):
        super().__init__(**others)
        self.options = options

    def call(self, x):
        return x

    def get_config(self):
        return super().get_config() | {"options": self.options}


def test_what_keras_describes_and_does_not_give_back_is_not_lost_in_silence(
    tmp_path, save
):
    given = Given({"by": [each for each in "ab"]}, name="first")
    save(keras.Sequential([keras.Input((4,)), given]), tmp_path / "plain")
    given = Given({"by": [(each for each in "ab")]}, name="first")
    with pytest.warns(LostAttributeWarning, match="its attributes first.options"):
        save(keras.Sequential([keras.Input((4,)), given]), tmp_path / "other")


def test_a_part_that_its_config_does_not_give_back_is_named(tmp_path, save):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="last")])
    model.layers[0].get_config = lambda: {"name": "last", "units": (n for n in "1")}
    with pytest.raises(SerializationError, match=r"model.last.units \(.*generator\)"):
        save(model, tmp_path)


class Cased(tf.Module):
    """It looks words up in a file that is saved with it."""

    def __init__(self, words):
        super().__init__()
        found = tf.lookup.TextFileInitializer(
            words,
            tf.string,
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
        )
        self.table = tf.lookup.StaticHashTable(found, -1)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def __call__(self, words):
        return self.table.lookup(words)


def test_a_saved_model_that_has_assets_can_be_saved_again(tmp_path, save, load):
    words = tmp_path / "words.txt"
    words.write_text("late\nearly\n")
    save(Cased(str(words)), tmp_path / "first")
    words.unlink()
    loaded = load(tmp_path / "first")
    save(loaded, tmp_path / "second")
    again = load(tmp_path / "second")
    for model in (loaded, again):
        assert list(model(tf.constant(["early", "never"])).numpy()) == [1, -1]


class Scaled(tf.Module):
    """A module that is no Keras model; its shapes are declared."""

    def __init__(self):
        super().__init__()
        self.factor = tf.Variable(3.0)

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32)])
    def __call__(self, x):
        return {"scaled": x * self.factor}


class Summed(tf.Module):
    """A module whose call is plain Python with two inputs by name."""

    def __init__(self):
        super().__init__()
        self.bias = tf.Variable(1.0)

    def __call__(self, left, right):
        return left + right + self.bias


def test_a_module_is_a_saved_model_which_is_code(tmp_path, save, load):
    assert detect_framework(Scaled()) == "tensorflow"
    assert detect_framework(keras.layers.Dense(1)) == "pickle"
    saved = save(Scaled(), tmp_path / "first").saved
    assert (saved.format, saved.tier, saved.entry) == ("saved_model", "code", "model")
    serializer = serializer_named("saved_model")
    np.testing.assert_allclose(serializer.predict(Scaled(), X).values, X * 3)
    loaded = load(tmp_path / "first")
    for inputs in (X, X.astype("float64"), pd.DataFrame(X)):
        np.testing.assert_allclose(serializer.predict(loaded, inputs).values, X * 3)
    save(loaded, tmp_path / "second")
    again = load(tmp_path / "second", device="cpu")
    np.testing.assert_allclose(serializer.predict(again, X).values, X * 3)
    with pytest.raises(DatasetError, match="refused the inputs"):
        serializer.predict(loaded, X[:, :2])
    with pytest.raises(DeviceUnavailableError, match="present: cpu"):
        load(tmp_path / "first", device="cuda:7")


def test_a_module_without_a_signature_takes_it_from_an_example(tmp_path, save, load):
    with pytest.raises(SerializationError, match="input_signature.*input_example="):
        save(Summed(), tmp_path / "refused")
    by_name = {"left": X, "right": X * 2}
    save(Summed(), tmp_path / "taken", input_example=by_name)
    serializer = serializer_named("saved_model")
    for model in (Summed(), load(tmp_path / "taken")):
        values = serializer.predict(model, by_name).values
        np.testing.assert_allclose(values, X * 3 + 1, rtol=1e-5)
