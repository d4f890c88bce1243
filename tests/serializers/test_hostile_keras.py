"""Hostile Keras files, with a manifest that fits and no recorded digest."""

from __future__ import annotations

import json
import warnings
import zipfile

import h5py
import keras
import keras_cases
import numpy as np
import pytest
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

from brixa_flows.plugins import SERIALIZERS
from brixa_flows.serializers import read_manifest

DATA = SERIALIZERS.get("tensorflow").data_formats


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "the-code-ran"
    yield path
    assert not path.exists(), "stored code ran"


@pytest.fixture
def version(tmp_path):
    """A model of Keras's own classes, which needs nobody's word."""
    return saved_case(keras_cases.CASES[0], tmp_path / "v")


def change_layer(version, config):
    """Put the description of a layer in the place of the last one."""
    path = version / "model.keras"
    parts = zip_parts(path)
    model = json.loads(parts["config.json"])
    model["config"]["layers"][-1] = config
    parts["config.json"] = json.dumps(model).encode()
    write_zip(path, parts)
    forge(version)


def test_hostile_bytes_in_a_keras_file_run_nothing(version, canary):
    refuse_all_content(version, canary)


def test_wrong_facts_of_a_manifest_run_nothing(version, canary):
    assert try_wrong_facts(version, canary)


@pytest.mark.parametrize("member", ["config.json", "model.weights.h5"])
def test_hostile_bytes_in_a_member_of_a_keras_file_run_nothing(member, version, canary):
    path = version / "model.keras"
    whole = zip_parts(path)
    for make in CONTENT.values():
        write_zip(path, whole | {member: make(canary)})
        forge(version)
        with refused(canary, match="model.keras"):
            load_unrecorded(version)
    write_zip(path, {name: whole[name] for name in whole if name != member})
    forge(version)
    with refused(canary, match="model.keras"):
        load_unrecorded(version)


def _lambda(canary):
    """Byte code, as Keras writes a lambda."""
    code = lambda x: __import__("os").mkdir("/never") or x  # noqa: E731
    layer = keras.layers.Lambda(code, name="evil")
    return keras.saving.serialize_keras_object(layer)


def _function_of_os(canary):
    named = {"module": "os", "class_name": "function", "config": "mkdir"}
    config = {"name": "evil", "function": named | {"registered_name": "mkdir"}}
    config["arguments"] = {"path": str(canary)}
    return _layer("keras.layers", "Lambda", config)


def _class_of_another_module(canary):
    return _layer("subprocess", "Popen", {"args": ["mkdir", str(canary)]})


def _class_of_this_module(canary):
    return _layer(__name__, "Imported", {"name": "evil"})


def _torch_wrapper(canary):
    pickled = CONTENT["torch archive"](canary).decode("latin-1")
    return _layer("keras.layers", "TorchModuleWrapper", {"module": pickled})


def _saved_model_layer(canary):
    return _layer("keras.layers", "TFSMLayer", {"filepath": str(canary.parent)})


def _file_of_the_disk(canary):
    """A vocabulary that Keras reads from any path."""
    return _layer("keras.layers", "StringLookup", {"vocabulary": "/etc/hostname"})


def _keras_function_with_a_path(canary):
    """A function of Keras itself that writes where it is told."""
    named = {
        "module": "keras.src.utils.file_utils",
        "class_name": "function",
        "config": "makedirs",
        "registered_name": "makedirs",
    }
    config = {"name": "evil", "function": named, "arguments": {"path": str(canary)}}
    return _layer("keras.layers", "Lambda", config)


def _layer(module, name, config):
    config.setdefault("name", "evil")
    return {
        "module": module,
        "class_name": name,
        "config": config,
        "registered_name": name,
        "build_config": {"input_shape": [None, 3]},
    }


def _lambda_of_an_inner_model(canary):
    inner = keras.Sequential([keras.Input((3,))], name="inner")
    content = keras.saving.serialize_keras_object(inner)
    content["config"]["layers"].append(_lambda(canary))
    return content


def _lambda_in_a_wrapper(canary):
    return _layer("keras.layers", "TimeDistributed", {"layer": _lambda(canary)})


def _activation_of_os(canary):
    named = {"module": "os", "class_name": "function", "config": "mkdir"}
    config = {"units": 1, "activation": named | {"registered_name": "mkdir"}}
    return _layer("keras.layers", "Dense", config)


def _initializer_of_another_module(canary):
    config = {"units": 1, "kernel_initializer": _class_of_another_module(canary)}
    return _layer("keras.layers", "Dense", config)


def _type_of_another_module(canary):
    named = {"class_name": "__typespec__", "spec_name": "os.mkdir", "spec": []}
    return _layer("keras.layers", "Dense", {"units": named})


class Imported(keras.layers.Layer):
    """A layer that a file may not take by naming this module."""


@pytest.mark.parametrize(
    "hostile",
    [
        _lambda,
        _function_of_os,
        _class_of_another_module,
        _class_of_this_module,
        _torch_wrapper,
        _saved_model_layer,
        _file_of_the_disk,
        _keras_function_with_a_path,
        _lambda_of_an_inner_model,
        _lambda_in_a_wrapper,
        _activation_of_os,
        _initializer_of_another_module,
        _type_of_another_module,
    ],
)
def test_a_layer_that_runs_or_reads_what_it_names_is_refused(hostile, version, canary):
    change_layer(version, hostile(canary))
    with refused(canary, match="model.keras"):
        load_unrecorded(version)


