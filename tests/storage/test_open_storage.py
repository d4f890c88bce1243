"""open_storage finds the node that a path, a URI or the settings mean."""

from __future__ import annotations

import pytest

from brixa_flows.errors import SettingsError, StorageError, UnknownPluginError
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage import open_storage
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.storage.memory import MemoryStorageNode


def test_a_path_and_a_file_uri_open_a_folder(tmp_path):
    for given in (str(tmp_path / "a b"), tmp_path / "a b", (tmp_path / "a b").as_uri()):
        node = open_storage(given)
        assert isinstance(node, LocalStorageNode)
        assert node.root == (tmp_path / "a b").resolve()
        assert open_storage(node.uri).uri == node.uri


def test_a_memory_uri_opens_an_empty_node_in_memory():
    node = open_storage("memory://")
    assert isinstance(node, MemoryStorageNode)
    node.create("a", b"1")
    assert list(open_storage("memory://").list("")) == []


@pytest.mark.parametrize("uri", ["ftp://host/x", "http://host", "://x"])
def test_an_unknown_scheme_lists_the_known_types(uri):
    with pytest.raises(UnknownPluginError, match="known: local, memory"):
        open_storage(uri)


@pytest.mark.parametrize("uri", ["file://host/x", "file://"])
def test_a_file_uri_of_another_machine_is_refused(uri):
    with pytest.raises(StorageError, match="write file:///FOLDER"):
        open_storage(uri)


@pytest.mark.parametrize("uri", ["", "  "])
def test_an_empty_uri_is_not_the_working_directory(uri):
    with pytest.raises(StorageError, match="no storage is named"):
        open_storage(uri)


def test_without_a_uri_the_environment_decides(tmp_path, monkeypatch):
    monkeypatch.setenv("BRXA_STORAGE_PATH", str(tmp_path / "from-env"))
    node = open_storage()
    assert isinstance(node, LocalStorageNode) and node.root.name == "from-env"
    monkeypatch.setenv("BRXA_STORAGE_TYPE", "memory")
    assert isinstance(open_storage(), MemoryStorageNode)


def test_given_settings_win_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("BRXA_STORAGE_PATH", str(tmp_path / "from-env"))
    given = BrixaSettings(storage_path=str(tmp_path / "given"))
    assert open_storage(settings=given).uri == (tmp_path / "given").resolve().as_uri()


@pytest.mark.parametrize(
    ("kind", "path"), [("local", "s3://bucket/x"), ("s3", "./data"), ("gcs", "s3://b")]
)
def test_type_and_path_that_contradict_each_other_are_refused(kind, path):
    with pytest.raises(SettingsError, match="change one of the two"):
        open_storage(settings=BrixaSettings(storage_type=kind, storage_path=path))
