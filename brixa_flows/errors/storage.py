"""Storage nodes."""

from __future__ import annotations

from brixa_flows.errors.base import BrixaError

__all__ = [
    "ObjectExistsError",
    "ObjectNotFoundError",
    "StaleWriteError",
    "StorageError",
    "UnsafeKeyError",
]


class StorageError(BrixaError, OSError):
    """The storage node could not do what was asked."""


class ObjectNotFoundError(StorageError, FileNotFoundError):
    """Nothing is stored under that key."""

    def __init__(self, key: str, root: str) -> None:
        super().__init__(f"nothing is stored under {key!r} in {root}", key=key)


class ObjectExistsError(StorageError, FileExistsError):
    """A create-once key that is taken."""

    def __init__(self, key: str, root: str) -> None:
        super().__init__(f"{key!r} exists already in {root}", key=key)


class StaleWriteError(StorageError):
    """A compare-and-swap whose object changed in between."""

    def __init__(self, key: str, root: str) -> None:
        super().__init__(
            f"{key!r} in {root} was changed by somebody else meanwhile; read it again "
            "and retry",
            key=key,
        )


class UnsafeKeyError(StorageError, ValueError):
    """A key or link that would leave the storage root."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(
            f"the storage key {key[:200]!r} is refused: {reason}",
            key=key,
            reason=reason,
        )
