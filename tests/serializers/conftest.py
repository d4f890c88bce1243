"""A model to a directory in a line, and a process that knows only that directory."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brixa_flows import disks
from brixa_flows.errors import InsecureSerializationWarning
from brixa_flows.serializers import (
    ArtifactManifest,
    LoadOptions,
    SaveOptions,
    build_manifest,
    check_trust,
    environment_of,
    hashing,
    load_model_files,
    read_manifest,
    save_model_files,
    verify_manifest,
    write_manifest,
)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HERE = Path(__file__).parent
# The classes that golden artifacts name, which contracts use too.
sys.path.append(str(HERE.parent / "data" / "protocol-1" / "classes"))


def save(model: Any, directory: Path, **options: Any) -> ArtifactManifest:
    """A finished version directory; warnings are another test's matter."""
    directory.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureSerializationWarning)
        framework, saved = save_model_files(
            model, directory, None, SaveOptions(**options)
        )
    core = {"name": "tiny", "version": "1.0.0"}
    environment = environment_of(model, framework)
    manifest = build_manifest(directory, saved, core, environment)
    write_manifest(directory, manifest)
    return manifest


def load(directory: Path, recorded_digest: str | None = None, **options: Any) -> Any:
    """All steps of loading, in their order."""
    manifest = read_manifest(directory)
    verify_manifest(directory, manifest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureSerializationWarning)
        check_trust(manifest, recorded_digest=recorded_digest, trust="code")
    return load_model_files(directory, manifest, LoadOptions(**options))


def in_fresh_process(script: str, *arguments: object) -> str:
    """Output of a script of this folder, run by a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(HERE), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, str(HERE / script), *map(str, arguments)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are as if they had been written long ago, on a disk of this machine."""
    monkeypatch.setattr(disks, "SETTLED_AFTER_NANOSECONDS", 0)
    monkeypatch.setattr(hashing, "times_are_true", lambda descriptor: True)


@pytest.fixture(name="save")
def _save() -> Callable[..., ArtifactManifest]:
    return save


@pytest.fixture(name="load")
def _load() -> Callable[..., Any]:
    return load


@pytest.fixture(name="in_fresh_process")
def _in_fresh_process() -> Callable[..., str]:
    return in_fresh_process
