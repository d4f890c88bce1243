"""Predicting a table over gRPC; the one module of a client that imports grpcio."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from brixa_flows.deployment.grpc_messages import MESSAGES, SERVICE
from brixa_flows.deployment.grpc_tensors import fill_tensors, read_answer
from brixa_flows.deployment.tensors import missing_mask
from brixa_flows.errors import BadRequestError, DeploymentError
from brixa_flows.serializers.base import Prediction

__all__ = ["GrpcTransport"]

# Predicting changes nothing, so asking again is safe: where a replica ended or was busy.
_RETRIES = {
    "methodConfig": [
        {
            "name": [{"service": SERVICE}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}
_OPTIONS = (
    ("grpc.service_config", json.dumps(_RETRIES)),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)


class GrpcTransport:
    """A channel to one deployment.

    Args:
        address: ``host:port``.
        timeout_seconds: How long an answer may take.
        api_key: Key of a deployment that asks for one.
        authorities: PEM of whom to trust, empty for those that grpcio brings; ``None``
            if it is not encrypted.
    """

    def __init__(
        self,
        address: str,
        timeout_seconds: float,
        *,
        api_key: str | None = None,
        authorities: bytes | None = None,
    ) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        key = () if api_key is None else (("authorization", f"Bearer {api_key}"),)
        self._metadata = key
        self._channel = (
            grpc.insecure_channel(address, options=_OPTIONS)
            if authorities is None
            else grpc.secure_channel(
                address,
                grpc.ssl_channel_credentials(authorities or None),
                options=_OPTIONS,
            )
        )
        self._infer = self._channel.unary_unary(
            f"/{SERVICE}/ModelInfer",
            request_serializer=MESSAGES["ModelInferRequest"].SerializeToString,
            response_deserializer=MESSAGES["ModelInferResponse"].FromString,
        )

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    def predict(
        self, model_name: str, columns: Iterable[tuple[str, NDArray[Any]]]
    ) -> Prediction:
        """Predict columns of shape (n_rows,) in one request.

        Raises:
            BadRequestError: If the endpoint refuses the data, or they can't be sent.
            DeploymentError: If it fails or does not answer.
        """
        request = MESSAGES["ModelInferRequest"](model_name=model_name)
        fill_tensors(
            request.inputs,
            (_sendable(name, values) for name, values in columns),
            request.raw_input_contents,
        )
        try:
            answer = self._infer(
                request, timeout=self._timeout_seconds, metadata=self._metadata
            )
        except grpc.RpcError as err:
            raise self._told(err) from err
        values, classes = read_answer(answer)
        return Prediction(values["predict"], values.get("probabilities"), classes)

    def _told(self, err: Any) -> DeploymentError:
        code, details = err.code(), err.details()
        if code == grpc.StatusCode.INVALID_ARGUMENT:
            return BadRequestError(self._address, details)
        return DeploymentError(
            f"the endpoint {self._address} said {code.name}: {details}; look at the "
            "deployment's status"
        )


def _sendable(name: str, values: NDArray[Any]) -> tuple[str, NDArray[Any]]:
    if values.dtype.kind == "O" and missing_mask(values).any():
        raise BadRequestError(
            f"column {name!r}",
            "a text is missing, which gRPC can't tell from an empty one; predict over "
            "REST (protocol='both'), or fill it",
        )
    if values.dtype.kind == "M" and np.isnat(values).any():
        raise BadRequestError(
            f"column {name!r}",
            "a time is missing, which gRPC can't send; predict over REST "
            "(protocol='both'), or fill it",
        )
    return name, values
