"""What the tests of deployments share."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from brixa_flows.errors import InsecureSerializationWarning
from brixa_flows.registry import ModelRegistry

NUMBERS = {
    "type": "object",
    "properties": {"a": {"type": "number"}},
    "required": ["a"],
}


def save_version(
    registry: ModelRegistry, name: str, model: Any, reference: Any = None, **facts: Any
) -> str:
    """Register and save a version; returns its number."""
    facts = {"model_type": "test", "input_schema": NUMBERS, **facts}
    version = registry.register_model(name=name, **facts).version
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureSerializationWarning)
        registry.save_model(name, version, model, reference=reference)
    return str(version)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return as soon as it is so.

    Raises:
        AssertionError: If it is not in time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def processes_of(folder: Path, name: str = "") -> list[psutil.Process]:
    """Supervisors of deployments below ``folder``, and their replicas."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            command = process.cmdline()
            if str(folder) in " ".join(command) and (not name or name in command):
                found += [process, *process.children(recursive=True)]
    return found


def none_left(folder: Path, name: str = "", seconds: float = 10.0) -> bool:
    """Do all of them end soon? Kills those that don't."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not processes_of(folder, name):
            return True
        time.sleep(0.05)
    for process in processes_of(folder, name):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    return False
