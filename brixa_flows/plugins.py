"""The named registries of what can be swapped: one pattern for every kind.

Built-ins are data, and so is what a third party brings: its entry point names a
:class:`Plugin` (``mine = my_package.plugin:MINE`` in the group
``brixa_flows.serializers``), in a module that imports nothing heavy. A target is
imported only when it is loaded, so to name, list or choose a plug-in costs nothing.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from brixa_flows.errors import (
    DuplicatePluginError,
    InvalidPluginError,
    MissingExtraError,
    UnknownPluginError,
)

__all__ = [
    "DRIFT_ENGINES",
    "DRIFT_METHODS",
    "ERROR_DETECTORS",
    "MULTIVARIATE_METHODS",
    "SERIALIZERS",
    "SERVING_ENGINES",
    "STORAGE_NODES",
    "Plugin",
    "PluginRegistry",
    "import_adapter",
]


@dataclass(frozen=True)
class Plugin:
    """A named target.

    Attributes:
        name: What it is called in settings, metadata and arguments.
        target: ``package.module:Attribute``, imported on first use.
        extra: The extra of brixa-flows that brings its library, if any.
        handles: Qualified class names (``module.Class``) or module prefixes ending
            in ``.`` that it is responsible for; ``dict[module.Class]`` is a mapping
            with such values.
        handles_if_registered: Qualified class names that it is responsible for where
            the version was registered as its framework, and only there.
        aliases: Other names it answers to.
        framework: Of a serializer: what its models are registered as, if not ``name``.
        data_formats: Of a serializer: the formats that run no stored code on load.
        checked_formats: Of a serializer: the formats that run code and that it reads
            through ``open_held`` alone, so that it needs no private copy of large files.
        class_packages: Of a serializer: packages whose classes a data format may name
            and have built with any arguments; a class from elsewhere is code.
    """

    name: str
    target: str
    extra: str | None = None
    handles: tuple[str, ...] = ()
    handles_if_registered: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    framework: str | None = None
    data_formats: frozenset[str] = frozenset()
    checked_formats: frozenset[str] = frozenset()
    class_packages: frozenset[str] = frozenset()


class PluginRegistry:
    """All plug-ins of one kind, built-in and installed.

    Args:
        kind: What a person calls one of them, used in messages.
        group: Entry-point group of third parties.
        builtins: Ours, in the order in which ``handles`` is tried.
    """

    def __init__(self, kind: str, group: str, builtins: Iterable[Plugin]) -> None:
        self.kind = kind
        self.group = group
        self._builtins = tuple(builtins)
        self._merged: dict[str, Plugin] | None = None
        self._loaded: dict[str, Any] = {}

    def all(self) -> Mapping[str, Plugin]:
        """Every plug-in by name.

        Returns:
            Third parties first, so that a special class of theirs wins over a
            general one of ours, then ours in their order.

        Raises:
            DuplicatePluginError: If two claim one name.
            InvalidPluginError: If an entry point names no :class:`Plugin`.
        """
        if self._merged is None:
            installed = map(_from_entry_point, entry_points(group=self.group))
            self._merged = self._merge([*installed, *self._builtins])
        return self._merged

    def _merge(self, plugins: Iterable[Plugin]) -> dict[str, Plugin]:
        merged: dict[str, Plugin] = {}
        taken: dict[str, Plugin] = {}
        for plugin in plugins:
            for name in (plugin.name, *plugin.aliases):
                other = taken.setdefault(name, plugin)
                if other.target != plugin.target:
                    raise DuplicatePluginError(
                        self.kind, name, (other.target, plugin.target)
                    )
            merged[plugin.name] = plugin
        return merged

    def get(self, name: str) -> Plugin:
        """The plug-in called ``name`` (or one of its aliases).

        Raises:
            UnknownPluginError: If there is none; lists the known ones.
        """
        plugins = self.all()
        if name in plugins:
            return plugins[name]
        for plugin in plugins.values():
            if name in plugin.aliases:
                return plugin
        raise UnknownPluginError(self.kind, name, sorted(plugins))

    def load(self, name: str) -> Any:
        """Import what the plug-in ``name`` points at, once.

        Raises:
            UnknownPluginError: If there is no such plug-in.
            MissingExtraError: If its library is not installed.
        """
        plugin = self.get(name)
        if plugin.name not in self._loaded:
            self._loaded[plugin.name] = _import_target(self.kind, plugin)
        return self._loaded[plugin.name]

    def find(self, qualified_names: Iterable[str]) -> Plugin | None:
        """The first plug-in that handles one of the names, most special name first.

        Args:
            qualified_names: ``module.Class`` texts in MRO order.
        """
        for name in qualified_names:
            for plugin in self.all().values():
                if any(_matches(name, pattern) for pattern in plugin.handles):
                    return plugin
        return None


def _matches(name: str, pattern: str) -> bool:
    return name.startswith(pattern) if pattern.endswith(".") else name == pattern


def _from_entry_point(entry: EntryPoint) -> Plugin:
    try:
        plugin = entry.load()
    except (AttributeError, ImportError) as err:
        raise InvalidPluginError(
            entry.group, entry.name, entry.value, str(err)
        ) from err
    if not isinstance(plugin, Plugin) or plugin.name != entry.name:
        reason = f"is {plugin!r:.200}"
        raise InvalidPluginError(entry.group, entry.name, entry.value, reason)
    return plugin


def import_adapter(name: str) -> ModuleType:
    """Import a module that is heavy because of the library it adapts.

    What an import makes lives on, so looking for garbage meanwhile costs a fifth of its
    time and finds nothing.

    Args:
        name: The module.

    Raises:
        ModuleNotFoundError: If it, or its library, is not installed.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        if collects:
            gc.enable()


