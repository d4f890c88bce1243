"""The node in memory keeps the contract."""

from __future__ import annotations

import gc

import pytest

from brixa_flows.storage.memory import MemoryStorageNode
from brixa_flows.testing.storage import StorageNodeContract


class TestMemoryStorageNode(StorageNodeContract):
    """The contract, in memory."""

    @pytest.fixture
    def node(self):
        """An empty node."""
        return MemoryStorageNode()


def test_fetching_again_gives_the_same_directory_until_it_changes(tmp_path):
    node = MemoryStorageNode()
    (tmp_path / "f").write_bytes(b"1")
    node.publish(tmp_path, "p")
    first = node.fetch("p")
    assert node.fetch("p") == first
    node.create("p/later", b"2")
    assert (node.fetch("p") / "later").read_bytes() == b"2"


def test_its_temporary_folder_goes_with_the_node(tmp_path):
    node = MemoryStorageNode()
    (tmp_path / "f").write_bytes(b"1")
    node.publish(tmp_path, "p")
    fetched = node.fetch("p")
    del node
    gc.collect()
    assert not fetched.exists()
