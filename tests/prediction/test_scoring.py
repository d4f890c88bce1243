"""Batch prediction: real files, a real SQL database, a real model."""

from __future__ import annotations

import fcntl
import re
import sqlite3
import subprocess
import sys
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from brixa_flows.drift import DriftDetector, DriftProfile
from brixa_flows.errors import DatasetError, VersionNotFoundError
from brixa_flows.prediction import ModelPredictor, score
from brixa_flows.prediction._sql import read_query, shown
from brixa_flows.prediction._tables import read_files
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    # These tests save scikit-learn models, whose format runs code; that is told.
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

ROWS = 500


def frame(rows: int = ROWS) -> pd.DataFrame:
    generator = np.random.default_rng(5)
    codes = np.where(np.arange(rows) % 2, "007", "7")
    return pd.DataFrame({"a": generator.normal(size=rows), "code": codes})


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    """``delay`` 1.0.0 takes a number and a code of digits that is text."""
    root = tmp_path_factory.mktemp("registry")
    registry = ModelRegistry(LocalStorageNode(root), tracking=MemoryTrackingStore())
    inputs = frame()
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["code"]), remainder="passthrough"),
        LogisticRegression(),
    ).fit(inputs, np.where(inputs["code"] == "007", "late", "on time"))
    made = registry.register_model("delay", "classification")
    with warnings.catch_warnings(action="ignore"):
        registry.save_model("delay", made.version, model, inputs, reference=inputs)
    return registry


@pytest.fixture(scope="module")
def expected(registry: ModelRegistry) -> pd.DataFrame:
    with warnings.catch_warnings(action="ignore"):
        model = registry.load_model("delay", "1.0.0")
    inputs = frame()
    answers = inputs.assign(prediction=model.predict(inputs))
    scores = model.predict_proba(inputs)
    for place, label in enumerate(model.classes_):
        answers[f"probability_{label}"] = scores[:, place]
    return answers


def test_a_csv_gets_predictions_probabilities_version_and_time(
    registry, expected, tmp_path
):
    frame().to_csv(tmp_path / "in.csv", index=False)
    before = datetime.now(UTC)
    report = score(registry, "delay", None, tmp_path / "in.csv", tmp_path / "out.csv")
    assert (report.version, report.rows) == ("1.0.0", ROWS)
    out = pd.read_csv(report.output, dtype={"code": str})
    pd.testing.assert_frame_equal(out[list(expected)], expected, check_exact=False)
    assert set(out["prediction"]) == {"late", "on time"}, "007 stays text"
    assert set(out["model_version"]) == {"1.0.0"}
    moment = pd.to_datetime(out["predicted_at"])[0]
    assert before <= moment <= datetime.now(UTC)


def test_a_folder_of_parquet_is_scored_in_batches_and_watched_for_drift(
    registry, expected, tmp_path
):
    (tmp_path / "in").mkdir()
    for part in range(3):
        keyed = frame().assign(flight=np.arange(ROWS) + part * ROWS)
        keyed.to_parquet(tmp_path / "in" / f"{part}.parquet")
    out = tmp_path / "made" / "out.parquet"
    report = score(
        registry, "delay", "^1", tmp_path / "in", out, ids=["flight"], batch_rows=64
    )
    found = pd.read_parquet(out)
    assert found["flight"].tolist() == list(range(3 * ROWS))
    assert list(found) == [
        *("flight", "prediction", "probability_late", "probability_on time"),
        *("model_version", "predicted_at"),
    ]
    assert found["prediction"][:ROWS].tolist() == expected["prediction"].tolist()
    assert report.profile == f"{out}.profile.parquet"
    reference = registry.reference_profile_path("delay", "1.0.0")
    drift = DriftDetector().detect(DriftProfile.load(reference), report.profile)
    assert drift.status == "ok" and drift.rows == 3 * ROWS


