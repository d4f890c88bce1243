"""The sentences about aliases that are elsewhere in MLflow than the journal says."""

from __future__ import annotations

from brixa_flows.registry.facts.resolving import again, exact
from brixa_flows.registry.facts.stages import SINGLE_HOLDER, TRANSITIONS
from brixa_flows.registry.reading.reader import Standing

__all__ = ["elsewhere", "moved", "unknown"]


def moved(standing: Standing, alias: str, ours: str | None, shown: str | None) -> str:
    """What is to be done where an alias is not where the journal has it."""
    name, lifecycle = standing.name, standing.lifecycle
    undone = "delete the alias in MLflow to undo it"
    if alias in lifecycle.settled:
        undone = "brixa doctor --rebuild-tracking undoes it"
    return (
        f"{name}: the alias {alias!r} is on {shown or 'no version'} in MLflow, and on "
        f"{ours or 'no version'} by the journal, which decides here; somebody moved it "
        "by hand, or later records of the journal are lost: "
        f"{_adopting(standing, alias, ours, shown)}, {undone}"
    )


def elsewhere(name: str, alias: str, ours: str | None, number: str) -> str:
    """What is to be done where an alias is on a version that MLflow alone knows."""
    undone = "or delete the alias in MLflow"
    if ours is not None:
        undone = f"or brixa doctor --rebuild-tracking puts the alias back on {ours}"
    return (
        f"{name}: the alias {alias!r} is on version {number} of MLflow's own in MLflow, "
        f"which was not saved here, and on {ours or 'no version'} by the journal, which "
        f"decides here; somebody moved it by hand: brixa model register-run "
        f"models:/{name}/{number} --name {name} adopts that version, which may then be "
        f"given the alias here, {undone}"
    )


def unknown(name: str, alias: str, last: str | None, shown: str | None) -> str:
    """What is to be done where a lost record hides who has an alias."""
    return (
        f"{name}: which version is {alias} is not known, as the record of a change can't "
        f"be read; MLflow shows it on {shown or 'no version'}, the records before on "
        f"{last or 'no version'}: restore the record, or say which one it is, such as "
        f"{again(name, shown or last or 'VERSION', alias)}"
    )


def _adopting(
    standing: Standing, alias: str, ours: str | None, shown: str | None
) -> str:
    """What makes the journal say so too, as far as it can."""
    name, lifecycle = standing.name, standing.lifecycle
    version = exact(shown)
    if shown is not None and (version is None or not standing.has(version)):
        return f"it can't be adopted, because {shown} was never saved here"
    if version is not None and not standing.is_ready(version):
        return f"it can't be adopted, because {version} is {standing.state(version)}"
    if alias not in SINGLE_HOLDER:
        return f"registry.set_alias({name!r}, {alias!r}, {shown!r}) adopts that"
    if version is None:
        return f"brixa model transition {name}@{ours} archived --reason WHY adopts that"
    source = lifecycle.stages.get(version)
    if alias == "production" and lifecycle.productions[-2:-1] == (version,):
        return f"brixa model rollback {name} --reason WHY adopts that"
    if alias in TRANSITIONS[source]:
        return f"brixa model transition {name}@{shown} {alias} --reason WHY adopts that"
    return f"it can't be adopted, because no transition leads from {source} to {alias}"
