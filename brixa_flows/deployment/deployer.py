"""Deployments: model versions behind endpoints, wanted here and run by an engine."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

from brixa_flows.deployment.access import make_keys
from brixa_flows.deployment.canarying import CanaryDeployments
from brixa_flows.deployment.config import (
    Autoscaling,
    DeploymentConfig,
    DeploymentSpec,
    Resources,
    RolledOut,
    ServingProtocol,
    make_spec,
)
from brixa_flows.deployment.keyed import KeyedDeployments
from brixa_flows.deployment.logged import LoggedDeployments
from brixa_flows.deployment.rollout import Rollout
from brixa_flows.deployment.status import DeploymentStatus
from brixa_flows.deployment.store import DeploymentStore
from brixa_flows.deployment.tls import read_tls
from brixa_flows.deployment.unserved import UnservedDeployments
from brixa_flows.errors import (
    BrixaError,
    DamagedArtifactError,
    DeploymentError,
    InvalidDeploymentError,
    VersionNotFoundError,
)
from brixa_flows.refs import check_deployment_name
from brixa_flows.storage.base import StorageNode
from brixa_flows.versioning import ModelVersion

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry

__all__ = ["ModelDeployer"]

_LOG = logging.getLogger(__name__)
_MOST_SECONDS = 86400.0


class ModelDeployer(
    CanaryDeployments, KeyedDeployments, LoggedDeployments, UnservedDeployments
):
    """Puts model versions behind endpoints and looks after them.

    What is wanted lies in ``config.json`` of each deployment, what is observed in its
    ``status.json``; any process with the same storage sees and changes the same
    deployments.

    Args:
        registry: Where the models are.
        storage: Where deployments are kept; by default the registry's storage.
        engine: Plug-in name of the serving engine.
        host: Address that new deployments bind; an old one keeps its own. Any but that
            of this machine alone needs keys.
        ready_timeout_seconds: How long a version may take to load and warm up.

    Raises:
        InvalidDeploymentError: If one of them can't be that.
    """

    def __init__(
        self,
        registry: ModelRegistry,
        storage: StorageNode | None = None,
        *,
        engine: str = "local",
        host: str = "127.0.0.1",
        ready_timeout_seconds: float = 180.0,
    ) -> None:
        self._registry = registry
        self._store = DeploymentStore(
            storage if storage is not None else registry.storage,
            registry.layout.deployments_prefix,
        )
        patience = _seconds("ready_timeout_seconds", ready_timeout_seconds)
        self._rollout = Rollout(registry, self._store, patience)
        self._engine_name = _text("engine", engine)
        self._host = _text("host", host)

    def deploy(
        self,
        model_name: str,
        version: ModelVersion | str | None = None,
        name: str | None = None,
        replicas: int | None = None,
        resources: Mapping[str, Any] | Resources | None = None,
        env_vars: Mapping[str, str] | None = None,
        autoscaling: Mapping[str, Any] | Autoscaling | None = None,
        *,
        protocol: ServingProtocol | None = None,
        api_keys: Mapping[str, str] | None = None,
        tls: Mapping[str, str] | None = None,
        request_log: Mapping[str, Any] | float | None = None,
        port: int | None = None,
        grpc_port: int | None = None,
    ) -> tuple[bool, str]:
        """Serve a version; a deployment of that name is upgraded with no lost request.

        Returns when the version answers or failed to. After a failure a deployment
        that was there serves on as before, and a new one leaves nothing.

        Args:
            model_name: Registry name of the model.
            version: Exact version, stage, alias or constraint; it is resolved once,
                now. By default production, else the highest stable version.
            name: Name of the deployment; by default that of the model.
            replicas: Number of processes. What is not given, here and below, stays as
                it is in an upgrade and comes from the settings in a new deployment.
            resources: ``cpu``, ``memory`` and ``gpu`` of a replica.
            env_vars: Environment of the replicas; ``LOG_LEVEL``, ``MAX_BATCH_SIZE``,
                ``MAX_CONCURRENT_REQUESTS`` and ``MAX_REQUEST_BYTES`` are ours.
            autoscaling: ``min_replicas``, ``max_replicas``, ``target_cpu_utilization``;
                an empty mapping ends it.
            protocol: ``rest``, ``grpc`` (then HTTP tells health and metrics alone) or
                ``both``; ``rest`` by default.
            api_keys: Key by name of who may ask, added or replaced; hashes are kept.
            tls: PEM files ``certificate`` and ``key`` of HTTPS; empty for plain HTTP.
            request_log: Share of the requests to keep as Parquet, or ``share`` with
                ``max_size``, ``max_file_size`` and ``max_file_seconds``; 0 ends it.
            port: Of HTTP; by default a free one. It is kept until ``delete``.
            grpc_port: The same for gRPC.

        Returns:
            Whether it is served, and one sentence to show.
        """
        try:
            wanted_name = check_deployment_name(model_name if name is None else name)
            asked = self._ask(model_name, version)
            old = self._store.find(wanted_name)
            given: dict[str, Any] = {"replicas": replicas, "resources": resources}
            given |= {"env_vars": env_vars, "autoscaling": autoscaling}
            given |= {"protocol": protocol, "request_log": request_log}
            spec = self._spec(old[0] if old else None, asked, given)
            config = self._reached(self._config(wanted_name, spec, old), api_keys, tls)
            config = config.at_ports(port, grpc_port)
            config = self._rollout.apply(config, old[1] if old else None)
        except BrixaError as err:
            return False, err.message
        return True, self._said(config, f", instead of {old[0].version}" if old else "")

    def _said(self, config: DeploymentConfig, before: str) -> str:
        endpoint = self._endpoints(config)
        return (
            f"{config.name} serves {config.model_name} {config.version}{before} with "
            f"{config.replicas} replica{'s' * (config.replicas != 1)} at {endpoint}"
        )

    def _ask(
        self, model_name: str, version: ModelVersion | str | None
    ) -> tuple[str, str]:
        if version is not None and not isinstance(version, str | ModelVersion):
            raise InvalidDeploymentError(
                f"version is a {type(version).__name__}; give a version such as '1.0.0'"
            )
        spec = None if version is None else str(version)
        return model_name, str(self._registry.resolve(model_name, spec))

    def _spec(
        self,
        old: DeploymentConfig | None,
        asked: tuple[str, str],
        given: dict[str, Any],
    ) -> DeploymentSpec:
        model_name, version = asked
        if old is not None:
            if old.model_name != model_name:
                raise InvalidDeploymentError(
                    f"the deployment {old.name!r} serves the model {old.model_name!r}, "
                    f"not {model_name!r}; choose another name, or delete it first"
                )
            given = {
                field: getattr(old, field) if value is None else value
                for field, value in given.items()
            }
            if given["request_log"] is None:
                given["request_log"] = {}  # what it had, and not the default
        if given["autoscaling"] == {}:
            given["autoscaling"] = None
        return make_spec(
            self._registry.settings, model_name=model_name, version=version, **given
        )

    def _config(
        self,
        name: str,
        spec: DeploymentSpec,
        old: tuple[DeploymentConfig, str] | None,
    ) -> DeploymentConfig:
        """What is wanted from now on."""
        now = datetime.now(UTC)
        if old is None:
            facts = {each: getattr(spec, each) for each in DeploymentSpec.model_fields}
            return DeploymentConfig(
                name=name,
                engine=self._engine_name,
                host=self._host,
                created_at=now,
                updated_at=now,
                rolled_out=RolledOut(event_id=str(uuid4()), at=now),
                **facts,
            )
        return old[0].followed_by(spec, now)

    @staticmethod
    def _reached(
        config: DeploymentConfig,
        api_keys: Mapping[str, str] | None,
        tls: Mapping[str, str] | None,
    ) -> DeploymentConfig:
        """The config with who may ask it, and how."""
        changes: dict[str, Any] = {}
        if api_keys is not None:
            keys = make_keys(config.api_keys, api_keys, config.updated_at)
            changes["api_keys"] = keys
        if tls is not None:
            changes["tls"] = None if tls == {} else read_tls(tls)
        return config.model_copy(update=changes)

    def get_endpoint(
        self, name: str, protocol: Literal["rest", "grpc"] | str = "rest"
    ) -> str:
        """Address of a deployment: a URL for REST, ``host:port`` for gRPC.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
            DeploymentError: If it does not speak the protocol.
        """
        config, _ = self._store.get(name)
        return self._rollout.engine(config.engine).endpoint(config, protocol)

    def status(self, name: str) -> DeploymentStatus:
        """How a deployment is right now.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
        """
        config, _ = self._store.get(name)
        return self._rollout.engine(config.engine).status(config)

    def config(self, name: str) -> DeploymentConfig:
        """What is wanted of a deployment.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
        """
        return self._store.get(name)[0]

    def list(self) -> list[str]:
        """Names of all deployments, sorted."""
        return self._store.names()

    def scale(self, name: str, replicas: int) -> DeploymentStatus:
        """Change the number of replicas, with no restart of those that stay.

        It is of the deployment, not of its version: a rollback leaves it.

        Returns:
            The status, with the new number of replicas ready.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
            InvalidDeploymentError: If it can't have that many.
            DeploymentError: If the new ones did not become ready.
        """
        config, etag = self._store.get(name)
        if replicas is None:  # that would be the default of new deployments
            raise InvalidDeploymentError(
                f"replicas = None: give the number of replicas that {name} is to have"
            )
        spec = make_spec(
            self._registry.settings,
            model_name=config.model_name,
            version=config.version,
            replicas=replicas,
            resources=config.resources,
            env_vars=config.env_vars,
            autoscaling=config.autoscaling,
            protocol=config.protocol,
            request_log=config.request_log or {},
        )
        scaled = config.followed_by(spec, datetime.now(UTC), remember=False)
        history = tuple(each.with_replicas(spec.replicas) for each in config.history)
        scaled = scaled.model_copy(update={"history": history})
        self._rollout.engine(config.engine).scale(scaled)
        self._rollout.keep(scaled, etag)
        return self.status(name)

    def rollback(self, name: str) -> DeploymentStatus:
        """Return to the config before the last deploy; again goes further back.

        Configs whose version was deleted or is quarantined are passed over, with a
        warning in the log.

        Returns:
            The status, serving what was served before.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
            DeploymentError: If there is nothing before, or it did not become ready;
                then what is served now serves on.
        """
        config, etag = self._store.get(name)
        *earlier, previous = self._usable_history(config)
        now = datetime.now(UTC)
        back = config.followed_by(previous, now, remember=False)
        self._rollout.apply(back.model_copy(update={"history": tuple(earlier)}), etag)
        return self.status(name)

    def _usable_history(self, config: DeploymentConfig) -> tuple[DeploymentSpec, ...]:
        """The history up to the last config whose version can still be served."""
        history, why = config.history, ""
        while history:
            last = history[-1]
            try:
                self._registry.resolve(last.model_name, last.version)
            except (VersionNotFoundError, DamagedArtifactError) as err:
                why = err.message
                told = "the rollback of %s passes over %s %s: %s"
                _LOG.warning(told, config.name, last.model_name, last.version, why)
                history = history[:-1]
            else:
                return history
        raise DeploymentError(
            f"the deployment {config.name!r} has no config before this one to return to"
            + (f" that can be served ({why}); deploy a version instead" if why else "")
        )

    def delete(self, name: str) -> None:
        """Stop a deployment after the requests in flight, and forget it.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
            DeploymentError: If it can't be stopped.
        """
        self._rollout.engine(self._store.engine_of(name)).delete(name)
        self._store.remove(name)


def _text(field: str, given: object) -> str:
    if not isinstance(given, str) or not given:
        raise InvalidDeploymentError(f"{field} = {str(given)[:60]!r} is no text")
    return given


def _seconds(field: str, given: object) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool):
        if 0 < given <= _MOST_SECONDS:
            return float(given)
    raise InvalidDeploymentError(
        f"{field} = {str(given)[:60]!r}: give a number of seconds above 0, up to a day"
    )
