"""The part of the registry that people vouch through: signatures and trust records."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from brixa_flows.errors import BrixaError, DamagedArtifactError, MissingExtraError
from brixa_flows.refs import check_model_name
from brixa_flows.registry.facts.metadata import Verification
from brixa_flows.registry.journal.trust_records import TrustRecord
from brixa_flows.registry.query_catalog import QueryCatalog
from brixa_flows.registry.writing.trusting import Truster, Word
from brixa_flows.versioning import ModelVersion

if TYPE_CHECKING:
    from brixa_flows.serializers.scanning import ScanReport

__all__ = ["TrustedCatalog"]


class TrustedCatalog(QueryCatalog):
    """Versions of models, to load, to sign and to vouch for."""

    @property
    def _truster(self) -> Truster:
        return Truster(self._backends, self._reader, self._opener)

    def sign(
        self,
        name: str,
        version: ModelVersion | str,
        *,
        key: str,
        passphrase: str | None = None,
    ) -> Verification:
        """Sign the files of a version, which are verified before.

        Signatures of other keys stay. ``model-signing`` can verify the bundle.

        Args:
            name: Model.
            version: Exact version.
            key: Name of a key of yours (``brixa key new``).
            passphrase: Of the key, if it is encrypted.

        Raises:
            DamagedArtifactError: If its files are not those that were saved.
            SigningKeyError: If the key is not there, revoked or can't be read.
            SignatureError: If there is a bundle of other files.
        """
        found = self.resolve(name, self._claimed(name, version))
        return self._truster.sign(name, found, key, passphrase)

    def scan(self, name: str, version: ModelVersion | str) -> ScanReport:
        """Look for dangerous pickles in a version; nothing of it is executed.

        Advice alone: what is not found may be there, and no policy asks for it. Of a
        version whose files are not those that were saved all that are there are
        scanned, and ``damaged`` of the report says what is wrong.

        Args:
            name: Model.
            version: Exact version, also one in quarantine.

        Raises:
            DamagedArtifactError: If there are no files of it.
            MissingExtraError: If the extra ``scan`` is not installed.
        """
        try:
            scanning = importlib.import_module("brixa_flows.serializers.scanning")
        except ModuleNotFoundError as err:
            missing = err.name or "picklescan"
            raise MissingExtraError("scanning models", "scan", missing) from err
        found = self._claimed(name, version)
        directory = self._opener.fetched(name, found)
        paths, damaged = None, ""
        try:
            _, manifest = self._opener.verified(name, found, None)
            paths = manifest.model_files
        except DamagedArtifactError as err:
            damaged = str(err)
        report: ScanReport = scanning.scan_files(directory, paths, damaged)
        return report

    def trust(
        self,
        name: str,
        version: ModelVersion | str,
        *,
        actor: str,
        reason: str,
        key: str | None = None,
        passphrase: str | None = None,
    ) -> TrustRecord | None:
        """Vouch for a version that was not saved here, so that it loads.

        The tracking backend records its digest. A quarantined version becomes ready,
        where no digest was recorded. With a key the record also survives the loss of
        the tracking backend, so it is kept of a version that is trusted already, too.

        Args:
            name: Model.
            version: Exact version.
            actor: Who vouches.
            reason: Why; kept for ever.
            key: Name of a key of yours that signs the record.
            passphrase: Of the key, if it is encrypted.

        Returns:
            The record; ``None`` if the backend has the digest already, and the key no
            more to say.

        Raises:
            DamagedArtifactError: If its files are not those that were saved.
            UntrustedArtifactError: If it is quarantined for another digest.
        """
        word = Word(actor, reason, key, passphrase)
        return self._truster.trust(name, self._claimed(name, version), word)

    def trust_all(
        self,
        *,
        actor: str,
        reason: str,
        key: str | None = None,
        passphrase: str | None = None,
    ) -> list[TrustRecord | BrixaError]:
        """Vouch for all that :meth:`untrusted` lists, as :meth:`trust` for each.

        Returns:
            The records, and the errors of versions that could not be trusted.
        """
        return self._truster.trust_all(Word(actor, reason, key, passphrase))

    def trust_records(self) -> list[TrustRecord]:
        """Who vouched for which version, when and why; oldest first by version."""
        return self._truster.records()

    def untrusted(self) -> list[tuple[str, ModelVersion]]:
        """Saved versions whose digest the tracking backend did not record."""
        return self._truster.untrusted()

    def _claimed(self, name: str, version: ModelVersion | str) -> ModelVersion:
        """An exact version that was registered, as it was written then."""
        return self._reader.claim(check_model_name(name), version).core.version
