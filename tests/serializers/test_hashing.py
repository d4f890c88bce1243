"""A file is hashed again exactly when it may have changed."""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from brixa_flows.disks import times_are_true
from brixa_flows.errors import DamagedArtifactError
from brixa_flows.serializers import hashing, verify_manifest
from brixa_flows.serializers.base import SavedModel
from brixa_flows.serializers.hashing import KnownDigests, hash_files
from brixa_flows.serializers.manifest import ArtifactManifest, build_manifest

SIZE = 2**20 + 1


@pytest.fixture(autouse=True)
def local_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' folder may be on a tmpfs; what that means has a test of its own."""
    monkeypatch.setattr(hashing, "times_are_true", lambda descriptor: True)


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let three seconds pass for whoever asks for the time."""

    def pass_by() -> None:
        later = time.time_ns() + 3 * 10**9
        monkeypatch.setattr(time, "time_ns", lambda: later)

    return pass_by


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the files that are really read, in their order."""
    sizes: list[int] = []
    original = hashing._sha256

    def counting(descriptor: int, advance: Callable[[int], None]) -> str:
        sizes.append(os.fstat(descriptor).st_size)
        return original(descriptor, advance)

    monkeypatch.setattr(hashing, "_sha256", counting)
    return sizes


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(bytes(SIZE))
    return path


def digest_of(known: KnownDigests, path: Path) -> str:
    with path.open("rb") as file:
        return known.sha256(file.fileno(), lambda done_bytes: None)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_unchanged_file_is_read_once(large, settle, read_bytes):
    known = KnownDigests()
    settle()
    assert [digest_of(known, large) for _ in range(3)] == [sha256(large)] * 3
    assert read_bytes == [SIZE]


def change_in_place(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"x")


def change_through_a_mapping(path: Path) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:1] = b"x"


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"x" * SIZE)
    os.rename(other, path)


def swap_with_an_older_file(path: Path) -> None:
    shutil.move(path, path.with_name("moved"))
    path.with_name("older").rename(path)


