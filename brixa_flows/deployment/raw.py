"""Tensors of the Open Inference Protocol v2 as bytes, to and from numpy.

Values stand in row-major order, little-endian; a BYTES value is its length in 4 bytes
and then its octets, which are a UTF-8 text wherever the model takes one. Bytes have no
null: a missing number is NaN, a missing text is empty in an answer. BF16, which numpy does not have, is read as FP32, which holds every
value of it.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brixa_flows.deployment.tensors import (
    DATATYPES,
    Tensor,
    datatype_of,
    json_values,
    read_head,
)
from brixa_flows.errors import BadRequestError

__all__ = [
    "BinaryPart",
    "RAW_DATATYPES",
    "decode_binary",
    "decode_raw",
    "encode_raw",
    "is_binary",
    "octets_of",
]

_BFLOAT = "BF16"
_BFLOAT_BYTES = 2
_HALF_OF_FLOAT_BITS = 16
_LENGTH = struct.Struct("<I")
_SIZE = "binary_data_size"
RAW_DATATYPES = (*DATATYPES, _BFLOAT)


class BinaryPart:
    """What follows the JSON of a request, taken tensor by tensor.

    Args:
        data: The bytes after the JSON.
    """

    def __init__(self, data: memoryview) -> None:
        self._left = data

    def take(self, size: int, field: str) -> memoryview:
        """The next bytes.

        Raises:
            BadRequestError: If there are not so many.
        """
        if size > len(self._left):
            raise BadRequestError(
                field,
                f"{_SIZE} is {size}, but only {len(self._left)} bytes are left after "
                "the JSON and the inputs before",
            )
        taken, self._left = self._left[:size], self._left[size:]
        return taken

    def check_used_up(self) -> None:
        """Return if every byte belonged to an input.

        Raises:
            BadRequestError: If not.
        """
        if self._left:
            raise BadRequestError(
                "body", f"{len(self._left)} bytes at its end belong to no input"
            )


def is_binary(raw: object) -> bool:
    """Does an entry of ``inputs`` have its values after the JSON?"""
    parameters = raw.get("parameters") if isinstance(raw, dict) else None
    return isinstance(parameters, dict) and _SIZE in parameters


def decode_binary(raw: Any, position: int, part: BinaryPart) -> Tensor:
    """Read an entry of ``inputs`` whose values follow the JSON.

    Args:
        raw: The parsed JSON, for which :func:`is_binary` holds.
        position: Its place in the list, for messages.
        part: What follows the JSON.

    Raises:
        BadRequestError: If it is no tensor; names the field and what is allowed.
    """
    head = read_head(raw, position, RAW_DATATYPES)
    size = raw["parameters"][_SIZE]
    if type(size) is not int or size < 0:
        raise BadRequestError(
            head.field, f"{_SIZE} {str(size)[:40]!r} is not a number of bytes"
        )
    if "data" in raw:
        raise BadRequestError(head.field, f"has both data and {_SIZE}; send one")
    data = part.take(size, head.field)
    return decode_raw(head.name, head.datatype, head.shape, data)


def decode_raw(
    name: str,
    datatype: str,
    shape: tuple[int, ...],
    data: memoryview | bytes,
    *,
    may_be_infinite: bool = False,
) -> Tensor:
    """Read the bytes of one tensor.

    Args:
        name: Its name.
        datatype: One of ``RAW_DATATYPES``.
        shape: Its shape.
        data: Its values.
        may_be_infinite: Whether a number may be; in an answer it may.

    Raises:
        BadRequestError: If the bytes do not make such a tensor; names it.
    """
    field = f"input {name[:100]!r}"
    count = math.prod(shape)
    if datatype == "BYTES":
        return Tensor(name, datatype, _octets(data, count, field).reshape(shape))
    width = _BFLOAT_BYTES if datatype == _BFLOAT else DATATYPES[datatype].itemsize
    if len(data) != count * width:
        raise BadRequestError(
            field,
            f"has {len(data)} bytes, but {datatype} of shape {list(shape)} needs "
            f"{count * width}",
        )
    if datatype == _BFLOAT:
        datatype, values = "FP32", _from_bfloat(data)
    else:
        values = _numbers(data, DATATYPES[datatype], field)
    is_checked = values.dtype.kind == "f" and not may_be_infinite
    if is_checked and np.isinf(values).any():
        raise BadRequestError(field, "a value is infinite")
    return Tensor(name, datatype, values.reshape(shape))


def _numbers(
    data: memoryview | bytes, dtype: np.dtype[Any], field: str
) -> NDArray[Any]:
    if dtype.kind == "b":
        octets = np.frombuffer(data, dtype=np.uint8)
        if octets.max() > 1:
            raise BadRequestError(field, "BOOL takes bytes of 0 and 1")
        return octets.astype(np.bool_)
    # A copy that may be written to: a model need not respect a read-only buffer.
    return np.frombuffer(data, dtype=dtype.newbyteorder("<")).astype(dtype)


def _from_bfloat(data: memoryview | bytes) -> NDArray[np.float32]:
    """BF16 is the upper half of FP32."""
    upper = np.frombuffer(data, dtype="<u2").astype(np.uint32)
    return (upper << _HALF_OF_FLOAT_BITS).view(np.float32)


def _octets(data: memoryview | bytes, count: int, field: str) -> NDArray[np.object_]:
    if len(data) < count * _LENGTH.size:
        raise BadRequestError(
            field,
            f"has {len(data)} bytes, too few for the lengths of {count} BYTES values",
        )
    values, at = np.empty(count, dtype=np.object_), 0
    for place in range(count):
        values[place], at = _next(data, at, f"{field}, value {place}")
    if at != len(data):
        raise BadRequestError(
            field, f"{len(data) - at} bytes follow its {count} BYTES values"
        )
    return values


def _next(data: memoryview | bytes, at: int, field: str) -> tuple[bytes, int]:
    begin = at + _LENGTH.size
    if begin > len(data):
        raise BadRequestError(field, "its length of 4 bytes is cut off")
    end = begin + _LENGTH.unpack_from(data, at)[0]
    if end > len(data):
        raise BadRequestError(
            field, f"its length is {end - begin}, but {len(data) - begin} bytes follow"
        )
    return bytes(data[begin:end]), end


def encode_raw(values: NDArray[Any]) -> bytes:
    """Bytes of a tensor whose datatype ``datatype_of`` tells."""
    if datatype_of(values) != "BYTES":
        little = values.dtype.newbyteorder("<")
        return values.astype(little, copy=False).tobytes()
    parts = []
    for octets in octets_of(values):
        parts += [_LENGTH.pack(len(octets)), octets]
    return b"".join(parts)


def octets_of(values: NDArray[Any]) -> list[bytes]:
    """BYTES values in row-major order: texts in UTF-8, bytes as they are."""
    if values.dtype.kind not in "OS":
        return [_encoded(text) for text in json_values(values)]
    return [
        value if isinstance(value, bytes) else _encoded(text)
        for value, text in zip(
            values.ravel().tolist(), json_values(values), strict=True
        )
    ]


def _encoded(text: object) -> bytes:
    return b"" if text is None else str(text).encode("utf-8", "surrogatepass")
