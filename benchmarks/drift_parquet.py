"""A window of many rows of Parquet against a stored profile: CPU and memory.

    python benchmarks/drift_parquet.py                 # 10 million rows x 25 columns
    python benchmarks/drift_parquet.py --millions 100

One file of a million rows is written and read under as many names as there are millions,
so that the disk need not hold them all; each is opened, decompressed and counted anew.
The check runs in a process of its own and reads the reference from its profile alone.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from drift_profile import CATEGORIES, NUMBERS, frame

from brixa_flows.drift import DriftDetector, DriftProfile

MOST_MEGABYTES, MOST_SECONDS = 1_000, 1.5


def measure(folder: Path) -> None:
    """In the child: check the window, print what it took."""
    cpu, wall = time.process_time(), time.perf_counter()
    glob = str(folder / "window-*.parquet")
    report = DriftDetector().detect(folder / "profile.parquet", glob)
    facts = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - wall,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rows": report.rows,
        "status": report.status,
    }
    print(json.dumps(facts))


def main() -> None:
    """Write, check in a child, and exit with 1 if a bound is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, default=10)
    parser.add_argument("--child", type=Path)
    options = parser.parse_args()
    if options.child:
        measure(options.child)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        DriftProfile.build(frame(1_000_000, 0, 0.0)).save(folder / "profile.parquet")
        table = pa.Table.from_pandas(frame(1_000_000, 1, 0.0), preserve_index=False)
        pq.write_table(table, folder / "rows.parquet", row_group_size=131_072)
        for number in range(options.millions):
            (folder / f"window-{number:03}.parquet").symlink_to(folder / "rows.parquet")
        command = [sys.executable, __file__, "--child", str(folder)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ}
        )
    found = json.loads(done.stdout.splitlines()[-1])
    seconds = found["cpu"] / options.millions
    columns = NUMBERS + CATEGORIES
    kept = found["megabytes"] < MOST_MEGABYTES and seconds <= MOST_SECONDS
    print(f"{found['rows']:,} rows x {columns} columns of Parquet: {found['status']}")
    print(f"  {seconds:.2f} CPU s per million rows (at most {MOST_SECONDS})")
    print(f"  peak {found['megabytes']:.0f} MB (under {MOST_MEGABYTES})")
    print(f"  {found['wall']:.1f} s in all: {'reached' if kept else 'NOT REACHED'}")
    raise SystemExit(not kept)


if __name__ == "__main__":
    main()
