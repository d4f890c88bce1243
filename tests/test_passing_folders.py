"""Temporary folders: those of the dead go, those of the living stay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from brixa_flows import passing_folders
from brixa_flows.passing_folders import make_folder, passing_folder, remove_folder

OWNER = """
import os, signal, sys
from brixa_flows.passing_folders import make_folder
folder = make_folder("load")
(folder / "weights").write_bytes(b"x" * 1000)
print(folder, flush=True)
sys.stdin.readline()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(passing_folders, "_LOCKED_WITHIN_SECONDS", -1.0)
    monkeypatch.setattr(passing_folders, "_SWEPT_EVERY_SECONDS", 0.0)
    return tmp_path


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", OWNER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process


def kill(owner: subprocess.Popen[str]) -> None:
    assert owner.stdin is not None
    owner.stdin.write("\n")
    owner.stdin.flush()
    assert owner.wait(30) == -signal.SIGKILL


def test_what_a_killed_process_left_goes_when_another_makes_a_folder(
    owner: subprocess.Popen[str], temporary: Path
) -> None:
    assert owner.stdout is not None
    theirs = Path(owner.stdout.readline().strip())
    with passing_folder("load") as ours:
        assert theirs.is_dir(), "its owner lives"
        kill(owner)
        assert theirs.is_dir()
        with passing_folder("mlflow"):
            assert not theirs.exists()
            assert ours.is_dir()
    assert list(temporary.iterdir()) == []


def test_one_that_is_being_made_is_left_alone(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing_folders, "_LOCKED_WITHIN_SECONDS", 60.0)
    made = temporary / "brixa-own-load-x"
    made.mkdir()
    remove_folder(make_folder("load"))
    assert made.is_dir()


def test_links_and_files_of_that_name_lead_nowhere(
    temporary: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    precious = tmp_path_factory.mktemp("precious")
    (precious / "kept").touch()
    (temporary / "brixa-own-link").symlink_to(precious)
    (temporary / "brixa-own-file").touch()
    remove_folder(make_folder("load"))
    assert (precious / "kept").exists()
    assert (temporary / "brixa-own-file").exists()


def test_a_folder_ends_with_its_block_and_lets_its_descriptor_go() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with passing_folder("keys") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    assert len(os.listdir("/proc/self/fd")) == before
