"""How MLflow loads our version directories (the ``loader_module`` of their MLmodel).

``mlflow.pyfunc.load_model("models:/flights-delay@production")`` comes here after MLflow
found the directory, in a process that knows only the tracking URI. The same checks as
in ``registry.load_model`` are made before anything is unpickled; what MLflow itself
reads before (the MLmodel file) names no code but this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from brixa_flows.errors import (
    DamagedArtifactError,
    DatasetError,
    VersionNotFoundError,
)
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.journal.vouching import Vouchers, keys_of, vouchers_for
from brixa_flows.serializers import (
    MANIFEST_NAME,
    ArtifactManifest,
    LoadOptions,
    Serializer,
    check_trust,
    depends_on_signature,
    load_model_files,
    read_manifest,
    serializer_named,
    verify_manifest,
)
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking import TrackingStore, tags
from brixa_flows.tracking.opening import open_store_in_use
from brixa_flows.versioning import ModelVersion

__all__ = ["PyfuncModel"]


class PyfuncModel:
    """A loaded version, as MLflow's generic model calls it.

    Args:
        model: The live object.
        serializer: How its framework predicts.
        manifest: What was saved.
    """

    def __init__(
        self, model: Any, serializer: Serializer, manifest: ArtifactManifest
    ) -> None:
        self._model = model
        self._serializer = serializer
        self._takes_texts = _takes_texts(manifest)
        # A PyFuncModel that MLflow logged answers in its own form, to its own parameters.
        generic = hasattr(model, "unwrap_python_model")
        self._answer = getattr(serializer, "answer", None) if generic else None

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """The predicted values, of shape (n_samples, ...).

        Args:
            model_input: A DataFrame, an array, a mapping of arrays or a list of texts.
            params: For a model that MLflow logged as a ``PyFuncModel``; none of our
                frameworks uses any.

        Raises:
            DatasetError: If the inputs are not what the model takes.
        """
        if self._answer is not None:
            return self._answer(self._model, model_input, params)
        if params:
            raise DatasetError(
                f"the model takes no parameters, but got {sorted(params)}; call "
                "predict(data) alone"
            )
        inputs = model_input
        if self._takes_texts and hasattr(inputs, "iloc"):
            inputs = [str(text) for text in inputs.iloc[:, 0]]
        return self._serializer.predict(self._model, inputs).values

    def get_raw_model(self) -> Any:
        """The live object, for MLflow's ``unwrap`` of it."""
        return self._model


def _load_pyfunc(path: str) -> PyfuncModel:
    """MLflow's door: verify, ask the backend in use for the digest, then load."""
    directory = Path(path)
    manifest = read_manifest(directory)
    _check_place(directory, manifest)
    verify_manifest(directory, manifest)
    settings = BrixaSettings.load()
    store = open_store_in_use()
    _refuse_deleted(manifest, store)
    recorded, policy = _recorded_digest(manifest, store), settings.trust_policy
    vouchers = Vouchers()
    if depends_on_signature(manifest, recorded_digest=recorded, policy=policy):
        vouchers = _vouchers(directory, manifest, settings)
    check_trust(
        manifest,
        recorded_digest=recorded,
        policy=policy,
        signers=vouchers.signers,
        problem=vouchers.problem,
    )
    model = load_model_files(directory, manifest, LoadOptions())
    return PyfuncModel(model, serializer_named(manifest.saved.serializer), manifest)


def _recorded_digest(
    manifest: ArtifactManifest, store: TrackingStore | None
) -> str | None:
    if store is None:
        return None
    core = manifest.core
    return store.recorded_digest(str(core.get("name")), str(core.get("version")))


def _refuse_deleted(manifest: ArtifactManifest, store: TrackingStore | None) -> None:
    """The files of a deleted version stay for a while, and MLflow shows it for ever.

    Raises:
        VersionNotFoundError: If it was deleted.
    """
    if store is None:
        return
    name, version = str(manifest.core.get("name")), str(manifest.core.get("version"))
    shown = store.get_version(name, version)
    if shown is not None and shown.facts.get(tags.STATE) == "deleted":
        raise VersionNotFoundError(name, version, (), f"{version} was deleted")


def _vouchers(
    directory: Path, manifest: ArtifactManifest, settings: BrixaSettings
) -> Vouchers:
    """Who speaks for a directory, told by what lies beside it in the storage.

    MLflow may give a copy of the directory alone, beside which no signature is.
    """
    directory = directory.absolute()
    name, version = _about(manifest)
    if (directory.parent.name, directory.name) != (name, version):
        return Vouchers(
            problem="no signature is beside the copy that MLflow made; load it with "
            "ModelRegistry.load_model, which finds it"
        )
    storage = LocalStorageNode(directory.parents[1].parent)
    return vouchers_for(
        manifest,
        name,
        ModelVersion.parse(version),
        storage=storage,
        layout=Layout(directory.parents[1].name),
        keys=keys_of(settings, storage.root),
        policy=settings.trust_policy,
    )


def _about(manifest: ArtifactManifest) -> tuple[str, str]:
    """Name and version that it says it is, as the storage writes them."""
    core = manifest.core
    return str(core.get("name")), str(core.get("version")).partition("+")[0]


def _check_place(directory: Path, manifest: ArtifactManifest) -> None:
    """In the storage a directory is the version that it is called.

    Raises:
        DamagedArtifactError: If it is the copy of another one.
    """
    here = directory.absolute()
    called = here.parent.name, here.name
    if (here.parent / "_journal").is_dir() and called != _about(manifest):
        raise DamagedArtifactError(
            " ".join(called), MANIFEST_NAME, f"belongs to {manifest.label}"
        )


def _takes_texts(manifest: ArtifactManifest) -> bool:
    schema = manifest.core.get("input_schema") or {}
    return bool(schema.get("type") == "string")
