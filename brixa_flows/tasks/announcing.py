"""Events on their way to Prefect: delivered over HTTP, so that we know they arrived.

``prefect.events.emit_event`` hands an event to a thread and forgets it; a state change
that nobody heard of would stop the loop. Here the request either returns, and the
delivery is marked in the outbox, or the task fails and is retried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from logging import Logger, LoggerAdapter
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
from prefect import get_run_logger, runtime
from prefect.client.orchestration import get_client
from prefect.exceptions import MissingContextError, PrefectHTTPStatusError
from prefect.logging import get_logger
from prefect.settings import get_current_settings
from pydantic import ValidationError

from brixa_flows.errors import OrchestrationError, PrefectUnavailableError
from brixa_flows.events import (
    DEFAULT_POLICY,
    EvaluationDataset,
    EventPayload,
    LabelsArrived,
    TrainingCompleted,
    WindowClosed,
)
from brixa_flows.outbox import Outbox, Owed
from brixa_flows.refs import check_model_name, check_policy_name
from brixa_flows.registry import DatasetRef, ModelRegistry, git_state
from brixa_flows.serializers import environment_of
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.remote import remote_task

__all__ = [
    "announce",
    "announce_labels_arrived",
    "announce_training_complete",
    "announce_whole",
    "announce_window_closed",
    "commit_here",
    "deliver",
    "deliver_kept",
]

_NEVER_TAKEN = (400, 413, 422)  # of this event; others are about the server


def deliver(payload: EventPayload, event_id: UUID | None = None) -> UUID:
    """Send an event to Prefect and return when the server took it.

    It may lose it in the seconds until it writes it and acts on it; see
    :func:`~brixa_flows.tasks.event_feed.look_up`.

    Inside a flow run the event is tied to it, so that the UI shows both together.

    Args:
        payload: What happened.
        event_id: A stable id, so that sending it again is the same event.

    Returns:
        The event's id.

    Raises:
        PrefectUnavailableError: If the server does not answer, or has no time.
        OrchestrationError: If it does not take this event.
    """
    event_id = event_id or uuid4()
    event = {
        "id": str(event_id),
        "occurred": datetime.now(UTC).isoformat(),
        "event": payload.event,
        "resource": payload.resource(),
        "related": _this_run(),
        "payload": payload.to_payload(),
    }
    try:
        with get_client(sync_client=True) as client:
            client.request("POST", "/events", json=[event])
    except ValueError as err:  # no JSON, or none that UTF-8 can tell
        raise _not_taken(payload, str(err)) from err
    except PrefectHTTPStatusError as err:
        if err.response.status_code in _NEVER_TAKEN:
            raise _not_taken(payload, str(err)) from err
        raise _unavailable(err) from err
    except (httpx.HTTPError, RuntimeError) as err:
        raise _unavailable(err) from err
    return event_id


def _not_taken(payload: EventPayload, why: str) -> OrchestrationError:
    return OrchestrationError(
        f"Prefect does not take the event {payload.event} about {payload.name}: {why}"
    )


def _unavailable(err: Exception) -> PrefectUnavailableError:
    url = get_current_settings().api.url or "(no PREFECT_API_URL)"
    return PrefectUnavailableError(url, str(err) or type(err).__name__)


def commit_here() -> str:
    """Commit of the git work tree around the working directory; empty if in none."""
    code = git_state(Path.cwd())
    return code.commit if code else ""


def _this_run() -> list[dict[str, str]]:
    if not runtime.flow_run.id:
        return []
    run = {
        "prefect.resource.id": f"prefect.flow-run.{runtime.flow_run.id}",
        "prefect.resource.role": "flow-run",
        "prefect.resource.name": str(runtime.flow_run.name),
    }
    return [run]


@remote_task("announce {owed.payload.event}")
def announce(registry: str, owed: Owed) -> None:
    """Announce a state change, unless it was announced, and mark it.

    Args:
        registry: Name of the registry's block.
        owed: What happened, and the id that the record of the change carries.

    Raises:
        PrefectUnavailableError: If the server does not take it.
    """
    _deliver_once(Outbox(open_registry(registry)), owed.payload, owed.event_id)


@remote_task("announce {payload.event}")
def announce_whole(registry: str, payload: EventPayload, event_id: UUID) -> None:
    """Announce what no record tells of; the outbox keeps it until then.

    Args:
        registry: Name of the registry's block.
        payload: What happened.
        event_id: A stable id.

    Raises:
        PrefectUnavailableError: If the server does not take it.
    """
    deliver_kept(Outbox(open_registry(registry)), payload, event_id)


def deliver_kept(outbox: Outbox, payload: EventPayload, event_id: UUID) -> None:
    """Keep an event in an outbox, then deliver it unless it was; no task.

    Raises:
        PrefectUnavailableError: If the server does not take it; the outbox keeps it.
    """
    outbox.put(event_id, payload)
    _deliver_once(outbox, payload, event_id)


def announce_window_closed(
    window: WindowClosed, registry: str | ModelRegistry = "brixa"
) -> None:
    """Tell the loop that a stretch of traffic is over; from a flow or any script.

    The registry's storage keeps it until the server has it, so telling it once is
    enough; telling it again changes nothing.

    Args:
        window: Which deployment, from when to when, and where the rows are.
        registry: Name of the Brixa Registry block, or a registry, for which no server
            is needed.

    Raises:
        PrefectUnavailableError: If the server does not take it; the outbox keeps it,
            but not if the server was needed to find the registry.
    """
    _announce_rows(window, registry, window.data_uri)


def announce_labels_arrived(
    labels: LabelsArrived, registry: str | ModelRegistry = "brixa"
) -> None:
    """Tell the loop that the labels of a stretch of traffic are known.

    As safe and as often as :func:`announce_window_closed`.

    Args:
        labels: Whose labels, and where they and the rows are.
        registry: Name of the Brixa Registry block, or a registry.

    Raises:
        PrefectUnavailableError: If the server does not take it; the outbox keeps it,
            but not if the server was needed to find the registry.
    """
    _announce_rows(labels, registry, labels.data_uri, labels.labels_uri)


def _announce_rows(
    window: WindowClosed | LabelsArrived, registry: str | ModelRegistry, *uris: str
) -> None:
    opened = open_registry(registry) if isinstance(registry, str) else registry
    outbox = Outbox(opened)
    outbox.begin()
    times = (window.kind, window.start, window.end)
    event_id = window.event_id(window.deployment, *times, *uris)
    deliver_kept(outbox, window, event_id)


def _deliver_once(outbox: Outbox, payload: EventPayload, event_id: UUID) -> None:
    logger = _run_logger()
    if outbox.is_delivered(event_id):
        logger.info("%s was announced before: %s", payload.event, payload.message)
        return
    deliver(payload, event_id)
    outbox.mark_delivered(event_id)
    logger.info("announced %s: %s", payload.event, payload.message)


def _run_logger() -> Logger | LoggerAdapter[Logger]:
    try:
        return get_run_logger()
    except MissingContextError:  # a script, a notebook
        return get_logger("brixa")


def _whence(framework: str) -> dict[str, Any]:
    """Where a training ran, and with what."""
    return {
        "flow_run_id": str(runtime.flow_run.id or ""),
        "git_commit": commit_here(),
        "environment": environment_of(None, framework),
    }


@contextmanager
def _telling_what_is_wrong(name: str) -> Iterator[None]:
    """In one sentence, with the field to blame."""
    try:
        yield
    except ValidationError as err:
        first = err.errors()[0]
        where = ".".join(map(str, first["loc"]))
        why = f"{where} {first['msg'].removeprefix('Value error, ')}".strip()
        raise OrchestrationError(
            f"the training of {name} can't be announced: {why}"
        ) from err


@remote_task("announce the training of {name}")
def announce_training_complete(
    *,
    name: str,
    model_uri: str,
    framework: str,
    model_type: str,
    hyperparameters: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    datasets: Iterable[DatasetRef] = (),
    reference_uri: str = "",
    run_id: str = "",
    evaluations: Iterable[EvaluationDataset] = (),
    target: str = "",
    description: str = "",
    policy: str = DEFAULT_POLICY,
    registry: str = "brixa",
) -> None:
    """Tell the loop that a training is over; the last task of any training flow.

    Kept in the registry's storage before it is sent, so that it can't be lost.

    Args:
        name: The model that a version is to be registered for.
        model_uri: The logged model (``runs:/ID/model``) in the registry's backend.
        framework: ``sklearn``, ``pytorch``, ``tensorflow`` ...
        model_type: What it does, in your words.
        hyperparameters: How it was trained.
        metrics: What the training measured.
        datasets: What it was trained on.
        reference_uri: Parquet of the training rows; becomes the drift profile.
        run_id: The MLflow run that trained it.
        evaluations: Labelled rows it has not seen; the last decide about promotion.
        target: Column of the label in those rows.
        description: Free text for the version.
        policy: Name of the Brixa Gate Policy block that decides about production.
        registry: Name of the Brixa Registry block.

    Raises:
        InvalidNameError: If a model or a policy can't have that name.
        OrchestrationError: If a number or text is none that an event can tell.
        PrefectUnavailableError: If the server does not take it; the outbox keeps it.
    """
    with _telling_what_is_wrong(name):
        payload = TrainingCompleted(
            name=check_model_name(name),
            model_uri=model_uri,
            framework=framework,
            model_type=model_type,
            description=description,
            hyperparameters=dict(hyperparameters or {}),
            metrics=dict(metrics or {}),
            datasets=[dataset.model_dump(mode="json") for dataset in datasets],
            reference_uri=reference_uri,
            evaluations=list(evaluations),
            target=target,
            run_id=run_id,
            policy=check_policy_name(policy),
            **_whence(framework),
        )
    announce_whole.fn(registry, payload, payload.event_id(model_uri))
