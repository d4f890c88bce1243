"""What people give a registry by mistake, and what it answers."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from brixa_flows.errors import (
    BrixaError,
    DatasetError,
    InvalidConstraintError,
    InvalidMetadataError,
    InvalidNameError,
    InvalidSchemaError,
    SettingsError,
    VersionNotFoundError,
)
from brixa_flows.registry import ModelRegistry, lineage_context
from brixa_flows.registry.adopting import Described
from brixa_flows.storage.local import LocalStorageNode

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


def test_a_path_is_no_storage_node(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="give LocalStorageNode"):
        ModelRegistry(str(tmp_path))  # type: ignore[arg-type]


def test_a_stage_that_does_not_exist_is_no_empty_list(
    registry: ModelRegistry, save: Any
) -> None:
    save("m")
    with pytest.raises(InvalidMetadataError, match="staging"):
        registry.list_versions("m", stage="prod")  # type: ignore[arg-type]


def test_a_reference_without_rows_or_file_is_refused_and_the_save_can_be_repeated(
    registry: ModelRegistry, classifier: Any, frame: pd.DataFrame, tmp_path: Path
) -> None:
    version = registry.register_model("m", "classification", "sklearn").version
    for wrong, words in (
        (frame.head(0), "the reference has no rows"),
        (str(tmp_path / "none.parquet"), "there is no reference file"),
        (str(tmp_path / "*.parquet"), "there is no reference file"),
    ):
        with pytest.raises(DatasetError, match=words):
            registry.save_model("m", version, classifier, frame.head(), reference=wrong)
    assert registry.save_model("m", version, classifier, reference=frame).has_reference


_REQUIRED = {
    "name": "m",
    "version": "1.0.0",
    "stage": "archived",
    "alias": "own",
    "payload": {"x": 1},
    "metrics": {"f1": 1.0},
    "filename": "x.md",
    "content": "x",
    "model": object(),
    "when": datetime(2026, 1, 1, tzinfo=UTC),
    "reason": "z",
    "one": "1.0.0",
    "other": "1.0.0",
    "filter": "name = 'm'",
    "model_uri": "runs:/x/model",
    "actor": "ada",
    "key": "none",
}
_DEEP: dict[str, Any] = {}
for _ in range(70):
    _DEEP = {"a" * 300: _DEEP}
_WRONG = (5, None, "", [], {}, object(), b"x", "\x00", float("nan"), [1, "x"], -1, True)
_WRONG += ("../../etc", "/etc/passwd", "a\nb", "\ud800", "x" * 100_000, 10**400, _DEEP)
_NOT_CALLED = {
    "from_settings",
    "feed",
    "keys",
    "layout",
    "settings",
    "storage",
    "tracking",
}


def _calls(registry: ModelRegistry) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each public method with each parameter wrong in each way, the others right."""
    described = set(Described.__annotations__)
    names = {each for each in dir(registry) if not each.startswith("_")} - _NOT_CALLED
    for name in sorted(names, key=lambda each: (each == "delete_version", each)):
        parameters = inspect.signature(getattr(registry, name)).parameters.values()
        named = [x.name for x in parameters if x.kind is not x.VAR_KEYWORD]
        more = described if len(named) < len(parameters) else set()
        needed = {
            each.name: _REQUIRED.get(each.name)
            for each in parameters
            if each.default is each.empty and each.kind is not each.VAR_KEYWORD
        }
        for parameter in {*named, *more}:
            yield from ((name, {**needed, parameter: wrong}) for wrong in _WRONG)


def test_whatever_is_given_wrongly_is_refused_by_an_error_of_ours(
    registry: ModelRegistry, save: Any, tmp_path: Path
) -> None:
    save("m")
    around = set(tmp_path.iterdir())
    for name, arguments in _calls(registry):
        with suppress(BrixaError):
            getattr(registry, name)(**arguments)
    assert set(tmp_path.iterdir()) == around, "nothing was written elsewhere"
    told = [each for each in registry.check() if "no digest" not in each]
    assert told == [], "what was kept can be read"
    assert registry.list_versions("m")[0].state == "deleted"  # by the last one


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("collect_garbage", {"older_than": "30d"}), "give a time that passed"),
        (("log_metrics", {"metrics": None}), "'metrics' is empty"),
        (("update", {"tags": list(map(str, range(1001)))}), "at most 1000 are kept"),
        (("resolve", {"spec": " "}), "it is blank; give none for production"),
    ],
)
def test_what_was_given_wrongly_is_named(
    registry: ModelRegistry, save: Any, call: tuple[str, dict[str, Any]], words: str
) -> None:
    save("m")
    who = {} if call[0] == "collect_garbage" else {"name": "m", "version": "1.0.0"}
    who.pop("version" if call[0] == "resolve" else "", None)
    with pytest.raises((InvalidMetadataError, InvalidConstraintError), match=words):
        getattr(registry, call[0])(**who, **call[1])


