"""HTTP answers of the predictor, as values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

__all__ = [
    "Answer",
    "as_json",
    "error_answer",
    "json_answer",
    "not_allowed",
    "overloaded",
    "too_large",
    "too_slow",
    "unauthorized",
]

_JSON = b"application/json"


@dataclass(frozen=True)
class Answer:
    """An HTTP answer.

    Attributes:
        status: HTTP status.
        body: Content.
        content_type: Its media type.
        headers: More headers.
        rows: Rows that were predicted.
    """

    status: int
    body: bytes
    content_type: bytes = _JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()
    rows: int = 0


def as_json(content: Any) -> bytes:
    """Compact JSON; a NaN in it is a fault of ours."""
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def json_answer(status: int, content: Any, rows: int = 0) -> Answer:
    """Content as JSON."""
    return Answer(status, as_json(content), rows=rows)


def error_answer(
    status: int, sentence: str, headers: tuple[tuple[bytes, bytes], ...] = ()
) -> Answer:
    """A refusal or a failure, in one sentence."""
    body = json.dumps({"error": sentence}).encode()
    return Answer(status, body, headers=headers)


def overloaded() -> Answer:
    """More requests than are taken at once."""
    return error_answer(
        503, "too many requests wait already; try again", ((b"retry-after", b"1"),)
    )


def too_large(limit: int) -> Answer:
    """A body of more bytes than are taken; the rest of it is not read."""
    return error_answer(
        413,
        f"body: more than {limit} bytes; send fewer rows at once",
        ((b"connection", b"close"),),
    )


def too_slow(seconds: float) -> Answer:
    """A body that did not arrive in time; the rest of it is not read."""
    return error_answer(
        408,
        f"body: not complete after {seconds} seconds; send fewer rows at once",
        ((b"connection", b"close"),),
    )


def unauthorized(sentence: str, *, known: bool) -> Answer:
    """No key that opens.

    Args:
        sentence: Why.
        known: Whether one was shown.
    """
    challenge = b'Bearer realm="brixa"' + b', error="invalid_token"' * known
    return error_answer(401, sentence, ((b"www-authenticate", challenge),))


def not_allowed(path: str, method: str) -> Answer:
    """A path that is there, but not for this method."""
    return error_answer(
        405, f"{path} is called with {method}", ((b"allow", method.encode()),)
    )
