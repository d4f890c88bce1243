"""The file of an embedded database: its lock, and whether it is still the same file."""

from __future__ import annotations

import contextvars
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from sqlalchemy import Engine, event

__all__ = ["CALLED_BY_US", "OpenedFiles", "sqlite_file"]

CALLED_BY_US: contextvars.ContextVar[bool] = contextvars.ContextVar(
    "brixa_mlflow_call", default=False
)
"""Whether a call of MLflow is ours, not one of the user's own in this process."""

_LOCK_WAITED_FOR_SECONDS = 4.0
_LAST_OPENED: dict[Path, tuple[int, int]] = {}
"""What was at each path when this process opened it last."""


def sqlite_file(uri: str) -> Path | None:
    """The file of an sqlite address, ``None`` for other backends."""
    parts = urlsplit(uri)
    if not parts.scheme.startswith("sqlite") or not parts.path.strip("/"):
        return None
    return Path(unquote(parts.path[1:])).resolve()


class OpenedFiles:
    """The files of a backend as they were when it was opened.

    A connection stays with the file that it opened: of another one that was put in its
    place it shows nothing.

    Args:
        uris: Addresses of the backend; those of no file are left out.
    """

    def __init__(self, *uris: str) -> None:
        files = map(sqlite_file, dict.fromkeys(uris))
        self._files = [file for file in files if file is not None]
        self._opened: list[tuple[int, int] | None] = []

    def note(self) -> bool:
        """They were opened right now.

        Returns:
            Whether this process opened others in their places before, to which the
            connections that MLflow keeps by address may lead.
        """
        self._opened = [_identity(file) for file in self._files]
        before = [_LAST_OPENED.get(file) for file in self._files]
        now = zip(self._files, self._opened, strict=True)
        _LAST_OPENED.update((file, found) for file, found in now if found is not None)
        pairs = zip(before, self._opened, strict=True)
        return any(one is not None and one != other for one, other in pairs)

    def no_file(self) -> Path | None:
        """The one in whose place a folder or the like is."""
        there = (each for each in self._files if each.exists())
        return next((each for each in there if not each.is_file()), None)

    def gone(self) -> Path | None:
        """The one that is not there any more, if one is not."""
        return next((each for each in self._files if _identity(each) is None), None)

    def are_others(self) -> bool:
        """Whether one is another file than was opened, or is gone."""
        return [_identity(file) for file in self._files] != self._opened


def _identity(file: Path) -> tuple[int, int] | None:
    """Device and inode, whose number is not used again while it is held open."""
    try:
        facts = os.stat(file)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def _wait_less(
    _connection: Any, _cursor: Any, statement: str, parameters: Any, *_others: Any
) -> tuple[str, Any]:
    """Let our calls hear of a lock before the 20 seconds that MLflow has in its text."""
    if statement.startswith("PRAGMA busy_timeout") and CALLED_BY_US.get():
        statement = f"PRAGMA busy_timeout = {int(_LOCK_WAITED_FOR_SECONDS * 1000)}"
    return statement, parameters
