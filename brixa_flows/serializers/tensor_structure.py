"""State dicts and checkpoints: tensors apart, what is around them as JSON.

Tensors, numbers, texts, lists, tuples and dictionaries in any nesting, as ``state_dict``
of a module or an optimizer gives them. They come back with their types, the order of
their keys, and memory that tensors share still shared.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from brixa_flows.errors import SerializationError
from brixa_flows.serializers.safetensors_file import overlaps, why_not

__all__ = ["TensorStructure", "read_structure", "restore", "restore_views"]

Node = Any  # JSON
_KEYS = (str, int, float, bool, type(None), tuple)
_NOT_OURS = (
    AttributeError,
    KeyError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class TensorStructure:
    """A structure taken apart.

    Attributes:
        tensors: What must be written, by name.
        views: Tensors that lie within one of ``tensors``, as JSON, by name.
        structure: All the rest as JSON; an object with the key ``tensor`` stands for
            the one of that name.
    """

    tensors: dict[str, torch.Tensor]
    views: dict[str, dict[str, Any]]
    structure: Node


def read_structure(value: Any) -> TensorStructure:
    """Take a structure apart; no byte of a tensor is copied.

    Raises:
        SerializationError: If something in it is neither a tensor nor plain; names its
            place.
    """
    taker = _Taker()
    try:
        structure = taker.take(value, "state_dict", "")
    except RecursionError as err:
        raise SerializationError(
            "the state dict is nested too deeply, or contains itself"
        ) from err
    views = _views(taker.tensors)
    kept = {name: each for name, each in taker.tensors.items() if name not in views}
    return TensorStructure(kept, views, structure)


def restore(structure: Node, tensors: Mapping[str, torch.Tensor]) -> Any:
    """Put a structure together again.

    Raises:
        SerializationError: If it is not what :func:`read_structure` makes.
    """
    try:
        return _Giver(tensors).give(structure)
    except _NOT_OURS as err:
        raise SerializationError(
            f"the manifest's structure of the state dict is none: {err!r:.200}"
        ) from err


def restore_views(
    views: Mapping[str, Mapping[str, Any]], tensors: dict[str, torch.Tensor]
) -> None:
    """Add the tensors that share memory with others of ``tensors``.

    Raises:
        SerializationError: If a view is none of its holder.
    """
    for name, view in views.items():
        try:
            holder = tensors[view["of"]]
            size, stride, offset = view["size"], view["stride"], view["offset"]
            reach = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
            if min([offset, *size, *stride]) < 0 or reach >= holder.numel():
                raise ValueError("it leaves its holder")
            start = holder.storage_offset() + offset
            tensors[name] = holder.as_strided(size, stride, start)
        except (KeyError, TypeError, ValueError, RuntimeError) as err:
            raise SerializationError(
                f"the manifest's view {name[:200]!r} is none: {err!r:.200}"
            ) from err


@dataclass
class _Taker:
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    names: dict[Any, str] = field(default_factory=dict)

    def take(self, value: Any, place: str, name: str) -> Node:
        """JSON for a value.

        Args:
            value: What to take apart.
            place: Where it stands, for messages.
            name: What a tensor there would like to be called.
        """
        if isinstance(value, torch.Tensor):
            return self._tensor(value, place, name)
        kind = type(value)
        if kind is list:
            return [
                self.take(each, f"{place}[{i}]", _join(name, i))
                for i, each in enumerate(value)
            ]
        if kind is tuple:
            items = [
                self.take(each, f"{place}[{i}]", _join(name, i))
                for i, each in enumerate(value)
            ]
            return {"tuple": items}
        if kind in (dict, OrderedDict):
            return self._mapping(value, place, name)
        return _plain(value, place)

    def _mapping(self, value: Mapping[Any, Any], place: str, name: str) -> Node:
        items: list[Node] = []
        for key, each in value.items():
            where = f"{place}[{key!r:.100}]"
            if not isinstance(key, _KEYS):
                raise _no_place(where, key, "as a key")
            taken = self.take(each, where, _join(name, key))
            items.append([self.take(key, where, ""), taken])
        if type(value) is dict:
            return {"dict": items}
        # nn.Module.load_state_dict reads the versions of the modules there.
        if metadata := getattr(value, "_metadata", None):
            taken = self.take(metadata, f"{place}._metadata", "")
            return {"ordered": items, "metadata": taken}
        return {"ordered": items}

    def _tensor(self, tensor: torch.Tensor, place: str, name: str) -> Node:
        if reason := why_not("", tensor):
            raise SerializationError(
                f"the state dict can't be saved: {place} {reason}", attribute=place
            )
        identity = _identity(tensor)
        if identity not in self.names:
            self.names[identity] = free = self._free(name or "tensor", place)
            self.tensors[free] = tensor.detach()
        node = {"tensor": self.names[identity]}
        if isinstance(tensor, torch.nn.Parameter):
            return node | {"parameter": tensor.requires_grad}
        return node | ({"requires_grad": True} if tensor.requires_grad else {})

    def _free(self, wanted: str, place: str) -> str:
        _plain(wanted, place)
        while wanted in self.tensors or wanted == "__metadata__":
            wanted += "_"
        return wanted


def _join(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)


def _identity(tensor: torch.Tensor) -> Any:
    """Equal for tensors that are one: ``state_dict`` gives a new object for each."""
    if tensor.numel() == 0:
        return id(tensor)
    lazy = (tensor.is_conj(), tensor.is_neg())
    layout = (tensor.shape, tensor.stride(), tensor.dtype)
    return tensor.device, tensor.data_ptr(), layout, lazy


def _plain(value: Any, place: str) -> Node:
    """JSON for a value without parts."""
    if value is None or type(value) in (bool, int):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) is torch.dtype:
        return {"dtype": str(value).removeprefix("torch.")}
    if type(value) is torch.Size:
        return {"size": list(value)}
    if type(value) is str:
        try:
            value.encode()
        except UnicodeEncodeError as err:
            raise SerializationError(
                f"the state dict can't be saved: {place} is no text in UTF-8 ({err})"
            ) from err
        return value
    raise _no_place(place, value, "")


def _no_place(place: str, value: Any, role: str) -> SerializationError:
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    return SerializationError(
        f"the state dict can't be saved: {place} has a {kind} {role}".rstrip()
        + "; it holds tensors, None, bool, int, float, str, dtypes, and lists, tuples "
        "and dictionaries of them; convert or remove it, or register the version with "
        "framework='pickle'",
        attribute=place,
    )


def _views(tensors: Mapping[str, torch.Tensor]) -> dict[str, dict[str, Any]]:
    """The tensors whose memory lies within another one's."""
    views = {}
    for holder, name in overlaps(tensors):
        base, view = tensors[holder], tensors[name]
        skip = view.data_ptr() - base.data_ptr()
        stride = view.stride()
        reach = skip // view.element_size() + sum(
            (n - 1) * s for n, s in zip(view.shape, stride, strict=True)
        )
        fits = base.is_contiguous() and reach < base.numel()
        lazy = any(each.is_conj() or each.is_neg() for each in (base, view))
        if not fits or lazy or base.dtype != view.dtype or skip % view.element_size():
            raise SerializationError(
                f"the state dict can't be saved: {holder} and {name} are overlapping "
                "views of one memory; clone() one of them",
                attribute=name,
            )
        views[name] = {
            "of": holder,
            "size": list(view.shape),
            "stride": list(stride),
            "offset": skip // view.element_size(),
        }
    return views


