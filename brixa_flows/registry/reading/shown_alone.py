"""Numbers that only the tracking backend still knows: storage lost all of a version.

As where a folder was removed by hand, or storage was restored from a backup that is
older than the version. Who was given such a number again would not be told apart there.
"""

from __future__ import annotations

from contextlib import suppress

from brixa_flows.errors import InvalidVersionError
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.tracking import TrackedVersion, tags
from brixa_flows.versioning import ModelVersion

__all__ = ["ShownAlone", "is_vouched"]


def is_vouched(tracked: TrackedVersion) -> bool:
    """Whether the run of a version is called so too: nobody changed a tag by hand."""
    return (tracked.run_facts or {}).get(tags.VERSION) == tracked.version


class ShownAlone:
    """Finds them; of each model the newest are looked at, once, until :meth:`forget`.

    Args:
        backends: The places.
    """

    def __init__(self, backends: Backends) -> None:
        self._backends = backends
        self._found: dict[str, dict[ModelVersion, str]] = {}

    def highest(self, name: str) -> ModelVersion | None:
        """The highest of a model, if there is any."""
        found = self._of(name)
        return next((v for v in sorted(found, reverse=True) if self.has(name, v)), None)

    def has(self, name: str, version: ModelVersion) -> bool:
        """Whether a version is one of them."""
        text = self._of(name).get(version)
        if text is None:
            return False
        tracked = self._backends.tracking.get_version(name, text)
        return tracked is not None and is_vouched(tracked)

    def forget(self, name: str) -> None:
        """Look again at a model: its storage has lost something since."""
        self._found.pop(name, None)

    def _of(self, name: str) -> dict[ModelVersion, str]:
        if name not in self._found:
            journal, shown = self._backends.journal, {}
            for text in self._backends.tracking.newest_numbers(name):
                with suppress(InvalidVersionError):  # somebody changed that tag
                    shown[ModelVersion.parse(text)] = text
            # Listed afterwards: a number is claimed long before it is shown.
            claimed = journal.claimed(name).members
            alone = {v: text for v, text in shown.items() if v not in claimed}
            lost = journal.lost_claims(name) if alone else ()
            self._found[name] = {v: t for v, t in alone.items() if v not in lost}
        return self._found[name]
