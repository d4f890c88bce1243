"""The story of the demo, told by events: this file announces, waits and looks.

No flow is started from here but the first training and that of a weak candidate, which
a person would start by hand; the automations of prefect.yaml start all others.
"""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from prefect.settings import PREFECT_API_URL, temporary_settings

from brixa_flows.demo.display import Display
from brixa_flows.demo.home import DemoHome
from brixa_flows.demo.months import month_after, months_between
from brixa_flows.demo.prefect_api import SeenEvent
from brixa_flows.demo.stack import PrefectStack
from brixa_flows.demo.watch import LoopWatch
from brixa_flows.errors import OrchestrationError
from brixa_flows.events import (
    DriftDetected,
    EventPayload,
    GateRefused,
    ModelDeployed,
    ModelEvaluated,
    ModelPromoted,
    ModelRegistered,
    TrainingCompleted,
    WindowChecked,
    WindowClosed,
)
from brixa_flows.prediction import ModelPredictor
from brixa_flows.registry import ModelRegistry
from brixa_flows.tasks.announcing import announce_window_closed

__all__ = ["MODEL", "MonthScore", "Plan", "Scenario", "Story"]

MODEL = "flights-delay"
STEPS = 5  # with two months of traffic until the alarm
_TRAIN = "train/flights-delay"
_WAIT_SECONDS = 180.0


@dataclass(frozen=True)
class Plan:
    """How much of the year is played.

    Attributes:
        first_month: First month to train on.
        last_month: Last month to train on; traffic begins with the next.
        last_scored: Last month whose flights are predicted.
        weeks: How many weeks of each month of traffic are announced.
        weak_candidate: Whether one that is not better is trained as well.
    """

    first_month: str = "2013-01"
    last_month: str = "2013-02"
    last_scored: str = "2013-12"
    weeks: int = 4
    weak_candidate: bool = True

    @property
    def traffic_months(self) -> list[str]:
        """The months of traffic."""
        return months_between(month_after(self.last_month), self.last_scored)

    @property
    def months(self) -> list[str]:
        """Every month that is needed."""
        return months_between(self.first_month, self.last_scored)


@dataclass(frozen=True)
class MonthScore:
    """AUC of a month's flights: of the first version and of its successor.

    ``new`` is ``None`` where the successor was trained on that month.
    """

    month: str
    rows: int
    old: float
    new: float | None


@dataclass
class Story:
    """What happened, for the summary.

    Attributes:
        first_version: The version that the loop put into production first.
        refused_version: The candidate that the policy refused.
        new_version: The version that the alarm led to.
        endpoint: Where it is served.
        rows_sent: Flights predicted through the endpoint.
        alarm_month: The month whose alarm led to it.
        alarm: What the alarm said.
        months: AUC by month.
    """

    first_version: str = ""
    refused_version: str = ""
    new_version: str = ""
    endpoint: str = ""
    rows_sent: int = 0
    alarm_month: str = ""
    alarm: str = ""
    months: list[MonthScore] = field(default_factory=list)


