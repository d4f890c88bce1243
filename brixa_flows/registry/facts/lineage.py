"""What went into a version: gathered from arguments, context and surroundings."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from brixa_flows.errors import (
    InvalidMetadataError,
    InvalidNameError,
    InvalidVersionError,
)
from brixa_flows.refs import check_model_name
from brixa_flows.registry.facts.inputs import as_json_object, as_text, as_text_mapping
from brixa_flows.registry.facts.metadata import (
    CodeRef,
    DatasetRef,
    FeatureRef,
    Lineage,
    ParentRef,
)
from brixa_flows.versioning import ModelVersion

__all__ = ["as_refs", "gather_lineage", "git_state", "lineage_context"]

_GIT_TIMEOUT_SECONDS = 5
_MOST_ROWS = 2**63 - 1
_STATUS = ("status", "--porcelain=v2", "--branch", "--untracked-files=no")
_ID = re.compile("[A-Za-z0-9][A-Za-z0-9_-]{0,255}")
"""MLflow's own rule for the id of a run."""

_ORIGIN = ("config", "--get", "remote.origin.url")
_COMMIT = "# branch.oid "
_NO_COMMIT = "(initial)"
_Ref = TypeVar("_Ref", bound=BaseModel)
_CONTEXT: ContextVar[Lineage] = ContextVar("brixa_lineage")


@contextmanager
def lineage_context(
    *,
    flow_run_id: str | None = None,
    code: CodeRef | None = None,
    features: Iterable[FeatureRef] = (),
    datasets: Iterable[DatasetRef] = (),
    parents: Iterable[ParentRef] = (),
    run_id: str | None = None,
    model_uri: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Lineage]:
    """Say once what all versions registered inside have in common.

    Contexts nest: lists add up, single facts of the inner one win. Threads and async
    tasks see the context they were started in.

    Args:
        flow_run_id: Prefect flow run.
        code: Code that trains; without it the git state of the working directory.
        features: Features of a feature store.
        datasets: Data that goes in.
        parents: Model versions that the new ones are made from.
        run_id: MLflow run that trains.
        model_uri: Logged model that is adopted.
        environment: Installed version by package where it was trained, if that was
            elsewhere; wins over what is installed here.

    Raises:
        InvalidMetadataError: If one can't be read or kept; names it.
    """
    outer = _CONTEXT.get(Lineage())
    merged = Lineage(
        datasets=(*outer.datasets, *as_refs("datasets", DatasetRef, datasets)),
        features=(*outer.features, *as_refs("features", FeatureRef, features)),
        parents=(*outer.parents, *as_refs("parents", ParentRef, parents)),
        code=as_refs("code", CodeRef, [code])[0] if code else outer.code,
        run_id=_id("run_id", run_id) or outer.run_id,
        model_uri=_uri(model_uri) or outer.model_uri,
        flow_run_id=_id("flow_run_id", flow_run_id) or outer.flow_run_id,
        environment={
            **outer.environment,
            **as_text_mapping("environment", environment),
        },
    )
    token = _CONTEXT.set(merged)
    try:
        yield merged
    finally:
        _CONTEXT.reset(token)


def gather_lineage(
    datasets: Iterable[DatasetRef | Mapping[str, Any]] = (),
    parents: Iterable[ParentRef | Mapping[str, Any] | str] = (),
    run_id: str | None = None,
) -> Lineage:
    """Arguments of a call, joined with the context and the git state.

    Args:
        datasets: Data that went in, as values or as mappings of their fields.
        parents: Versions it was made from, as values, mappings or ``NAME@VERSION``.
        run_id: MLflow run that trained it.

    Raises:
        InvalidMetadataError: If one can't be read; names it.
    """
    context = _CONTEXT.get(Lineage())
    _refuse_single("parents", parents)
    given = as_refs("datasets", DatasetRef, datasets)
    made_from = as_refs("parents", ParentRef, map(_parent, parents))
    return Lineage(
        datasets=_distinct((*context.datasets, *given)),
        features=context.features,
        parents=_distinct((*context.parents, *made_from)),
        code=context.code or git_state(Path.cwd()),
        run_id=_id("run_id", run_id) or context.run_id,
        model_uri=context.model_uri,
        flow_run_id=context.flow_run_id,
        environment=context.environment,
    )


