"""The part of the registry that looks after itself: what is wrong, and its repair."""

from __future__ import annotations

from datetime import timedelta

from brixa_flows.refs import check_model_name
from brixa_flows.registry.facts.records import now
from brixa_flows.registry.facts.repairs import RecoveryAction
from brixa_flows.registry.facts.timeline import StageSnapshot
from brixa_flows.registry.reading.feed import JournalFeed
from brixa_flows.registry.trusted_catalog import TrustedCatalog
from brixa_flows.registry.upkeep.checking import Checker
from brixa_flows.registry.upkeep.garbage import Collector, Garbage
from brixa_flows.registry.upkeep.rebuilding import Rebuilder
from brixa_flows.registry.upkeep.recovery import Recovery
from brixa_flows.registry.writing.changing import Changer

__all__ = ["MaintainedRegistry"]


class MaintainedRegistry(TrustedCatalog):
    """Versions of models, to load, to vouch for, to check and to repair."""

    @property
    def feed(self) -> JournalFeed:
        """What was recorded lately, for who announces it."""
        return JournalFeed(self._backends, self._reader)

    def check(self) -> list[str]:
        """What people should know of.

        Damaged records, aliases moved by hand in MLflow, versions that MLflow lost or
        nobody vouches for, and what saves that ended too early have left.

        Returns:
            A sentence for each; empty if all is well. Nothing is changed. While MLflow is
            away the last one says so, and the others are of what storage tells.
        """
        return Checker(self._backends, self._reader).findings()

    def recover(self) -> list[RecoveryAction]:
        """Finish or roll back what crashes interrupted; safe to repeat.

        What somebody changed by hand in MLflow of descriptions, tags, metrics and the
        like is written to storage too. Saves under way are left alone.

        Returns:
            What was repaired, and what can't be repaired here; empty if all is well.

        Raises:
            TrackingUnavailableError: If MLflow is away.
        """
        return Recovery(self._backends, self._reader).run()

    def accept_losses(
        self, name: str, *, reason: str, actor: str | None = None
    ) -> StageSnapshot:
        """Say that stages and aliases count without the records that are lost for good.

        Where those that are left do not tell what is right, say it first by
        :meth:`ModelRegistry.transition` and :meth:`ModelRegistry.set_alias`. A record
        that is restored later counts again, in its place.

        Args:
            name: Model.
            reason: Why; kept for ever.
            actor: Who decides; the user of this process if not given.

        Returns:
            Who stands where now.

        Raises:
            InvalidMetadataError: If no record of the model is lost, or for no reason.
            TrackingUnavailableError: If MLflow is away.
        """
        changer = Changer(self._backends, self._reader)
        changer.accept_losses(check_model_name(name), actor, reason)
        return self.stage_at(name, now())

    def rebuild_tracking(self) -> list[RecoveryAction]:
        """Show MLflow everything that storage knows and MLflow lost.

        Into an empty backend or one that has a part: versions that it shows are left
        as they are, then stages and aliases are set to what the journal says. Safe to
        repeat and to interrupt. A version loads afterwards as one that was not saved
        here, unless a trusted key signed its files or a person's word for them;
        :meth:`untrusted` lists the others and :meth:`trust_all` vouches for them.

        Returns:
            What was made anew, and what could not be; empty if MLflow had everything.

        Raises:
            TrackingUnavailableError: If MLflow is away.
            MissingExtraError: If keys are trusted here and the extra ``sign`` is not
                installed.
        """
        return Rebuilder(self._backends, self._reader).run()

    def collect_garbage(
        self,
        *,
        remove: bool = False,
        older_than: timedelta | None = None,
        registered_older_than: timedelta | None = None,
        actor: str | None = None,
    ) -> list[Garbage]:
        """Find bytes that nothing refers to; safe beside writers, and to repeat.

        Files of deleted versions with their signatures (``kept_by`` names deployments
        that still name the version: those stay); files that were never those of
        their number; what processes that died left half-written.

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
