"""What a deployment was asked and what it answered, read back from its request log."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from brixa_flows.deployment.request_log import requests_prefix
from brixa_flows.deployment.store import DeploymentStore
from brixa_flows.errors import DeploymentError, InvalidDeploymentError
from brixa_flows.plugins import import_adapter
from brixa_flows.refs import check_deployment_name

if TYPE_CHECKING:
    from brixa_flows.registry import ModelRegistry
    from brixa_flows.versioning import ModelVersion

__all__ = ["LoggedDeployments"]


class LoggedDeployments:
    """The part of a deployer that reads request logs; see :class:`ModelDeployer`."""

    _registry: ModelRegistry
    _store: DeploymentStore

    def logged_requests(
        self,
        name: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        version: ModelVersion | str | None = None,
        inputs_only: bool = False,
        besides: Collection[str] = (),
    ) -> Iterator[Any]:
        """Requests that were kept, file by file, so that memory does not grow with them.

        Those of a deployment that was deleted are read as well. What a replica has in
        its open file is not there yet.

        Args:
            name: Name of the deployment.
            since: Rows from then on; without a zone it is UTC.
            until: Rows before then.
            version: Rows that this version answered.
            inputs_only: Leave out what was answered and when, as drift compares inputs.
            besides: Columns of the answers to keep nevertheless.

        Yields:
            Arrow record batches, at least one.

        Raises:
            DeploymentError: If nothing was kept of that time.
            InvalidDeploymentError: If a time is none.
        """
        since, until = _moment("since", since), _moment("until", until)
        prefix = self._requests_prefix(name)
        files = import_adapter("brixa_flows.deployment._request_files")
        empty = True
        for batch in files.read_requests(
            self._store.storage,
            prefix,
            since=since,
            until=until,
            version=None if version is None else str(version),
            inputs_only=inputs_only,
            besides=besides,
        ):
            empty = False
            yield batch
        if empty:
            raise DeploymentError(
                f"the request log of {name!r} has no rows of that version and time in "
                f"{prefix}; a deployment keeps them if it is asked to (--request-log 1, "
                "deploy(request_log=1)), and shows them when a file is full or old enough"
            )

    def _requests_prefix(self, name: str) -> str:
        root = self._registry.settings.model_registry_path
        return requests_prefix(root, check_deployment_name(name))


def _moment(field: str, given: object) -> datetime | None:
    if given is None:
        return None
    if not isinstance(given, datetime):
        raise InvalidDeploymentError(
            f"{field} = {str(given)[:60]!r} is no datetime; give one, such as "
            "datetime(2026, 3, 1, tzinfo=UTC)"
        )
    return given if given.tzinfo is not None else given.replace(tzinfo=UTC)
