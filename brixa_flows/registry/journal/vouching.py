"""Which trusted keys speak for the files of a version, wherever they are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from brixa_flows.errors import SettingsError, SignatureError
from brixa_flows.registry.journal.journal import Journal
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.journal.signatures import Signatures
from brixa_flows.registry.journal.trust_records import TrustRecords
from brixa_flows.serializers.manifest import ArtifactManifest
from brixa_flows.serializers.trust import TrustPolicy
from brixa_flows.settings import BrixaSettings
from brixa_flows.signing import KeyRing, SignatureCheck
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

__all__ = ["Vouchers", "keys_of", "vouchers_for"]


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


def keys_of(settings: BrixaSettings, root: Path | None) -> KeyRing:
    """Whose signatures are believed on what is in a storage.

    Args:
        settings: They name the folder of the keys.
        root: Of the storage, if it is a folder of this machine.

    Raises:
        SettingsError: If the keys lie in the storage: who writes there could trust
            himself.
    """
    folder = settings.keys_folder
    if root is not None and folder.resolve().is_relative_to(root.resolve()):
        raise SettingsError(
            "BRXA_KEYS_PATH",
            f"= {str(folder)!r} lies in the storage {root}, so who can write models "
            "could trust himself; name a folder elsewhere",
        )
    return KeyRing(folder)


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
    if doubts and not problem:
        problem = f"its signature does not count: {', '.join(doubts)}"
    return Vouchers(tuple(signers), checks, problem)
