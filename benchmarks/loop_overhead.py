"""What the loop costs above its own work and above Prefect: a model's way to its endpoint.

    python benchmarks/loop_overhead.py              # five to ten minutes
    python benchmarks/loop_overhead.py --rounds 1

Measured from the end of a training until its model answers, on one Prefect server and
one worker, both warm: a round that is not counted comes first. Three sides take turns,
and the median of each counts:

- loop: ``brixa.training.completed`` is announced; automations start register_model,
  evaluate_model, promote_model and deploy_model; until ``brixa.model.deployed`` comes.
- plain: the same domain calls with the same data, one after the other in one Python
  process (``_loop_without_prefect.py``), from its start to its end.
- floor: as many runs of a flow that does nothing, each started by the event that the one
  before emitted; until the event of the last one comes.

To be reached: loop at most 1.5 x (plain + floor). The data are the real flights of the
demo; each round logs a model for either side, which replaces the one of the last round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from _files import ratio
from prefect.settings import PREFECT_API_URL, temporary_settings

from brixa_flows.blocks import BrixaGatePolicy, save_documents
from brixa_flows.demo import flights, traffic, training
from brixa_flows.demo.feed import EventFeed
from brixa_flows.demo.home import DemoHome
from brixa_flows.demo.months import month_file
from brixa_flows.demo.prefect_api import FlowRun, SeenEvent
from brixa_flows.demo.processes import ProcessKeeper
from brixa_flows.demo.project import project_files
from brixa_flows.demo.stack import PrefectStack, wait_until
from brixa_flows.evaluation import Gate, GatePolicy
from brixa_flows.events import EvaluationDataset, ModelDeployed, TrainingCompleted
from brixa_flows.tasks.announcing import deliver
from brixa_flows.tracking import open_store

AT_MOST = 1.5
MONTHS = ["2013-01", "2013-02", "2013-03"]  # the last one is judged on
STEPS = ["register_model", "evaluate_model", "promote_model", "deploy_model"]
POLICY = "measured"
NEXT, LAST = "bench.next", "bench.last"
WAIT_SECONDS = 300.0
PLAIN = Path(__file__).with_name("_loop_without_prefect.py")

EMPTY_FLOW = f"""
from prefect import flow
from prefect.events import emit_event

@flow(name="empty")
def empty(turn: str, step: int) -> None:
    name = "{NEXT}" if step < {len(STEPS)} else "{LAST}"
    facts = {{"turn": turn, "step": step + 1}}
    emit_event(name, {{"prefect.resource.id": "bench.floor"}}, payload=facts)
"""
EMPTY_PROJECT = f"""
name: floor
deployments:
  - name: floor
    entrypoint: empty.py:empty
    work_pool: {{name: brixa}}
    triggers:
      - name: The next empty run
        type: event
        expect: [{NEXT}]
        parameters:
          turn: "{{{{ event.payload.turn }}}}"
          step: "{{{{ event.payload.step }}}}"
