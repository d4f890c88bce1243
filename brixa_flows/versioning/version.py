"""One semantic version (https://semver.org, 2.0.0 in full) as a value."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from brixa_flows.errors import InvalidVersionError

if TYPE_CHECKING:
    from brixa_flows.versioning.constraint import VersionConstraint

__all__ = ["LARGEST_NUMBER", "LONGEST_TEXT", "BumpKind", "ModelVersion"]

BumpKind: TypeAlias = Literal["major", "minor", "patch", "prerelease"]
_BUMP_KINDS = ("major", "minor", "patch", "prerelease")

LONGEST_TEXT = 128
"""Characters of a version: with ``_meta.json`` behind it, it must fit a file name."""

LARGEST_NUMBER = 2**53 - 1
"""Largest MAJOR, MINOR and PATCH: what JSON readers and npm hold exactly."""

_NUMBER = r"0|[1-9][0-9]*"
_IDENTIFIER = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"(?P<major>{_NUMBER})\.(?P<minor>{_NUMBER})\.(?P<patch>{_NUMBER})"
    rf"(?:-(?P<prerelease>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    r"(?:\+(?P<build>[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
_PRERELEASE_PART = re.compile(_IDENTIFIER)
_BUILD_PART = re.compile(r"[0-9A-Za-z-]+")

_Key: TypeAlias = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


class ModelVersion:
    """A version such as ``1.2.0``, ``1.2.0-rc.1`` or ``1.2.0+build.5``; immutable.

    Ordered by SemVer precedence. Build metadata is carried along but is neither
    precedence nor identity: ``1.0.0+a`` equals ``1.0.0+b``, has the same hash, and a
    registry holds at most one of them.

    Args:
        major: Raised by a change that breaks callers.
        minor: Raised by a change that only adds.
        patch: Raised by any other change.
        prerelease: Identifiers behind ``-``; kept as ``int`` where they are numbers.
        build: Identifiers behind ``+``.

    Raises:
        InvalidVersionError: If a part breaks the grammar or is too long.
    """

    __slots__ = ("major", "minor", "patch", "prerelease", "build", "_key", "_hash")

    major: int
    minor: int
    patch: int
    prerelease: tuple[str | int, ...]
    build: tuple[str, ...]
    _key: _Key
    _hash: int

    def __init__(
        self,
        major: int,
        minor: int,
        patch: int,
        prerelease: Iterable[str | int] = (),
        build: Iterable[str] = (),
    ) -> None:
        put = object.__setattr__
        put(self, "major", major)
        put(self, "minor", minor)
        put(self, "patch", patch)
        put(self, "prerelease", tuple(map(_number, prerelease)))
        put(self, "build", tuple(build))
        _check(self)
        put(self, "_key", _precedence(self))
        put(self, "_hash", hash(self._key))

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a ModelVersion never changes; {name!r} can't be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a ModelVersion never changes; {name!r} can't be removed")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle and copy by the constructor."""
        parts = (self.major, self.minor, self.patch, self.prerelease, self.build)
        return ModelVersion, parts

    @classmethod
    def parse(cls, text: str | ModelVersion) -> ModelVersion:
        """Read a version; a :class:`ModelVersion` is returned as it is.

        Args:
            text: ``MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]``, nothing around it.

        Raises:
            InvalidVersionError: If it is anything else; says what is wrong.
        """
        if isinstance(text, ModelVersion):
            return text
        if not isinstance(text, str):
            raise InvalidVersionError(text, f"it is of type {type(text).__name__}")
        _check_length(text)
        match = _VERSION.fullmatch(text)
        if match is None:
            raise InvalidVersionError(text, _diagnose(text))
        prerelease, build = match["prerelease"], match["build"]
        return cls(
            int(match["major"]),
            int(match["minor"]),
            int(match["patch"]),
            tuple(prerelease.split(".")) if prerelease else (),
            tuple(build.split(".")) if build else (),
        )

    def __str__(self) -> str:
        build = "+" + ".".join(map(str, self.build)) if self.build else ""
        return self.core + build

    def __repr__(self) -> str:
        return f"ModelVersion({str(self)!r})"

    @property
    def core(self) -> str:
        """Its text without build metadata; equal versions have the same."""
        text = f"{self.major}.{self.minor}.{self.patch}"
        return text + (
            "-" + ".".join(map(str, self.prerelease)) if self.prerelease else ""
        )

    @property
    def identity(self) -> ModelVersion:
        """The same version without build metadata."""
        if not self.build:
            return self
        return ModelVersion(self.major, self.minor, self.patch, self.prerelease)

    @property
    def is_prerelease(self) -> bool:
        """Whether it comes before its own MAJOR.MINOR.PATCH."""
        return bool(self.prerelease)

    def bump(self, kind: BumpKind) -> ModelVersion:
        """The next version, as ``npm version`` counts.

        A pre-release is bumped to the version that it announces where that is bump
        enough: ``2.0.0-rc.1`` becomes ``2.0.0`` by any of the three, ``1.3.0-rc.1``
        becomes ``1.3.0`` by minor or patch but ``2.0.0`` by major. ``prerelease``
        counts its last number up (``rc.1`` to ``rc.2``, ``rc`` to ``rc.0``), and makes
        ``1.2.4-0`` of ``1.2.3``. Build metadata is dropped.

        Args:
            kind: ``major``, ``minor``, ``patch`` or ``prerelease``.

        Raises:
            ValueError: If ``kind`` is none of these.
            InvalidVersionError: If a number would grow too large.
        """
        if kind not in _BUMP_KINDS:
            raise ValueError(f"a bump is one of {', '.join(_BUMP_KINDS)}, not {kind!r}")
        if kind == "prerelease":
            return self._bump_prerelease()
        announced = self.is_prerelease
        if kind == "major":
            step = not (announced and self.minor == self.patch == 0)
            return ModelVersion(self.major + step, 0, 0)
        if kind == "minor":
            step = not (announced and self.patch == 0)
            return ModelVersion(self.major, self.minor + step, 0)
        return ModelVersion(self.major, self.minor, self.patch + (not announced))

    def _bump_prerelease(self) -> ModelVersion:
        if not self.prerelease:
            return ModelVersion(self.major, self.minor, self.patch + 1, (0,))
        parts = list(self.prerelease)
        for index in reversed(range(len(parts))):
            part = parts[index]
            if isinstance(part, int):
                parts[index] = part + 1
                break
        else:
            parts.append(0)
        return ModelVersion(self.major, self.minor, self.patch, tuple(parts))

    def satisfies(
        self, constraint: str | VersionConstraint, *, include_prerelease: bool = False
    ) -> bool:
        """Whether the constraint allows this version.

        Args:
            constraint: Such as ``^1.2`` or ``>=1.0 <2.0 || 3.x``.
            include_prerelease: Let pre-releases match like any other version.

        Raises:
            InvalidConstraintError: If the constraint can't be read.
        """
        # The two values know each other, so one of the two imports has to wait.
        from brixa_flows.versioning.constraint import VersionConstraint

        parsed = VersionConstraint.parse(constraint)
        return parsed.allows(self, include_prerelease=include_prerelease)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return (
            self._key == other._key
            if isinstance(other, ModelVersion)
            else NotImplemented
        )

    def __lt__(self, other: object) -> bool:
        return (
            self._key < other._key
            if isinstance(other, ModelVersion)
            else NotImplemented
        )

    def __le__(self, other: object) -> bool:
        return (
            self._key <= other._key
            if isinstance(other, ModelVersion)
            else NotImplemented
        )

    def __gt__(self, other: object) -> bool:
        return (
            self._key > other._key
            if isinstance(other, ModelVersion)
            else NotImplemented
        )

    def __ge__(self, other: object) -> bool:
        return (
            self._key >= other._key
            if isinstance(other, ModelVersion)
            else NotImplemented
        )

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Let pydantic read it from text and write it as text to JSON."""
        text = core_schema.no_info_after_validator_function(
            cls.parse, core_schema.str_schema(strict=True)
        )
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema(
                [core_schema.is_instance_schema(cls), text], mode="left_to_right"
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                str, return_schema=core_schema.str_schema(), when_used="json"
            ),
        )


def _number(part: str | int) -> str | int:
    if isinstance(part, str) and re.fullmatch(_NUMBER, part):
        return int(part) if len(part) <= LONGEST_TEXT else part
    return part


def _check(version: ModelVersion) -> None:
    text = str(version)
    for label in ("major", "minor", "patch"):
        _check_number(text, label, getattr(version, label))
    for part in version.prerelease:
        if isinstance(part, bool) or not _PRERELEASE_PART.fullmatch(str(part)):
            raise InvalidVersionError(
                text, f"{str(part)[:40]!r} is no pre-release identifier"
            )
    for label in version.build:
        if not isinstance(label, str) or not _BUILD_PART.fullmatch(label):
            raise InvalidVersionError(
                text, f"{str(label)[:40]!r} is no build identifier"
            )
    _check_length(text)


def _precedence(version: ModelVersion) -> _Key:
    identifiers = tuple(
        (False, part, "") if isinstance(part, int) else (True, 0, part)
        for part in version.prerelease
    )
    return version.major, version.minor, version.patch, not identifiers, identifiers


def _check_number(text: str, label: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidVersionError(text, f"its {label} number is no whole number >= 0")
    if value > LARGEST_NUMBER:
        raise InvalidVersionError(text, f"its {label} number is over {LARGEST_NUMBER}")


def _check_length(text: str) -> None:
    if len(text) > LONGEST_TEXT:
        raise InvalidVersionError(
            text, f"it has {len(text)} characters, at most {LONGEST_TEXT} are allowed"
        )


_PLAIN = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def _diagnose(text: str) -> str:
    """Why ``text``, which is not a version, is none, for the common slips."""
    if not text.strip():
        return "it is empty"
    if text != text.strip():
        return "there is white space around it"
    if text[0] in "vV=":
        return f"leave the leading {text[0]!r} out"
    numbers = _PLAIN.match(text)
    if numbers is None:
        return "it does not begin with a number"
    parts = numbers[0].split(".")
    if any(len(part) > 1 and part[0] == "0" for part in parts):
        return "a number has a leading zero"
    if len(parts) != 3:
        return f"it has {len(parts)} numbers instead of three"
    return "what follows the three numbers is no pre-release (-rc.1) or build (+b.5)"
