"""What a folder of ``save_pretrained`` may make the library read: its own files only.

``from_pretrained`` follows names in JSON: weights anywhere on the disk, adapters with
weights of their own, backbones of other folders (transformers before 5 with any options
that the file names, ``trust_remote_code`` among them), checkpoints of timm, kernels of the
hub, which are code. We write none of these.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from brixa_flows.errors import SerializationError

__all__ = ["other_source", "refuse_other_sources", "refuse_to_keep_other_sources"]

_JSON_AT_MOST_BYTES = 64 * 2**20
_KERNELS = ("attn_implementation", "experts_implementation", "kernel_config")
_ARCHITECTURES = ("architecture", "backbone")
_ARGUMENTS = ("backbone_kwargs", "model_args")
_SOURCES = ("checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay")


def refuse_other_sources(folder: Path) -> None:
    """Check the JSON files of a model before the library reads them.

    Raises:
        SerializationError: If one names a file or code outside of ``folder``.
    """
    if problem := _problem(folder):
        raise SerializationError(
            f"the Hugging Face model is not read: its {problem}, which brixa-flows "
            "never writes; ask who made this version for one saved by save_model()"
        )


def refuse_to_keep_other_sources(folder: Path) -> None:
    """Check what was just saved, so that nothing is kept that no load would take.

    Raises:
        SerializationError: If a file names a file or code outside of ``folder``.
    """
    if problem := _problem(folder):
        raise SerializationError(
            f"the Hugging Face model can't be saved: its {problem}, and only what lies "
            "in its own files is kept; remove that from the object"
        )


def _problem(folder: Path) -> str | None:
    if (folder / "adapter_config.json").exists():
        return "adapter_config.json adds weights of an adapter"
    for path in sorted(folder.glob("*.json")):
        is_index = path.name.endswith(".index.json")
        if not (is_index or path.name.endswith("config.json")):
            continue
        try:
            content = _json(path)
        except (RecursionError, ValueError) as err:
            return f"{path.name} is no JSON ({err})"
        named = _outside(folder, content) if is_index else other_source(content)
        if named:
            return f"{path.name} {named}"
    return None


def other_source(config: Any) -> str | None:
    """What else than its own files a config makes the library read, if anything.

    Args:
        config: A config of a model, tokenizer or processor, as JSON has it.
    """
    for key, value in _entries(config):
        text = str(value)
        if key.lstrip("_").startswith(_KERNELS) and "/" in text:
            return "names a kernel of the Hugging Face hub"
        if key.endswith("_file") and "/" in text:  # a tokenizer would read it
            return f"names the file {text[:200]!r}"
        if key in _ARCHITECTURES and isinstance(value, str) and set("/:") & set(value):
            return f"takes the {key} {text[:200]!r} from elsewhere"
        if key in _ARGUMENTS:
            given = dict(_entries(value))
            if given.get("trust_remote_code"):
                return f"asks for code of a repository by its {key}"
            if any(given.get(name) for name in _SOURCES):
                return f"takes weights from elsewhere by its {key}"
    return None


def _entries(node: Any) -> Iterator[tuple[str, Any]]:
    """Every key of a JSON value, in any depth, with what stands there."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield from ((str(key), value) for key, value in each.items())
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _outside(folder: Path, index: Any) -> str | None:
    named = index.get("weight_map") if isinstance(index, dict) else None
    files = map(str, named.values()) if isinstance(named, dict) else ("",)
    for file in dict.fromkeys(files):
        inside = Path(file).name == file and file.endswith(".safetensors")
        if not inside or not (folder / file).is_file():
            return f"names the weights {file[:200]!r}"
    return None


def _json(path: Path) -> Any:
    if path.stat().st_size > _JSON_AT_MOST_BYTES:
        raise ValueError("it is too large")
    return json.loads(path.read_bytes())
