"""Which trusted keys speak for the files of a version, wherever they are loaded."""

from __future__ import annotations

from dataclasses import dataclass

from brixa_flows.errors import SignatureError
from brixa_flows.registry.journal import Journal
from brixa_flows.registry.layout import Layout
from brixa_flows.registry.signatures import Signatures
from brixa_flows.registry.trust_records import TrustRecords
from brixa_flows.serializers.manifest import ArtifactManifest
from brixa_flows.serializers.trust import TrustPolicy
from brixa_flows.signing import KeyRing, SignatureCheck
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["Vouchers", "vouchers_for"]


@dataclass(frozen=True)
class Vouchers:
    """Who speaks for a version.

    Attributes:
        signers: Names of trusted keys that signed it, or a person's word for it.
        checks: What each signature of its files is worth.
        problem: Why other signatures do not count; ``""`` if there is none.
    """

    signers: tuple[str, ...] = ()
    checks: tuple[SignatureCheck, ...] = ()
    problem: str = ""


def vouchers_for(
    manifest: ArtifactManifest,
    name: str,
    version: ModelVersion,
    *,
    storage: StorageNode,
    layout: Layout,
    keys: KeyRing,
    policy: TrustPolicy,
) -> Vouchers:
    """Who speaks for the verified files of a version.

    A bundle that can't be read, or is of other files, counts as none; ``problem`` tells.
    Under ``strict`` a signed word is not enough: the files must be signed.
    """
    checks: tuple[SignatureCheck, ...] = ()
    problem = ""
    try:
        checks = Signatures(storage, layout).check(name, version, manifest, keys)
    except SignatureError as err:
        problem = str(err)
    signers = [each.signer for each in checks if each.verdict == "trusted"]
    doubts = [str(each) for each in checks if each.verdict != "trusted"]
    if not signers and policy != "strict":
        records = TrustRecords(Journal(storage, layout), keys)
        signers = list(records.signers(name, version, manifest.digest))
    told = problem or (f"it is {', '.join(doubts)}" if doubts else "")
    return Vouchers(tuple(signers), checks, told)
