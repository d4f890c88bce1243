"""OpenSSF model-signing's bundle: one statement on every file, and who signed it.

A Sigstore bundle (v0.3) with a DSSE envelope over an in-toto statement of the type
``https://model_signing/signature/v1.0``, as the ``model-signing`` package 1.x writes and
reads it with keys of its own. It looks at the first signature of a bundle alone; the
envelope may carry more, each with the fingerprint of its key as ``keyid``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from brixa_flows.errors import SignatureError
from brixa_flows.signing.envelope import Envelope, Signer, read_json

__all__ = ["BUNDLE_BYTES_AT_MOST", "SignatureBundle"]

BUNDLE_BYTES_AT_MOST = 32 * 2**20
_MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
_PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class SignatureBundle:
    """A statement on files, with signatures.

    Attributes:
        envelope: Statement and signatures.
        where: Where it was read, for messages.
    """

    envelope: Envelope
    where: str

    @classmethod
    def of_files(
        cls, subject: str, files: Mapping[str, str], ignored: tuple[str, ...] = ()
    ) -> SignatureBundle:
        """An unsigned bundle.

        Args:
            subject: What the files are together; informative.
            files: sha256 in hexadecimal by ``/``-separated relative path.
            ignored: Paths that a verifier passes over, should they appear.
        """
        listed = sorted(files.items(), key=lambda item: item[0].split("/"))
        predicate = {
            "serialization": {
                "method": "files",
                "hash_type": "sha256",
                "allow_symlinks": False,
                "ignore_paths": list(ignored),
            },
            "resources": [
                {"name": path, "algorithm": "sha256", "digest": digest}
                for path, digest in listed
            ],
        }
        root = _root_digest(digest for _, digest in listed)
        return cls(Envelope.of(subject, root, _PREDICATE_TYPE, predicate), "new")

    @classmethod
    def from_bytes(cls, data: bytes, where: str) -> SignatureBundle:
        """A bundle as it was stored, by this or another program.

        Raises:
            SignatureError: If it is none; nothing of it is believed yet.
        """
        if len(data) > BUNDLE_BYTES_AT_MOST:
            raise too_large(where, len(data))
        try:
            content = read_json(data)
            kind = content["mediaType"]
            key = content["verificationMaterial"].get("publicKey") or {}
            hint = str(key.get("hint") or "")
            envelope = content["dsseEnvelope"]
        except (AttributeError, KeyError, TypeError, ValueError) as err:
            reason = "is no Sigstore bundle (cut, or something else); remove it, then sign again"
            raise SignatureError(where, reason) from err
        if kind != _MEDIA_TYPE:
            raise SignatureError(where, f"is {kind!r:.80}, not {_MEDIA_TYPE}")
        return cls(Envelope.from_json(envelope, where, hint), where)

    def to_bytes(self) -> bytes:
        """As it is stored, readable by ``model-signing``."""
        first = self.envelope.signatures[0].fingerprint
        content = {
            "mediaType": _MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": first}, "tlogEntries": []},
            "dsseEnvelope": self.envelope.to_json(),
        }
        return json.dumps(content, indent=2).encode() + b"\n"

    def signed_by(self, signer: Signer) -> SignatureBundle:
        """With one signature more."""
        return replace(self, envelope=self.envelope.signed_by(signer))

    def files(self) -> dict[str, str]:
        """sha256 by path of every file that the statement is on.

        Raises:
            SignatureError: If it is no statement on whole files by their sha256.
        """
        try:
            _, root, predicate = self.envelope.statement(_PREDICATE_TYPE)
            how, resources = predicate["serialization"], predicate["resources"]
            if (how["method"], how["hash_type"]) != ("files", "sha256"):
                raise ValueError(
                    f"it hashes {how['method']!r:.40} by {how['hash_type']!r:.40}; sign "
                    "whole files by sha256, the default of model-signing"
                )
            files = dict(map(_resource, resources))
        except (KeyError, TypeError) as err:
            raise SignatureError(
                self.where, "can't be used: its statement is incomplete"
            ) from err
        except ValueError as err:
            raise SignatureError(self.where, f"can't be used: {err}") from err
        if len(files) != len(resources) or root != _root_digest(files.values()):
            raise SignatureError(self.where, "contradicts itself in what it lists")
        return files


def too_large(where: str, size_bytes: int) -> SignatureError:
    """A file of that size is not even read."""
    return SignatureError(
        where,
        f"has {size_bytes} bytes, and a bundle has at most {BUNDLE_BYTES_AT_MOST}; "
        "remove it",
    )


def _resource(listed: Any) -> tuple[str, str]:
    name, digest = listed["name"], listed["digest"]
    if listed["algorithm"] != "sha256" or not _SHA256.fullmatch(digest):
        raise ValueError(f"its digest of {name!r:.80} is no sha256")
    return str(name), digest


def _root_digest(digests: Any) -> str:
    """The digest of all digests in their order, as ``model-signing`` defines it."""
    joined = b"".join(bytes.fromhex(each) for each in digests)
    return hashlib.sha256(joined).hexdigest()
