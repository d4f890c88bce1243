"""Every tag key that we write to the backend, and what it means.

On a version's own run: ``MODEL``, ``VERSION``, ``DIGEST`` and the facts of its birth.
On a model version: ``VERSION``, ``DIGEST``, ``STAGE``, ``STATE``, ``OWNER``, ``CUSTOM``
and other facts, beside the user's own tags, which may not begin with ``brixa.``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from brixa_flows.errors import InvalidMetadataError, some_of
from brixa_flows.tracking.limits import NAME_RULE, check_characters, is_name

__all__ = [
    "CODE_COMMIT",
    "CUSTOM",
    "DIGEST",
    "EXTERNAL_URI",
    "FLOW_RUN",
    "FRAMEWORK",
    "MODEL",
    "MODEL_TYPE",
    "OWNER",
    "PREFIX",
    "STAGE",
    "STATE",
    "TRAINING_RUN",
    "VERSION",
    "check_user_tags",
    "dump_custom",
    "experiment_of",
    "load_custom",
    "split_tags",
]

PREFIX = "brixa."

MODEL = "brixa.model"
"""Name of the registered model that a run belongs to."""
VERSION = "brixa.version"
"""Semantic version, as it was registered: the identity of a version."""
DIGEST = "brixa.digest"
"""Digest of the manifest as saved here; on the run it is what trust rests on."""
STAGE = "brixa.stage"
"""``staging``, ``production`` or ``archived``, mirrored from the stage journal."""
STATE = "brixa.state"
"""``ready``, ``quarantined`` or ``deleted``, mirrored from storage."""
OWNER = "brixa.owner"
"""Who answers for the version."""
CUSTOM = "brixa.custom"
"""The custom metadata, as one JSON text."""
FRAMEWORK = "brixa.framework"
"""Canonical name of the framework (``sklearn``, ``pytorch`` ...)."""
MODEL_TYPE = "brixa.model_type"
"""What the model does, in the user's words."""
TRAINING_RUN = "brixa.training_run"
"""The MLflow run that trained the model, where that is another one."""
FLOW_RUN = "brixa.flow_run"
"""The Prefect flow run that made the version."""
EXTERNAL_URI = "brixa.external_uri"
"""Where the files are of a model that is kept by reference only."""
CODE_COMMIT = "brixa.code_commit"
"""Git commit of the code that trained it, with ``+dirty`` where it was changed."""

_RESERVED = (PREFIX, "mlflow.")
_LONGEST_VALUE = 100_000


def experiment_of(name: str) -> str:
    """Name of the experiment that holds the runs of a model's versions."""
    return f"brixa/{name}"


def check_user_tags(tags: Mapping[str, str | None]) -> None:
    """Refuse tags that the backend can't keep or that are ours.

    Raises:
        InvalidMetadataError: Names the tag and the rule.
    """
    for key, value in tags.items():
        if key.startswith(_RESERVED):
            raise InvalidMetadataError(
                "tags",
                f"has {key!r}: keys that begin with {some_of(_RESERVED)} are reserved",
            )
        if not is_name(key):
            raise InvalidMetadataError("tags", f"has {key[:80]!r}: {NAME_RULE}")
        if value is not None:
            check_characters(f"tags[{key!r}]", value)
        if value is not None and len(value) > _LONGEST_VALUE:
            raise InvalidMetadataError(
                "tags",
                f"has a value of {len(value)} characters under {key!r}: at "
                f"most {_LONGEST_VALUE} are kept; log a long text as an artifact",
            )


def dump_custom(custom: Mapping[str, Any]) -> str:
    """The tag value of custom metadata.

    Raises:
        InvalidMetadataError: If it is no JSON or too long for a tag.
    """
    try:
        text = json.dumps(
            custom, sort_keys=True, allow_nan=False, ensure_ascii=False
        )  # people read it in MLflow
    except (TypeError, ValueError) as err:
        raise InvalidMetadataError("custom", f"is no JSON: {err}") from err
    if len(text) > _LONGEST_VALUE:
        raise InvalidMetadataError(
            "custom",
            f"has {len(text)} characters as JSON: at most {_LONGEST_VALUE} are kept; "
            "log large data as an artifact",
        )
    return text


def load_custom(text: str | None) -> dict[str, Any]:
    """Custom metadata of its tag; a value that somebody damaged by hand is kept raw."""
    if not text:
        return {}
    try:
        value = json.loads(text)
    except ValueError:
        return {"raw": text}
    return value if isinstance(value, dict) else {"raw": value}


def split_tags(tags: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Separate ``(the user's, ours)``; keys of MLflow itself are in neither."""
    ours = {key: value for key, value in tags.items() if key.startswith(PREFIX)}
    users = {key: value for key, value in tags.items() if not key.startswith(_RESERVED)}
    return users, ours
