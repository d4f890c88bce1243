"""Signatures of versions: the bundle beside a version's directory, and who is in it."""

from __future__ import annotations

from typing import Any

from brixa_flows.errors import (
    ObjectNotFoundError,
    SignatureError,
    StaleWriteError,
    StorageError,
)
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.serializers.manifest import MANIFEST_NAME, ArtifactManifest
from brixa_flows.signing import KeyRing, SignatureBundle, SignatureCheck, Signer
from brixa_flows.signing.bundle import BUNDLE_BYTES_AT_MOST, too_large
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["Signatures"]

_ATTEMPTS = 100
_LEFT_BY_MLFLOW = ("registered_model_meta",)


class Signatures:
    """Reads, adds and checks signatures.

    A signature is over every file of a version, ``config.json`` included, which holds
    name and version: copied beside another version it is over other files.

    Args:
        storage: Where the versions are.
        layout: Under which keys.
    """

    def __init__(self, storage: StorageNode, layout: Layout) -> None:
        self._storage = storage
        self._layout = layout

    def add(
        self, name: str, version: ModelVersion, manifest: ArtifactManifest, who: Signer
    ) -> None:
        """Sign a verified version; signatures of others stay.

        Raises:
            SignatureError: If there is a bundle that is of other files, or none.
            StorageError: If it can't be written; nothing is changed.
        """
        key = self._layout.signature_key(name, version)
        for _ in range(_ATTEMPTS):
            old, etag = self._read(key)
            if old is None:
                bundle = SignatureBundle.of_files(
                    f"{name}@{version}", _files_of(manifest), _LEFT_BY_MLFLOW
                )
            else:
                bundle = self._of_this(old, manifest)
            try:
                self._storage.replace(key, bundle.signed_by(who).to_bytes(), etag=etag)
            except StaleWriteError:
                continue
            return
        raise StorageError(f"{key!r} is changed by too many at once; retry")

    def check(
        self,
        name: str,
        version: ModelVersion,
        manifest: ArtifactManifest,
        keys: KeyRing,
    ) -> tuple[SignatureCheck, ...]:
        """Who signed a verified version; empty if nobody did.

        Raises:
            SignatureError: If there is a bundle that is of other files, or none.
            SigningKeyError: If a key here can't be read.
            MissingExtraError: If a key is trusted here and the library is missing.
        """
        bundle, _ = self._read(self._layout.signature_key(name, version))
        if bundle is None:
            return ()
        return keys.check(self._of_this(bundle, manifest).envelope)

    def _read(self, key: str) -> tuple[SignatureBundle | None, str | None]:
        stored = self._storage.stat(key)
        if stored is None:
            return None, None
        if stored.size_bytes > BUNDLE_BYTES_AT_MOST:
            raise too_large(key, stored.size_bytes)
        try:
            data, etag = self._storage.read(key)
        except ObjectNotFoundError:
            return None, None
        return SignatureBundle.from_bytes(data, key), etag

    def _of_this(
        self, bundle: SignatureBundle, manifest: ArtifactManifest
    ) -> SignatureBundle:
        signed, present = bundle.files(), _files_of(manifest)
        for note in _LEFT_BY_MLFLOW:
            signed.pop(note, None)
        for path in sorted(signed.keys() | present.keys()):
            if signed.get(path) != present.get(path):
                raise SignatureError(
                    bundle.where,
                    f"is not of the files of {manifest.label}, first {path!r}; remove "
                    "it if nobody can say where it comes from, then sign again",
                )
        return bundle


def _files_of(manifest: ArtifactManifest) -> dict[str, str]:
    files: dict[str, Any] = {
        path: record.sha256 for path, record in manifest.files.items()
    }
    return files | {MANIFEST_NAME: manifest.digest.removeprefix("sha256:")}
