"""Adopting a finished training as a version, and signing it."""

from __future__ import annotations

from prefect import get_run_logger

from brixa_flows.events import ModelRegistered, TrainingCompleted
from brixa_flows.outbox import Owed, registered
from brixa_flows.registry import (
    CodeRef,
    DatasetRef,
    ModelMetadata,
    lineage_context,
)
from brixa_flows.tasks.opening import load_signing_keys, open_registry
from brixa_flows.tasks.remote import remote_task

__all__ = ["adopt_training", "registered_event", "sign_version", "training_policy"]


def registered_event(registry: str, name: str, version: str) -> Owed:
    """The event that the seal of a version owes.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.

    Raises:
        BrixaError: If it is not sealed.
    """
    return registered(open_registry(registry), name, version)


def training_policy(registry: str, name: str, version: str) -> str:
    """The gate policy that the training of a version named.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.

    Raises:
        BrixaError: If it is not sealed.
    """
    payload = registered_event(registry, name, version).payload
    assert isinstance(payload, ModelRegistered)
    return payload.policy


@remote_task("adopt {training.model_uri}", timeout_seconds=None)
def adopt_training(registry: str, training: TrainingCompleted) -> ModelMetadata:
    """Register, save and seal the model of a training as the next version, once.

    Args:
        registry: Name of the registry's block.
        training: What the training announced.

    Returns:
        The version's metadata.

    Raises:
        BrixaError: If the model can't be adopted; nothing is half done then.
    """
    kept = {"evaluations", "target", "policy"}
    with lineage_context(environment=training.environment):
        metadata = open_registry(registry).register_run(
            training.model_uri,
            name=training.name,
            model_type=training.model_type,
            reference=training.reference_uri or None,
            target=training.target or None,
            datasets=[DatasetRef.model_validate(data) for data in training.datasets],
            hyperparameters=training.hyperparameters,
            metrics=training.metrics,
            description=training.description,
            flow_run_id=training.flow_run_id or None,
            code=CodeRef(commit=training.git_commit) if training.git_commit else None,
            once=True,
            event_facts=training.model_dump(mode="json", include=kept),
        )
    get_run_logger().info("%s %s is sealed", metadata.name, metadata.version)
    return metadata


@remote_task("sign {name} {version} by {keys}", timeout_seconds=None)
def sign_version(registry: str, keys: str, name: str, version: str) -> None:
    """Sign every file of a version; signatures of others stay.

    Args:
        registry: Name of the registry's block.
        keys: Name of the block of the signing keys.
        name: The model.
        version: Its version.

    Raises:
        BrixaError: If the key can't be used.
    """
    load_signing_keys(keys).sign(open_registry(registry), name, version)
    get_run_logger().info("%s %s is signed by %s", name, version, keys)
