"""The part of the registry that looks after itself: what is wrong, and its repair."""

from __future__ import annotations

from datetime import timedelta

from brixa_flows.registry.checking import Checker
from brixa_flows.registry.garbage import Collector, Garbage
from brixa_flows.registry.recovery import Recovery, RecoveryAction
from brixa_flows.registry.trusted_catalog import TrustedCatalog

__all__ = ["MaintainedRegistry"]


class MaintainedRegistry(TrustedCatalog):
    """Versions of models, to load, to vouch for, to check and to repair."""

    def check(self) -> list[str]:
        """What people should know: aliases moved by hand in MLflow, damaged records.

        Returns:
            A sentence for each; empty if all is well. Nothing is changed.
        """
        return Checker(self._backends, self._reader).findings()

    def recover(self) -> list[RecoveryAction]:
        """Finish or roll back what crashes interrupted; safe to repeat.

        Returns:
            What was repaired; empty if all is well.
        """
        return Recovery(self._backends, self._reader).run()

    def collect_garbage(
        self,
        *,
        remove: bool = False,
        older_than: timedelta | None = None,
        registered_older_than: timedelta | None = None,
        actor: str | None = None,
    ) -> list[Garbage]:
        """Find bytes that nothing refers to; safe beside writers, and to repeat.

        Files of deleted versions that no deployment serves or could return to, with
        their signatures; files under a number that nobody claimed; what processes that
        died left half-written.

        Args:
            remove: Remove it; without it, it is listed only.
            older_than: Only what was deleted, or written, that long ago.
            registered_older_than: Numbers that were taken that long ago and never saved
                are given up too: they get a tombstone.
            actor: Who gives them up; the user of this process if not given.

        Returns:
            What was found, with what was ``removed``.

        Raises:
            DamagedArtifactError: If the files of a deployment can't be read; then
                nobody knows which versions it needs.
        """
        collector = Collector(
            self._backends,
            self._reader,
            older_than=older_than,
            registered_older_than=registered_older_than,
        )
        found = collector.find()
        return collector.remove(found, actor) if remove else found
