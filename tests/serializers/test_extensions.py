"""XGBoost, LightGBM and ONNX: data formats, classes and labels, and what is refused."""

from __future__ import annotations

import json

import lightgbm
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import xgboost
from extension_cases import (
    CODES,
    GROUPS,
    QUIET,
    make_lgbm_booster,
    make_lgbm_classifier,
    make_onnx_classifier,
    make_onnx_sum,
    make_xgb_booster,
    make_xgb_classifier,
    make_xgb_with_callable,
)
from table_cases import FRAME, LABELS, ROWS

from brixa_flows.errors import DatasetError, SerializationError
from brixa_flows.plugins import SERIALIZERS
from brixa_flows.serializers import detect_framework
from brixa_flows.serializers import onnx as onnx_serializer
from brixa_flows.serializers import serializer_named

LETTERS = "abcdefghi"


class OwnClassifier(xgboost.XGBClassifier):
    """A class that is none of xgboost's."""


def test_they_are_declared_by_entry_points_and_not_among_the_built_ins():
    built_in = {plugin.name for plugin in SERIALIZERS._builtins}
    assert {"xgboost", "lightgbm", "onnx"} <= SERIALIZERS.all().keys() - built_in
    assert detect_framework(OwnClassifier()) == "xgboost"


@pytest.mark.parametrize(
    ("make", "classes"),
    [
        (make_xgb_classifier, (0, 1, 2)),
        (make_xgb_booster, (0, 1)),
        (make_lgbm_classifier, ("early", "late")),
        (make_lgbm_booster, (0, 1, 2)),
        (make_onnx_classifier, ("early", "late")),
    ],
)
def test_a_classifier_gives_classes_and_the_probability_of_each(make, classes):
    model = make()
    serializer = serializer_named(detect_framework(model))
    for inputs in (ROWS, {name: ROWS[name] for name in ROWS}):
        answer = serializer.predict(model, inputs)
        assert answer.classes == classes
        np.testing.assert_allclose(answer.scores.sum(axis=1), 1, rtol=1e-5)
        best = np.asarray(classes)[answer.scores.argmax(axis=1)]
        np.testing.assert_array_equal(answer.values, best)
    with pytest.raises(DatasetError, match="refused the inputs"):
        serializer.predict(model, pd.DataFrame(np.zeros((2, 9)), columns=list(LETTERS)))


def test_an_estimator_of_xgboost_keeps_its_parameters(tmp_path, save, load):
    model = xgboost.XGBRegressor(
        n_estimators=2,
        max_depth=3,
        enable_categorical=True,
        monotone_constraints=(1, 0),
    )
    frame = FRAME.assign(age=pd.Categorical.from_codes(GROUPS, ["a", "b", "c"]))
    model.set_params(monotone_constraints=None).fit(frame, CODES)
    manifest = save(model, tmp_path)
    assert manifest.environment["xgboost-cpu"] == xgboost.__version__
    loaded = load(tmp_path)
    assert loaded.get_params()["max_depth"] == 3
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (make_xgb_with_callable(), "parameter objective is a function"),
        (OwnClassifier(n_estimators=1).fit(FRAME, CODES), "no class of xgboost"),
    ],
)
def test_what_its_file_can_not_hold_goes_by_value_unless_it_was_asked_for(
    model, reason, tmp_path, save
):
    saved = save(model, tmp_path).saved
    assert (saved.format, saved.entry) == ("cloudpickle", "model.pkl")
    assert reason in saved.config["because"]
    with pytest.raises(SerializationError, match=f"{reason}.*leave format= out"):
        save(model, tmp_path, format="ubj")


@pytest.mark.parametrize("model", [xgboost.XGBClassifier(), lightgbm.LGBMRegressor()])
def test_a_model_that_was_never_fitted_is_refused(model, tmp_path, save):
    with pytest.raises(SerializationError, match="can't be saved: .*fit"):
        save(model, tmp_path)


# 2026-11: LightGBM 4.7's new arguments do not take labels that are words.
@pytest.mark.filterwarnings("ignore:The argument 'eval_set' is deprecated")
def test_an_estimator_of_lightgbm_is_as_fit_left_it(tmp_path, save, load):
    model = lightgbm.LGBMClassifier(n_estimators=40, **QUIET, learning_rate=0.5)
    stop = lightgbm.early_stopping(2, verbose=False)
    model.fit(FRAME, LABELS, eval_set=[(FRAME[::2], LABELS[::2])], callbacks=[stop])
    save(model, tmp_path)
    loaded = load(tmp_path)
    assert loaded.get_params() == model.get_params()
    assert list(loaded.classes_) == ["early", "late"]
    assert loaded.best_iteration_ == model.best_iteration_ < 40
    assert loaded.evals_result_ == model.evals_result_
    assert loaded.booster_.num_trees() == model.booster_.num_trees()
    np.testing.assert_array_equal(
        loaded.predict_proba(FRAME), model.predict_proba(FRAME)
    )
    assert loaded.fit(FRAME, LABELS).score(FRAME, LABELS) > 0.5


