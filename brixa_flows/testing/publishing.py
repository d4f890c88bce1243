"""The part of the storage contract that is about whole directories."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from brixa_flows.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
    UnsafeKeyError,
)
from brixa_flows.storage.base import StorageNode

__all__ = ["THREADS", "PublishingContract", "at_once"]

THREADS = 8
"""How many begin together in a race."""


class PublishingContract:
    """Staging, publishing and fetching; see :class:`.StorageNodeContract`."""

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

    def test_of_many_threads_one_publishes(
        self, node: StorageNode, tmp_path: Path
    ) -> None:
        """Nobody sees a mixture of two directories."""
        for number in range(THREADS):
            files = {f"f{number}": b"1", "sub/common": str(number).encode()}
            _build(tmp_path / str(number), files)

        def publish(number: int) -> bool:
            try:
                node.publish(tmp_path / str(number), "m/1.0.0")
            except ObjectExistsError:
                return False
            return True

        won = at_once(publish)
        assert won.count(True) == 1
        winner = won.index(True)
        assert _content(node.fetch("m/1.0.0")) == {
            f"f{winner}": b"1",
            "sub/common": str(winner).encode(),
        }


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


def at_once(act: Callable[[int], bool]) -> list[bool]:
    """Call ``act`` with 0, 1, ... in as many threads that begin together."""
    barrier = threading.Barrier(THREADS)

    def run(number: int) -> bool:
        barrier.wait(timeout=30)
        return act(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))
