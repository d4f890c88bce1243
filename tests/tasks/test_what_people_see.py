"""What people are told through real notification blocks, and find on a run's page.

A messenger that is silent stops nothing.
"""

from __future__ import annotations

import base64
import json
import logging
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import yaml
from PIL import Image
from prefect import Flow, State, flow, runtime
from prefect.blocks.notifications import (
    CustomWebhookNotificationBlock,
    MattermostWebhook,
)
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events import DeploymentEventTrigger
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Failed, Suspended
from pydantic import SecretStr

from brixa_flows.blocks import BrixaRegistry, BrixaStorage
from brixa_flows.demo.stack import PrefectStack, wait_until
from brixa_flows.deployment import ServedAgain
from brixa_flows.errors import SettingsError
from brixa_flows.events import DriftDetected, GateRefused, PerformanceDegraded
from brixa_flows.outbox import Unheeded, Untold
from brixa_flows.registry import DatasetRef, Lineage, ModelMetadata, ParentRef
from brixa_flows.settings import BrixaSettings
from brixa_flows.tasks import notifying, reporting
from brixa_flows.tasks.assets import materialize_version, version_asset
from brixa_flows.tasks.restarting import DeadRun
from brixa_flows.tasks.run_page import flow_run_link, progress
from docs.browser import Browser
from flows.adopt_training import adopt_training
from flows.promote_model import promote_model
from flows.tell import TellRequest, tell
from tests.requirements_present import require

ROOT = Path(__file__).parents[2]
VARIABLE = "BRXA_NOTIFICATION_BLOCK"

