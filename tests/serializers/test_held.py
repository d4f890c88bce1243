"""What is parsed are the bytes that were hashed, whatever is written there meanwhile."""

from __future__ import annotations

import io
import os
import pickle
import resource
import stat
import tempfile
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from golden_torch import Net
from hostile_content import CONTENT, Bomb, refused

from brixa_flows.errors import DamagedArtifactError, SerializationError
from brixa_flows.serializers import hashing, held, read_manifest, verify_manifest
from brixa_flows.serializers.base import SavedModel
from brixa_flows.serializers.held import hold_files, open_held, origin_of
from brixa_flows.serializers.manifest import build_manifest, write_manifest

LARGE = 2 * held.COPIED_UP_TO_BYTES


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "the-code-ran"
    yield path


@pytest.fixture
def views(tmp_path, monkeypatch):
    """Where the private directories are made; none is left there."""
    place = tmp_path / "views"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    assert not os.listdir(place)


def checked(directory: Path, content: bytes, saved: SavedModel) -> Path:
    """A version of one file, which was just verified."""
    directory.mkdir(exist_ok=True)
    (directory / saved.entry).write_bytes(content)
    manifest = build_manifest(directory, saved, {"name": "tiny", "version": "1.0.0"})
    write_manifest(directory, manifest)
    time.sleep(0.02)  # the kernel's time stamps are some milliseconds apart
    verify_manifest(directory, manifest)
    return directory / saved.entry


def held_of(path: Path, reading: held.Reading):
    """The private directory for the version of a file."""
    manifest = read_manifest(path.parent)
    return hold_files(path.parent, manifest.model_files, manifest.label, reading)


def overwrite(path: Path, content: bytes) -> None:
    """In place, with the old times."""
    facts = path.stat()
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def replace(path: Path, content: bytes) -> None:
    """Another file takes the name."""
    other = path.with_name("other")
    other.write_bytes(content)
    other.rename(path)


CHANGES = pytest.mark.parametrize("change", [overwrite, replace])
ANY = SavedModel("pickle", "pickle", "code", "model.bin")
OLD, NEW = b"o" * LARGE, b"n" * LARGE


@pytest.mark.parametrize("size", [3, LARGE])
@pytest.mark.parametrize("reading", ["checked code", "code"])
@CHANGES
def test_code_that_is_changed_after_its_check_is_refused(
    change, reading, size, tmp_path, settled, views
):
    path = checked(tmp_path / "v", OLD[:size], ANY)
    change(path, NEW[:size])
    with pytest.raises(DamagedArtifactError, match="model.bin.*after it was checked"):
        with held_of(path, reading):
            pytest.fail("it reached its parser")


@pytest.mark.parametrize("times", ["true", "not believed"])
@pytest.mark.parametrize("reading", ["checked code", "code"])
@CHANGES
def test_code_that_is_changed_while_it_is_read_is_read_as_it_was_or_not_at_all(
    change, reading, times, tmp_path, settled, views, monkeypatch
):
    """On a network mount nothing tells of a change, so that a copy is read."""
    if times == "not believed":
        monkeypatch.setattr(hashing, "times_are_true", lambda descriptor: False)
    path = checked(tmp_path / "v", OLD, ANY)
    is_link = (reading, times) == ("checked code", "true")
    read = b""
    try:
        with held_of(path, reading) as folder:
            assert (folder / "model.bin").is_symlink() == is_link
            with open_held(folder / "model.bin") as file:
                read += file.read(100)
                change(path, NEW)
                read += file.read()
    except DamagedArtifactError as err:
        assert is_link and "'model.bin' was changed while it was loaded" in str(err)
        assert set(read) == {ord("o")}
    else:
        assert not is_link and read == OLD


@CHANGES
def test_data_that_is_changed_while_it_is_read_is_not_handed_out(
    change, tmp_path, settled, views
):
    path = checked(tmp_path / "v", OLD, ANY)
    with pytest.raises(DamagedArtifactError, match="model.bin.*while it was loaded"):
        with held_of(path, "data") as folder:
            change(path, NEW)
            if change is replace:  # no other file takes the name
                assert (folder / "model.bin").read_bytes() == OLD
            raise ValueError("what a library says of a file that changes")


def test_the_private_directory_is_ours_alone_and_knows_where_its_files_lie(
    tmp_path, views
):
    path = checked(tmp_path / "v", b"small", ANY)
    with held_of(path, "data") as folder:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert origin_of(folder / "model.bin") == path
        assert sorted(each.name for each in folder.iterdir()) == ["model.bin"]
    assert origin_of(path) == path


@pytest.mark.parametrize("kind", ["link", "missing"])
def test_a_file_that_becomes_a_link_or_vanishes_is_refused(kind, tmp_path, views):
    path = checked(tmp_path / "v", b"small", ANY)
    path.unlink()
    if kind == "link":
        path.symlink_to("/etc/hostname")
    with pytest.raises(DamagedArtifactError, match="model.bin.*can't be read any more"):
        with held_of(path, "data"):
            pytest.fail("it reached its parser")


