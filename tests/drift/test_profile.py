"""Profiles: every form of data, sums, files."""

from __future__ import annotations

import decimal
import sqlite3
import sys
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy

from brixa_flows.drift import DriftProfile
from brixa_flows.drift._parquet import dump, parse
from brixa_flows.drift.column import MAX_CATEGORIES
from brixa_flows.errors import DriftError


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rng = np.random.default_rng(0)
    start = datetime(2024, 1, 1, tzinfo=UTC)
    return pa.table(
        {
            "number": pa.array(rng.normal(5, 2, 3000)),
            "whole": pa.array(rng.integers(-50, 50, 3000)),
            "word": pa.array(rng.choice(["red", "green", None], 3000), pa.string()),
            "flag": pa.array(rng.random(3000) > 0.3),
            "time": pa.array(
                [start + timedelta(hours=hour) for hour in range(3000)],
                pa.timestamp("us", "UTC"),
            ),
        }
    )


def test_every_form_of_the_same_data_gives_the_same_profile(table, tmp_path):
    (tmp_path / "parts").mkdir()
    pq.write_table(table.slice(0, 1500), tmp_path / "parts" / "a.parquet")
    pq.write_table(table.slice(1500), tmp_path / "parts" / "b.parquet")
    pq.write_table(table, tmp_path / "all.parquet")
    expected = DriftProfile.build(table)
    forms = {
        "pandas": table.to_pandas(),
        "polars": pl.from_arrow(table),
        "lazy": pl.from_arrow(table).lazy(),
        "batches": table.to_batches(max_chunksize=3000),
        "reader": table.to_reader(),
        "folder": tmp_path / "parts",
        "glob": str(tmp_path / "parts" / "*.parquet"),
        "file": str(tmp_path / "all.parquet"),
        "dict": {name: table[name].to_pandas() for name in table.column_names},
    }
    for form, data in forms.items():
        built = DriftProfile.build(data, like=expected)
        assert built.rows == 3000, form
        for name, column in expected.columns.items():
            other = built.columns[name]
            assert other.kind == column.kind, (form, name)
            assert other.missing == column.missing, (form, name)
            assert other.categories == column.categories, (form, name)
            assert np.array_equal(other.bins.keys, column.bins.keys), (form, name)
            assert np.array_equal(other.bins.counts, column.bins.counts), (form, name)
            assert other.total == pytest.approx(column.total, abs=1e-6), (form, name)


def test_facts_of_a_column_are_those_of_numpy(table):
    column = DriftProfile.build(table).columns["number"]
    values = table["number"].to_numpy()
    assert column.mean == pytest.approx(values.mean())
    assert column.deviation == pytest.approx(values.std())
    assert (column.minimum, column.maximum) == (values.min(), values.max())
    lower, upper = column.quantiles(0.25, 0.75) + column.centre
    assert lower == pytest.approx(np.quantile(values, 0.25), abs=0.02)
    assert upper == pytest.approx(np.quantile(values, 0.75), abs=0.02)


def test_a_sum_of_parts_is_the_whole(table):
    whole = DriftProfile.build(table)
    parts = [
        DriftProfile.build(table.slice(start, 1000), like=whole)
        for start in range(0, 3000, 1000)
    ]
    summed = parts[0] + parts[1] + parts[2]
    assert summed.rows == whole.rows
    for name, column in whole.columns.items():
        assert np.array_equal(summed.columns[name].bins.keys, column.bins.keys)
        assert np.array_equal(summed.columns[name].bins.counts, column.bins.counts)
        assert summed.columns[name].categories == column.categories
        assert summed.columns[name].mean == pytest.approx(column.mean)


def test_profiles_about_different_centres_add_to_the_width_of_a_bin():
    rng = np.random.default_rng(1)
    low, high = rng.normal(0, 1, 5000), rng.normal(10, 1, 5000)
    summed = DriftProfile.build({"x": low}) + DriftProfile.build({"x": high})
    column = summed.columns["x"]
    both = np.concatenate([low, high])
    assert column.mean == pytest.approx(both.mean())
    assert column.deviation == pytest.approx(both.std())
    places = column.quantiles(0.1, 0.4, 0.9) + column.centre
    assert places == pytest.approx(np.quantile(both, [0.1, 0.4, 0.9]), abs=0.15)


