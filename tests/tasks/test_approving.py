"""A promotion that asks a person: real runs on a real server, answered in every way.

A run of a deployment is executed in this process, twice, as workers would: until it is
suspended, and again with the answer.
"""

from __future__ import annotations

import contextvars
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import FlowRun, State
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Scheduled
from sklearn.linear_model import LogisticRegression

import flows.promote_model as promotion_flow
from brixa_flows.blocks import (
    BrixaGatePolicy,
    BrixaMlflowBackend,
    BrixaRegistry,
    BrixaStorage,
    save_documents,
)
from brixa_flows.cli.main import brixa
from brixa_flows.demo.stack import PrefectStack, wait_until
from brixa_flows.errors import OrchestrationError
from brixa_flows.evaluation import ApprovalRule, Gate, GatePolicy, ModelEvaluator
from brixa_flows.events import ApprovalWaiting, GateRefused, ModelPromoted
from brixa_flows.registry import ModelRegistry
from brixa_flows.tasks.answering import answer_approval, waiting_approvals
from brixa_flows.tasks.opening import open_registry
from docs.browser import Browser
from flows.promote_model import PromoteRequest, promote_model
from flows.refuse_undecided import UndecidedRequest, refuse_undecided
from tests.backends import copy_template
from tests.requirements_present import require

BLOCK = "asks-people"
ACCURATE = Gate("accuracy", min=0.6)

