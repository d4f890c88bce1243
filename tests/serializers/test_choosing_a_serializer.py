"""Which framework an object is of, and what its registration may say."""

from __future__ import annotations

import json

import pytest
from sklearn.linear_model import LinearRegression

from brixa_flows.errors import (
    FrameworkMismatchError,
    SerializationError,
    UnknownPluginError,
)
from brixa_flows.serializers import (
    canonical_framework,
    save_model_files,
    serializer_for,
)


def test_frameworks_are_detected_by_class_names_and_nothing_is_imported(
    in_fresh_process,
):
    answer = json.loads(in_fresh_process("detect_without_importing.py"))
    detected, loaded, missing = answer
    frameworks = ["pytorch", "pytorch", "tensorflow", "sklearn", "sklearn"]
    assert detected == [*frameworks, "pickle", "pickle"]
    assert loaded == []
    assert "pip install 'brixa-flows[torch]'" in missing


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("torch", "pytorch"),
        ("transformers", "pytorch"),
        ("keras", "tensorflow"),
        ("scikit-learn", "sklearn"),
        ("pickle", "pickle"),
        (None, None),
    ],
)
def test_a_framework_has_one_canonical_name(name, canonical):
    assert canonical_framework(name) == canonical


def test_an_unknown_framework_lists_the_known_ones():
    with pytest.raises(UnknownPluginError, match="no framework.*'caffe'") as caught:
        canonical_framework("caffe")
    assert {"pickle", "pytorch", "sklearn"} <= set(caught.value.known)
    assert not {"saved_model", "skops", "transformers"} & set(caught.value.known)


def test_an_object_of_another_framework_than_registered_names_both():
    with pytest.raises(FrameworkMismatchError, match="'pytorch'.*'sklearn'") as caught:
        serializer_for(LinearRegression(), "torch")
    assert (caught.value.registered, caught.value.detected) == ("pytorch", "sklearn")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"w": 1}, "what was given is a dict with the keys 'w'"),
        ([1, 2], "what was given is a list"),
        (len, "what was given is a builtin_function_or_method"),
        (LinearRegression, "what was given is the class LinearRegression itself"),
    ],
)
def test_what_is_plainly_no_model_is_told_with_what_is_expected(given, told):
    with pytest.raises(FrameworkMismatchError) as caught:
        serializer_for(given, "sklearn")
    said = str(caught.value)
    assert told in said and "give an object of sklearn.base.BaseEstimator" in said
    assert "pickle" not in said


def test_a_dictionary_of_models_is_no_checkpoint_and_names_both_frameworks():
    inner = [LinearRegression()]
    inner.append(inner)
    with pytest.raises(FrameworkMismatchError, match="'pytorch'.*'pickle'"):
        serializer_for({"model": {"line": inner}}, "pytorch")
    for checkpoint in ({"epoch": 3}, {"epoch": object()}, [1.0] * 10):
        assert serializer_for(checkpoint, "pytorch")[0] == "pytorch"


def test_pickle_takes_any_object_that_is_registered_as_such():
    assert serializer_for(LinearRegression(), "pickle")[0] == "pickle"


def test_no_model_at_all_is_refused(tmp_path):
    for framework in (None, "sklearn", "pickle"):
        with pytest.raises(SerializationError, match="None; give the trained model"):
            save_model_files(None, tmp_path, framework)


@pytest.mark.parametrize("option", ["tokenizer", "processor", "generation_config"])
def test_an_option_without_a_use_is_refused(option, tmp_path, save):
    with pytest.raises(SerializationError, match=f"{option}= has no use"):
        save(LinearRegression(), tmp_path, **{option: object()})