@pytest.mark.parametrize(
    "change",
    [change_in_place, change_through_a_mapping, replace, swap_with_an_older_file],
)
def test_a_change_that_keeps_size_and_mtime_is_noticed(
    change, large, settle, read_bytes
):
    large.with_name("older").write_bytes(b"y" * SIZE)
    before = large.stat()
    known = KnownDigests()
    settle()
    first = digest_of(known, large)
    time.sleep(0.02)  # the kernel's time stamps are some milliseconds apart
    change(large)
    os.utime(large, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = large.stat()
    assert (after.st_size, after.st_mtime_ns) == (SIZE, before.st_mtime_ns)
    assert digest_of(known, large) == sha256(large) != first
    assert len(read_bytes) == 2


def test_a_write_through_a_mapping_that_was_open_and_dirty_before_is_noticed(
    large, settle, monkeypatch
):
    monkeypatch.setattr(hashing, "times_are_true", times_are_true)  # on any filesystem
    known = KnownDigests()
    with large.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[0:1] = b"x"
        settle()
        first = digest_of(known, large)
        time.sleep(0.02)
        mapped[0:1] = b"y"
        assert digest_of(known, large) == sha256(large) != first


def test_a_file_that_changed_just_now_is_read_again(large, read_bytes):
    known = KnownDigests()
    assert digest_of(known, large) == digest_of(known, large)
    assert (len(read_bytes), len(known)) == (2, 0)


def test_a_file_that_changes_while_it_is_hashed_is_read_again(
    large, settle, read_bytes
):
    known = KnownDigests()
    settle()
    with large.open("rb") as file:
        known.sha256(file.fileno(), lambda done: change_in_place(large))
    assert len(known) == 0


def test_small_files_are_hashed_every_time(tmp_path, settle, read_bytes):
    small = tmp_path / "small"
    small.write_bytes(b"x")
    known = KnownDigests()
    settle()
    assert digest_of(known, small) == digest_of(known, small) == sha256(small)
    assert read_bytes == [1, 1]


def test_no_more_digests_are_kept_than_allowed_and_the_unused_go_first(
    tmp_path, settle, read_bytes
):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_bytes(path.name.encode() * SIZE)
    known = KnownDigests(at_most=2)
    settle()
    a, b, c = paths
    for path in (a, b, a, c):  # b was not used since, so it makes room for c
        digest_of(known, path)
    assert (len(known), len(read_bytes)) == (2, 3)
    digest_of(known, a)
    assert len(read_bytes) == 3
    digest_of(known, b)
    assert len(read_bytes) == 4


@pytest.mark.parametrize(
    ("filesystem", "expected"),
    [("ext4", True), ("overlay", True), ("tmpfs", False), ("nfs4", False)]
    + [("fuse.s3fs", False), ("9p", False)],
)
def test_times_are_believed_on_local_disks_only(filesystem, expected, large):
    with large.open("rb") as file:
        info = Path(f"/proc/self/fdinfo/{file.fileno()}").read_text()
        mount = info.partition("mnt_id:")[2].split()[0]
        mounts = large.with_name("mountinfo")
        mounts.write_text(
            "1 0 8:1 / / rw - proc proc rw\n"
            f"{mount} 1 8:2 / /data rw,relatime shared:1 - {filesystem} /dev/x rw\n"
        )
        assert times_are_true(file.fileno(), mounts) is expected
        assert not times_are_true(file.fileno(), large.with_name("absent"))


def test_without_true_times_nothing_is_remembered(
    large, settle, read_bytes, monkeypatch
):
    monkeypatch.setattr(hashing, "times_are_true", lambda descriptor: False)
    known = KnownDigests()
    settle()
    digest_of(known, large)
    digest_of(known, large)
    assert (len(read_bytes), len(known)) == (2, 0)


def test_many_files_are_hashed_by_several_threads_and_all_are_told(tmp_path):
    sizes = {"large": SIZE, "folder/other": 9 * 2**20, "empty": 0}
    sizes |= {f"{number}": number for number in range(40)}
    (tmp_path / "folder").mkdir()
    for path, size in sizes.items():
        (tmp_path / path).write_bytes(os.urandom(size))
    found = hash_files(tmp_path, sizes, "hashing")
    assert list(found) and found == {
        path: (size, sha256(tmp_path / path)) for path, size in sizes.items()
    }


def version_of(directory: Path) -> ArtifactManifest:
    (directory / "other").write_bytes(b"o")
    saved = SavedModel("pickle", "pickle", "code", "large")
    return build_manifest(directory, saved)


def test_a_version_that_was_verified_before_is_refused_once_it_was_touched(
    large, settle, read_bytes
):
    manifest = version_of(large.parent)
    settle()
    for _ in range(3):
        verify_manifest(large.parent, manifest)
    assert read_bytes.count(SIZE) == 2  # once for the manifest, once to verify
    times = large.stat()
    time.sleep(0.02)
    change_in_place(large)
    os.utime(large, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DamagedArtifactError, match="large.*sha256"):
        verify_manifest(large.parent, manifest)


def test_a_link_to_the_very_file_that_was_verified_is_refused(large, settle):
    manifest = version_of(large.parent)
    settle()
    verify_manifest(large.parent, manifest)
    outside = large.parent.with_name("outside")
    os.rename(large, outside)
    large.symlink_to(outside)
    with pytest.raises(DamagedArtifactError, match="large.*link"):
        verify_manifest(large.parent, manifest)


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_is_put_there_between_the_listing_and_the_reading_is_refused(
    kind, tmp_path
):
    path = tmp_path / "file"
    path.symlink_to("/etc/passwd") if kind == "link" else os.mkfifo(path)
    with pytest.raises(OSError, match="link or special file"):
        hash_files(tmp_path, {"file": 10}, "checking")
