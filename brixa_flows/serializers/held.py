"""Files that a parser reads as they were hashed, whoever can write where they lie.

Between the check of a version and its reading, somebody else could put other bytes in its
files. So a serializer reads a private directory (0700, for the time of the load), which
has in the place of each file of the model

- a copy, if the file is small: the very bytes that are written there are hashed;
- else a link to a descriptor of the file that was hashed, so that no other file takes its
  name. It may still be overwritten in place. :func:`open_held` looks after every piece
  it reads whether the file is the one that was hashed, before the reader sees
  the piece; and after the load all are looked at once more;
- a copy of a large file too, where the kernel can't tell (see :mod:`.hashing`) or the
  reader opens a path, and the format can run code.

What is mapped into memory stays in the file: numbers that somebody overwrites later are
other numbers.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import os
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

from brixa_flows.errors import DamagedArtifactError, SerializationError
from brixa_flows.passing_folders import make_folder, remove_folder
from brixa_flows.serializers.hashing import FileIdentity, known_identity, open_no_link
from brixa_flows.serializers.manifest import FileRecord
from brixa_flows.serializers.progress import progress

__all__ = [
    "COPIED_UP_TO_BYTES",
    "Reading",
    "check_held",
    "hold_files",
    "keep_held",
    "map_path",
    "open_held",
    "origin_of",
]

COPIED_UP_TO_BYTES = 2**20
_PIECE_BYTES = 2**18
_DESCRIPTORS = Path("/proc/self/fd")

# How its format is read: no code in it; through open_held() alone; by any path.
Reading: TypeAlias = Literal["data", "checked code", "code"]


class _Changed(OSError):
    """A held file is not the one that was hashed any more."""


@dataclass
class _Held:
    """A file behind a descriptor, which is known by identity if it can be checked."""

    path: str
    descriptor: int
    identity: FileIdentity | None

    def check(self) -> None:
        if self.identity and FileIdentity.of(self.descriptor) != self.identity:
            raise _Changed(f"{self.path} was changed while it was loaded")


@dataclass
class _View:
    """The private directory that stands in for a version directory."""

    folder: Path
    origin: Path
    held: dict[Path, _Held] = field(default_factory=dict)
    copies: set[Path] = field(default_factory=set)
    kept: bool = False

    def close(self) -> None:
        _VIEWS.pop(self.folder, None)
        remove_folder(self.folder)
        for each in self.held.values():
            os.close(each.descriptor)

    def changed(self) -> _Held | None:
        for each in self.held.values():
            try:
                each.check()
            except _Changed:
                return each
        return None


_VIEWS: dict[Path, _View] = {}


@contextmanager
def hold_files(
    directory: Path, files: Mapping[str, FileRecord], label: str, reading: Reading
) -> Iterator[Path]:
    """A directory with files that are as they were hashed, to be read from.

    Args:
        directory: Where they are.
        files: What was hashed, by relative path.
        label: Whose files they are, for messages.
        reading: How the format is read.

    Yields:
        The private directory; it ends with the block.

    Raises:
        DamagedArtifactError: If a file was changed or replaced since it was hashed, or
            while it was read; whatever was read of it is not to be used.
        SerializationError: If there is no room for the copies.
    """
    view = _View(make_folder("load"), directory)
    _VIEWS[view.folder] = view
    try:
        for path, record in files.items():
            _hold(view, path, record, label, reading)
        yield view.folder
    except Exception as err:
        _refuse_changed(view, label, err)
        raise
    else:
        _refuse_changed(view, label, None)
    finally:
        if not view.kept:
            view.close()


def open_held(path: Path) -> BinaryIO:
    """Open a file to be read; no byte of a changed one is ever handed out.

    Args:
        path: Below a directory of :func:`hold_files`; another file is just opened.
    """
    view = _view_of(path)
    held = view.held.get(path) if view else None
    if held is None or held.identity is None:
        return path.open("rb")
    return io.BufferedReader(_CheckedFile(held), _PIECE_BYTES)


def check_held(path: Path) -> None:
    """Raise if what was read of a held file until now may not be what was hashed.

    Raises:
        OSError: If the file was changed.
    """
    view = _view_of(path)
    if view and path in view.held:
        view.held[path].check()


def map_path(path: Path) -> Path | None:
    """From where to map a file, ``None`` if it must be read: its copy goes away."""
    view = _view_of(path)
    return None if view and path in view.copies else path


def origin_of(path: Path) -> Path:
    """Where a file of a private directory really lies, for what outlives the load."""
    view = _view_of(path)
    return view.origin / path.relative_to(view.folder) if view else path


def keep_held(path: Path, model: object) -> None:
    """Keep the private directory of ``path`` for as long as ``model`` lives."""
    view = _view_of(path)
    if view:
        view.kept = True
        try:
            weakref.finalize(model, view.close)
        except TypeError:  # it takes no weak references
            atexit.register(view.close)


def _view_of(path: Path) -> _View | None:
    folders = (path, *path.parents)
    return next((_VIEWS[each] for each in folders if each in _VIEWS), None)


def _refuse_changed(view: _View, label: str, cause: BaseException | None) -> None:
    changed = view.changed()
    if changed is not None:
        raise DamagedArtifactError(
            label, changed.path, "was changed while it was loaded"
        ) from cause


def _hold(
    view: _View, path: str, record: FileRecord, label: str, reading: Reading
) -> None:
    target = view.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = open_no_link(view.origin / path)
    except OSError as err:
        reason = f"can't be read any more: {err.strerror}"
        raise DamagedArtifactError(label, path, reason) from err
    identity = known_identity(descriptor, record.sha256)
    large = record.size_bytes > COPIED_UP_TO_BYTES
    if large and (reading == "data" or (identity and reading == "checked code")):
        view.held[target] = _Held(path, descriptor, identity)
        there = _DESCRIPTORS / str(descriptor)
        target.symlink_to(there if there.exists() else view.origin / path)
        return
    try:
        view.copies.add(target)
        digest = _copy(descriptor, target, f"reading {label}", record.size_bytes)
    finally:
        os.close(descriptor)
    if digest != record.sha256:
        raise DamagedArtifactError(label, path, "was changed after it was checked")


def _copy(descriptor: int, target: Path, what: str, size_bytes: int) -> str:
    digest = hashlib.sha256()
    try:
        with progress(what, size_bytes) as advance, target.open("xb") as file:
            while piece := os.read(descriptor, _PIECE_BYTES):
                digest.update(piece)
                advance(file.write(piece))
    except OSError as err:
        raise SerializationError(
            f"{target.name} can't be copied to be read ({err.strerror}): its format can "
            f"run code, so it is read from a private copy in {target.parent}; free "
            "space there, or set TMPDIR to a directory with room"
        ) from err
    return digest.hexdigest()


class _CheckedFile(io.RawIOBase):
    """Reads a held file and looks at its identity after each piece."""

    def __init__(self, held: _Held) -> None:
        super().__init__()
        self._held = held
        self._position = 0
        self.name = held.path

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = os.preadv(self._held.descriptor, [buffer], self._position)
        self._held.check()
        self._position += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts: dict[int, Callable[[], int]] = {
            os.SEEK_SET: lambda: 0,
            os.SEEK_CUR: lambda: self._position,
            os.SEEK_END: lambda: os.fstat(self._held.descriptor).st_size,
        }
        self._position = starts[whence]() + offset
        return self._position

    def tell(self) -> int:
        return self._position
