"""What holds when the disk is full or breaks in the middle of a save."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.requirements_present import require

DRIVER = Path(__file__).with_name("fault_driver.py")
FAULTS = (
    "fsync:EIO:1",
    "fsync:ENOSPC:4",
    "linkat:ENOSPC:1",
    "renameat:EIO:2",
    "write:ENOSPC:3",
)


def test_an_error_of_the_disk_leaves_a_version_whole_or_absent(
    tmp_path: Path, tracking_uri: str
) -> None:
    require("strace", shutil.which("strace") is not None)
    root = tmp_path / "storage"
    root.mkdir()
    done = subprocess.run(
        [sys.executable, str(DRIVER), str(root), tracking_uri, *FAULTS],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert all(met for _, met in found["codes"].values()), found["codes"]
    for fault, (code, _) in found["codes"].items():
        assert code in (0, 3), "an acknowledged save, or an error of ours"
        assert (code, found["before"][fault]) != (0, "registered"), fault
    assert 3 in {code for code, _ in found["codes"].values()}
    assert [each for each in found["again"] if "staging removed" not in each] == []
    assert found["found"] == {fault: [0, 1] for fault in FAULTS}
