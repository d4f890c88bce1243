"""Whatever a column holds, the answer is a finding or a status; nothing is passed over."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brixa_flows.drift import (
    DriftDetector,
    DriftProfile,
    DriftReport,
    MultivariateDetector,
    PerformanceEstimator,
)
from brixa_flows.errors import DriftError

Maker = Callable[[np.random.Generator, int], object]


def _cycled(*values: object) -> Maker:
    return lambda rng, rows: pd.Series(
        [values[place % len(values)] for place in range(rows)], dtype=object
    )


def _times(zone: str | None) -> Maker:
    return lambda rng, rows: pd.Series(
        pd.date_range("2026-03-28", periods=rows, freq="h", tz=zone)
    )


COLUMNS: dict[str, Maker] = {
    "null": _cycled(None),
    "nan": lambda rng, rows: pd.Series(np.full(rows, np.nan)),
    "inf": lambda rng, rows: pd.Series(np.full(rows, -np.inf)),
    "nan and inf": _cycled(np.nan, np.inf),
    "constant": lambda rng, rows: pd.Series(np.ones(rows)),
    "mixed": _cycled("a", 1, None, b"x", 2.5, (1,)),
    "lists": _cycled([1.0, np.nan], [], None),
    "images": lambda rng, rows: pd.Series(list(rng.random((rows, 2, 3)))),
    "ragged": lambda rng, rows: pd.Series(
        [np.zeros((place % 3, 2)) for place in range(rows)], dtype=object
    ),
    "words in lists": _cycled(["a", "b"], ["c"]),
    "dicts": _cycled({"a": 1}, {"b": "x"}, None),
    "bytes": _cycled(b"a", b"", None),
    "words": _cycled("a", "b", "", None),
    "texts": lambda rng, rows: pd.Series(
        [f"a long text on {word} and more" for word in rng.integers(0, 9**9, rows)],
        dtype=object,
    ),
    "flags": _cycled(True, False, None),
    "one class": _cycled(True),
    "naive": _times(None),
    "Berlin": _times("Europe/Berlin"),
    "Lord Howe": _times("Australia/Lord_Howe"),
    "dates": _cycled(datetime.date(1, 1, 1), datetime.date(9999, 12, 31), None),
    "clock": _cycled(datetime.time(1), datetime.time(23, 59)),
    "duration": lambda rng, rows: pd.Series(
        pd.to_timedelta(rng.integers(-9, 9, rows), unit="D")
    ),
    "decimal": _cycled(decimal.Decimal("1.10"), decimal.Decimal("-1e20"), None),
    "decimal nan": _cycled(decimal.Decimal("NaN"), decimal.Decimal("1")),
    "decimal infinite": _cycled(decimal.Decimal("Infinity"), decimal.Decimal("1")),
    "huge": _cycled(2**70, -(10**400), 1, None),
    "half a character": _cycled("\ud800", "x", None),
    "bins": lambda rng, rows: pd.Series(
        pd.cut(rng.random(rows), [0, 0.5, 1]), dtype=object
    ).astype("category"),
    "hours": lambda rng, rows: np.arange(rows).astype("datetime64[h]"),
    "hours long": lambda rng, rows: np.arange(rows).astype("timedelta64[h]"),
    "Int64": lambda rng, rows: pd.Series(rng.integers(0, 9, rows), dtype="Int64"),
    "boolean": lambda rng, rows: pd.Series(rng.random(rows) > 0.5, dtype="boolean"),
    "arrow": lambda rng, rows: pd.Series(rng.random(rows), dtype="double[pyarrow]"),
    "arrow words": lambda rng, rows: pd.Series(
        ["x", "y"] * (rows // 2) + ["x"] * (rows % 2), dtype="string[pyarrow]"
    ),
    "half": lambda rng, rows: pd.Series(rng.random(rows).astype(np.float16)),
    "large": lambda rng, rows: pd.Series(
        rng.integers(2**63, 2**64 - 1, rows, dtype=np.uint64)
    ),
    "largest": _cycled(1e308, -1e308, 5e-324),
    "complex": lambda rng, rows: pd.Series(rng.random(rows) + 1j),
    "period": lambda rng, rows: pd.Series(
        pd.period_range("2000-01", periods=rows, freq="M")
    ),
    "interval": lambda rng, rows: pd.Series(pd.interval_range(0, periods=rows)),
    "codes": lambda rng, rows: pd.Series(pd.Categorical(rng.integers(0, 3, rows))),
    "sparse": lambda rng, rows: pd.Series(
        pd.arrays.SparseArray(np.where(rng.random(rows) > 0.9, 1.0, 0.0))
    ),
    "scores": lambda rng, rows: pd.Series(
        np.where(rng.random(rows) < 0.3, np.nan, rng.random(rows))
    ),
}
ROWS = st.sampled_from([0, 1, 2, 7, 199, 200, 257])
NAMES = st.sampled_from(["x", "y", "", 7, 7.5, None, ("a", 1), "x"])


@st.composite
def frames(draw: st.DrawFn) -> pd.DataFrame:
    rows = draw(ROWS)
    rng = np.random.default_rng(draw(st.integers(0, 3)))
    picked = draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=4))
    parts = [pd.Series(COLUMNS[name](rng, rows)) for name in picked]
    frame = pd.DataFrame(dict(enumerate(parts)), index=range(rows))
    frame.columns = pd.Index([draw(NAMES) for _ in picked], dtype=object)
    return frame


def _names(frame: pd.DataFrame) -> set[str]:
    seen: dict[str, int] = {}
    for name in map(str, frame.columns):
        seen[name] = seen.get(name, 0) + 1
    return {
        name if place == 0 else f"{name}#{place + 1}"
        for name, count in seen.items()
        for place in range(count)
    }


@settings(max_examples=80, deadline=None, derandomize=True)
@given(frames(), frames())
def test_any_two_frames_get_a_report_that_names_every_column(before, after):
    report = DriftDetector().detect(before, after)
    named = {*report.columns, *(finding.column for finding in report.findings)}
    assert named - {None} == _names(before) | _names(after)
    few = min(len(before), len(after)) < 200
    assert (report.status == "insufficient_data") == few
    for column in report.columns.values():
        assert (column.status == "insufficient_data") == few
        assert column.sentence
    assert DriftReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    json.dumps(report.to_dict(), allow_nan=False)
    report.to_markdown()


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_of_any_kind_is_quiet_against_itself_and_kept_in_a_file(
    kind, tmp_path
):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": COLUMNS[kind](rng, 300)})
    profile = DriftProfile.build(frame)
    profile.save(tmp_path / "profile.parquet")
    loaded = DriftProfile.load(tmp_path / "profile.parquet")
    assert loaded.digest == profile.digest
    assert DriftDetector().detect(loaded, frame).status == "ok"
    assert (profile + profile).rows == 600


@pytest.mark.parametrize("kind", [k for k in COLUMNS if k not in ("null", "nan")])
def test_a_column_that_loses_all_its_values_is_never_quiet(kind):
    rng = np.random.default_rng(0)
    reference = {"x": COLUMNS[kind](rng, 300)}
    report = DriftDetector().detect(reference, {"x": [None] * 300})
    if kind in ("inf", "nan and inf"):
        assert report.columns["x"].status == "drift"
        return
    assert report.drifted == ["x"]
    assert "missing" in report.columns["x"].sentence


def test_a_class_that_was_never_there_and_one_that_is_gone_are_found():
    reference = {"label": ["no"] * 300 + ["yes"] * 300}
    report = DriftDetector().detect(reference, {"label": ["maybe"] * 250})
    assert {check.check for check in report.columns["label"].checks} == {
        "values",
        "new_categories",
    }
    only = DriftDetector().detect({"label": ["no"] * 300}, {"label": ["yes"] * 300})
    assert only.drifted == ["label"]


def test_frames_of_other_libraries_and_arrays_are_read_the_same():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(500, 2))
    forms = [
        values,
        pd.DataFrame(values, columns=[0, 1]),
        pl.DataFrame(values, schema=["0", "1"]),
        pa.table({"0": values[:, 0], "1": values[:, 1]}),
    ]
    digests = {DriftProfile.build(form).digest for form in forms}
    assert len(digests) == 1


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_file_of_many_that_lacks_a_column_is_told(tmp_path, form):
    frame = pd.DataFrame({"a": np.arange(1000.0), "b": np.arange(1000.0)})
    parts = [frame[:990], frame[["a"]][990:]]  # too few rows for the missing share
    for place in (tmp_path / "one", tmp_path / "other"):
        place.mkdir()
        for number, part in enumerate(parts):
            getattr(part, f"to_{form}")(place / f"{number}.{form}", index=False)
        parts.reverse()
    reference = DriftProfile.build(frame)
    for glob in (f"{tmp_path}/one/*.{form}", f"{tmp_path}/other/*.{form}"):
        window = DriftProfile.build(glob)
        report = DriftDetector().detect(reference, window)
        assert [(each.column, each.kind) for each in report.findings] == [
            ("b", "partly_gone")
        ]
        assert "10 of 1,000 rows came without" in report.findings[0].sentence
        assert report.status == "drift" and report.columns["b"].status == "ok"
        again = DriftProfile.from_bytes((window + window).to_bytes())
        assert again.absent == {"b": 20}
        assert DriftProfile.build(glob, columns=["b"]).absent == {"b": 10}
        with pytest.raises(DriftError, match="no column nope; they have: "):
            DriftProfile.build(glob, columns=["b", "nope"])
        cut = DriftProfile.build(glob, columns=["b"], window_rows=990)
        assert (cut.rows, cut.absent) == (1000, {"b": 10})


def test_windows_that_cannot_be_cut_are_refused(tmp_path):
    frame = pd.DataFrame({"at": pd.date_range("2026-01-01", periods=400), "a": 1.0})
    for rows in (10.5, "x", 0, True):  # half a row cut off all the others
        with pytest.raises(DriftError, match="window_rows is a whole number"):
            DriftProfile.build(frame, window_rows=rows)
    with pytest.raises(DriftError, match="give one of the three"):
        DriftProfile.build(frame, window_rows=100, window_column="at")
    with pytest.raises(DriftError, match="no row has a time in 'at'"):
        DriftProfile.build(frame.assign(at=pd.NaT), window_column="at")
    with pytest.raises(DriftError, match="5 is no window"):
        DriftDetector().detect(frame, frame, kind=5)


def test_rows_are_not_compared_by_columns_that_some_files_lack(tmp_path):
    frame = pd.DataFrame({"a": np.arange(1000.0), "b": np.arange(1000.0)})
    _folder(tmp_path, *(pa.table(frame[each]) for each in (["a"], ["a", "b"])))
    detector = MultivariateDetector(["energy"])
    report = detector.detect(frame, str(tmp_path))
    assert (report.status, report.left_out) == ("ok", ("b (some files lack it)",))
    for wrong in ({"methods": []}, {"sample_rows": 0}, {"alpha": 2}):
        with pytest.raises(DriftError):
            MultivariateDetector(**wrong)


def test_an_estimate_refuses_a_folder_of_which_a_file_lacks_a_feature(tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"score": rng.random(600), "b": rng.random(600)})
    frame["y"] = (rng.random(600) < frame["score"]).astype(int)
    estimator = PerformanceEstimator().fit(
        frame, target_column="y", score_column="score", feature_columns=["b"]
    )
    for names in (["score", "b"], ["b", "score"]):
        _folder(tmp_path, *(pa.table(frame[each]) for each in (names, names[:1])))
        with pytest.raises(DriftError, match=f"part of the data.*{names[1]}"):
            estimator.estimate(str(tmp_path))
    _folder(
        tmp_path, pa.table(frame), pa.table(frame[["score"]][:0])
    )  # no row, no harm
    assert estimator.estimate(str(tmp_path)).rows == 600


def _folder(place, *parts: pa.Table) -> list[str]:
    paths = [str(place / f"{number}.parquet") for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        pq.write_table(part, path)
    return paths


def test_an_arrow_dataset_is_told_like_the_path_of_its_files(tmp_path):
    numbers, words = np.arange(300.0), ["x"] * 300
    whole = pa.table({"a": numbers, "b": numbers, "zip": np.arange(300)})
    files = _folder(
        tmp_path,
        whole,
        pa.table({"a": numbers, "zip": words, "late": numbers}),
    )
    reference, dataset = DriftProfile.build(whole), pads.dataset(files)
    report = DriftDetector().detect(reference, dataset)
    assert {(each.column, each.kind) for each in report.findings} == {
        ("b", "partly_gone"),
        ("zip", "retyped"),
        ("late", "new"),
    }
    assert (
        DriftProfile.build(dataset).digest == DriftProfile.build(files[0][:-9]).digest
    )
    named = DriftProfile.build(dataset, columns=["b"])
    assert (named.rows, named.columns["b"].missing) == (600, 300)
    assert named.absent == {"b": 300}
    chosen = pads.dataset(files, schema=whole.schema.remove(2))
    report = DriftDetector().detect(
        DriftProfile.build(whole.select(["a", "b"])), chosen
    )
    assert [(each.column, each.kind) for each in report.findings] == [
        ("b", "partly_gone")
    ]


def test_an_arrow_dataset_has_the_columns_that_its_paths_tell(tmp_path):
    for hour in (1, 2):
        (tmp_path / f"hour={hour}").mkdir()
        _folder(tmp_path / f"hour={hour}", pa.table({"a": np.arange(300.0)}))
    dataset = pads.dataset(tmp_path, partitioning="hive")
    profile = DriftProfile.build(dataset)
    assert profile.columns["hour"].mean == 1.5 and not profile.absent
    assert profile.rows == 600
    with pytest.raises(DriftError, match="has a filter, which hides"):
        DriftProfile.build(dataset.filter(pads.field("hour") == 1))
    scanned = dataset.filter(pads.field("hour") == 1).scanner().to_reader()
    assert DriftProfile.build(scanned).rows == 300
    with pytest.raises(DriftError, match="have no column b; they have: a, hour"):
        DriftProfile.build(dataset, columns=["b"])
    memory = pads.dataset(pa.table({"a": [1.0, None]}))
    assert DriftProfile.build(memory).columns["a"].missing == 1
    nothing = pads.dataset([], schema=pa.schema([("a", pa.float64())]))
    assert list(DriftProfile.build(nothing).columns) == ["a"]


@pytest.mark.parametrize("broken", [b"", b"hello", None])
def test_a_file_of_many_that_is_broken_is_named(tmp_path, broken):
    table = pa.table({"a": np.arange(300.0)})
    files = _folder(tmp_path, table, table)
    dataset = pads.dataset(files)
    content = Path(files[1]).read_bytes()
    Path(files[1]).write_bytes(content[:-200] if broken is None else broken)
    with pytest.raises(DriftError, match="can't read .*1.parquet as parquet: "):
        DriftProfile.build(tmp_path)
    with pytest.raises(DriftError, match="can't read .*1.parquet: "):
        DriftProfile.build(dataset)


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_numbers_of_a_scale_beyond_histograms_are_told(unit):
    values = np.random.default_rng(0).normal(size=400)
    report = DriftDetector().detect({"a": values * unit}, {"a": (values + 1) * unit})
    assert [(each.column, each.kind) for each in report.findings] == [
        ("a", "out_of_scale")
    ]


def test_files_that_disagree_on_a_type_are_retyped_and_no_failure(tmp_path):
    reference = DriftProfile.build({"zip": np.arange(400)})
    for number, values in enumerate((np.arange(300), [f"z{n}" for n in range(300)])):
        pd.DataFrame({"zip": values}).to_parquet(tmp_path / f"{number}.parquet")
    report = DriftDetector().detect(reference, f"{tmp_path}/*.parquet")
    assert [each.kind for each in report.findings] == ["retyped"]
    assert "(int64 or " in report.findings[0].sentence
    assert report.rows == 600


def test_csv_files_in_a_folder_may_repeat_names_and_change_their_mind(tmp_path):
    reference = {"a": np.arange(1000.0), "c": ["x"] * 1000}
    profile = DriftProfile.build(reference)
    folder = tmp_path / "window"
    folder.mkdir()
    # Over a megabyte of numbers comes before the word: types were told by then.
    numbers = "".join(f"{n % 1000}.0000,x\n" for n in range(150_000))
    (folder / "0.csv").write_text(f"a,c\n{numbers}")
    quiet = DriftDetector().detect(profile, str(folder))
    assert (quiet.status, quiet.rows) == ("ok", 150_000)
    (folder / "1.csv").write_text(f"a,c\n{numbers}word,x\n")
    report = DriftDetector().detect(profile, str(folder))
    assert [(each.column, each.kind) for each in report.findings] == [("a", "retyped")]
    assert report.rows == 300_001 and report.columns["c"].status == "ok"
    (folder / "twice.csv").write_text("a,a\n" + "1,2\n" * 300)
    twice = DriftProfile.build(str(folder / "twice.csv"))
    assert list(twice.columns) == ["a", "a#2"]