@dataclass
class _Giver:
    tensors: Mapping[str, torch.Tensor]
    made: dict[Any, torch.Tensor] = field(default_factory=dict)

    def give(self, node: Node) -> Any:
        """The value that a node stands for."""
        if isinstance(node, list):
            return [self.give(each) for each in node]
        if not isinstance(node, dict):
            return node
        if "tensor" in node:
            return self._tensor(**node)
        if "ordered" in node:
            made = OrderedDict(self._items(node["ordered"]))
            if "metadata" in node:
                metadata = self.give(node["metadata"])
                made._metadata = metadata  # type: ignore[attr-defined]
            return made
        ((kind, content),) = node.items()
        if kind == "dict":
            return dict(self._items(content))
        if kind == "tuple":
            return tuple(self.give(each) for each in content)
        return _without_parts(kind, content)

    def _items(self, pairs: list[list[Node]]) -> list[tuple[Any, Any]]:
        return [(self.give(key), self.give(each)) for key, each in pairs]

    def _tensor(
        self,
        tensor: str,
        parameter: bool | None = None,
        requires_grad: bool = False,
    ) -> torch.Tensor:
        """One object for one name, however often it is asked for."""
        facts = (tensor, parameter, requires_grad)
        if facts not in self.made:
            value = self.tensors[tensor]
            if parameter is not None:
                value = torch.nn.Parameter(value, requires_grad=parameter)
            elif requires_grad:
                value = value.detach().requires_grad_()
            self.made[facts] = value
        return self.made[facts]


def _without_parts(kind: str, content: Any) -> Any:
    if kind == "float":
        return float(content)
    if kind == "size":
        return torch.Size(content)
    found = getattr(torch, content) if kind == "dtype" else None
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{kind!r:.100} is unknown")
    return found