class Scenario:
    """Plays the plan against a running stack.

    Args:
        home: The demo's folder, with the labelled months in it.
        stack: Server and worker, up.
        watch: Follows the loop.
        display: Shows it.
        registry: The registry that the flows use.
        plan: How much of the year.
    """

    def __init__(
        self,
        home: DemoHome,
        stack: PrefectStack,
        watch: LoopWatch,
        display: Display,
        registry: ModelRegistry,
        plan: Plan,
    ) -> None:
        self._home = home
        self._stack = stack
        self._watch = watch
        self._display = display
        self._registry = registry
        self._plan = plan
        self._traffic = importlib.import_module("brixa_flows.demo.traffic")
        self.story = Story()

    def play(self) -> Story:
        """All of it.

        Raises:
            OrchestrationError: If something of it fails; says which run and quotes it.
        """
        with temporary_settings({PREFECT_API_URL: self._stack.api.url}):
            trained = self._first_version()
            alarm = self._traffic_until_alarm(trained)
            with ThreadPoolExecutor(1) as beside:
                old = beside.submit(self._scores_of_first_version)
                self._retraining(alarm)
                self._rest_of_the_year(old.result(_WAIT_SECONDS))
        return self.story

    def _first_version(self) -> SeenEvent:
        with self._display.step("Train; events carry the model into production"):
            self._start_training("boosting")
            trained = self._wait(TrainingCompleted)
            version = self._evaluated_version(trained)
            if self._plan.weak_candidate:
                self._start_training("baseline")  # is compared with this one
            deployed = self._served(version)
            self.story.first_version = version
            self.story.endpoint = deployed.payload["endpoint"]
        return trained

    def _traffic_until_alarm(self, trained: SeenEvent) -> SeenEvent:
        """Send month after month; weeks and months are announced as they end.

        Raises:
            OrchestrationError: If a random sample raises an alarm, or no month does.
        """
        sample = self._sample_of(trained)
        self._announce(sample)
        for month in self._plan.traffic_months:
            with self._display.step(f"Predict the flights of {month} and watch them"):
                verdict = self._verdict_on(self._send_month(month))
            if verdict.name == DriftDetected.event:
                self._check_quiet(sample)
                self.story.alarm_month = month
                self.story.alarm = verdict.payload["sentence"]
                return verdict
        raise OrchestrationError("no month of the year raised an alarm")

    def _sample_of(self, trained: SeenEvent) -> Any:
        """Held-out rows of the training's own months."""
        held_out = trained.payload["evaluations"][0]["uri"]
        plan = self._plan
        return self._traffic.sample_window(held_out, plan.first_month, plan.last_month)

    def _check_quiet(self, sample: Any) -> None:
        verdict = self._verdict_on(sample)
        if verdict.name == DriftDetected.event:
            raise OrchestrationError(
                "a random sample of the training's own months raised an alarm: "
                f"{verdict.payload['sentence']}"
            )

    def _send_month(self, month: str) -> Any:
        """Send a month through the endpoint; announce its weeks, then itself."""
        window = self._traffic.month_window(self._home.data, month)
        self._send(window)
        weeks = self._traffic.week_windows(self._home.data, month)[: self._plan.weeks]
        for week in weeks:
            self._announce(week)
        self._announce(window)
        return window

    def _retraining(self, alarm: SeenEvent) -> None:
        title = f"The alarm of {self.story.alarm_month} retrains the model"
        if self._plan.weak_candidate:
            title += "; a weak candidate is refused"
        with self._display.step(title):
            trained = self._wait(TrainingCompleted, after=alarm.occurred_at)
            self.story.new_version = self._evaluated_version(trained)
            self._served(self.story.new_version)
            if self._plan.weak_candidate:
                refused = self._wait(GateRefused)
                self.story.refused_version = refused.payload["version"]

    def _scores_of_first_version(self) -> dict[str, float]:
        """What the first version says of every month, asked beside the endpoint."""
        first = self.story.first_version
        old = ModelPredictor.from_registry(self._registry, MODEL, first)
        found = {}
        for month in self._plan.traffic_months:
            rows = self._traffic.month_window(self._home.data, month).rows
            scores = self._traffic.shadow_scores(old, rows)
            found[month] = self._traffic.late_auc(rows, scores)
        return found

    def _rest_of_the_year(self, old: dict[str, float]) -> None:
        months = self._plan.traffic_months
        later = [month for month in months if month > self.story.alarm_month]
        with self._display.step(f"Predict {later[0]} to {later[-1]} at the endpoint"):
            for month in months:
                window = self._traffic.month_window(self._home.data, month)
                new = None
                if month in later:
                    new = self._traffic.late_auc(window.rows, self._send(window))
                score = MonthScore(month, len(window.rows), old[month], new)
                self.story.months.append(score)

    def _start_training(self, candidate: str) -> None:
        request = {
            "name": MODEL,
            "data": str(self._home.data),
            "first_month": self._plan.first_month,
            "last_month": self._plan.last_month,
            "candidate": candidate,
        }
        self._stack.api.run_deployment(_TRAIN, {"request": request})

    def _evaluated_version(self, trained: SeenEvent) -> str:
        """The version that a training became, once it is evaluated."""
        uri = trained.payload["model_uri"]
        registered = self._wait(ModelRegistered, model_uri=uri)
        version = str(registered.payload["version"])
        self._wait(ModelEvaluated, version=version)
        return version

    def _served(self, version: str) -> SeenEvent:
        """Follow a version until it is served.

        Raises:
            OrchestrationError: If the policy refuses it.
        """
        decided = self._wait(ModelPromoted, instead=GateRefused, version=version)
        if decided.name == GateRefused.event:
            raise OrchestrationError(
                f"{MODEL} {version} was refused: {decided.payload['reasons']}"
            )
        return self._wait(ModelDeployed, version=version)

    def _send(self, window: Any) -> Any:
        """Ask the endpoint about a window's flights."""
        scores = self._traffic.ask_endpoint(self.story.endpoint, MODEL, window.rows)
        self.story.rows_sent += len(window.rows)
        self._watch.poll()
        return scores

    def _announce(self, window: Any) -> None:
        """Say that a window is over, as whoever sends the traffic does."""
        closed = WindowClosed(
            name=MODEL,
            deployment=f"{MODEL}-production",
            start=window.start,
            end=window.end,
            kind=window.kind,
            data_uri=self._traffic.write_inputs(window, self._home.data / "windows"),
        )
        announce_window_closed(closed, self._registry)

    def _verdict_on(self, window: Any) -> SeenEvent:
        facts = {"kind": window.kind, "start": window.start, "end": window.end}
        return self._wait(WindowChecked, instead=DriftDetected, **facts)

    def _wait(self, payload: type[EventPayload], **facts: Any) -> SeenEvent:
        return self._watch.wait_for(payload, _WAIT_SECONDS, **facts)
