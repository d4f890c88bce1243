"""What a person or program gave us that can't be: texts, names, settings, plug-ins."""

from __future__ import annotations

from collections.abc import Iterable

from brixa_flows.errors.base import BrixaError, some_of

__all__ = [
    "DuplicatePluginError",
    "InvalidConstraintError",
    "InvalidFilterError",
    "InvalidMetadataError",
    "InvalidNameError",
    "InvalidSchemaError",
    "InvalidVersionError",
    "MissingExtraError",
    "SettingsError",
    "UnknownPluginError",
    "refuse_blank",
]


class InvalidVersionError(BrixaError, ValueError):
    """A text that is not a SemVer 2.0.0 version."""

    def __init__(self, text: object, reason: str) -> None:
        super().__init__(
            f"{str(text)[:80]!r} is not a semantic version: {reason}; write "
            "MAJOR.MINOR.PATCH such as 1.2.0, 1.2.0-rc.1 or 1.2.0+build.5",
            text=text,
            reason=reason,
        )


class InvalidConstraintError(BrixaError, ValueError):
    """A text that is not a version constraint of npm's grammar."""

    def __init__(self, text: object, reason: str) -> None:
        super().__init__(
            f"{str(text)[:80]!r} is not a version constraint: {reason}; write for "
            "example ^1.2, ~1.2.3, '>=1.0 <2.0', 1.x or '^1.2 || ^2.0'",
            text=text,
            reason=reason,
        )


class InvalidFilterError(BrixaError, ValueError):
    """A search that can't be read: its filter, order, page or size."""

    def __init__(self, place: object, reason: str) -> None:
        super().__init__(
            f"the search can't be read at {str(place)[:200]!r}: {reason}",
            place=place,
            reason=reason,
        )


class InvalidNameError(BrixaError, ValueError):
    """A model, alias or deployment name that breaks the name rules."""

    def __init__(self, kind: str, name: object, allowed: str) -> None:
        article = "an" if kind[:1] in "aeiou" else "a"
        super().__init__(
            f"{str(name)[:80]!r} can't be the name of {article} {kind}: {allowed}",
            kind=kind,
            name=name,
            allowed=allowed,
        )


class InvalidMetadataError(BrixaError, ValueError):
    """A metadata field that can't be stored."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"the field {field!r} {reason}", field=field, reason=reason)


def refuse_blank(field: str, text: object, question: str) -> None:
    """Go on if a text says something that others can read later.

    Args:
        field: Such as an actor or a reason, which are kept for ever.
        text: What was given.
        question: What it should say.

    Raises:
        InvalidMetadataError: If it is blank, or no text.
    """
    if not isinstance(text, str):
        raise InvalidMetadataError(field, f"is a {type(text).__name__}; give a text")
    if not text.strip():
        raise InvalidMetadataError(field, f"is blank; say {question}")


class InvalidSchemaError(InvalidMetadataError):
    """An input or output schema that is no JSON Schema (draft 2020-12)."""


class SettingsError(BrixaError, ValueError):
    """A setting that is unknown or has a value it can't have."""

    def __init__(self, setting: str, reason: str) -> None:
        super().__init__(f"{setting} {reason}", setting=setting, reason=reason)


class MissingExtraError(BrixaError, ImportError):
    """A part that needs a library which is not installed."""

    def __init__(self, what: str, extra: str, missing: str = "") -> None:
        because = f" ({missing} is not installed)" if missing else ""
        super().__init__(
            f"{what} needs an extra{because}; install it with: "
            f"pip install 'brixa-flows[{extra}]'",
            what=what,
            extra=extra,
            missing=missing,
        )


class UnknownPluginError(BrixaError, LookupError):
    """A name that no plug-in of that kind answers to."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = tuple(known)
        super().__init__(
            f"there is no {kind} called {name!r}; known: {some_of(known)}",
            kind=kind,
            name=name,
            known=known,
        )


class DuplicatePluginError(BrixaError, ValueError):
    """Two plug-ins that claim the same name."""

    def __init__(self, kind: str, name: str, targets: Iterable[str]) -> None:
        targets = tuple(targets)
        super().__init__(
            f"the {kind} name {name!r} is claimed by {some_of(targets)}; uninstall all "
            "but one of these packages",
            kind=kind,
            name=name,
            targets=targets,
        )


class InvalidPluginError(BrixaError, TypeError):
    """An entry point that names no plug-in."""

    def __init__(self, group: str, name: str, value: str, reason: str) -> None:
        super().__init__(
            f"the entry point {name!r} of the group {group} must name a "
            f"brixa_flows.plugins.Plugin called {name!r}, but {value} {reason}; upgrade "
            "or uninstall the package that declares it",
            group=group,
            name=name,
            value=value,
            reason=reason,
        )
