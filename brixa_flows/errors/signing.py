"""Keys and signatures."""

from __future__ import annotations

from brixa_flows.errors.base import BrixaError

__all__ = ["SignatureError", "SigningKeyError"]


class SigningKeyError(BrixaError, ValueError):
    """A key that can't be made, read or used."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"the key {key!r} {reason}", key=key, reason=reason)


class SignatureError(BrixaError, ValueError):
    """A signature bundle that can't be read or is of other files."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(
            f"the signature bundle {where} {reason}", where=where, reason=reason
        )