def test_a_query_is_scored_into_a_table_that_appears_whole(
    registry, expected, tmp_path
):
    url = f"sqlite:///{tmp_path / 'flights.db'}"
    with sqlite3.connect(tmp_path / "flights.db") as database:
        frame().to_sql("flights", database, index_label="id")
        database.execute("CREATE TABLE scored__partial (left_by TEXT)")
    database.close()

    def into(table: str, query: str, **options: object) -> str:
        options |= {"query": query, "table": table}
        return score(registry, "delay", None, url, url, **options).output

    query = "SELECT * FROM flights ORDER BY id"
    assert into("scored", query, batch_rows=99, ids=["id"]) == f"scored in {url}"
    with pytest.raises(DatasetError, match="'scored' is there already"):
        into("scored", query)
    with pytest.raises(DatasetError, match="'a' holds 'x' in row 0"):
        into("bad", "SELECT 'x' AS a, code FROM flights")
    with pytest.raises(DatasetError, match="no such column"):
        into("bad", "SELECT nope FROM flights")
    late = "SELECT CASE id WHEN 400 THEN 'x' ELSE a END AS a, code FROM flights"
    with pytest.raises(DatasetError, match="values of different types"):
        into("scored", late, overwrite=True, batch_rows=100)
    with sqlite3.connect(tmp_path / "flights.db") as database:
        tables = {
            name for (name,) in database.execute("SELECT name FROM sqlite_master")
        }
        found = pd.read_sql("SELECT * FROM scored ORDER BY id", database)
    database.close()
    assert {name for name in tables if not name.startswith("ix_")} == {
        "flights",
        "scored",
    }
    assert found["prediction"].tolist() == expected["prediction"].tolist()


def test_a_password_is_never_shown_and_a_missing_driver_is_named():
    assert shown("postgresql://ada:secret@host/d") == "postgresql://ada:***@host/d"
    with pytest.raises(DatasetError, match="driver is not installed.*psycopg2") as told:
        list(read_query("oracle+oracledb://ada:secret@host/d", "SELECT 1", 10))
    assert "secret" not in told.value.message


def test_what_fails_half_way_leaves_the_old_output_and_nothing_else(registry, tmp_path):
    table = pa.Table.from_pandas(frame(200))
    broken = table.set_column(1, "code", pa.array(["7"] * 150 + ["other"] * 50))
    pq.write_table(broken, tmp_path / "in.parquet")
    out = tmp_path / "out.parquet"
    out.write_bytes(b"old")
    with pytest.raises(DatasetError, match="other"):
        score(
            *(registry, "delay", None, tmp_path / "in.parquet", out),
            overwrite=True,
            batch_rows=50,
        )
    assert out.read_bytes() == b"old"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "in.parquet",
        "out.parquet",
    ]


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("/no-such-folder/deep/out.csv", "there is no /no-such-folder to write into"),
        ("/proc/nobody/out.csv", "can't be written into (No such file"),
        ("{file}/out.csv", "in.csv is a file, so nothing is written below it"),
    ],
)
def test_a_folder_that_nobody_meant_is_not_made(
    registry, tmp_path, place, words, resume
):
    frame(3).to_csv(tmp_path / "in.csv", index=False)
    out = place.format(file=tmp_path / "in.csv")
    with pytest.raises(DatasetError, match=re.escape(words)):
        score(registry, "delay", None, tmp_path / "in.csv", out, resume=resume)
    assert not Path("/no-such-folder").exists()


def test_what_a_killed_one_left_is_written_over_but_a_living_one_is_respected(
    registry, tmp_path
):
    frame(3).to_csv(tmp_path / "in.csv", index=False)
    left = tmp_path / ".out.csv.partial"
    left.write_text("half of it")
    with left.open() as living:
        fcntl.flock(living, fcntl.LOCK_EX)
        with pytest.raises(DatasetError, match="written by another process"):
            score(registry, "delay", None, tmp_path / "in.csv", tmp_path / "out.csv")
    score(registry, "delay", None, tmp_path / "in.csv", tmp_path / "out.csv")
    assert len(pd.read_csv(tmp_path / "out.csv")) == 3
    assert not left.exists()


@pytest.mark.parametrize(
    ("changed", "asked", "words"),
    [
        (lambda rows: rows.drop(columns="code"), {}, "lacks columns that delay 1.0.0"),
        (lambda rows: rows.assign(a="far"), {}, "'a' holds 'far' in row 0"),
        (lambda rows: rows.assign(prediction=1), {}, "columns called 'prediction'"),
        (lambda rows: rows.head(0), {}, "has no rows"),
        (lambda rows: rows, {"ids": ["key"]}, "no column 'key' to keep"),
        (lambda rows: rows, {"batch_rows": 0}, "batch_rows must be 1 or more"),
        (lambda rows: rows, {"query": "SELECT 1"}, "a query goes with"),
        (lambda rows: rows, {"table": "scored"}, "a table goes with"),
        (lambda rows: rows, {"output": "out.json"}, "must end in .csv or .parquet"),
        (lambda rows: rows, {"source": "none.csv"}, "there is no file"),
        (lambda rows: rows, {"output": "in.parquet"}, "is there already"),
        (
            lambda rows: rows,
            {"source": "nope://u:secret@h/d", "query": "SELECT 1"},
            "nope",
        ),
    ],
)
def test_what_does_not_fit_is_a_sentence_and_writes_nothing(
    registry, tmp_path, monkeypatch, changed, asked, words
):
    monkeypatch.chdir(tmp_path)
    pq.write_table(
        pa.Table.from_pandas(changed(frame(3)), preserve_index=False), "in.parquet"
    )
    with pytest.raises(DatasetError) as raised:
        score(
            *(registry, "delay", None),
            **{"source": "in.parquet", "output": "out.parquet", **asked},
        )
    assert words in raised.value.message and "secret" not in raised.value.message
    assert [each.name for each in Path().iterdir()] == ["in.parquet"]