def test_a_column_with_values_far_from_its_centre_is_kept_added_and_read_as_it_is(
    tmp_path,
):
    generator = np.random.default_rng(2)
    years = np.where(
        generator.random(4000) < 0.6, -1, generator.integers(2013, 2016, 4000)
    )
    whole = DriftProfile.build({"year": years})
    column = whole.columns["year"]
    assert column.bins.anchors
    positions = column.bins.positions(whole=True) + column.centre
    found = dict(zip(positions, column.bins.counts, strict=True))
    assert found == dict(zip(*np.unique(years, return_counts=True), strict=True))
    first = DriftProfile.build({"year": years[:2000]}, like=whole)
    second = DriftProfile.build({"year": years[2000:]}, like=whole)
    assert (first + second).digest == whole.digest
    path = tmp_path / "profile.parquet"
    whole.save(path)
    assert DriftProfile.load(path).digest == whole.digest
    plain = DriftProfile.build({"year": years[years > 0]})
    moved = plain.columns["year"].like(column)
    assert moved.bins.anchors == column.bins.anchors
    assert moved.quantiles(0.5)[0] + moved.centre == np.median(years[years > 0])


def test_columns_of_only_one_part_are_missing_in_the_other():
    summed = DriftProfile.build({"a": [1.0, 2.0]}) + DriftProfile.build({"b": ["x"]})
    assert summed.rows == 3
    assert summed.columns["a"].missing == 1
    assert summed.columns["b"].missing == 2


def test_numbers_and_words_do_not_add():
    with pytest.raises(DriftError, match="'x'.*numeric.*category"):
        DriftProfile.build({"x": [1.0]}) + DriftProfile.build({"x": ["one"]})


def test_a_file_brings_everything_back(table, tmp_path):
    profile = DriftProfile.build(table, window_column="time", window="7D")
    profile.save(tmp_path / "made" / "profile.parquet")
    loaded = DriftProfile.load(tmp_path / "made" / "profile.parquet")
    assert loaded.digest == profile.digest
    assert loaded.digest.startswith("sha256:")
    assert loaded.spread == profile.spread
    assert loaded.window_column == "time"
    assert "time" not in loaded.columns
    assert list(loaded.columns) == list(profile.columns)
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["profile.parquet"]
    assert DriftProfile.of(str(tmp_path / "made" / "profile.parquet")).rows == 3000


def test_no_thread_of_arrow_keeps_the_bytes_of_a_profile(table):
    """It let them go while the interpreter ended, and the process aborted (134)."""
    content = dump(DriftProfile.build(table))
    before = sys.getrefcount(content)
    held = 0
    for _ in range(200):
        parse(content)
        held += sys.getrefcount(content) > before
    assert held == 0


def test_a_profile_of_a_hundred_columns_takes_a_few_hundred_kilobytes(tmp_path):
    rng = np.random.default_rng(0)
    data = {f"x{number}": rng.normal(size=10_000) for number in range(100)}
    DriftProfile.build(data).save(tmp_path / "profile.parquet")
    assert (tmp_path / "profile.parquet").stat().st_size < 600_000


def test_other_files_and_newer_protocols_are_refused(table, tmp_path):
    pq.write_table(table, tmp_path / "data.parquet")
    with pytest.raises(DriftError, match="no drift profile"):
        DriftProfile.load(tmp_path / "data.parquet")
    with pytest.raises(DriftError, match="no drift profile"):
        DriftProfile.load(tmp_path / "absent.parquet")
    newer = pa.table({"count": [1]}).replace_schema_metadata(
        {"brixa_drift_profile": '{"protocol": 4}'}
    )
    pq.write_table(newer, tmp_path / "newer.parquet")
    with pytest.raises(DriftError, match="protocol 4.*upgrade"):
        DriftProfile.load(tmp_path / "newer.parquet")