@pytest.mark.parametrize("wrong", ["../../etc", "a b", "-x", "", "x" * 257, "é", "a/b"])
@pytest.mark.parametrize("field", ["run_id", "flow_run_id"])
def test_what_is_no_id_of_a_run_is_refused(
    registry: ModelRegistry, field: str, wrong: str
) -> None:
    given = {field: wrong}
    with pytest.raises(InvalidMetadataError, match=f"'{field}' is .*no id of a run"):
        with lineage_context(**given):
            pass
    if field == "run_id":
        with pytest.raises(InvalidMetadataError, match="no id of a run"):
            registry.register_model("m", "t", run_id=wrong)
    assert registry.list_models() == []


def test_a_model_that_needs_itself_or_one_that_needs_it_is_refused(
    registry: ModelRegistry, save: Any
) -> None:
    for given in (["m@^1"], {"m": "@*"}):
        with pytest.raises(
            InvalidMetadataError, match="'m@.*can't need itself; .*parents"
        ):
            registry.register_model("m", "t", dependencies=given)
    assert registry.register_model("m", "t", dependencies=["m>=1"]), "a package"
    save("n", dependencies=["m@^1"])
    with pytest.raises(InvalidMetadataError, match=r"'n@\^1', and n needs m@\^1: two"):
        registry.register_model("m", "t", dependencies=["n@^1"])
    assert registry.register_model("m", "t", dependencies=["n@^2"]), "there is none yet"


def test_a_place_deep_in_json_fits_into_a_sentence_and_is_exact(
    registry: ModelRegistry,
) -> None:
    deep: Any = {"there": {1, 2}}
    for step in range(30):
        deep = {f"k{step}" * 30: [deep]}
    with pytest.raises(InvalidMetadataError) as refused:
        registry.register_model("m", "t", custom={"top": deep})
    assert len(str(refused.value)) < 500
    assert "custom['top']['k29k29" in str(refused.value)
    assert "[0]['there'] (62 levels deep): a set is not JSON" in str(refused.value)
    schema: Any = {"type": "nonsense", "enum": ["x" * 5000]}
    for step in range(40):
        schema = {"type": "object", "properties": {f"k{step}": schema}}
    with pytest.raises(InvalidSchemaError) as no_schema:
        registry.register_model("m", "t", input_schema=schema)
    assert len(str(no_schema.value)) < 600
    assert ".k0.type" in str(no_schema.value)


@pytest.mark.parametrize(
    "call", [("resolve", ("m", "x" * 5000)), ("search", ("x" * 5000,))]
)
def test_what_is_long_is_not_repeated_whole(
    registry: ModelRegistry, save: Any, call: tuple[str, tuple[str, ...]]
) -> None:
    save("m")
    with pytest.raises(BrixaError) as refused:
        getattr(registry, call[0])(*call[1])
    assert len(str(refused.value)) < 700


def test_a_deleted_version_keeps_the_schemas_that_its_save_inferred(
    registry: ModelRegistry, classifier: Any, frame: pd.DataFrame
) -> None:
    registry.register_model("m", "t", "sklearn")
    saved = registry.save_model("m", "1.0.0", classifier, frame.head())
    registry.delete_version("m", "1.0.0", reason="bad")
    assert saved.input_schema is not None
    assert registry.get_metadata("m", "1.0.0").input_schema == saved.input_schema


@pytest.mark.parametrize("alias", ["none", "None", "1", "007", "v1", "V2", "latest"])
def test_an_alias_that_reads_as_something_else_is_refused(
    registry: ModelRegistry, save: Any, alias: str
) -> None:
    save("m")
    with pytest.raises(InvalidNameError, match="latest, none, x, numbers and v1"):
        registry.set_alias("m", alias, "1.0.0")


def test_a_damaged_version_does_not_stop_the_next_registration(
    registry: ModelRegistry, storage: LocalStorageNode, save: Any
) -> None:
    save("m")
    save("m")
    damaged = Path(storage.root) / "models" / "m" / "1.0.1" / "config.json"
    damaged.parent.chmod(0o755)
    damaged.unlink()
    assert str(registry.register_model("m", "classification").version) == "1.0.2"


@pytest.mark.parametrize("words", [{"actor": " "}, {"reason": "\t"}])
def test_a_blank_word_is_kept_for_nobody(
    registry: ModelRegistry, save: Any, words: dict[str, str]
) -> None:
    save("m", "1.0.0")
    with pytest.raises(InvalidMetadataError, match="is blank"):
        registry.transition("m", "1.0.0", "production", **words)
    with pytest.raises(InvalidMetadataError, match="is blank"):
        registry.delete_version("m", "1.0.0", **words)
    assert registry.stage_history("m") == []


def test_what_was_deleted_is_told_as_that(registry: ModelRegistry, save: Any) -> None:
    save("m", "1.0.0")
    registry.delete_version("m", "1.0.0", reason="bad")
    with pytest.raises(VersionNotFoundError) as again:
        registry.delete_version("m", "1.0.0", reason="bad")
    assert "answers to '1.0.0'; 1.0.0 was deleted on 2" in str(again.value)
    with pytest.raises(VersionNotFoundError, match="register_model takes a number"):
        registry.log_metrics("m", "9.9.9", {"auc": 0.5})
