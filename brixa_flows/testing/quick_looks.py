"""What a storage node must do that offers quick looks beside, as a suite for authors.

::

    from brixa_flows.testing.quick_looks import QuickLooksContract

    class TestMyNodesQuickLooks(QuickLooksContract):
        @pytest.fixture
        def node(self):
            return MyNode(...)          # empty

        @pytest.fixture
        def other(self, node):
            return MyNode(...)          # the same place, as another process has it
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest

from brixa_flows.errors import StorageError
from brixa_flows.storage.base import QuickLooks, StorageNode

__all__ = ["QuickLooksContract", "QuickNode"]

_WRITERS = 4
_EACH = 25


class QuickNode(StorageNode, QuickLooks, Protocol):
    """A node with quick looks."""


class QuickLooksContract:
    """Behaviour of :class:`~brixa_flows.storage.base.QuickLooks`.

    A subclass overrides the fixtures ``node`` and ``other``.
    """

    @pytest.fixture
    def node(self) -> QuickNode:
        """An empty node."""
        raise NotImplementedError("override the fixture 'node'")

    @pytest.fixture
    def other(self, node: QuickNode) -> QuickNode:
        """Another node on the same place."""
        raise NotImplementedError("override the fixture 'other'")

    @pytest.fixture
    def settle(self) -> Callable[[], None]:
        """Let so much time pass that the node believes in what it sees."""
        return lambda: time.sleep(2.1)

    def test_names_are_those_of_the_objects_right_below(self, node: QuickNode) -> None:
        """Sorted, without those in subdirectories; none where nothing is."""
        assert node.names("a") == ()
        for key in ("a/2", "a/1", "a/b/3", "c"):
            node.create(key, b"")
        assert node.names("a") == ("1", "2")
        assert node.names("") == ("c",)
        with pytest.raises(StorageError):
            node.names("c")

    def test_the_tuple_is_the_same_until_a_name_comes_or_goes(
        self, node: QuickNode, other: QuickNode, settle: Callable[[], None]
    ) -> None:
        """Who made the change makes no difference."""
        node.create("a/1", b"")
        settle()
        seen = node.names("a")
        assert node.names("a") is seen
        for writer, key in ((node, "a/2"), (other, "a/3"), (node, "a/4")):
            writer.create(key, b"")
            before, seen = seen, node.names("a")
            assert seen == (*before, key[-1])
        for writer, key in ((other, "a/3"), (node, "a/1")):
            writer.delete(key)
            assert key[-1] not in node.names("a")
        assert node.names("a") == other.names("a") == ("2", "4")

    def test_of_many_writers_at_once_no_name_is_missed(
        self, node: QuickNode, other: QuickNode, settle: Callable[[], None]
    ) -> None:
        """What was written before the look is in it, whoever wrote it."""
        node.create("a/first", b"")
        settle()
        assert node.names("a") == other.names("a") == ("first",)

        def write(writer: int) -> list[bool]:
            mine, seen = (node, other)[writer % 2], []
            for number in range(_EACH):
                name = f"{writer}-{number:03}"
                mine.create(f"a/{name}", b"")
                seen += [name in node.names("a"), name in other.names("a")]
            return seen

        with ThreadPoolExecutor(_WRITERS) as pool:
            assert all(all(seen) for seen in pool.map(write, range(_WRITERS)))
        assert len(node.names("a")) == 1 + _WRITERS * _EACH
        assert node.names("a") == other.names("a")

    def test_a_mark_changes_with_any_of_the_objects(
        self, node: QuickNode, other: QuickNode, settle: Callable[[], None]
    ) -> None:
        """Written again, gone, or come where nothing was."""
        etag = node.create("a", b"1")
        keys = ("a", "b")
        settle()
        marks = [node.mark(keys)]
        assert node.mark(keys) == marks[0] is not None
        steps: tuple[Callable[[], object], ...] = (
            lambda: other.replace("a", b"2", etag=etag),
            lambda: other.create("b", b""),
            lambda: node.delete("a"),
        )
        for step in steps:
            step()
            assert node.mark(keys) not in marks
            settle()
            marks.append(node.mark(keys))
        assert None not in marks and len(set(marks)) == len(marks)

    def test_what_was_written_right_now_has_no_mark_or_never_the_same(
        self, node: QuickNode
    ) -> None:
        """A second write at once shows, however coarse the clock."""
        etag = node.create("a", b"0")
        for number in range(50):
            before = node.mark(["a"])
            etag = node.replace("a", b"%d" % (number % 10), etag=etag)
            assert before is None or node.mark(["a"]) != before