def test_a_file_that_was_damaged_is_told_whatever_byte_it_is(table, tmp_path):
    path = tmp_path / "profile"
    DriftProfile.build(table).save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 150).tolist():
        bad = bytearray(content)
        bad[place] ^= int(rng.integers(1, 255))
        (tmp_path / "bad").write_bytes(bad)
        try:
            profile = DriftProfile.load(tmp_path / "bad")
        except DriftError as err:
            assert str(err)
        else:
            assert profile.digest == DriftProfile.load(path).digest, place
    written = pq.read_table(path)
    facts = {
        key: value.replace(b'"missing": 0', b'"missing": 9', 1)
        for key, value in written.schema.metadata.items()
    }
    assert facts != written.schema.metadata
    pq.write_table(written.replace_schema_metadata(facts), path)
    with pytest.raises(DriftError, match="was damaged: its content is not what was"):
        DriftProfile.load(path)


def test_windows_do_not_depend_on_the_order_of_rows(table):
    shuffled = table.take(pa.array(np.random.default_rng(0).permutation(3000)))
    first = DriftProfile.build(table, window_column="time", window="7D")
    second = DriftProfile.build(shuffled, window_column="time", window="7D")
    assert first.spread.windows == second.spread.windows == 18  # the last of 6 days
    for column, methods in first.spread.effects.items():
        for method, effects in methods.items():
            others = second.spread.effects[column][method]
            assert others == pytest.approx(effects, abs=0.02), (column, method)


def test_whole_rows_are_counted_even_where_the_last_window_is_cut_off(table):
    profile = DriftProfile.build(table, window_column="time", window="7D")
    assert profile.rows == 3000
    assert profile.columns["number"].rows == 3000


def test_kinds_of_all_sorts_of_columns():
    day = date(2024, 1, 1)
    frame = pd.DataFrame(
        {
            "nullable": pd.array([1, None, 3], dtype="Int64"),
            "arrow": pd.array([1.5, None, 2.5], dtype="double[pyarrow]"),
            "decimal": [decimal.Decimal("1.10"), None, decimal.Decimal("2")],
            "mixed": ["a", 1, None],
            "nested": [{"a": 1}, {"a": 2}, None],
            "tensor": [[1], [2, 3], None],
            "date": [day, None, day],
            "category": pd.Categorical([1, 2, None]),
            "float_category": pd.Categorical([1.5, 2.5, None]),
            "empty": [None, None, None],
            "infinite": [np.inf, -np.inf, None],
            7: [True, None, False],
        }
    )
    columns = DriftProfile.build(frame).columns
    assert {name: column.kind for name, column in columns.items()} == {
        "nullable": "numeric",
        "arrow": "numeric",
        "decimal": "numeric",
        "mixed": "category",
        "nested": "unsupported",
        "tensor": "tensor",
        "date": "datetime",
        "category": "category",
        "float_category": "category",
        "empty": "empty",
        "infinite": "numeric",
        "7": "boolean",
    }
    assert all(columns[name].missing == 1 for name in columns if name != "empty")
    assert columns["mixed"].categories == {"a": 1, "1": 1}
    assert columns["infinite"].infinite == 2
    assert columns["infinite"].values == 0


def test_words_of_polars_are_words_whatever_their_type():
    words = ["a", "b", None] * 10
    frame = pl.DataFrame(
        {
            "text": words,
            "categories": pl.Series(words, dtype=pl.Categorical),
            "enum": pl.Series(words, dtype=pl.Enum(["a", "b"])),
            "day": pl.date_range(date(2024, 1, 1), date(2024, 1, 30), eager=True),
        }
    ).sample(fraction=1.0, shuffle=True, seed=0)
    profile = DriftProfile.build(frame, window_column="day", window="7D")
    assert profile.spread.windows == 4
    for column in profile.columns.values():
        assert (column.kind, column.missing) == ("category", 10)
        assert column.categories == {"a": 10, "b": 10}


def test_columns_of_one_name_are_told_apart():
    frame = pd.DataFrame([[1.0, "x"], [2.0, "y"]], columns=["same", "same"])
    columns = DriftProfile.build(frame).columns
    assert {name: column.kind for name, column in columns.items()} == {
        "same": "numeric",
        "same#2": "category",
    }


