"""What may be executed on load, and the one wording of the warning about it.

The tier that counts is what the installed plug-in declares of the format, never what
the artifact says: a manifest that calls its pickle ``data`` stays a pickle.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from typing import Literal, TypeAlias

from brixa_flows.errors import (
    DamagedArtifactError,
    InsecureSerializationWarning,
    SettingsError,
    UntrustedArtifactError,
)
from brixa_flows.plugins import SERIALIZERS
from brixa_flows.serializers.base import SavedModel, Tier
from brixa_flows.serializers.callers import callers_level
from brixa_flows.serializers.held import Reading
from brixa_flows.serializers.manifest import MANIFEST_NAME, ArtifactManifest

__all__ = [
    "TrustPolicy",
    "check_trust",
    "depends_on_signature",
    "reading_of",
    "tier_of",
    "warn_insecure",
]

TrustPolicy: TypeAlias = Literal["default", "strict", "open"]

_DATA_FORMATS = "safetensors, .keras, ONNX, and format='skops' for scikit-learn"
_REMEDY_ON_LOAD = (
    "load it only if you trust who could write it, or save the model in a format that "
    f"holds data only ({_DATA_FORMATS})"
)
_REMEDY_ON_SAVE = (
    "who loads it must trust who could write it; formats that hold data only are "
    f"{_DATA_FORMATS}"
)

_BY_REFERENCE = (
    "the files of the model stay at {}, and only their digests are saved: each load "
    "fetches them, refuses others, and can run any code in them, so who loads it must "
    "trust who wrote them; once they are gone or changed nobody can load it; register it "
    "without copy=False (--reference) to keep a copy"
)


def tier_of(saved: SavedModel) -> Tier:
    """Whether loading runs stored code, by what the installed plug-in declares.

    Raises:
        UnknownPluginError: If no such serializer is installed.
    """
    formats = SERIALIZERS.get(saved.serializer).data_formats
    return "data" if saved.format in formats else "code"


def reading_of(saved: SavedModel) -> Reading:
    """How the files of a format are to be held while they are read.

    Raises:
        UnknownPluginError: If no such serializer is installed.
    """
    if tier_of(saved) == "data":
        return "data"
    checked = SERIALIZERS.get(saved.serializer).checked_formats
    return "checked code" if saved.format in checked else "code"


def check_trust(
    manifest: ArtifactManifest,
    *,
    recorded_digest: str | None,
    policy: TrustPolicy = "default",
    trust: Literal["code"] | None = None,
    signers: Collection[str] = (),
    problem: str = "",
) -> None:
    """Decide whether a version may be loaded; returns if it may.

    Call it after ``verify_manifest`` and before ``load_model_files``. A version in a
    format that runs code warns with ``InsecureSerializationWarning`` and loads by the
    policy: ``default`` if its digest is the one recorded when it was saved here, a
    trusted key signed it, or ``trust="code"``; ``strict`` only if a trusted key signed
    it; ``open`` always. A data format that names a class outside of the allow-listed
    libraries follows the same rule without the warning, because loading imports that
    class.

    Args:
        manifest: The verified manifest.
        recorded_digest: What the tracking backend recorded at save, if anything.
        policy: ``BRXA_TRUST_POLICY``.
        trust: ``"code"`` if the caller vouches for it in this call.
        signers: Names of trusted keys with a valid signature of this manifest; needed
            only where :func:`depends_on_signature`.
        problem: Why other signatures do not count, for the message.

    Raises:
        DamagedArtifactError: If the digest is not the recorded one, in either tier.
        UntrustedArtifactError: If the policy forbids to load it; says what to do.
        SettingsError: If ``policy`` or ``trust`` is none of the above.
    """
    if recorded_digest is not None and recorded_digest != manifest.digest:
        raise DamagedArtifactError(
            manifest.label,
            MANIFEST_NAME,
            f"has digest {manifest.digest}, but {recorded_digest} was recorded when "
            "the version was saved",
        )
    needed = depends_on_signature(
        manifest, recorded_digest=recorded_digest, policy=policy, trust=trust
    )
    if needed and not signers:
        raise _refused(policy, manifest, problem or "it has no signature")
    if tier_of(manifest.saved) == "code":
        warn_insecure(manifest.saved, "load", manifest.label)


def depends_on_signature(
    manifest: ArtifactManifest,
    *,
    recorded_digest: str | None,
    policy: TrustPolicy = "default",
    trust: Literal["code"] | None = None,
) -> bool:
    """Whether nothing but a signature by a trusted key lets this version load.

    Raises:
        SettingsError: If ``policy`` or ``trust`` is none of the known ones.
    """
    if policy not in ("default", "strict", "open"):
        raise SettingsError(
            "BRXA_TRUST_POLICY", f"= {policy!r} is not default, strict or open"
        )
    if trust not in (None, "code"):
        raise SettingsError("trust", f"= {trust!r} is not 'code' or None")
    vouched = recorded_digest is not None or trust == "code"
    if policy == "open" or (policy == "default" and vouched):
        return False
    return _what_runs(manifest.saved) is not None


def warn_insecure(saved: SavedModel, action: Literal["save", "load"], of: str) -> None:
    """Warn about a format that can run code: the one wording, at the user's line.

    Args:
        saved: What was written; ``config["because"]`` adds why no safer format did.
        action: Whether it was just written or is about to be read.
        of: The model, for the message.
    """
    if action == "save" and "location" in saved.config:
        message = _BY_REFERENCE.format(saved.config["location"])
        warnings.warn(message, InsecureSerializationWarning, stacklevel=callers_level())
        return
    because = saved.config.get("because") if action == "save" else None
    remedy = _REMEDY_ON_SAVE if action == "save" else _REMEDY_ON_LOAD
    verb = "is saved" if action == "save" else "is loaded"
    message = (
        f"{of} {verb} as {saved.entry} in the format {saved.format}, which can run any "
        f"code when it is loaded"
        + (f" (safer was not possible: {because})" if because else "")
        + f"; {remedy}"
    )
    warnings.warn(message, InsecureSerializationWarning, stacklevel=callers_level())


def _what_runs(saved: SavedModel) -> str | None:
    """What of it can run code, ``None`` if nothing can."""
    if tier_of(saved) == "code":
        return f"its {saved.entry} in the format {saved.format}"
    foreign = _foreign_class(saved)
    return None if foreign is None else f"the class {foreign}"


def _refused(
    policy: TrustPolicy, manifest: ArtifactManifest, problem: str
) -> UntrustedArtifactError:
    who, what = manifest.label, _what_runs(manifest.saved)
    ref = who.replace(" ", "@")
    why = "BRXA_TRUST_POLICY=strict asks for a valid signature by a trusted key"
    remedy = (
        f"check where it comes from, then sign it with: brixa model sign {ref} --key "
        "YOURS (brixa key list shows whom this machine trusts)"
    )
    if policy == "default":
        why = "no digest was recorded when it was saved here"
        remedy = (
            "check where it comes from, then let a trusted person sign it (brixa model "
            f"sign {ref} --key YOURS) or vouch for it (brixa trust {ref} --actor YOU "
            "--reason WHY), or load it with trust='code'"
        )
    return UntrustedArtifactError(
        f"{who} is not loaded: {what} can run code, {why}, and {problem}; {remedy}",
        what=what,
        policy=policy,
        problem=problem,
    )


def _foreign_class(saved: SavedModel) -> str | None:
    """The first class a data format names that no allow-listed library brings."""
    packages = SERIALIZERS.get(saved.serializer).class_packages
    classes = saved.config.get("classes", ())
    if not isinstance(classes, (list, tuple)):
        return repr(classes)[:200]
    for path in classes:
        module = str(path).partition(":")[0] + "."
        if not any(module.startswith(f"{package}.") for package in packages):
            return str(path)
    return None