@pytest.mark.parametrize("name", ["os", "Dataset", "__builtins__", None])
@pytest.mark.parametrize("make", [make_xgb_classifier, make_lgbm_classifier])
def test_a_manifest_can_name_no_class_but_models_of_the_library(
    make, name, tmp_path, save, load
):
    manifest = save(make(), tmp_path)
    content = json.loads((tmp_path / "config.json").read_text())
    content["saved"]["config"]["class"] = name
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(SerializationError, match="is no model class of"):
        load(tmp_path)
    assert manifest.saved.tier == "code"  # a crafted file can corrupt memory


def test_an_onnx_session_is_saved_like_the_model_it_was_made_of(tmp_path, save, load):
    model = make_onnx_classifier()
    onnx.save(model, tmp_path / "given.onnx")
    sessions = [
        onnxruntime.InferenceSession(str(tmp_path / "given.onnx")),
        onnxruntime.InferenceSession(model.SerializeToString()),
    ]
    expected = serializer_named("onnx").predict(model, ROWS)
    for index, session in enumerate(sessions):
        save(session, tmp_path / str(index))
        answer = serializer_named("onnx").predict(load(tmp_path / str(index)), ROWS)
        np.testing.assert_array_equal(answer.values, expected.values)
        assert answer.classes == ("early", "late")


def test_an_onnx_model_of_several_inputs_takes_them_by_name():
    expected = (ROWS["width"] + ROWS["age"]).to_numpy("float32")[:, None] * 3
    for inputs in (ROWS, dict(ROWS), {name: ROWS[[name]] for name in ROWS}):
        values = serializer_named("onnx").predict(make_onnx_sum(), inputs).values
        np.testing.assert_allclose(values, expected, rtol=1e-6)
    with pytest.raises(DatasetError, match=r"by name: \['age', 'width'\]"):
        serializer_named("onnx").predict(make_onnx_sum(), ROWS.to_numpy())


def test_a_large_onnx_model_has_its_weights_in_a_file_beside_it(
    tmp_path, save, load, monkeypatch
):
    monkeypatch.setattr(onnx_serializer, "ONE_FILE_BYTES", 100)
    weights = np.full(2000, 2.0, dtype="float32")
    model = make_onnx_sum(weights[:1])
    array = onnx.numpy_helper.from_array(weights.reshape(-1, 1)[:1].repeat(500, 1), "w")
    model.graph.initializer.append(array)
    before = model.SerializeToString()
    saved = save(model, tmp_path).saved
    assert saved.entry == "model" and model.SerializeToString() == before
    names = sorted(each.name for each in (tmp_path / "model").iterdir())
    assert names == ["model.onnx", "weights.bin"]
    values = serializer_named("onnx").predict(load(tmp_path), ROWS).values
    np.testing.assert_allclose(
        values[:, 0], (ROWS["width"] + ROWS["age"]) * 2, rtol=1e-5
    )


@pytest.mark.parametrize("location", ["/etc/passwd", "../../secret", "other.bin"])
def test_weights_outside_of_the_version_are_never_read(location, tmp_path, save, load):
    model = make_onnx_sum()
    tensor = model.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    with pytest.raises(SerializationError, match=f"{location}.*onnx.load"):
        save(model, tmp_path)
    saved = save(make_onnx_sum(), tmp_path).saved
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(SerializationError, match=f"{location}.*outside"):
        serializer_named("onnx").load(tmp_path, saved, onnx_serializer.LoadOptions())


@pytest.mark.parametrize("make", [make_xgb_booster, make_lgbm_booster, make_onnx_sum])
def test_a_file_that_is_no_model_is_refused_with_a_sentence(make, tmp_path, save):
    saved = save(make(), tmp_path).saved
    for content in (b"", b"\x80\x05K\x01.", b"{}", b"tree\nversion=v4\n"):
        (tmp_path / saved.entry).write_bytes(content)
        with pytest.raises(SerializationError, match="can't be read"):
            serializer_named(saved.serializer).load(
                tmp_path, saved, onnx_serializer.LoadOptions()
            )