def _distinct(refs: Iterable[_Ref]) -> tuple[_Ref, ...]:
    found: list[_Ref] = []
    for ref in refs:
        if ref not in found:
            found.append(ref)
    return tuple(found)


def _parent(given: ParentRef | Mapping[str, Any] | str) -> Any:
    if not isinstance(given, str):
        return given
    name, _, version = given.partition("@")
    return {"name": name, "version": version}


def _id(field: str, given: str | None) -> str | None:
    """An id that MLflow and Prefect take: it becomes a part of addresses."""
    if given is not None and not _ID.fullmatch(as_text(field, given)):
        raise InvalidMetadataError(
            field,
            f"is {given[:80]!r}, which is no id of a run: give 1 to 256 letters, digits, "
            "dashes or underscores that begin with a letter or digit",
        )
    return given


def _uri(given: str | None) -> str | None:
    return None if given is None else as_text("model_uri", given)


def _refuse_single(field: str, given: object) -> None:
    single = isinstance(given, str | Mapping | BaseModel)
    if single or not isinstance(given, Iterable):
        raise InvalidMetadataError(field, "is a single value; give a list")


def as_refs(field: str, kind: type[_Ref], given: Iterable[Any]) -> tuple[_Ref, ...]:
    """References of one kind, from values or mappings of their fields.

    Raises:
        InvalidMetadataError: If one can't be read; names it.
    """
    _refuse_single(field, given)
    found = []
    for index, each in enumerate(given):
        try:
            found.append(each if isinstance(each, kind) else kind.model_validate(each))
        except ValidationError as err:
            first = err.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise InvalidMetadataError(
                field,
                f"at {field}[{index}]{'.' + place if place else ''}: {first['msg']}; "
                f"give a {kind.__name__} or a mapping of its fields",
            ) from err
        _check_ref(f"{field}[{index}]", found[-1])
    return tuple(found)


def _check_ref(place: str, ref: BaseModel) -> None:
    for name, value in vars(ref).items():
        if isinstance(value, str):
            as_text(f"{place}.{name}", value)
        elif isinstance(value, Mapping):
            as_json_object(f"{place}.{name}", value)
    if isinstance(ref, DatasetRef):
        as_text(f"{place}.name", ref.name, required=True)
        if ref.rows is not None and not 0 <= ref.rows <= _MOST_ROWS:
            raise InvalidMetadataError(
                f"{place}.rows", f"is {str(ref.rows)[:40]}; give a number of rows"
            )
    if isinstance(ref, ParentRef):
        _check_parent(place, ref)


def _check_parent(place: str, ref: ParentRef) -> None:
    try:
        check_model_name(ref.name)
        ModelVersion.parse(ref.version)
    except (InvalidNameError, InvalidVersionError) as err:
        raise InvalidMetadataError(
            place, f"is no version: {err}; give NAME@VERSION such as base@1.2.0"
        ) from err


def git_state(path: Path) -> CodeRef | None:
    """Commit, cleanliness and origin of the git work tree around ``path``.

    Returns:
        ``None`` if it is in no work tree with a commit, or git is not installed.
    """
    with ThreadPoolExecutor(2) as pool:
        status, origin = pool.map(partial(_git, path), (_STATUS, _ORIGIN))
    lines = (status or "").splitlines()
    heads = [line for line in lines if line.startswith(_COMMIT)]
    commit = heads[0].removeprefix(_COMMIT) if heads else _NO_COMMIT
    if commit == _NO_COMMIT:
        return None
    return CodeRef(
        commit=commit,
        dirty=any(not line.startswith("#") for line in lines),
        repository=re.sub(r"(?<=://)[^/@]+@", "", origin or ""),
    )


def _git(path: Path, arguments: Iterable[str]) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(path), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_SECONDS,
            check=False,
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