def test_only_the_most_frequent_of_many_categories_are_kept():
    words = ["often"] * 500 + [f"id-{number}" for number in range(5000)]
    column = DriftProfile.build({"x": words}).columns["x"]
    assert len(column.categories) == MAX_CATEGORIES
    assert column.categories["often"] == 500
    assert sum(column.categories.values()) + column.other == 5500


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (42, "can't read a int"),
        ("/no/such/file.parquet", "there is no data at"),
        ({"a": [1], "b": [1, 2]}, "different lengths"),
        ([{"a": 1}], "not an Arrow batch"),
    ],
)
def test_data_that_cannot_be_read_is_named(data, message):
    with pytest.raises(DriftError, match=message):
        DriftProfile.build(data)


def test_a_folder_without_files_is_named_and_is_no_quiet_window(tmp_path):
    with pytest.raises(DriftError, match=f"no file in the folder {tmp_path}"):
        DriftProfile.build(str(tmp_path))


def test_wrong_columns_and_windows_are_named(table, tmp_path):
    with pytest.raises(DriftError, match="no column nope.*number, whole"):
        DriftProfile.build(table, columns=["nope"])
    with pytest.raises(DriftError, match="no column 'nope' to cut"):
        DriftProfile.build(table, window_column="nope")
    with pytest.raises(DriftError, match="'word' holds string"):
        DriftProfile.build(table, window_column="word")
    with pytest.raises(DriftError, match="12h, 7D or 4W"):
        DriftProfile.build(table, window_column="time", window="fortnight")
    with pytest.raises(DriftError, match="more than 1000 windows"):
        DriftProfile.build(table, window_column="time", window="1h")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no PAR1")
    with pytest.raises(DriftError, match="can't read .*broken.parquet"):
        DriftProfile.build(tmp_path / "broken.parquet")


def test_a_query_and_an_iterator_of_frames_are_read_like_the_frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"x": rng.normal(size=20_000), "w": rng.choice(["a", "b", None], 20_000)}
    )
    frame.loc[:17_000, "x"] = None  # the first rows that are fetched hold no number
    whole = DriftProfile.build(frame)
    with sqlite3.connect(":memory:") as connection:
        frame.to_sql("rows", connection, index=False)
        cursor = connection.execute("select * from rows")
        asked = DriftProfile.build(cursor, like=whole)
        for name, column in DriftProfile.build(frame, like=whole).columns.items():
            assert np.array_equal(asked.columns[name].bins.counts, column.bins.counts)
            assert asked.columns[name].categories == column.categories
            assert asked.columns[name].missing == column.missing
        none = DriftProfile.build(connection.execute("select * from rows where x > 99"))
        assert (none.rows, list(none.columns)) == (0, ["x", "w"])
        with pytest.raises(DriftError, match="execute a SELECT first"):
            DriftProfile.build(connection.cursor())
    connection.close()
    engine = sqlalchemy.create_engine("sqlite://")
    with engine.connect() as session:
        result = session.execute(sqlalchemy.text("select 1 as one, 'a' as word"))
        assert list(DriftProfile.build(result).columns) == ["one", "word"]
    engine.dispose()
    parts = (frame.iloc[start : start + 5000] for start in range(0, 20_000, 5000))
    assert DriftProfile.build(parts, like=whole).rows == 20_000


def test_files_of_a_folder_may_differ_in_their_columns(tmp_path):
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [3.5], "b": ["x"]}), tmp_path / "2.parquet")
    profile = DriftProfile.build(tmp_path)
    assert profile.columns["a"].values == 3
    assert (profile.columns["b"].values, profile.columns["b"].missing) == (1, 2)
    assert DriftProfile.build(tmp_path, columns=["a"]).rows == 3
    (tmp_path / "1.parquet").unlink()
    pq.write_table(pa.table({"a": [3.5]}), tmp_path / "3.parquet")
    assert DriftProfile.build(tmp_path, columns=["b"]).columns["b"].missing == 1
