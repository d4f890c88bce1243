"""A dictionary that keeps what was used last and never grows beyond a bound."""

from __future__ import annotations

from threading import Lock
from typing import Generic, TypeVar

__all__ = ["Recent"]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """Values by key; for any thread.

    Args:
        at_most: Weight of all values together; the longest unused go first.
    """

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._kept: dict[_Key, tuple[_Value, int]] = {}
        self._weight = 0
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: _Key) -> _Value | None:
        """The value, ``None`` if there is none."""
        with self._lock:
            found = self._kept.pop(key, None)
            if found is None:
                return None
            self._kept[key] = found  # used last
            return found[0]

    def put(self, key: _Key, value: _Value, weight: int = 1) -> None:
        """Keep a value in the place of the old one."""
        with self._lock:
            self._drop(key)
            self._kept[key] = value, weight
            self._weight += weight
            while self._weight > self._at_most:
                self._drop(next(iter(self._kept)))

    def drop(self, key: _Key) -> None:
        """Forget a value, if it is there."""
        with self._lock:
            self._drop(key)

    def _drop(self, key: _Key) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._weight -= found[1]
