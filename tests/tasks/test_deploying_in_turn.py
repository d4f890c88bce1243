"""Roll-outs of one deployment: real runs on a real server, and a real endpoint.

A run of a deployment is executed in this process, as workers would.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas import State
from prefect.exceptions import Pause
from prefect.flow_engine import run_flow
from prefect.logging import disable_run_logger
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running, Scheduled
from sklearn.linear_model import LogisticRegression

import flows.deploy_model as deploying
from brixa_flows.blocks import (
    BrixaMlflowBackend,
    BrixaRegistry,
    BrixaStorage,
    save_documents,
)
from brixa_flows.demo.stack import PrefectStack, free_port
from brixa_flows.deployment import ModelDeployer
from brixa_flows.outbox import Owed
from brixa_flows.registry import ModelRegistry
from brixa_flows.tasks.deployment import roll_out
from brixa_flows.tasks.opening import open_registry
from flows.deploy_model import DeployRequest, deploy_model
from tests.backends import copy_template

BLOCK = "in-turn"
PORT = free_port()
PLACE = "m-production"

pytestmark = [
    pytest.mark.slow(seconds=30),
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings(
        "ignore::brixa_flows.errors.InsecureSerializationWarning"
    ),
    # prefect 3.8 (2026-11) leaves sockets of its clients to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def registry(
    stack: PrefectStack, tmp_path: Path, mlflow_template_db: Path
) -> Iterator[ModelRegistry]:
    """``m`` 1.0.0, in production, and 1.0.1."""
    copy_template(mlflow_template_db, tmp_path / "mlflow.db")
    open_registry.cache_clear()
    with temporary_settings({PREFECT_API_URL: stack.api.url}), disable_run_logger():
        storage = BrixaStorage(path=str(tmp_path / "storage"))
        backend = BrixaMlflowBackend(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
        described = BrixaRegistry(storage=storage, backend=backend)
        documents = [(BLOCK, storage), (BLOCK, backend), (BLOCK, described)]
        assert len([*save_documents(documents)]) == len(documents)
        registry = open_registry(BLOCK)
        rows = pd.DataFrame({"a": np.linspace(-1, 1, 50)})
        for _ in range(2):
            version = registry.register_model("m", "classification", "sklearn").version
            model = LogisticRegression().fit(rows, rows["a"] > 0)
            registry.save_model("m", version, model, rows.head())
        registry.transition("m", "1.0.0", "production", actor="ada")
        yield registry
        deployer = ModelDeployer(registry)
        for name in deployer.list():
            deployer.delete(name)
    open_registry.cache_clear()


class Run:
    """A flow run of a deployment of ``deploy_model``, as a promotion starts it."""

    def __init__(self, client: SyncPrefectClient, version: str, place: str = PLACE):
        self._client = client
        deployment = client.create_deployment(
            client.create_flow(deploy_model), name="here"
        )
        self._request = DeployRequest(
            name="m",
            version=version,
            deployment=place,
            stage="production",
            port=PORT,
            registry=BLOCK,
        )
        asked = {"request": self._request.model_dump(exclude_defaults=True)}
        run = client.create_flow_run_from_deployment(
            deployment, parameters=asked, name=f"{version} at {place}"
        )
        self._id: UUID = run.id

    def die_unnoticed(self) -> None:
        """It says that it runs, and no process does."""
        self._client.set_flow_run_state(self._id, Running(), force=True)

    def execute(self) -> State[Any]:
        """Execute it as a worker would, at once; the state it ends in."""
        self._client.set_flow_run_state(self._id, Scheduled(), force=True)
        try:
            run_flow(
                deploy_model,
                flow_run=self._client.read_flow_run(self._id),
                parameters={"request": self._request},
                return_type="state",
            )
        except Pause:
            pass
        state = self._client.read_flow_run(self._id).state
        assert state is not None
        return state


def _is_overtaken(run: Run, place: str) -> None:
    state = run.execute()
    assert state.is_completed()
    assert state.message == (
        f"m 1.0.0 is no longer in production, so {place} is left as it is"
    )


def test_what_holds_the_stage_is_served_in_the_end_and_announced_once(
    registry: ModelRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stage moves while the first run rolls out, behind its question for it."""
    announced: list[Owed] = []

    def roll_out_while_another_is_promoted(*asked: str) -> Owed:
        registry.transition("m", "1.0.1", "production", actor="bob")
        assert newer.execute().name == "AwaitingConcurrencySlot"  # a second process
        return roll_out(*asked)

    monkeypatch.setattr(deploying, "announce", lambda _r, owed: announced.append(owed))
    with get_client(sync_client=True) as client:
        older, newer = Run(client, "1.0.0"), Run(client, "1.0.1")
        late = Run(client, "1.0.0")
        before = newer.execute()
        assert before.name == "AwaitingConcurrencySlot"
        assert f"for {PLACE} at a time: 1.0.0 at {PLACE} comes first" in str(before)
        with monkeypatch.context() as patch:
            patch.setattr(deploying, "roll_out", roll_out_while_another_is_promoted)
            assert older.execute().is_completed()
        assert ModelDeployer(registry).config(PLACE).version == "1.0.0"

        assert newer.execute().is_completed()
        _is_overtaken(late, PLACE)
        dead, elsewhere = (Run(client, "1.0.0", "elsewhere") for _ in range(2))
        dead.die_unnoticed()
        assert elsewhere.execute().name == "AwaitingConcurrencySlot"
        monkeypatch.setattr(deploying, "_RUNS_AT_MOST", timedelta(0))
        _is_overtaken(elsewhere, "elsewhere")  # waits for the dead one no longer
    served = ModelDeployer(registry)
    assert (served.config(PLACE).version, served.list()) == ("1.0.1", [PLACE])
    assert served.config(PLACE).port == PORT
    assert [owed.payload.to_payload()["version"] for owed in announced] == [
        "1.0.0",
        "1.0.1",
    ]
