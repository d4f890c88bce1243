"""Hostile data files of networks, with a manifest that fits and no recorded digest."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
import torch_cases
from hostile_content import (
    CONTENT,
    forge,
    load_unrecorded,
    refuse_all_content,
    refused,
    saved_case,
    try_wrong_facts,
)
from torch import nn

from brixa_flows.errors import InsecureSerializationWarning, SerializationError
from brixa_flows.plugins import SERIALIZERS
from brixa_flows.serializers import SaveOptions, check_trust, read_manifest
from brixa_flows.serializers.module_recipe import import_module_class
from brixa_flows.testing.serializers import SavedVersion

STATE = next(each for each in torch_cases.CASES if each.variant == "state")
HUGGING_FACE = next(each for each in torch_cases.CASES if "trans" in each.serializer)
HEADER_AT_MOST = 100 * 10**6  # of the safetensors library


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "the-code-ran"
    yield path
    assert not path.exists(), "stored code ran"


@pytest.fixture
def layers(tmp_path):
    """A module of torch's own classes, which needs nobody's word."""
    model = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
    return SavedVersion.of(model, tmp_path / "layers", SaveOptions()).directory


@pytest.fixture
def state(tmp_path):
    return saved_case(STATE, tmp_path / "state")


@pytest.fixture
def classifier(tmp_path):
    return saved_case(HUGGING_FACE, tmp_path / "classifier")


def test_the_torch_archive_of_these_tests_is_hostile_indeed(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(CONTENT["torch archive"](tmp_path / "ran"))
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("version", ["layers", "state"])
def test_hostile_bytes_in_a_data_file_run_nothing(version, request, canary):
    refuse_all_content(request.getfixturevalue(version), canary)


def test_hostile_bytes_in_the_weights_of_a_hugging_face_model_run_nothing(
    classifier, canary
):
    names = "model.safetensors config.json tokenizer.json"
    refuse_all_content(classifier, canary, names=names)


@pytest.mark.parametrize("version", ["layers", "state", "classifier"])
def test_wrong_facts_of_a_manifest_run_nothing(version, request, canary):
    assert try_wrong_facts(request.getfixturevalue(version), canary)


def _header(size: int, text: bytes) -> bytes:
    return size.to_bytes(8, "little") + text


def _facts(**facts: object) -> bytes:
    text = json.dumps(facts).encode()
    return _header(len(text), text) + b"\0" * 64


ONE = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}


def _twice() -> bytes:
    one = json.dumps(ONE)
    text = f'{{"a": {one}, "a": {one}}}'.encode()
    return _header(len(text), text) + b"\0" * 64


HEADERS = {
    "larger than the file": _header(2**40, b"{}"),
    "of the largest number": _header(2**64 - 1, b"{}"),
    "over the cap": _header(HEADER_AT_MOST + 1, b"{" + b" " * 64),
    "no JSON": _header(8, b"\x80\x05pickle"),
    "nested deeply": _header(10**5, b"[" * 10**5),
    "tensors over one another": _facts(a=ONE, b=ONE),
    "a hole": _facts(a=ONE | {"data_offsets": [8, 24]}),
    "an offset outside": _facts(a=ONE | {"data_offsets": [0, 10**9]}),
    "a negative size": _facts(a=ONE | {"shape": [-4]}),
    "an overflowing size": _facts(a=ONE | {"shape": [2**62, 8]}),
    "a name twice": _twice(),
    "metadata of megabytes": _facts(__metadata__={"a": "x" * 10**7}),
    "metadata that is nested": _facts(__metadata__={"a": {"b": 1}}),
    "an unknown dtype": _facts(a=ONE | {"dtype": "PICKLE"}),
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("version", ["layers", "state"])
def test_a_safetensors_header_that_lies_is_refused(version, header, request, canary):
    directory = request.getfixturevalue(version)
    (directory / "model.safetensors").write_bytes(HEADERS[header])
    forge(directory)
    with refused(canary, match="model.safetensors"):
        load_unrecorded(directory)


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/hostname", ".."])
@pytest.mark.parametrize("version", ["layers", "state"])
def test_a_shard_outside_of_the_version_is_refused(version, shard, request, canary):
    directory = request.getfixturevalue(version)
    config = read_manifest(directory).saved.config
    forge(directory, config=config | {"shards": {shard: ["0.weight"]}})
    with refused(canary, match="shards outside"):
        load_unrecorded(directory)


def test_a_file_of_another_extension_is_read_as_what_the_manifest_says(layers, canary):
    """A pickle called safetensors, and tensors called a pickle."""
    weights = layers / "model.safetensors"
    weights.rename(layers / "model.pkl")
    forge(layers, entry="model.pkl")
    load_unrecorded(layers)
    (layers / "model.pkl").write_bytes(CONTENT["torch archive"](canary))
    forge(layers)
    with refused(canary, match="model.pkl"):
        load_unrecorded(layers)


@pytest.mark.parametrize(
    "path",
    [
        "os:system",
        "subprocess:Popen",
        "torch:load",
        "torch.hub:load",
        "torch.utils.model_dump.__main__:main",
        "torch.nn:../../evil",
        "torch.nn.modules.module:torch.serialization.load",
        "evil_package:Net",
        "torchevil.nn:Net",
        "",
    ],
)
def test_a_recipe_of_anything_but_a_module_class_is_refused(path, layers, canary):
    recipe = {"class": path, "args": {}}
    forge(layers, config={**_empty(), "recipe": recipe, "classes": [path]})
    with refused(canary):
        load_unrecorded(layers)


@pytest.mark.parametrize("path", ["fx.GraphModule", "nn.Linear", "jit.ScriptModule"])
def test_a_class_path_does_not_leave_its_module_through_what_that_imports(path):
    """The trust policy judges the module in front of the colon."""
    with pytest.raises(SerializationError, match="no torch module class"):
        import_module_class(f"torch.nn.functional:torch.{path}")


@pytest.mark.parametrize(
    "recipe",
    [
        {"class": "torch.nn:Linear", "args": {"in_features": 2**60, "out_features": 9}},
        {"class": "torch.nn:Linear", "args": ["in_features"]},
        {"class": "torch.nn:Linear", "args": {"self": 1}},
        {"class": "torch.nn:Sequential", "children": {"0": "os:system"}},
        {"class": "torch.nn:Sequential", "children": {"a.b": {}}},
        {"class": "torch.nn:Linear", "args": {}, "dtype": "save"},
        {"class": "torch.nn:Bilinear", "children": {}},
    ],
)
def test_a_recipe_with_arguments_that_are_none_is_refused(recipe, layers, canary):
    listed = ["torch.nn:Linear", "torch.nn:Sequential", "torch.nn:Bilinear"]
    forge(layers, config={**_empty(), "recipe": recipe, "classes": listed})
    with refused(canary):
        load_unrecorded(layers)


def _empty() -> dict[str, object]:
    return {"shared": {}, "frozen": []}


def _change_json(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _remote_model(folder: Path, canary: Path) -> None:
    (folder / "evil.py").write_bytes(CONTENT["python"](canary))
    classes = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    _change_json(folder / "config.json", auto_map=classes, trust_remote_code=True)


def _remote_tokenizer(folder: Path, canary: Path) -> None:
    (folder / "evil.py").write_bytes(CONTENT["python"](canary))
    classes = {"AutoTokenizer": ["evil.Slow", "evil.Fast"]}
    for name in ("config.json", "tokenizer_config.json"):
        _change_json(folder / name, auto_map=classes, trust_remote_code=True)


def _pickled_weights_beside(folder: Path, canary: Path) -> None:
    (folder / "pytorch_model.bin").write_bytes(CONTENT["torch archive"](canary))


def _pickled_weights_instead(folder: Path, canary: Path) -> None:
    (folder / "model.safetensors").unlink()
    _pickled_weights_beside(folder, canary)


def _custom_generation(folder: Path, canary: Path) -> None:
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_bytes(CONTENT["python"](canary))


def _adapter(folder: Path, canary: Path) -> None:
    content = {"peft_type": "LORA", "base_model_name_or_path": str(folder)}
    (folder / "adapter_config.json").write_text(json.dumps(content))
    (folder / "adapter_model.bin").write_bytes(CONTENT["torch archive"](canary))


def _kernel(folder: Path, canary: Path) -> None:
    _change_json(folder / "config.json", attn_implementation="evil/kernel")


def _index_outside(folder: Path, canary: Path) -> None:
    outside = folder.parents[1] / "outside.bin"
    outside.write_bytes(CONTENT["torch archive"](canary))
    (folder / "model.safetensors").unlink()
    index = {"metadata": {}, "weight_map": {"classifier.bias": "../../outside.bin"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def _vocabulary_elsewhere(folder: Path, canary: Path) -> None:
    _change_json(folder / "tokenizer_config.json", vocab_file="/etc/passwd")


def _dtype_that_is_none(folder: Path, canary: Path) -> None:
    _change_json(folder / "config.json", dtype="load", torch_dtype="hub.load")


def _tokenizer_of_another_module(folder: Path, canary: Path) -> None:
    _change_json(folder / "tokenizer_config.json", tokenizer_class="os.system")


def _pickled_generation_config(folder: Path, canary: Path) -> None:
    (folder / "generation_config.json").write_bytes(CONTENT["pickle"](canary))


def _weights_elsewhere(folder: Path, canary: Path) -> None:
    _change_json(folder / "config.json", transformers_weights="../../x.safetensors")


def _template(folder: Path, canary: Path) -> None:
    text = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    (folder / "chat_template.jinja").write_text(text)


@pytest.mark.parametrize(
    "tamper",
    [
        _remote_model,
        _remote_tokenizer,
        _pickled_weights_beside,
        _pickled_weights_instead,
        _custom_generation,
        _adapter,
        _kernel,
        _index_outside,
        _vocabulary_elsewhere,
        _dtype_that_is_none,
        _tokenizer_of_another_module,
        _pickled_generation_config,
        _weights_elsewhere,
        _template,
    ],
)
def test_code_that_travels_with_a_hugging_face_model_never_runs(
    tamper, classifier, canary
):
    """Whether it loads without its code, or is refused, is up to the library."""
    tamper(classifier / "model", canary)
    forge(classifier)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model = load_unrecorded(classifier)
        except Exception as err:
            assert type(err).__module__.startswith("brixa_flows"), repr(err)
        else:
            assert type(model).__module__.startswith("transformers.")
    assert not canary.exists()


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"backbone": "/elsewhere/evil"}, "the backbone '/elsewhere/evil'"),
        ({"architecture": "local-dir:evil"}, "the architecture 'local-dir:evil'"),
        (
            {"backbone_kwargs": {"trust_remote_code": True}},
            "asks for code .* by its backbone_kwargs",
        ),
        (
            {"model_args": {"checkpoint_path": "evil.bin"}},
            "weights .* by its model_args",
        ),
        ({"a": [{"pretrained_cfg_overlay": {"file": "evil"}}]}, None),
        (
            {"a": {"backbone_kwargs": {"pretrained_cfg": {"file": "x"}}}},
            "by its backbone_kwargs",
        ),
        ({"sp_model_kwargs": {"model_file": "/etc/hostname"}}, "the file '/etc/host"),
        ({"text_config": {"_attn_implementation": "evil/kernel"}}, "names a kernel"),
        ({"backbone": "resnet50", "backbone_kwargs": {"in_chans": 3}}, None),
    ],
)
def test_a_config_that_makes_the_library_read_elsewhere_is_refused(
    config, told, classifier, canary
):
    """transformers 4 builds a backbone with all the options that its config names."""
    _change_json(classifier / "model" / "config.json", **config)
    forge(classifier)
    if told is None:
        load_unrecorded(classifier)
        return
    with refused(canary, match=f"its config.json .*{told}"):
        load_unrecorded(classifier)


def test_a_tokenizer_reads_no_file_outside_of_the_version(classifier, canary):
    _vocabulary_elsewhere(classifier / "model", canary)
    forge(classifier)
    with refused(canary, match="tokenizer_config.json names the file '/etc/passwd'"):
        load_unrecorded(classifier)


@pytest.mark.parametrize("case", torch_cases.CASES, ids=str)
def test_what_can_run_code_is_refused_before_it_is_read(case, tmp_path, canary):
    """Every format that is code, also where the manifest calls it data."""
    plugin = SERIALIZERS.get(case.serializer)
    version = saved_case(case, tmp_path / "v")
    forge(version, tier="data")
    manifest = read_manifest(version)
    is_code = case.format not in plugin.data_formats
    if is_code:
        entry = version / manifest.saved.entry
        entry.write_bytes(CONTENT["torch archive"](canary))
        forge(version)
    if is_code or manifest.saved.config.get("classes"):
        with refused(canary, match="can run code"):
            load_unrecorded(version)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("error", InsecureSerializationWarning)
            check_trust(manifest, recorded_digest=None)


def test_an_expression_in_an_exported_program_is_refused_before_it_is_read(
    tmp_path, canary
):
    """``torch.export.load`` gives such texts to sympy, which evaluates them."""
    from hostile_content import write_zip, zip_parts

    case = next(each for each in torch_cases.CASES if each.format == "pt2")
    version = saved_case(case, tmp_path / "v")
    path = version / "model.pt2"
    parts = zip_parts(path)
    code = f"__import__('os').mkdir('{canary}')"
    graphs = [name for name in parts if name.endswith(".json")]
    for name in graphs:
        text = parts[name].decode()
        parts[name] = text.replace('"expr_str": "', f'"expr_str": "{code} or ').encode()
    write_zip(path, parts)
    forge(version)
    with refused(canary, match="pt2"):
        load_unrecorded(version)
