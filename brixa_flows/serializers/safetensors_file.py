"""Tensors in safetensors files: written as a stream, in shards, read by mmap.

The files are those of https://github.com/huggingface/safetensors#format, byte for byte as
the reference writes them. The reference takes all tensors at once, contiguous and on
the CPU; here one tensor is on its way at a time, a piece of it where it must be copied.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from brixa_flows.errors import SerializationError
from brixa_flows.serializers.pickling import unreadable
from brixa_flows.serializers.progress import progress

__all__ = [
    "SHARD_BYTES",
    "CantHold",
    "TensorFiles",
    "overlaps",
    "read_tensors",
    "why_not",
    "write_tensors",
]

SHARD_BYTES = 5 * 10**9
_PIECE_BYTES = 16 * 2**20
_FILE = "model.safetensors"
_FOLDER = "model"
_RESERVED = "__metadata__"
_ALIGNMENT = 8

# Last first is the order of the reference, which keeps every tensor aligned.
_CODES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.float8_e5m2: "F8_E5M2",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.int16: "I16",
    torch.uint16: "U16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.uint32: "U32",
    torch.float32: "F32",
    torch.complex64: "C64",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.uint64: "U64",
}
_RANKS = {dtype: rank for rank, dtype in enumerate(_CODES)}


class CantHold(Exception):
    """Why a tensor can't be written; the message starts with its name."""


@dataclass(frozen=True)
class TensorFiles:
    """Where tensors were written.

    Attributes:
        entry: One file, or the folder of the shards.
        shards: Names of the tensors by file of that folder; empty for one file.
    """

    entry: str
    shards: dict[str, list[str]] = field(default_factory=dict)


def write_tensors(
    tensors: Mapping[str, torch.Tensor],
    directory: Path,
    shard_bytes: int = SHARD_BYTES,
) -> TensorFiles:
    """Write tensors below ``directory``, several files where they exceed a shard.

    Args:
        tensors: By name, on any device, contiguous or not; each is written in full.
        directory: Where the file or folder is made.
        shard_bytes: What a file holds at most, but for a tensor that alone exceeds it.

    Raises:
        CantHold: If a tensor can't be written; nothing is written then.
        SerializationError: If the disk does not take it.
    """
    for name, tensor in tensors.items():
        if reason := why_not(name, tensor):
            raise CantHold(f"{name} {reason}")
    shards = list(_shards(tensors, shard_bytes))
    files = TensorFiles(_FILE)
    if len(shards) > 1:
        total = len(shards)
        named = (
            (f"model-{n:05}-of-{total:05}.safetensors", list(shard))
            for n, shard in enumerate(shards, 1)
        )
        files = TensorFiles(_FOLDER, dict(named))
        (directory / _FOLDER).mkdir()
    paths = _paths(directory / files.entry, files.shards)
    try:
        with progress("saving the tensors", sum(map(_size, tensors.values()))) as tell:
            for path, shard in zip(paths, shards, strict=True):
                _write_file(path, shard, tell)
    except OSError as err:
        raise SerializationError(
            f"{files.entry} can't be written: {err.strerror or err}; free space on "
            "the device of the storage, or give write access, and save again"
        ) from err
    return files


def read_tensors(
    entry: Path,
    shards: Mapping[str, Sequence[str]],
    prepare: Callable[[torch.Tensor], torch.Tensor],
) -> dict[str, torch.Tensor]:
    """Map the tensors of one file, or of the ``shards`` in a folder, into memory.

    A tensor is a private mapping of its file: read when it is touched, copied when it
    is changed. ``prepare`` (to a device, to a dtype) sees one at a time.

    Raises:
        SerializationError: If a file is no safetensors file, or is not as ``shards`` say.
    """
    found: dict[str, torch.Tensor] = {}
    for path in _paths(entry, shards):
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError, ValueError, KeyError) as err:
            raise unreadable(path, err) from err
        if shards and sorted(tensors) != sorted(shards[path.name]):
            raise SerializationError(
                f"{path.name} does not hold the tensors that the manifest says of it"
            )
        for name in list(tensors):
            found[name] = prepare(tensors.pop(name))
    return found


