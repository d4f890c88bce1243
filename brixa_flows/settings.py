"""Settings from the environment, all with the prefix ``BRXA_`` (but ``LOG_LEVEL``)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    AliasChoices,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from brixa_flows.errors import SettingsError

__all__ = ["BrixaSettings"]

_PREFIX = "BRXA_"
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class BrixaSettings(BaseSettings):
    """What the environment says; read once, at the edge, and passed down.

    Raises:
        SettingsError: By :meth:`load`, if a variable is unknown or has a bad value.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
    )

    storage_type: Literal["local", "s3", "gcs", "azure", "memory"] = Field(
        "local", description="Kind of storage node that keeps the artifacts."
    )
    storage_path: str = Field(
        "./data",
        description="Root of the storage: a folder, or a bucket URI such as "
        "s3://bucket/prefix.",
    )
    model_registry_path: str = Field(
        "models", description="Folder of the registry below the storage root."
    )
    deployments_path: str = Field(
        "deployments", description="Folder of deployments below the registry's."
    )
    tracking_uri: str | None = Field(
        None,
        description="MLflow backend; without it MLFLOW_TRACKING_URI, else sqlite "
        "below a local storage root.",
    )
    trust_policy: Literal["default", "strict", "open"] = Field(
        "default", description="What may be loaded that can run code."
    )
    keys_path: str | None = Field(
        None,
        description="Folder of your keys and those you trust, apart from the storage; "
        "without it brixa/keys below XDG_CONFIG_HOME (~/.config).",
    )
    default_replicas: int = Field(
        1, ge=1, description="Replicas of a deployment that names none."
    )
    default_cpu: str = Field(
        "1", description="CPU cores of a replica whose deployment names none."
    )
    default_memory: str = Field(
        "2Gi", description="Memory of a replica whose deployment names none."
    )
    request_log_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="Share of the requests that new deployments keep as Parquet.",
    )
    api_key: SecretStr | None = Field(
        None, description="Key that our client shows to deployments that ask for one."
    )
    ca_file: str | None = Field(
        None,
        description="PEM file of whom our client trusts over HTTPS, in place of those "
        "that the machine trusts.",
    )
    evidently_workspace: Path | None = Field(
        None,
        description="Folder of an Evidently workspace to which monitor_drift adds each "
        "window (extra drift); none without it.",
    )
    notification_block: str | None = Field(
        None,
        pattern=r"^[a-z0-9-]+/[a-z0-9-]+$",
        description="Prefect notification block, TYPE/NAME, that tells people of drift "
        "alarms, refused versions, waiting approvals and failed automations.",
    )
    logo_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/]+/\S*$",
        description="Where your team serves brixa_flows/logo.png, so that the Prefect UI "
        "shows it beside our blocks.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO",
        validation_alias=AliasChoices("LOG_LEVEL", "log_level"),
        description="Level of the log of servers and commands.",
    )

    @property
    def keys_folder(self) -> Path:
        """Where the keys are, whether or not there are any."""
        if self.keys_path is not None:
            return Path(self.keys_path).expanduser().absolute()
        configuration = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
        return Path(configuration).expanduser().absolute() / "brixa" / "keys"

    @classmethod
    def load(cls) -> BrixaSettings:
        """Read the environment.

        Raises:
            SettingsError: If a BRXA_ variable is unknown or has a bad value.
        """
        return cls._read(os.environ)

    @classmethod
    def check(cls, variables: Mapping[str, str]) -> None:
        """Return if :meth:`load` would take an environment with these variables too.

        Raises:
            SettingsError: If a BRXA_ variable is unknown or one has a bad value.
        """
        cls._read(variables)

    @classmethod
    def _read(cls, variables: Mapping[str, str]) -> BrixaSettings:
        fields = {_variable(field): field for field in cls.model_fields}
        given: dict[str, Any] = {}
        for variable, value in sorted(variables.items()):
            field = fields.get(variable.upper())
            if field is None and variable.upper().startswith(_PREFIX):
                known = ", ".join(sorted(fields))
                raise SettingsError(variable, f"is not a setting; known: {known}")
            if field is not None and value:
                given[field] = value
        try:
            return cls(**given)
        except ValidationError as err:
            first = err.errors()[0]
            field = str(first["loc"][0]).lower()
            value = str(given.get(field, first["input"]))[:80]
            reason = first["msg"].removeprefix("Value error, ")
            raise SettingsError(_variable(field), f"= {value!r}: {reason}") from err

    @field_validator("model_registry_path", "deployments_path")
    @classmethod
    def _check_folder(cls, value: str, info: ValidationInfo) -> str:
        names = value.split("/")
        single = info.field_name == "deployments_path"
        if (single and len(names) > 1) or not all(map(_FOLDER.fullmatch, names)):
            raise ValueError(
                f"name {'a folder' if single else 'folders'} below the other, each of "
                "letters, digits, dots, dashes and underscores, beginning with a "
                "letter or digit"
            )
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value


def _variable(field: str) -> str:
    return field.upper() if field == "log_level" else _PREFIX + field.upper()