def _import_target(kind: str, plugin: Plugin) -> Any:
    module_name, _, attribute = plugin.target.partition(":")
    try:
        return getattr(import_adapter(module_name), attribute)
    except ModuleNotFoundError as err:
        missing = err.name or ""
        if plugin.extra is None or missing.startswith("brixa_flows"):
            raise
        raise MissingExtraError(
            f"the {kind} {plugin.name!r}", plugin.extra, missing
        ) from err


SERIALIZERS = PluginRegistry(
    "serializer",
    "brixa_flows.serializers",
    (
        Plugin(
            "transformers",
            "brixa_flows.serializers.transformers:TransformersSerializer",
            extra="transformers",
            handles=("transformers.modeling_utils.PreTrainedModel",),
            framework="pytorch",
            data_formats=frozenset({"safetensors"}),
        ),
        Plugin(
            "pytorch",
            "brixa_flows.serializers.pytorch:PyTorchSerializer",
            extra="torch",
            handles=(
                "torch.nn.modules.module.Module",
                "torch.export.exported_program.ExportedProgram",
                "dict[torch.Tensor]",
            ),
            handles_if_registered=("builtins.dict", "builtins.list"),
            aliases=("torch",),
            data_formats=frozenset({"safetensors"}),
            checked_formats=frozenset({"cloudpickle", "pt2"}),
            class_packages=frozenset({"timm", "torch.nn", "torchvision"}),
        ),
        Plugin(
            "tensorflow",
            "brixa_flows.serializers.keras:KerasSerializer",
            extra="tensorflow",
            handles=("keras.src.models.model.Model",),
            aliases=("keras",),
            data_formats=frozenset({"keras"}),
        ),
        Plugin(
            "transformers-tf",
            "brixa_flows.serializers.transformers_tf:TFTransformersSerializer",
            extra="transformers-tf",
            handles=("transformers.modeling_tf_utils.TFPreTrainedModel",),
            framework="tensorflow",
            data_formats=frozenset({"safetensors"}),
        ),
        Plugin(
            "saved_model",
            "brixa_flows.serializers.saved_model:SavedModelSerializer",
            extra="tensorflow",
            handles=(
                "tensorflow.python.module.module.Module",
                # What tf.saved_model.load() gives back.
                "tensorflow.python.saved_model.load.Loader."
                "_recreate_base_user_object.<locals>._UserObject",
            ),
            framework="tensorflow",
        ),
        Plugin(
            "sklearn",
            "brixa_flows.serializers.sklearn:SklearnSerializer",
            handles=("sklearn.base.BaseEstimator",),
            aliases=("scikit-learn",),
            checked_formats=frozenset({"cloudpickle", "joblib"}),
        ),
        Plugin(
            "skops",
            "brixa_flows.serializers.skops:SkopsSerializer",
            extra="skops",
            framework="sklearn",
            data_formats=frozenset({"skops"}),
        ),
        Plugin(
            "mlflow",
            "brixa_flows.serializers.mlflow_model:MlflowSerializer",
            handles=(
                "brixa_flows.serializers.logged.MlflowModel",
                "mlflow.pyfunc.PyFuncModel",
            ),
        ),
        Plugin(
            "pickle",
            "brixa_flows.serializers.pickled:PickleSerializer",
            checked_formats=frozenset({"cloudpickle", "pickle"}),
        ),
    ),
)

