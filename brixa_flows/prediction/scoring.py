"""Batch prediction: files or a query in, the same rows with predictions out.

Rows are read, predicted and written batch by batch, so memory does not grow with them.
The output appears under its name when all of it is written, or never. Beside it stands a
drift profile of the rows, if the version was saved with one to compare with.
"""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from brixa_flows.errors import DatasetError, some_of
from brixa_flows.plugins import import_adapter
from brixa_flows.prediction.forms import InputForm
from brixa_flows.prediction.predictor import ModelPredictor
from brixa_flows.prediction.scored import JudgedAnswers, SeenWindow, WindowRows
from brixa_flows.prediction.sources import Chunk, Source, open_source
from brixa_flows.serializers.progress import progress_of_rows

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry
    from brixa_flows.versioning import ModelVersion

__all__ = ["ScoringReport", "is_database", "score"]

_FORMATS = (".csv", ".parquet")


@dataclass(frozen=True)
class ScoringReport:
    """What was scored.

    Attributes:
        model_name: The model.
        version: The version that predicted.
        rows: How many.
        seconds: How long it took.
        output: Where they are, without passwords.
        profile: Where their drift profile is; empty if the version has none to compare
            with, or there is no file that it could stand beside.
        seen: What was seen of the rows on the way.
    """

    model_name: str
    version: str
    rows: int
    seconds: float
    output: str
    profile: str = ""
    seen: SeenWindow = SeenWindow()

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON knows it, without what was seen of the rows."""
        names = [each.name for each in fields(self) if each.name != "seen"]
        return {name: getattr(self, name) for name in names}


def is_database(text: str) -> bool:
    """Is it SQLAlchemy's address of a database (``postgresql://...``), and no path?"""
    scheme, found, _ = text.partition("://")
    return bool(found) and scheme.isascii() and scheme != "file"


def score(
    registry: ModelRegistry,
    name: str,
    spec: ModelVersion | str | None,
    source: str | Path,
    output: str | Path,
    *,
    query: str | None = None,
    table: str | None = None,
    ids: Sequence[str] = (),
    overwrite: bool = False,
    batch_rows: int | None = None,
    trust: Literal["code"] | None = None,
    resume: bool = False,
    judge: bool = False,
) -> ScoringReport:
    """Predict every row of a source and write it with its prediction.

    The output has the columns of the input (or ``ids`` alone), ``prediction``,
    ``probability_LABEL`` where the model has them, ``model_version`` and
    ``predicted_at``.

    Args:
        registry: Where the version is.
        name: The model.
        spec: Version, stage, alias or constraint; ``None`` is production, else the
            highest stable one.
        source: CSV or Parquet file, folder or glob; or a database's address.
        output: ``.csv`` or ``.parquet`` file; or a database's address.
        query: What to read from a database.
        table: What to write into a database.
        ids: Columns to keep, all by default; no inputs of models of unnamed columns.
        overwrite: Replace an output that is there, when the new one is whole.
        batch_rows: Rows at once, at most; ``None`` for what suits the model.
        trust: As in ``registry.load_model``.
        resume: Keep finished rows beside the output until it is whole; when this call
            was killed, the same one goes on behind them. From files to a file only.
        judge: Tell how good the version was, by what was learned; not with ``resume``.

    Raises:
        DatasetError: If the input does not fit the model or can't be read, or the
            output is there already; then nothing is left of it.
        VersionNotFoundError: If no ready version answers to ``spec``.
    """
    started = time.monotonic()
    _check(str(source), str(output), query, table, overwrite, resume)
    predictor = ModelPredictor.from_registry(registry, name, spec, trust=trust)
    form = InputForm.of(predictor.metadata)
    rows = _rows_at_once(form, batch_rows)
    version = str(predictor.metadata.version)
    window = WindowRows.of(registry, name, version)
    judged = JudgedAnswers.of(registry, predictor, asked=judge and not resume)
    run = _Run(predictor, tuple(ids), window, judged)
    opened = _open(source, query, rows, form.texts)
    plan = _plan_of(name, version, str(source), ids, rows) if resume else None
    run.write_all(opened, _output(str(output), table, overwrite), str(output), plan)
    seconds = time.monotonic() - started
    where, profile = _places(str(output), table, window)
    seen = SeenWindow(window.profile, *judged.tell())
    return ScoringReport(name, version, run.rows, seconds, where, profile, seen)