pytestmark = [
    pytest.mark.slow(seconds=15),
    pytest.mark.timeout(300),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class Chat(ThreadingHTTPServer):
    """A team's chat: keeps what is posted, or is out of order."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[dict[str, str]] = []
        self.works = True


class _Handler(BaseHTTPRequestHandler):
    server: Chat

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.works:
            self.server.heard.append(json.loads(body))
        self.send_response(200 if self.server.works else 500)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def open_chat() -> Iterator[Chat]:
    with Chat() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def chat(open_chat: Chat) -> Chat:
    open_chat.heard.clear()
    open_chat.works = True
    return open_chat


@pytest.fixture(scope="module", autouse=True)
def blocks(stack: PrefectStack, open_chat: Chat) -> Iterator[None]:
    """Blocks of two kinds that write to the chat, and one that can't write at all."""
    port = open_chat.server_port
    with temporary_settings({PREFECT_API_URL: stack.api.url}):
        CustomWebhookNotificationBlock(
            name="team",
            url=f"http://127.0.0.1:{port}/s3cret",
            json_data={"subject": "{{subject}}", "text": "{{body}}"},
        ).save("team")
        MattermostWebhook(
            hostname="127.0.0.1", port=port, token=SecretStr("abc123")
        ).save("team")
        Secret(value=SecretStr("x")).save("team")
        yield


@flow
def _all_that_people_are_told() -> list[bool]:
    told = [notifying.tell_of_waiting_approval("m", "1.0.1", "production", "noon")]
    alarm = DriftDetected(
        name="m",
        version="1.0.0",
        deployment="m",
        start="2013-04-01",
        end="2013-05-01",
        kind="month",
        rows=9,
        columns=["temp", "dewp"],
        sentence="2 of 16 columns drifted.",
    )
    told.append(notifying.tell_of_alarm(alarm))
    facts = alarm.model_dump(exclude={"columns", "report_uri", "sentence"})
    worse = PerformanceDegraded(
        **facts, realised=True, metrics=["f1"], sentence="f1 is 0.2."
    )
    told.append(notifying.tell_of_degradation(worse))
    refused = GateRefused(
        name="m",
        version="1.0.1",
        stage="production",
        policy="strict",
        reasons=["roc_auc is 0.5"],
    )
    told.append(notifying.tell_of_refusal(refused))
    stuck = Unheeded(alarm, ("Retrain after an alarm on a month",))
    told.append(notifying.tell_of_unheeded([stuck]))
    lost = Untold("the seal of m 1.0.0", "it is spoilt", "judge it by hand", uuid4())
    told.append(notifying.tell_of_untold([lost]))
    dead = [DeadRun("deploy m 1.0.1", "exited with -9", left) for left in (True, False)]
    told.append(notifying.tell_of_dead_runs(dead))
    back = [
        ServedAgain("m", True, "m serves m 1.0.0 again", is_news=True),
        ServedAgain("n", False, "port 80 can't be used", is_news=False),
    ]
    assert not notifying.tell_of_served_again(back[1:])
    return [*told, notifying.tell_of_served_again(back)]


def test_people_are_told_what_happened_and_where_to_look(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, stack: PrefectStack
) -> None:
    monkeypatch.setenv(VARIABLE, "custom-webhook/team")
    assert _all_that_people_are_told() == [True] * 8
    approval, alarm, worse, refusal, unheeded, untold, died, back = chat.heard
    assert approval["subject"] == "Approval wanted: m 1.0.1 to production"
    assert "until noon; after that it is not promoted" in approval["text"]
    assert alarm["subject"] == "Drift alarm: m 1.0.0"
    assert "2 of 16 columns drifted." in alarm["text"]
    assert "temp, dewp" in alarm["text"]
    assert worse["subject"] == "Performance alarm: m 1.0.0"
    assert "f1 is 0.2." in worse["text"] and "9 rows" in worse["text"]
    assert refusal["subject"] == "Refused: m 1.0.1"
    assert "- roc_auc is 0.5" in refusal["text"]
    assert unheeded["subject"] == "Prefect does not act on events"
    wanted = "- Retrain after an alarm on a month: the month from 2013-04-01 to "
    assert wanted in unheeded["text"]
    assert untold["subject"] == "Events that can't be told"
    wanted = "- no event for the seal of m 1.0.0: it is spoilt; judge it by hand"
    assert wanted in untold["text"]
    assert died["subject"] == "Runs died again and again"
    assert died["text"].count("- deploy m 1.0.1: exited with -9\n") == 1
    assert back["subject"] == "Served again after a crash"
    assert "- m serves m 1.0.0 again" in back["text"] and "port 80" not in back["text"]
    for message in chat.heard:
        assert message["text"].rpartition("\n")[2].startswith(f"{stack.ui_url}/runs/")


@flow
def _a_cry() -> bool:
    return notifying.tell("the roof is on fire", "run")


def test_a_deployed_flow_tells_what_an_automation_gives_it(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "mattermost-webhook/team")
    tell(TellRequest(subject="An automation failed", text="no such deployment"))
    [message] = chat.heard
    assert "An automation failed" in message["text"]
    assert "no such deployment" in message["text"]


@pytest.fixture
def telling(stack: PrefectStack) -> Iterator[SyncPrefectClient]:
    """The server with what prefect.yaml says of failed runs, and no worker."""
    project = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    [written] = [
        trigger
        for deployment in project["deployments"]
        for trigger in deployment.get("triggers", ())
        if trigger["name"] == "Tell of a run that failed"
    ]
    with get_client(sync_client=True) as client:
        teller = client.create_deployment(
            client.create_flow(tell), name="here", tags=["brixa"]
        )
        trigger = DeploymentEventTrigger.model_validate(written)
        trigger.set_deployment_id(teller)
        automation = trigger.as_automation().model_dump(mode="json")
        made = client.request("POST", "/automations/", json=automation).json()
        yield client
        client.request("DELETE", f"/automations/{made['id']}")
        client.request("DELETE", f"/deployments/{teller}")


def _fails(
    client: SyncPrefectClient,
    failing: Flow[..., Any],
    tags: list[str],
    parameters: dict[str, Any] | None = None,
    before: State[Any] | None = None,
) -> str:
    """A run of a deployment fails, from a state; its id."""
    deployment = client.create_deployment(
        client.create_flow(failing), name="fails", tags=tags
    )
    run = client.create_flow_run_from_deployment(
        deployment, name=failing.name, parameters=parameters
    )
    if before:
        client.set_flow_run_state(run.id, before, force=True)
    said = Failed(message="the run nope is not there; look at https://remedy")
    client.set_flow_run_state(run.id, said, force=True)
    return str(run.id)


def test_a_run_of_the_loop_that_failed_is_told_and_one_of_tell_or_of_others_is_not(
    chat: Chat,
    monkeypatch: pytest.MonkeyPatch,
    stack: PrefectStack,
    telling: SyncPrefectClient,
) -> None:
    """Events come in order, so those that start nothing came before the last one."""
    monkeypatch.setenv(VARIABLE, "custom-webhook/team")
    _fails(telling, tell, ["brixa"])
    _fails(telling, _a_cry, ["somebody-elses"])
    failed = _fails(telling, adopt_training, ["brixa"])
    started: list[dict[str, Any]] = []

    def told() -> bool:
        here = {"name": {"any_": ["tell"]}}
        deployed = {"name": {"any_": ["here"]}}
        started[:] = _find(stack, "flow_runs", flows=here, deployments=deployed)
        return bool(started)

    wait_until(told, 60, "the run of tell")
    [run] = started
    tell(TellRequest(**run["parameters"]["request"]))
    [message] = chat.heard
    assert message["subject"] == "Failed: adopt_training"
    assert message["text"] == (
        "the run nope is not there; look at https://remedy\n\n"
        f"{stack.ui_url}/runs/flow-run/{failed}"
    )


def _tell_of(run_id: str, subject: str = "", **more: Any) -> None:
    tell(TellRequest(subject=subject or f"Failed: {run_id}", flow_run=run_id, **more))


def test_what_fails_again_and_again_is_told_once_an_hour(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, telling: SyncPrefectClient
) -> None:
    monkeypatch.setenv(VARIABLE, "custom-webhook/team")
    about = [{"request": {"name": name}} for name in ("damped", "damped", "other")]
    first, second, other = (_fails(telling, _a_cry, [], each) for each in about)
    chat.works = False
    monkeypatch.setattr(notifying.send, "retry_delay_seconds", 0)
    _tell_of(first)
    chat.works = True
    for run_id in (first, second, other, first):
        _tell_of(run_id)
    told = [message["subject"] for message in chat.heard]
    assert told == [f"Failed: {run_id}" for run_id in (first, other)]
    _tell_of(second, again_after_minutes=0)
    _tell_of(second, again_after_minutes=1e-4)
    assert len(chat.heard) == 4
    for _ in range(2):
        tell(TellRequest(subject="The automation x could not act"))
    assert len(chat.heard) == 5


def test_a_promotion_that_nobody_answered_is_told_by_the_flow_that_closes_it_alone(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, telling: SyncPrefectClient
) -> None:
    monkeypatch.setenv(VARIABLE, "custom-webhook/team")
    asked = {"request": {"name": "m", "version": "1.0.0"}}
    refused = _fails(telling, promote_model, [], asked)
    undecided = _fails(telling, promote_model, [], asked, Suspended(timeout_seconds=0))
    _tell_of(undecided)
    assert chat.heard == []
    _tell_of(refused)
    assert len(chat.heard) == 1


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        ("custom-webhook/team", "500"),
        ("mattermost-webhook/team", "500"),
        ("secret/team", "it is no notification block"),
        ("slack-webhook/nobody", "slack-webhook/nobody"),
    ],
)
def test_a_message_that_is_not_sent_is_a_warning_with_its_remedy_and_fails_no_run(
    chat: Chat,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    block: str,
    reason: str,
) -> None:
    chat.works = False
    monkeypatch.setenv(VARIABLE, block)
    monkeypatch.setattr(
        notifying, "get_run_logger", lambda: logging.getLogger("a run's log")
    )
    monkeypatch.setattr(notifying.send, "retry_delay_seconds", 0)
    assert _a_cry() is False
    [warning] = [
        record.getMessage() for record in caplog.records if record.name == "a run's log"
    ]
    assert warning.startswith("nobody was told of 'the roof is on fire'")
    assert reason in warning and VARIABLE in warning and "in the Prefect UI" in warning
    assert "s3cret" not in warning


