"""A small client: a table through an endpoint; over REST with the standard library alone.

Any client of the Open Inference Protocol v2 works as well; this one saves the encoding.
"""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import numpy as np
from numpy.typing import NDArray

from brixa_flows.deployment.raw import encode_raw
from brixa_flows.deployment.tensors import encode_tensor, missing_mask
from brixa_flows.errors import BadRequestError, DeploymentError, MissingExtraError
from brixa_flows.plugins import import_adapter
from brixa_flows.serializers.base import Prediction

__all__ = ["EndpointClient", "encode_columns", "encode_frame", "predict_frame"]


def encode_frame(frame: Any) -> list[dict[str, Any]]:
    """The columns of a table as input tensors of shape (n_rows,); a missing value
    is ``null``.

    Args:
        frame: A pandas or polars frame or an Arrow table, of shape (n_rows, n_columns).

    Raises:
        BadRequestError: If a column holds bytes, which JSON has no one way to carry.
    """
    return [_in_json(name, values) for name, values in _columns(frame)]


def _in_json(name: str, values: NDArray[Any]) -> dict[str, Any]:
    if _holds_bytes(values):
        raise BadRequestError(
            f"column {name!r}",
            "holds bytes, which JSON carries in base64 or as text, as the model's schema "
            "says; write them so, or use predict_frame, which sends them as they are",
        )
    return _tensor(name, values)


def _tensor(name: str, values: NDArray[Any]) -> dict[str, Any]:
    """In JSON, where booleans may have a missing one among them."""
    present = {type(value) for value in values.flat} if values.dtype.kind == "O" else ()
    if set(present) - {type(None)} != {bool}:
        return encode_tensor(name, values)
    described = {"name": name, "shape": list(values.shape), "datatype": "BOOL"}
    return {**described, "data": values.ravel().tolist()}


def _holds_bytes(values: NDArray[Any]) -> bool:
    objects = values.dtype.kind == "O"
    return objects and any(isinstance(value, bytes) for value in values.flat)


def encode_columns(columns: list[tuple[str, NDArray[Any]]]) -> tuple[bytes, int | None]:
    """The body of a request: JSON, and behind it the octets of columns of bytes.

    Args:
        columns: Names and values.

    Returns:
        The body, and the length of its JSON if something follows it.

    Raises:
        BadRequestError: If a value of bytes is missing.
    """
    inputs, chunks = [], []
    for name, values in columns:
        if not _holds_bytes(values):
            inputs.append(_tensor(name, values))
            continue
        if missing_mask(values).any():
            raise BadRequestError(
                f"column {name!r}",
                "a value of bytes is missing, which can't be told from an empty one; "
                "fill it, or write the column in base64 or as text in records",
            )
        chunks.append(encode_raw(values))
        described = {"name": name, "shape": list(values.shape), "datatype": "BYTES"}
        size = {"binary_data_size": len(chunks[-1])}
        inputs.append({**described, "parameters": size})
    content = {"inputs": inputs}
    body = json.dumps(content, separators=(",", ":"), allow_nan=False).encode()
    return body + b"".join(chunks), len(body) if chunks else None


def _columns(frame: Any) -> list[tuple[str, NDArray[Any]]]:
    table = frame.to_pandas() if hasattr(frame, "to_pandas") else frame
    return [
        (str(name), _column(table.iloc[:, place]))
        for place, name in enumerate(table.columns)
    ]


def _column(column: Any) -> NDArray[Any]:
    values = column.to_numpy()
    if values.dtype.kind in "biufM":
        return np.asarray(values)
    present = column.dropna()
    narrowed = np.asarray(present.tolist())
    some_flags = narrowed.dtype.kind == "b" and len(narrowed) < len(column)
    if (
        some_flags
        or narrowed.dtype.kind not in "biuf"
        or narrowed.ndim != 1
        or not len(narrowed)
    ):
        objects: NDArray[Any] = np.array(column.astype(object).to_numpy())
        objects[column.isna().to_numpy()] = None
        return objects
    if len(narrowed) == len(column):
        return narrowed
    missing = np.full(len(column), np.nan)
    missing[column.notna().to_numpy()] = narrowed
    return missing


class _Transport(Protocol):
    def predict(
        self, model_name: str, columns: list[tuple[str, NDArray[Any]]]
    ) -> Prediction: ...

    def close(self) -> None: ...


class EndpointClient:
    """Talks to one deployment over a kept connection; not for several threads at once.

    Args:
        endpoint: What ``ModelDeployer.get_endpoint`` gives: a URL for REST, ``host:port``
            (or ``grpc://host:port``, ``grpcs://`` if it is encrypted) for gRPC.
        api_key: Key of a deployment that asks for one.
        ca_file: PEM file of whom to trust if it is encrypted; those of the machine by
            default.
        timeout_seconds: How long an answer may take.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        api_key: str | None = None,
        ca_file: str | Path | None = None,
        timeout_seconds: float = 60.0,
    ) -> None:
        self.endpoint = endpoint
        self._transport = _connect(endpoint, api_key, ca_file, timeout_seconds)

    def __enter__(self) -> EndpointClient:
        """Use it as a context manager."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def predict(self, model_name: str, frame: Any) -> Prediction:
        """Predict a table in one request.

        Args:
            model_name: Registry name of the model.
            frame: Of shape (n_rows, n_columns); see :func:`encode_frame`.

        Returns:
            Values of shape (n_rows, ...), with scores where the model has them.

        Raises:
            BadRequestError: If the endpoint refuses the data; says why.
            DeploymentError: If it fails or does not answer.
        """
        return self._transport.predict(model_name, _columns(frame))


