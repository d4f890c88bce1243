"""Who vouched for which version, when and why: numbered records in storage.

Storage can be written by more people than the tracking backend, so a record alone
makes nothing load: it is believed where the tracking backend has the digest too, or
where a trusted key signed the record, which then also survives the loss of that backend.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from brixa_flows.errors import DamagedArtifactError, SignatureError
from brixa_flows.registry.facts.damage import damaged_record, warn_once
from brixa_flows.registry.facts.records import first_problem, now
from brixa_flows.registry.journal.journal import Journal
from brixa_flows.signing import Envelope, KeyRing, Signer
from brixa_flows.versioning import ModelVersion

__all__ = ["TrustRecord", "TrustRecords"]

_KIND = "trust"
_PREDICATE_TYPE = "urn:brixa-flows:trust:v1"


class TrustRecord(BaseModel):
    """A person's word for one version.

    Attributes:
        name: Name of the model.
        version: Its version.
        digest: Of the manifest that was vouched for.
        actor: Who.
        reason: Why.
        at: When.
        number: Counts the records of the version.
        quarantined: Why the version was in quarantine before, if it was.
        signers: Trusted keys that signed the record.
        problem: Why a signature of the record does not count.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    version: ModelVersion
    digest: str
    actor: str
    reason: str
    at: datetime
    number: int
    quarantined: str = ""
    signers: tuple[str, ...] = ()
    problem: str = ""


class TrustRecords:
    """Adds and reads trust records.

    Args:
        journal: Where they are.
        keys: Whose signatures are believed.
    """

    def __init__(self, journal: Journal, keys: KeyRing) -> None:
        self._journal = journal
        self._keys = keys

    def add(
        self,
        name: str,
        version: ModelVersion,
        digest: str,
        *,
        actor: str,
        reason: str,
        signer: Signer | None,
        quarantined: str = "",
    ) -> TrustRecord:
        """Keep a person's word, signed where there is a key."""
        payload: dict[str, Any] = {
            "digest": digest,
            "actor": actor,
            "reason": reason,
            "quarantined": quarantined,
        }
        if signer is not None:
            said = {"actor": actor, "reason": reason, "at": now().isoformat()}
            envelope = Envelope.of(
                _subject(name, version), _hex(digest), _PREDICATE_TYPE, said
            )
            payload["envelope"] = envelope.signed_by(signer).to_json()
        kept = self._journal.add_record(name, _KIND, version, payload)
        return self._record(name, version, kept)

    def of(self, name: str, version: ModelVersion) -> list[TrustRecord]:
        """The records of a version, newest last.

        One that is none is passed over, with a warning in the log: whoever can write
        the storage could otherwise keep a version from loading by it.
        """
        found = []
        for kept in self._journal.records(name, _KIND, version):
            try:
                found.append(self._record(name, version, kept))
            except DamagedArtifactError as err:
                warn_once(self._journal.place, f"set aside: {err}")
        return found

    def signers(self, name: str, version: ModelVersion, digest: str) -> tuple[str, ...]:
        """Trusted keys that signed a person's word for these very files."""
        return tuple(
            signer
            for record in self.of(name, version)
            if record.digest == digest
            for signer in record.signers
        )

    def _record(
        self, name: str, version: ModelVersion, kept: dict[str, Any]
    ) -> TrustRecord:
        facts = {key: value for key, value in kept.items() if key != "event_id"}
        envelope = facts.pop("envelope", None)
        key = self._journal.record_key(name, _KIND, version, kept["number"])
        try:
            record = TrustRecord.model_validate(
                {
                    **facts,
                    "name": name,
                    "version": version,
                    "signers": (),
                    "problem": "",
                }
            )
        except ValidationError as err:
            reason = f"can't be read: {first_problem(err)}"
            raise damaged_record(key, reason) from err
        return record if envelope is None else self._verified(record, envelope, key)

    def _verified(self, record: TrustRecord, content: Any, where: str) -> TrustRecord:
        """The record with what its signature says instead of what stands beside it."""
        try:
            envelope = Envelope.from_json(content, where)
            subject, sha256, said = envelope.statement(_PREDICATE_TYPE)
        except (SignatureError, ValueError) as err:
            return record.model_copy(update={"problem": str(err)})
        about = (_subject(record.name, record.version), _hex(record.digest))
        if (subject, sha256) != about:
            problem = f"its signature is about {subject:.80}, or about other files"
            return record.model_copy(update={"problem": problem})
        checks = self._keys.check(envelope)
        signers = tuple(each.signer for each in checks if each.verdict == "trusted")
        if not signers:
            return record.model_copy(update={"problem": str(checks[0])})
        update = {key: str(said.get(key, "")) for key in ("actor", "reason")}
        return record.model_copy(update={**update, "signers": signers})


def _subject(name: str, version: ModelVersion) -> str:
    return f"{name}@{version.core}"


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")
