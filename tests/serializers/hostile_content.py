"""Bytes that make a directory when they are parsed the wrong way, and forged versions."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest

from brixa_flows.errors import BrixaError, InsecureSerializationWarning
from brixa_flows.serializers import (
    SavedModel,
    build_manifest,
    check_trust,
    load_model_files,
    read_manifest,
    verify_manifest,
    write_manifest,
)
from brixa_flows.testing.serializers import SavedVersion


class Bomb:
    """Makes ``canary`` when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = str(canary)

    def __reduce__(self):
        return os.mkdir, (self.canary,)


def _pickled(canary: Path) -> bytes:
    return pickle.dumps(Bomb(canary))


def _pickled_as_text(canary: Path) -> bytes:
    return pickle.dumps(Bomb(canary), protocol=0)


def _joblib(compress: Any) -> Callable[[Path], bytes]:
    def make(canary: Path) -> bytes:
        file = io.BytesIO()
        joblib.dump(Bomb(canary), file, compress=compress)
        return file.getvalue()

    return make


def _array_of_objects(canary: Path) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([Bomb(canary)], dtype=object), allow_pickle=True)
    return file.getvalue()


def _arrays_of_objects(canary: Path) -> bytes:
    file = io.BytesIO()
    np.savez(file, bomb=np.array([Bomb(canary)], dtype=object), allow_pickle=True)
    return file.getvalue()


def _torch_archive(canary: Path) -> bytes:
    """What ``torch.save`` writes, made without torch."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Bomb(canary), protocol=2))
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def _yaml(canary: Path) -> bytes:
    return f"!!python/object/apply:os.mkdir ['{canary}']\n".encode()


def _python(canary: Path) -> bytes:
    return f"import os; os.mkdir({str(canary)!r})\n".encode()


CONTENT: Mapping[str, Callable[[Path], bytes]] = {
    "pickle": _pickled,
    "pickle of protocol 0": _pickled_as_text,
    "joblib": _joblib(0),
    "joblib with zlib": _joblib(("zlib", 3)),
    "joblib with lzma": _joblib(("lzma", 3)),
    "npy of objects": _array_of_objects,
    "npz of objects": _arrays_of_objects,
    "torch archive": _torch_archive,
    "yaml": _yaml,
    "python": _python,
}


def zip_parts(path: Path) -> dict[str, bytes]:
    """Content by member."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write_zip(path: Path, parts: Mapping[str, bytes]) -> None:
    """An uncompressed archive of these members, whatever their names."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def forge(directory: Path, **changes: Any) -> SavedModel:
    """Describe what lies in ``directory`` now in a manifest that fits, as who can write.

    Args:
        directory: A version directory that was tampered with.
        changes: Fields of :class:`SavedModel` to change.
    """
    saved = replace(read_manifest(directory).saved, **changes)
    (directory / "config.json").unlink()
    write_manifest(directory, build_manifest(directory, saved, {"name": "forged"}))
    return saved


def load_unrecorded(directory: Path) -> Any:
    """Load a version that nobody vouches for: no digest was recorded.

    Raises:
        BrixaError: If it is refused.
    """
    manifest = read_manifest(directory)
    verify_manifest(directory, manifest)
    check_trust(manifest, recorded_digest=None)
    return load_model_files(directory, manifest)


@contextmanager
def refused(canary: Path, match: str | None = None) -> Iterator[None]:
    """What is done inside raises one of our errors, and no stored code ran."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        warnings.simplefilter("error", InsecureSerializationWarning)
        with pytest.raises(BrixaError, match=match):
            yield
    assert not canary.exists(), "stored code ran"


def copy_of(directory: Path, target: Path) -> Path:
    """A copy that may be tampered with."""
    shutil.copytree(directory, target)
    return target


def saved_case(case: Any, directory: Path) -> Path:
    """The version directory of a :class:`ModelCase`."""
    return SavedVersion.of(case.model, directory, case.save_options).directory


def entry_files(directory: Path) -> list[Path]:
    """What the serializer wrote."""
    entry = directory / read_manifest(directory).saved.entry
    found = [entry] if entry.is_file() else sorted(entry.rglob("*"))
    return [path for path in found if path.is_file()]


def refuse_all_content(directory: Path, canary: Path, *, names: str = "") -> None:
    """Put each hostile content in the place of each file, in a manifest that fits.

    Args:
        directory: Of a version in a data format.
        canary: What the content makes if it runs.
        names: Of the files to replace; all of them if empty.

    Raises:
        AssertionError: If one loads, runs, or is refused without the file's name.
    """
    entry = read_manifest(directory).saved.entry
    for path in entry_files(directory):
        if names and path.name not in names:
            continue
        kept = path.read_bytes()
        contents = [make(canary) for make in CONTENT.values()]
        for content in (*contents, b"", kept[: len(kept) // 2]):
            path.write_bytes(content)
            forge(directory)
            # A library does not tell which file of its folder it was.
            with refused(canary, match=f"{path.name}|^{entry} can't be read"):
                load_unrecorded(directory)
        path.write_bytes(kept)
    forge(directory)
    load_unrecorded(directory)  # what was refused was the content


WRONG_FACTS: tuple[Any, ...] = (
    None,
    7,
    -1.5,
    "os:system",
    [],
    ["os:system"],
    [["os:system"]],
    {},
    {"os": "system"},
    {"class": "os:system", "args": {}},
)


def try_wrong_facts(directory: Path, canary: Path) -> int:
    """Load with each fact of the manifest replaced by each of :data:`WRONG_FACTS`.

    A fact may have no influence; what does not load must be refused by our own error.

    Returns:
        How many were refused.
    """
    saved = read_manifest(directory).saved
    count = 0
    for key in saved.config:
        for wrong in WRONG_FACTS:
            forge(directory, config={**saved.config, key: wrong})
            count += not _loads(directory)
        left = {name: fact for name, fact in saved.config.items() if name != key}
        forge(directory, config=left)
        count += not _loads(directory)
        assert not canary.exists(), "stored code ran"
    forge(directory, config=saved.config)
    load_unrecorded(directory)
    return count


def _loads(directory: Path) -> bool:
    try:
        load_unrecorded(directory)
    except BrixaError:
        return False
    return True
