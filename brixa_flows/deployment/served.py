"""A model version as a replica holds it: loaded, described, ready to be asked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows import __version__
from brixa_flows.deployment.columns import Column
from brixa_flows.deployment.protocol import OUTPUT_NAMES
from brixa_flows.deployment.records import RecordReader
from brixa_flows.deployment.signature import Inputs, InputSignature
from brixa_flows.deployment.tensors import datatype_of, of_one_type
from brixa_flows.serializers.base import Prediction

__all__ = ["SERVER_METADATA", "ServedModel"]

logger = logging.getLogger(__name__)

SERVER_METADATA = {
    "name": "brixa-flows",
    "version": __version__,
    "extensions": ["binary_tensor_data"],
}
_WARM_UP_CALLS = 2


class ServedModel:
    """A loaded version.

    Args:
        deployment: Name of the deployment.
        name: Registry name of the model.
        version: Its exact version.
        platform: What it was made with (``sklearn`` ...).
        input_schema: JSON Schema of one record, if the model has one.
        predict: Predicts a batch of what the signature gives.
    """

    def __init__(
        self,
        *,
        deployment: str,
        name: str,
        version: str,
        platform: str,
        input_schema: Mapping[str, Any] | None,
        predict: Callable[[Inputs], Prediction],
    ) -> None:
        self.deployment = deployment
        self.name = name
        self.version = version
        self.platform = platform
        self.signature = InputSignature.from_schema(input_schema)
        self.records = RecordReader(self.signature)
        self.predict = predict
        self.output_datatype = "FP64"
        self.has_scores = False

    def warm_up(self) -> None:
        """Predict a made-up row, so that the first caller does not pay for lazy set-up.

        A model that does not like the row is none the worse for it: what it takes is
        known to its callers, not to us.
        """
        columns = self.signature.columns
        row: Inputs = (
            _made_up(self.signature.single)
            if columns is None
            else {column.name: _made_up(column) for column in columns}
        )
        try:
            for _ in range(_WARM_UP_CALLS):
                prediction = self.predict(row)
        except BaseException as err:  # noqa: B036 - any error of the model's own code
            logger.info("warm-up with a made-up row was refused: %s", err)
            return
        self.output_datatype = datatype_of(of_one_type(prediction.values))
        self.has_scores = prediction.scores is not None

    def metadata(self) -> dict[str, Any]:
        """What the protocol's model metadata says."""
        predict = {
            "name": OUTPUT_NAMES[0],
            "datatype": self.output_datatype,
            "shape": [-1],
        }
        scores = {"name": OUTPUT_NAMES[1], "datatype": "FP64", "shape": [-1, -1]}
        return {
            "name": self.name,
            "versions": [self.version],
            "platform": self.platform,
            "inputs": self.signature.describe(),
            "outputs": [predict, scores] if self.has_scores else [predict],
        }


def _made_up(column: Column) -> NDArray[Any]:
    element = (1,) if column.element is None else column.element
    shape = (1, *(1 if size == -1 else size for size in element))
    if column.kind in ("string", "any"):
        return np.full(shape, "", dtype=np.object_)
    if column.kind == "bytes":
        return np.full(shape, b"", dtype=np.object_)
    if column.kind == "boolean":
        return np.zeros(shape, dtype=np.bool_)
    return column.checked(np.zeros(shape, dtype=np.int64), "INT64", column.name)
