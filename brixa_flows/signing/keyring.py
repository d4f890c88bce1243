"""The keys of a person or machine: own ones, those trusted, and those revoked.

::

    NAME.pem                    a private key, readable by its owner alone
    NAME.pub                    a public key: whose signatures are believed here
    revoked/FINGERPRINT.json    never believed again, whatever the date of a signature

A directory of the user's configuration and never beside the models: who could write
both would sign what he likes. The fingerprint is the sha256 of the public key as PEM,
as ``model-signing`` names keys.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from brixa_flows.errors import (
    InvalidNameError,
    MissingExtraError,
    SigningKeyError,
    refuse_blank,
    some_of,
)
from brixa_flows.plugins import import_adapter
from brixa_flows.signing.envelope import Envelope, Signature
from brixa_flows.signing.key_files import (
    check_folder,
    make_folder,
    read_file,
    write_new,
)

__all__ = ["KeyRing", "SignatureCheck", "SigningKey"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_NAME_RULE = (
    "use 1 to 64 letters, digits, dots, dashes, underscores or @, beginning with a "
    "letter or digit"
)
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class SigningKey(BaseModel):
    """A key as this machine knows it.

    Attributes:
        name: What it is called here.
        fingerprint: sha256 of the public key as PEM.
        can_sign: Whether its private part is here too.
        revoked: Why it is not believed any more, ``None`` if it is.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    fingerprint: str
    can_sign: bool
    revoked: str | None = None


class SignatureCheck(BaseModel):
    """What a signature is worth here.

    Attributes:
        signer: Name of the key here, ``""`` if it is not known.
        fingerprint: Of the key, as far as anybody says.
        verdict: ``trusted``; ``revoked``; ``unknown``: by a key that is not trusted
            here; ``wrong``: names a known key that did not make it.
    """

    model_config = ConfigDict(frozen=True)

    signer: str
    fingerprint: str
    verdict: Literal["trusted", "revoked", "unknown", "wrong"]

    def __str__(self) -> str:
        who = self.signer or f"the key {self.fingerprint[:16] or '(no name)'}"
        told = {
            "trusted": f"signed by {who}",
            "revoked": f"signed by {who}, whose key is revoked",
            "unknown": f"signed by {who}, which is not trusted here",
            "wrong": f"the signature of {who} is not over these files",
        }
        return told[self.verdict]


@dataclass(frozen=True)
class _PublicKey:
    name: str
    fingerprint: str
    pem: bytes


@dataclass(frozen=True)
class _PrivateKey:
    name: str
    fingerprint: str
    pem: bytes
    passphrase: str | None

    def sign(self, data: bytes) -> bytes:
        made: bytes = _ecdsa().sign(self.pem, self.passphrase, self.name, data)
        return made


