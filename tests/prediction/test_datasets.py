from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from brixa_flows.errors import DatasetError
from brixa_flows.prediction import LabelledBatches, as_batches
from brixa_flows.prediction.forms import InputForm
from brixa_flows.registry.facts.metadata import ModelMetadata
from brixa_flows.registry.facts.schemas import infer_input_schema
from tests.requirements_present import require

FRAME = pd.DataFrame(
    {
        "size": [1, 2, 3, 4, 5],
        "weight": [0.5, np.nan, 1.5, 2.5, 0.0],
        "colour": ["red", "blue", None, "red", "blue"],
        "when": pd.to_datetime(["2026-01-01"] * 4 + ["2026-01-02"]),
        "good": [True, False, True, True, False],
    }
)
FEATURES = ["size", "weight", "colour", "when"]


def metadata(inputs: Any) -> ModelMetadata:
    return ModelMetadata(
        name="fruit",
        version="1.0.0",  # type: ignore[arg-type]
        model_type="classification",
        input_schema=infer_input_schema(inputs),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


FRUIT = metadata(FRAME[FEATURES])


def labels_of(batches: LabelledBatches) -> list[Any]:
    return [label for batch in batches for label in batch.labels]  # type: ignore[union-attr]


def forms(folder: Path) -> dict[str, Any]:
    table = pa.Table.from_pandas(FRAME, preserve_index=False)
    parts = folder / "parts"
    parts.mkdir()
    pq.write_table(table.slice(0, 2), parts / "a.parquet")
    pq.write_table(table.slice(2), parts / "b.parquet")
    FRAME.to_parquet(folder / "indexed.parquet", index=True)
    FRAME.to_csv(folder / "fruit.csv", index=False)
    return {
        "pandas": FRAME,
        "records": FRAME.to_dict("records"),
        "polars": pl.from_pandas(FRAME),
        "lazy": pl.from_pandas(FRAME).lazy(),
        "arrow": table,
        "mapping": {name: FRAME[name].to_numpy() for name in FRAME},
        "pair": (FRAME[FEATURES], FRAME["good"]),
        "parquet": folder / "indexed.parquet",
        "glob": str(parts / "*.parquet"),
        "folder": parts,
        "uri": f"file://{parts}/a.parquet",
        "csv": str(folder / "fruit.csv"),
        "list of batches": [FRAME.iloc[:3], FRAME.iloc[3:]],
        "iterator": iter([table.slice(0, 1), table.slice(1)]),
        "shuffled columns": FRAME[FRAME.columns[::-1]],
        "small types": FRAME.astype({"size": "int8", "colour": "category"}),
    }


def test_every_form_of_a_table_has_the_same_rows_and_digest(tmp_path: Path) -> None:
    found: dict[str, tuple[str, int]] = {}
    for name, form in forms(tmp_path).items():
        batches = as_batches(form, metadata=FRUIT, target="good", batch_rows=2)
        assert labels_of(batches) == FRAME["good"].tolist()[: batches.rows], name
        found[name] = batches.digest, batches.rows
    assert found.pop("uri")[1] == 2
    assert len(set(found.values())) == 1, found
    digest, rows = found["csv"]
    assert rows == 5
    assert len(digest) <= 36


def test_inputs_are_frames_in_the_order_and_types_of_training(tmp_path: Path) -> None:
    for name, form in forms(tmp_path).items():
        if name in ("csv", "uri"):
            continue
        for batch in as_batches(form, metadata=FRUIT, target="good"):
            assert list(batch.inputs.columns) == FEATURES, name
            assert batch.inputs["size"].dtype == FRAME["size"].dtype, name


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.assign(size=f["size"] + 1),
        lambda f: f.assign(good=~f["good"]),
        lambda f: f.iloc[::-1],
        lambda f: f.assign(colour=["re", "dblue", None, "red", "blue"]),
        lambda f: f.assign(colour=["red", "blue", "", "red", "blue"]),
        lambda f: f.rename(columns={"size": "length"}),
        lambda f: f.assign(big=[2**60, 2, 3, 4, 5]),
    ],
)
def test_other_content_has_another_digest(change: Any) -> None:
    digests = {
        as_batches(frame, target="good").digest for frame in (FRAME, change(FRAME))
    }
    assert len(digests) == 2