"""


class Bench:
    """A server, a worker, both projects and the data.

    Args:
        stack: Server and worker, up.
        home: Where all lies.
        feed: The events of either side.
        split: The training rows.
    """

    def __init__(
        self, stack: PrefectStack, home: DemoHome, feed: EventFeed, split: Any
    ) -> None:
        self._stack = stack
        self._home = home
        self._feed = feed
        self._split = split
        self._fitted = training.fit(split, "baseline")
        self._evaluations = [
            EvaluationDataset(name="held-out", uri=split.held_out_uri),
            EvaluationDataset(name=MONTHS[-1], uri=month_file(home.data, MONTHS[-1])),
        ]

    def log(self, name: str) -> str:
        """A trained model in MLflow, as a training leaves it."""
        uri = self._home.tracking_uri
        return training.log_model(uri, name, self._fitted, {}).model_uri

    def loop(self, model_uri: str) -> float:
        """Seconds from a training's announcement until its model answers."""
        payload = TrainingCompleted(
            name="loop",
            model_uri=model_uri,
            framework="sklearn",
            model_type="tabular-classification",
            reference_uri=self._split.training_uri,
            evaluations=self._evaluations,
            target=flights.TARGET,
            policy=POLICY,
        )
        began = time.monotonic()
        with temporary_settings({PREFECT_API_URL: self._stack.api.url}):
            deliver(payload)
        self._wait_for(ModelDeployed.event)
        return time.monotonic() - began

    def plain(self, model_uri: str) -> tuple[float, dict[str, float]]:
        """Seconds of a process that does the same, and those of its steps."""
        job = {
            "name": "plain",
            "model_uri": model_uri,
            "storage": str(self._home.storage),
            "tracking_uri": self._home.tracking_uri,
            "reference_uri": self._split.training_uri,
            "target": flights.TARGET,
            "evaluations": [each.model_dump() for each in self._evaluations],
        }
        place = self._home.path / "job.json"
        place.write_text(json.dumps(job))
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, str(PLAIN), str(place)],
            env=self._stack.environment,
            stdout=subprocess.PIPE,
            text=True,
            timeout=WAIT_SECONDS,
            check=True,
        )
        seconds = time.monotonic() - began
        return seconds, json.loads(done.stdout.splitlines()[-1])

    def floor(self) -> float:
        """Seconds of as many empty runs, each started by the one before."""
        event = {
            "event": NEXT,
            "resource": {"prefect.resource.id": "bench.floor"},
            "payload": {"turn": str(uuid4()), "step": 1},
            "occurred": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "id": str(uuid4()),
        }
        began = time.monotonic()
        url = f"{self._stack.api.url}/events"
        httpx.post(url, json=[event], timeout=20).raise_for_status()
        self._wait_for(LAST)
        return time.monotonic() - began

    def _wait_for(self, name: str) -> None:
        """Return with the next event of a name, and when its run is over."""
        before = len(self._heard(name))
        failed: list[FlowRun] = []

        def arrived_or_failed() -> bool:
            failed.extend(run for run in self._stack.api.flow_runs() if run.went_wrong)
            return bool(failed) or len(self._heard(name)) > before

        wait_until(arrived_or_failed, WAIT_SECONDS, f"the event {name}", 0.1)
        if failed:
            raise SystemExit(f"{failed[0].name}: {failed[0].message}")

    def _heard(self, name: str) -> list[SeenEvent]:
        return [event for event in self._feed.events() if event.name == name]

    def settle(self) -> None:
        """Return when no run is under way, so that the next side is alone."""

        def over() -> bool:
            return all(run.is_over for run in self._stack.api.flow_runs())

        wait_until(over, WAIT_SECONDS, "the end of the runs")

    def runs_of_last_loop(self) -> list[FlowRun]:
        """The runs of the last round of the loop, in their order."""
        runs = [run for run in self._stack.api.flow_runs() if "loop" in run.name]
        return runs[-len(STEPS) :]


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """Everything up; all of it ends with the block."""
    home = DemoHome(folder / "home")
    home.make_fresh()
    keeper = ProcessKeeper(home)
    with closing(PrefectStack(home, keeper, project_files())) as stack:
        try:
            stack.start_server()
            traffic.write_months(home.data, MONTHS)
            open_store(home.tracking_uri, storage_root=home.storage).ping()
            stack.wait_for_server()
            stack.deploy()
            deploy_empty_runs(folder / "floor", stack)
            stack.wait_for_worker()
            with temporary_settings({PREFECT_API_URL: stack.api.url}):
                policy = GatePolicy([Gate("roc_auc", min=0.5)])
                document = (POLICY, BrixaGatePolicy.from_policy(policy))
                assert len([*save_documents([document])]) == 1
            first, last = MONTHS[0], MONTHS[-2]
            split = training.split_months(home.data, first, last, 0.25, home.data)
            feed = EventFeed(stack.api.url, ["brixa.", "bench."])
            feed.start()
            yield Bench(stack, home, feed, split)
            feed.close()
        finally:
            keeper.stop_all()


def deploy_empty_runs(folder: Path, stack: PrefectStack) -> None:
    """Make the deployment of the flow that does nothing."""
    folder.mkdir()
    (folder / "empty.py").write_text(EMPTY_FLOW)
    (folder / "prefect.yaml").write_text(EMPTY_PROJECT)
    command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    subprocess.run(
        command,
        cwd=folder,
        env=stack.environment,
        stdout=subprocess.DEVNULL,
        timeout=WAIT_SECONDS,
        check=True,
    )


def describe(runs: list[FlowRun], plain: dict[str, float]) -> None:
    """Where the last loop's time went."""
    for run, (step, alone) in zip(runs, plain.items(), strict=True):
        assert run.started_at and run.ended_at
        waited = (run.started_at - run.created_at).total_seconds()
        ran = (run.ended_at - run.started_at).total_seconds()
        print(f"  {step:<10} started after {waited:5.2f} s, ran {ran:5.2f} s; ", end="")
        print(f"plain calls {alone:5.2f} s")


def main() -> None:
    """Measure the sides in turn and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    seconds: dict[str, list[float]] = {"loop": [], "plain": [], "floor": []}
    with tempfile.TemporaryDirectory(prefix="brixa-bench-") as folder:
        with bench(Path(folder)) as sides:
            for number in range(given.rounds + 1):
                for_loop, for_plain = sides.log("loop"), sides.log("plain")
                looped = sides.loop(for_loop)
                sides.settle()
                alone, steps = sides.plain(for_plain)
                empty = sides.floor()
                sides.settle()
                if number:  # the first one warmed everything
                    for side, found in zip(
                        seconds, (looped, alone, empty), strict=True
                    ):
                        seconds[side].append(found)
                print(f"round {number}: loop {looped:.1f} s", end=", ")
                print(f"plain {alone:.1f} s, floor {empty:.1f} s", flush=True)
            describe(sides.runs_of_last_loop(), steps)
    loop, plain, floor = map(statistics.median, seconds.values())
    ratio("the loop, to plain calls + empty runs", loop, plain + floor, AT_MOST)


if __name__ == "__main__":
    main()
