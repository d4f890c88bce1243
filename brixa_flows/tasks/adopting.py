"""Finding the model that a training left and did not name."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from prefect import get_run_logger
from prefect.client.schemas import State
from prefect.client.schemas.objects import StateType

from brixa_flows.errors import (
    ModelNotLoggedError,
    ModelsAmbiguousError,
    OrchestrationError,
)
from brixa_flows.tasks.asking import asking_prefect
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.remote import remote_task
from brixa_flows.tracking import LoggedModel, TrackingStore

__all__ = ["find_trained_model", "only_logged_model"]

_RESUMING = "Resuming"  # Prefect's name of that state
_LOG_ONE = (
    "log one with mlflow.*.log_model before the training ends, or correct the name of "
    "the experiment"
)


def only_logged_model(
    tracking: TrackingStore,
    experiment: str,
    since: datetime,
    until: datetime,
    training: str,
) -> LoggedModel:
    """The one model that was logged to an experiment while a training went on.

    Args:
        tracking: The backend.
        experiment: Name of the MLflow experiment.
        since: When the training began.
        until: When it ended.
        training: What it is called in errors.

    Raises:
        ModelNotLoggedError: If there is none.
        ModelsAmbiguousError: If there are several.
        TrackingError: If there is no such experiment.
    """
    found = tracking.logged_models(experiment, since, until)
    training = (
        f"{training}, from {since:%Y-%m-%d %H:%M:%S} to {until:%H:%M:%S} UTC in the "
        f"experiment {experiment!r},"
    )
    if not found:
        raise ModelNotLoggedError(training, _LOG_ONE)
    if len(found) > 1:
        told = [f"{each.name} ({each.uri})" for each in found]
        raise ModelsAmbiguousError(training, told)
    return found[0]


@remote_task("find the model of {flow_run_id}")
def find_trained_model(registry: str, flow_run_id: str, experiment: str) -> LoggedModel:
    """The one model that was logged to an experiment while a flow run worked.

    Args:
        registry: Name of the registry's block.
        flow_run_id: The flow run, which completed.
        experiment: Name of the MLflow experiment.

    Raises:
        ModelNotLoggedError: If there is none.
        ModelsAmbiguousError: If there are several.
        OrchestrationError: If there is no such run, or it did not complete.
        TrackingError: If there is no such experiment.
    """
    since, until = _worked(flow_run_id)
    tracking = open_registry(registry).tracking
    training = f"the flow run {flow_run_id}"
    found = only_logged_model(tracking, experiment, since, until, training)
    get_run_logger().info("%s logged %s", flow_run_id, found.uri)
    return found


def _worked(flow_run_id: str) -> tuple[datetime, datetime]:
    """When the attempt began that completed, and when it ended."""
    with asking_prefect() as client:
        states = client.read_flow_run_states(UUID(flow_run_id))
    began: datetime | None = None
    for state in sorted(states, key=lambda each: each.timestamp):
        if _ends_an_attempt(state):
            began = None
        elif state.type == StateType.RUNNING and began is None:
            began = state.timestamp
        elif state.type == StateType.COMPLETED and began is not None:
            return began, state.timestamp
    raise OrchestrationError(
        f"Prefect knows no flow run {flow_run_id} that worked until it was completed, "
        "so nobody knows when it trained; look at its states in the Prefect UI"
    )


def _ends_an_attempt(state: State) -> bool:
    """What a failed attempt logged is not what the run made."""
    if state.type == StateType.SCHEDULED:  # for another attempt, or after a pause
        return state.name != _RESUMING
    return state.type in (StateType.FAILED, StateType.CRASHED, StateType.CANCELLED)