class _Run:
    """One pass over the rows.

    Args:
        predictor: The version.
        ids: Columns to keep; all if there are none.
        window: Counts the rows for drift.
        judged: Keeps the answers to tell how good they are.
    """

    def __init__(
        self,
        predictor: ModelPredictor,
        ids: tuple[str, ...],
        window: WindowRows,
        judged: JudgedAnswers,
    ) -> None:
        self._predictor = predictor
        self._form = InputForm.of(predictor.metadata)
        self._ids = ids
        self._moment = datetime.now(UTC)
        self._window = window
        self._judged = judged
        self.rows = 0

    def write_all(
        self,
        source: Source,
        opened: AbstractContextManager[Any],
        output: str,
        plan: dict[str, Any] | None,
    ) -> None:
        """Write all rows; by a plan, behind those that an earlier run left.

        Args:
            source: Where they are.
            opened: Opens where they go.
            output: The name of that.
            plan: What parts of the output belong to.

        Raises:
            DatasetError: If there are none, they don't fit, or the output is there.
        """
        if plan is None:
            with opened as written:
                self.write(source, written)
            return
        with _parts().opened_parts(Path(output), plan) as parts:
            self.write(source, parts, skip_rows=parts.rows)
            with opened as written:
                parts.copy_into(written)

    def write(self, source: Source, output: Any, skip_rows: int = 0) -> None:
        """Write the rows with their predictions, batch by batch.

        Args:
            source: Where they are.
            output: Where they go.
            skip_rows: So many are there already; they are looked at for drift only.

        Raises:
            DatasetError: If there are none, or they don't fit.
        """
        with progress_of_rows(f"asking {self._form.model}", source.rows) as advance:
            for chunk in source.chunks():
                if self.rows == 0:
                    self._check_ids(chunk.table.column_names)
                if self.rows >= skip_rows:
                    output.write(self._scored(chunk))
                else:
                    self._window.add(chunk.table)
                self.rows += chunk.table.num_rows
                advance(chunk.table.num_rows)
        if not self.rows:
            raise DatasetError(f"{source.name} has no rows")

    def _check_ids(self, names: list[str]) -> None:
        lacking = [name for name in self._ids if name not in names]
        if lacking:
            raise DatasetError(
                f"the input has no column {lacking[0]!r} to keep; it has "
                f"{some_of(names)}"
            )

    def _scored(self, chunk: Chunk) -> Any:
        table = chunk.table
        self._form.check_table(table, self._ids, self.rows)
        prediction = self._predictor.predict(self._form.from_table(table, self._ids))
        if len(prediction.values) != table.num_rows:
            raise DatasetError(
                f"{self._form.model} answered {len(prediction.values)} values for "
                f"{table.num_rows} rows"
            )
        self._window.add(table)
        self._judged.add(chunk, prediction)
        kept = table.select(self._ids) if self._ids else table
        version = str(self._predictor.metadata.version)
        return _outputs().scored_table(kept, prediction, version, self._moment)


def _places(output: str, table: str | None, window: WindowRows) -> tuple[str, str]:
    """Where the rows are, without passwords, and where their profile is, if anywhere."""
    if table is not None:
        return f"{table} in {_sql().shown(output)}", ""
    return output, window.save(Path(output))


def _check(
    source: str,
    output: str,
    query: str | None,
    table: str | None,
    overwrite: bool,
    resume: bool,
) -> None:
    _check_places(source, output, query, table, overwrite)
    _check_order(resume, query, table)


def _check_places(
    source: str, output: str, query: str | None, table: str | None, overwrite: bool
) -> None:
    for place, word, option in ((source, query, "query"), (output, table, "table")):
        if is_database(place) != bool(word):
            raise DatasetError(
                f"a {option} goes with the address of a database such as "
                f"sqlite:///file.db, and only with one (--{option}, {option}=)"
            )
    if is_database(output):
        return
    path = Path(output)
    if path.suffix.lower() not in _FORMATS:
        raise DatasetError(f"{output} must end in {' or '.join(_FORMATS)}")
    if path.exists() and not (overwrite and path.is_file()):
        raise DatasetError(
            f"{output} is there already; name another file, or say --overwrite "
            "(overwrite=True)"
        )


def _rows_at_once(form: InputForm, batch_rows: int | None) -> int:
    rows = form.usual_rows if batch_rows is None else batch_rows
    if rows < 1:
        raise DatasetError(f"batch_rows must be 1 or more, not {batch_rows}")
    return rows


def _check_order(resume: bool, query: str | None, table: str | None) -> None:
    if resume and (query or table):
        raise DatasetError(
            "a run from or to a database can't go on where it ended, as rows may come in "
            "another order; leave --resume (resume=) out"
        )


def _open(
    source: str | Path, query: str | None, rows: int, texts: frozenset[str]
) -> Source:
    if query is None:
        return open_source(source, rows, texts)
    return Source(
        "the query", lambda: _sql_chunks(str(source), query, rows), uri=str(source)
    )


def _output(
    output: str, table: str | None, overwrite: bool
) -> AbstractContextManager[Any]:
    opened: AbstractContextManager[Any]
    if table is not None:
        opened = _sql().opened_table(output, table, overwrite=overwrite)
    else:
        opened = _outputs().opened_file(Path(output), overwrite=overwrite)
    return opened


def _sql_chunks(url: str, query: str, rows: int) -> Iterator[Chunk]:
    return (Chunk(table=table) for table in _sql().read_query(url, query, rows))


def _outputs() -> Any:
    return import_adapter("brixa_flows.prediction._outputs")


def _parts() -> Any:
    return import_adapter("brixa_flows.prediction._parts")


def _plan_of(
    name: str, version: str, source: str, ids: Sequence[str], rows: int
) -> dict[str, Any]:
    """What parts belong to: the same model, rows and batches give the same ones."""
    path = Path(source)
    named = [Path(each) for each in glob.glob(source)] or [path]
    found = list(path.rglob("*")) if path.is_dir() else named
    files = sorted(file for file in found if file.is_file())
    facts = [
        (str(file), stat.st_size, stat.st_mtime_ns)
        for file in files
        for stat in [file.stat()]
    ]
    asked = {"model": name, "version": version, "ids": list(ids), "batch_rows": rows}
    return {**asked, "files": facts}


def _sql() -> Any:
    return import_adapter("brixa_flows.prediction._sql")
