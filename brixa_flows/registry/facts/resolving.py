"""From what a person writes (``production``, ``^1.2``, ``latest`` ...) to one version."""

from __future__ import annotations

import re
from collections.abc import Callable

from brixa_flows.errors import (
    DamagedArtifactError,
    InvalidConstraintError,
    InvalidNameError,
    InvalidVersionError,
    ModelNotSavedError,
    VersionNotFoundError,
    some_of,
)
from brixa_flows.registry.facts.metadata import Stage
from brixa_flows.registry.facts.stages import NOBODY, STAGES
from brixa_flows.registry.facts.standing import Standing
from brixa_flows.versioning import ModelVersion, VersionConstraint

__all__ = [
    "Spec",
    "again",
    "check_alias",
    "check_spec",
    "exact",
    "refuse_doubt",
    "refuse_unusable",
    "resolve",
]

Spec = ModelVersion | str | None

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,128}")
_RESERVED = ("latest", NOBODY, "x")
_SPEC_RULE = (
    "write a version (1.2.0), a constraint (^1.2, ~1.2, '>=1.0 <2.0'), a stage (staging, "
    "production), latest, or an alias of yours (letters, digits, dashes, underscores)"
)
_NUMBER = re.compile(r"v?[0-9]+", re.IGNORECASE)
"""``v1`` is MLflow's own way to name its first version, ``1`` a constraint."""


def exact(spec: Spec) -> ModelVersion | None:
    """The version that ``spec`` writes out, ``None`` if it is another kind of spec."""
    if spec is None or isinstance(spec, ModelVersion):
        return spec
    try:
        return ModelVersion.parse(spec)
    except InvalidVersionError:
        return None


def resolve(standing: Standing, spec: Spec) -> ModelVersion:
    """The one ready version that ``spec`` means.

    Tried in this order: exact version, stage, own alias, ``latest``, constraint. No
    spec means production if there is one, else what ``latest`` means: the highest
    stable version, else the highest pre-release. Archived versions answer only to
    their exact version or an alias.

    Raises:
        ModelNotSavedError: If what it means was registered but never saved.
        VersionNotFoundError: If nothing answers to it.
        DamagedArtifactError: If a file of the version that it names is damaged;
            ``latest`` and constraints pass over such versions.
        InvalidConstraintError: If it can't be read at all.
    """
    version = exact(spec)
    if version is not None:
        return _ready(standing, version, str(spec))
    if spec is None:
        refuse_doubt(standing, "production")
        holder = standing.lifecycle.holder("production")
        if holder is not None:
            return _ready(standing, holder, "production")
        return _latest(standing, "latest")
    text = str(spec).strip()
    if not text:
        reason = "it is blank; give none for production, or latest"
        raise InvalidConstraintError(spec, reason)
    stage = next((each for each in STAGES if each == text), None)
    if stage is not None:
        return _staged(standing, stage)
    if text in standing.lifecycle.aliases:
        refuse_doubt(standing, text)
        return _ready(standing, standing.lifecycle.aliases[text], text)
    if text == "latest":
        return _latest(standing, text)
    return _constrained(standing, text)


def _ready(standing: Standing, version: ModelVersion, spec: str) -> ModelVersion:
    refuse_unusable(standing, version, spec)
    if standing.listed_state(version) == "registered":
        there = standing.published(version)
        raise ModelNotSavedError(standing.name, version, published=there)
    return version


def refuse_unusable(standing: Standing, version: ModelVersion, spec: str) -> None:
    """Go on if a version is registered or ready.

    Args:
        standing: Of the model.
        version: The version.
        spec: What it was asked for by.

    Raises:
        VersionNotFoundError: If it is unknown, deleted or quarantined.
        DamagedArtifactError: If a file of it is damaged.
    """
    name = standing.name
    if not standing.has(version):
        # Its claim and seal may be lost, and a stage or alias name it all the same.
        named = version in (
            *standing.lifecycle.stages,
            *standing.lifecycle.aliases.values(),
        )
        damage = standing.look(version, False) if named else None
        if damage is None:
            raise VersionNotFoundError(name, spec, standing.ready)
        raise _asked_by(damage, spec, version)
    listed = standing.listed_state(version)
    if listed == "deleted":
        hint = standing.lifecycle.why_deleted(version)
        raise VersionNotFoundError(name, spec, standing.ready, hint)
    if listed == "quarantined":
        hint = standing.why_quarantined(version)
        raise VersionNotFoundError(name, spec, standing.ready, hint)
    damage = standing.damage(version)
    if damage is not None:
        raise _asked_by(damage, spec, version)


def _asked_by(
    damage: DamagedArtifactError, spec: str, version: ModelVersion
) -> DamagedArtifactError:
    """What is damaged, with the word that the version was asked for by."""
    if spec in (str(version), version.core):
        return damage
    where, file, reason, remedy = (
        str(damage.facts[key]) for key in ("where", "file", "reason", "remedy")
    )
    return DamagedArtifactError(f"{spec} is {where}", file, reason, remedy)


