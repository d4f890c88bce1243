"""Who vouches for files: keys, signatures, and bundles that others can check.

::

    keyring     the keys of a person or machine: own, trusted, revoked
    envelope    DSSE: a statement and the signatures below it
    bundle      OpenSSF model-signing's bundle: a statement on files
    ecdsa       the one file that imports ``cryptography`` (extra ``sign``)

Independent of the other rooms: what is signed comes in as names and digests.
"""

from brixa_flows.signing.bundle import SignatureBundle
from brixa_flows.signing.envelope import Envelope, Signature, Signer
from brixa_flows.signing.keyring import KeyRing, SignatureCheck, SigningKey

__all__ = [
    "Envelope",
    "KeyRing",
    "Signature",
    "SignatureBundle",
    "SignatureCheck",
    "Signer",
    "SigningKey",
]
