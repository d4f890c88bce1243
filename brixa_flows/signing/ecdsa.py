"""ECDSA on the curve P-256 with SHA-256, and its keys as PEM."""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from brixa_flows.errors import SigningKeyError

__all__ = ["new_private_pem", "public_pem", "public_pem_of", "sign", "verifies"]

_ALGORITHM = ec.ECDSA(hashes.SHA256())
_UNREADABLE = (ValueError, UnsupportedAlgorithm)


def new_private_pem(passphrase: str | None) -> bytes:
    """A new private key as PKCS #8, encrypted if there is a passphrase."""
    encryption = (
        BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    )
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def public_pem(data: bytes, label: str) -> bytes:
    """The public key in ``data``, in the one way to write it.

    Raises:
        SigningKeyError: If it is no public key on P-256.
    """
    if b"PRIVATE KEY-----" in data:
        raise SigningKeyError(
            label, "is a private one; give its public part, the file that ends in .pub"
        )
    try:
        return _written(load_pem_public_key(data), label)
    except _UNREADABLE as err:
        raise SigningKeyError(label, f"is no public key as PEM ({err})") from err


def public_pem_of(private_pem: bytes, passphrase: str | None, label: str) -> bytes:
    """The public part of a private key.

    Raises:
        SigningKeyError: If it can't be read so, or is not on P-256.
    """
    return _written(_private(private_pem, passphrase, label).public_key(), label)


def sign(private_pem: bytes, passphrase: str | None, label: str, data: bytes) -> bytes:
    """Sign ``data``.

    Raises:
        SigningKeyError: If the key can't be read so, or is not on P-256.
    """
    return _private(private_pem, passphrase, label).sign(data, _ALGORITHM)


def verifies(public_pem: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the holder of the key signed ``data``."""
    key = load_pem_public_key(public_pem)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(signature, data, _ALGORITHM)
    except InvalidSignature:
        return False
    return True


def _private(
    pem: bytes, passphrase: str | None, label: str
) -> ec.EllipticCurvePrivateKey:
    encrypted = b"ENCRYPTED" in pem
    if encrypted and not passphrase:
        raise SigningKeyError(
            label,
            "is encrypted; name the variable that holds its passphrase with "
            "--passphrase-env (or give passphrase=)",
        )
    try:
        secret = passphrase.encode() if encrypted and passphrase else None
        key = load_pem_private_key(pem, secret)
    except (TypeError, *_UNREADABLE) as err:
        wrong = "can't be decrypted with this passphrase, or is damaged"
        reason = wrong if encrypted else f"is no private key as PEM ({err})"
        raise SigningKeyError(label, reason) from err
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _other_kind(label)
    _check_curve(key.curve, label)
    return key


def _written(key: object, label: str) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _other_kind(label)
    _check_curve(key.curve, label)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _check_curve(curve: ec.EllipticCurve, label: str) -> None:
    if not isinstance(curve, ec.SECP256R1):
        raise SigningKeyError(
            label,
            f"is on the curve {curve.name}, and P-256 (secp256r1) alone is supported; "
            "make one with brixa key new",
        )


def _other_kind(label: str) -> SigningKeyError:
    return SigningKeyError(
        label, "is no elliptic curve key; make one with brixa key new"
    )
