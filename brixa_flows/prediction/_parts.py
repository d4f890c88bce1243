"""Adapter: predictions as parts beside the output, so that a killed run can be gone on with.

``.OUT.parts/`` holds ``plan.json``, what the parts belong to (the version and the files of
the input, by size and time), and a Parquet file for each so many rows, renamed when it is
whole. The rows of the input come in the same order again, so the number of rows in the
parts says where to go on.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from brixa_flows.errors import DatasetError
from brixa_flows.prediction._outputs import make_folder

__all__ = ["Parts", "opened_parts"]

_PART_ROWS = 50_000


class Parts:
    """The parts of one output; an output itself.

    Args:
        folder: Where they are.

    Attributes:
        rows: How many rows are in parts that an earlier run wrote.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[pa.Table] = []
        self._count = len(self._files())
        self.rows = sum(pq.read_metadata(file).num_rows for file in self._files())

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.parquet"))

    def write(self, table: pa.Table) -> None:
        """Append rows; they are kept whatever happens once a part is full."""
        self._waiting.append(table)
        if sum(each.num_rows for each in self._waiting) >= _PART_ROWS:
            self._keep()

    def _keep(self) -> None:
        if not self._waiting:
            return
        partial = self._folder / "partial"
        with partial.open("wb") as file:
            pq.write_table(pa.concat_tables(self._waiting), file, compression="zstd")
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self._folder / f"{self._count:06d}.parquet")
        self._count += 1
        self._waiting = []

    def copy_into(self, output: Any) -> None:
        """Write all rows, in their order, to another output."""
        self._keep()
        for path in self._files():
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches():
                    output.write(pa.Table.from_batches([batch]))


@contextlib.contextmanager
def opened_parts(output: Path, plan: dict[str, Any]) -> Iterator[Parts]:
    """Parts of an output: those of an interrupted run of the same plan, or none yet.

    They are removed at the end, and after an error that would come again; only who is
    killed or interrupted leaves them.

    Args:
        output: What they will become.
        plan: What they belong to, as JSON values.

    Raises:
        DatasetError: If another process writes them right now.
    """
    folder = output.with_name(f".{output.name}.parts")
    make_folder(folder)
    with (folder / "lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as err:
            raise DatasetError(f"{output} is being written by another process") from err
        _begin(folder, plan)
        try:
            yield Parts(folder)
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        shutil.rmtree(folder, ignore_errors=True)


def _begin(folder: Path, plan: dict[str, Any]) -> None:
    """Remove parts that belong to something else."""
    path = folder / "plan.json"
    text = json.dumps(plan, sort_keys=True)
    with contextlib.suppress(FileNotFoundError):
        if path.read_text() == text:
            return
    for part in folder.glob("*.parquet"):
        part.unlink()
    path.write_text(text)
