"""Which versions of a model can be judged."""

from __future__ import annotations

from prefect import get_run_logger

from brixa_flows.errors import VersionNotFoundError
from brixa_flows.registry.facts.resolving import exact
from brixa_flows.tasks.opening import open_registry
from brixa_flows.tasks.remote import remote_task

__all__ = ["look_version_up", "meant_version", "ready_versions"]


@remote_task("look {name} {version} up")
def look_version_up(registry: str, name: str, version: str) -> str:
    """The exact version that is meant; one that is written out may be in any state.

    Args:
        registry: Name of the registry's block.
        name: The model.
        version: Version, stage, alias, ``latest`` or constraint.

    Raises:
        ModelNotFoundError: If there is no such model.
        VersionNotFoundError: If nothing answers to it.
    """
    found = str(open_registry(registry).get_metadata(name, version).version)
    if found != version:
        get_run_logger().info("%s of %s is %s", version, name, found)
    return found


def meant_version(registry: str, name: str, version: str) -> str:
    """The exact version that is meant; one that is written out is not looked up.

    Call it from a flow; arguments and errors as of :func:`look_version_up`.
    """
    if exact(version) is not None:
        return version
    return look_version_up(registry, name, version)


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
