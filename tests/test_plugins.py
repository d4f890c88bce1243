"""Plug-ins are found by name, alias, class and entry point, and loaded late."""

from __future__ import annotations

import sys

import pytest

from brixa_flows import plugins
from brixa_flows.errors import (
    DuplicatePluginError,
    InvalidPluginError,
    MissingExtraError,
    UnknownPluginError,
)
from brixa_flows.plugins import Plugin, PluginRegistry
from brixa_flows.serializers.base import SavedModel
from brixa_flows.serializers.trust import tier_of

_BUILTINS = (
    Plugin("special", "fractions:Fraction", handles=("lib.Special",)),
    Plugin("general", "decimal:Decimal", handles=("lib.Base", "old."), aliases=("g",)),
    Plugin("fallback", "json:loads"),
)

_THEIRS = """
from brixa_flows.plugins import Plugin
THEIRS = Plugin('theirs', 'fractions:Fraction', handles=('lib.Special', 'theirs.Class'))
"""


@pytest.fixture
def registry():
    """A kind of plug-in that only this test knows."""
    return PluginRegistry("thing", "brixa_flows_tests.things", _BUILTINS)


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with an entry point of the test's group."""

    def install(name, target, source=""):
        module = target.partition(":")[0]
        if source:
            (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{name}_{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}-{module}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(
            f"[brixa_flows_tests.things]\n{name} = {target}\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def test_a_plugin_is_found_by_name_and_by_alias(registry):
    assert registry.get("general").target == "decimal:Decimal"
    assert registry.get("g") is registry.get("general")
    assert list(registry.all()) == ["special", "general", "fallback"]


def test_an_unknown_name_lists_the_known_ones(registry):
    with pytest.raises(
        UnknownPluginError, match="fallback, general, special"
    ) as caught:
        registry.load("lost")
    assert isinstance(caught.value, LookupError)
    assert (caught.value.kind, caught.value.name) == ("thing", "lost")


def test_a_target_is_loaded_once(registry):
    from decimal import Decimal

    assert registry.load("general") is registry.load("g") is Decimal


@pytest.mark.parametrize(
    ("mro", "found"),
    [
        (["lib.Special", "lib.Base", "builtins.object"], "special"),
        (["mine.Own", "lib.Base", "lib.Special"], "general"),
        (["mine.Own", "old.deep.Class"], "general"),
        (["older.Class", "lib.Basement"], None),
        ([], None),
    ],
)
def test_the_most_special_class_decides(registry, mro, found):
    plugin = registry.find(iter(mro))
    assert (plugin and plugin.name) == found


def test_two_with_one_name_are_refused():
    for other in (Plugin("a", "y:Y"), Plugin("b", "y:Y", aliases=("a",))):
        twice = PluginRegistry("thing", "no.group", (Plugin("a", "x:X"), other))
        with pytest.raises(DuplicatePluginError, match="'a' is claimed by x:X, y:Y"):
            twice.all()


def test_a_missing_library_names_the_extra_that_brings_it(tmp_path, monkeypatch):
    (tmp_path / "needy_adapter.py").write_text("import no_such_library_here\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry = PluginRegistry(
        "thing", "no.group", (Plugin("needy", "needy_adapter:X", extra="needy"),)
    )
    with pytest.raises(MissingExtraError) as caught:
        registry.load("needy")
    assert isinstance(caught.value, ImportError)
    assert "pip install 'brixa-flows[needy]'" in str(caught.value)
    assert caught.value.missing == "no_such_library_here"


def test_a_broken_adapter_of_ours_is_not_taken_for_a_missing_library():
    registry = PluginRegistry(
        "thing", "no.group", (Plugin("broken", "brixa_flows.nowhere:X", extra="e"),)
    )
    with pytest.raises(ModuleNotFoundError, match="brixa_flows.nowhere"):
        registry.load("broken")


def test_a_third_party_joins_by_entry_point(registry, install):
    install("theirs", "their_things:THEIRS", _THEIRS)
    assert "theirs" in registry.all()
    assert registry.find(["theirs.Class"]).name == "theirs"
    assert registry.find(["lib.Special"]).name == "theirs"
    assert registry.load("theirs").__name__ == "Fraction"


def test_naming_a_third_party_does_not_import_its_target(registry, install, tmp_path):
    (tmp_path / "exploding_things.py").write_text("raise RuntimeError('imported')\n")
    source = _THEIRS.replace("fractions:Fraction", "exploding_things:Thing")
    install("theirs", "light_things:THEIRS", source)
    assert registry.get("theirs").target == "exploding_things:Thing"
    with pytest.raises(RuntimeError, match="imported"):
        registry.load("theirs")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("no_such_things:THEIRS", "No module named 'no_such_things'"),
        ("some_things:MISSING", "has no attribute 'MISSING'"),
        ("some_things:THEIRS", "is Plugin(name='theirs'"),
        ("fractions:Fraction", "is <class 'fractions.Fraction'>"),
    ],
)
def test_an_entry_point_that_names_no_plugin_is_told(
    registry, install, tmp_path, value, reason
):
    (tmp_path / "some_things.py").write_text(_THEIRS)
    install("other", value)
    with pytest.raises(InvalidPluginError, match="entry point 'other'") as caught:
        registry.get("general")
    assert reason in str(caught.value)


def test_a_third_party_can_not_take_a_name_of_ours(registry, install):
    source = _THEIRS.replace("'theirs', 'fractions:Fraction'", "'special', 'a:B'")
    install("special", "their_other_things:THEIRS", source)
    with pytest.raises(DuplicatePluginError, match="'special' is claimed"):
        registry.get("general")


@pytest.mark.parametrize("name", sorted(plugins.STORAGE_NODES.all()))
def test_every_built_in_storage_node_loads(name):
    assert isinstance(plugins.STORAGE_NODES.load(name), type)


@pytest.mark.parametrize("name", sorted(plugins.DRIFT_METHODS.all()))
def test_every_built_in_drift_method_loads(name):
    assert plugins.DRIFT_METHODS.load(name) is not None


@pytest.mark.parametrize(
    ("alias", "name"),
    [("torch", "pytorch"), ("keras", "tensorflow"), ("scikit-learn", "sklearn")],
)
def test_the_frameworks_have_the_aliases_of_the_specification(alias, name):
    assert plugins.SERIALIZERS.get(alias).name == name


def test_a_format_that_no_plugin_declares_is_code():
    assert tier_of(SavedModel("pytorch", "safetensors", "code", "m")) == "data"
    assert tier_of(SavedModel("pytorch", "cloudpickle", "data", "m")) == "code"
    assert tier_of(SavedModel("sklearn", "new", "data", "m")) == "code"