def test_nobody_is_told_where_no_block_is_named(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert notifying.tell("s", "t") is False
    assert chat.heard == []


def test_a_name_that_names_no_kind_of_block_is_a_settings_error() -> None:
    with pytest.raises(SettingsError, match=VARIABLE):
        BrixaSettings.check({VARIABLE: "team"})


METADATA = ModelMetadata(
    name="m",
    version="1.0.1",
    model_type="classification",
    framework="sklearn",
    description="rain or shine",
    metrics={"auc": 0.8},
    digest="sha256:ab",
    lineage=Lineage(
        datasets=(
            DatasetRef(name="rows", uri="s3://bucket/rows.parquet"),
            DatasetRef(name="more", uri="/data/with space.parquet"),
        ),
        parents=(ParentRef(name="base", version="2.0.0"),),
    ),
    created_at=datetime.now(UTC),
)


@flow
def _a_run_with_a_report(text: str = "# m 1.0.1 is good") -> str:
    with progress("judging", "m", "judging m 1.0.1", steps=4) as step:
        for _ in range(3):
            step()
    reporting.publish("judged", "m", text, "m 1.0.1 is good", "1.0.1")
    materialize_version(METADATA)
    return str(runtime.flow_run.id)


def _find(stack: PrefectStack, kind: str, **query: Any) -> list[dict[str, Any]]:
    answer = httpx.post(f"{stack.api.url}/{kind}/filter", json=query, timeout=20)
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


def _artifacts(stack: PrefectStack, run_id: str) -> dict[str, dict[str, Any]]:
    """What a run shows, by kind."""
    of_run = {"flow_run_id": {"any_": [run_id]}}
    found = _find(stack, "artifacts", artifacts=of_run)
    return {artifact["type"]: artifact for artifact in found}


def test_a_run_has_a_report_that_its_log_leads_to_a_bar_and_tags(
    stack: PrefectStack, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = _a_run_with_a_report()
    shown = _artifacts(stack, run_id)
    report, bar = shown["markdown"], shown["progress"]
    assert (report["key"], report["data"]) == ("judged-m", "# m 1.0.1 is good")
    assert (bar["description"], bar["data"]) == ("judging m 1.0.1", 75)
    [run] = _find(stack, "flow_runs", flow_runs={"id": {"any_": [run_id]}})
    assert {"model:m", "version:1.0.1"} <= set(run["tags"])
    address = f"{stack.ui_url}/artifacts/artifact/{report['id']}"
    assert f"m 1.0.1 is good\nReport: {address}" in caplog.messages
    assert (
        flow_run_link(run_id) == f"[`{run_id}`]({stack.ui_url}/runs/flow-run/{run_id})"
    )


def test_a_new_version_is_an_asset_made_from_others(stack: PrefectStack) -> None:
    _a_run_with_a_report()
    event = "prefect.asset.materialization.succeeded"
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        query = {"filter": {"event": {"name": [event]}}, "limit": 1}
        answer = httpx.post(f"{stack.api.url}/events/filter", json=query, timeout=20)
        found[:] = answer.raise_for_status().json()["events"]
        return bool(found)

    wait_until(arrived, 30, f"the event {event}")
    [made] = found
    assert made["resource"]["prefect.resource.id"] == "brixa://models/m/1.0.1"
    assert made["payload"]["metrics"] == {"auc": 0.8}
    related = {item["prefect.resource.id"] for item in made["related"]}
    assert {"brixa://models/base/2.0.0", "s3://bucket/rows.parquet"} <= related
    assert version_asset(METADATA).properties.description == "rain or shine"


def test_a_report_that_the_ui_could_not_show_loses_its_plots() -> None:
    plot = f"![temp](data:image/png;base64,{'A' * 1_100_000})"
    kept = reporting._small_enough(f"# Drift\n\n{plot}\n\nthe end")
    assert kept.startswith("# Drift") and kept.endswith("the end")
    assert "a plot was left out" in kept
    assert len(reporting._small_enough("é" * 1_000_000).encode()) <= 1_000_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    require("Chromium", program is not None)
    with Browser(str(program)) as opened:
        yield opened


@pytest.mark.parametrize("ui", ["", "/v2"])
def test_the_form_of_a_registry_offers_the_storages_that_are_there(
    stack: PrefectStack, browser: Browser, ui: str
) -> None:
    BrixaStorage(path="/somewhere").save("team", overwrite=True)
    BrixaRegistry.register_type_and_schema()
    page = f"{stack.ui_url}{ui}/blocks/catalog/brixa-registry/create"
    shown = browser.open(page, "BrixaStorage", "Trust Policy")
    assert shown.count("Add") == 2  # for a storage and for a backend, and no JSON
    assert "Where files of models, deployments and the registry's journal" in shown


def test_a_report_is_drawn_with_its_plots_and_its_lineage(
    stack: PrefectStack, browser: Browser, tmp_path: Path
) -> None:
    Image.new("RGB", (9, 9)).save(tmp_path / "plot.png")
    plot = base64.b64encode((tmp_path / "plot.png").read_bytes()).decode()
    plot = f"![temp](data:image/png;base64,{plot})"
    text = f"# Alarm\n\n{plot}\n\n```mermaid\nflowchart LR\n  a --> b\n```\n"
    report = _artifacts(stack, _a_run_with_a_report(text))["markdown"]
    browser.open(f"{stack.ui_url}/v2/artifacts/artifact/{report['id']}", "Alarm")
    count = "document.querySelectorAll('{}').length"
    wait_until(
        lambda: bool(browser.run(count.format("svg[id^=mermaid]"))), 20, "the lineage"
    )
    assert browser.run(count.format('img[src^="data:image/png"]')) == 1
    assert browser.picture(tmp_path / "seen.png").stat().st_size > 5000
