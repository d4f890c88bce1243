"""Prefect block types; the target of the ``prefect.collections`` entry point.

Every Prefect process imports this module, so it stays light.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from prefect.blocks.core import Block
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from brixa_flows.evaluation.gates import Gate, GatePolicy
from brixa_flows.registry import ModelRegistry
from brixa_flows.settings import BrixaSettings
from brixa_flows.storage import open_storage

__all__ = ["BrixaGatePolicy", "BrixaRegistry", "GateRule"]

_DOCUMENTATION = HttpUrl("https://pypi.org/project/brixa-flows/")
# The Prefect UI shows a picture only by its web address (a data URI in a block type makes
# every Prefect client that lists block types fail), and no public address is ours:
# whoever serves the bundled logo.png says where. Settings refuse a bad address.
_LOGO_ADDRESS = os.environ.get("BRXA_LOGO_URL", "")
_LOGO = HttpUrl(_LOGO_ADDRESS) if _LOGO_ADDRESS.startswith("http") else None


class BrixaRegistry(Block):
    """Where a model registry keeps its files and its tracking data.

    Example:
        Load a stored registry and the model in production:
        ```python
        from brixa_flows.blocks import BrixaRegistry

        block = BrixaRegistry.load("BLOCK_NAME")
        model = block.open().load_model("flights-delay", "production")
        ```
    """

    _block_type_name = "Brixa Registry"
    _block_type_slug = "brixa-registry"
    _logo_url = _LOGO
    _documentation_url = _DOCUMENTATION

    storage_path: str = Field(
        "./data",
        description="Root of the storage: a folder, or a bucket such as "
        "s3://bucket/prefix.",
    )
    tracking_uri: str = Field(
        "",
        description="MLflow backend; empty means what the environment says, else an "
        "sqlite file below a local storage.",
    )
    model_registry_path: str = Field(
        "models", description="Folder of the registry below the storage root."
    )
    deployments_path: str = Field(
        "deployments", description="Folder of deployments below the registry's."
    )
    trust_policy: Literal["default", "strict", "open"] = Field(
        "default", description="What may be loaded that can run code."
    )

    @classmethod
    def from_settings(cls, settings: BrixaSettings) -> BrixaRegistry:
        """The registry that the environment describes.

        A folder becomes absolute: workers run in folders of their own.
        """
        path = settings.storage_path
        if settings.storage_type == "local" and "://" not in path:
            path = str(Path(path).expanduser().resolve())
        return cls(
            storage_path=path,
            tracking_uri=settings.tracking_uri or "",
            model_registry_path=settings.model_registry_path,
            deployments_path=settings.deployments_path,
            trust_policy=settings.trust_policy,
        )

    def open(self) -> ModelRegistry:
        """Open the registry; its backends are touched on first use.

        Raises:
            BrixaError: If the storage or the tracking URI can't be used.
        """
        settings = BrixaSettings.load().model_copy(
            update={
                "storage_path": self.storage_path,
                "model_registry_path": self.model_registry_path,
                "deployments_path": self.deployments_path,
                "trust_policy": self.trust_policy,
            }
        )
        return ModelRegistry(
            open_storage(self.storage_path, settings),
            tracking_uri=self.tracking_uri or None,
            settings=settings,
        )


class GateRule(BaseModel):
    """One condition of a policy; flat, so that its form is plain."""

    model_config = ConfigDict(extra="forbid")

    metric: str = Field(description="Metric, named as in scikit-learn; auc is roc_auc.")
    rule: Literal["min", "max", "not_worse_than", "better_than"] = Field(
        description="Compare with a number (min, max) or with production."
    )
    value: float = Field(
        0.0,
        description="The number of min and max, else the margin to production.",
    )

    def to_gate(self) -> Gate:
        """The gate that it describes.

        Raises:
            EvaluationError: If it makes no sense.
        """
        if self.rule in ("min", "max"):
            return Gate(self.metric, **{self.rule: self.value})
        return Gate(self.metric, **{self.rule: "production"}, margin=self.value)

    @classmethod
    def of_gate(cls, gate: Gate) -> list[GateRule]:
        """The rules that say the same as a gate."""
        values = {
            "min": gate.min,
            "max": gate.max,
            "not_worse_than": gate.margin if gate.not_worse_than else None,
            "better_than": gate.margin if gate.better_than else None,
        }
        return [
            cls.model_validate({"metric": gate.metric, "rule": rule, "value": value})
            for rule, value in values.items()
            if value is not None
        ]


class BrixaGatePolicy(Block):
    """What a version must show before it may go into a stage.

    Example:
        Load a stored policy and ask it:
        ```python
        from brixa_flows.blocks import BrixaGatePolicy

        policy = BrixaGatePolicy.load("BLOCK_NAME").policy("BLOCK_NAME")
        print(policy.decide(result, comparison).to_markdown())
        ```
    """

    _block_type_name = "Brixa Gate Policy"
    _block_type_slug = "brixa-gate-policy"
    _logo_url = _LOGO
    _documentation_url = _DOCUMENTATION

    rules: list[GateRule] = Field(description="All of them must hold.")

    @classmethod
    def from_policy(cls, policy: GatePolicy) -> BrixaGatePolicy:
        """The block of a policy, for instance of one read from a file."""
        return cls(
            rules=[rule for gate in policy.gates for rule in GateRule.of_gate(gate)]
        )

    def policy(self, name: str = "") -> GatePolicy:
        """The policy that it describes.

        Args:
            name: What reports call it.

        Raises:
            EvaluationError: If a rule makes no gate.
        """
        return GatePolicy([rule.to_gate() for rule in self.rules], name=name)
