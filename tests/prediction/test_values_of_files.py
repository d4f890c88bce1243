"""A file's values reach a model as an endpoint's do: as it was trained, or not at all."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

from brixa_flows.errors import DatasetError
from brixa_flows.prediction import ModelPredictor, score
from brixa_flows.prediction.forms import InputForm
from brixa_flows.prediction.value_rules import ValueRule
from brixa_flows.registry import ModelRegistry
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

pytestmark = pytest.mark.filterwarnings(
    # These tests save scikit-learn models, whose format runs code; that is told.
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)

ROWS = 120


def people() -> pd.DataFrame:
    counted = np.arange(ROWS)
    return pd.DataFrame(
        {
            "age": counted.astype(np.int8),
            "visits": counted.astype(np.uint8),
            "size": counted.astype(np.float32),
            "member": counted % 2 == 0,
            "year": counted + 2**60,
        }
    )


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> ModelRegistry:
    """``people`` takes named columns of small types, ``pairs`` an int32 matrix."""
    root = tmp_path_factory.mktemp("registry")
    registry = ModelRegistry(LocalStorageNode(root), tracking=MemoryTrackingStore())
    old = np.where(people()["age"] > 60, "old", "young")
    named = DecisionTreeClassifier().fit(people(), old)
    pairs = np.arange(2 * ROWS, dtype=np.int32).reshape(ROWS, 2)
    unnamed = DecisionTreeClassifier().fit(pairs, old)
    for name, model, inputs in (
        ("people", named, people()),
        ("pairs", unnamed, pairs),
    ):
        made = registry.register_model(name, "classification")
        with warnings.catch_warnings(action="ignore"):
            registry.save_model(name, made.version, model, inputs)
    return registry


def written(frame: pd.DataFrame, folder, suffix: str):
    path = folder / f"in{suffix}"
    if suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


def with_value(column: str, value: object) -> pd.DataFrame:
    frame = people()
    frame[column] = pd.Series(frame[column].tolist(), dtype=object)
    frame.loc[70, column] = value
    return frame.assign(**{column: frame[column].infer_objects()})


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("age", 300, "'age' holds 300 in row 70 (the first is 0), outside of -128 to"),
        ("age", 1.5, "'age' holds 1.5 in row 70 (the first is 0), no whole number"),
        ("age", None, "'age' holds no value in row 70 (the first is 0)"),
        ("visits", -1, "'visits' holds -1 in row 70 (the first is 0), outside of 0 to"),
        ("size", 1e39, "'size' holds 1e+39 in row 70 (the first is 0), too large for"),
        ("size", None, "'size' holds no value in row 70 (the first is 0)"),
    ],
)
def test_a_value_that_an_endpoint_refuses_is_refused_by_column_row_and_value(
    registry, tmp_path, column, value, words, suffix
):
    source = written(with_value(column, value), tmp_path, suffix)
    with pytest.raises(DatasetError) as raised:
        score(registry, "people", None, source, tmp_path / "out.csv", batch_rows=50)
    assert words in raised.value.message and "people 1.0.0" in raised.value.message
    assert raised.value.facts["columns"] == (column,)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_whole_numbers_zero_and_one_are_taken_as_the_model_was_trained(
    registry, tmp_path, suffix
):
    frame = people().assign(age=people()["age"].astype(float))
    frame = frame.assign(member=frame["member"].astype(int))
    source = written(frame, tmp_path, suffix)
    score(registry, "people", None, source, tmp_path / "out.parquet")
    found = pd.read_parquet(tmp_path / "out.parquet")["prediction"]
    assert found.tolist() == ["young"] * 61 + ["old"] * 59
    source = written(frame.assign(member=2), tmp_path, suffix)
    with pytest.raises(DatasetError, match="'member' holds 2 in row 0 .*true or false"):
        score(registry, "people", None, source, tmp_path / "more.parquet")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (1.7, "'b' holds 1.7 in row 1 (the first is 0), no whole number"),
        (2**40, "'b' holds 1099511627776 in row 1 (the first is 0), outside of -2147"),
        (None, "'b' holds no value in row 1 (the first is 0)"),
        ("x", "'b' holds 'x' in row 1 (the first is 0), but pairs 1.0.0 was trained"),
    ],
)
def test_a_model_of_unnamed_numbers_is_given_no_others(
    registry, tmp_path, value, words
):
    frame = pd.DataFrame({"a": [1, 2], "b": [3, value]})
    source = written(frame, tmp_path, ".csv")
    with pytest.raises(DatasetError) as raised:
        score(registry, "pairs", None, source, tmp_path / "out.csv")
    assert words in raised.value.message


def test_who_judges_a_model_asks_it_about_the_values_as_they_are(registry):
    """What lies outside of training may be judged, but is never changed for it."""
    form = InputForm.of(ModelPredictor.from_registry(registry, "people").metadata)
    tables = pytest.importorskip("brixa_flows.prediction._tables")
    for column, value in (("age", 300), ("age", 1.5), ("visits", -1), ("size", 1e39)):
        given = with_value(column, value)
        seen = form.from_table(tables.as_table(given), ())
        assert seen[column].tolist() == given[column].tolist()
    same = form.from_table(tables.as_table(people().astype({"age": float})), ())
    pd.testing.assert_frame_equal(same, people())
    form = InputForm.of(ModelPredictor.from_registry(registry, "pairs").metadata)
    given = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 1.7]})
    assert form.from_table(tables.as_table(given), ()).tolist() == [[1, 3], [2, 1.7]]
    whole = form.from_table(tables.as_table(given.head(1)), ())
    assert whole.dtype == np.int32 and whole.tolist() == [[1, 3]]


@pytest.mark.parametrize(
    ("dtype", "text", "seen"),
    [
        ("datetime64[us]", "2013-01-02", "2013-01-02"),
        ("datetime64[us]", "2013-01-02T03:04:05-05:00", "2013-01-02 08:04:05"),
        ("datetime64[ns]", "2013-01-02 03:04:05.123456789", None),
        ("datetime64[ns, America/New_York]", "2013-07-02 04:00:00Z", "2013-07-02"),
    ],
)
def test_days_and_moments_of_a_csv_are_as_in_training(tmp_path, dtype, text, seen):
    (tmp_path / "in.csv").write_text(f"at,k\n{text},1\n,2\n")
    tables = pytest.importorskip("brixa_flows.prediction._tables")
    (table,) = tables.read_files([tmp_path / "in.csv"], "csv", 10)
    part = {"type": ["string", "null"], "format": "date-time", "x-dtype": dtype}
    form = InputForm("named", ("at",), {"at": dtype}, rules={"at": ValueRule.of(part)})
    form.check_table(table, (), 0)
    column = form.from_table(table, ())["at"]
    assert str(column.dtype) == dtype and column.isna().tolist() == [False, True]
    assert column[0] == pd.Timestamp(seen or text, tz=column.dt.tz)