def test_without_descriptors_as_paths_the_file_itself_is_read(
    tmp_path, settled, views, monkeypatch
):
    monkeypatch.setattr(held, "_DESCRIPTORS", tmp_path / "no-proc")
    path = checked(tmp_path / "v", OLD, ANY)
    with held_of(path, "data") as folder:
        assert (folder / "model.bin").resolve() == path


def test_no_room_for_a_private_copy_is_told_with_the_remedy(tmp_path, views):
    path = checked(tmp_path / "v", OLD, ANY)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE // 2, limits[1]))
    try:
        with pytest.raises(SerializationError, match="File too large.*TMPDIR"):
            with held_of(path, "code"):
                pytest.fail("it reached its parser")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_held_file_can_be_sought_in_as_any_file(tmp_path, settled, views):
    path = checked(tmp_path / "v", bytes(range(256)) * (LARGE // 256), ANY)
    with held_of(path, "checked code") as folder:
        with open_held(folder / "model.bin") as file, path.open("rb") as plain:
            for where in ((7, 0), (300_000, 1), (-9, 2), (-3, 1), (0, 2)):
                assert file.seek(*where) == plain.seek(*where) == file.tell()
                assert file.read(5) == plain.read(5)
            file.seek(0)
            assert file.read() == path.read_bytes()


def overwrite_end_of(path: str, canary: str) -> None:
    """What the stream below calls: stands for who writes the file at this moment."""
    bomb = pickle.dumps(Bomb(Path(canary)), protocol=0)
    file = Path(path)
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size - TAIL)
        opened.write(bomb)


TAIL = 1024


def stream_that_is_overwritten_when_half_of_it_was_read(path: Path, canary: Path):
    """A pickle of ``None`` whose end becomes a bomb once its start was executed."""
    start = pickle.dumps((overwrite_end_of, (str(path), str(canary))), protocol=2)
    function, arguments = pickle.loads(start)
    calls = b"\x80\x04" + pickle.dumps(function, 2)[2:-1]
    calls += pickle.dumps(arguments, 2)[2:-1] + b"R0"  # call it, drop its answer
    padding = b"B" + LARGE.to_bytes(4, "little") + bytes(LARGE) + b"0"
    return calls + padding + b"N0" * (TAIL // 2 - 1) + b"N."


FORMATS = {
    "pickle": ("pickle", "pickle", lambda path: pickle.loads(Path(path).read_bytes())),
    "cloudpickle": ("sklearn", "cloudpickle", None),
    "joblib": ("sklearn", "joblib", joblib.load),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_a_pickle_that_becomes_a_bomb_while_it_is_read_does_not_go_off(
    kind, tmp_path, canary, settled, views, load
):
    serializer, name, plain = FORMATS[kind]
    saved = SavedModel(serializer, name, "code", "model.bin")
    path = tmp_path / "v" / "model.bin"
    content = stream_that_is_overwritten_when_half_of_it_was_read(path, canary)
    if kind == "joblib":  # which is hostile indeed
        checked(tmp_path / "v", content, saved)
        plain(path)
        assert canary.exists()
        canary.rmdir()
    checked(tmp_path / "v", content, saved)
    with refused(canary, match="'model.bin' was changed while it was loaded"):
        load(tmp_path / "v")


@pytest.mark.parametrize("content", ["torch archive", "TorchScript"])
def test_a_torch_archive_that_becomes_hostile_while_it_is_read_runs_nothing(
    content, tmp_path, canary, settled, views, save, load, monkeypatch
):
    model = Net(8)
    model.padding = torch.zeros(LARGE // 4)
    directory = tmp_path / "v"
    save(model, directory, format="cloudpickle")
    time.sleep(0.02)
    is_zip, path = torch.serialization._is_zipfile, directory / "model.pt"
    script = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.ReLU(), torch.ones(1)), script)
    hostile = CONTENT["torch archive"](canary)
    if content == "TorchScript":
        hostile = script.getvalue()

    def overwritten_now(file):
        path.write_bytes(hostile)
        return is_zip(file)

    monkeypatch.setattr(torch.serialization, "_is_zipfile", overwritten_now)
    monkeypatch.setattr(
        torch._C, "import_ir_module_from_buffer", lambda *_: pytest.fail("it was read")
    )
    with refused(canary, match="'model.pt' was changed while it was loaded"):
        load(directory)


def test_a_mapped_array_tells_workers_of_joblib_where_the_file_of_the_version_is(
    tmp_path, settled, views, load
):
    path = tmp_path / "v" / "model.joblib"
    file = io.BytesIO()
    joblib.dump({"large": np.ones(LARGE // 8)}, file)
    saved = SavedModel("sklearn", "joblib", "code", path.name)
    checked(tmp_path / "v", file.getvalue(), saved)
    loaded = load(tmp_path / "v")["large"]
    assert isinstance(loaded, np.memmap) and Path(loaded.filename) == path
