"""Loads a directory that MLflow wrote, by its flavor or as a ``PyFuncModel``."""

from __future__ import annotations

import atexit
import importlib
import os
import re
import shutil
import weakref
from collections.abc import Iterable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mlflow.models import Model
from mlflow.pyfunc import load_model as load_pyfunc

from brixa_flows.errors import BrixaError, MissingExtraError, SerializationError
from brixa_flows.passing_folders import make_folder, remove_folder
from brixa_flows.serializers import detect_framework
from brixa_flows.serializers.logged import MlflowModel

__all__ = ["files_below", "load_folder", "open_folder"]

GENERIC = "python_function"
_FALLBACK = "pickle"
_NOT_OF_THE_MODEL = ("__pycache__", "registered_model_meta")
_PINNED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*([^\s;#]+)")
_NAMED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)")
_EXTRAS = {
    "keras": "tensorflow",
    "lightgbm": "lightgbm",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "skops": "skops",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "transformers": "transformers",
    "xgboost": "xgboost",
}


def files_below(directory: Path, label: str) -> dict[str, int]:
    """Size in bytes of every file of a model, by relative path.

    Raises:
        SerializationError: If there is a link or special file; it is never followed.
    """
    found = {}
    for path in sorted(directory.rglob("*")):
        relative = path.relative_to(directory)
        if any(part in _NOT_OF_THE_MODEL for part in relative.parts):
            continue
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise SerializationError(
                f"{label} holds {relative}, a link or special file, which is not "
                "followed; log the model with plain files"
            )
        if path.is_file():
            found[relative.as_posix()] = path.stat().st_size
    return found


def open_folder(directory: Path, label: str) -> MlflowModel:
    """Load a model with everything that was logged beside it; runs what it pickled.

    Raises:
        SerializationError: If it can't be loaded here; says why.
        MissingExtraError: If its library is one that an extra brings.
    """
    model, flavor = load_folder(directory, label)
    described, example = Model.load(str(directory)), None
    try:
        if described.saved_input_example_info is not None:
            example = described.load_input_example(str(directory))
    except Exception as err:  # noqa: B902 - each form has a parser of its own
        raise SerializationError(
            f"the input example of {label} can't be read: {err}"
        ) from err
    signature = described.signature and described.signature.to_dict()
    return MlflowModel(
        directory,
        model,
        flavor,
        whole=flavor == GENERIC,
        input_example=example,
        signature=signature,
        environment=_environment_of(directory),
    )


def load_folder(
    directory: Path, label: str, paths: Iterable[str] | None = None
) -> tuple[Any, str]:
    """The live object and the flavor that loaded it.

    An object of a framework that we know, unless the model brings code of its own;
    else MLflow's ``PyFuncModel``.

    Args:
        directory: The model's files.
        label: For messages.
        paths: Files that may be used; all without it.
    """
    there = files_below(directory, label)
    wanted = list(there if paths is None else paths)
    if set(wanted) == set(there) and not any(path.endswith(".py") for path in wanted):
        return _loaded(directory, label)
    view = _view_of(directory, wanted)
    try:
        model, flavor = _loaded(view, label)
    except BaseException:
        remove_folder(view)
        raise
    remove_with(model, view)
    return model, flavor


def remove_with(model: Any, folder: Path) -> None:
    """Remove a folder when a model is gone, as it may read from it meanwhile."""
    remove = partial(remove_folder, folder)
    try:
        weakref.finalize(model, remove)
    except TypeError:  # it takes no weak references
        atexit.register(remove)


def _view_of(directory: Path, paths: Iterable[str]) -> Path:
    """A private folder with the files, linked where that is possible.

    Python writes ``__pycache__`` beside what it imports, and a model that was verified
    may not change by being loaded. (MLflow refuses symbolic links in a model.)
    """
    view = make_folder("mlflow")
    for path in paths:
        target = view / path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(directory / path, target)
        except OSError:  # another filesystem, or one without links
            shutil.copyfile(directory / path, target)
    return view


def _loaded(directory: Path, label: str) -> tuple[Any, str]:
    try:
        flavors = Model.load(str(directory)).flavors
        flavor = _native_flavor(flavors)
        if flavor is not None:
            module = importlib.import_module(f"mlflow.{flavor}")
            model = module.load_model(str(directory))
            if flavor == "transformers":
                model = _of_pipeline(model)
            if flavor == "pytorch":
                model = _program_in(directory, flavors[flavor]) or model
            if detect_framework(model) != _FALLBACK:
                return model, flavor
        return load_pyfunc(str(directory)), GENERIC
    except BrixaError:
        raise
    except ImportError as err:
        raise _without_library(label, err) from err
    except Exception as err:  # noqa: B902 - any error of the model's own code
        reason = f"{type(err).__name__}: {err}"
        raise SerializationError(f"{label} can't be loaded here: {reason}") from err


def _native_flavor(flavors: dict[str, dict[str, Any]]) -> str | None:
    """The flavor that gives an object of its framework, ``None`` if none will do."""
    if any(conf.get("code") for conf in flavors.values()):
        return None  # its classes are in files that no other format would bring
    for flavor in flavors:
        if (
            flavor != GENERIC
            and flavor.isidentifier()
            and find_spec(f"mlflow.{flavor}")
        ):
            return flavor
    return None


def _without_library(label: str, err: ImportError) -> BrixaError:
    package = (err.name or "").partition(".")[0]
    extra = _EXTRAS.get(package)
    if extra is not None:
        return MissingExtraError(label, extra, package)
    return SerializationError(
        f"{label} needs {package or 'a library'}, which is not installed here ({err}); "
        "install what its requirements.txt names and call again"
    )


def _program_in(directory: Path, conf: dict[str, Any]) -> Any:
    """The ``torch.export`` program that MLflow wrote, ``None`` if it pickled a module.

    MLflow itself gives the module inside, which nothing can save again.
    """
    file = directory / str(conf.get("model_data", "")) / "model.pt2"
    if not file.is_file():
        return None
    return importlib.import_module("torch").export.load(file)


def _of_pipeline(pipeline: Any) -> Any:
    """The model of a Hugging Face pipeline, with its parts as our serializer wants."""
    model = pipeline.model
    model.brixa_tokenizer = getattr(pipeline, "tokenizer", None)
    for name in ("processor", "image_processor", "feature_extractor"):
        if getattr(pipeline, name, None) is not None:
            model.brixa_processor = getattr(pipeline, name)
            break
    return model


def _environment_of(directory: Path) -> dict[str, str]:
    """Version by package that ``requirements.txt`` pins, or else that is here."""
    file = directory / "requirements.txt"
    found = {}
    for line in file.read_text("utf-8").splitlines() if file.is_file() else ():
        if pinned := _PINNED.match(line.strip()):
            found[pinned[1]] = pinned[2]
        elif named := _NAMED.match(line.strip()):
            try:
                found[named[1]] = version(named[1])
            except PackageNotFoundError:
                continue
    return found