def why_not(name: str, tensor: torch.Tensor) -> str | None:
    """Why a tensor can't be written under a name, ``None`` if it can."""
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return f"is a {type(tensor).__qualname__}, no plain tensor"
    if name == _RESERVED:
        return "is a name that safetensors keeps for itself"
    if tensor.is_meta:
        return "has no values: it is on the meta device"
    if tensor.layout is not torch.strided or tensor.is_nested:
        return f"is no dense tensor ({tensor.layout})"
    if tensor.dtype not in _CODES:
        return f"has the dtype {tensor.dtype}, which safetensors does not hold"
    return None


def overlaps(
    tensors: Mapping[str, torch.Tensor],
) -> Iterator[tuple[str, str]]:
    """Names of tensors that have bytes of memory in common, the holder first."""
    spans = sorted(
        (str(each.device), *_span(each), not each.is_contiguous(), name)
        for name, each in tensors.items()
        if each.numel()
    )
    holder, end_before, device_before = "", 0, ""
    for device, start, minus_end, _, name in spans:
        if device == device_before and start < end_before:
            yield holder, name
            if -minus_end <= end_before:
                continue
        holder, end_before, device_before = name, -minus_end, device


def _span(tensor: torch.Tensor) -> tuple[int, int]:
    """First address, and minus the one after the last, of what a tensor covers."""
    reach = sum(
        (size - 1) * stride
        for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
    )
    start = tensor.data_ptr()
    return start, -(start + (reach + 1) * tensor.element_size())


def _shards(
    tensors: Mapping[str, torch.Tensor], shard_bytes: int
) -> Iterator[dict[str, torch.Tensor]]:
    shard: dict[str, torch.Tensor] = {}
    filled = 0
    for name, tensor in tensors.items():
        size = _size(tensor)
        if shard and filled + size > shard_bytes:
            yield shard
            shard, filled = {}, 0
        shard[name] = tensor
        filled += size
    yield shard


def _paths(entry: Path, shards: Mapping[str, Any]) -> list[Path]:
    if any(Path(name).name != name or name == ".." for name in shards):
        raise SerializationError(f"the manifest names shards outside of {entry.name}")
    return [entry / name for name in shards] or [entry]


def _write_file(
    path: Path, tensors: Mapping[str, torch.Tensor], tell: Callable[[int], object]
) -> None:
    ordered = sorted(
        tensors.items(), key=lambda item: (-_RANKS[item[1].dtype], item[0])
    )
    with path.open("xb") as file:
        file.write(_header(ordered))
        for _, tensor in ordered:
            _write_tensor(file, tensor.detach(), tell)


def _header(ordered: Sequence[tuple[str, torch.Tensor]]) -> bytes:
    facts = {}
    end = 0
    for name, tensor in ordered:
        start, end = end, end + _size(tensor)
        facts[name] = {
            "dtype": _CODES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _write_tensor(
    file: IO[bytes], tensor: torch.Tensor, tell: Callable[[int], object]
) -> None:
    for piece in _pieces(tensor):
        piece = piece.resolve_conj().resolve_neg().contiguous().cpu()
        data = piece.reshape(-1).view(torch.uint8).numpy().data
        for start in range(0, len(data), _PIECE_BYTES):
            tell(file.write(data[start : start + _PIECE_BYTES]))


def _pieces(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """A tensor in order, in parts small enough to be copied where they must be."""
    if tensor.numel() == 0:
        return
    lazy = tensor.is_conj() or tensor.is_neg()
    at_hand = tensor.device.type == "cpu" and tensor.is_contiguous() and not lazy
    if at_hand or _size(tensor) <= _PIECE_BYTES:
        yield tensor
        return
    if tensor.is_contiguous():
        tensor = tensor.view(-1)
    rows = max(1, _PIECE_BYTES * len(tensor) // _size(tensor))
    for part in torch.split(tensor, rows):
        if len(part) == 1 and part.dim() > 1:
            yield from _pieces(part[0])
        else:
            yield part


def _size(tensor: torch.Tensor) -> int:
    return tensor.numel() * tensor.element_size()
