"""Hostile data files of tables, with a manifest that fits and no recorded digest."""

from __future__ import annotations

import json

import extension_cases
import onnx
import pytest
import table_cases
from hostile_content import (
    CONTENT,
    forge,
    load_unrecorded,
    refuse_all_content,
    refused,
    saved_case,
    try_wrong_facts,
    write_zip,
    zip_parts,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from brixa_flows.plugins import SERIALIZERS
from brixa_flows.serializers import SaveOptions
from brixa_flows.testing.serializers import SavedVersion

DATA = [
    case
    for case in (*table_cases.CASES, *extension_cases.CASES)
    if case.format in SERIALIZERS.get(case.serializer).data_formats
]
SKOPS = next(case for case in DATA if case.serializer == "skops")


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "the-code-ran"
    yield path
    assert not path.exists(), "stored code ran"


@pytest.mark.parametrize("case", DATA, ids=str)
def test_hostile_bytes_in_a_data_file_run_nothing(case, tmp_path, canary):
    refuse_all_content(saved_case(case, tmp_path / "v"), canary)


@pytest.mark.parametrize("case", DATA, ids=str)
def test_wrong_facts_of_a_manifest_run_nothing(case, tmp_path, canary):
    try_wrong_facts(saved_case(case, tmp_path / "v"), canary)


def _function(canary):
    """What skops writes for a function, naming ``os.mkdir``."""
    return {
        "__class__": "mkdir",
        "__module__": "os",
        "__loader__": "FunctionNode",
        "__id__": 1,
        "content": {"module_path": "os", "function": "mkdir"},
    }


def _object(canary):
    """An object whose constructor or state could do harm."""
    return {
        "__class__": "Popen",
        "__module__": "subprocess",
        "__loader__": "ObjectNode",
        "__id__": 1,
        "content": {"__class__": "dict", "__module__": "builtins", "content": {}},
    }


def _reduced(canary):
    """As pickle would: a callable and its arguments."""
    return {
        "__class__": "mkdir",
        "__module__": "os",
        "__loader__": "OperatorFuncNode",
        "__id__": 1,
        "attrs": [str(canary)],
    }


def _json_of_type(canary):
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "__id__": 1,
        "content": "__import__('os').mkdir",
    }


@pytest.mark.parametrize("hostile", [_function, _object, _reduced, _json_of_type])
def test_a_skops_file_with_a_type_that_is_not_ours_is_refused(
    hostile, tmp_path, canary
):
    version = saved_case(SKOPS, tmp_path / "v")
    path = version / "model.skops"
    parts = zip_parts(path)
    schema = json.loads(parts["schema.json"])
    parts["schema.json"] = json.dumps(schema | hostile(canary)).encode()
    write_zip(path, parts)
    forge(version)
    if hostile is _json_of_type:  # a text, which is harmless, and no estimator
        try:
            load_unrecorded(version)
        except Exception as err:
            assert "model.skops" in str(err)
        return
    with refused(canary, match="model.skops"):
        load_unrecorded(version)


def _array_in(part):
    """Of the parts of a schema, the first that is an array in a file."""
    if isinstance(part, list):
        part = dict(enumerate(part))
    if not isinstance(part, dict):
        return None
    if str(part.get("file")).endswith(".npy"):
        return part
    return next(filter(None, map(_array_in, part.values())), None)


def _petabytes(schema, parts, canary):
    head = "{'descr': '<f8', 'fortran_order': False, 'shape': (1%s,), }" % ("0" * 15)
    text = head.ljust(117).encode() + b"\n"
    size = len(text).to_bytes(2, "little")
    parts[_array_in(schema)["file"]] = b"\x93NUMPY\x01\0" + size + text + b"\0" * 8


def _head_of_brackets(schema, parts, canary):
    text = b"(" * 9000
    size = len(text).to_bytes(4, "little")
    parts[_array_in(schema)["file"]] = b"\x93NUMPY\x02\0" + size + text


def _array_of_bombs(schema, parts, canary):
    parts[_array_in(schema)["file"]] = CONTENT["npy of objects"](canary)


def _file_of_the_disk(schema, parts, canary):
    _array_in(schema)["file"] = "/etc/hostname"


def _file_above(schema, parts, canary):
    _array_in(schema)["file"] = "../../config.json"


@pytest.mark.parametrize(
    "hostile",
    [
        _petabytes,
        _head_of_brackets,
        _array_of_bombs,
        _file_of_the_disk,
        _file_above,
    ],
)
def test_an_array_of_a_skops_file_that_is_none_is_refused(hostile, tmp_path, canary):
    version = saved_case(SKOPS, tmp_path / "v")
    path = version / "model.skops"
    parts = zip_parts(path)
    schema = json.loads(parts["schema.json"])
    hostile(schema, parts, canary)
    write_zip(path, parts | {"schema.json": json.dumps(schema).encode()})
    forge(version)
    with refused(canary, match="model.skops"):
        load_unrecorded(version)


