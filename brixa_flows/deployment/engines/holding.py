"""The versions that a replica holds, and how they are exchanged while it serves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from brixa_flows.deployment.application import PredictorApplication
from brixa_flows.deployment.engines.orders import ServedVersions, VersionOrder
from brixa_flows.deployment.metrics import CopiedMetrics, MetricsFile
from brixa_flows.deployment.served import ServedModel
from brixa_flows.deployment.shadow import (
    Mirror,
    Shadow,
    canary_files,
    comparison_file,
)
from brixa_flows.deployment.switch import Switch

__all__ = ["Held", "Holder", "LoadedCode"]

_NAMED = 3


@dataclass(frozen=True)
class Held:
    """A version that is loaded and warm.

    Attributes:
        application: Answers for it.
        served: The model.
        mirror: Predicts with it; a shadow is hung on it.
        metrics: Its counters.
    """

    application: PredictorApplication
    served: ServedModel
    mirror: Mirror
    metrics: CopiedMetrics


class Holder:
    """Holds what is served and what is tried.

    Args:
        load: Loads a version and makes it warm.
        versions: What to hold first.
        folder: Runtime folder of the deployment.
        slot: Of this replica.

    Attributes:
        switch: In front of what is held.
    """

    def __init__(
        self,
        load: Callable[[VersionOrder], Held],
        versions: ServedVersions,
        folder: Path,
        slot: int,
    ) -> None:
        self._load = load
        self._folder = folder
        self._slot = slot
        self._held = {each.key: load(each) for each in versions.all}
        self._spare: dict[tuple[str, str | None], Held] = {}
        self._shadow: Shadow | None = None
        self._first = versions
        self.switch = Switch(self._held[versions.main.key].application)

    def begin(self) -> None:
        """Set the switch as first asked; on the event loop."""
        self.commit(self._first)

    def prepare(self, versions: ServedVersions) -> None:
        """Load what is not held; what serves is not touched."""
        for each in versions.all:
            if each.key not in self._held and each.key not in self._spare:
                self._spare[each.key] = self._load(each)

    def discard(self) -> None:
        """Forget what was prepared."""
        for each in self._spare.values():
            each.application.close()
        self._spare = {}

    def commit(self, versions: ServedVersions) -> None:
        """Send the next request to what was prepared; on the event loop."""
        known = {**self._held, **self._spare}
        main = known[versions.main.key]
        order = versions.canary
        canary = known[order.key] if order else None
        if self._shadow is not None:
            self._shadow.close()
        for each in known.values():
            each.mirror.shadow = self._shadow = each.metrics.copy = None
            each.application.running.stable = None
        if order is not None and canary is not None:
            counted, compared = canary_files(self._folder, order.id)
            canary.metrics.copy = MetricsFile(counted)
            if order.shadow:
                self._shadow = main.mirror.shadow = Shadow(
                    canary.mirror,
                    _columns_of(canary.served),
                    comparison_file(compared),
                    self._slot,
                )
            else:
                canary.application.running.stable = main.application.running
        share = order.share if order and not order.shadow else 0.0
        self.switch.turn(
            main.application, canary.application if canary else None, share
        )
        self._held = {each.key: known[each.key] for each in versions.all}
        self._spare = {}


def _columns_of(served: ServedModel) -> tuple[str, ...] | None:
    columns = served.signature.columns
    return None if columns is None else tuple(column.name for column in columns)


class LoadedCode:
    """The files that this process was loaded from, to tell when they change.

    A version that was made with newer ones can't be loaded beside them; a fresh process
    can. The inode's change time is looked at, which no installer sets back.

    Args:
        began: When the process was started, in seconds since the epoch.
    """

    def __init__(self, began: float) -> None:
        self._began = began
        self._never_there = {name for name, file in _files() if not file.exists()}

    def changed(self) -> list[str]:
        """The first few modules whose files are other ones now, or gone."""
        changed = []
        for name, file in _files():
            if name not in self._never_there and self._is_other(file):
                changed.append(name)
                if len(changed) == _NAMED:
                    break
        return changed

    def _is_other(self, file: Path) -> bool:
        try:
            return file.stat().st_ctime > self._began
        except FileNotFoundError:
            return True
        except OSError:
            return False  # inside of a zip file


def _files() -> list[tuple[str, Path]]:
    found = []
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if isinstance(file, str):
            found.append((name, Path(file)))
    return found
