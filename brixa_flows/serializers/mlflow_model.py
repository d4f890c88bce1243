"""Models of any MLflow flavor: the directory as MLflow wrote it, or digests of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
import requests
from mlflow.artifacts import download_artifacts, list_artifacts
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from brixa_flows.errors import (
    DamagedArtifactError,
    DatasetError,
    SerializationError,
    TrackingUnavailableError,
)
from brixa_flows.passing_folders import make_folder, remove_folder
from brixa_flows.serializers import serializer_for
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
)
from brixa_flows.serializers.devices import refuse_all_but_cpu
from brixa_flows.serializers.formats import choose_format
from brixa_flows.serializers.hashing import hash_files
from brixa_flows.serializers.held import hold_files, keep_held
from brixa_flows.serializers.logged import MLFLOW, MlflowModel, MlflowSource
from brixa_flows.serializers.manifest import FileRecord
from brixa_flows.serializers.mlflow_loading import (
    files_below,
    load_folder,
    open_folder,
    remove_with,
)

__all__ = ["MlflowSerializer"]

_ENTRY = "model"
_REFERENCE = "mlflow-reference"
_SIGN_OF_LIFE_TIMEOUT_SECONDS = 3.0
_INPUT_ERRORS = (
    AttributeError,
    IndexError,
    KeyError,
    MlflowException,
    TypeError,
    ValueError,
)


class MlflowSerializer:
    """``model/``, which MLflow wrote; always of the code tier.

    By reference, only its ``MLmodel`` file is kept, with the digest of every file, and
    each load fetches them from where they are.
    """

    framework = MLFLOW

    def open_folder(self, directory: Path, label: str) -> MlflowModel:
        """Load a directory of MLflow that is no version yet; runs what it pickled."""
        return open_folder(directory, label)

    def save(self, model: Any, directory: Path, options: SaveOptions) -> SavedModel:
        """Copy the files of an :class:`MlflowModel`, or take their digests.

        Raises:
            SerializationError: If it is a ``PyFuncModel``, which does not know its files.
        """
        if not isinstance(model, MlflowModel):
            raise SerializationError(
                "a PyFuncModel does not know its files; give register_run() the URI that "
                "it was loaded from"
            )
        choose_format(options, self.framework, (MLFLOW,))
        sizes = files_below(model.directory, "the model of MLflow")
        source, flavor = model.source, model.flavor
        target = directory / _ENTRY
        if source is None:
            because = f"it is kept as MLflow wrote it, with the flavor {flavor}"
            for path in sizes:
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(model.directory / path, target / path)
            config: dict[str, Any] = {"flavor": flavor, "because": because}
            return SavedModel(MLFLOW, MLFLOW, "code", _ENTRY, config)
        target.mkdir()
        shutil.copyfile(model.directory / "MLmodel", target / "MLmodel")
        digests = hash_files(model.directory, sizes, f"hashing {source.uri}")
        config = {
            "flavor": flavor,
            "uri": source.uri,
            "location": source.location,
            "server": source.server,
            "files": {path: list(record) for path, record in digests.items()},
        }
        return SavedModel(MLFLOW, _REFERENCE, "code", _ENTRY, config)

    def load(self, directory: Path, saved: SavedModel, options: LoadOptions) -> Any:
        """The object of its framework, or MLflow's ``PyFuncModel``.

        Raises:
            DamagedArtifactError: If the files of a reference are gone or others.
            TrackingUnavailableError: If the server that has them does not answer.
            SerializationError: If it can't be loaded with what is installed here.
            DeviceUnavailableError: If another device than the CPU is asked for.
        """
        refuse_all_but_cpu(options, self.framework)
        if saved.format != _REFERENCE:
            model, _ = load_folder(directory / saved.entry, "the model of MLflow")
            keep_held(directory, model)  # it may read from it when it predicts
            return model
        fetched, folder = _fetch(saved)
        if fetched is None:
            return _load_in_place(saved, folder)
        try:
            model, _ = load_folder(folder, _label(saved), _verified(saved, folder))
        except BaseException:
            _drop(fetched)
            raise
        remove_with(model, fetched)
        return model

    def check_source(self, saved: SavedModel, *, fetch: bool = True) -> None:
        """Check that the files of a reference are there and those that were registered.

        Args:
            saved: What was registered.
            fetch: Fetch files that are elsewhere to compare their digests; without it,
                only whether they are there and of their size.

        Raises:
            DamagedArtifactError: If they are gone or others.
            TrackingUnavailableError: If the server that has them does not answer.
        """
        if saved.format != _REFERENCE:
            return
        if not fetch and not is_local_uri(str(saved.config["location"])):
            _check_listed(saved)
            return
        fetched, folder = _fetch(saved)
        try:
            _verified(saved, folder)
        finally:
            _drop(fetched)

    def predict(self, model: Any, inputs: ModelInputs) -> Prediction:
        """Predict by MLflow's ``PyFuncModel``, else as the object's own serializer does.

        Raises:
            DatasetError: If the model refuses the inputs, or its answer is no array.
        """
        live = model.model if isinstance(model, MlflowModel) else model
        if not isinstance(live, PyFuncModel):
            return serializer_for(live)[1].predict(live, inputs)
        return Prediction(_as_array(self.answer(live, _as_it_takes(live, inputs))))

    def answer(
        self, model: PyFuncModel, inputs: Any, params: dict[str, Any] | None = None
    ) -> Any:
        """What a ``PyFuncModel`` answers, in the form that it has.

        Raises:
            DatasetError: If it refuses the inputs or parameters.
        """
        try:
            return model.predict(inputs, params or None)
        except _INPUT_ERRORS as err:
            raise DatasetError(f"the MLflow model refused the inputs: {err}") from err


def _label(saved: SavedModel) -> str:
    return f"the model kept by reference to {saved.config['uri']}"


def _source(saved: SavedModel) -> MlflowSource:
    return MlflowSource(
        *(str(saved.config[each]) for each in ("uri", "location", "server"))
    )


def _check_listed(saved: SavedModel) -> None:
    """Check names and sizes of the files of a reference where they are."""
    source, label = _source(saved), _label(saved)
    _check_answers(source)
    files: Mapping[str, list[Any]] = saved.config["files"]
    sizes: dict[str, int | None] = {}
    try:
        for folder in {path.rpartition("/")[0] for path in files}:
            uri = f"{source.location.rstrip('/')}/{folder}".rstrip("/")
            for found in list_artifacts(
                artifact_uri=uri, tracking_uri=source.server or None
            ):
                name = found.path.rpartition("/")[2]
                sizes[f"{folder}/{name}".lstrip("/")] = found.file_size
    except Exception as err:  # noqa: B902 - each artifact store has errors of its own
        reason = f"can't be listed where it was registered: {err}"
        raise DamagedArtifactError(label, source.location, reason) from err
    for path, (size, _) in files.items():
        if path not in sizes:
            raise DamagedArtifactError(label, path, f"is gone from {source.location}")
        if sizes[path] not in (None, size):
            reason = f"at {source.location} has {sizes[path]} bytes instead of {size}"
            raise DamagedArtifactError(label, path, reason)


def _fetch(saved: SavedModel) -> tuple[Path | None, Path]:
    """The folder to remove afterwards, and that with the files of a reference."""
    source = _source(saved)
    if is_local_uri(source.location):
        return None, Path(local_file_uri_to_path(source.location))
    _check_answers(source)
    fetched = make_folder("reference")
    try:
        folder = download_artifacts(
            artifact_uri=source.location,
            dst_path=str(fetched),
            tracking_uri=source.server or None,
        )
    except Exception as err:  # noqa: B902 - each artifact store has errors of its own
        _drop(fetched)
        reason = f"can't be fetched from where it was registered: {err}"
        raise DamagedArtifactError(_label(saved), source.location, reason) from err
    return fetched, Path(folder)


def _load_in_place(saved: SavedModel, folder: Path) -> Any:
    """From a copy that nobody else can write, as the files are not of the storage."""
    label = _label(saved)
    files = {
        path: FileRecord(size_bytes=size, sha256=digest)
        for path, (size, digest) in saved.config["files"].items()
    }
    _verified(saved, folder)
    with hold_files(folder, files, label, "code") as held:
        model, _ = load_folder(held, label)
        keep_held(held, model)
    return model


def _check_answers(source: MlflowSource) -> None:
    """MLflow would ask a dead server for minutes."""
    if not source.server:
        return
    try:
        requests.get(f"{source.server}/health", timeout=_SIGN_OF_LIFE_TIMEOUT_SECONDS)
    except requests.RequestException as err:
        raise TrackingUnavailableError(source.server, "no answer") from err


def _drop(folder: Path | None) -> None:
    if folder is not None:
        remove_folder(folder)


def _verified(saved: SavedModel, folder: Path) -> list[str]:
    """Paths of the files that were registered, each of which is what it was."""
    label, location = _label(saved), saved.config["location"]
    files: Mapping[str, list[Any]] = saved.config["files"]
    for path in files:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise DamagedArtifactError(label, path, "leaves the directory")
    try:
        found = hash_files(
            folder, {path: record[0] for path, record in files.items()}, label
        )
    except OSError as err:
        path, where = str(err.filename), f"at {location}"
        raise DamagedArtifactError(
            label, path, f"can't be read {where}: {err.strerror}"
        ) from err
    for path, record in files.items():
        if list(found[path]) != list(record):
            raise DamagedArtifactError(
                label, path, f"at {location} is not what was registered (sha256)"
            )
    return list(files)


def _as_it_takes(model: PyFuncModel, inputs: Any) -> Any:
    """A table for a model of named columns, whatever our form of them is."""
    schema = model.metadata.get_input_schema()
    tensors = schema is not None and schema.is_tensor_spec()
    if isinstance(inputs, Mapping):
        return dict(inputs) if tensors else _as_table(inputs)
    names = [] if schema is None or tensors else schema.input_names()
    texts = isinstance(inputs, list) and all(isinstance(each, str) for each in inputs)
    return pd.DataFrame({names[0]: inputs}) if texts and len(names) == 1 else inputs


def _as_table(columns: Mapping[str, Any]) -> pd.DataFrame:
    try:
        return pd.DataFrame({name: _cells(part) for name, part in columns.items()})
    except ValueError as err:
        raise DatasetError(f"the columns are no table: {err}") from err


def _cells(values: Any) -> Any:
    return list(values) if np.ndim(values) > 1 else values


def _as_array(answer: Any) -> Any:
    """Predicted values of shape (n_samples, ...)."""
    if isinstance(answer, pd.DataFrame):
        values = answer.to_numpy()
        return values[:, 0] if values.shape[1] == 1 else values
    if isinstance(answer, Mapping):
        if len(answer) != 1:
            raise DatasetError(
                f"the MLflow model answers with several outputs, {list(answer)[:5]}, and "
                "one array is needed here; call load_model(...).predict for all of them"
            )
        [answer] = answer.values()
    try:
        return np.asarray(answer)
    except ValueError:  # rows of different lengths
        values = np.empty(len(answer), dtype=object)
        values[:] = list(answer)
        return values
