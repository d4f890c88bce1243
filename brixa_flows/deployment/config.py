"""What a deployment should be, as values; see ``status.py`` for what it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias
from uuid import uuid4

from pydantic import (
    BeforeValidator,
    Field,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)

from brixa_flows.deployment.access import NOBODY, ApiKey, is_loopback
from brixa_flows.deployment.limits import check_variables
from brixa_flows.deployment.quantities import cpu_cores, memory_bytes
from brixa_flows.deployment.request_log import RequestLogging
from brixa_flows.deployment.tls import TlsFiles
from brixa_flows.deployment.values import Value
from brixa_flows.errors import InvalidDeploymentError
from brixa_flows.settings import BrixaSettings

__all__ = [
    "Autoscaling",
    "Canary",
    "DeploymentConfig",
    "DeploymentSpec",
    "Resources",
    "RolledOut",
    "ServingProtocol",
    "check_reach",
    "make_spec",
]

MAX_REPLICAS = 64
MAX_HISTORY = 10
_LAST_PORT = 65535
ServingProtocol: TypeAlias = Literal["rest", "grpc", "both"]
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _as_text(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (
        f"{value:f}".rstrip("0").rstrip(".")
        if isinstance(value, float)
        else (str(value) if is_number else value)
    )


_Quantity = Annotated[str, BeforeValidator(_as_text)]


class Resources(Value):
    """What one replica may use, in Kubernetes quantities.

    The ``local`` engine checks them against the machine, tells numeric libraries how
    many threads they may start and gives each replica its own GPUs; it does not cap
    memory.
    """

    cpu: _Quantity = Field("1", description="Cores: '1', '0.5' or '500m'.")
    memory: _Quantity = Field("2Gi", description="Memory: '2Gi', '512M', bytes.")
    gpu: int = Field(0, ge=0, le=1024, strict=True, description="Whole GPUs.")

    @field_validator("cpu")
    @classmethod
    def _check_cpu(cls, value: str) -> str:
        cpu_cores(value)
        return value.strip()

    @field_validator("memory")
    @classmethod
    def _check_memory(cls, value: str) -> str:
        memory_bytes(value)
        return value.strip()


class Autoscaling(Value):
    """Between how many replicas the engine may choose, and by what."""

    min_replicas: int = Field(1, ge=1, le=MAX_REPLICAS, strict=True)
    max_replicas: int = Field(ge=1, le=MAX_REPLICAS, strict=True)
    target_cpu_utilization: int = Field(
        80, ge=1, le=100, strict=True, description="Percent of the CPU asked for."
    )
    scale_down_window_seconds: float = Field(
        300.0,
        ge=0,
        le=3600,
        strict=True,
        description="How long less must do before it shrinks.",
    )

    @model_validator(mode="after")
    def _check_order(self) -> Autoscaling:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"min_replicas ({self.min_replicas}) is more than max_replicas "
                f"({self.max_replicas})"
            )
        return self


class DeploymentSpec(Value):
    """What is served and how: the part of a deployment that ``rollback`` restores."""

    model_name: str = Field(description="Registry name of the model.")
    version: str = Field(description="Exact version.")
    replicas: int = Field(1, ge=1, le=MAX_REPLICAS, strict=True)
    resources: Resources = Field(default_factory=lambda: Resources())
    env_vars: dict[StrictStr, StrictStr] = Field(default_factory=dict)
    autoscaling: Autoscaling | None = None
    protocol: ServingProtocol = Field(
        "rest", description="What predictions are asked by."
    )
    request_log: RequestLogging | None = None

    @field_validator("env_vars")
    @classmethod
    def _check_variables(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name[:40]!r} can't be an environment variable")
            if "\0" in text:
                raise ValueError(f"the value of {name} holds a zero byte")
            if text != text.encode(errors="replace").decode():
                raise ValueError(f"the value of {name} is no text in UTF-8")
        return value

    @model_validator(mode="after")
    def _check_replicas(self) -> DeploymentSpec:
        limits = self.autoscaling
        if limits is not None and not (
            limits.min_replicas <= self.replicas <= limits.max_replicas
        ):
            raise ValueError(
                f"replicas ({self.replicas}) is outside of what autoscaling allows, "
                f"{limits.min_replicas} to {limits.max_replicas}"
            )
        return self

    def with_replicas(self, replicas: int) -> DeploymentSpec:
        """The same with other replicas, as many of them as its autoscaling allows."""
        limits = self.autoscaling
        if limits is not None:
            replicas = max(limits.min_replicas, min(replicas, limits.max_replicas))
        return self.model_copy(update={"replicas": replicas})


class RolledOut(Value):
    """A deployment came to another version: what its event says besides.

    Attributes:
        event_id: Its event is delivered under this id, once.
        at: When, UTC.
        replaced: The version before; empty if there was none.
    """

    event_id: str
    at: datetime
    replaced: str = ""


class Canary(Value):
    """A version that is tried beside the one that is served, in the same replicas.

    Attributes:
        id: Of this trial; its counters are kept under it.
        model_name: Registry name of the model.
        version: Its exact version.
        share: Share of the requests to predict that it answers, 0 to 1.
        shadow: It predicts a copy of what the other predicts and answers nobody.
        since: Begin of the trial, UTC.
    """

    id: str
    model_name: str
    version: str
    share: float = Field(0.0, ge=0, le=1)
    shadow: bool = False
    since: datetime


class DeploymentConfig(DeploymentSpec):
    """The desired state of a deployment: ``config.json``.

    Attributes:
        name: Name of the deployment.
        engine: Plug-in name of the serving engine.
        host: Address it binds.
        port: Port it keeps over upgrades and restarts; 0 until the first start.
        grpc_port: The same for gRPC; 0 until it is first served.
        created_at: When the deployment was made, UTC.
        updated_at: When this config was wanted, UTC.
        history: Earlier specs, oldest first; ``rollback`` takes the last.
        rolled_out: The last change of the version.
        canary: What is tried beside it.
        api_keys: Who may ask it; without any, everybody who reaches it, or nobody. A
            rollback gives no revoked key back, nor does it take encryption away.
        shut: Does it let nobody in as long as it has no key?
        tls: What it is served with over HTTPS; plain HTTP without.
    """

    name: str
    engine: str = "local"
    host: str = "127.0.0.1"
    port: int = Field(0, ge=0, le=65535)
    grpc_port: int = Field(0, ge=0, le=65535)
    created_at: datetime
    updated_at: datetime
    history: tuple[DeploymentSpec, ...] = ()
    rolled_out: RolledOut | None = None
    canary: Canary | None = None
    api_keys: tuple[ApiKey, ...] = ()
    shut: bool = False
    tls: TlsFiles | None = None

    @property
    def key_digests(self) -> tuple[str, ...]:
        """SHA-256 of the keys of those who may ask; empty lets all in."""
        digests = tuple(key.digest for key in self.api_keys)
        return digests or (NOBODY,) * self.shut

    @property
    def spec(self) -> DeploymentSpec:
        """The part that a rollback would restore."""
        fields = {field: getattr(self, field) for field in DeploymentSpec.model_fields}
        return DeploymentSpec(**fields)

    def followed_by(
        self, spec: DeploymentSpec, now: datetime, *, remember: bool = True
    ) -> DeploymentConfig:
        """The config after this one; another version ends a canary.

        Args:
            spec: What is wanted next.
            now: Aware UTC time of the change.
            remember: Keep the present spec in the history.
        """
        history = (*self.history, self.spec)[-MAX_HISTORY:]
        changes = {field: getattr(spec, field) for field in DeploymentSpec.model_fields}
        changes["updated_at"] = now
        if remember and spec != self.spec:
            changes["history"] = history
        if spec.version != self.version:
            changes["canary"] = None
            changes["rolled_out"] = RolledOut(
                event_id=str(uuid4()), at=now, replaced=self.version
            )
        return self.model_copy(update=changes)

    def at_ports(self, port: int | None, grpc_port: int | None) -> DeploymentConfig:
        """The config with the ports that a person chose, where there are none yet.

        Raises:
            InvalidDeploymentError: If it has others, or they can't be its ports.
        """
        given = {"port": port, "grpc_port": grpc_port}
        chosen = {field: each for field, each in given.items() if each is not None}
        for field, each in chosen.items():
            if isinstance(each, bool) or not isinstance(each, int):
                raise InvalidDeploymentError(f"{field} = {each!r} is no whole number")
            if not 1 <= each <= _LAST_PORT:
                raise InvalidDeploymentError(
                    f"{field} = {each} is no port; give 1 to {_LAST_PORT}, or leave it "
                    "out for a free one"
                )
            kept = getattr(self, field)
            if kept not in (0, each):
                raise InvalidDeploymentError(
                    f"{field} = {each}: {self.name} has {kept}, and a deployment keeps "
                    "its ports; delete it first, or choose another name"
                )
        if grpc_port is not None and self.protocol == "rest":
            raise InvalidDeploymentError(
                f"grpc_port = {grpc_port}: {self.name} serves REST alone; give the "
                "protocol 'grpc' or 'both' as well, or leave the port out"
            )
        config = self.model_copy(update=chosen)
        if config.port and config.port == config.grpc_port:
            raise InvalidDeploymentError(
                f"port and grpc_port are both {config.port}; each needs one of its own"
            )
        return config


def check_reach(config: DeploymentConfig) -> None:
    """Return unless others could reach a deployment that asks for no key.

    Raises:
        InvalidDeploymentError: If they could.
    """
    if not config.key_digests and not is_loopback(config.host):
        raise InvalidDeploymentError(
            f"{config.name} would answer everybody who reaches {config.host}, as it has "
            "no key; give it one (--api-key WHO, or deploy(api_keys={WHO: "
            "new_api_key()})), or bind 127.0.0.1"
        )


def make_spec(
    settings: BrixaSettings,
    *,
    model_name: str,
    version: str,
    replicas: int | None,
    resources: Mapping[str, Any] | Resources | None,
    env_vars: Mapping[str, Any] | None,
    autoscaling: Mapping[str, Any] | Autoscaling | None,
    protocol: str | None = None,
    request_log: Mapping[str, Any] | RequestLogging | float | None = None,
) -> DeploymentSpec:
    """Check what a person asked for and fill in the defaults of the settings.

    Raises:
        InvalidDeploymentError: If it can't work; names the field and the reason.
    """
    defaults = {"cpu": settings.default_cpu, "memory": settings.default_memory}
    try:
        limits = (
            None if autoscaling is None else Autoscaling.model_validate(autoscaling)
        )
        if replicas is None:
            replicas = settings.default_replicas
            if limits is not None:
                replicas = max(limits.min_replicas, min(replicas, limits.max_replicas))
        spec = DeploymentSpec.model_validate(
            {
                "model_name": model_name,
                "version": version,
                "replicas": replicas,
                "resources": _with_defaults(resources, defaults),
                "env_vars": {} if env_vars is None else env_vars,
                "autoscaling": limits,
                "protocol": "rest" if protocol is None else protocol,
                "request_log": _log_rules(request_log, settings.request_log_share),
            }
        )
    except ValidationError as err:
        raise InvalidDeploymentError(_sentence(err)) from err
    check_variables(spec.env_vars)
    return spec


def _log_rules(given: object, default_share: float) -> object:
    """What is kept of requests: a share of them, more rules, or nothing."""
    if given is None:
        given = default_share
    if isinstance(given, int | float):
        given = {"share": given} if given else {}
    return None if given == {} else given


def _with_defaults(given: object, defaults: dict[str, str]) -> object:
    if given is None:
        return defaults
    return {**defaults, **given} if isinstance(given, Mapping) else given


def _sentence(err: ValidationError) -> str:
    first = err.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or err.title.lower()
    reason = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        return f"{where} is not known here; allowed: {_allowed(err.title, where)}"
    if first["type"] in ("value_error", "missing"):
        return f"{where}: {reason}"
    return f"{where} = {str(first['input'])[:60]!r}: {reason}"


def _allowed(title: str, where: str) -> str:
    model: type[Value] = Autoscaling if title == "Autoscaling" else Resources
    if where.startswith("request_log."):
        model = RequestLogging
    return ", ".join(model.model_fields)
