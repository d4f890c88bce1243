"""Telling people, through any notification block of Prefect that the settings name.

Who is told by ``BRXA_NOTIFICATION_BLOCK`` of the worker (``slack-webhook/team``). A
message that can't be sent is a warning in the run's log and nothing else: the loop does
not stop because a chat is down.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any, cast

from prefect import State, get_run_logger, runtime
from prefect.blocks.core import Block
from prefect.utilities.asyncutils import run_coro_as_sync
from prefect.utilities.urls import url_for

from brixa_flows.deployment import ServedAgain
from brixa_flows.errors import OrchestrationError
from brixa_flows.events import DriftDetected, GateRefused, PerformanceDegraded
from brixa_flows.outbox import Unheeded, Untold
from brixa_flows.settings import BrixaSettings
from brixa_flows.tasks.remote import remote_task
from brixa_flows.tasks.restarting import DeadRun

__all__ = [
    "send",
    "somebody_listens",
    "tell",
    "tell_of_alarm",
    "tell_of_dead_runs",
    "tell_of_degradation",
    "tell_of_refusal",
    "tell_of_served_again",
    "tell_of_unheeded",
    "tell_of_waiting_approval",
]

_SEND_SECONDS = 60.0
_VARIABLE = "BRXA_NOTIFICATION_BLOCK"
_ADDRESS = re.compile(r"(https?://[^/\s'\"]+)/[^\s'\"]*")


def tell(subject: str, text: str, flow_run_id: str = "") -> bool:
    """Send a message with a link to a run; never fails this one.

    Args:
        subject: One line.
        text: What happened, and what to do.
        flow_run_id: The run that it is about; empty is this one.

    Returns:
        Whether it was sent; ``False`` too if no block is named.
    """
    block_name = BrixaSettings.load().notification_block
    if not block_name:
        return False
    whole = text + _link_to(flow_run_id or runtime.flow_run.id)
    state: State[None] = send(block_name, subject, whole, return_state=True)
    if not state.is_completed():
        get_run_logger().warning(
            "nobody was told of %r: the block %s of %s did not send it (%s); look at it "
            "under Blocks in the Prefect UI, or name another one",
            subject,
            block_name,
            _VARIABLE,
            _reason(cast(Exception, state.result(raise_on_failure=False))),
        )
        return False
    get_run_logger().info("told %s: %s", block_name, subject)
    return True


@remote_task("tell: {subject}", timeout_seconds=_SEND_SECONDS)
def send(block_name: str, subject: str, text: str) -> None:
    """Send a message.

    Args:
        block_name: Notification block, ``TYPE/NAME``.
        subject: One line.
        text: The rest.

    Raises:
        OrchestrationError: If there is no such block, or it can't notify.
        ConnectionError: If it did not send; worth another try.
    """
    try:
        _send(block_name, subject, text)
    except (TypeError, ValueError) as err:
        raise OrchestrationError(_reason(err)) from None
    except Exception as err:  # whatever a messenger of anybody's raises
        raise ConnectionError(_reason(err)) from None


def _reason(err: Exception) -> str:
    """Why, in one line; addresses of webhooks are secrets, so only the host is said."""
    said = str(getattr(err, "log", "")) or str(err)  # prefect's NotificationError
    return _ADDRESS.sub(r"\1/...", " ".join(said.split())) or type(err).__name__


def _send(block_name: str, subject: str, text: str) -> None:
    block: Any = cast(Any, Block.load(block_name))
    if not callable(getattr(block, "notify", None)):
        raise TypeError("it is no notification block")
    # Blocks on Apprise say nothing of a failure unless they are asked to.
    with getattr(block, "raise_on_failure", nullcontext)():
        sent = block.notify(body=text, subject=subject)
        if inspect.iscoroutine(sent):
            run_coro_as_sync(sent)


def _link_to(flow_run_id: str | None) -> str:
    url = url_for("flow-run", flow_run_id) if flow_run_id else None
    return f"\n\n{url}" if url else ""


def somebody_listens() -> bool:
    """Without a block a task that does nothing would stand on each run's page."""
    return BrixaSettings.load().notification_block is not None


def tell_of_alarm(event: DriftDetected) -> bool:
    """Tell of a window that drifted."""
    if not somebody_listens():
        return False
    columns = ", ".join(event.columns) or "none"
    text = f"{event.message}\n\n{event.rows} rows; columns that changed: {columns}"
    return tell(f"Drift alarm: {event.name} {event.version}", text)


def tell_of_degradation(event: PerformanceDegraded) -> bool:
    """Tell of a window in which a version was worse than usual."""
    if not somebody_listens():
        return False
    text = f"{event.message}\n\n{event.rows} rows"
    return tell(f"Performance alarm: {event.name} {event.version}", text)


def tell_of_dead_runs(dead: Iterable[DeadRun]) -> bool:
    """Tell of runs that died so often that they are not started again."""
    left = [f"{run.name}: {run.why}" for run in dead if not run.restarted]
    if not left or not somebody_listens():
        return False
    text = "\n- ".join(["look for the cause in their logs, then choose Retry:", *left])
    return tell("Runs died again and again", text)


def tell_of_unheeded(events: Iterable[Unheeded]) -> bool:
    """Tell of events that no automation acted on, however often they were sent."""
    said = [f"{', '.join(each.waits_for)}: {each.payload.message}" for each in events]
    if not said or not somebody_listens():
        return False
    advice = "look at these automations in Prefect, then start their flows by hand:"
    return tell("Prefect does not act on events", "\n- ".join([advice, *said]))


def tell_of_untold(events: Iterable[Untold]) -> bool:
    """Tell of events that nobody can send, with what to do."""
    said = [str(each) for each in events]
    if not said or not somebody_listens():
        return False
    advice = "the loop does not go on from there by itself:"
    return tell("Events that can't be told", "\n- ".join([advice, *said]))


def tell_of_served_again(served: Iterable[ServedAgain]) -> bool:
    """Tell of deployments that nobody served; of what stays so, once."""
    said = [each.message for each in served if each.is_news]
    if not said or not somebody_listens():
        return False
    advice = "nobody looked after these deployments any more (killed, or a reboot):"
    return tell("Served again after a crash", "\n- ".join([advice, *said]))


def tell_of_refusal(event: GateRefused) -> bool:
    """Tell of a version that a policy kept out of a stage."""
    if not somebody_listens():
        return False
    text = "\n- ".join([f"{event.message}:", *event.reasons])
    return tell(f"Refused: {event.name} {event.version}", text)


def tell_of_waiting_approval(
    name: str, version: str, stage: str, until: str = ""
) -> bool:
    """Tell that a paused run waits for a person's decision.

    Args:
        name: The model.
        version: The candidate.
        stage: Where it is to go.
        until: When nobody's answer becomes a no, in words.
    """
    if not somebody_listens():
        return False
    deadline = f" until {until}; after that it is not promoted" if until else ""
    text = (
        f"{name} {version} passed its gates and waits for a person's decision about "
        f"{stage}{deadline}. Answer on the page of the run, or with: brixa approve"
    )
    return tell(f"Approval wanted: {name} {version} to {stage}", text)
