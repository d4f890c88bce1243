"""Models of the libraries that come as plug-ins, in each of their formats."""

from __future__ import annotations

import lightgbm
import numpy as np
import onnx
import xgboost
from golden_table import squared
from model_case import ModelCase
from onnx import TensorProto, helper
from table_cases import FRAME, LABELS, ROWS

CODES = (LABELS == "late").astype(int)
GROUPS = np.arange(len(FRAME)) % 3
QUIET = {"verbose": -1, "min_child_samples": 2}


def make_xgb_classifier():
    """Three classes, one parameter that its file does not keep."""
    return xgboost.XGBClassifier(n_estimators=3, max_depth=2).fit(FRAME, GROUPS)


def make_xgb_booster():
    """Of two classes, by name of column."""
    rows = xgboost.DMatrix(FRAME, CODES)
    return xgboost.train({"objective": "binary:logistic"}, rows, 3)


def make_xgb_with_callable():
    """Its objective is code, so it can't be data."""
    return xgboost.XGBRegressor(n_estimators=2, objective=squared).fit(FRAME, CODES)


def make_lgbm_classifier():
    """With labels that are words."""
    return lightgbm.LGBMClassifier(n_estimators=3, **QUIET).fit(FRAME, LABELS)


def make_lgbm_booster():
    """Of three classes."""
    parameters = {"objective": "multiclass", "num_class": 3, **QUIET}
    return lightgbm.train(parameters, lightgbm.Dataset(FRAME, GROUPS), 3)


def make_onnx_classifier(labels=("early", "late")):
    """A linear classifier of ONNX-ML with two outputs."""
    node = helper.make_node(
        "LinearClassifier",
        ["rows"],
        ["label", "probabilities"],
        domain="ai.onnx.ml",
        coefficients=[1.0, -2.0, -1.0, 2.0],
        intercepts=[0.5, -0.5],
        classlabels_strings=list(labels),
        post_transform="SOFTMAX",
    )
    return as_model(
        [node],
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 2])],
        [
            helper.make_tensor_value_info("label", TensorProto.STRING, [None]),
            helper.make_tensor_value_info(
                "probabilities", TensorProto.FLOAT, [None, 2]
            ),
        ],
    )


def make_onnx_sum(weights=None):
    """Two inputs by name, columns of numbers, and a constant."""
    constant = helper.make_tensor(
        "weights", TensorProto.FLOAT, [1], [3.0] if weights is None else weights
    )
    nodes = [
        helper.make_node("Add", ["width", "age"], ["both"]),
        helper.make_node("Mul", ["both", "weights"], ["sum"]),
    ]
    return as_model(
        nodes,
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1])
            for name in ("width", "age")
        ],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, [None, 1])],
        [constant],
    )


def as_model(nodes, inputs, outputs, constants=()):
    """A checked model of operators that every runtime of these years has."""
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(constants))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model)
    return model


CASES = [
    ModelCase("xgboost", "ubj", make_xgb_classifier, ROWS),
    ModelCase("xgboost", "ubj", make_xgb_booster, ROWS, variant="booster"),
    ModelCase("xgboost", "json", make_xgb_booster, ROWS, {"format": "json"}),
    ModelCase("xgboost", "cloudpickle", make_xgb_with_callable, ROWS),
    ModelCase("lightgbm", "text", make_lgbm_classifier, ROWS),
    ModelCase("lightgbm", "text", make_lgbm_booster, ROWS, variant="booster"),
    ModelCase("onnx", "onnx", make_onnx_classifier, ROWS),
    ModelCase("onnx", "onnx", make_onnx_sum, ROWS, variant="columns"),
]
