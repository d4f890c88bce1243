"""Schemas that people give, and schemas that data show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from jsonschema import Draft202012Validator
from sklearn.linear_model import LinearRegression, LogisticRegression

from brixa_flows.errors import DatasetError, InvalidSchemaError
from brixa_flows.registry import infer_schemas
from brixa_flows.registry.facts.schemas import check_schema, infer_input_schema


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"type": "strng"}, r"\$\.type"),
        ({"properties": {"text": {"type": 3}}}, r"\$\.properties\.text\.type"),
        ({"items": {"minimum": "low"}}, r"\$\.items\.minimum"),
        ({"required": "text"}, r"\$\.required"),
        ([1, 2], "is a list"),
        ("text", "is a str"),
        ({"enum": {1, 2}}, "not JSON"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, "not supported"),
        ({"properties": {"a": {"pattern": "("}}}, "no regular expression"),
        ({"$ref": "#/$defs/none"}, "there is no '#/\\$defs/none'"),
        ({"$ref": "https://example.com/s"}, "lies outside"),
        ({"default": float("nan")}, "not JSON"),
    ],
)
def test_what_is_no_json_schema_is_refused_with_its_place(
    schema: Any, complaint: str
) -> None:
    with pytest.raises(InvalidSchemaError, match=complaint) as caught:
        check_schema("input_schema", schema)
    assert caught.value.field == "input_schema"


def test_a_frame_gives_an_object_with_the_order_of_its_columns(
    classifier: LogisticRegression, frame: pd.DataFrame
) -> None:
    taken, given = infer_schemas(classifier, frame)
    assert list(taken["properties"]) == ["width", "age", "cost"]
    assert taken["required"] == ["width", "age", "cost"]
    assert taken["properties"]["age"] == {"type": "integer", "x-dtype": "int64"}
    assert given["properties"]["prediction"]["enum"] == [0, 1]
    assert given["properties"]["probabilities"]["maxItems"] == 2
    validator = Draft202012Validator(taken)
    assert validator.is_valid({"width": 0.5, "age": 3, "cost": 1})
    assert not validator.is_valid({"width": 0.5, "age": 3})


def test_columns_of_many_types_are_told_apart() -> None:
    mixed = pd.DataFrame(
        {
            "seen": pd.to_datetime(["2026-01-01", None], utc=True),
            "kind": pd.Categorical(["a", "b"]),
            "text": ["x", None],
            "share": [0.5, None],
            "yes": [True, False],
            "whole": pd.array([1, None], dtype="Int64"),
            7: [1, 2],
            "odd": [{"a": 1}, [2]],
        }
    )
    found = infer_input_schema(mixed)["properties"]
    types = {name: part.get("type") for name, part in found.items()}
    assert types == {
        "seen": ["string", "null"],
        "kind": "string",
        "text": ["string", "null"],
        "share": ["number", "null"],
        "yes": "boolean",
        "whole": ["integer", "null"],
        "7": "integer",
        "odd": None,
    }
    assert found["seen"]["format"] == "date-time"


def test_arrow_polars_and_pandas_agree(
    classifier: LogisticRegression, frame: pd.DataFrame
) -> None:
    expected = infer_schemas(classifier, frame)
    assert infer_schemas(classifier, pa.Table.from_pandas(frame)) == expected
    assert infer_schemas(classifier, pl.from_pandas(frame)) == expected


def test_an_array_gives_the_shape_of_one_sample() -> None:
    X = np.arange(12.0).reshape(6, 2)
    model = LinearRegression().fit(X, X[:, 0])
    taken, given = infer_schemas(model, X)
    assert taken == {
        "type": "array",
        "items": {"type": "number", "x-dtype": "float64"},
        "minItems": 2,
        "maxItems": 2,
    }
    assert given["required"] == ["prediction"]
    assert given["properties"]["prediction"]["type"] == "number"


def test_texts_and_mappings_of_arrays_have_schemas_too() -> None:
    assert infer_input_schema(["good", "bad"]) == {"type": "string", "x-dtype": "str"}
    assert infer_input_schema(pd.Series(["a", "b"]))["type"] == "string"
    ids = {"input_ids": np.zeros((2, 3), dtype="int64")}
    assert infer_input_schema(ids)["properties"]["input_ids"]["items"] == {
        "type": "integer",
        "x-dtype": "int64",
    }


@pytest.mark.parametrize(
    ("inputs", "complaint"),
    [
        (pd.DataFrame({"a": []}), "no rows"),
        ([], "no rows"),
        (3.5, "can't be read"),
        ("hello", "inputs of type str can't be read; give .* or a list of texts"),
        (b"hello", "inputs of type bytes can't be read"),
        (np.float64(3), "inputs of type float64 can't be read"),
        ([[1], [1, 2]], "not all of one shape"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "same name"),
    ],
)
def test_inputs_that_say_nothing_are_refused(inputs: Any, complaint: str) -> None:
    with pytest.raises(DatasetError, match=complaint):
        infer_input_schema(inputs)


def test_every_inferred_schema_is_a_json_schema(
    classifier: LogisticRegression, frame: pd.DataFrame
) -> None:
    for schema in infer_schemas(classifier, frame):
        assert check_schema("schema", schema) == schema
