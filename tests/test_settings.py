"""What the BRXA_ variables say, and what is refused."""

from __future__ import annotations

import os

import pytest
from pydantic import ValidationError

from brixa_flows.errors import SettingsError
from brixa_flows.settings import BrixaSettings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """No variable of ours is set."""
    for variable in list(os.environ):
        if variable.upper().startswith("BRXA_") or variable.upper() == "LOG_LEVEL":
            monkeypatch.delenv(variable)


def test_the_defaults_are_those_of_the_specification():
    assert BrixaSettings.load().model_dump() == {
        "storage_type": "local",
        "storage_path": "./data",
        "model_registry_path": "models",
        "deployments_path": "deployments",
        "tracking_uri": None,
        "trust_policy": "default",
        "keys_path": None,
        "default_replicas": 1,
        "default_cpu": "1",
        "default_memory": "2Gi",
        "request_log_share": 0.0,
        "api_key": None,
        "ca_file": None,
        "notification_block": None,
        "evidently_workspace": None,
        "logo_url": None,
        "log_level": "INFO",
    }


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("BRXA_STORAGE_TYPE", "s3", "storage_type", "s3"),
        ("BRXA_STORAGE_PATH", "s3://b/p", "storage_path", "s3://b/p"),
        ("BRXA_MODEL_REGISTRY_PATH", "m", "model_registry_path", "m"),
        ("BRXA_DEPLOYMENTS_PATH", "d", "deployments_path", "d"),
        ("BRXA_TRACKING_URI", "sqlite:///x", "tracking_uri", "sqlite:///x"),
        ("BRXA_TRUST_POLICY", "strict", "trust_policy", "strict"),
        ("BRXA_DEFAULT_REPLICAS", "3", "default_replicas", 3),
        ("BRXA_DEFAULT_CPU", "500m", "default_cpu", "500m"),
        ("BRXA_DEFAULT_MEMORY", "4Gi", "default_memory", "4Gi"),
        ("BRXA_NOTIFICATION_BLOCK", "a-b/c", "notification_block", "a-b/c"),
        ("BRXA_LOGO_URL", "https://x.org/l.png", "logo_url", "https://x.org/l.png"),
        ("LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
        ("LOG_LEVEL", "warning", "log_level", "WARNING"),
    ],
)
def test_each_variable_sets_its_field(monkeypatch, variable, value, field, expected):
    monkeypatch.setenv(variable, value)
    assert getattr(BrixaSettings.load(), field) == expected


@pytest.mark.parametrize(
    "variable", ["BRXA_STORAGE_PTH", "BRXA_", "BRXA_LOG_LEVEL", "brxa_storage_pth"]
)
def test_an_unknown_variable_is_refused_and_the_known_ones_are_listed(
    monkeypatch, variable
):
    monkeypatch.setenv(variable, "x")
    with pytest.raises(SettingsError, match=f"^{variable} is not a setting") as caught:
        BrixaSettings.load()
    assert isinstance(caught.value, ValueError)
    for known in ("BRXA_STORAGE_PATH", "BRXA_TRUST_POLICY", "LOG_LEVEL"):
        assert known in str(caught.value)
    assert "BRXA_LOG_LEVEL," not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("BRXA_STORAGE_TYPE", "floppy", "'local', 's3', 'gcs', 'azure'"),
        ("BRXA_TRUST_POLICY", "none", "'default', 'strict' or 'open'"),
        ("BRXA_DEFAULT_REPLICAS", "0", "greater than or equal to 1"),
        ("BRXA_DEFAULT_REPLICAS", "many", "valid integer"),
        ("LOG_LEVEL", "LOUD", "'DEBUG', 'INFO', 'WARNING', 'ERROR'"),
    ],
)
def test_a_bad_value_names_the_variable_and_what_is_allowed(
    monkeypatch, variable, value, allowed
):
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=allowed) as caught:
        BrixaSettings.load()
    assert str(caught.value).startswith(f"{variable} = {value!r}: ")


def test_an_empty_variable_is_as_good_as_none(monkeypatch):
    monkeypatch.setenv("BRXA_TRACKING_URI", "")
    monkeypatch.setenv("BRXA_DEFAULT_REPLICAS", "")
    assert BrixaSettings.load() == BrixaSettings()
    assert BrixaSettings.load().tracking_uri is None


def test_settings_are_described_and_never_change():
    assert all(field.description for field in BrixaSettings.model_fields.values())
    with pytest.raises(ValidationError, match="frozen"):
        BrixaSettings().storage_path = "elsewhere"
    with pytest.raises(ValidationError, match="[Ee]xtra"):
        BrixaSettings(storage_pth="x")


@pytest.mark.parametrize(
    "value", ["../up", "/abs", "a//b", "_meta", ".x", "a/b", "a b"]
)
def test_a_folder_that_leaves_its_place_is_refused(monkeypatch, value):
    monkeypatch.setenv("BRXA_DEPLOYMENTS_PATH", value)
    with pytest.raises(
        SettingsError, match="BRXA_DEPLOYMENTS_PATH = .*: name a folder"
    ):
        BrixaSettings.load()
    monkeypatch.delenv("BRXA_DEPLOYMENTS_PATH")
    monkeypatch.setenv("BRXA_MODEL_REGISTRY_PATH", "team/models")
    assert BrixaSettings.load().model_registry_path == "team/models"
