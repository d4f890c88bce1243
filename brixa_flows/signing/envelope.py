"""DSSE envelopes around in-toto statements: what is said, and who signed it.

The formats are those of secure-systems-lab/dsse 1.0.0 and in-toto/attestation v1.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from brixa_flows.errors import SignatureError

__all__ = ["Envelope", "Signature", "Signer", "read_json"]

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
_SIGNATURES_AT_MOST = 64


class Signer(Protocol):
    """Somebody who can sign.

    Attributes:
        fingerprint: Of the public key.
    """

    @property
    def fingerprint(self) -> str:
        """Of the public key."""
        ...

    def sign(self, data: bytes) -> bytes:
        """The signature of ``data``."""
        ...


@dataclass(frozen=True)
class Signature:
    """One signature.

    Attributes:
        fingerprint: Of the key it claims to be made with; only a hint.
        value: Its bytes.
    """

    fingerprint: str
    value: bytes


@dataclass(frozen=True)
class Envelope:
    """A statement and its signatures.

    Attributes:
        payload: The statement, JSON, byte for byte as it was signed.
        signatures: Each over the same bytes.
    """

    payload: bytes
    signatures: tuple[Signature, ...] = ()

    @classmethod
    def of(
        cls,
        subject: str,
        sha256: str,
        predicate_type: str,
        predicate: Mapping[str, Any],
    ) -> Envelope:
        """An unsigned statement on one subject.

        Args:
            subject: Its name.
            sha256: Its digest, 64 hexadecimal digits.
            predicate_type: URI of what kind of thing is said.
            predicate: What is said, JSON.
        """
        statement = {
            "_type": _STATEMENT_TYPE,
            "subject": [{"name": subject, "digest": {"sha256": sha256}}],
            "predicateType": predicate_type,
            "predicate": predicate,
        }
        return cls(json.dumps(statement, allow_nan=False).encode())

    @property
    def signed_bytes(self) -> bytes:
        """What a signature covers: type and payload (DSSE's PAE)."""
        kind = _PAYLOAD_TYPE.encode()
        return b"DSSEv1 %d %s %d %s" % (
            len(kind),
            kind,
            len(self.payload),
            self.payload,
        )

    def signed_by(self, signer: Signer) -> Envelope:
        """With one signature more; another one by the same key is replaced."""
        made = Signature(signer.fingerprint, signer.sign(self.signed_bytes))
        others = [
            each for each in self.signatures if each.fingerprint != made.fingerprint
        ]
        return replace(self, signatures=(*others, made))

    def statement(self, predicate_type: str) -> tuple[str, str, dict[str, Any]]:
        """What is said: name and sha256 of the subject, and the predicate.

        Raises:
            ValueError: If it is no statement of that kind on one subject.
        """
        content = read_json(self.payload)
        try:
            if content["_type"] != _STATEMENT_TYPE:
                raise ValueError(f"its statement is of type {content['_type']!r:.80}")
            if content["predicateType"] != predicate_type:
                kind = content["predicateType"]
                raise ValueError(f"it is a statement of the kind {kind!r:.80}")
            [subject] = content["subject"]
            name, sha256 = subject["name"], subject["digest"]["sha256"]
            predicate = content["predicate"]
        except (KeyError, TypeError) as err:
            raise ValueError("its statement is incomplete") from err
        if not isinstance(predicate, dict):
            raise ValueError("its statement is incomplete")
        return str(name), str(sha256), predicate

    def to_json(self) -> dict[str, Any]:
        """As DSSE writes it."""
        return {
            "payload": _text(self.payload),
            "payloadType": _PAYLOAD_TYPE,
            "signatures": [
                {"sig": _text(each.value), "keyid": each.fingerprint}
                for each in self.signatures
            ],
        }

    @classmethod
    def from_json(cls, content: Any, where: str, hint: str = "") -> Envelope:
        """What :meth:`to_json` wrote, or another program.

        Args:
            content: Parsed JSON.
            where: For messages.
            hint: Fingerprint of the first signature where it names none.

        Raises:
            SignatureError: If it is none.
        """
        try:
            kind, listed = content["payloadType"], content["signatures"]
            signatures = tuple(
                Signature(
                    str(each.get("keyid") or (hint if index == 0 else "")),
                    _bytes(each["sig"]),
                )
                for index, each in enumerate(listed[: _SIGNATURES_AT_MOST + 1])
            )
            envelope = cls(_bytes(content["payload"]), signatures)
        except (AttributeError, KeyError, TypeError, ValueError) as err:
            raise SignatureError(where, "holds no signed statement (DSSE)") from err
        if kind != _PAYLOAD_TYPE:
            raise SignatureError(where, f"holds {kind!r:.80}, not {_PAYLOAD_TYPE}")
        if not 0 < len(signatures) <= _SIGNATURES_AT_MOST:
            reason = f"holds no signature, or more than {_SIGNATURES_AT_MOST}"
            raise SignatureError(where, reason)
        return envelope


def read_json(data: bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: If it is none, or nested too deeply.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as err:
        raise ValueError("it is no JSON") from err


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
