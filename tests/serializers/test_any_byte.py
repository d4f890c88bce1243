"""Whatever one changes in a saved version, it is refused before a parser sees it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from brixa_flows.errors import BrixaError, DamagedArtifactError, SerializationError
from brixa_flows.serializers import (
    SaveOptions,
    build_manifest,
    check_trust,
    read_manifest,
    verify_manifest,
    write_manifest,
)
from brixa_flows.testing.serializers import SavedVersion

ADDITIONS = {"lineage.json": b"{}", "model/empty": b"", "model/two": b"\n"}
pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A version with files of every size, and what was recorded of it."""
    directory = tmp_path_factory.mktemp("any-byte") / "version"
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    version = SavedVersion.of(model, directory, SaveOptions())
    for name, content in ADDITIONS.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(content)
    manifest = build_manifest(
        directory, version.manifest.saved, {"name": "tiny", "version": "1.0.0"}
    )
    write_manifest(directory, manifest)
    content = {
        path: path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }
    return directory, manifest.digest, content


def check(directory: Path, digest: str) -> None:
    """Every step before a parser."""
    manifest = read_manifest(directory)
    verify_manifest(directory, manifest)
    check_trust(manifest, recorded_digest=digest)


def test_the_version_of_these_tests_is_whole(saved):
    directory, digest, _ = saved
    check(directory, digest)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_one_changed_inserted_or_missing_byte_of_any_file_is_refused(saved, data):
    directory, digest, contents = saved
    path = data.draw(st.sampled_from(sorted(contents)))
    content = contents[path]
    place = data.draw(st.integers(0, max(0, len(content) - 1)))
    new = data.draw(st.binary(max_size=2))
    changed = content[:place] + new + content[place + 1 :]
    try:
        path.write_bytes(changed)
        if changed == content:
            check(directory, digest)
            return
        with pytest.raises((DamagedArtifactError, SerializationError)):
            check(directory, digest)
    finally:
        path.write_bytes(content)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_other_list_of_files_is_refused(saved, data):
    directory, digest, contents = saved
    names = st.text("abz.-_/ \n", min_size=1, max_size=8).map(lambda name: f"n{name}")
    path = data.draw(st.sampled_from(sorted(contents)))
    how = data.draw(st.sampled_from(["add", "rename", "remove", "swap"]))
    copy = directory.with_name("copy")
    shutil.copytree(directory, copy)
    victim = copy / path.relative_to(directory)
    try:
        target = copy / data.draw(names).strip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if how == "add":
            target.write_bytes(data.draw(st.binary(max_size=3)))
        elif how == "rename":
            victim.rename(target)
        elif how == "remove":
            victim.unlink()
        else:
            other = data.draw(st.sampled_from(sorted(contents)))
            shutil.copy(other, victim)
            if other == path:
                return
        with pytest.raises(BrixaError):
            check(copy, digest)
    finally:
        shutil.rmtree(copy)
