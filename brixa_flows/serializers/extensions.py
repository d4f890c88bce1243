"""XGBoost, LightGBM and ONNX, declared as a third party would declare its serializer.

They are no part of ``SERIALIZERS``: the entry points of our ``pyproject.toml`` name these
objects, as those of any other package would.
"""

from __future__ import annotations

from brixa_flows.plugins import Plugin

# XGBoost and LightGBM have no data formats, though their files hold numbers only: they
# follow the indices in a file without bounds (XGBoost 3.2 adds to memory at the place
# that tree_info names), so a crafted file can do what a pickle can.
__all__ = ["LIGHTGBM", "ONNX", "XGBOOST"]

XGBOOST = Plugin(
    "xgboost",
    "brixa_flows.serializers.xgboost:XGBoostSerializer",
    extra="xgboost",
    handles=("xgboost.core.Booster", "xgboost.sklearn.XGBModel"),
    checked_formats=frozenset({"cloudpickle"}),
)

LIGHTGBM = Plugin(
    "lightgbm",
    "brixa_flows.serializers.lightgbm:LightGBMSerializer",
    extra="lightgbm",
    handles=("lightgbm.basic.Booster", "lightgbm.sklearn.LGBMModel"),
    checked_formats=frozenset({"cloudpickle", "text"}),
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