@pytest.mark.parametrize("first", [2**53, 2**60])
def test_whole_numbers_beyond_float64_are_told_apart(first: int) -> None:
    digests = {
        as_batches(pd.DataFrame({"id": [first + n], "y": [1]}), target="y").digest
        for n in range(3)
    }
    assert len(digests) == 3


def test_batches_are_bounded_and_know_their_dataset() -> None:
    batches = as_batches(FRAME, target="good", batch_rows=2, name="fruit of May")
    assert [len(batch.inputs) for batch in batches] == [2, 2, 1]
    reference = batches.reference()
    assert (reference.name, reference.rows) == ("fruit of May", 5)
    assert reference.columns["colour"] == "string"
    assert reference.columns["size"] == "int64"
    assert reference.digest == batches.digest


def test_the_target_is_the_one_column_the_model_does_not_take() -> None:
    batches = as_batches(FRAME, metadata=FRUIT)
    assert labels_of(batches) == FRAME["good"].tolist()
    assert batches.target == "good"


def test_spare_columns_can_be_read_but_do_not_reach_the_model() -> None:
    data = FRAME.assign(shop=["a", "b", "a", "b", "a"])
    (batch,) = as_batches(data, metadata=FRUIT, target="good")
    assert list(batch.inputs.columns) == FEATURES
    assert batch.column("shop").tolist() == ["a", "b", "a", "b", "a"]
    with pytest.raises(
        DatasetError, match="no column 'street' to slice by; it has: size"
    ):
        batch.column("street")


def test_a_matrix_gets_the_names_of_training() -> None:
    version = metadata(pd.DataFrame({"b": [1.0], "a": [2.0]}))
    (batch,) = as_batches((np.array([[1.0, 2.0]]), [1]), metadata=version)
    assert batch.inputs.to_dict("records") == [{"b": 1.0, "a": 2.0}]
    with pytest.raises(DatasetError, match="takes 2 columns, but .* shape .1, 3"):
        list(as_batches((np.zeros((1, 3)), [1]), metadata=version))


def test_a_table_becomes_a_matrix_for_a_model_of_arrays() -> None:
    version = metadata(np.zeros((2, 2), dtype=np.float32))
    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4], "y": [0, 1]})
    (batch,) = as_batches(frame, metadata=version, target="y")
    assert batch.inputs.tolist() == [[1, 3], [2, 4]]
    assert batch.inputs.dtype == np.float32
    with pytest.raises(DatasetError, match="takes 2 numbers a row.*3 columns"):
        list(as_batches(frame.assign(c=1), metadata=version, target="y"))


def test_a_column_of_text_becomes_a_list_for_a_model_of_texts() -> None:
    version = metadata(["good", "bad"])
    frame = pd.DataFrame({"text": ["well", "ill"], "label": [1, 0]})
    (batch,) = as_batches(frame, metadata=version, target="label")
    assert batch.inputs == ["well", "ill"]
    (batch,) = as_batches((["well", "ill"], [1, 0]), metadata=version)
    assert batch.inputs == ["well", "ill"]


def test_a_category_of_training_is_a_category_again() -> None:
    trained = pd.DataFrame({"colour": pd.Categorical(["red", "blue"])})
    rows = pd.DataFrame({"colour": ["red", "red"], "y": [1, 0]})
    (batch,) = as_batches(rows, metadata=metadata(trained))
    assert str(batch.inputs["colour"].dtype) == "category"


def test_torch_items_and_loaders_are_read() -> None:
    import torch

    inputs, labels = torch.arange(12.0).reshape(6, 2), torch.tensor([0, 1, 0, 1, 1, 0])
    items = torch.utils.data.TensorDataset(inputs, labels)
    for dataset in (items, torch.utils.data.DataLoader(items, batch_size=4)):
        batches = as_batches(dataset, batch_rows=4)
        assert labels_of(batches) == labels.tolist()
        assert [len(batch.inputs) for batch in batches] == [4, 2]
        assert batches.digest == as_batches((inputs, labels)).digest


