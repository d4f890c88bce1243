"""Run as a script: saves during which the operating system reports an error.

``python fault_driver.py STORAGE_ROOT TRACKING_URI FAULT...`` prints one JSON object. A
fault is ``SYSCALL:ERRNO:N``: the N-th such call of a thread fails, by strace, which
attaches to the process when it is about to save.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from process_driver import MODEL, fork, open_registry, take_number

from brixa_flows.errors import BrixaError

PR_SET_PTRACER, ANYBODY = 0x59616D61, -1
ACKNOWLEDGED, REFUSED = 0, 3


def save(root: str, uri: str, name: str, go: Path) -> None:
    """Save when told; the answer is an exit code, as writing it could fail too."""
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY, 0, 0, 0)
    registry = open_registry(root, uri)
    registry.tracking.ping()
    while not go.exists():
        time.sleep(0.001)
    try:
        registry.save_model(name, "1.0.0", MODEL)
    except BrixaError:
        os._exit(REFUSED)


def inject(root: str, uri: str, name: str, fault: str) -> tuple[int, bool]:
    """The exit code of a save with a fault, and whether the fault was met."""
    syscall, error, number = fault.split(":")
    go, log = Path(root) / f"go-{name}", Path(root) / f"strace-{name}"
    pid = fork(lambda: save(root, uri, name, go))
    words = ["strace", "-f", "-o", str(log), "-p", str(pid), "-e", f"trace={syscall}"]
    words += ["-e", f"inject={syscall}:error={error}:when={number}"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        assert "attached" in strace.stderr.readline()
        go.touch()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        strace.stderr.read()
    return code, "(INJECTED)" in log.read_text()


def main(root: str, uri: str, *faults: str) -> dict[str, Any]:
    names = {f"m{number}": fault for number, fault in enumerate(faults)}
    codes = {}
    for name, fault in names.items():
        take_number(root, name)
        codes[fault] = inject(root, uri, name, fault)
    registry = open_registry(root, uri)
    before = {
        fault: registry.get_metadata(name, "1.0.0").state
        for name, fault in names.items()
    }
    registry.recover()
    again = [str(action) for action in registry.recover()]
    found = {}
    for name, fault in names.items():
        if registry.get_metadata(name, "1.0.0").state == "registered":
            registry.save_model(name, "1.0.0", MODEL)
        registry.verify(name, "1.0.0")
        model = registry.load_model(name)
        found[fault] = model.predict([[0.0], [1.0]]).tolist()
    return {"codes": codes, "before": before, "again": again, "found": found}


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
