"""Where the Prefect project (prefect.yaml, flows, blocks) is, and how to copy it."""

from __future__ import annotations

import shutil
from pathlib import Path

import brixa_flows
from brixa_flows.errors import OrchestrationError

__all__ = ["copy_project", "project_files"]

_PARTS = ("prefect.yaml", "flows", "blocks")


def project_files() -> Path:
    """The folder with prefect.yaml, flows and blocks: the clone's, or the wheel's.

    Raises:
        OrchestrationError: If this installation has neither.
    """
    package = Path(brixa_flows.__file__).parent
    for folder in (package / "_project", package.parent):
        if all((folder / part).exists() for part in _PARTS):
            return folder
    raise OrchestrationError(
        f"neither {package / '_project'} nor {package.parent} holds the Prefect "
        "project; install brixa-flows again, or run inside a clone of it"
    )


def copy_project(directory: Path) -> list[Path]:
    """Lay a ready Prefect project down.

    Args:
        directory: Where; made if it does not exist.

    Returns:
        The files and folders that were made.

    Raises:
        OrchestrationError: If one of them is there already; nothing is changed then.
    """
    taken = [part for part in _PARTS if (directory / part).exists()]
    if taken:
        raise OrchestrationError(
            f"{directory} has {', '.join(taken)} already, so nothing was written; "
            "choose another folder",
            directory=str(directory),
        )
    directory.mkdir(parents=True, exist_ok=True)
    source = project_files()
    for part in _PARTS:
        if (source / part).is_dir():
            hidden = shutil.ignore_patterns("__pycache__", "*.pyc")
            shutil.copytree(source / part, directory / part, ignore=hidden)
        else:
            shutil.copy(source / part, directory / part)
    return [directory / part for part in _PARTS]