def test_a_version_that_is_not_there_is_named(registry, tmp_path):
    with pytest.raises(VersionNotFoundError, match=r"\^2"):
        score(registry, "delay", "^2", tmp_path / "in.csv", tmp_path / "out.csv")


def test_a_slow_reader_of_a_large_file_holds_a_few_row_groups(tmp_path):
    path = tmp_path / "long.parquet"
    column = pa.table({"a": np.random.default_rng(0).normal(size=1_000_000)})
    pq.write_table(column, path, row_group_size=20_000)
    before = pa.total_allocated_bytes()
    rows = 0
    for table in read_files([path], "parquet", 50_000):
        rows += table.num_rows
        if rows <= 100_000:
            time.sleep(0.2)  # in which all of it could be read ahead
        assert pa.total_allocated_bytes() - before < 2_000_000
    assert rows == 1_000_000


def test_later_csv_files_are_read_like_the_first(tmp_path):
    (tmp_path / "1.csv").write_text("a,b,c\n1.5,007,\n,x,\n")
    (tmp_path / "2.csv").write_text("c,b,a\nlater,,2\n")
    files = sorted(tmp_path.iterdir())
    first, second = read_files(files, "csv", 100, ["b"])
    assert first.to_pydict() == {"a": [1.5, None], "b": ["007", "x"], "c": [None] * 2}
    assert second.to_pydict() == {"a": [2.0], "b": [None], "c": ["later"]}


KILLED = """
import os, sys, warnings
from brixa_flows.prediction import _parts, score
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore
warnings.simplefilter("ignore")
_parts._PART_ROWS = 100
root, source, output, at = sys.argv[1:]
keep = _parts.Parts._keep
def killed(self):
    if self._count == int(at):
        os.kill(os.getpid(), 9)
    keep(self)
_parts.Parts._keep = killed
registry = ModelRegistry(LocalStorageNode(root), tracking=MemoryTrackingStore())
score(registry, "delay", None, source, output, batch_rows=50, trust="code", resume=True)
"""


def test_a_killed_run_goes_on_where_it_ended_and_no_row_comes_twice(
    registry, tmp_path, monkeypatch
):
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    frame().to_csv(source, index=False)
    command = [sys.executable, "-c", KILLED, str(registry.storage.root)]
    ended = subprocess.run([*command, str(source), str(output), "3"], timeout=120)
    assert ended.returncode == -9 and not output.exists()
    parts = tmp_path / ".out.csv.parts"
    assert len(list(parts.glob("*.parquet"))) == 3
    asked = []
    predict = ModelPredictor.predict

    def counting(self, inputs):
        asked.append(len(inputs))
        return predict(self, inputs)

    monkeypatch.setattr(ModelPredictor, "predict", counting)
    report = score(registry, "delay", None, source, output, batch_rows=50, resume=True)
    assert (report.rows, sum(asked)) == (ROWS, ROWS - 300)
    assert DriftProfile.load(Path(report.profile)).rows == ROWS
    whole = tmp_path / "whole.csv"
    score(registry, "delay", None, source, whole, batch_rows=50)
    mine, theirs = (
        pd.read_csv(path, dtype=str).drop(columns="predicted_at")
        for path in (output, whole)
    )
    pd.testing.assert_frame_equal(mine, theirs)
    assert not parts.exists()


def test_parts_of_another_input_are_not_gone_on_with(registry, tmp_path):
    source, output = tmp_path / "in.csv", tmp_path / "out.csv"
    parts = tmp_path / ".out.csv.parts"
    parts.mkdir()
    (parts / "plan.json").write_text("{}")
    pq.write_table(pa.table({"a": [1.0]}), parts / "000000.parquet")
    frame().to_csv(source, index=False)
    assert score(registry, "delay", None, source, output, resume=True).rows == ROWS
    assert len(pd.read_csv(output)) == ROWS and not parts.exists()
    with pytest.raises(DatasetError, match="can't go on where it ended"):
        score(
            *(registry, "delay", None, "sqlite:///x.db", tmp_path / "b.csv"),
            query="select 1",
            resume=True,
        )
