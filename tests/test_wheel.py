"""What is built is complete: both packages, type markers, and a project to lay down."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _run(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
        *("--outdir", str(folder), str(ROOT)),
        cwd=folder,
    )
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_carries_both_packages_and_the_project(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for expected in (
        "brixa_flows/py.typed",
        "brixa_flows/logo.png",
        "brixa/ai/registry/__init__.py",
        "brixa/ai/registry/py.typed",
        "brixa/storage/local.py",
        "brixa_flows/_project/prefect.yaml",
        "brixa_flows/_project/flows/train.py",
        "brixa_flows/_project/blocks/__main__.py",
    ):
        assert expected in names
    assert "brixa/__init__.py" not in names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_installed_wheel_answers_and_lays_a_project_down(
    wheel: Path, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps")
    _run(*pip, "--target", str(site), str(wheel), cwd=tmp_path)
    brixa = (sys.executable, "-m", "brixa_flows.cli")
    where = "import brixa_flows, brixa.ai.registry as r; print(brixa_flows.__file__)"
    path = {"PYTHONPATH": str(site)}

    printed = _run(sys.executable, "-c", where, cwd=tmp_path, **path)
    assert printed.startswith(str(site))
    assert "deployment" in _run(*brixa, "--help", cwd=tmp_path, **path)
    _run(*brixa, "init", "project", cwd=tmp_path, **path)
    assert (tmp_path / "project" / "flows" / "train.py").exists()
