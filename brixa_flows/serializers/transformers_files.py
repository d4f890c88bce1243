"""What a folder of ``save_pretrained`` may make the library read: its own files only.

``from_pretrained`` follows names in JSON: weights anywhere on the disk, adapters with
weights of their own, kernels of the hub, which are code. We write none of these.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from brixa_flows.errors import SerializationError

__all__ = ["refuse_other_sources"]

_JSON_AT_MOST_BYTES = 64 * 2**20
_KERNELS = ("attn_implementation", "experts_implementation", "kernel_config")


def refuse_other_sources(folder: Path) -> None:
    """Check the JSON files of a model before the library reads them.

    Raises:
        SerializationError: If one names a file or code outside of ``folder``.
    """
    if (folder / "adapter_config.json").exists():
        raise _refusal("adapter_config.json", "adds weights of an adapter")
    for path in folder.glob("*.json"):
        if path.name.endswith(".index.json"):
            _check_index(folder, path)
        elif path.name.endswith("config.json"):
            _check_config(path)


def _check_index(folder: Path, path: Path) -> None:
    index = _json(path)
    named = index.get("weight_map") if isinstance(index, dict) else None
    files = map(str, named.values()) if isinstance(named, dict) else ("",)
    for file in dict.fromkeys(files):
        inside = Path(file).name == file and file.endswith(".safetensors")
        if not inside or not (folder / file).is_file():
            raise _refusal(path.name, f"names the weights {file[:200]!r}")


def _check_config(path: Path) -> None:
    config = _json(path)
    if _names_kernel(config):
        raise _refusal(path.name, "names a kernel of the Hugging Face hub")
    for key, value in config.items() if isinstance(config, dict) else ():
        if key.endswith("_file") and "/" in str(value):  # a tokenizer would read it
            raise _refusal(path.name, f"names the file {str(value)[:200]!r}")


def _json(path: Path) -> Any:
    try:
        if path.stat().st_size > _JSON_AT_MOST_BYTES:
            raise ValueError("it is too large")
        return json.loads(path.read_bytes())
    except (RecursionError, ValueError) as err:
        raise _refusal(path.name, f"is no JSON ({err})") from err


def _names_kernel(node: Any) -> bool:
    if isinstance(node, list):
        return any(map(_names_kernel, node))
    if not isinstance(node, dict):
        return False
    return any(
        (str(key).lstrip("_").startswith(_KERNELS) and "/" in json.dumps(value))
        or _names_kernel(value)
        for key, value in node.items()
    )


def _refusal(file: str, what: str) -> SerializationError:
    return SerializationError(
        f"the Hugging Face model is not read: its {file} {what}, which brixa-flows never "
        "writes; ask who made this version for one saved by save_model()"
    )