STORAGE_NODES = PluginRegistry(
    "storage type",
    "brixa_flows.storage_nodes",
    (
        Plugin("local", "brixa_flows.storage.local:LocalStorageNode"),
        Plugin("memory", "brixa_flows.storage.memory:MemoryStorageNode"),
    ),
)

SERVING_ENGINES = PluginRegistry(
    "serving engine",
    "brixa_flows.serving_engines",
    (Plugin("local", "brixa_flows.deployment.engines.local:LocalEngine"),),
)

DRIFT_METHODS = PluginRegistry(
    "drift method",
    "brixa_flows.drift_methods",
    (
        Plugin("wasserstein", "brixa_flows.drift.methods.numeric:RobustWasserstein"),
        Plugin("ks", "brixa_flows.drift.methods.numeric:KolmogorovSmirnov"),
        Plugin("share_change", "brixa_flows.drift.methods.categorical:ShareChange"),
        Plugin(
            "missing_share_change", "brixa_flows.drift.methods.proportions:MissingShare"
        ),
        Plugin(
            "infinite_share_change",
            "brixa_flows.drift.methods.proportions:InfiniteShare",
        ),
        Plugin(
            "new_category_share", "brixa_flows.drift.methods.categorical:NewCategories"
        ),
        Plugin("word_share_change", "brixa_flows.drift.methods.words:WordShareChange"),
        Plugin("new_word_share", "brixa_flows.drift.methods.words:NewWords"),
        Plugin(
            "wasserstein_over_sd",
            "brixa_flows.drift.methods.numeric:WassersteinOverDeviation",
        ),
        Plugin("psi", "brixa_flows.drift.methods.divergence:PopulationStability"),
        Plugin("jensen_shannon", "brixa_flows.drift.methods.divergence:JensenShannon"),
    ),
)

_MULTIVARIATE = "brixa_flows.drift.multivariate"

MULTIVARIATE_METHODS = PluginRegistry(
    "multivariate drift method",
    "brixa_flows.multivariate_drift_methods",
    (
        Plugin("domain_classifier", f"{_MULTIVARIATE}._learned:DomainClassifier"),
        Plugin("pca_reconstruction", f"{_MULTIVARIATE}._learned:PcaReconstruction"),
        Plugin("energy", f"{_MULTIVARIATE}.distances:EnergyDistance"),
        Plugin("mmd", f"{_MULTIVARIATE}.distances:MaximumMeanDiscrepancy"),
    ),
)

REPORT_ENGINES = PluginRegistry(
    "report engine",
    "brixa_flows.report_engines",
    (
        Plugin(
            "evidently",
            "brixa_flows.evaluation._evidently:EvidentlyReport",
            extra="drift",
        ),
    ),
)

ERROR_DETECTORS = PluginRegistry(
    "error detector",
    "brixa_flows.error_detectors",
    (
        Plugin("adwin", "brixa_flows.drift.performance._river:Adwin", extra="stream"),
        Plugin(
            "page_hinkley",
            "brixa_flows.drift.performance._river:PageHinkley",
            extra="stream",
        ),
    ),
)

DRIFT_ENGINES = PluginRegistry(
    "drift engine",
    "brixa_flows.drift_engines",
    (
        Plugin(
            "evidently", "brixa_flows.drift._evidently:EvidentlyEngine", extra="drift"
        ),
    ),
)
