"""XGBoost, LightGBM and ONNX, declared as a third party would declare its serializer.

They are no part of ``SERIALIZERS``: the entry points of our ``pyproject.toml`` name these
objects, as those of any other package would.
"""

from __future__ import annotations

from brixa_flows.plugins import Plugin

__all__ = ["LIGHTGBM", "ONNX", "XGBOOST"]

XGBOOST = Plugin(
    "xgboost",
    "brixa_flows.serializers.xgboost:XGBoostSerializer",
    extra="xgboost",
    handles=("xgboost.core.Booster", "xgboost.sklearn.XGBModel"),
    data_formats=frozenset({"ubj", "json"}),
)

LIGHTGBM = Plugin(
    "lightgbm",
    "brixa_flows.serializers.lightgbm:LightGBMSerializer",
    extra="lightgbm",
    handles=("lightgbm.basic.Booster", "lightgbm.sklearn.LGBMModel"),
    data_formats=frozenset({"text"}),
)

ONNX = Plugin(
    "onnx",
    "brixa_flows.serializers.onnx:ONNXSerializer",
    extra="onnx",
    handles=(
        "onnx.onnx_ml_pb2.ModelProto",
        "onnxruntime.capi.onnxruntime_inference_collection.InferenceSession",
    ),
    data_formats=frozenset({"onnx"}),
)
