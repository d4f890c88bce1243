"""Every error that Brixa Flows raises.

::

    BrixaError
    ├── InvalidVersionError        ValueError        not a semantic version
    ├── InvalidConstraintError     ValueError        not a version constraint
    ├── InvalidFilterError         ValueError        a search
    ├── InvalidNameError           ValueError        model, alias or deployment name
    ├── InvalidMetadataError       ValueError        a metadata field
    │   └── InvalidSchemaError                       not a JSON Schema
    ├── SettingsError              ValueError        a BRXA_ variable
    ├── ModelNotFoundError         LookupError
    ├── VersionNotFoundError       LookupError
    │   └── ModelNotSavedError                       claimed, but no bytes yet
    ├── VersionExistsError         FileExistsError
    ├── VersionInUseError          ValueError        somebody needs what is deleted
    ├── StageTransitionError       ValueError
    │   └── StageHolderError                         another one is there now
    ├── UnmetDependencyError       LookupError       another model is not here
    ├── UnknownNodeError           LookupError       not in a lineage graph
    ├── FrameworkMismatchError     TypeError
    ├── SerializationError         TypeError
    ├── DamagedArtifactError       ValueError        bytes differ from the manifest
    ├── UntrustedArtifactError     PermissionError   loading it would run code
    ├── SigningKeyError            ValueError        a key that can't be used
    ├── SignatureError             ValueError        no bundle, or of other files
    ├── DeviceUnavailableError     ValueError
    ├── MissingExtraError          ImportError
    ├── UnknownPluginError         LookupError
    ├── DuplicatePluginError       ValueError
    ├── InvalidPluginError         TypeError
    ├── StorageError               OSError
    │   ├── ObjectNotFoundError    FileNotFoundError
    │   ├── ObjectExistsError      FileExistsError
    │   ├── StaleWriteError                          lost a compare-and-swap
    │   └── UnsafeKeyError         ValueError        a key that leaves the root
    ├── TrackingError              RuntimeError      MLflow said no
    │   └── TrackingUnavailableError ConnectionError
    ├── DatasetError               ValueError
    │   └── UnansweredRowsError                      the model raised on them
    ├── EvaluationError            ValueError
    ├── DriftError                 ValueError
    ├── DeploymentError            RuntimeError
    │   ├── InvalidDeploymentError ValueError
    │   ├── DeploymentNotFoundError LookupError
    │   └── BadRequestError        ValueError        a request to predict
    └── OrchestrationError         RuntimeError
        ├── ModelNotLoggedError    LookupError       a training left no model
        ├── ModelsAmbiguousError   LookupError       it left several
        └── PrefectUnavailableError ConnectionError

Each keeps its facts as attributes and survives pickling, because Prefect ships
exceptions between processes.
"""

from brixa_flows.errors.base import BrixaError
from brixa_flows.errors.base import some_of as some_of  # noqa: F401 (for messages)
from brixa_flows.errors.given import (
    DuplicatePluginError,
    InvalidConstraintError,
    InvalidFilterError,
    InvalidMetadataError,
    InvalidNameError,
    InvalidPluginError,
    InvalidSchemaError,
    InvalidVersionError,
    MissingExtraError,
    SettingsError,
    UnknownPluginError,
)
from brixa_flows.errors.given import refuse_blank as refuse_blank  # noqa: F401
from brixa_flows.errors.models import (
    DamagedArtifactError,
    DeviceUnavailableError,
    FrameworkMismatchError,
    InsecureSerializationWarning,
    ModelNotFoundError,
    ModelNotSavedError,
    SchemaBumpWarning,
    SerializationError,
    StageHolderError,
    StageTransitionError,
    UnknownNodeError,
    UnmetDependencyError,
    UntrustedArtifactError,
    VersionExistsError,
    VersionInUseError,
    VersionNotFoundError,
)
from brixa_flows.errors.services import (
    BadRequestError,
    DatasetError,
    DeploymentError,
    DeploymentNotFoundError,
    DriftError,
    EvaluationError,
    InvalidDeploymentError,
    ModelNotLoggedError,
    ModelsAmbiguousError,
    OrchestrationError,
    PrefectUnavailableError,
    TrackingError,
    TrackingUnavailableError,
    UnansweredRowsError,
)
from brixa_flows.errors.signing import SignatureError, SigningKeyError
from brixa_flows.errors.storage import (
    ObjectExistsError,
    ObjectNotFoundError,
    StaleWriteError,
    StorageError,
    UnsafeKeyError,
)

__all__ = [
    "BadRequestError",
    "BrixaError",
    "DamagedArtifactError",
    "DatasetError",
    "DeploymentError",
    "DeploymentNotFoundError",
    "DeviceUnavailableError",
    "DriftError",
    "DuplicatePluginError",
    "EvaluationError",
    "FrameworkMismatchError",
    "InsecureSerializationWarning",
    "InvalidConstraintError",
    "InvalidDeploymentError",
    "InvalidFilterError",
    "InvalidMetadataError",
    "InvalidNameError",
    "InvalidPluginError",
    "InvalidSchemaError",
    "InvalidVersionError",
    "MissingExtraError",
    "ModelNotFoundError",
    "ModelNotLoggedError",
    "ModelNotSavedError",
    "ModelsAmbiguousError",
    "ObjectExistsError",
    "ObjectNotFoundError",
    "OrchestrationError",
    "PrefectUnavailableError",
    "SchemaBumpWarning",
    "SerializationError",
    "SettingsError",
    "SignatureError",
    "SigningKeyError",
    "StageHolderError",
    "StageTransitionError",
    "StaleWriteError",
    "StorageError",
    "TrackingError",
    "TrackingUnavailableError",
    "UnansweredRowsError",
    "UnknownNodeError",
    "UnknownPluginError",
    "UnmetDependencyError",
    "UnsafeKeyError",
    "UntrustedArtifactError",
    "VersionExistsError",
    "VersionInUseError",
    "VersionNotFoundError",
]
