"""The datasets of a run, between our words and MLflow's entities."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, Run

from brixa_flows.tracking.base import TrackedDataset

__all__ = ["as_input", "datasets_of", "has_dataset"]

_LONGEST_DIGEST = 36
_NO_DIGEST = "no-digest:"
"""Begins what stands in MLflow for the digest of data that has none."""
_LONGEST_DATASET_NAME = 500
_LONGEST_CONTEXT = 500
_LONGEST_SOURCE_TYPE = 36
_LONGEST_SOURCE = 60_000
_CONTEXT_TAG = "mlflow.data.context"


def has_dataset(run: Run, dataset: TrackedDataset) -> bool:
    """The run has that dataset among its inputs already."""
    wanted = _identity(as_input(dataset))
    inputs = run.inputs.dataset_inputs if run.inputs else ()
    return any(_identity(each) == wanted for each in inputs)


def datasets_of(run: Run) -> tuple[TrackedDataset, ...]:
    """The dataset inputs of a run in our words."""
    inputs = run.inputs.dataset_inputs if run.inputs else ()
    return tuple(_as_tracked(each) for each in inputs)


def as_input(tracked: TrackedDataset) -> DatasetInput:
    """A dataset as MLflow takes it."""
    profile = {} if tracked.rows is None else {"num_rows": tracked.rows}
    dataset = Dataset(
        name=tracked.name[:_LONGEST_DATASET_NAME],
        digest=_digest(tracked),
        source_type=_source_type(tracked.uri),
        source=json.dumps({"uri": tracked.uri[:_LONGEST_SOURCE]}),
        profile=json.dumps(profile),
    )
    return DatasetInput(
        dataset, [InputTag(_CONTEXT_TAG, tracked.context[:_LONGEST_CONTEXT])]
    )


def _digest(tracked: TrackedDataset) -> str:
    """Its digest, or what stands for one: an MLflow server takes no dataset without.

    Of data whose content nobody digested, the name and place tell one from another.
    """
    if tracked.digest:
        return tracked.digest[:_LONGEST_DIGEST]
    told = json.dumps([tracked.name, tracked.uri]).encode()
    return f"{_NO_DIGEST}{hashlib.sha256(told).hexdigest()}"[:_LONGEST_DIGEST]


def _identity(given: DatasetInput) -> tuple[str, str, str]:
    dataset = given.dataset
    return dataset.name, dataset.digest, _as_tracked(given).context


def _source_type(uri: str) -> str:
    scheme, found, _ = uri.partition("://")
    return scheme[:_LONGEST_SOURCE_TYPE] if found else "code"


def _as_tracked(given: DatasetInput) -> TrackedDataset:
    contexts = [tag.value for tag in given.tags if tag.key == _CONTEXT_TAG]
    source = _json_object(given.dataset.source)
    profile = _json_object(given.dataset.profile)
    digest = str(given.dataset.digest)
    rows = profile.get("num_rows")
    if rows is None and isinstance(profile.get("features_shape"), list):
        rows = profile["features_shape"][0]
    return TrackedDataset(
        name=given.dataset.name,
        digest="" if digest.startswith(_NO_DIGEST) else digest,
        uri=str(source.get("uri") or source.get("url") or source.get("path") or ""),
        rows=rows if isinstance(rows, int) else None,
        context=contexts[0] if contexts else "training",
    )


def _json_object(text: str | None) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
