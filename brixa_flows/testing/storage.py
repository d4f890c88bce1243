"""What every storage node must do, as a suite that plug-in authors run too.

::

    from brixa_flows.testing.storage import StorageNodeContract

    class TestMyNode(StorageNodeContract):
        @pytest.fixture
        def node(self):
            return MyNode(...)          # empty
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from brixa_flows.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    StaleWriteError,
    StorageError,
    UnsafeKeyError,
)
from brixa_flows.storage.base import StorageNode

__all__ = ["HOSTILE_KEYS", "StorageNodeContract"]

HOSTILE_KEYS = (
    "",
    "/",
    ".",
    "..",
    "../x",
    "a/../../x",
    "a/./b",
    "/etc/passwd",
    "a/",
    "a//b",
    "a\\b",
    "a\0b",
    "a\nb",
    "\x7f",
    "\ud800",
    "a" * 256,
    "/".join(["abc"] * 300),
)
"""Texts that no node takes for a key."""

_THREADS = 8


class StorageNodeContract:
    """Behaviour of a :class:`~brixa_flows.storage.base.StorageNode`.

    A subclass overrides the fixture ``node`` with an empty one.
    """

    @pytest.fixture
    def node(self) -> StorageNode:
        """An empty storage node."""
        raise NotImplementedError("override the fixture 'node' with an empty node")

    def test_it_is_a_storage_node_and_says_where(self, node: StorageNode) -> None:
        """The Protocol's names are there, and the URI has a scheme."""
        assert isinstance(node, StorageNode)
        assert "://" in node.uri

    # Objects

    @pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 5000])
    def test_what_was_created_is_read_back(
        self, node: StorageNode, data: bytes
    ) -> None:
        """Empty, tiny and large contents survive, with the same etag everywhere."""
        etag = node.create("a/b/c.bin", data)
        assert node.read("a/b/c.bin") == (data, etag)
        facts = node.stat("a/b/c.bin")
        assert facts is not None
        assert (facts.key, facts.size_bytes, facts.etag) == (
            "a/b/c.bin",
            len(data),
            etag,
        )

    def test_the_time_of_a_write_is_aware_and_utc(self, node: StorageNode) -> None:
        """``modified_at`` is now, in UTC."""
        node.create("a", b"x")
        facts = node.stat("a")
        assert facts is not None and facts.modified_at.utcoffset() == timedelta(0)
        assert abs(facts.modified_at - datetime.now(UTC)) < timedelta(minutes=5)

    def test_a_key_is_created_only_once(self, node: StorageNode) -> None:
        """The second creation fails and changes nothing."""
        etag = node.create("a", b"first")
        with pytest.raises(ObjectExistsError, match="'a'"):
            node.create("a", b"second")
        assert node.read("a") == (b"first", etag)

    def test_a_directory_is_no_object(self, node: StorageNode) -> None:
        """It can't be read, has no facts and can't be created over."""
        node.create("d/x", b"")
        assert node.stat("d") is None
        with pytest.raises(ObjectNotFoundError):
            node.read("d")
        with pytest.raises(ObjectExistsError):
            node.create("d", b"")
        with pytest.raises(StaleWriteError):
            node.replace("d", b"", etag=None)

    def test_an_object_is_no_directory(self, node: StorageNode) -> None:
        """Nothing can be stored, listed, found or published below it."""
        node.create("a", b"x")
        assert node.stat("a/b") is None
        assert list(node.list("a")) == [] and node.list_directories("a") == []
        with pytest.raises(ObjectNotFoundError):
            node.read("a/b")
        with pytest.raises(StorageError):
            node.create("a/b", b"")
        node.delete("a/b")
        assert node.read("a")[0] == b"x"

    def test_what_is_missing_is_said_so(self, node: StorageNode) -> None:
        """``stat`` answers None, reading raises and names the key."""
        assert node.stat("no/such") is None
        with pytest.raises(ObjectNotFoundError, match="no/such"):
            node.read("no/such")
        with pytest.raises(FileNotFoundError):
            node.fetch("no/such")

    def test_an_unchanged_object_is_replaced(self, node: StorageNode) -> None:
        """A swap with the etag that was read succeeds and gives a new one."""
        old = node.create("a", b"1")
        new = node.replace("a", b"2", etag=old)
        assert new != old
        assert node.read("a") == (b"2", new)

    def test_a_stale_swap_is_refused(self, node: StorageNode) -> None:
        """Changed, removed or made meanwhile: the stored object stays."""
        first = node.create("a", b"1")
        second = node.replace("a", b"2", etag=first)
        with pytest.raises(StaleWriteError):
            node.replace("a", b"3", etag=first)
        with pytest.raises(StaleWriteError):
            node.replace("a", b"3", etag=None)
        assert node.read("a") == (b"2", second)
        node.delete("a")
        with pytest.raises(StaleWriteError):
            node.replace("a", b"3", etag=second)
        assert node.stat("a") is None
        with pytest.raises(StaleWriteError):
            node.replace("never/was", b"3", etag=first)

    def test_a_swap_from_nothing_creates(self, node: StorageNode) -> None:
        """``etag=None`` means that it must not exist."""
        etag = node.replace("a/b", b"1", etag=None)
        assert node.read("a/b") == (b"1", etag)

    def test_the_same_bytes_again_are_another_state(self, node: StorageNode) -> None:
        """No etag comes back, so a swap notices that A became B became A."""
        seen = [node.create("a", b"A")]
        for data in (b"B", b"A", b"B", b"A"):
            seen.append(node.replace("a", data, etag=seen[-1]))
        assert len(set(seen)) == len(seen)

    # Keys

    @pytest.mark.parametrize("key", HOSTILE_KEYS)
    def test_a_hostile_key_is_refused_everywhere(
        self, node: StorageNode, tmp_path: Path, key: str
    ) -> None:
        """Every method refuses it before it touches anything."""
        built = tmp_path / "built"
        built.mkdir()
        (built / "f").write_bytes(b"")
        calls: list[Callable[[], object]] = [
            lambda: node.create(key, b""),
            lambda: node.replace(key, b"", etag=None),
            lambda: node.read(key),
            lambda: node.stat(key),
            lambda: node.delete(key),
            lambda: node.publish(built, key),
            lambda: node.fetch(key),
        ]
        if key:
            calls.append(lambda: node.list(key))
            calls.append(lambda: node.list_directories(key))
        for call in calls:
            with pytest.raises(UnsafeKeyError) as caught:
                call()
            assert isinstance(caught.value, ValueError)
        assert list(node.list("")) == []

    @pytest.mark.parametrize(
        "key",
        ["größe/模型.json", "emoji 🚀/x y", "-", "a+b=c@d;e", ".hidden", "~", "*"],
    )
    def test_any_plain_name_is_a_key(self, node: StorageNode, key: str) -> None:
        """Unicode, spaces and punctuation come back as they were."""
        node.create(key, key.encode())
        assert [facts.key for facts in node.list("")] == [key]
        assert node.read(key)[0] == key.encode()

    # Lists

    def test_lists_are_sorted_by_key_and_stay_below_the_prefix(
        self, node: StorageNode
    ) -> None:
        """``m`` is a directory, not the beginning of a text."""
        keys = ["m/a-b", "m/a.txt", "m/a/1", "m/a/b/2", "m/b", "mm/x", "z"]
        for key in reversed(keys):
            node.create(key, b"")
        assert [facts.key for facts in node.list("")] == keys
        assert [facts.key for facts in node.list("m")] == keys[:5]
        assert [facts.key for facts in node.list("m", recursive=False)] == [
            "m/a-b",
            "m/a.txt",
            "m/b",
        ]
        assert node.list_directories("") == ["m", "mm"]
        assert node.list_directories("m") == ["a"]
        assert list(node.list("none")) == [] and node.list_directories("none") == []

    # Removal

    def test_removing_removes_objects_and_whole_directories(
        self, node: StorageNode
    ) -> None:
        """Neighbours stay; removing what is not there is no error."""
        for key in ("a/x", "a/b/y", "ab", "c"):
            node.create(key, b"")
        node.delete("a")
        node.delete("c")
        node.delete("c")
        node.delete("no/such")
        assert [facts.key for facts in node.list("")] == ["ab"]
        node.create("c", b"again")

    def test_a_directory_goes_with_its_last_object(self, node: StorageNode) -> None:
        """Directories without objects don't exist."""
        node.create("a/b/c", b"")
        node.delete("a/b/c")
        assert node.list_directories("") == []
        node.create("a", b"now an object")

    # Published directories

    def test_a_published_directory_is_fetched_as_it_was_built(
        self, node: StorageNode
    ) -> None:
        """Files in subdirectories and empty files included; objects all the same."""
        with node.staging() as staged:
            assert list(staged.iterdir()) == []
            _build(staged / "v", {"config.json": b"{}", "model/weights": b"\0" * 99})
            node.publish(staged / "v", "models/m/1.0.0")
        fetched = node.fetch("models/m/1.0.0")
        assert _content(fetched) == {"config.json": b"{}", "model/weights": b"\0" * 99}
        assert [facts.key for facts in node.list("models/m")] == [
            "models/m/1.0.0/config.json",
            "models/m/1.0.0/model/weights",
        ]
        assert node.read("models/m/1.0.0/config.json")[0] == b"{}"
        assert node.list_directories("models/m") == ["1.0.0"]

    def test_a_staging_directory_is_private_and_goes_away(
        self, node: StorageNode
    ) -> None:
        """Nobody sees it, also when what is built in it fails."""

        def fail() -> None:
            with node.staging() as staged:
                seen.append(staged)
                (staged / "half").write_bytes(b"1")
                assert list(node.list("")) == [] and node.list_directories("") == []
                raise RuntimeError("training failed")

        seen: list[Path] = []
        with pytest.raises(RuntimeError, match="training failed"):
            fail()
        assert not seen[0].exists()
        with node.staging() as one, node.staging() as other:
            assert one != other

    def test_the_staging_directory_itself_can_be_published(
        self, node: StorageNode
    ) -> None:
        """Publishing all of it is as good as a part of it."""
        with node.staging() as staged:
            (staged / "f").write_bytes(b"1")
            node.publish(staged, "p")
        assert _content(node.fetch("p")) == {"f": b"1"}

    def test_a_directory_from_elsewhere_is_published_too(
        self, node: StorageNode, tmp_path: Path
    ) -> None:
        """It is copied, and stays where it was."""
        _build(tmp_path / "mine", {"a/b": b"1"})
        node.publish(tmp_path / "mine", "p")
        assert _content(node.fetch("p")) == {"a/b": b"1"}

    def test_publishing_replaces_nothing(
        self, node: StorageNode, tmp_path: Path
    ) -> None:
        """A directory or object that is there stays as it is."""
        _build(tmp_path / "one", {"f": b"one"})
        _build(tmp_path / "two", {"f": b"two", "g": b""})
        node.publish(tmp_path / "one", "p")
        node.create("o", b"object")
        for taken in ("p", "o"):
            with pytest.raises(ObjectExistsError, match=taken):
                node.publish(tmp_path / "two", taken)
        assert _content(node.fetch("p")) == {"f": b"one"}
        assert node.read("o")[0] == b"object"

    def test_an_empty_or_missing_directory_is_not_published(
        self, node: StorageNode, tmp_path: Path
    ) -> None:
        """There would be nothing to see."""
        (tmp_path / "empty" / "below").mkdir(parents=True)
        for name in ("empty", "missing"):
            with pytest.raises(StorageError):
                node.publish(tmp_path / name, "p")
        with pytest.raises(ObjectNotFoundError):
            node.fetch("p")

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
    def test_links_and_special_files_are_not_published(
        self, node: StorageNode, tmp_path: Path
    ) -> None:
        """Neither a link to a file, to a directory, to nothing, nor a pipe."""
        for number, spoil in enumerate(_SPOILS):
            built = tmp_path / str(number)
            _build(built, {"f": b"1", "sub/g": b"2"})
            spoil(built / "sub" / "bad")
            with pytest.raises(UnsafeKeyError):
                node.publish(built, "p")
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "0")
        with pytest.raises(UnsafeKeyError):
            node.publish(link, "p")
        assert list(node.list("")) == []

    def test_a_published_directory_is_removed_as_a_whole(
        self, node: StorageNode, tmp_path: Path
    ) -> None:
        """After that it can't be fetched, and its name is free."""
        _build(tmp_path / "built", {"f": b"1"})
        node.publish(tmp_path / "built", "m/1.0.0")
        node.delete("m/1.0.0")
        with pytest.raises(ObjectNotFoundError):
            node.fetch("m/1.0.0")
        node.publish(tmp_path / "built", "m/1.0.0")

    # Races

    def test_of_many_threads_one_creates_a_key(self, node: StorageNode) -> None:
        """The winner's bytes are the stored ones."""

        def create(number: int) -> bool:
            try:
                node.create("contested/key", str(number).encode())
            except ObjectExistsError:
                return False
            return True

        won = _at_once(create)
        assert won.count(True) == 1
        assert node.read("contested/key")[0] == str(won.index(True)).encode()

    def test_of_many_threads_one_publishes(
        self, node: StorageNode, tmp_path: Path
    ) -> None:
        """Nobody sees a mixture of two directories."""
        for number in range(_THREADS):
            files = {f"f{number}": b"1", "sub/common": str(number).encode()}
            _build(tmp_path / str(number), files)

        def publish(number: int) -> bool:
            try:
                node.publish(tmp_path / str(number), "m/1.0.0")
            except ObjectExistsError:
                return False
            return True

        won = _at_once(publish)
        assert won.count(True) == 1
        winner = won.index(True)
        assert _content(node.fetch("m/1.0.0")) == {
            f"f{winner}": b"1",
            "sub/common": str(winner).encode(),
        }

    def test_no_swap_of_many_threads_is_lost(self, node: StorageNode) -> None:
        """Each adds one to a counter until its swap goes through."""
        node.create("counter", b"0")

        def add(number: int) -> bool:
            for _ in range(5):
                while True:
                    data, etag = node.read("counter")
                    try:
                        node.replace("counter", b"%d" % (int(data) + 1), etag=etag)
                        break
                    except StaleWriteError:
                        continue
            return True

        _at_once(add)
        assert node.read("counter")[0] == b"%d" % (5 * _THREADS)

    def test_neighbours_come_and_go_without_harm(self, node: StorageNode) -> None:
        """Directories that empty out under a writer make no write fail."""

        def churn(number: int) -> bool:
            for _ in range(10):
                node.create(f"a/b/{number}", b"x")
                node.delete(f"a/b/{number}")
            return True

        assert all(_at_once(churn))
        assert list(node.list("")) == []


def _build(directory: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _content(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


_SPOILS: tuple[Callable[[Path], None], ...] = (
    lambda path: path.symlink_to("../f"),
    lambda path: path.symlink_to("/etc"),
    lambda path: path.symlink_to("nowhere"),
    lambda path: os.mkfifo(path),
)


def _at_once(act: Callable[[int], bool]) -> list[bool]:
    """Call ``act`` with 0, 1, ... in as many threads that begin together."""
    barrier = threading.Barrier(_THREADS)

    def run(number: int) -> bool:
        barrier.wait(timeout=30)
        return act(number)

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(run, range(_THREADS)))
