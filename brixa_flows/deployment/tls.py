"""The certificate and key files that a deployment is served with."""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from brixa_flows.deployment.values import Value
from brixa_flows.errors import InvalidDeploymentError

__all__ = ["TlsFiles", "read_tls", "server_context"]

_ALLOWED = "give {'certificate': PATH, 'key': PATH}, both PEM files"
_MOST_STEPS = 16


class TlsFiles(Value):
    """A certificate with its chain, and its private key.

    Attributes:
        certificate: PEM file of the certificate, and of those that it hangs on.
        key: PEM file of its private key, without a password.
        fingerprint: SHA-256 of the certificate; another one needs new processes.
        expires_at: When it ends, UTC.
    """

    certificate: str
    key: str
    fingerprint: str
    expires_at: datetime


def read_tls(given: Mapping[str, Any]) -> TlsFiles:
    """Check that the files can be served with, by a handshake in memory.

    Args:
        given: ``certificate`` and ``key``.

    Raises:
        InvalidDeploymentError: If one is missing or can't be read, they don't belong
            together, or the certificate is expired or not for servers.
    """
    if not isinstance(given, Mapping) or set(given) != {"certificate", "key"}:
        raise InvalidDeploymentError(f"tls = {str(given)[:80]!r}: {_ALLOWED}")
    certificate, key = (_readable(name, given[name]) for name in ("certificate", "key"))
    found, end = _handshake(server_context(certificate, key), certificate)
    return TlsFiles(
        certificate=str(certificate),
        key=str(key),
        fingerprint=hashlib.sha256(found).hexdigest(),
        expires_at=end,
    )


def server_context(certificate: str | Path, key: str | Path) -> ssl.SSLContext:
    """What a server encrypts with.

    Raises:
        InvalidDeploymentError: If the files can't be read or don't belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password=lambda: _refuse(key))
    except ssl.SSLError as err:
        raise InvalidDeploymentError(_why(err, certificate, key)) from err
    except OSError as err:
        raise InvalidDeploymentError(
            f"tls: {certificate} or {key} can't be read ({err.strerror})"
        ) from err
    return context


def _readable(name: str, path: object) -> Path:
    if not isinstance(path, str | os.PathLike) or not str(path).strip():
        raise InvalidDeploymentError(f"tls.{name} = {path!r} names no file; {_ALLOWED}")
    file = Path(path).expanduser().absolute()
    try:
        file.read_bytes()
    except OSError as err:
        raise InvalidDeploymentError(
            f"tls.{name}: {file} can't be read ({err.strerror}); {_ALLOWED}"
        ) from err
    return file


def _refuse(key: str | Path) -> str:
    raise InvalidDeploymentError(
        f"tls.key: {key} is encrypted, and nobody is there to give the password when a "
        "replica starts; give a key without one, readable by you alone"
    )


def _why(err: ssl.SSLError, certificate: str | Path, key: str | Path) -> str:
    if err.reason == "KEY_VALUES_MISMATCH":
        return f"tls.key: {key} is not the key of the certificate {certificate}"
    return (
        f"tls: {certificate} and {key} are not a certificate and its key in PEM "
        f"({err.reason or err})"
    )


def _handshake(server: ssl.SSLContext, certificate: Path) -> tuple[bytes, datetime]:
    """Greet a server with these files as a client would who trusts the certificate."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname=None)
    answering = server.wrap_bio(there, back, server_side=True)
    try:
        for _ in range(_MOST_STEPS):
            if all([_step(asking), _step(answering)]):
                break
    except ssl.SSLCertVerificationError as err:
        raise InvalidDeploymentError(
            f"tls.certificate: {certificate} would be refused by clients: "
            f"{err.verify_message}"
        ) from err
    facts = asking.getpeercert() or {}
    found = asking.getpeercert(binary_form=True) or b""
    seconds = ssl.cert_time_to_seconds(str(facts["notAfter"]))
    return found, datetime.fromtimestamp(seconds, UTC)


def _step(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
