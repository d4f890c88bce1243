"""A model version behind an HTTP endpoint (see ``ModelDeployer``)."""

from brixa_flows.deployment.client import EndpointClient, encode_frame, predict_frame
from brixa_flows.deployment.config import (
    Autoscaling,
    DeploymentConfig,
    DeploymentStatus,
    Resources,
)
from brixa_flows.deployment.deployer import ModelDeployer

__all__ = [
    "Autoscaling",
    "DeploymentConfig",
    "DeploymentStatus",
    "EndpointClient",
    "ModelDeployer",
    "Resources",
    "encode_frame",
    "predict_frame",
]
