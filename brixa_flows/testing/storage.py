"""What every storage node must do, as a suite that plug-in authors run too.

::

    from brixa_flows.testing.storage import StorageNodeContract

    class TestMyNode(StorageNodeContract):
        @pytest.fixture
        def node(self):
            return MyNode(...)          # empty
"""

from __future__ import annotations

from collections.abc import Callable
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
from brixa_flows.testing.publishing import THREADS, PublishingContract, at_once

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


class StorageNodeContract(PublishingContract):
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

    # Races

    def test_of_many_threads_one_creates_a_key(self, node: StorageNode) -> None:
        """The winner's bytes are the stored ones."""

        def create(number: int) -> bool:
            try:
                node.create("contested/key", str(number).encode())
            except ObjectExistsError:
                return False
            return True

        won = at_once(create)
        assert won.count(True) == 1
        assert node.read("contested/key")[0] == str(won.index(True)).encode()

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

        at_once(add)
        assert node.read("counter")[0] == b"%d" % (5 * THREADS)

    def test_neighbours_come_and_go_without_harm(self, node: StorageNode) -> None:
        """Directories that empty out under a writer make no write fail."""

        def churn(number: int) -> bool:
            for _ in range(10):
                node.create(f"a/b/{number}", b"x")
                node.delete(f"a/b/{number}")
            return True

        assert all(at_once(churn))
        assert list(node.list("")) == []
