"""Changes the life of versions: stages, own aliases and tombstones.

A change is first a numbered record in storage, whose creation decides every race; then
it is projected to the tracking backend.
"""

from __future__ import annotations

import getpass
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from brixa_flows.errors import (
    InvalidMetadataError,
    ModelNotFoundError,
    StageTransitionError,
    TrackingError,
    TrackingUnavailableError,
    VersionExistsError,
    VersionInUseError,
    VersionNotFoundError,
    refuse_blank,
)
from brixa_flows.registry.facts.inputs import as_text
from brixa_flows.registry.facts.metadata import StageRecord
from brixa_flows.registry.facts.records import Change, Move, new_id, now
from brixa_flows.registry.facts.resolving import again, check_alias, resolve
from brixa_flows.registry.facts.stages import NOBODY, STAGES, Lifecycle
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.in_use import refuse_if_needed
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.registry.reading.shown_alone import ShownAlone
from brixa_flows.registry.reading.unmeasured import lost_measurements
from brixa_flows.registry.writing.mirroring import shown_or_lost
from brixa_flows.registry.writing.projecting import project
from brixa_flows.versioning import ModelVersion

__all__ = ["Changer"]

_LOG = logging.getLogger(__name__)
_TOLD_AFTER_SECONDS = 5.0
_COUNTS = "the change is written and counts all the same"
_SHOWN_LATER = (
    f"{_COUNTS}: brixa doctor --fix shows it there when MLflow can be reached and "
    "written, and so does the next change of the model"
)


class Changer:
    """Moves versions between stages.

    Args:
        backends: The places.
        reader: What is known already.
    """

    def __init__(self, backends: Backends, reader: Reader) -> None:
        self._backends = backends
        self._reader = reader

    def transition(
        self,
        name: str,
        version: ModelVersion,
        stage: str,
        actor: str | None,
        reason: str,
        replacing: ModelVersion | str | None = None,
    ) -> StageRecord:
        """Move a version to a stage; see :meth:`ModelRegistry.transition`."""
        _check_words(actor, reason)
        if replacing is not None and replacing != NOBODY:
            replacing = ModelVersion.parse(replacing)
        standing = self._reader.standing(name)
        # A damaged one may leave its stage, where it can't be deleted.
        sound = standing.has(version) and standing.is_ready(version)
        staged = version in standing.lifecycle.stages
        leaves = stage == "archived" and staged and not sound
        if not leaves:
            standing = self._require_ready(name, version)
        if stage not in STAGES:
            raise StageTransitionError(
                name,
                version,
                standing.lifecycle.stages.get(version) or "none",
                str(stage)[:80],
                f"the stages are {', '.join(STAGES)}",
            )
        if leaves:
            self._backends.tracking.ping()
        else:
            self._require_shown(name, version)

        def plan(lifecycle: Lifecycle) -> Change:
            _refuse_deleted(lifecycle, version)
            if replacing is not None:
                lifecycle.refuse_unless_held(version, stage, replacing)
            moves = lifecycle.plan_transition(version, stage, reason)
            return _change(lifecycle, "transition", version, actor, reason, moves)

        return self._append(name, plan)

    def rollback(self, name: str, actor: str | None, reason: str) -> StageRecord:
        """Bring back what was in production before; see the registry."""
        _check_words(actor, reason)
        standing = self._reader.standing(name)
        self._backends.tracking.ping()

        def plan(lifecycle: Lifecycle) -> Change:
            def is_usable(version: ModelVersion) -> bool:
                deleted = version in lifecycle.deleted
                return not deleted and standing.is_ready(version)

            moves = lifecycle.plan_rollback(is_usable, reason)
            version = moves[-1].version
            self._require_shown(name, version)
            return _change(lifecycle, "rollback", version, actor, reason, moves)

        return self._append(name, plan)

    def set_alias(
        self,
        name: str,
        alias: str,
        version: ModelVersion | None,
        actor: str | None,
        reason: str,
    ) -> None:
        """Point an own alias at a version, or nowhere."""
        _check_words(actor, reason)
        check_alias(alias)
        if version is None:
            self._reader.standing(name)
            self._backends.tracking.ping()
        else:
            self._require_ready(name, version)
            self._require_shown(name, version)

        def plan(lifecycle: Lifecycle) -> Change:
            if version is not None:
                _refuse_deleted(lifecycle, version)
            change = _change(lifecycle, "alias", version, actor, reason)
            return change.model_copy(update={"alias": alias})

        change, _ = self._backends.journal.append_change(name, plan)
        self._show(name, change.number)

    def delete(
        self,
        name: str,
        version: ModelVersion,
        actor: str | None,
        reason: str,
        *,
        force: bool = False,
    ) -> None:
        """Put a tombstone on a version; see the registry."""
        _check_words(actor, reason)
        alone = ShownAlone(self._backends)
        try:
            standing = self._reader.standing(name, thorough=True)
        except ModelNotFoundError:
            if not alone.has(name, version):
                raise
            standing = self._reader.nothing_of(name)
        if not standing.has(version) and not alone.has(name, version):
            raise VersionNotFoundError(name, str(version), standing.ready)
        _refuse_deleted(standing.lifecycle, version)
        _refuse_in_production(standing.lifecycle, version)
        refuse_if_needed(self._backends, self._reader, standing, version, force=force)
        if version in standing.sealed:
            self._backends.tracking.ping()
        self._bury(name, version, actor, reason)

    def bury_unsaved(self, name: str, version: ModelVersion, actor: str | None) -> None:
        """Give up a number under which nothing was saved.

        Raises:
            VersionExistsError: If it was saved meanwhile, or is being saved.
        """
        self._bury(name, version, actor, "never saved", only_unsaved=True)

    def accept_losses(self, name: str, actor: str | None, reason: str) -> None:
        """Let the records that can be read count without those that can't."""
        _check_words(actor, reason)
        refuse_blank("reason", reason, "why")
        self._backends.tracking.ping()
        standing, journal = self._reader.standing(name), self._backends.journal
        known = {key for each in journal.changes(name) for key in each.accepts_records}
        lost = [key for key in journal.lost_records(name) if key not in known]
        measured = lost_measurements(self._backends, self._reader, standing).values()
        records = (*lost, *(key for each in measured for key in each))
        if not standing.lifecycle.lost and not records:
            raise InvalidMetadataError(
                "name",
                f"is {name!r}, of which every stage change can be read and no record of "
                "a version is missing",
            )

        def plan(lifecycle: Lifecycle) -> Change:
            lost = tuple(each.number for each in lifecycle.lost)
            change = _change(lifecycle, "accept", None, actor, reason)
            update = {"accepts": lost, "accepts_records": records}
            return change.model_copy(update=update)

        change, _ = journal.append_change(name, plan)
        self._show(name, change.number, anew=True)

    def _bury(
        self,
        name: str,
        version: ModelVersion,
        actor: str | None,
        reason: str,
        *,
        only_unsaved: bool = False,
    ) -> None:
        def plan(lifecycle: Lifecycle) -> Change:
            _refuse_deleted(lifecycle, version)
            _refuse_in_production(lifecycle, version)
            source = lifecycle.stages.get(version)
            move = Move(
                version=version,
                source=source,
                target=None,
                reason=reason,
                event_id=new_id(),
            )
            moves = (move,) if source is not None else ()
            return _change(lifecycle, "delete", version, actor, reason, moves)

        # The lease keeps a save from publishing files that nobody could load.
        with self._backends.leases.hold(name, version):
            if only_unsaved:
                state = self._reader.standing(name).state(version)
                if state != "registered":
                    raise VersionExistsError(name, version, f"is {state} by now")
            change, _ = self._backends.journal.append_change(name, plan)
            self._show(name, change.number)

    def _show(self, name: str, written: int, *, anew: bool = False) -> None:
        """Show in MLflow what was decided; that it counts is told where it can't be."""
        with _told_that_it_counts(name):
            project(self._backends, self._reader, name, anew=anew, written=written)

    def _append(self, name: str, plan: Callable[[Lifecycle], Change]) -> StageRecord:
        change, lifecycle = self._backends.journal.append_change(name, plan)
        self._show(name, change.number)
        event_id = change.moves[-1].event_id
        return next(each for each in lifecycle.history if each.event_id == event_id)

    def _require_shown(self, name: str, version: ModelVersion) -> None:
        """Nothing is decided that MLflow could not show."""
        claim = self._reader.claim(name, version)
        seal = self._backends.journal.read_seal(name, version)
        if seal is not None:
            shown_or_lost(self._backends, claim, seal)

    def _require_ready(self, name: str, version: ModelVersion) -> Standing:
        standing = self._reader.standing(name)
        if not standing.has(version):
            standing = self._reader.standing(name, thorough=True)
        resolve(standing, version)
        return standing


