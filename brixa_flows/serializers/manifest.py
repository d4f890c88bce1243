"""The manifest of a version directory: ``config.json``, checked before any parser.

It lists every other file with its size and sha256, says which serializer wrote them,
and carries the environment and the immutable metadata of the version. Its digest is
what the tracking backend records: one hash that stands for the whole directory.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)

from brixa_flows.errors import (
    DamagedArtifactError,
    InvalidMetadataError,
    SerializationError,
    some_of,
)
from brixa_flows.serializers.base import SavedModel
from brixa_flows.serializers.hashing import LINK_OR_SPECIAL, hash_files
from brixa_flows.serializers.protocol import PROTOCOL

__all__ = [
    "MANIFEST_NAME",
    "WRITTEN_BY_MLFLOW",
    "ArtifactManifest",
    "FileRecord",
    "build_manifest",
    "parse_manifest",
    "read_manifest",
    "verify_manifest",
    "write_manifest",
]

MANIFEST_NAME = "config.json"
WRITTEN_BY_MLFLOW = frozenset({"registered_model_meta"})
_MANIFEST_BYTES_AT_MOST = 64 * 2**20


class FileRecord(BaseModel):
    """What a file must be.

    Attributes:
        size_bytes: Its length.
        sha256: Its SHA-256, 64 hexadecimal digits.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ArtifactManifest(BaseModel):
    """What was written into a version directory.

    Attributes:
        protocol: Number of the artifact format.
        saved: What the serializer wrote; it alone selects the loader.
        files: Every file but the manifest by its ``/``-separated relative path.
        environment: Installed version by package when it was saved.
        core: Immutable metadata of the version, any JSON.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    protocol: int = Field(PROTOCOL, ge=1, le=PROTOCOL)
    saved: SavedModel
    files: dict[str, FileRecord]
    environment: dict[str, str] = Field(default_factory=dict)
    core: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _entry_is_among_the_files(self) -> ArtifactManifest:
        for path in self.files:
            parts = PurePosixPath(path).parts
            if not parts or path.startswith("/") or ".." in parts:
                raise ValueError(f"the path {path[:200]!r} leaves the directory")
        entry = self.saved.entry
        if not self.model_files:
            raise ValueError(f"the entry {entry[:200]!r} is not among the files")
        return self

    _stored: bytes | None = PrivateAttr(None)

    @cached_property
    def content(self) -> bytes:
        """What ``config.json`` holds: as it was read, or as it is to be written.

        Objects keep the order of their keys, because the order of columns has a
        meaning.
        """
        if self._stored is not None:
            return self._stored
        plain = self.model_dump(mode="json")
        text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False)
        return text.encode() + b"\n"

    @cached_property
    def digest(self) -> str:
        """``sha256:...`` of the bytes of ``config.json``.

        Of the bytes and not of the values, so that a field which a later version of
        this class adds leaves the digests of older manifests as they are.
        """
        return "sha256:" + hashlib.sha256(self.content).hexdigest()

    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> ArtifactManifest:
        """A copy; a changed one has content and digest of its own."""
        copied = super().model_copy(update=update, deep=deep)
        if update:
            copied._stored = None
            copied.__dict__.pop("content", None)
            copied.__dict__.pop("digest", None)
        return copied

    @property
    def model_files(self) -> dict[str, FileRecord]:
        """Those that the serializer wrote."""
        entry = self.saved.entry
        return {
            path: record
            for path, record in self.files.items()
            if path == entry or path.startswith(entry + "/")
        }

    @property
    def size_bytes(self) -> int:
        """Size of all its files together."""
        return sum(record.size_bytes for record in self.files.values())

    @property
    def label(self) -> str:
        """Name and version for messages, as far as the core metadata tells."""
        return _label(self.core)


def _label(core: Mapping[str, Any]) -> str:
    known = [str(core[key]) for key in ("name", "version") if key in core]
    return " ".join(known) or "the artifact"


def build_manifest(
    directory: Path,
    saved: SavedModel,
    core: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> ArtifactManifest:
    """Describe the finished content of ``directory`` (but its ``config.json``).

    Args:
        directory: A directory that nobody writes to any more.
        saved: What the serializer returned.
        core: Immutable metadata of the version, JSON.
        environment: Installed version by package.

    Raises:
        InvalidMetadataError: If ``core`` is not JSON.
        SerializationError: If there is a link or special file, or no entry.
    """
    try:
        plain_core = json.loads(json.dumps(dict(core or {}), allow_nan=False))
        plain_config = json.loads(json.dumps(saved.config, allow_nan=False))
    except (TypeError, ValueError) as err:
        raise InvalidMetadataError("core", f"is not JSON: {err}") from err
    try:
        found = dict(_regular_files(directory))
        files = _hash_all(directory, found, f"hashing {_label(plain_core)}")
        return ArtifactManifest(
            protocol=PROTOCOL,
            saved=SavedModel(
                saved.serializer, saved.format, saved.tier, saved.entry, plain_config
            ),
            files=files,
            environment=dict(environment or {}),
            core=plain_core,
        )
    except (_Unreadable, ValidationError) as err:
        raise SerializationError(
            f"{directory} can't be described in a manifest: {_first_line(err)}"
        ) from err


def write_manifest(directory: Path, manifest: ArtifactManifest) -> None:
    """Write ``config.json``."""
    (directory / MANIFEST_NAME).write_bytes(manifest.content)


def read_manifest(directory: Path) -> ArtifactManifest:
    """Read ``config.json``; nothing else is opened.

    Raises:
        DamagedArtifactError: If it is missing, a link, or no manifest.
        SerializationError: If a newer Brixa Flows wrote it.
    """
    data = _read_regular(directory, directory / MANIFEST_NAME)
    return parse_manifest(data, str(directory))


def parse_manifest(data: bytes, where: str) -> ArtifactManifest:
    """The manifest that ``config.json`` holds.

    Args:
        data: Its bytes.
        where: Whose they are, for messages.

    Raises:
        DamagedArtifactError: If it is no manifest.
        SerializationError: If a newer Brixa Flows wrote it.
    """
    try:
        content = json.loads(data)
        protocol = content["protocol"]
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise _no_manifest(where, err) from err
    if isinstance(protocol, int) and protocol > PROTOCOL:
        raise SerializationError(
            f"{MANIFEST_NAME} of {where} has protocol {protocol}, this Brixa Flows reads up to {PROTOCOL}; "
            "upgrade it with: pip install --upgrade brixa-flows",
            protocol=protocol,
        )
    try:
        manifest = ArtifactManifest.model_validate(content)
    except ValidationError as err:
        raise _no_manifest(where, err) from err
    manifest._stored = data
    return manifest


def _no_manifest(where: str, cause: BaseException) -> DamagedArtifactError:
    reason = f"is not a manifest ({_first_line(cause)})"
    return DamagedArtifactError(where, MANIFEST_NAME, reason)


def _read_regular(directory: Path, path: Path) -> bytes:
    try:
        with open(path, "rb", opener=_open_no_link) as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise OSError(errno.ELOOP, "special file")
            if facts.st_size > _MANIFEST_BYTES_AT_MOST:
                raise OSError(errno.EFBIG, "it is too large to be a manifest")
            return file.read(facts.st_size)
    except FileNotFoundError as err:
        raise DamagedArtifactError(str(directory), path.name, "is missing") from err
    except OSError as err:
        link = err.errno in (errno.ELOOP, errno.EISDIR)
        reason = "is not a regular file" if link else f"can't be read: {err.strerror}"
        raise DamagedArtifactError(str(directory), path.name, reason) from err


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


def verify_manifest(directory: Path, manifest: ArtifactManifest) -> None:
    """Check that ``directory`` holds exactly what was saved, before any parser.

    Every file is hashed, several at once, but for large ones that this process hashed
    before and nobody touched since. Links are never followed. The one file more that
    may be there is a note that MLflow leaves when it loads ``models:/NAME/3`` from a
    local folder; nothing reads it.

    Raises:
        DamagedArtifactError: If a file is missing, extra, changed, a link or a special
            file; names the first of them.
    """
    where = f"{manifest.label} in {directory}"
    try:
        found = dict(_regular_files(directory))
        _compare_names_and_sizes(where, found, manifest)
        actual = _hash_all(directory, found, f"checking {manifest.label}")
    except _Unreadable as err:
        raise DamagedArtifactError(where, err.path, err.reason) from err
    for path, record in sorted(manifest.files.items()):
        if actual[path] != record:
            raise DamagedArtifactError(where, path, "is not what was saved (sha256)")


def _compare_names_and_sizes(
    where: str, found: Mapping[str, int], manifest: ArtifactManifest
) -> None:
    for path in sorted(manifest.files.keys() - found.keys()):
        raise DamagedArtifactError(where, path, "is missing")
    extra = sorted(found.keys() - manifest.files.keys() - WRITTEN_BY_MLFLOW)
    if extra:
        reason = f"was not saved with it (not in the manifest: {some_of(extra)})"
        raise DamagedArtifactError(where, extra[0], reason)
    for path, record in sorted(manifest.files.items()):
        if found[path] != record.size_bytes:
            reason = f"has {found[path]} bytes instead of {record.size_bytes}"
            raise DamagedArtifactError(where, path, reason)


class _Unreadable(Exception):
    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return f"{self.path!r} {self.reason}"


def _regular_files(directory: Path) -> Iterator[tuple[str, int]]:
    """Relative path and size of every file but the manifest."""

    def walk(folder: str, prefix: str) -> Iterator[tuple[str, int]]:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda each: each.name):
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    yield from walk(entry.path, path + "/")
                    continue
                facts = entry.stat(follow_symlinks=False)
                if not stat.S_ISREG(facts.st_mode):
                    raise _Unreadable(path, LINK_OR_SPECIAL)
                if path != MANIFEST_NAME:
                    yield path, facts.st_size

    return walk(str(directory), "")


def _hash_all(
    directory: Path, sizes: Mapping[str, int], what: str
) -> dict[str, FileRecord]:
    try:
        found = hash_files(directory, sizes, what)
    except OSError as err:
        raise _Unreadable(str(err.filename), str(err.strerror)) from err
    return {
        path: FileRecord(size_bytes=found[path][0], sha256=found[path][1])
        for path in sizes
    }


def _first_line(err: BaseException) -> str:
    if isinstance(err, ValidationError):
        first = err.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}" if where else str(first["msg"])
    return str(err).split("\n", 1)[0][:200]
