"""Exported programs of machines with other devices.

``torch.export.load`` has no ``map_location``: it makes each tensor on the device of whoever
exported it, and fails where that is absent.
"""

from __future__ import annotations

import io
import re
from typing import BinaryIO
from zipfile import ZipFile

import torch

from brixa_flows.serializers.torch_devices import present_devices

__all__ = ["on_present_devices"]

_DEVICE = re.compile(rb'\{"type":\s*"(\w+)",\s*"index":\s*(null|\d+)\}')
_ON_CPU = b'{"type": "cpu", "index": null}'


def on_present_devices(file: BinaryIO) -> BinaryIO:
    """An archive to load, with the CPU in the place of each device that is absent.

    Args:
        file: An archive of ``torch.export.save``, which somebody vouches for.

    Returns:
        ``file`` itself if its devices are all here, else a copy in memory.

    Raises:
        BadZipFile: If it is no archive.
    """
    with ZipFile(file) as archive:
        names = archive.namelist()
        texts = {each: archive.read(each) for each in names if each.endswith(".json")}
        if any(map(_names_an_absent_one, texts.values())):
            return _moved(archive, texts)
    file.seek(0)
    return file


def _moved(archive: ZipFile, texts: dict[str, bytes]) -> BinaryIO:
    target = io.BytesIO()
    with ZipFile(target, "w") as copy:
        for name in archive.namelist():
            content = texts.get(name)
            if content is not None:
                content = _DEVICE.sub(_present, content)
            else:
                content = archive.read(name)
                content = _tensors_on_cpu(content) if name.endswith(".pt") else content
            copy.writestr(name, content)
    target.seek(0)
    return target


def _names_an_absent_one(text: bytes) -> bool:
    return any(_present(found) != found[0] for found in _DEVICE.finditer(text))


def _present(found: re.Match[bytes]) -> bytes:
    kind, index = (each.decode() for each in found.groups())
    present = present_devices()
    here = {*present, *(each.partition(":")[0] for each in present)}
    named = f"{kind}:{index}" if kind == "cuda" and index != "null" else kind
    return found[0] if named in here else _ON_CPU


def _tensors_on_cpu(content: bytes) -> bytes:
    """Of the example inputs, which torch reads by ``torch.load``."""
    target = io.BytesIO()
    torch.save(
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=False), target
    )
    return target.getvalue()
