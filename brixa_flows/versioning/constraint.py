"""Version constraints in npm's range grammar (strict), with commas accepted as AND.

Facts of the grammar: https://github.com/npm/node-semver#ranges. A constraint is an OR of
sets, a set is an AND of comparators, and everything else is short for that:

    ^1.2.3   >=1.2.3 <2.0.0-0        ~1.2.3 (~>)  >=1.2.3 <1.3.0-0
    ^0.2.3   >=0.2.3 <0.3.0-0        1.x  1       >=1.0.0 <2.0.0-0
    1.2 - 2  >=1.2.0 <3.0.0-0        * x (empty)  any version
"""

from __future__ import annotations

import operator
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from brixa_flows.errors import InvalidConstraintError, InvalidVersionError
from brixa_flows.versioning.version import ModelVersion

__all__ = ["VersionConstraint"]

_LONGEST_TEXT = 1024

_NUMBER = r"(?:0|[1-9][0-9]*)"
_WILD = rf"(?:{_NUMBER}|[xX*])"
_IDENTIFIER = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"


_BUILD = r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"


def _partial(suffix: str, prefix: str) -> str:
    """Pattern of a version of which MINOR, PATCH or all may be missing or ``x``."""
    return (
        rf"(?P<prefix{suffix}>{prefix})(?P<major{suffix}>{_WILD})"
        rf"(?:\.(?P<minor{suffix}>{_WILD})(?:\.(?P<patch{suffix}>{_WILD})"
        rf"(?:-(?P<pre{suffix}>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?)?)?{_BUILD}"
    )


_HYPHEN = re.compile(
    _partial("", r"[v=\s]*") + r"\s+-\s+" + _partial("_to", r"[v=\s]*")
)
_ONE = re.compile(
    r"(?P<operator>\^\s*=?|~>?\s*=?|~\s*>=?|[<>]\s+=(?!\s)|[<>]?=?)\s*"
    + _partial("", "[v=]*")
    + r"(?=\s|$)\s*"
)

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
}
_FIRST = (0,)
"""The lowest pre-release there is: ``<2.0.0-0`` is below 2.0.0 and all of its own."""


class _Comparator(NamedTuple):
    operator: str
    version: ModelVersion

    def allows(self, version: ModelVersion) -> bool:
        return _COMPARE[self.operator](version, self.version)


_Set = tuple[_Comparator, ...]
_ANY = _Comparator(">=", ModelVersion(0, 0, 0))
"""To npm the same as ``*``: it does not even forbid what precedes 0.0.0."""

_NOTHING: _Set = (_Comparator("<", ModelVersion(0, 0, 0, _FIRST)),)