def _staged(standing: Standing, stage: Stage) -> ModelVersion:
    if stage == "archived":
        raise VersionNotFoundError(
            standing.name,
            stage,
            standing.ready,
            "many versions may be archived; name one exactly",
        )
    refuse_doubt(standing, stage)
    holder = standing.lifecycle.holder(stage)
    if holder is not None:
        return _ready(standing, holder, stage)
    raise VersionNotFoundError(
        standing.name, stage, standing.ready, f"nothing is in {stage}"
    )


def refuse_doubt(standing: Standing, word: str) -> None:
    """Better no version than the wrong one, where a record that may tell is lost.

    Raises:
        VersionNotFoundError: If nobody knows who has that stage or own alias.
    """
    lost = standing.lifecycle.doubt(word)
    if lost is not None:
        raise VersionNotFoundError(
            standing.name,
            word,
            standing.ready,
            f"{lost.key} can't be read, so nobody knows who is {word}; restore it, "
            f"say it again with {again(standing.name, 'VERSION', word)}, or name a "
            "version exactly",
        )


def again(name: str, version: str | None, word: str) -> str:
    """The command that says anew which version has a stage or own alias."""
    if word in STAGES:
        return f"brixa model transition {name}@{version} {word} --reason WHY"
    return f"registry.set_alias({name!r}, {word!r}, {version!r})"


def _latest(standing: Standing, spec: str) -> ModelVersion:
    latest = standing.latest()
    if latest is not None:
        return latest
    for version in filter(standing.is_listed_current, reversed(standing.claimed)):
        refuse_unusable(standing, version, spec)  # says what is damaged of the highest
    ready = standing.ready
    if ready:
        raise VersionNotFoundError(
            standing.name, spec, ready, "all are archived; name one exactly"
        )
    waiting = [
        each for each in standing.claimed if standing.state(each) == "registered"
    ]
    if waiting:
        there = standing.published(waiting[-1])
        raise ModelNotSavedError(standing.name, waiting[-1], published=there)
    raise VersionNotFoundError(standing.name, spec)


def _constrained(standing: Standing, text: str) -> ModelVersion:
    try:
        constraint = VersionConstraint.parse(text)
    except InvalidConstraintError as err:
        if not _WORD.fullmatch(text):
            raise
        refuse_doubt(standing, text)
        own = some_of(sorted(standing.lifecycle.aliases))
        raise VersionNotFoundError(
            standing.name,
            text,
            standing.ready,
            f"it is no version, stage, constraint or alias (own aliases: {own})",
        ) from err
    highest = constraint.highest(standing.claimed, standing.is_current)
    if highest is None:
        damaged = constraint.highest(standing.claimed, standing.is_listed_current)
        if damaged is not None:
            refuse_unusable(standing, damaged, text)
        passed = [
            f"{each} is {_why_not(standing, each)}"
            for each in reversed(constraint.select(standing.claimed))
        ]
        hint = f"passed over: {some_of(passed)}" if passed else ""
        raise VersionNotFoundError(standing.name, text, standing.ready, hint)
    return highest


def _why_not(standing: Standing, version: ModelVersion) -> str:
    """Why a version that a constraint allows is not what it means."""
    state = standing.state(version)
    if state == "registered":
        return "registered and not saved"
    return "archived" if state == "ready" else state


def check_alias(alias: object) -> str:
    """Return ``alias`` if a person may use it for a version.

    Raises:
        InvalidNameError: If it may not; says why.
    """
    if not isinstance(alias, str) or not _ALIAS.fullmatch(alias):
        raise InvalidNameError(
            "alias", alias, "use 1 to 128 letters, digits, dashes or underscores"
        )
    lowered = alias.lower()
    if lowered in STAGES:
        raise InvalidNameError("alias", alias, "it is a stage; use transition()")
    if lowered in _RESERVED or _NUMBER.fullmatch(alias):
        reason = "latest, none, x, numbers and v1, v2 ... are reserved"
        raise InvalidNameError("alias", alias, reason)
    try:
        VersionConstraint.parse(alias)
    except InvalidConstraintError:
        return alias
    raise InvalidNameError("alias", alias, "it reads as a version constraint")


def check_spec(spec: object) -> str:
    """Return ``spec`` if it may mean a version of some model; see :func:`resolve`.

    Raises:
        InvalidNameError: If no model's version can ever answer to it.
    """
    text = spec.strip() if isinstance(spec, str) else ""
    if not text or text == "archived":  # which many may be
        raise InvalidNameError("version", spec, _SPEC_RULE)
    known = exact(str(spec)) is not None or text in (*STAGES, "latest")
    if not known and not _reads(check_alias, text):
        if not _reads(VersionConstraint.parse, text):
            raise InvalidNameError("version", spec, _SPEC_RULE)
    return str(spec)


def _reads(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except (InvalidNameError, InvalidConstraintError):
        return False
    return True