def test_torch_items_may_be_mappings_or_texts() -> None:
    import torch

    class Items(torch.utils.data.Dataset[Any]):
        def __init__(self, items: list[Any]) -> None:
            self.items = items

        def __len__(self) -> int:
            return len(self.items)

        def __getitem__(self, index: int) -> Any:
            return self.items[index]

    tokens = [{"input_ids": torch.arange(3) + n, "labels": n % 2} for n in range(5)]
    for dataset in (Items(tokens), torch.utils.data.DataLoader(Items(tokens), 2)):
        batches = as_batches(dataset, batch_rows=2)
        assert labels_of(batches) == [0, 1, 0, 1, 0]
        first = next(iter(batches))
        assert first.inputs["input_ids"].tolist() == [[0, 1, 2], [1, 2, 3]]
        assert list(first.inputs) == ["input_ids"]
        assert batches.target == "labels"
    texts = Items([("good", 1), ("bad", 0), ("ill", 0)])
    for dataset in (texts, torch.utils.data.DataLoader(texts, batch_size=2)):
        first = next(iter(as_batches(dataset, metadata=metadata(["a"]), batch_rows=2)))
        assert first.inputs == ["good", "bad"]
    ragged = Items([(torch.zeros(2), 0), (torch.zeros(3), 1)])
    with pytest.raises(DatasetError, match="not all of one shape.*collate_fn"):
        list(as_batches(ragged))
    with pytest.raises(DatasetError, match="must be a pair .*first is a Tensor"):
        list(as_batches(Items([torch.zeros(2)])))


@pytest.mark.filterwarnings(
    "ignore:Starting with pandas version 4.0:DeprecationWarning"
)
def test_datasets_of_mlflow_know_their_target() -> None:
    import mlflow.data
    from mlflow.data.code_dataset_source import CodeDatasetSource
    from mlflow.data.meta_dataset import MetaDataset

    from_frame = mlflow.data.from_pandas(FRAME, targets="good", name="fruit of June")
    batches = as_batches(from_frame, metadata=FRUIT)
    assert labels_of(batches) == FRAME["good"].tolist()
    assert (batches.name, batches.target) == ("fruit of June", "good")
    assert batches.digest == as_batches(FRAME, target="good").digest
    matrix, labels = np.arange(6.0).reshape(3, 2), np.array([0, 1, 1])
    from_arrays = mlflow.data.from_numpy(matrix, targets=labels)
    assert as_batches(from_arrays).digest == as_batches((matrix, labels)).digest
    nothing = MetaDataset(CodeDatasetSource(tags={}), name="nothing")
    with pytest.raises(DatasetError, match="MLflow dataset of type MetaDataset can't"):
        as_batches(nothing)


def test_datasets_of_hugging_face_are_read_in_batches() -> None:
    require("the library datasets", importlib.util.find_spec("datasets") is not None)
    import datasets

    frame = pd.DataFrame({"text": ["good", "bad", "ill"], "label": [1, 0, 0]})
    whole = datasets.Dataset.from_pandas(frame)
    for dataset in (whole, whole.to_iterable_dataset()):
        batches = as_batches(dataset, metadata=metadata(["a"]), batch_rows=2)
        assert [len(batch.inputs) for batch in batches] == [2, 1]
        assert labels_of(batches) == [1, 0, 0]
        assert batches.digest == as_batches(frame, target="label").digest
    with pytest.raises(DatasetError, match="DatasetDict holds the splits test; give"):
        as_batches(datasets.DatasetDict(test=whole))
    pictures = datasets.Dataset.from_dict(
        {"image": [np.full((2, 2), n, np.uint8) for n in range(3)], "label": [0, 1, 1]},
        features=datasets.Features(
            {"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])}
        ),
    )
    version = metadata(np.zeros((2, 2, 2), np.float32))
    (batch,) = as_batches(pictures, metadata=version)
    assert batch.inputs.shape == (3, 2, 2) and batch.inputs[2].max() == 2
    assert batch.labels is not None and batch.labels.tolist() == [0, 1, 1]


def test_several_target_columns_are_labels_of_several_columns() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0], "news": [1, 0], "art": [0, 0]})
    batches = as_batches(frame, target=["news", "art"])
    (batch,) = batches
    assert list(batch.inputs.columns) == ["x"]
    assert batch.labels is not None and batch.labels.tolist() == [[1, 0], [0, 0]]
    assert batches.target == "news, art"
    (batch,) = as_batches((frame[["x"]], frame[["news", "art"]]))
    assert batch.labels is not None and batch.labels.shape == (2, 2)
    with pytest.raises(DatasetError, match="target column 'sport' is not in the data"):
        list(as_batches(frame, target=["news", "sport"]))


