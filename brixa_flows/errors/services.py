"""What is done with models: tracking, judging, deploying, orchestrating."""

from __future__ import annotations

from collections.abc import Iterable

from brixa_flows.errors.base import BrixaError, some_of

__all__ = [
    "BadRequestError",
    "DatasetError",
    "DeploymentError",
    "DeploymentNotFoundError",
    "DriftError",
    "EvaluationError",
    "InvalidDeploymentError",
    "ModelNotLoggedError",
    "ModelsAmbiguousError",
    "OrchestrationError",
    "PrefectUnavailableError",
    "TrackingError",
    "TrackingUnavailableError",
    "UnansweredRowsError",
]


class TrackingError(BrixaError, RuntimeError):
    """The tracking backend (MLflow) refused or failed."""


class TrackingUnavailableError(TrackingError, ConnectionError):
    """The tracking backend does not answer."""

    def __init__(self, uri: str, reason: str, remedy: str = "") -> None:
        remedy = remedy or "check BRXA_TRACKING_URI and that the server runs"
        super().__init__(
            f"the MLflow backend at {uri} can't be used ({reason}); {remedy}",
            uri=uri,
            reason=reason,
            remedy=remedy,
        )


class DatasetError(BrixaError, ValueError):
    """Data that can't be predicted or judged."""


class UnansweredRowsError(DatasetError):
    """A model that raised in place of an answer to rows that could be read."""


class EvaluationError(BrixaError, ValueError):
    """An evaluation, comparison or gate that can't be computed as asked."""


class DriftError(BrixaError, ValueError):
    """A drift question that can't be asked so."""


class DeploymentError(BrixaError, RuntimeError):
    """A deployment that could not be done."""


class InvalidDeploymentError(DeploymentError, ValueError):
    """A deployment configuration that can't work."""


class DeploymentNotFoundError(DeploymentError, LookupError):
    """No deployment of that name."""

    def __init__(
        self, name: str, known: Iterable[str] = (), where: str = "here"
    ) -> None:
        known = tuple(known)
        super().__init__(
            f"there is no deployment {name!r} {where}; there are: {some_of(known)}",
            name=name,
            known=known,
            where=where,
        )


class BadRequestError(DeploymentError, ValueError):
    """A request to predict that a deployed model can't answer."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}", field=field, reason=reason)


class OrchestrationError(BrixaError, RuntimeError):
    """A flow, automation or project file that can't work."""


class ModelNotLoggedError(OrchestrationError, LookupError):
    """A training that left no model."""

    def __init__(self, training: str, remedy: str) -> None:
        super().__init__(
            f"{training} left no model in the MLflow backend of the registry; {remedy}",
            training=training,
            remedy=remedy,
        )


class ModelsAmbiguousError(OrchestrationError, LookupError):
    """A training that left several models, so that nobody knows which it is for."""

    def __init__(self, training: str, found: Iterable[str]) -> None:
        found = tuple(found)
        super().__init__(
            f"{training} left several models and one was expected: {some_of(found)}; "
            "let a run log one, or announce the right one by announce_training_complete",
            training=training,
            found=found,
        )


class PrefectUnavailableError(OrchestrationError, ConnectionError):
    """The Prefect server does not answer."""

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(
            f"the Prefect server at {uri} can't be reached ({reason}); check "
            "PREFECT_API_URL and start one with: prefect server start",
            uri=uri,
            reason=reason,
        )