def _connect(
    endpoint: str,
    api_key: str | None,
    ca_file: str | Path | None,
    timeout_seconds: float,
) -> _Transport:
    scheme, is_url, _ = endpoint.partition("://")
    parts = urlsplit(endpoint if is_url else f"grpc://{endpoint}")
    try:
        known = parts.scheme in ("http", "https", "grpc", "grpcs") and parts.port
    except ValueError:  # no number
        known = None
    if not known or not parts.hostname:
        raise DeploymentError(
            f"{endpoint[:200]!r} is neither an http:// nor an https:// endpoint, nor "
            "host:port of gRPC"
        )
    if parts.scheme.startswith("http"):
        return _RestTransport(endpoint, api_key, ca_file, timeout_seconds)
    is_encrypted = parts.scheme == "grpcs" or ca_file is not None
    try:
        adapter = import_adapter("brixa_flows.deployment.grpc_client")
    except ModuleNotFoundError as err:
        missing = err.name or ""
        raise MissingExtraError("predicting over gRPC", "grpc", missing) from err
    trusted = _authorities(ca_file) if is_encrypted else None
    transport: _Transport = adapter.GrpcTransport(
        parts.netloc, timeout_seconds, api_key=api_key, authorities=trusted
    )
    return transport


class _RestTransport:
    def __init__(
        self,
        endpoint: str,
        api_key: str | None,
        ca_file: str | Path | None,
        timeout_seconds: float,
    ) -> None:
        parts = urlsplit(endpoint)
        self.endpoint = endpoint
        self._headers = {"content-type": "application/json"}
        if api_key is not None:
            self._headers["authorization"] = f"Bearer {api_key}"
        place = (str(parts.hostname), parts.port)
        self._connection = (
            http.client.HTTPConnection(*place, timeout=timeout_seconds)
            if parts.scheme == "http"
            else http.client.HTTPSConnection(
                *place, timeout=timeout_seconds, context=_trusting(ca_file)
            )
        )

    def close(self) -> None:
        self._connection.close()

    def predict(
        self, model_name: str, columns: list[tuple[str, NDArray[Any]]]
    ) -> Prediction:
        path = f"/v2/models/{quote(model_name, safe='')}/infer"
        answer = self._post(path, *encode_columns(columns))
        by_name = {output["name"]: output for output in answer["outputs"]}
        scores = by_name.get("probabilities")
        classes = scores.get("parameters", {}).get("classes") if scores else None
        return Prediction(
            _decode(by_name["predict"]),
            None if scores is None else _decode(scores),
            tuple(classes) if classes else None,
        )

    def _post(self, path: str, body: bytes, json_bytes: int | None) -> dict[str, Any]:
        headers = dict(self._headers)
        if json_bytes is not None:
            headers["inference-header-content-length"] = str(json_bytes)
        try:
            status, answer = self._exchange(path, body, headers)
        except (OSError, http.client.HTTPException, ValueError) as err:
            self._connection.close()
            raise DeploymentError(
                f"the endpoint {self.endpoint} does not answer ({err}); look at the "
                "deployment's status"
            ) from err
        if status == 200:
            return answer
        reason = str(answer.get("error", "no reason given"))
        if status == 400:
            raise BadRequestError(self.endpoint, reason)
        raise DeploymentError(f"the endpoint {self.endpoint} said {status}: {reason}")

    def _exchange(
        self, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        try:
            self._connection.request("POST", path, body, headers)
            response = self._connection.getresponse()
        except (ConnectionError, http.client.BadStatusLine):
            # A kept connection that the server let go meanwhile: predicting changes
            # nothing, so asking again is safe.
            self._connection.close()
            self._connection.request("POST", path, body, headers)
            response = self._connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        return response.status, answer


def _trusting(ca_file: str | Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as err:
        raise DeploymentError(
            f"ca_file: {ca_file} is no PEM file of certificates to trust ({err})"
        ) from err
    return context


def _authorities(ca_file: str | Path | None) -> bytes:
    """PEM of whom to trust, ``b""`` for those that grpcio brings."""
    if ca_file is None:
        return b""
    _trusting(ca_file)
    return Path(ca_file).read_bytes()


def _decode(output: dict[str, Any]) -> NDArray[Any]:
    kinds = {"BOOL": np.bool_, "BYTES": np.object_}
    datatype = str(output["datatype"])
    wide = {"I": np.int64, "U": np.uint64}.get(datatype[0], np.float64)
    values = np.array(output["data"], dtype=kinds.get(datatype, wide))
    return values.reshape(output["shape"])


def predict_frame(
    endpoint: str,
    model_name: str,
    frame: Any,
    *,
    batch_rows: int = 10_000,
    api_key: str | None = None,
    ca_file: str | Path | None = None,
) -> Prediction:
    """Predict a table of any length in requests of at most ``batch_rows`` rows.

    Args:
        endpoint: What ``ModelDeployer.get_endpoint`` gives.
        model_name: Registry name of the model.
        frame: A pandas frame of shape (n_rows, n_columns) with at least one row.
        batch_rows: Rows of a request.
        api_key: Key of a deployment that asks for one.
        ca_file: PEM file of whom to trust over HTTPS.

    Returns:
        Values of shape (n_rows, ...), with scores where the model has them.

    Raises:
        BadRequestError: If the endpoint refuses the data; says why.
        DeploymentError: If it fails or does not answer.
    """
    table = frame.to_pandas() if hasattr(frame, "to_pandas") else frame
    with EndpointClient(endpoint, api_key=api_key, ca_file=ca_file) as client:
        parts = [
            client.predict(model_name, table.iloc[start : start + batch_rows])
            for start in range(0, max(len(table), 1), batch_rows)
        ]
    scores = [part.scores for part in parts if part.scores is not None]
    return Prediction(
        np.concatenate([part.values for part in parts]),
        np.concatenate(scores) if scores else None,
        parts[0].classes,
    )
