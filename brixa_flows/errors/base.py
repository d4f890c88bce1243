"""The root of all errors, and how a message stays short."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "BrixaError",
    "some_of",
]

_LISTED_AT_MOST = 8
_LONGEST_MESSAGE = 2000


def some_of(items: Iterable[object]) -> str:
    """Join the first few of ``items`` for a message whose length stays bounded."""
    texts = [str(item) for item in items]
    if not texts:
        return "none"
    more = len(texts) - _LISTED_AT_MOST
    listed = ", ".join(texts[:_LISTED_AT_MOST])
    return f"{listed} and {more} more" if more > 0 else listed


def _bounded(message: str) -> str:
    """One line, also of what a library said in several, with the middle cut out.

    What is wrong stands at its begin, the remedy at its end.
    """
    message = " ".join(filter(None, map(str.strip, message.splitlines())))
    if len(message) <= _LONGEST_MESSAGE:
        return message
    half = _LONGEST_MESSAGE // 2 - 3
    return f"{message[:half]} ... {message[-half:]}"


class BrixaError(Exception):
    """Root of the tree; ``message`` is one sentence a person can act on.

    Args:
        message: What is wrong, where, what is allowed and what to do.
        **facts: Kept as attributes of the error.
    """

    def __init__(self, message: str, **facts: object) -> None:
        message = _bounded(message)
        super().__init__(message)
        self.message = message
        self.facts = facts
        self.__dict__.update(facts)

    def __reduce__(self) -> tuple[object, ...]:
        """Rebuild from message and facts, whatever a subclass's constructor takes."""
        return _rebuild, (type(self), self.message, self.facts)


def _rebuild(
    kind: type[BrixaError], message: str, facts: dict[str, object]
) -> BrixaError:
    new = OSError.__new__ if issubclass(kind, OSError) else kind.__new__
    error: BrixaError = new(kind)
    BrixaError.__init__(error, message, **facts)
    return error
