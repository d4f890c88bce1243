"""A person's word for a version, and signatures of its files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from brixa_flows.errors import (
    BrixaError,
    ModelNotSavedError,
    UntrustedArtifactError,
    VersionNotFoundError,
    refuse_blank,
)
from brixa_flows.registry.facts.metadata import Verification
from brixa_flows.registry.facts.records import Claim, Core, MetadataFile, Quarantine
from brixa_flows.registry.journal.signatures import Signatures
from brixa_flows.registry.journal.trust_records import TrustRecord, TrustRecords
from brixa_flows.registry.reading.backends import Backends
from brixa_flows.registry.reading.opening import Opener, other_digest
from brixa_flows.registry.reading.reader import Reader, Standing
from brixa_flows.registry.writing.index import update_index
from brixa_flows.registry.writing.mirroring import file_anew, untrusted_of
from brixa_flows.registry.writing.recording import (
    record_run,
    seal_version,
    show_version,
)
from brixa_flows.serializers.manifest import ArtifactManifest
from brixa_flows.signing import Signer
from brixa_flows.versioning import ModelVersion

__all__ = ["Truster", "Word"]


@dataclass(frozen=True)
class Word:
    """What a person gives for a version.

    Attributes:
        actor: Who.
        reason: Why.
        key: Name of the key that signs the record, if one does.
        passphrase: Of that key, if it is encrypted.
    """

    actor: str
    reason: str
    key: str | None = None
    passphrase: str | None = None

    def check(self) -> None:
        """Refuse what nobody could judge later.

        Raises:
            InvalidMetadataError: If actor or reason is blank.
        """
        refuse_blank("actor", self.actor, "who vouches for the version")
        refuse_blank("reason", self.reason, "why the version may be trusted")


class Truster:
    """Signs versions, and keeps who vouched for them.

    Args:
        backends: The places.
        reader: What is known.
        opener: Verifies files.
    """

    def __init__(self, backends: Backends, reader: Reader, opener: Opener) -> None:
        self._backends = backends
        self._reader = reader
        self._opener = opener

    def sign(
        self, name: str, version: ModelVersion, key: str, passphrase: str | None
    ) -> Verification:
        """Sign the files of a ready version, which are verified before."""
        signer = self._backends.keys.signer(key, passphrase)
        checked = self._opener.checked(name, version)
        signatures = Signatures(self._backends.storage, self._backends.layout)
        signatures.add(name, version, checked.manifest, signer)
        return self._opener.worth(checked)

    def trust(self, name: str, version: ModelVersion, word: Word) -> TrustRecord | None:
        """Let a version load on a person's word; see the registry."""
        word.check()
        return self._trust(name, version, word, self._signer(word))

    def trust_all(self, word: Word) -> list[TrustRecord | BrixaError]:
        """Vouch for every ready version that the tracking backend has no digest of.

        Returns:
            The records, and the errors of versions that could not be trusted.
        """
        word.check()
        signer = self._signer(word)
        done: list[TrustRecord | BrixaError] = []
        for name, version in self.untrusted():
            try:
                record = self._trust(name, version, word, signer)
            except BrixaError as err:
                done.append(err)
            else:
                done += [] if record is None else [record]
        return done

    def untrusted(self) -> list[tuple[str, ModelVersion]]:
        """Ready versions that the tracking backend has no digest of."""
        return [
            (standing.name, version)
            for standing in self._reader.standings()
            for version in untrusted_of(self._backends, standing)
        ]

    def records(self) -> list[TrustRecord]:
        """Every word that was given, by model and version, oldest first."""
        kept = TrustRecords(self._backends.journal, self._backends.keys)
        return [
            record
            for standing in self._reader.standings()
            for version in standing.claimed
            for record in kept.of(standing.name, version)
        ]

    def _signer(self, word: Word) -> Signer | None:
        if word.key is None:
            return None
        return self._backends.keys.signer(word.key, word.passphrase)

    def _trust(
        self, name: str, version: ModelVersion, word: Word, signer: Signer | None
    ) -> TrustRecord | None:
        backends = self._backends
        claim = self._reader.claim(name, version)
        standing = self._reader.standing(name)
        quarantine = _refuse_unless_there(standing, claim, backends)
        seal = backends.journal.read_seal(name, version)
        _, manifest = self._opener.verified(
            name, version, seal.digest if seal else None
        )
        written = str(claim.core.version)
        recorded = backends.tracking.recorded_digest(name, written)
        if recorded not in (None, manifest.digest):
            key = self._backends.layout.manifest_key(name, version)
            raise other_digest(f"{name} {version}", key, manifest, str(recorded))
        records = TrustRecords(backends.journal, backends.keys)
        if quarantine is None and recorded is not None:
            same = (
                each.digest == manifest.digest and each.actor == word.actor
                for each in records.of(name, version)
                if word.key in each.signers
            )
            if word.key is None or any(same):
                return None
        record = records.add(
            name,
            version,
            manifest.digest,
            actor=word.actor,
            reason=word.reason,
            signer=signer,
            quarantined=quarantine.reason if quarantine else "",
        )
        # The word is kept first: a crash after it leaves a record that nothing
        # believes, and the same call finishes.
        if quarantine is not None:
            self._admit(claim, manifest)
        elif recorded is None:
            core = self._reader.core(claim)
            self._record_digest(claim, core, manifest, seal.shown_at if seal else None)
        return record

    def _admit(self, claim: Claim, manifest: ArtifactManifest) -> None:
        """Let a version out of quarantine: what its save did not finish is done."""
        backends, core = self._backends, Core.model_validate(manifest.core)
        file = backends.journal.change_metadata(
            claim,
            lambda old: MetadataFile(core=core, mutable=old.mutable),
            lambda: file_anew(backends, claim, None),
        )
        run_id = self._record_digest(claim, core, manifest)
        tracked = show_version(backends, core, file.mutable, claim.lineage, run_id)
        seal_version(backends, claim, manifest, tracked)
        backends.journal.end_quarantine(core.name, core.version)
        update_index(backends, self._reader, core.name)

    def _record_digest(
        self,
        claim: Claim,
        core: Core,
        manifest: ArtifactManifest,
        at: datetime | None = None,
    ) -> str:
        """Have the tracking backend, which ``load_model`` asks, believe the files."""
        backends = self._backends
        file = backends.journal.read_metadata(core.name, core.version)
        mutable = (file or file_anew(backends, claim, None)).mutable
        return record_run(backends, claim, core, manifest.digest, mutable, at)


def _refuse_unless_there(
    standing: Standing, claim: Claim, backends: Backends
) -> Quarantine | None:
    """The quarantine that a version is in, if it is; raises if it can't be trusted."""
    name, version = claim.core.name, claim.core.version
    state = standing.state(version)
    if state == "deleted":
        raise VersionNotFoundError(
            name, str(version), standing.ready, standing.lifecycle.why_deleted(version)
        )
    if state == "registered":
        raise ModelNotSavedError(name, version)
    if state == "ready":
        return None
    quarantine = backends.journal.read_quarantine(name, version)
    if quarantine is not None and quarantine.recorded_digest is not None:
        raise UntrustedArtifactError(
            f"{name} {version} stays in quarantine, as another digest was recorded when "
            "it was saved here, and no word stands against that; restore its files from "
            "a backup, or save the model as the next version",
            name=name,
            version=str(version),
        )
    return quarantine
