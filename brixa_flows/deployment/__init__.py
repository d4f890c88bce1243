"""A model version behind an HTTP endpoint (see ``ModelDeployer``)."""

from brixa_flows.deployment.access import ApiKey, new_api_key
from brixa_flows.deployment.canary_gate import CanaryGate, CanaryVerdict
from brixa_flows.deployment.client import EndpointClient, encode_frame, predict_frame
from brixa_flows.deployment.config import (
    Autoscaling,
    Canary,
    DeploymentConfig,
    Resources,
    ServingProtocol,
)
from brixa_flows.deployment.deployer import ModelDeployer
from brixa_flows.deployment.request_log import RequestLogging
from brixa_flows.deployment.status import (
    CanaryStatus,
    DeploymentStatus,
    RequestLogStatus,
)
from brixa_flows.deployment.unserved import ServedAgain

__all__ = [
    "ApiKey",
    "Autoscaling",
    "Canary",
    "CanaryGate",
    "CanaryStatus",
    "CanaryVerdict",
    "DeploymentConfig",
    "DeploymentStatus",
    "EndpointClient",
    "ModelDeployer",
    "RequestLogStatus",
    "RequestLogging",
    "Resources",
    "ServedAgain",
    "ServingProtocol",
    "encode_frame",
    "new_api_key",
    "predict_frame",
]