pytestmark = [
    pytest.mark.slow(seconds=40),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings(
        "ignore::brixa_flows.errors.InsecureSerializationWarning"
    ),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def registry(
    stack: PrefectStack,
    tmp_path_factory: pytest.TempPathFactory,
    mlflow_template_db: Path,
) -> Iterator[ModelRegistry]:
    """What the block describes; its policies ask a person."""
    folder = tmp_path_factory.mktemp("registry")
    copy_template(mlflow_template_db, folder / "mlflow.db")
    policies = {
        "patient": GatePolicy([ACCURATE], approval=ApprovalRule(tell="the leads")),
        "hasty": GatePolicy([ACCURATE], approval=ApprovalRule(hours=1e-4)),
        "strict": GatePolicy([Gate("accuracy", min=0.999)], approval=ApprovalRule()),
        "machine": GatePolicy([ACCURATE]),
    }
    open_registry.cache_clear()
    with temporary_settings({PREFECT_API_URL: stack.api.url}), disable_run_logger():
        described = BrixaRegistry(
            storage=BrixaStorage(path=str(folder / "storage")),
            backend=BrixaMlflowBackend(
                tracking_uri=f"sqlite:///{folder / 'mlflow.db'}"
            ),
        )
        documents: list[tuple[str, Block]] = [
            (BLOCK, described.storage),
            (BLOCK, described.backend),
            (BLOCK, described),
        ]
        for name, policy in policies.items():
            documents.append((name, BrixaGatePolicy.from_policy(policy)))
        assert len([*save_documents(documents)]) == len(documents)
        yield open_registry(BLOCK)
    open_registry.cache_clear()


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(0)
    numbers = random.normal(size=300)
    late = (numbers + random.normal(size=300) / 2 > 0).astype(int)
    return pd.DataFrame({"a": numbers, "late": late})


@pytest.fixture
def name(registry: ModelRegistry, rows: pd.DataFrame) -> str:
    """A model with 1.0.0 in production and 1.0.1 after it."""
    name = f"delays-{uuid4().hex[:8]}"
    for _ in range(2):
        version = _add_version(registry, name, rows)
    registry.transition(name, "1.0.0", "production", actor="bob")
    result = ModelEvaluator(registry).evaluate(
        name, version, rows, ["accuracy", "roc_auc"], target="late", record=False
    )
    registry.record_evaluation(name, version, result.to_dict())
    return name


def _add_version(registry: ModelRegistry, name: str, rows: pd.DataFrame) -> str:
    version = registry.register_model(name, "classification", "sklearn").version
    model = LogisticRegression().fit(rows[["a"]], rows["late"])
    registry.save_model(name, version, model, rows[["a"]].head())
    return str(version)


@pytest.fixture
def client(registry: ModelRegistry) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


class Promotion:
    """A flow run of a deployment of ``promote_model``.

    Args:
        client: Of the server.
        name: The model.
        policy: Who is asked.
        version: The candidate.
    """

    def __init__(
        self,
        client: SyncPrefectClient,
        name: str,
        policy: str = "patient",
        version: str = "1.0.1",
        **more: Any,
    ) -> None:
        self._client = client
        deployment = client.create_deployment(
            client.create_flow(promote_model), name="here"
        )
        request = {"name": name, "version": version, "policy": policy}
        run = client.create_flow_run_from_deployment(
            deployment, parameters={"request": {**request, "registry": BLOCK, **more}}
        )
        self.id = str(run.id)

    @property
    def now(self) -> FlowRun:
        return self._client.read_flow_run(UUID(self.id))

    def execute(self) -> str:
        """Execute it as a worker would; the name of the state it ends in."""
        run = self.now
        try:
            state: Any = run_flow(
                promote_model,
                flow_run=run,
                parameters={"request": PromoteRequest(**run.parameters["request"])},
                return_type="state",
            )
        except Pause:
            state = self.now.state
        assert isinstance(state, State)
        return state.name or ""

    @property
    def said(self) -> str:
        """What its state says."""
        state = self.now.state
        return (state and state.message) or ""

    def make_due(self) -> None:
        """Let the time come at which it is started again."""
        self._client.set_flow_run_state(UUID(self.id), Scheduled(), force=True)

    def resume(self, **answer: Any) -> dict[str, Any]:
        """``POST /flow_runs/ID/resume`` and nothing else."""
        address = f"{self._client.api_url}flow_runs/{self.id}/resume"
        found = httpx.post(address, json={"run_input": answer}, timeout=20)
        return dict(found.raise_for_status().json())


@pytest.fixture
def promotion(client: SyncPrefectClient, name: str) -> Promotion:
    """One that waits."""
    promotion = Promotion(client, name)
    assert promotion.execute() == "Suspended"
    return promotion


def _approve(*arguments: str) -> Result:
    return CliRunner().invoke(brixa, ["approve", *arguments])


def _production(registry: ModelRegistry, name: str) -> str:
    return str(registry.resolve(name, "production"))


def _event(stack: PrefectStack, event: str, name: str) -> dict[str, Any]:
    """The payload of an event about a model, once the server has written it."""
    found: list[dict[str, Any]] = []

    def arrived() -> bool:
        about = {"id": [f"brixa.model.{name}"]}
        query = {"filter": {"event": {"name": [event]}, "resource": about}}
        answer = httpx.post(f"{stack.api.url}/events/filter", json=query, timeout=20)
        found.extend(answer.raise_for_status().json()["events"])
        return bool(found)

    wait_until(arrived, 30, f"the event {event}")
    assert len({each["id"] for each in found}) == 1
    return dict(found[0]["payload"])


def test_a_person_who_approves_stands_in_the_stage_history_with_the_reason(
    registry: ModelRegistry, name: str, promotion: Promotion, stack: PrefectStack
) -> None:
    assert _production(registry, name) == "1.0.0"
    waiting = _event(stack, ApprovalWaiting.event, name)
    assert waiting["replaces"] == "1.0.0" and waiting["tell"] == "the leads"
    assert waiting["flow_run_id"] == promotion.id
    assert waiting["url"].endswith(f"/runs/flow-run/{promotion.id}")

    reason = "better on rain, and the team agrees"
    given = _approve(promotion.id[:13], "--by", "ada", "--reason", reason)
    assert given.exit_code == 0, given.output
    assert given.stdout == f"approved {name} 1.0.1 for production as ada\n"
    _answers_too_late(promotion)
    assert promotion.execute() == "Completed"
    _answers_too_late(promotion)
    assert _production(registry, name) == "1.0.1"
    last = registry.stage_history(name)[-1]
    assert (last.actor, last.reason) == ("ada (approved in Prefect)", reason)
    assert _event(stack, ModelPromoted.event, name)["actor"] == last.actor


def _answers_too_late(promotion: Promotion) -> None:
    again = _approve(promotion.id, "--by", "bob", "--reason", "no", "--reject")
    assert "does not wait for a person (it is " in str(again.exception)
    assert promotion.resume(name="bob", reason="no")["status"] == "ABORT"


def test_a_rejection_through_the_plain_api_leaves_production_and_says_who_and_why(
    registry: ModelRegistry, name: str, promotion: Promotion, stack: PrefectStack
) -> None:
    answer = {"name": "bob", "reason": "too early"}  # who decides nothing, rejects
    assert promotion.resume(**answer)["status"] == "ACCEPT"
    assert promotion.execute() == "Completed"
    assert _production(registry, name) == "1.0.0"
    refused = _event(stack, GateRefused.event, name)
    assert refused["reasons"] == ["bob (rejected in Prefect): too early"]


def test_the_form_that_a_person_sees_says_reject_until_somebody_chooses(
    waiting_for_all: Promotion, client: SyncPrefectClient
) -> None:
    state = client.read_flow_run(UUID(waiting_for_all.id)).state
    assert state is not None
    keys = state.state_details.run_input_keyset
    assert keys is not None
    address = f"{client.api_url}flow_runs/{waiting_for_all.id}/input"
    form = httpx.get(f"{address}/{keys['schema']}", timeout=20).json()
    if isinstance(form, str):
        form = json.loads(form)
    decision = form["properties"]["decision"]
    assert (decision["default"], decision["enum"]) == ("reject", ["reject", "approve"])
    assert sorted(form["required"]) == ["name", "reason"]


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({}, "name"),
        ({"name": "ada"}, "reason"),
        ({"name": " ", "reason": "good"}, "name"),
        ({"name": "ada", "reason": ""}, "reason"),
        ({"name": "ada", "reason": "good", "decision": "maybe"}, "decision"),
        ({"name": 7, "reason": "good"}, "name"),
        ({"name": "ada", "reason": "good", "stage": "production"}, "stage"),
        ({"name": "a" * 999, "reason": "good"}, "name"),
    ],
)
def test_an_answer_that_is_none_is_refused_and_the_run_goes_on_waiting(
    waiting_for_all: Promotion, answer: dict[str, Any], word: str
) -> None:
    refused = waiting_for_all.resume(**answer)
    assert refused["status"] == "REJECT"
    assert word in refused["details"]["reason"]
    assert waiting_for_all.now.state_name == "Suspended"