@contextmanager
def _told_that_it_counts(name: str) -> Iterator[None]:
    """Tell that a change counts: soon where MLflow takes long, and with each error."""
    told = threading.Timer(
        _TOLD_AFTER_SECONDS,
        lambda: _LOG.warning(
            "%s: MLflow takes long to show this; %s", name, _SHOWN_LATER
        ),
    )
    told.daemon = True
    told.start()
    try:
        yield
    except TrackingUnavailableError as err:
        uri, reason, remedy = (str(err.facts[x]) for x in ("uri", "reason", "remedy"))
        raise TrackingUnavailableError(
            uri, reason, f"{remedy}; {_SHOWN_LATER}"
        ) from err
    except TrackingError as err:
        raise TrackingError(f"{err}; {_COUNTS}", **err.facts) from err
    except BaseException:
        _LOG.warning("%s: MLflow does not show this yet; %s", name, _SHOWN_LATER)
        raise
    finally:
        told.cancel()


def _check_words(actor: object, reason: object) -> None:
    """Refuse what nobody could read later; no reason at all is one's own choice."""
    if actor is not None:
        refuse_blank("actor", as_text("actor", actor), "who decides")
    if as_text("reason", reason):
        refuse_blank("reason", reason, "why")


def _refuse_deleted(lifecycle: Lifecycle, version: ModelVersion) -> None:
    if version in lifecycle.deleted:
        raise VersionNotFoundError(
            lifecycle.name, str(version), (), lifecycle.why_deleted(version)
        )


def _refuse_in_production(lifecycle: Lifecycle, version: ModelVersion) -> None:
    lost = lifecycle.doubt("production")
    if lost is not None:
        raise VersionInUseError(
            lifecycle.name,
            version,
            f"{lost.key} can't be read, so it may be in production",
            "restore that file, or first say which version is in production: "
            + again(lifecycle.name, "VERSION", "production"),
        )
    if lifecycle.stages.get(version) == "production":
        raise StageTransitionError(
            lifecycle.name,
            version,
            "production",
            "deleted",
            "promote another version or archive this one first",
        )


def _change(
    lifecycle: Lifecycle,
    kind: str,
    version: ModelVersion | None,
    actor: str | None,
    reason: str,
    moves: tuple[Move, ...] = (),
) -> Change:
    return Change.model_validate(
        {
            "number": lifecycle.number + 1,
            "kind": kind,
            "version": version,
            "actor": actor or _user(),
            "reason": reason,
            "at": now(),
            "event_id": new_id(),
            "moves": moves,
        }
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return "unknown"