@pytest.mark.parametrize(
    ("framework", "inputs", "rows"),
    [
        ("sklearn", FRAME[FEATURES], 50_000),
        ("pytorch", np.zeros((2, 3)), 5_000),
        ("pytorch", np.zeros((2, 8, 8)), 128),
        ("pytorch", ["a text"], 32),
    ],
)
def test_as_many_rows_are_asked_at_once_as_suit_the_model(
    framework: str, inputs: Any, rows: int
) -> None:
    version = metadata(inputs).model_copy(update={"framework": framework})
    assert InputForm.of(version).usual_rows == rows


def test_rows_are_known_beforehand_where_that_is_cheap(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "a.parquet")
    assert as_batches(tmp_path / "a.parquet", target="good").expected_rows == 5
    assert as_batches(FRAME, target="good").expected_rows == 5
    assert as_batches(iter([FRAME]), target="good").expected_rows is None


def test_images_are_arrays_of_any_shape() -> None:
    images = np.arange(48.0).reshape(3, 4, 4)
    (batch,) = as_batches((images, ["a", "b", "a"]))
    assert batch.inputs.shape == (3, 4, 4)
    assert batch.labels is not None and batch.labels.tolist() == ["a", "b", "a"]


def test_a_mapping_of_arrays_stays_one() -> None:
    columns = {"image": np.zeros((3, 2, 2)), "age": np.arange(3)}
    (batch,) = as_batches((columns, [1, 0, 1]))
    assert batch.inputs["image"].shape == (3, 2, 2)


def test_an_iterator_is_read_once_and_says_so() -> None:
    def batches() -> Iterator[Any]:
        yield np.zeros((2, 1)), [0, 1]

    once = as_batches(batches())
    assert labels_of(once) == [0, 1]
    assert once.rows == 2
    with pytest.raises(DatasetError, match="was read already"):
        list(once)


def test_batches_are_passed_through() -> None:
    batches = as_batches(FRAME, target="good")
    assert as_batches(batches) is batches


def test_rows_without_labels_are_read_when_none_are_asked_for() -> None:
    (batch,) = as_batches(FRAME[FEATURES], metadata=FRUIT, labelled=False)
    assert batch.labels is None
    assert len(batch.inputs) == 5


def test_records_that_lack_something_are_read_with_it_missing() -> None:
    rows = [{"a": 1.5, "good": 1}, {"b": "x", "good": 0}]
    (batch,) = as_batches(rows, target="good")
    assert list(batch.inputs.columns) == ["a", "b"]
    assert batch.inputs.isna().to_numpy().tolist() == [[False, True], [True, False]]
    assert batch.labels is not None and batch.labels.tolist() == [1, 0]


def test_two_records_are_not_a_pair_and_records_may_have_their_labels_beside() -> None:
    records = FRAME[FEATURES].head(2).to_dict("records")
    labelled = [{**record, "good": True} for record in records]
    assert labels_of(as_batches(labelled, metadata=FRUIT, target="good")) == [True] * 2
    (batch,) = as_batches((records, [0, 1]), metadata=FRUIT)
    assert list(batch.inputs.columns) == FEATURES


def test_a_list_of_mappings_of_arrays_is_one_of_batches() -> None:
    one = {"a": np.arange(2.0), "y": np.array([0, 1])}
    assert as_batches([one, one], target="y").rows == 4


