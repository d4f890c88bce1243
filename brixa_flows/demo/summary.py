"""What a person keeps of a demo: tables on the screen, a PNG, an HTML page."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from brixa_flows.demo.display import StepTime
from brixa_flows.demo.home import DemoHome
from brixa_flows.demo.prefect_api import FlowRun
from brixa_flows.demo.scenario import MODEL, Story
from brixa_flows.demo.watch import LoopWatch
from brixa_flows.registry import ModelRegistry

__all__ = ["Summary"]


@dataclass(frozen=True)
class VersionLine:
    """A version as the summary lists it.

    Attributes:
        version: Its number.
        stage: Where it stands.
        description: How it was trained.
        auc: On the month after its data, so those of two versions are not comparable.
        decision: What the policy said of it.
    """

    version: str
    stage: str
    description: str
    auc: float | None
    decision: str


@dataclass(frozen=True)
class RunLine:
    """A run as the summary lists it.

    Attributes:
        automation: What started it; a person if no automation did.
        run: Its name.
        after_seconds: When it was created, after the first run.
        seconds: How long it ran.
    """

    automation: str
    run: str
    after_seconds: float
    seconds: float


@dataclass
class Summary:
    """Everything that the summary tells.

    Attributes:
        story: What happened.
        versions: Every version, oldest first.
        runs: Every flow run and what started it.
        steps: How long each step took.
        links: What was left running, if anything.
        png: Path of the plot.
        html: Path of the page.
    """

    story: Story
    versions: list[VersionLine]
    runs: list[RunLine]
    steps: list[StepTime]
    links: dict[str, str] = field(default_factory=dict)
    png: Path = Path()
    html: Path = Path()

    @classmethod
    def gather(
        cls,
        home: DemoHome,
        registry: ModelRegistry,
        watch: LoopWatch,
        story: Story,
        steps: list[StepTime],
    ) -> Summary:
        """Ask the registry and the server what there is now."""
        decisions = _decisions(watch)
        versions = [
            VersionLine(
                version=str(found.version),
                stage=found.stage or "none",
                description=found.description.rpartition(": ")[2],
                auc=found.metrics.get("roc_auc"),
                decision=decisions.get(str(found.version), ""),
            )
            for found in registry.list_versions(MODEL)
        ]
        first = watch.runs[0].created_at
        runs = [
            RunLine(
                automation=_starter(run),
                run=run.name,
                after_seconds=(run.created_at - first).total_seconds(),
                seconds=_seconds(run),
            )
            for run in watch.runs
        ]
        links = json.loads(home.links.read_text()) if home.links.exists() else {}
        return cls(story, versions, runs, steps, links)

    def write(self, home: DemoHome) -> None:
        """Write the plot and the page."""
        page = importlib.import_module("brixa_flows.demo.page")
        self.png = home.path / "auc-by-month.png"
        self.png.write_bytes(page.draw_months(self.story))
        self.html = home.path / "report.html"
        self.html.write_text(page.render(self), encoding="utf-8")

    def print(self, console: Console) -> None:
        """Print everything."""
        for table in (self._versions(), self._months(), self._runs(), self._steps()):
            console.print(table)
        console.print(
            f"{self.story.rows_sent:,} flights were predicted through the endpoint.",
            f"Plot:   {self.png}",
            f"Report: {self.html}",
            sep="\n",
            highlight=False,
            soft_wrap=True,
        )
        console.print(self._closing(), highlight=False, soft_wrap=True, markup=False)

    def _closing(self) -> str:
        if not self.links:
            return (
                "To look around in Prefect's and MLflow's UI and ask the endpoint: "
                "make demo KEEP=1"
            )
        return (
            f"Prefect:  {self.links['prefect']}\n"
            f"MLflow:   {self.links['mlflow']}\n"
            f"Endpoint: {self.links['endpoint']}/docs\n\n"
            f"{self.links['curl']}\n\n"
            "They run until: make demo-stop"
        )

    def _versions(self) -> Table:
        table = _table(
            f"Versions of {MODEL}, AUC in the month after its data",
            "version",
            "stage",
            "AUC",
            "what",
            "policy",
        )
        for line in self.versions:
            auc = "" if line.auc is None else f"{line.auc:.3f}"
            table.add_row(
                line.version, line.stage, auc, line.description, line.decision
            )
        return table

    def _months(self) -> Table:
        story = self.story
        old, new = story.first_version, story.new_version
        table = _table("AUC month by month", "month", "flights", old, new, "gain")
        for score in story.months:
            after = "trained on it" if score.new is None else f"{score.new:.3f}"
            gain = "" if score.new is None else f"{score.new - score.old:+.3f}"
            table.add_row(
                score.month, f"{score.rows:,}", f"{score.old:.3f}", after, gain
            )
        return table

    def _runs(self) -> Table:
        table = _table("What each automation did", "after", "automation", "run", "took")
        for line in self.runs:
            after, took = f"{line.after_seconds:.0f} s", f"{line.seconds:.1f} s"
            table.add_row(after, line.automation, line.run, took)
        return table

    def _steps(self) -> Table:
        table = _table("How long each step took", "step", "seconds")
        for step in self.steps:
            table.add_row(step.title, f"{step.seconds:.1f}")
        total = sum(step.seconds for step in self.steps)
        table.add_row("all", f"{total:.1f}")
        return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in columns:
        numeric = column in {"AUC", "flights", "gain", "after", "took", "seconds"}
        table.add_column(column, justify="right" if numeric else "left")
    return table


def _decisions(watch: LoopWatch) -> dict[str, str]:
    words = {"brixa.model.promoted": "allowed", "brixa.model.refused": "refused"}
    found: dict[str, str] = {}
    for event in watch.events:
        if event.name in words:
            reasons: Any = event.payload.get("reasons") or [event.payload.get("reason")]
            found[event.payload["version"]] = f"{words[event.name]}: {reasons[0]}"
    return found


def _starter(run: FlowRun) -> str:
    kind, name = run.created_by
    return name if kind == "AUTOMATION" else "(a person)"


def _seconds(run: FlowRun) -> float:
    if run.started_at is None or run.ended_at is None:
        return 0.0
    return (run.ended_at - run.started_at).total_seconds()
