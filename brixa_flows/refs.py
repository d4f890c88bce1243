"""How a model is named in one text: ``NAME`` or ``NAME@SPEC``, and the name rules."""

from __future__ import annotations

import re
from dataclasses import dataclass

from brixa_flows.errors import InvalidNameError

__all__ = [
    "ModelRef",
    "check_deployment_name",
    "check_model_name",
    "check_policy_name",
]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NAME_RULE = (
    "use 1 to 128 letters, digits, dots, dashes or underscores, beginning with a "
    "letter or digit"
)
_POLICY_NAME = re.compile(r"[a-z0-9-]+")
_POLICY_RULE = (
    "it is the name of a block, of lower-case letters, digits and dashes alone"
)
RESERVED_NAMES = frozenset({"deployments", "_meta"})


def check_model_name(name: object) -> str:
    """Return ``name`` if a model may have it.

    Raises:
        InvalidNameError: If it may not, with the rule.
    """
    text = _check("model", name)
    if text.lower() in RESERVED_NAMES:
        raise InvalidNameError("model", name, "the storage layout needs that name")
    return text


def check_deployment_name(name: object) -> str:
    """Return ``name`` if a deployment may have it.

    Raises:
        InvalidNameError: If it may not, with the rule.
    """
    return _check("deployment", name)


def check_policy_name(name: object) -> str:
    """Return ``name`` if the block of a gate policy may have it.

    Raises:
        InvalidNameError: If it may not, with the rule.
    """
    if not isinstance(name, str) or not _POLICY_NAME.fullmatch(name):
        raise InvalidNameError("gate policy", name, _POLICY_RULE)
    return name


def _check(kind: str, name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidNameError(kind, name, _NAME_RULE)
    return name


@dataclass(frozen=True)
class ModelRef:
    """A model and, optionally, which of its versions.

    Attributes:
        name: Name of the model.
        spec: Exact version, stage, alias, ``latest`` or constraint; ``None`` is the
            default of the registry (production, else the highest stable version).
    """

    name: str
    spec: str | None = None

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """Read ``NAME`` or ``NAME@SPEC``.

        Raises:
            InvalidNameError: If the name breaks the rules or the spec is empty.
        """
        if not isinstance(text, str):
            raise InvalidNameError("model", text, _NAME_RULE)
        name, at, spec = text.partition("@")
        if at and not spec.strip():
            raise InvalidNameError(
                "model reference", text, "write NAME, or NAME@SPEC with a spec"
            )
        return cls(check_model_name(name), spec.strip() or None)

    def __str__(self) -> str:
        return self.name if self.spec is None else f"{self.name}@{self.spec}"
