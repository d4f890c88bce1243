"""A version tried on live requests before it is served: started, judged, ended."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from brixa_flows.deployment.canary_gate import CanaryGate, CanaryVerdict
from brixa_flows.deployment.config import Canary, DeploymentConfig
from brixa_flows.deployment.rollout import Rollout
from brixa_flows.deployment.store import DeploymentStore
from brixa_flows.errors import BrixaError, DeploymentError, InvalidDeploymentError

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry
    from brixa_flows.versioning import ModelVersion

__all__ = ["CanaryDeployments"]


class CanaryDeployments:
    """The part of a deployer that tries versions; see :class:`ModelDeployer`."""

    _registry: ModelRegistry
    _store: DeploymentStore
    _rollout: Rollout

    def start_canary(
        self,
        name: str,
        version: ModelVersion | str,
        *,
        share: float | None = None,
        shadow: bool = False,
    ) -> tuple[bool, str]:
        """Try a version beside the one that is served, inside of the same replicas.

        Each replica holds both then, so it needs the memory of both. Called again it
        changes the share, or tries another version instead, with new counters.

        Args:
            name: Name of the deployment.
            version: Exact version, stage, alias or constraint of its model.
            share: Share of the requests to predict that it answers, above 0 up to 1.
            shadow: Have it predict a copy of what the other predicts and answer nobody.

        Returns:
            Whether it is tried now, and one sentence to show; if not, all is as before.
        """
        try:
            config, etag = self._store.get(name)
            canary = self._canary(config, version, share, shadow)
            tried = config.model_copy(
                update={"canary": canary, "updated_at": canary.since}
            )
            self._rollout.apply(tried, etag)
        except BrixaError as err:
            return False, err.message
        how = "as a shadow" if shadow else f"on {canary.share:.3g} of the requests"
        return True, (
            f"{name} tries {canary.model_name} {canary.version} {how} beside "
            f"{config.version}"
        )

    def _canary(
        self,
        config: DeploymentConfig,
        version: ModelVersion | str,
        share: float | None,
        shadow: bool,
    ) -> Canary:
        if not isinstance(shadow, bool):
            raise InvalidDeploymentError(
                f"shadow = {str(shadow)[:60]!r} is neither True nor False"
            )
        if shadow == (share is not None):
            raise InvalidDeploymentError(
                "give either share= (such as 0.1) or shadow=True: a shadow answers nobody"
            )
        if share is not None and not _is_share(share):
            raise InvalidDeploymentError(
                f"share = {str(share)[:60]!r} is not above 0 and up to 1; give one such as 0.1"
            )
        found = str(self._registry.resolve(config.model_name, str(version)))
        if found == config.version:
            raise InvalidDeploymentError(
                f"{config.name} serves {config.model_name} {found} already; try another "
                "version"
            )
        return Canary(
            id=uuid4().hex[:12],
            model_name=config.model_name,
            version=found,
            share=share or 0.0,
            shadow=shadow,
            since=datetime.now(UTC),
        )

    def promote_canary(self, name: str) -> tuple[bool, str]:
        """Serve the version that is tried; it is loaded, so this takes no time.

        ``rollback`` returns to the version before.

        Returns:
            Whether it is served, and one sentence to show.
        """
        try:
            config, etag, canary = self._tried(name)
            spec = config.spec.model_copy(update={"version": canary.version})
            self._rollout.apply(config.followed_by(spec, datetime.now(UTC)), etag)
        except BrixaError as err:
            return False, err.message
        return True, (
            f"{name} serves {canary.model_name} {canary.version}, instead of "
            f"{config.version}"
        )

    def abort_canary(self, name: str) -> tuple[bool, str]:
        """Try the version no longer; what is served serves on.

        Returns:
            Whether it is over, and one sentence to show.
        """
        try:
            config, etag, canary = self._tried(name)
            now = datetime.now(UTC)
            alone = config.model_copy(update={"canary": None, "updated_at": now})
            self._rollout.apply(alone, etag)
        except BrixaError as err:
            return False, err.message
        return (
            True,
            f"{name} tries {canary.version} no longer; it serves {config.version}",
        )

    def judge_canary(self, name: str, gate: CanaryGate | None = None) -> CanaryVerdict:
        """Promote or abort a canary by what was observed, or wait.

        Args:
            name: Name of the deployment.
            gate: What it must have stood.

        Raises:
            DeploymentNotFoundError: If there is no such deployment.
            DeploymentError: If nothing is tried there, or the change failed.
            InvalidDeploymentError: If the gate is none.
        """
        gate = CanaryGate() if gate is None else gate
        if not isinstance(gate, CanaryGate):
            raise InvalidDeploymentError(
                f"gate is a {type(gate).__name__}; give a CanaryGate, such as "
                "CanaryGate(min_requests=1000)"
            )
        config, _, canary = self._tried(name)
        seen = self._rollout.engine(config.engine).status(config).canary
        if seen is None:
            raise DeploymentError(
                f"nothing is known of the canary {canary.version} of {name!r}; look at "
                f"its status"
            )
        verdict = gate.judge(seen)
        acts = {"promote": self.promote_canary, "abort": self.abort_canary}
        if verdict.decision in acts:
            done, message = acts[verdict.decision](name)
            if not done:
                raise DeploymentError(message)
        return verdict

    def _tried(self, name: str) -> tuple[DeploymentConfig, str, Canary]:
        config, etag = self._store.get(name)
        if config.canary is None:
            raise DeploymentError(
                f"the deployment {name!r} tries no version; start one with start_canary"
            )
        return config, etag, config.canary


def _is_share(given: object) -> bool:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return False
    return 0 < given <= 1
