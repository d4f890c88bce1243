"""What a version needs beside its files: packages, and other models by constraint.

Written ``numpy>=2`` (PEP 508) and ``tokenizer@^2``, in a list, or split behind the name
in a mapping: ``{"numpy": ">=2", "tokenizer": "@^2"}``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from brixa_flows.errors import (
    BrixaError,
    InvalidMetadataError,
    ModelNotFoundError,
    UnmetDependencyError,
    VersionNotFoundError,
)
from brixa_flows.refs import check_model_name
from brixa_flows.registry.facts.inputs import as_text, as_text_mapping
from brixa_flows.registry.facts.resolving import resolve
from brixa_flows.registry.reading.reader import Standing
from brixa_flows.versioning import ModelVersion, VersionConstraint

__all__ = [
    "as_dependencies",
    "check_dependencies",
    "models_needed",
    "refuse_circle",
]

_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)(.*)", re.DOTALL)
_RULE = "write packages such as numpy>=2 and models such as tokenizer@^2"


def as_dependencies(
    model: str, given: Mapping[str, Any] | Iterable[str] | None
) -> dict[str, str]:
    """Constraint by name; that of a model begins with ``@``.

    Args:
        model: Name of the model that has them.
        given: What a person wrote.

    Raises:
        InvalidMetadataError: If one can't be read, or is the model itself; names it.
    """
    if given is None or isinstance(given, Mapping):
        found = as_text_mapping("dependencies", given)
    elif isinstance(given, str | bytes) or not isinstance(given, Iterable):
        kind = type(given).__name__
        raise InvalidMetadataError("dependencies", f"is a {kind}; give a list")
    else:
        found = _split(given)
    checked = {name: _checked(name, rest) for name, rest in found.items()}
    if model in models_needed(checked):
        raise InvalidMetadataError(
            "dependencies",
            f"has {model + checked[model]!r}: a model can't need itself; a version that "
            "it was made from belongs into parents",
        )
    return checked


def models_needed(dependencies: Mapping[str, str]) -> dict[str, str]:
    """Constraint by model, for those of the dependencies that are models."""
    return {name: rest[1:] for name, rest in dependencies.items() if _is_model(rest)}


def check_dependencies(
    name: str,
    version: ModelVersion,
    dependencies: Mapping[str, str],
    standing: Callable[[str], Standing],
) -> dict[str, ModelVersion]:
    """The versions of other models that a version would be used with.

    Args:
        name: Model.
        version: The version that needs them.
        dependencies: Its dependencies.
        standing: Where the versions of another model stand.

    Raises:
        UnmetDependencyError: If no ready version of a model will do.
    """
    found = {}
    for other, constraint in models_needed(dependencies).items():
        try:
            found[other] = resolve(standing(other), constraint)
        except ModelNotFoundError as err:
            reason = f"there is no model {other!r} here; register it"
            raise _unmet(name, version, other, constraint, reason) from err
        except VersionNotFoundError as err:
            reason = f"{err}; save one, or register a version with another constraint"
            raise _unmet(name, version, other, constraint, reason) from err
    return found


def refuse_circle(
    name: str,
    dependencies: Mapping[str, str],
    needed_by: Callable[[str, str], Mapping[str, str]],
) -> None:
    """Go on unless a model that is needed needs this one.

    Args:
        name: Model.
        dependencies: Of a version that it will have.
        needed_by: What another model needs now, by its name and a constraint.

    Raises:
        InvalidMetadataError: If the present version of one does.
    """
    for other, constraint in models_needed(dependencies).items():
        back = models_needed(needed_by(other, constraint)).get(name)
        if back is not None:
            raise InvalidMetadataError(
                "dependencies",
                f"has '{other}@{constraint}', and {other} needs {name}@{back}: two models "
                "can't need each other; leave one of the two out",
            )


def _unmet(
    name: str, version: ModelVersion, other: str, constraint: str, reason: str
) -> UnmetDependencyError:
    return UnmetDependencyError(name, version, f"{other}@{constraint}", reason)


def _is_model(rest: str) -> bool:
    """PEP 508 writes an ``@`` too, before the address of a package."""
    return rest.startswith("@") and "://" not in rest


def _split(given: Iterable[object]) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given:
        match = _NAME.fullmatch(each) if isinstance(each, str) else None
        if match is None:
            raise InvalidMetadataError("dependencies", f"has {each!r}; {_RULE}")
        name, rest = match.groups()
        if name in found:
            raise InvalidMetadataError("dependencies", f"has {name!r} twice")
        found[name] = rest.strip()
    return found


def _checked(name: str, rest: str) -> str:
    rest = as_text(f"dependencies[{name[:80]!r}]", rest).strip()
    as_text("dependencies", name)
    try:
        if _is_model(rest):
            check_model_name(name)
            VersionConstraint.parse(rest[1:].strip())
            return f"@{rest[1:].strip()}"
        Requirement(f"{name}{rest}")
    except (BrixaError, InvalidRequirement) as err:
        first = str(err).splitlines()[0]
        raise InvalidMetadataError(
            "dependencies", f"has {name + rest!r}: {first}; {_RULE}"
        ) from err
    return rest