@pytest.fixture(scope="module")
def waiting_for_all(registry: ModelRegistry, rows: pd.DataFrame) -> Iterator[Promotion]:
    name = f"delays-{uuid4().hex[:8]}"
    _add_version(registry, name, rows)
    result = ModelEvaluator(registry).evaluate(
        name, "1.0.0", rows, ["accuracy"], target="late", record=False
    )
    registry.record_evaluation(name, "1.0.0", result.to_dict())
    with get_client(sync_client=True) as client:
        promotion = Promotion(client, name, version="1.0.0")
        assert promotion.execute() == "Suspended"
        yield promotion


def test_what_waits_is_listed_for_people_and_programs(
    waiting_for_all: Promotion,
) -> None:
    listed = json.loads(_approve("--json").stdout)
    [entry] = [each for each in listed if each["flow_run_id"] == waiting_for_all.id]
    assert (entry["version"], entry["stage"]) == ("1.0.0", "production")
    assert entry["deadline"] > entry["since"]
    assert waiting_for_all.id in _approve().stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["0", "--by", "ada"], "an answer needs --by NAME and --reason TEXT"),
        (["0", "--by", " ", "--reason", "x"], "an answer needs --by NAME"),
        (["--reject"], "name the RUN to answer"),
    ],
)
def test_an_answer_without_who_and_why_is_no_command(
    arguments: list[str], words: str
) -> None:
    refused = _approve(*arguments)
    assert refused.exit_code == 2
    assert words in refused.stderr


def test_a_run_that_there_is_not_is_told_with_those_that_wait(
    waiting_for_all: Promotion,
) -> None:
    for run in (str(uuid4()), "no-such-run", ""):
        with pytest.raises(OrchestrationError, match="none of that id") as caught:
            answer_approval(run, True, "ada", "good")
        assert "these wait: " in str(caught.value)