def broken_csv(folder: Path) -> Path:
    (folder / "broken.csv").write_text("a,b\n1,2\n1,2,3,4\n")
    return folder / "broken.csv"


def two_kinds(folder: Path) -> Path:
    (folder / "a.csv").write_text("a\n1\n")
    FRAME.to_parquet(folder / "b.parquet")
    return folder


def no_parquet(folder: Path) -> Path:
    (folder / "x.parquet").write_text("not parquet")
    return folder / "x.parquet"


@pytest.mark.parametrize(
    ("make", "target", "sentence"),
    [
        (lambda folder: FRAME.head(0), "good", "has no rows"),
        (lambda folder: FRAME, "price", "'price' is not in the dataset; it has: size"),
        (lambda folder: FRAME, None, "can't tell which column holds the labels"),
        (lambda folder: np.zeros((3, 2)), None, "alone has no labels; give .X, y."),
        (lambda folder: (np.zeros((3, 2)), [1, 2]), None, "'X' has 3, 'y' has 2"),
        (lambda folder: {"a": [1, 2], "b": [1]}, "b", "'a' has 2, 'b' has 1"),
        (lambda folder: {}, None, "mapping of columns is empty"),
        (lambda folder: "nowhere/*.parquet", None, "no file 'nowhere/.*glob"),
        (lambda folder: 7, None, "a dataset of type int can't be read"),
        (lambda folder: [3], None, "single int can't be read as rows"),
        (
            lambda folder: iter([{"a": 1.0, "b": 1}]),
            "b",
            r"single float can't be read as rows .* or a list of records such as \[",
        ),
        (lambda folder: [{"a": 1, "b": 1}, {"a": "x", "b": 0}], "b", "'a' can't"),
        (lambda folder: [{"1": 1}, {1: 2}], "1", "two columns are called '1'"),
        (
            lambda folder: pd.DataFrame([[1, 2]], columns=["a", "a"]),
            "a",
            "two columns are called 'a'",
        ),
        (broken_csv, "b", "broken.csv .of 1 files. can't be read"),
        (no_parquet, "b", "x.parquet .of 1 files. can't be read"),
        (two_kinds, "a", "of the kinds csv, parquet; .* of one kind"),
        (lambda folder: ([[1, 2], [3]], [0, 1]), None, "not all of one shape"),
    ],
)
def test_what_can_not_be_read_is_refused_in_a_sentence(
    tmp_path: Path, make: Any, target: str | None, sentence: str
) -> None:
    with pytest.raises(DatasetError, match=sentence):
        list(as_batches(make(tmp_path), target=target))


def test_a_column_of_training_that_is_gone_is_named() -> None:
    with pytest.raises(DatasetError, match="fruit 1.0.0 was trained on: 'weight'"):
        list(as_batches(FRAME.drop(columns="weight"), metadata=FRUIT, target="good"))


def test_int_column_names_are_texts_but_for_functions() -> None:
    frame = pd.DataFrame({0: [1.0], 1: [2.0], "more": [3.0]})
    (batch,) = as_batches(frame, target="1")
    assert list(batch.inputs.columns) == [0, "more"]
    assert batch.chunk.names == ["0", "1", "more"]


def test_a_parquet_file_of_many_that_lacks_a_column_is_refused(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, 2.0], "y": [0, 1]})
    frame.to_parquet(tmp_path / "0.parquet")
    frame.drop(columns="b").to_parquet(tmp_path / "1.parquet")
    batches = as_batches(f"{tmp_path}/*.parquet", target="y")
    with pytest.raises(DatasetError, match=r"1.parquet has no column b, which .*0"):
        list(batches)


def test_the_digest_of_several_labels_or_matrices_does_not_show_the_batches() -> None:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(50, 3)).astype(np.float32)
    several = generator.integers(2, size=(50, 2))
    fits = metadata(inputs)

    def digest(batch_rows: int, labels: Any) -> str:
        pair = (inputs, labels)
        return as_batches(pair, metadata=fits, batch_rows=batch_rows).digest

    assert digest(7, several) == digest(50, several)
    assert digest(7, several) != digest(7, several[:, ::-1])
