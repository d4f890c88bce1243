"""Safetensors files written as a stream: the reference's bytes, shards, little memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from brixa_flows.errors import SerializationError
from brixa_flows.serializers import safetensors_file
from brixa_flows.serializers.safetensors_file import (
    CantHold,
    overlaps,
    read_tensors,
    write_tensors,
)

DTYPES = list(safetensors_file._CODES)


class OwnTensor(torch.Tensor):
    """What a library for quantized weights has."""


def as_it_is(tensor):
    """What is read needs no preparation."""
    return tensor


def of_every_dtype():
    """A matrix, a number and nothing, with names that need care in JSON."""
    made = {}
    for index, dtype in enumerate(DTYPES):
        made[f"matrix.{index}"] = torch.arange(3 * index + 6).reshape(3, -1).to(dtype)
        made[f'"número" {index}'] = torch.tensor(1).to(dtype)
        made[f"empty/{index}"] = torch.zeros(0, 3).to(dtype)
    return made


def test_a_file_is_the_references_byte_for_byte_in_every_dtype(tmp_path):
    tensors = of_every_dtype()
    assert write_tensors(tensors, tmp_path).entry == "model.safetensors"
    save_file(tensors, tmp_path / "reference")
    written = (tmp_path / "model.safetensors").read_bytes()
    assert written == (tmp_path / "reference").read_bytes()


def test_tensors_in_any_layout_are_written_piece_by_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(safetensors_file, "_PIECE_BYTES", 64)
    whole = torch.rand(40, dtype=torch.complex64)
    tensors = {
        "transposed": torch.rand(50, 40).t(),
        "permuted": torch.rand(4, 30, 20).permute(2, 0, 1),
        "every third": torch.rand(3000)[::3],
        "expanded": torch.rand(1, 7).expand(30, 7),
        "conjugated": whole.conj(),
        "negative": whole.conj().imag,
        "half": torch.rand(100, 3).bfloat16(),
    }
    write_tensors(tensors, tmp_path)
    read = load_file(tmp_path / "model.safetensors")
    assert read.keys() == tensors.keys()
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)


def test_above_the_size_of_a_shard_there_are_several_files(tmp_path):
    tensors = {f"w{n}": torch.rand(256) for n in range(5)} | {"big": torch.rand(2000)}
    files = write_tensors(tensors, tmp_path, shard_bytes=2048)
    assert files.entry == "model"
    assert files.shards == {
        "model-00001-of-00004.safetensors": ["w0", "w1"],
        "model-00002-of-00004.safetensors": ["w2", "w3"],
        "model-00003-of-00004.safetensors": ["w4"],
        "model-00004-of-00004.safetensors": ["big"],
    }
    read = read_tensors(tmp_path / "model", files.shards, as_it_is)
    assert list(read) == list(tensors)
    assert all(torch.equal(read[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize(
    ("shards", "reason"),
    [
        ({"model-00001-of-00002.safetensors": ["w0"]}, "does not hold the tensors"),
        ({"../model/model-00001-of-00002.safetensors": ["w0", "w1"]}, "outside"),
        ({"model-00009-of-00009.safetensors": ["w0"]}, "can't be read"),
    ],
    ids=["other tensors", "another folder", "no such file"],
)
def test_shards_that_are_not_as_the_manifest_says_are_refused(shards, reason, tmp_path):
    tensors = {f"w{n}": torch.rand(256) for n in range(4)}
    write_tensors(tensors, tmp_path, shard_bytes=2048)
    with pytest.raises(SerializationError, match=reason):
        read_tensors(tmp_path / "model", shards, as_it_is)


def test_what_is_loaded_is_mapped_and_changing_it_leaves_the_file_as_it_was(tmp_path):
    write_tensors({"w": torch.ones(2**16)}, tmp_path)
    path = tmp_path / "model.safetensors"
    before = path.read_bytes()
    tensor = read_tensors(path, {}, as_it_is)["w"]
    # Private pages of a mapping of the file, as opposed to memory of its own.
    assert str(path) in Path("/proc/self/maps").read_text()
    tensor.zero_()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.rand(2, device="meta"), "meta device"),
        (torch.eye(2).to_sparse(), "dense"),
        (torch.rand(2, dtype=torch.complex128), "complex128"),
        (OwnTensor(torch.rand(2)), "is a OwnTensor, no plain tensor"),
    ],
    ids=["meta", "sparse", "complex128", "own class"],
)
def test_a_tensor_that_can_not_be_written_is_named_and_nothing_is_written(
    tensor, reason, tmp_path
):
    with pytest.raises(CantHold, match=f"^blame .*{reason}"):
        write_tensors({"fine": torch.rand(2), "blame": tensor}, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors_file, "_write_file", full)
    with pytest.raises(SerializationError, match="No space left on device; free"):
        write_tensors({"w": torch.rand(2)}, tmp_path)


def test_memory_in_common_is_found_and_memory_side_by_side_is_not():
    memory = torch.rand(10)
    assert not list(overlaps({"a": memory[:5], "b": memory[5:], "c": torch.rand(3)}))
    found = overlaps({"a": memory[:6], "b": memory[5:], "all": memory})
    assert list(found) == [("all", "a"), ("all", "b")]
    assert not list(overlaps({"a": memory[:0], "b": memory[:0]}))