class KeyRing:
    """The keys in a directory; nothing is read before it is asked for.

    Args:
        folder: The directory; made by the first key.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __repr__(self) -> str:
        return f"KeyRing({str(self.folder)!r})"

    def new(self, name: str, passphrase: str | None = None) -> SigningKey:
        """Make a key of one's own, which is trusted here at once.

        Args:
            name: What it is called.
            passphrase: Encrypts the private part.

        Raises:
            SigningKeyError: If there is a key of that name, or it can't be written.
        """
        private = self._path(name, "pem")
        ecdsa = _ecdsa()
        make_folder(self.folder)
        if self._path(name, "pub").exists():
            raise _taken(name)
        pem = ecdsa.new_private_pem(passphrase)
        try:
            write_new(private, pem, 0o600)
        except FileExistsError as err:
            raise _taken(name) from err
        try:
            public = ecdsa.public_pem_of(pem, passphrase, name)
            return self._keep(name, public, can_sign=True)
        except BaseException:
            private.unlink(missing_ok=True)
            raise

    def add(self, file: Path, name: str | None = None) -> SigningKey:
        """Trust a colleague's public key.

        Args:
            file: The public key as PEM.
            name: What it is called here; the file's name if not given.

        Raises:
            SigningKeyError: If it is none, is revoked or known, or the name is taken.
        """
        name = name or file.name.removesuffix(".pem").removesuffix(".pub")
        self._path(name, "pub")
        try:
            data = file.read_bytes()
        except OSError as err:
            raise SigningKeyError(
                str(file), f"can't be read ({err.strerror}); name its public part"
            ) from err
        public = _ecdsa().public_pem(data, str(file))
        fingerprint = _fingerprint(public)
        make_folder(self.folder)
        if fingerprint in self._revoked():
            raise SigningKeyError(
                name, f"({fingerprint[:16]}) was revoked here, which is for ever"
            )
        for known in self._public_keys():
            if known.fingerprint == fingerprint:
                raise SigningKeyError(name, f"is known here already as {known.name!r}")
        return self._keep(name, public, can_sign=False)

    def keys(self) -> list[SigningKey]:
        """Every key, sorted by name; revoked ones too."""
        revoked = self._revoked()
        found = []
        for key in self._public_keys():
            record = revoked.pop(key.fingerprint, None)
            found.append(self._described(key.name, key.fingerprint, record))
        found += [self._described("", each, record) for each, record in revoked.items()]
        return found

    def revoke(
        self, name_or_fingerprint: str, *, reason: str, actor: str
    ) -> SigningKey:
        """Never believe a key again, whatever the date of a signature.

        Args:
            name_or_fingerprint: A key here; the fingerprint of another one works too.
            reason: Why; kept.
            actor: Who decides.

        Raises:
            SigningKeyError: If there is no such key.
            InvalidMetadataError: If actor or reason is blank.
        """
        name, fingerprint = self._find(name_or_fingerprint)
        refuse_blank("actor", actor, f"who revokes the key {name!r}")
        refuse_blank("reason", reason, f"why the key {name!r} is revoked, for ever")
        make_folder(self.folder)
        folder = self.folder / "revoked"
        make_folder(folder)
        record = {
            "name": name,
            "reason": reason,
            "actor": actor,
            "at": datetime.now(UTC).isoformat(),
        }
        path = folder / f"{fingerprint}.json"
        try:
            write_new(path, json.dumps(record, indent=2).encode() + b"\n", 0o644)
        except FileExistsError:
            pass  # the first reason stands
        return self._described(name, fingerprint, self._revoked()[fingerprint])

    def signer(self, name: str, passphrase: str | None = None) -> _PrivateKey:
        """A key of one's own, to sign with.

        Raises:
            SigningKeyError: If there is none, it is revoked, or it can't be read so.
        """
        path = self._path(name, "pem")
        data = read_file(path, secret=True) if check_folder(self.folder) else None
        if data is None:
            mine = [key.name for key in self.keys() if key.can_sign]
            raise SigningKeyError(
                name,
                f"is not in {self.folder}, which has: {some_of(mine)}; make it with: "
                f"brixa key new {name}",
            )
        public = _ecdsa().public_pem_of(data, passphrase, name)
        fingerprint = _fingerprint(public)
        if fingerprint in self._revoked():
            raise SigningKeyError(name, "is revoked; sign with another one")
        return _PrivateKey(name, fingerprint, data, passphrase)

    def check(self, envelope: Envelope) -> tuple[SignatureCheck, ...]:
        """What each signature of an envelope is worth here.

        Raises:
            SigningKeyError: If a key here can't be read.
            MissingExtraError: If the library is not installed and a key is trusted.
        """
        keys, revoked = self._public_keys(), self._revoked()
        data = envelope.signed_bytes
        return tuple(_judged(each, data, keys, revoked) for each in envelope.signatures)

    def _path(self, name: str, kind: str) -> Path:
        given: object = name
        if not isinstance(given, str) or not _NAME.fullmatch(given):
            raise InvalidNameError("key", name, _NAME_RULE)
        return self.folder / f"{name}.{kind}"

    def _keep(self, name: str, public: bytes, *, can_sign: bool) -> SigningKey:
        try:
            write_new(self._path(name, "pub"), public, 0o644)
        except FileExistsError as err:
            raise _taken(name) from err
        return SigningKey(
            name=name, fingerprint=_fingerprint(public), can_sign=can_sign
        )

    def _public_keys(self) -> list[_PublicKey]:
        if not check_folder(self.folder):
            return []
        found = []
        for path in sorted(self.folder.glob("*.pub")):
            data = read_file(path)
            if data is not None:
                public = _ecdsa().public_pem(data, path.name)
                name = path.name.removesuffix(".pub")
                found.append(_PublicKey(name, _fingerprint(public), public))
        return found

    def _revoked(self) -> dict[str, str]:
        """Why, by fingerprint; a record that can't be read revokes all the same."""
        folder = self.folder / "revoked"
        if not check_folder(self.folder) or not check_folder(folder):
            return {}
        return {
            path.name.removesuffix(".json"): _reason_in(path)
            for path in sorted(folder.iterdir())
            if path.name.endswith(".json")
        }

    def _find(self, name_or_fingerprint: str) -> tuple[str, str]:
        keys = self._public_keys()
        for key in keys:
            if name_or_fingerprint in (key.name, key.fingerprint):
                return key.name, key.fingerprint
        if _FINGERPRINT.fullmatch(name_or_fingerprint):
            return "", name_or_fingerprint
        raise SigningKeyError(
            name_or_fingerprint,
            f"is not in {self.folder}, which has: {some_of(key.name for key in keys)}; "
            "name one of these, or a fingerprint of 64 hexadecimal digits",
        )

    def _described(
        self, name: str, fingerprint: str, revoked: str | None
    ) -> SigningKey:
        can_sign = bool(name) and self._path(name, "pem").exists()
        return SigningKey(
            name=name, fingerprint=fingerprint, can_sign=can_sign, revoked=revoked
        )


def _judged(
    signature: Signature,
    data: bytes,
    keys: Iterable[_PublicKey],
    revoked: dict[str, str],
) -> SignatureCheck:
    """Which key made it is found by trying, as the name it gives is only a hint."""
    named = ""
    for key in keys:
        if _ecdsa().verifies(key.pem, signature.value, data):
            verdict = "revoked" if key.fingerprint in revoked else "trusted"
            return _check(key.name, key.fingerprint, verdict)
        if key.fingerprint == signature.fingerprint:
            named = key.name
    if named:
        return _check(named, signature.fingerprint, "wrong")
    verdict = "revoked" if signature.fingerprint in revoked else "unknown"
    return _check("", signature.fingerprint[:64], verdict)


def _check(signer: str, fingerprint: str, verdict: str) -> SignatureCheck:
    return SignatureCheck.model_validate(
        {"signer": signer, "fingerprint": fingerprint, "verdict": verdict}
    )


def _reason_in(path: Path) -> str:
    try:
        content = json.loads(read_file(path) or b"")
        return f"{content['reason']} ({content['actor']}, {content['at'][:10]})"
    except (KeyError, SigningKeyError, TypeError, ValueError):
        return "no reason can be read"


def _fingerprint(public_pem: bytes) -> str:
    return hashlib.sha256(public_pem).hexdigest()


def _taken(name: str) -> SigningKeyError:
    return SigningKeyError(name, "is there already, and stays; take another name")


def _ecdsa() -> Any:
    try:
        return import_adapter("brixa_flows.signing.ecdsa")
    except ModuleNotFoundError as err:
        missing = err.name or "cryptography"
        raise MissingExtraError("signing and verifying", "sign", missing) from err