def test_a_question_that_nobody_answers_promotes_nothing_and_is_announced(
    registry: ModelRegistry, client: SyncPrefectClient, name: str, stack: PrefectStack
) -> None:
    hasty = Promotion(client, name, "hasty")
    assert hasty.execute() == "Suspended"
    wait_until(lambda: hasty.now.state_name == "Failed", 30, "the time-out")
    assert hasty.resume(name="ada", reason="late", decision="approve")["status"] == (
        "ABORT"
    )
    assert _production(registry, name) == "1.0.0"
    for _ in range(2):  # Prefect may announce one failure twice
        failed = UndecidedRequest(flow_run=f"prefect.flow-run.{hasty.id}")
        refuse_undecided.fn(failed)
    [reason] = _event(stack, GateRefused.event, name)["reasons"]
    assert reason.startswith("nobody decided until 20")

    hasty.make_due()  # "Retry"
    assert hasty.execute() == "Suspended"  # asked anew, not answered by silence


def test_a_run_that_failed_otherwise_is_not_called_undecided(
    client: SyncPrefectClient, name: str
) -> None:
    broken = Promotion(client, name, "no-such-policy")
    assert broken.execute() == "Failed"
    refuse_undecided.fn(UndecidedRequest(flow_run=broken.id))
    events = httpx.post(
        f"{client.api_url}events/filter",
        json={"filter": {"resource": {"id": [f"brixa.model.{name}"]}}},
        timeout=20,
    )
    assert events.json()["events"] == []


def test_a_gate_that_says_no_asks_nobody(
    registry: ModelRegistry, client: SyncPrefectClient, name: str, stack: PrefectStack
) -> None:
    assert Promotion(client, name, "strict").execute() == "Completed"
    assert name not in {each.name for each in waiting_approvals()}
    assert "below the least" in _event(stack, GateRefused.event, name)["reasons"][0]


def test_an_answer_about_another_production_is_not_used_and_a_person_asked_anew(
    registry: ModelRegistry, name: str, promotion: Promotion, rows: pd.DataFrame
) -> None:
    _add_version(registry, name, rows)
    registry.transition(name, "1.0.2", "production", actor="eve")
    answer_approval(promotion.id, True, "ada", "better than 1.0.0")
    assert promotion.execute() == "Suspended"
    assert _production(registry, name) == "1.0.2"
    answer_approval(promotion.id, True, "ada", "better than 1.0.2 too")
    assert promotion.execute() == "Completed"
    last = registry.stage_history(name)[-1]
    assert (str(last.replaced), last.reason) == ("1.0.2", "better than 1.0.2 too")


def test_a_person_sees_the_comparison_and_plots_in_a_browser_and_approves_there(
    registry: ModelRegistry,
    client: SyncPrefectClient,
    name: str,
    rows: pd.DataFrame,
    stack: PrefectStack,
    tmp_path: Path,
) -> None:
    compared = ModelEvaluator(registry).compare(
        name, "1.0.0", "1.0.1", rows, ["accuracy"], target="late"
    )
    promotion = Promotion(client, name, comparison=compared.to_dict())
    assert promotion.execute() == "Suspended"
    keys = promotion.now.state
    assert keys is not None and keys.state_details.run_input_keyset is not None
    key = keys.state_details.run_input_keyset["description"]
    address = f"{client.api_url}flow_runs/{promotion.id}/input/{key}"
    text = httpx.get(address, timeout=20).json()
    assert f"May {name} 1.0.1 go into production in place of 1.0.0?" in text
    assert "| accuracy |" in text
    pictures = text.count("](data:image/png;base64,")
    assert pictures >= 3
    assert len(text) < 1_000_000

    program = shutil.which("chromium") or shutil.which("google-chrome")
    require("Chromium", program is not None)
    with Browser(str(program)) as browser:
        page = f"{stack.ui_url}/v2/runs/flow-run/{promotion.id}"
        browser.ask("Page.navigate", url=page)  # it never rests while a run waits
        _wait_for_text(browser, "Suspended")
        browser.click("button", "Open menu")
        browser.click("[role=menuitem]", "Resume")
        browser.click("[role=dialog] button", "Resume")  # without an answer
        _wait_for_text(browser, "'name' is a required property")
        shown = str(browser.run("document.querySelector('[role=dialog]').innerText"))
        assert f"May {name} 1.0.1 go into production" in shown
        assert "accuracy" in shown and "not worse" in shown
        drawn = "[...document.querySelectorAll('[role=dialog] img')]"
        drawn += ".filter(each => each.naturalWidth > 100).length"
        assert browser.run(drawn) == pictures
        browser.picture(tmp_path / "form.png")
        for label, answer in (("Name", "ada"), ("Reason", "better on rain")):
            browser.click("[role=dialog] label", label)
            browser.write(answer)
        browser.click("[aria-label='Select Decision']")
        browser.click("[role=option]", "approve")
        browser.click("[role=dialog] button", "Resume")
        _wait_for_text(browser, "Flow run resumed")
    assert promotion.execute() == "Completed"
    last = registry.stage_history(name)[-1]
    assert (last.actor, last.reason) == ("ada (approved in Prefect)", "better on rain")
    assert _production(registry, name) == "1.0.1"


