"""Tensors of the protocol, to and from numpy."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from brixa_flows.deployment.tensors import decode_tensor, encode_tensor
from brixa_flows.errors import BadRequestError


def tensor(**changes):
    return {"name": "x", "shape": [2], "datatype": "FP64", "data": [1, 2], **changes}


@given(
    npst.arrays(
        dtype=st.sampled_from(
            [
                "bool",
                "int8",
                "uint8",
                "int64",
                "uint64",
                "float16",
                "float32",
                "float64",
            ]
        ),
        shape=npst.array_shapes(max_dims=3, max_side=4),
        elements={"allow_infinity": False},
    )
)
def test_numbers_survive_the_way_over_the_wire(values):
    wire = json.loads(json.dumps(encode_tensor("x", values), allow_nan=False))
    back = decode_tensor(wire, 0).values
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


@given(st.lists(st.one_of(st.none(), st.text()), min_size=1))
def test_texts_survive_the_way_over_the_wire(texts):
    values = np.array(texts, dtype=object)
    wire = json.loads(json.dumps(encode_tensor("x", values)))
    assert decode_tensor(wire, 0).values.tolist() == texts


def test_a_missing_number_is_null_on_the_wire_and_nan_here():
    decoded = decode_tensor(tensor(data=[1.5, None]), 0)
    assert decoded.values[0] == 1.5 and math.isnan(decoded.values[1])
    assert encode_tensor("x", decoded.values)["data"] == [1.5, None]


def test_integers_with_a_missing_one_become_floats_that_can_say_so():
    decoded = decode_tensor(tensor(datatype="INT64", data=[3, None]), 0)
    assert decoded.values.dtype == np.float64 and decoded.has_missing


def test_nested_data_is_as_good_as_flat():
    nested = tensor(shape=[2, 2], data=[[1, 2], [3, 4]])
    flat = tensor(shape=[2, 2], data=[1, 2, 3, 4])
    np.testing.assert_array_equal(
        decode_tensor(nested, 0).values, decode_tensor(flat, 0).values
    )


def test_dates_are_sent_as_texts():
    encoded = encode_tensor("t", np.array(["2013-01-01T05:00", "NaT"], "datetime64[s]"))
    assert encoded["datatype"] == "BYTES"
    assert encoded["data"] == ["2013-01-01T05:00:00", None]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ([1], "inputs[0]"),
        (tensor(name=""), "inputs[0].name"),
        (tensor(name=7), "inputs[0].name"),
        (tensor(datatype="BF16"), "datatype 'BF16'"),
        (tensor(datatype=["FP64"]), "use one of BOOL"),
        (tensor(shape="2"), "not a list of sizes"),
        (tensor(shape=[]), "not a list of sizes"),
        (tensor(shape=[-2]), "not a list of sizes"),
        (tensor(shape=[True]), "not a list of sizes"),
        (tensor(shape=[2.0]), "not a list of sizes"),
        (tensor(shape=[1] * 40), "not a list of sizes"),
        (tensor(shape=[0], data=[]), "no rows"),
        (tensor(shape=[10**30]), "needs 1000000"),
        (tensor(shape=[3]), "data has 2 values"),
        (tensor(data=[[1], [2]]), "not nested like shape"),
        (tensor(shape=[2, 2], data=[[1, 2], [3]]), "not nested like shape"),
        (tensor(shape=[2, 2], data=[[1, 2], 3, 4]), "not nested like shape"),
        (tensor(data="12"), "data is not a list"),
        (tensor(data={"0": 1}), "data is not a list"),
        (tensor(data=["1", 2]), "value 0 is '1' (a text)"),
        (tensor(data=[1, True]), "value 1 is 'True' (a boolean)"),
        (tensor(data=[1, {}]), "(an object)"),
        (tensor(data=[1, [2]]), "(a list)"),
        (tensor(data=[1, 10**400]), "too large"),
        (tensor(datatype="FP32", data=[1, 1e300]), "too large for FP32"),
        (tensor(data=[1, math.inf]), "infinite"),
        (tensor(datatype="INT8", data=[1, 200]), "outside of -128 to 127"),
        (tensor(datatype="UINT8", data=[1, -1]), "outside of 0 to 255"),
        (tensor(datatype="INT64", data=[1, 2**63]), "outside of"),
        (tensor(datatype="INT64", data=[1, 2.5]), "whole numbers"),
        (tensor(datatype="BOOL", data=[1, 0]), "true or false"),
        (tensor(datatype="BYTES", data=["a", 1]), "takes texts"),
        ({"name": "x", "shape": [2], "datatype": "FP64"}, "has no data"),
    ],
)
def test_a_bad_tensor_is_refused_by_name(raw, words):
    with pytest.raises(BadRequestError) as caught:
        decode_tensor(raw, 0)
    assert words in caught.value.message
    assert "'x'" in caught.value.message or "inputs[0]" in caught.value.message
