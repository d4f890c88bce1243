"""What a person sees while the demo runs: a bar, the step, and the feed of events."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from brixa_flows.demo.watch import LoopWatch

__all__ = ["Display", "StepTime"]


@dataclass
class StepTime:
    """How long a step took.

    Attributes:
        title: The step.
        started_at: Seconds after the start of the demo.
        seconds: Its duration.
    """

    title: str
    started_at: float
    seconds: float = 0.0


@dataclass
class Display:
    """Prints steps as they end and events as they come; animates on a terminal.

    Args:
        console: Where to.
        steps: How many steps there will be.
    """

    console: Console
    steps: int
    times: list[StepTime] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._begun = time.monotonic()
        self._seen_events: set[str] = set()
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=self.console,
            transient=True,
        )
        self._bar = self._progress.add_task("starting", total=self.steps)

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    @property
    def elapsed_seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self._begun

    @contextmanager
    def step(self, title: str) -> Iterator[StepTime]:
        """Show a step while its block runs, and its time afterwards."""
        self._progress.update(self._bar, description=escape(title))
        taken = StepTime(title, self.elapsed_seconds)
        self.times.append(taken)
        yield taken
        taken.seconds = self.elapsed_seconds - taken.started_at
        self._progress.advance(self._bar)
        self._line("[green]done[/]", f"{title} [dim]({taken.seconds:.1f} s)[/]")

    def say(self, text: str) -> None:
        """Print a line of the story."""
        self._line("", escape(text))

    def follow(self, watch: LoopWatch) -> None:
        """Print events that were not printed yet and show what runs."""
        for event in watch.events:
            if event.id not in self._seen_events:
                self._seen_events.add(event.id)
                text = escape(str(event.payload.get("message", "")))
                self._line("[cyan]event[/]", f"[cyan]{event.name}[/] {text}")
        running = [run.name for run in watch.runs if run.state == "RUNNING"]
        title = self.times[-1].title if self.times else ""
        now = f" [dim]{escape(', '.join(running))}[/]" if running else ""
        self._progress.update(self._bar, description=escape(title) + now)

    def _line(self, kind: str, text: str) -> None:
        stamp = f"[dim]{self.elapsed_seconds:6.1f} s[/]"
        self._progress.console.print(f"{stamp} {kind:<5} {text}", highlight=False)
