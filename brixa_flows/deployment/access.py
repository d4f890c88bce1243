"""Who may ask a deployment: bearer keys, of which only hashes are kept.

A key is 256 random bits, so one round of SHA-256 hides it as well as a slow hash would;
what is weak enough to be guessed is refused when it is given.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime

from brixa_flows.deployment.values import Value
from brixa_flows.errors import InvalidDeploymentError

__all__ = [
    "NOBODY",
    "Access",
    "ApiKey",
    "check_key_name",
    "is_loopback",
    "make_keys",
    "new_api_key",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{24,512}")
_RANDOM_BYTES = 32
_MOST_KEYS = 256
# Of no key: a hash has 64 digits.
NOBODY = "nobody"


class ApiKey(Value):
    """One who may ask.

    Attributes:
        name: Whose key it is; it is revoked by this name.
        digest: SHA-256 of the key, in hexadecimal digits.
        created_at: When it was given, UTC.
    """

    name: str
    digest: str
    created_at: datetime


def new_api_key() -> str:
    """A key that nobody has: 256 random bits."""
    return f"brixa_{secrets.token_urlsafe(_RANDOM_BYTES)}"


def make_keys(
    kept: Iterable[ApiKey], given: Mapping[str, str], now: datetime
) -> tuple[ApiKey, ...]:
    """The keys with those that are given; of the same name, the given one stays.

    Args:
        kept: Those that are there.
        given: Key by name.
        now: Aware UTC time.

    Raises:
        InvalidDeploymentError: If a name or key can't be one. The key is not told.
    """
    if not isinstance(given, Mapping):
        raise InvalidDeploymentError(
            f"api_keys is a {type(given).__name__}; give keys by whose they are, such as "
            "{'clinic': new_api_key()}"
        )
    keys = {key.name: key for key in kept}
    for name, text in given.items():
        digest = _digest_of(_checked(name, text))
        if name not in keys or keys[name].digest != digest:
            keys[name] = ApiKey(name=name, digest=digest, created_at=now)
    if len(keys) > _MOST_KEYS:
        raise InvalidDeploymentError(
            f"{len(keys)} keys are too many: each request is compared with all of them; "
            f"revoke some, {_MOST_KEYS} are allowed"
        )
    return tuple(keys.values())


def check_key_name(name: object) -> str:
    """Return ``name`` if a key may have it.

    Raises:
        InvalidDeploymentError: If it may not, with the rule.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidDeploymentError(
            f"{str(name)[:40]!r} can't be the name of a key: up to 64 letters, digits, "
            "dots, dashes and underscores, beginning with a letter or digit"
        )
    return name


def _checked(name: object, text: object) -> bytes:
    name = check_key_name(name)
    if not isinstance(text, str) or not _KEY.fullmatch(text):
        raise InvalidDeploymentError(
            f"the key {name!r} can be guessed or can't be sent: give 24 to 512 random "
            "letters, digits and ._~+/=-, such as new_api_key() makes"
        )
    return text.encode()


def _digest_of(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()


def is_loopback(host: str) -> bool:
    """Can nobody but this machine reach a server that binds this address?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Access:
    """Judges what a request shows: the same for REST and any other protocol.

    Args:
        digests: Of the keys; without any, everybody is let in.
    """

    def __init__(self, digests: Iterable[str] = ()) -> None:
        self._digests = tuple(digests)

    @property
    def asks(self) -> bool:
        """Is there any key?"""
        return bool(self._digests)

    def refusal(self, authorization: bytes | str | None) -> str | None:
        """Why a request is refused, as a sentence; ``None`` if it is let in.

        Args:
            authorization: Its header (or metadata) of that name.
        """
        if not self._digests:
            return None
        if authorization is None:
            return (
                "authorization: this deployment asks for a key; send the header "
                "'Authorization: Bearer KEY' (BRXA_API_KEY for our own client)"
            )
        if isinstance(authorization, str):
            authorization = authorization.encode("utf-8", "replace")
        scheme, _, key = authorization.strip().partition(b" ")
        if scheme.lower() != b"bearer" or not key.strip():
            return "authorization: send 'Bearer KEY', and nothing else"
        digest = _digest_of(key.strip())
        # All of them, so that the time tells nothing of which one was close.
        matches = [hmac.compare_digest(digest, each) for each in self._digests]
        if any(matches):
            return None
        return "authorization: this key is not known here; it may have been revoked"
