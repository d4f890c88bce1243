"""What the forms of flows take where a model or a version is named.

A form, and Prefect's server before it makes a run, know the patterns alone; a run that
is started all the same is refused by the registry's own rule, in its words. The patterns
are in what JavaScript and Python read alike, and refuse nothing that the rules allow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from brixa_flows.refs import check_deployment_name, check_model_name
from brixa_flows.registry.facts.resolving import check_spec
from brixa_flows.versioning import ModelVersion, VersionConstraint

__all__ = [
    "DeploymentName",
    "ExactVersion",
    "ModelName",
    "OptionalDeploymentName",
    "OptionalVersion",
    "OptionalVersionSpec",
    "VersionRange",
    "VersionSpec",
]

_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
_NUMBER = "(0|[1-9][0-9]*)"
_SUFFIXES = r"(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?"
_VERSION = rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}{_SUFFIXES}"
# Not [xX*]: what begins with a letter is a style to the command line of Prefect.
_WILD = "(0|[1-9][0-9]*|[*xX])"
_BOUND = rf"([~^<>=v][~^<>=v\s]*)?{_WILD}(\.{_WILD}(\.{_WILD})?)?{_SUFFIXES}"
# Bounds stand apart from each other, so no text can be split in two ways.
_RANGE = rf"((^|[\s,|]+(-\s+)?){_BOUND})*[\s,|]*"
_WORD = r"\s*[A-Za-z0-9_-]{1,128}\s*"  # stages, latest and aliases of one's own


def _version(text: str) -> str:
    ModelVersion.parse(text)
    return text


def _range(text: str) -> str:
    VersionConstraint.parse(text)
    return text


def _or_empty(check: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: check(text) if text else text


def _schema(pattern: str, *examples: str) -> WithJsonSchema:
    shown = {"examples": [*examples]} if examples else {}
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", **shown})


_SPECS = ("1.2.0", "^1.2", "~1.2", "production", "latest")

ModelName = Annotated[str, AfterValidator(check_model_name), _schema(_NAME)]
DeploymentName = Annotated[str, AfterValidator(check_deployment_name), _schema(_NAME)]
OptionalDeploymentName = Annotated[
    str, AfterValidator(_or_empty(check_deployment_name)), _schema(f"({_NAME})?")
]
# One version, written out: for what changes something, or is told of one version.
ExactVersion = Annotated[str, AfterValidator(_version), _schema(_VERSION, "1.2.0")]
OptionalVersion = Annotated[
    str, AfterValidator(_or_empty(_version)), _schema(f"({_VERSION})?", "1.2.0")
]
# Whatever means one version: exact, stage, own alias, latest, or a constraint.
VersionSpec = Annotated[
    str, AfterValidator(check_spec), _schema(f"({_WORD}|{_RANGE})", *_SPECS)
]
OptionalVersionSpec = Annotated[
    str, AfterValidator(_or_empty(check_spec)), _schema(f"({_WORD}|{_RANGE})", *_SPECS)
]
# Which of many versions.
VersionRange = Annotated[str, AfterValidator(_range), _schema(_RANGE, "^1.2", "*")]
