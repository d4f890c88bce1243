"""Where everything of the registry lies below the storage root.

::

    models/_meta/_registry.json               index, advisory
    models/{name}/{version}_meta.json         what is known about a version
    models/{name}/{version}/                  its sealed files
    models/{name}/{version}_sig.json          who signed them
    models/{name}/_journal/claims/{version}.json       its number is taken
    models/{name}/_journal/saves/{version}.json        a save under way
    models/{name}/_journal/seals/{version}.json        its bytes are final
    models/{name}/_journal/quarantine/{version}.json   its bytes are not believed
    models/{name}/_journal/changes/{number}.json       stages, aliases, tombstones
    models/{name}/_journal/adoptions/{id}.json         what a logged model became
    models/{name}/_journal/projected.json              last change shown to MLflow
    models/{name}/_journal/evaluations/{version}/{number}.json
    models/{name}/_journal/drift/{version}/{number}.json
    models/{name}/_journal/performance/{version}/{number}.json
    models/{name}/_journal/estimators/{version}/{number}.json   what judges it
    models/{name}/_journal/measurements/{version}/{number}.json   metrics, of which data
    models/{name}/_journal/trust/{version}/{number}.json   who vouched for it, and why
    models/deployments/{deployment}/config.json, status.json
    models/_meta/requests/{deployment}/       what it was asked, in Parquet files

``{version}`` is the text without build metadata, which is no part of its identity, so
that ``1.0.0+a`` and ``1.0.0+b`` meet at one key.
"""

from __future__ import annotations

from dataclasses import dataclass

from brixa_flows.errors import InvalidNameError
from brixa_flows.refs import check_deployment_name, check_model_name
from brixa_flows.serializers.manifest import MANIFEST_NAME
from brixa_flows.versioning import ModelVersion

__all__ = ["Layout"]


@dataclass(frozen=True)
class Layout:
    """Storage keys; every name is checked before it becomes part of one.

    Attributes:
        root: Folder of the registry (``models``).
        deployments: Folder of the deployments below it.
    """

    root: str = "models"
    deployments: str = "deployments"

    @property
    def meta_prefix(self) -> str:
        """Directory of what belongs to no single model."""
        return f"{self.root}/_meta"

    @property
    def index_key(self) -> str:
        """The index of all models."""
        return f"{self.meta_prefix}/_registry.json"

    @property
    def deployments_prefix(self) -> str:
        """Directory of all deployments."""
        return f"{self.root}/{self.deployments}"

    def deployment_prefix(self, name: str) -> str:
        """Directory of one deployment."""
        return f"{self.deployments_prefix}/{check_deployment_name(name)}"

    def model_prefix(self, name: str) -> str:
        """Directory of one model.

        Raises:
            InvalidNameError: If no model can have that name.
        """
        if check_model_name(name).lower() == self.deployments.lower():
            reason = "the deployments lie there (BRXA_DEPLOYMENTS_PATH)"
            raise InvalidNameError("model", name, reason)
        return f"{self.root}/{name}"

    def version_prefix(self, name: str, version: ModelVersion | str) -> str:
        """Directory of a version's files."""
        return f"{self.model_prefix(name)}/{_core(version)}"

    def manifest_key(self, name: str, version: ModelVersion | str) -> str:
        """The file that lists a version's files."""
        return f"{self.version_prefix(name, version)}/{MANIFEST_NAME}"

    def metadata_key(self, name: str, version: ModelVersion | str) -> str:
        """The file that tells what is known about a version."""
        return f"{self.model_prefix(name)}/{_core(version)}_meta.json"

    def signature_key(self, name: str, version: ModelVersion | str) -> str:
        """The bundle of signatures of a version's files."""
        return f"{self.model_prefix(name)}/{_core(version)}_sig.json"

    def journal_prefix(self, name: str) -> str:
        """Directory of a model's journal."""
        return f"{self.model_prefix(name)}/_journal"

    def entries_prefix(self, name: str, kind: str) -> str:
        """Directory of the journal entries of one kind (``claims``, ``changes`` ...)."""
        return f"{self.journal_prefix(name)}/{kind}"

    def entry_key(self, name: str, kind: str, version: ModelVersion | str) -> str:
        """The one entry of a kind that a version has."""
        return f"{self.entries_prefix(name, kind)}/{_core(version)}.json"

    def records_prefix(self, name: str, kind: str, version: ModelVersion | str) -> str:
        """Directory of a version's numbered records (``evaluations``, ``drift``)."""
        return f"{self.entries_prefix(name, kind)}/{_core(version)}"

    def projected_key(self, name: str) -> str:
        """The marker of the last change that the tracking backend shows."""
        return f"{self.journal_prefix(name)}/projected.json"

    def windows_prefix(self, name: str) -> str:
        """Directory of what is kept of windows in which versions of a model served.

        A directory a version, in which whoever watches it keeps what it likes.
        """
        self.model_prefix(name)  # raises if no model can have that name
        return f"{self.meta_prefix}/windows/{name}"

    def is_model_directory(self, directory: str) -> bool:
        """Whether a directory right below the root can be a model."""
        try:
            return bool(self.model_prefix(directory))
        except InvalidNameError:
            return False


def _core(version: ModelVersion | str) -> str:
    return ModelVersion.parse(version).core
