"""The manifest guards the directory before any parser sees it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from brixa_flows.errors import (
    DamagedArtifactError,
    InvalidMetadataError,
    SerializationError,
)
from brixa_flows.serializers import (
    PROTOCOL,
    SavedModel,
    build_manifest,
    read_manifest,
    verify_manifest,
    write_manifest,
)

PICKLE = SavedModel("pickle", "pickle", "code", "model.pkl")


class Marker:
    """A model whose unpickling leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def ran(tmp_path):
    """Exists once stored code ran."""
    return tmp_path / "the-code-ran"


@pytest.fixture
def version(tmp_path, ran, save):
    """A saved model that runs code when it is parsed, with a second file beside it."""
    directory = tmp_path / "version"
    directory.mkdir()
    (directory / "lineage").mkdir()
    (directory / "lineage" / "lineage.json").write_text("{}")
    save(Marker(ran), directory)
    return directory


def test_the_model_of_these_tests_does_run_code_when_it_is_parsed(version, ran, load):
    load(version)
    assert ran.exists()


def _change(version):
    path = version / "model.pkl"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


def _truncate(version):
    path = version / "model.pkl"
    path.write_bytes(path.read_bytes()[:-1])


def _link(version):
    path = version / "model.pkl"
    shutil.move(path, version.parent / "elsewhere.pkl")
    path.symlink_to(version.parent / "elsewhere.pkl")


def _link_folder(version):
    path = version / "lineage"
    shutil.move(path, version.parent / "elsewhere")
    path.symlink_to(version.parent / "elsewhere")


TAMPERING = {
    "changed": (_change, "model.pkl.*sha256"),
    "truncated": (_truncate, "model.pkl.*bytes instead of"),
    "linked": (_link, "model.pkl.*link"),
    "folder linked": (_link_folder, "lineage.*link"),
    "missing": (lambda v: (v / "lineage/lineage.json").unlink(), "lineage.*missing"),
    "extra": (lambda v: (v / "sub.py").write_text(""), "sub.py.*not saved with it"),
    "fifo": (lambda v: os.mkfifo(v / "pipe"), "pipe.*special file"),
    "manifest missing": (lambda v: (v / "config.json").unlink(), "config.json.*miss"),
    "manifest no JSON": (
        lambda v: (v / "config.json").write_text("{"),
        "no.* manifest",
    ),
}


@pytest.mark.parametrize("how", TAMPERING)
def test_a_tampered_directory_is_refused_before_its_code_can_run(
    how, version, ran, load
):
    tamper, message = TAMPERING[how]
    tamper(version)
    with pytest.raises(DamagedArtifactError, match=message):
        load(version)
    assert not ran.exists()


def test_a_linked_manifest_is_refused(version, ran, load):
    shutil.move(version / "config.json", version.parent / "config.json")
    (version / "config.json").symlink_to(version.parent / "config.json")
    with pytest.raises(DamagedArtifactError, match="not a regular file"):
        load(version)
    assert not ran.exists()


def test_the_note_that_mlflow_leaves_is_no_damage(version):
    (version / "registered_model_meta").write_text("model_name: tiny\n")
    verify_manifest(version, read_manifest(version))


def test_a_manifest_and_its_digest_survive_the_file(version):
    first = read_manifest(version)
    write_manifest(version, first)
    assert read_manifest(version) == first
    assert read_manifest(version).digest == first.digest
    assert first.digest.startswith("sha256:") and len(first.digest) == 71
    assert first.environment.keys() >= {"python", "numpy", "brixa-flows"}
    assert set(first.files) == {"model.pkl", "lineage/lineage.json"}
    assert first.size_bytes == sum(
        (version / path).stat().st_size for path in first.files
    )


@pytest.mark.parametrize(
    "core", [{"name": "b", "columns": {"x": 1, "y": 2}}, {"columns": {"y": 2, "x": 1}}]
)
def test_the_digest_covers_metadata_and_the_order_of_columns(version, core):
    first = build_manifest(version, PICKLE, {"columns": {"x": 1, "y": 2}})
    assert build_manifest(version, PICKLE, core).digest != first.digest


def test_a_newer_protocol_is_refused_with_what_to_do(version):
    content = json.loads((version / "config.json").read_text())
    content["protocol"] = PROTOCOL + 1
    (version / "config.json").write_text(json.dumps(content))
    with pytest.raises(SerializationError, match="upgrade"):
        read_manifest(version)


UNKNOWN_FIELDS = {
    "the manifest": lambda content: content,
    "what was saved": lambda content: content["saved"],
    "a file": lambda content: content["files"]["model.pkl"],
}


@pytest.mark.parametrize("place", UNKNOWN_FIELDS)
def test_a_field_that_this_protocol_does_not_know_is_no_manifest(
    place, version, ran, load
):
    content = json.loads((version / "config.json").read_text())
    UNKNOWN_FIELDS[place](content)["encrypted"] = True
    (version / "config.json").write_text(json.dumps(content))
    with pytest.raises(DamagedArtifactError, match="encrypted"):
        load(version)
    assert not ran.exists()


@pytest.mark.parametrize("protocol", [None, 0, -1, "newest", str(PROTOCOL + 1), [1]])
def test_a_protocol_that_is_no_number_from_one_up_is_no_manifest(version, protocol):
    content = json.loads((version / "config.json").read_text())
    content["protocol"] = protocol
    (version / "config.json").write_text(json.dumps(content))
    with pytest.raises(DamagedArtifactError, match="protocol"):
        read_manifest(version)


@pytest.mark.parametrize("path", ["../evil.pkl", "/etc/passwd", "a/../../b"])
def test_a_path_out_of_the_directory_is_no_manifest(version, path):
    content = json.loads((version / "config.json").read_text())
    content["files"][path] = content["files"]["model.pkl"]
    content["saved"]["entry"] = path
    (version / "config.json").write_text(json.dumps(content))
    with pytest.raises(DamagedArtifactError, match="leaves the directory"):
        read_manifest(version)


def test_an_entry_that_is_not_listed_is_no_manifest(version):
    content = json.loads((version / "config.json").read_text())
    content["saved"]["entry"] = "other.pkl"
    (version / "config.json").write_text(json.dumps(content))
    with pytest.raises(DamagedArtifactError, match="not among the files"):
        read_manifest(version)


def test_metadata_that_is_no_json_is_refused(version):
    with pytest.raises(InvalidMetadataError, match="core"):
        build_manifest(version, PICKLE, {"when": object()})


def test_a_directory_with_a_link_gets_no_manifest(version):
    (version / "link").symlink_to("/etc/passwd")
    with pytest.raises(SerializationError, match="link"):
        build_manifest(version, PICKLE)