def test_a_skops_file_whose_members_end_too_early_is_refused(tmp_path, canary):
    version = saved_case(SKOPS, tmp_path / "v")
    path = version / "model.skops"
    content = bytearray(path.read_bytes())
    sizes = content.rfind(b"PK\x01\x02") + 20
    content[sizes : sizes + 8] = (2**31).to_bytes(4, "little") * 2
    path.write_bytes(content)
    forge(version)
    with refused(canary, match="model.skops"):
        load_unrecorded(version)


def test_a_skops_file_with_names_that_leave_it_writes_nothing_there(tmp_path, canary):
    version = saved_case(SKOPS, tmp_path / "v")
    path = version / "model.skops"
    parts = zip_parts(path) | {"../../slipped": b"1", "/slipped": b"1"}
    write_zip(path, parts)
    forge(version)
    load_unrecorded(version)
    assert not list(tmp_path.rglob("slipped"))


def test_a_pipeline_with_a_function_is_never_written_as_skops(tmp_path):
    import os

    model = make_pipeline(FunctionTransformer(os.mkdir))
    with refused(tmp_path / "never", match="mkdir"):
        SavedVersion.of(model, tmp_path / "v", SaveOptions(format="skops"))


@pytest.mark.parametrize("place", ["../outside.bin", "/etc/hostname", "beside.bin"])
def test_an_onnx_file_reads_no_weights_from_another_file(place, tmp_path, canary):
    case = next(each for each in DATA if str(each) == "onnx-onnx-columns")
    version = saved_case(case, tmp_path / "v")
    (tmp_path / "outside.bin").write_bytes(b"\0" * 4)
    (version / "beside.bin").write_bytes(b"\0" * 4)
    proto = onnx.load(version / "model.onnx")
    tensor = proto.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    (version / "model.onnx").write_bytes(proto.SerializeToString())
    forge(version)
    with refused(canary, match="model.onnx.*weights in"):
        load_unrecorded(version)


def _elsewhere():
    """A tensor whose numbers are in a file of the disk."""
    tensor = onnx.TensorProto(name="x", data_type=1, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    return tensor


def _in_an_attribute(proto):
    node = onnx.helper.make_node("Constant", [], ["unused"], value=_elsewhere())
    proto.graph.node.insert(0, node)


def _in_a_sparse_tensor(proto):
    proto.graph.sparse_initializer.add(values=_elsewhere(), dims=[1])


def _in_a_function(proto):
    node = onnx.helper.make_node("Constant", [], ["unused"], value=_elsewhere())
    proto.functions.add(name="f", domain="d", node=[node])


def _exabytes(proto):
    proto.graph.initializer[0].dims[:] = [2**40, 2**20]


def _overflowing(proto):
    proto.graph.initializer[0].dims[:] = [2**62, 4]


def _negative(proto):
    proto.graph.initializer[0].dims[:] = [-1]


def _operator_of_python(proto):
    node = onnx.helper.make_node("PyOp", [], ["unused"], domain="ai.onnx.contrib")
    proto.graph.node.insert(0, node)
    proto.opset_import.append(onnx.helper.make_opsetid("ai.onnx.contrib", 1))


@pytest.mark.parametrize(
    "hostile",
    [
        _in_an_attribute,
        _in_a_sparse_tensor,
        _in_a_function,
        _exabytes,
        _overflowing,
        _negative,
        _operator_of_python,
    ],
)
def test_an_onnx_graph_that_is_none_is_refused(hostile, tmp_path, canary):
    case = next(each for each in DATA if str(each) == "onnx-onnx-columns")
    version = saved_case(case, tmp_path / "v")
    proto = onnx.load(version / "model.onnx")
    hostile(proto)
    (version / "model.onnx").write_bytes(proto.SerializeToString())
    forge(version)
    with refused(canary, match="model.onnx"):
        load_unrecorded(version)


def test_a_session_that_can_not_be_made_is_not_tried_again_on_other_devices(
    tmp_path, canary, capfd
):
    """The runtime would, and print so where the data of a command goes."""
    case = next(each for each in DATA if str(each) == "onnx-onnx-columns")
    version = saved_case(case, tmp_path / "v")
    proto = onnx.load(version / "model.onnx")
    proto.graph.node[0].op_type = "TEXT"
    content = proto.SerializeToString().replace(b"TEXT", b"\x80" * 4)
    (version / "model.onnx").write_bytes(content)
    forge(version)
    with refused(canary, match="model.onnx"):
        load_unrecorded(version)
    assert not capfd.readouterr().out
