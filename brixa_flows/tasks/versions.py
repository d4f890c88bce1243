"""Which versions of a model can be judged."""

from __future__ import annotations

from prefect import get_run_logger

from brixa_flows.errors import VersionNotFoundError
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.remote import remote_task

__all__ = ["look_version_up", "ready_versions"]


@remote_task("look {name} {version} up")
def look_version_up(registry: str, name: str, version: str) -> None:
    """Return if there is such a version, whatever its state.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Its version.

    Raises:
        ModelNotFoundError: If there is no such model.
        VersionNotFoundError: If it has no such version.
    """
    open_registry(registry).get_metadata(name, version)


@remote_task("versions of {name} in {constraint}")
def ready_versions(registry: str, name: str, constraint: str) -> list[str]:
    """Versions that are saved and satisfy a constraint, oldest first.

    Args:
        registry: Name of the registry's block.
        name: The model.
        constraint: Such as ``^1.2``; ``*`` takes all but pre-releases.

    Raises:
        VersionNotFoundError: If there is none.
    """
    found = [
        str(metadata.version)
        for metadata in open_registry(registry).list_versions(name, constraint)
        if metadata.state == "ready"
    ]
    if not found:
        raise VersionNotFoundError(name, constraint, ())
    get_run_logger().info("%s of %s in %s", len(found), name, constraint)
    return found
