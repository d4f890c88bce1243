"""A folder is read again exactly when somebody may have changed it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from brixa_flows import disks
from brixa_flows.errors import UnsafeKeyError
from brixa_flows.storage import marks, names
from brixa_flows.storage.base import QuickLooks
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.storage.memory import MemoryStorageNode
from brixa_flows.testing.quick_looks import QuickLooksContract


@pytest.fixture(autouse=True)
def local_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' folder may be on a tmpfs, whose times are not believed."""
    monkeypatch.setattr(marks, "times_are_true", lambda descriptor: True)


@pytest.fixture
def settle(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Ticks of the kernel's clock are at most 10 ms apart."""
    monkeypatch.setattr(disks, "SETTLED_AFTER_NANOSECONDS", 40 * 10**6)
    return lambda: time.sleep(0.05)


@pytest.fixture
def node(tmp_path: Path) -> LocalStorageNode:
    return LocalStorageNode(tmp_path)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Directories that are really read."""
    found: list[str] = []
    original = names._read

    def counting(directory: str, *args: object) -> tuple[str, ...]:
        found.append(directory)
        return original(directory, *args)

    monkeypatch.setattr(names, "_read", counting)
    return found


class TestLocalStorageNode(QuickLooksContract):
    """The contract on a folder."""

    @pytest.fixture
    def node(self, tmp_path):
        return LocalStorageNode(tmp_path)

    @pytest.fixture
    def other(self, tmp_path):
        return LocalStorageNode(tmp_path)

    @pytest.fixture
    def settle(self, settle):
        return settle


def test_the_node_in_memory_offers_none():
    assert not isinstance(MemoryStorageNode(), QuickLooks)


def test_an_unchanged_directory_is_read_once(node, settle, read):
    node.create("a/1", b"")
    for _ in range(3):
        node.names("a")
    assert len(read) == 3  # it changed just now
    settle()
    for _ in range(3):
        node.names("a")
    assert len(read) == 4


def test_what_the_node_adds_itself_costs_no_reading(node, settle, read):
    node.create("a/1", b"")
    settle()
    node.names("a")
    read.clear()
    for number in range(2, 7):
        node.create(f"a/{number}", b"")
        assert len(node.names("a")) == number
    assert read == []
    assert LocalStorageNode(node.root).names("a") == node.names("a")


def test_what_comes_between_two_of_its_own_is_seen(node, settle, tmp_path):
    other = LocalStorageNode(tmp_path)
    node.create("a/1", b"")
    settle()
    node.names("a")
    for number in range(2, 30, 2):
        other.create(f"a/{number:02}", b"")
        node.create(f"a/{number + 1:02}", b"")
        assert len(node.names("a")) == number + 1


def test_a_file_that_somebody_puts_there_by_hand_is_seen(node, settle, tmp_path):
    node.create("a/1", b"")
    settle()
    node.names("a")
    node.create("a/2", b"")
    (tmp_path / "a" / "3").write_bytes(b"")
    (tmp_path / "a" / "4").symlink_to("3")
    (tmp_path / "a" / "5").mkdir()
    assert node.names("a") == ("1", "2", "3")
    (tmp_path / "a" / "1").unlink()
    assert node.names("a") == ("2", "3")


def test_a_directory_of_another_user_is_read_again(node, settle, read, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(1, "Operation not permitted")

    node.create("a/1", b"")
    settle()
    node.names("a")
    real = os.utime
    stamped = []

    def utime(path, **given):
        stamped.append(path)
        facts = os.fstat(path)
        return refuse() if stat.S_ISDIR(facts.st_mode) else real(path, **given)

    monkeypatch.setattr(os, "utime", utime)
    read.clear()
    node.create("a/2", b"")
    assert node.names("a") == ("1", "2")
    assert len(stamped) == 2 and read == ["a"]


def test_without_true_times_every_look_reads(node, settle, read, monkeypatch):
    monkeypatch.setattr(marks, "times_are_true", lambda descriptor: False)
    node.create("a/1", b"")
    settle()
    assert node.names("a") == node.names("a") == ("1",)
    assert len(read) == 2
    assert node.mark(["a/1"]) is None


def test_a_file_that_is_written_in_place_has_another_mark(node, settle, tmp_path):
    node.create("a", b"1")
    settle()
    before = node.mark(["a"])
    with open(tmp_path / "a", "r+b") as file:
        file.write(b"2")
    os.utime(tmp_path / "a", ns=(0, 0))
    settle()
    assert node.mark(["a"]) not in (None, before)


def test_only_what_was_used_last_is_kept(tmp_path, settle, read):
    node = LocalStorageNode(tmp_path)
    known = names.KnownNames(node._tree, node._scratch, marks.TrueDisks(), at_most=5)
    for directory in "abc":
        node.create(f"{directory}/1", b"")
    settle()
    for directory in "abcbc":
        known.of(directory)
    assert read == ["a", "b", "c"]
    known.of("a")
    assert read == ["a", "b", "c", "a"]


@pytest.mark.parametrize("key", ["../x", "", "/etc/passwd", "a/../../x", ".brixa/x"])
def test_no_mark_of_what_is_outside(node, key):
    with pytest.raises(UnsafeKeyError):
        node.mark(["plain", key])