def _wait_for_text(browser: Browser, text: str) -> None:
    script = f"!!document.body && document.body.innerText.includes({json.dumps(text)})"
    wait_until(lambda: bool(browser.run(script)), 60, f"the page to say {text}")


def test_a_flow_that_a_script_calls_waits_in_its_own_process(
    registry: ModelRegistry, name: str
) -> None:
    request = PromoteRequest(
        name=name, version="1.0.1", policy="patient", registry=BLOCK
    )
    here = contextvars.copy_context()  # the server's address among it
    script = threading.Thread(target=here.run, args=(promote_model, request))
    script.start()
    waiting: list[str] = []

    def waits() -> bool:
        asked = [each for each in waiting_approvals() if each.name == name]
        waiting.extend(each.flow_run_id for each in asked)
        return bool(waiting)

    wait_until(waits, 30, "the question")
    answer_approval(waiting[0], True, "ada", "good")
    script.join(60)
    assert _production(registry, name) == "1.0.1"


def test_a_second_promotion_waits_for_the_first_and_is_judged_against_its_outcome(
    registry: ModelRegistry,
    client: SyncPrefectClient,
    name: str,
    promotion: Promotion,
    rows: pd.DataFrame,
) -> None:
    _add_version(registry, name, rows)
    result = ModelEvaluator(registry).evaluate(
        name, "1.0.2", rows, ["accuracy"], target="late", record=False
    )
    registry.record_evaluation(name, "1.0.2", result.to_dict())
    second = Promotion(client, name, version="1.0.2")
    other = Promotion(client, name, version="1.0.2", registry="elsewhere")
    assert second.execute() == "AwaitingConcurrencySlot"
    assert f"promote {name} 1.0.1 to production comes first" in second.said
    assert other.execute() == "Failed"  # of another registry, so it waits for nobody
    assert [each.name for each in waiting_approvals()].count(name) == 1

    answer_approval(promotion.id, True, "ada", "better than 1.0.0")
    assert promotion.execute() == "Completed"
    second.make_due()
    assert second.execute() == "Suspended"  # its turn: a person is asked about 1.0.1
    answer_approval(second.id, True, "ada", "better than 1.0.1")
    assert second.execute() == "Completed"
    moves = [(str(m.version), str(m.replaced)) for m in registry.stage_history(name)]
    assert [m for m in moves if m[0] == "1.0.1"][0] == ("1.0.1", "1.0.0")
    assert [m for m in moves if m[0] == "1.0.2"][-1] == ("1.0.2", "1.0.1")
    assert _production(registry, name) == "1.0.2"


def test_a_promotion_that_production_ran_away_from_is_decided_again(
    registry: ModelRegistry,
    client: SyncPrefectClient,
    name: str,
    rows: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _add_version(registry, name, rows)

    def meanwhile(*args: Any) -> None:
        if _production(registry, name) == "1.0.0":
            registry.transition(name, "1.0.2", "production", actor="eve")

    monkeypatch.setattr(promotion_flow, "publish_decision", meanwhile)
    decided = Promotion(client, name, "machine")
    assert decided.execute() == "Completed", decided.said
    assert _production(registry, name) == "1.0.1"
    replaced = {str(m.version): m.replaced for m in registry.stage_history(name)}
    assert str(replaced["1.0.1"]) == "1.0.2"
