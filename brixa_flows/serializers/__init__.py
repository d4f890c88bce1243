"""Model objects to files and back: which framework, which format, what may run.

The order on save: :func:`serializer_for` (or :func:`detect_framework`),
:func:`save_model_files`, then, when the directory is finished, ``build_manifest`` and
``write_manifest``. The order on load: ``read_manifest``, ``verify_manifest``,
``check_trust``, :func:`load_model_files`. No framework is imported to decide anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from brixa_flows.errors import (
    FrameworkMismatchError,
    SerializationError,
    UnknownPluginError,
    some_of,
)
from brixa_flows.plugins import SERIALIZERS, Plugin
from brixa_flows.serializers.base import (
    LoadOptions,
    ModelInputs,
    Prediction,
    SavedModel,
    SaveOptions,
    Serializer,
)
from brixa_flows.serializers.environment import environment_of
from brixa_flows.serializers.held import hold_files
from brixa_flows.serializers.logged import MLFLOW
from brixa_flows.serializers.manifest import (
    MANIFEST_NAME,
    ArtifactManifest,
    build_manifest,
    read_manifest,
    verify_manifest,
    write_manifest,
)
from brixa_flows.serializers.protocol import PROTOCOL
from brixa_flows.serializers.trust import (
    check_trust,
    depends_on_signature,
    reading_of,
    tier_of,
    warn_insecure,
)

__all__ = [
    "MANIFEST_NAME",
    "PROTOCOL",
    "ArtifactManifest",
    "LoadOptions",
    "ModelInputs",
    "Prediction",
    "SaveOptions",
    "SavedModel",
    "Serializer",
    "build_manifest",
    "canonical_framework",
    "check_source",
    "check_trust",
    "depends_on_signature",
    "detect_framework",
    "environment_of",
    "load_model_files",
    "read_manifest",
    "save_model_files",
    "serializer_for",
    "serializer_named",
    "tier_of",
    "verify_manifest",
    "write_manifest",
]

_FALLBACK = "pickle"


def canonical_framework(name: str | None) -> str | None:
    """The one name of a framework: ``torch`` is ``pytorch``, ``keras`` ``tensorflow``.

    Raises:
        UnknownPluginError: If there is no such framework; lists the known ones.
    """
    if name is None:
        return None
    try:
        return _framework_of(SERIALIZERS.get(name))
    except UnknownPluginError as err:
        known = {_framework_of(plugin) for plugin in SERIALIZERS.all().values()}
        raise UnknownPluginError("framework", name, sorted(known)) from err


def detect_framework(model: Any) -> str:
    """Canonical framework of an object, by the qualified names of its classes.

    Returns:
        ``pytorch`` (Hugging Face models included), ``tensorflow``, ``sklearn``, a third
        party's name, or ``pickle`` for anything else. An object of several frameworks
        (a scikit-learn pipeline around a network) is of the one of its own class.
    """
    return _framework_of(_plugin_of(model))


def serializer_for(model: Any, framework: str | None = None) -> tuple[str, Serializer]:
    """Framework and serializer for an object.

    Args:
        model: The object.
        framework: What its version was registered with; ``None`` detects it,
            ``"pickle"`` takes any object, and ``"pytorch"`` a checkpoint.

    Raises:
        SerializationError: If there is no object.
        FrameworkMismatchError: If the object is of another framework; names both.
        UnknownPluginError: If there is no such framework.
        MissingExtraError: If its library is not installed.
    """
    if model is None:
        raise SerializationError("what was given is None; give the trained model")
    registered = canonical_framework(framework)
    if registered == _FALLBACK:
        return _FALLBACK, serializer_named(_FALLBACK)
    plugin = _plugin_of(model)
    if registered is not None and plugin.name == _FALLBACK:
        plugin = _plugin_if_registered(model, registered) or plugin
    detected = _framework_of(plugin)
    if registered is not None and registered != detected:
        given = _plainly_no_model(model)
        expected = _classes_of(registered) if given else ()
        raise FrameworkMismatchError(
            registered, detected, "the version", given, expected
        )
    return detected, serializer_named(plugin.name)


def serializer_named(name: str) -> Serializer:
    """The serializer of a plug-in (``ArtifactManifest.saved.serializer``).

    Raises:
        UnknownPluginError: If there is no such serializer.
        MissingExtraError: If its library is not installed.
    """
    serializer: Serializer = SERIALIZERS.load(name)()
    return serializer


def save_model_files(
    model: Any,
    directory: Path,
    framework: str | None = None,
    options: SaveOptions | None = None,
) -> tuple[str, SavedModel]:
    """Write ``model`` into ``directory``; the object stays as it was.

    A format that can run code on load warns with ``InsecureSerializationWarning``.

    Returns:
        Canonical framework, and what :func:`load_model_files` needs.

    Raises:
        FrameworkMismatchError: If the object is not of ``framework``; names both.
        SerializationError: If it can't be written; names the attribute to blame.
        MissingExtraError: If the framework's library is not installed.
    """
    name, serializer = serializer_for(model, framework)
    saved = serializer.save(model, directory, options or SaveOptions())
    if tier_of(saved) == "code":
        warn_insecure(saved, "save", f"the {type(model).__qualname__}")
    return name, saved


def load_model_files(
    directory: Path, manifest: ArtifactManifest, options: LoadOptions | None = None
) -> Any:
    """Read the model of a verified and trusted directory.

    Call ``verify_manifest`` and ``check_trust`` before: this parses. Who can write the
    directory meanwhile does not get other bytes parsed (see :mod:`.held`).

    Raises:
        DamagedArtifactError: If a file was changed since it was verified.
        SerializationError: If it can't be read with what is installed here.
        DeviceUnavailableError: If the device is absent; lists those present.
        MissingExtraError: If the framework's library is not installed.
    """
    saved = manifest.saved
    options = options or LoadOptions()
    serializer = serializer_named(saved.serializer)
    if options.as_pipeline and not getattr(serializer, "makes_pipelines", False):
        raise SerializationError(
            f"as_pipeline is for Hugging Face models; {manifest.label} was saved by the "
            f"serializer {saved.serializer!r}"
        )
    files = manifest.model_files
    with hold_files(directory, files, manifest.label, reading_of(saved)) as held:
        return serializer.load(held, saved, options)


def check_source(manifest: ArtifactManifest, *, fetch: bool = True) -> None:
    """Check the files of a model whose version keeps only a reference to them.

    Args:
        manifest: Of the version.
        fetch: Fetch files that are elsewhere to compare their digests; without it, only
            whether they are there and of their size.

    Raises:
        DamagedArtifactError: If they are gone or not those that were registered.
        TrackingUnavailableError: If the server that has them does not answer.
    """
    if manifest.saved.serializer == MLFLOW:
        serializer: Any = serializer_named(MLFLOW)
        serializer.check_source(manifest.saved, fetch=fetch)


def _framework_of(plugin: Plugin) -> str:
    return plugin.framework or plugin.name


def _plugin_of(model: Any) -> Plugin:
    return SERIALIZERS.find(_class_names(model)) or SERIALIZERS.get(_FALLBACK)


def _plugin_if_registered(model: Any, framework: str) -> Plugin | None:
    names = set(_names_of(type(model)))
    for plugin in SERIALIZERS.all().values():
        if _framework_of(plugin) == framework:
            if names.intersection(plugin.handles_if_registered):
                within = _frameworks_within(model, values=True)
                return plugin if framework in within or not within else None
    return None


def _frameworks_within(model: Any, *, values: bool) -> set[str]:
    """Frameworks of the models in a dictionary or list.

    Args:
        model: The dictionary or list; in anything else there is none.
        values: Whether tensors, which a dictionary of a framework has, count too.
    """
    kinds, seen, waiting = set[type](), set[int](), [model]
    while waiting:
        each = waiting.pop()
        kinds.add(type(each))
        if isinstance(each, (list, tuple, Mapping)) and id(each) not in seen:
            seen.add(id(each))
            waiting.extend(each.values() if isinstance(each, Mapping) else each)
    found = set()
    for kind in kinds:
        names = _names_of(kind)
        mapped = [f"dict[{name}]" for name in names] if values else []
        plugin = SERIALIZERS.find([*names, *mapped])
        found.add(_FALLBACK if plugin is None else _framework_of(plugin))
    return found - {_FALLBACK}


def _class_names(model: Any) -> Iterator[str]:
    """Qualified names of its classes; of a mapping, those that all values have."""
    yield from _names_of(type(model))
    if isinstance(model, Mapping) and model:
        kinds = {type(value) for value in model.values()}
        shared = set.intersection(*(set(_names_of(kind)) for kind in kinds))
        yield from (f"dict[{name}]" for name in sorted(shared))


def _plainly_no_model(model: Any) -> str:
    """What it is, where nobody would call it a model; ``""`` for all else."""
    if isinstance(model, type):
        return f"the class {model.__qualname__} itself"
    if _frameworks_within(
        model, values=False
    ):  # models in a dictionary: pickle takes them
        return ""
    if isinstance(model, Mapping):
        return f"a {type(model).__name__} with the keys {some_of(map(repr, model))}"
    if type(model).__module__ == "builtins":
        return f"a {type(model).__name__}"
    return ""


def _classes_of(framework: str) -> list[str]:
    """The classes whose objects are models of a framework."""
    plugins = SERIALIZERS.all().values()
    plugins_of_it = [each for each in plugins if _framework_of(each) == framework]
    return [name for plugin in plugins_of_it for name in plugin.handles]


def _names_of(kind: type) -> list[str]:
    return [f"{each.__module__}.{each.__qualname__}" for each in kind.__mro__]