@dataclass(frozen=True)
class VersionConstraint:
    """Which versions are acceptable, such as ``^1.2 || >=3.0.0-rc.1 <4``.

    A pre-release is allowed only where a comparator of the same AND-set names the same
    MAJOR.MINOR.PATCH with a pre-release (``^1.2.3-rc.1`` allows 1.2.3-rc.2 but not
    1.3.0-rc.1), or where the caller says ``include_prerelease=True``.

    Attributes:
        text: The constraint as it was written, white space evened out.
    """

    text: str
    _sets: tuple[_Set, ...] = field(init=False, repr=False, compare=False)
    _wide_sets: tuple[_Set, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the text.

        Raises:
            InvalidConstraintError: If it can't be read.
        """
        text = self.text
        if not isinstance(text, str):
            raise InvalidConstraintError(text, f"it is of type {type(text).__name__}")
        if len(text) > _LONGEST_TEXT:
            raise InvalidConstraintError(
                text, f"it has {len(text)} characters, at most {_LONGEST_TEXT} allowed"
            )
        even = " ".join(text.split())
        object.__setattr__(self, "text", even)
        object.__setattr__(self, "_sets", _read(even, wide=False))
        object.__setattr__(self, "_wide_sets", _read(even, wide=True))

    @classmethod
    def parse(cls, text: str | VersionConstraint) -> VersionConstraint:
        """Read a constraint; a :class:`VersionConstraint` is returned as it is.

        Raises:
            InvalidConstraintError: If it can't be read; says which part.
        """
        return text if isinstance(text, VersionConstraint) else cls(text)

    def __str__(self) -> str:
        return self.text

    def allows(
        self, version: str | ModelVersion, *, include_prerelease: bool = False
    ) -> bool:
        """Whether the version is acceptable.

        Args:
            version: Build metadata makes no difference.
            include_prerelease: Let pre-releases match like any other version.

        Raises:
            InvalidVersionError: If the version can't be read.
        """
        parsed = ModelVersion.parse(version)
        if include_prerelease:
            return any(_all_allow(one, parsed) for one in self._wide_sets)
        return any(
            _all_allow(one, parsed) and _names_prerelease(one, parsed)
            for one in self._sets
        )

    def select(
        self,
        versions: Iterable[str | ModelVersion],
        include_prerelease: bool = False,
    ) -> list[ModelVersion]:
        """The acceptable ones, lowest first.

        Args:
            versions: In any order.
            include_prerelease: Let pre-releases match like any other version.

        Raises:
            InvalidVersionError: If one of the versions can't be read.
        """
        parsed = (ModelVersion.parse(version) for version in versions)
        return sorted(
            version
            for version in parsed
            if self.allows(version, include_prerelease=include_prerelease)
        )

    def highest(
        self,
        versions: Sequence[ModelVersion],
        accepts: Callable[[ModelVersion], bool],
    ) -> ModelVersion | None:
        """The highest acceptable one, found without looking at all.

        Args:
            versions: Lowest first.
            accepts: Which of them may be taken at all.
        """
        found = (_highest(one, versions, accepts) for one in self._sets)
        return max((each for each in found if each is not None), default=None)


def _highest(
    comparators: _Set,
    versions: Sequence[ModelVersion],
    accepts: Callable[[ModelVersion], bool],
) -> ModelVersion | None:
    """The highest that an AND-set allows, from its upper bound down to its lower."""
    start, end = 0, len(versions)
    for sign, bound in comparators:
        if sign in (">=", "="):
            start = max(start, bisect_left(versions, bound))
        elif sign == ">":
            start = max(start, bisect_right(versions, bound))
        if sign in ("<=", "="):
            end = min(end, bisect_right(versions, bound))
        elif sign == "<":
            end = min(end, bisect_left(versions, bound))
    for place in range(end - 1, start - 1, -1):
        version = versions[place]
        if _names_prerelease(comparators, version) and accepts(version):
            return version
    return None


def _all_allow(comparators: _Set, version: ModelVersion) -> bool:
    return all(comparator.allows(version) for comparator in comparators)


def _names_prerelease(comparators: _Set, version: ModelVersion) -> bool:
    """Whether the set asks for this version's pre-releases, if it is one."""
    return not version.is_prerelease or any(
        bound.is_prerelease
        and (bound.major, bound.minor, bound.patch)
        == (version.major, version.minor, version.patch)
        for _, bound in comparators
    )


def _read(text: str, *, wide: bool) -> tuple[_Set, ...]:
    try:
        return tuple(_read_set(text, part, wide) for part in text.split("||"))
    except InvalidVersionError as err:
        raise InvalidConstraintError(text, str(err.facts["reason"])) from err


def _read_set(text: str, part: str, wide: bool) -> _Set:
    """Read what stands between two ``||``."""
    pieces = [piece.strip() for piece in part.split(",")]
    if len(pieces) > 1 and not all(pieces):
        raise InvalidConstraintError(text, "nothing stands beside a comma")
    comparators = [one for piece in pieces for one in _read_piece(text, piece, wide)]
    return tuple(one for one in comparators if wide or one != _ANY)


def _read_piece(text: str, piece: str, wide: bool) -> _Set:
    hyphen = _HYPHEN.fullmatch(piece)
    if hyphen:
        lower = _Partial.of(hyphen, "", text)
        upper = _Partial.of(hyphen, "_to", text)
        return (*_from(lower, wide), *_to(upper, wide))
    comparators: list[_Comparator] = []
    position = 0
    while position < len(piece):
        match = _ONE.match(piece, position)
        if match is None:
            raise InvalidConstraintError(
                text, f"can't read {piece[position:position + 40]!r}"
            )
        comparators.extend(_read_one(match, text, wide))
        position = match.end()
    return tuple(comparators)


def _read_one(match: re.Match[str], text: str, wide: bool) -> _Set:
    sign = "".join(match["operator"].split())
    if sign.startswith("^"):
        return _caret(_Partial.of(match, "", text, strict=False), wide)
    if sign.startswith("~"):
        return _tilde(_Partial.of(match, "", text, strict=False), wide)
    numbers = [match[name] or "x" for name in ("major", "minor", "patch")]
    if re.search("[xX*][0-9]", "".join(number[0] for number in numbers)):
        raise InvalidConstraintError(
            text, f"{match[0].strip()[:40]!r} has a number behind an x"
        )
    return _plain(sign, _Partial.of(match, "", text), wide)


class _Partial(NamedTuple):
    """A version as written; ``None`` is a number that is missing or ``x``."""

    major: int | None
    minor: int | None
    patch: int | None
    prerelease: tuple[str, ...]

    @classmethod
    def of(
        cls, match: re.Match[str], suffix: str, text: str, strict: bool = True
    ) -> _Partial:
        numbers: list[int | None] = []
        for name in ("major", "minor", "patch"):
            number = match[name + suffix]
            known = number is not None and number not in "xX*"
            hidden = bool(numbers) and numbers[-1] is None
            numbers.append(int(number) if known and not hidden else None)
        prefix = match["prefix" + suffix]
        full = numbers[-1] is not None
        if strict and full and prefix not in ("", "v"):
            raise InvalidConstraintError(text, f"can't read {match[0].strip()[:40]!r}")
        prerelease = match["pre" + suffix] if numbers[-1] is not None else None
        major, minor, patch = numbers
        return cls(
            major, minor, patch, tuple(prerelease.split(".")) if prerelease else ()
        )

    def floor(self, *, first: bool = False) -> ModelVersion:
        """The lowest version meant; with ``first`` its lowest pre-release."""
        prerelease = self.prerelease or (_FIRST if first else ())
        return ModelVersion(
            self.major or 0, self.minor or 0, self.patch or 0, prerelease
        )

    def after(self, place: int) -> ModelVersion:
        """The lowest version whose number at ``place`` (0 to 2) is one higher."""
        major, minor, patch = (number or 0 for number in self[:3])
        if place == 0:
            return ModelVersion(major + 1, 0, 0, _FIRST)
        if place == 1:
            return ModelVersion(major, minor + 1, 0, _FIRST)
        return ModelVersion(major, minor, patch + 1, _FIRST)

    @property
    def last_place(self) -> int:
        """Which number is the last one given: 0 major, 1 minor, 2 patch; -1 none."""
        return sum(number is not None for number in self[:3]) - 1


def _from(partial: _Partial, wide: bool) -> _Set:
    if partial.major is None:
        return ()
    return (_Comparator(">=", partial.floor(first=wide)),)


def _to(partial: _Partial, wide: bool) -> _Set:
    if partial.major is None:
        return ()
    place = partial.last_place
    if place == 2 and (partial.prerelease or not wide):
        return (_Comparator("<=", partial.floor()),)
    return (_Comparator("<", partial.after(place)),)


def _tilde(partial: _Partial, wide: bool) -> _Set:
    if partial.major is None:
        return ()
    place = min(partial.last_place, 1)
    first = wide and partial.last_place < 2
    return (
        _Comparator(">=", partial.floor(first=first)),
        _Comparator("<", partial.after(place)),
    )


def _caret(partial: _Partial, wide: bool) -> _Set:
    if partial.major is None:
        return ()
    place = 0
    while place < partial.last_place and partial[place] == 0:
        place += 1
    first = wide and partial.last_place < 2
    return (
        _Comparator(">=", partial.floor(first=first)),
        _Comparator("<", partial.after(place)),
    )


def _plain(sign: str, partial: _Partial, wide: bool) -> _Set:
    place = partial.last_place
    if place == -1:
        return _NOTHING if sign in ("<", ">") else ()
    if place == 2:
        return (_Comparator(sign or "=", partial.floor()),)
    if sign == ">":
        bound = partial.after(place)
        lowest = bound if wide else ModelVersion(bound.major, bound.minor, bound.patch)
        return (_Comparator(">=", lowest),)
    if sign == ">=":
        return (_Comparator(">=", partial.floor(first=wide)),)
    if sign == "<":
        return (_Comparator("<", partial.floor(first=True)),)
    if sign == "<=":
        return (_Comparator("<", partial.after(place)),)
    return (
        _Comparator(">=", partial.floor(first=wide)),
        _Comparator("<", partial.after(place)),
    )