@pytest.mark.parametrize(
    "path",
    ["os:mkdir", "torch.serialization:save", "keras.src.utils.file_utils:makedirs"],
)
def test_a_function_that_the_manifest_names_needs_somebodys_word(path, version, canary):
    """Otherwise a Lambda calls any function of any library with any arguments."""
    named = {"module": "builtins", "class_name": "function", "config": "evil"}
    config = {"function": named | {"registered_name": "evil"}, "name": "evil"}
    config["arguments"] = {"path": str(canary)}
    change_layer(version, _layer("keras.layers", "Lambda", config))
    forge(version, config={"classes": [path], "registered": {"evil": path}})
    with refused(canary, match="can run code"):
        load_unrecorded(version)
    forge(version, config={"classes": [], "registered": {"evil": path}})
    with refused(canary):
        load_unrecorded(version)


def test_the_old_format_is_not_a_way_around_safe_mode(version, canary):
    """Keras tells the format from the extension; the manifest must not choose it."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    for extension in ("h5", "hdf5"):
        path = version / f"model.{extension}"
        model.save(path)
        with h5py.File(path, "r+") as file:
            content = json.loads(file.attrs["model_config"])
            content["config"]["layers"][-1] = _lambda(canary)
            file.attrs["model_config"] = json.dumps(content)
        (version / read_manifest(version).saved.entry).unlink()
        forge(version, entry=path.name)
        with refused(canary, match=f"model.{extension}"):
            load_unrecorded(version)


def test_names_that_leave_a_keras_file_write_nothing_there(version, canary):
    path = version / "model.keras"
    parts = zip_parts(path)
    write_zip(path, parts | {"../../slipped": b"1", "/slipped": b"1"})
    forge(version)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # Keras tells what it skips
        load_unrecorded(version)
    assert not list(canary.parent.rglob("slipped"))


@pytest.mark.parametrize(
    "compiled",
    [
        {"optimizer": _class_of_another_module, "loss": "mse"},
        {"optimizer": "sgd", "loss": _function_of_os},
        {"optimizer": "sgd", "metrics": [_class_of_another_module]},
    ],
)
def test_what_a_model_is_compiled_with_is_of_keras(compiled, version, canary):
    path = version / "model.keras"
    parts = zip_parts(path)
    model = json.loads(parts["config.json"])
    model["compile_config"] = {
        name: (
            [each(canary) for each in named]
            if isinstance(named, list)
            else named(canary) if callable(named) else named
        )
        for name, named in compiled.items()
    }
    parts["config.json"] = json.dumps(model).encode()
    write_zip(path, parts)
    forge(version)
    with refused(canary, match="model.keras"):
        load_unrecorded(version)


@pytest.mark.parametrize("member", ["config.json", "assets/bomb", "model.weights.h5"])
def test_a_few_kilobytes_do_not_become_gigabytes(member, version, canary):
    path = version / "model.keras"
    with zipfile.ZipFile(path, "a") as archive:
        large = zipfile.ZipInfo(member)
        large.compress_type = zipfile.ZIP_DEFLATED
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a name that is there twice
            archive.writestr(large, b" " * 2**20)
    forge(version)
    with refused(canary, match=f"model.keras.*{member} is compressed"):
        load_unrecorded(version)


def _link(layer, shape, outside):
    layer["0"] = h5py.ExternalLink(str(outside), "secret")


def _bytes_of_a_file(layer, shape, outside):
    place = [(str(outside), 0, 4096)]
    layer.create_dataset("0", shape=shape, dtype="float32", external=place)


def _virtual(layer, shape, outside):
    layout = h5py.VirtualLayout(shape=shape, dtype="float32")
    layout[...] = h5py.VirtualSource(str(outside), "secret", shape=shape)
    layer.create_virtual_dataset("0", layout)


def _terabytes_of_nothing(layer, shape, outside):
    options = {"dtype": "float32", "chunks": (1024,), "compression": "gzip"}
    layer.create_dataset("0", shape=(2**40,), **options)


@pytest.mark.parametrize(
    "place", [_link, _bytes_of_a_file, _virtual, _terabytes_of_nothing]
)
def test_weights_do_not_come_from_another_file(place, version, canary):
    outside = canary.parent / "outside.h5"
    with h5py.File(outside, "w") as file:
        file["secret"] = np.ones((64, 64), "float32")
    path = version / "model.keras"
    parts = zip_parts(path)
    weights = canary.parent / "weights.h5"
    weights.write_bytes(parts["model.weights.h5"])
    with h5py.File(weights, "r+") as file:
        layer = next(group for name, group in file["layers"].items() if "dense" in name)
        shape = layer["vars"]["0"].shape
        del layer["vars"]["0"]
        place(layer["vars"], shape, outside)
    parts["model.weights.h5"] = weights.read_bytes()
    write_zip(path, parts)
    forge(version)
    with refused(canary, match="model.keras"):
        load_unrecorded(version)


@pytest.mark.parametrize("case", keras_cases.CASES, ids=str)
def test_what_can_run_code_is_refused_before_it_is_read(case, tmp_path, canary):
    """Every format that is code, also where the manifest calls it data."""
    directory = saved_case(case, tmp_path / "v")
    forge(directory, tier="data")
    saved = read_manifest(directory).saved
    if saved.format not in DATA or saved.config.get("classes"):
        with refused(canary, match="can run code"):
            load_unrecorded(directory)
