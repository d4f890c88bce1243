"""Models of plug-ins and data formats on their way through registry and MLflow."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import lightgbm
import mlflow
import numpy as np
import pandas as pd
import xgboost
from onnx import TensorProto, helper

from brixa_flows.errors import InsecureSerializationWarning
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode


def _linear(n_features: int) -> Any:
    node = helper.make_node(
        "LinearRegressor",
        ["rows"],
        ["value"],
        domain="ai.onnx.ml",
        coefficients=[1.0] * n_features,
    )
    shapes = {"rows": [None, n_features], "value": [None, 1]}
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in shapes.items()
    ]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def test_models_of_plugins_are_saved_loaded_and_read_by_mlflow(
    tmp_path: Path,
    tracking_uri: str,
    frame: pd.DataFrame,
    labels: pd.Series,
    classifier: Any,
    monkeypatch: Any,
) -> None:
    numbers = frame.astype("float64")
    quiet = {"verbose": -1, "min_child_samples": 2}
    models = {
        "xgboost": xgboost.XGBClassifier(n_estimators=2).fit(numbers, labels),
        "lightgbm": lightgbm.LGBMClassifier(n_estimators=2, **quiet).fit(
            numbers, labels
        ),
        "onnx": _linear(numbers.shape[1]),
        "sklearn": classifier,
    }
    registry = ModelRegistry(
        LocalStorageNode(tmp_path / "storage"), tracking_uri=tracking_uri
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)
    mlflow.set_tracking_uri(tracking_uri)
    try:
        for framework, model in models.items():
            with warnings.catch_warnings():
                is_data = framework in ("onnx", "sklearn")
                action = "error" if is_data else "ignore"
                warnings.simplefilter(action, InsecureSerializationWarning)
                registry.register_model(
                    framework, "classification", framework=framework
                )
                chosen = {"format": "skops"} if framework == "sklearn" else {}
                saved = registry.save_model(
                    framework, "1.0.0", model, input_example=numbers, **chosen
                )
                assert saved.framework == framework
                directory = tmp_path / "storage/models" / framework / "1.0.0"
                loaded = mlflow.pyfunc.load_model(str(directory))
                values = loaded.predict(numbers)
                if framework == "onnx":
                    expected = numbers.sum(axis=1).to_numpy()
                else:
                    expected = registry.load_model(framework).predict(numbers)
                np.testing.assert_allclose(np.ravel(values), expected, rtol=1e-5)
    finally:
        mlflow.set_tracking_uri(None)
