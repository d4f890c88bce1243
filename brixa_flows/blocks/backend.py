"""The block of an MLflow backend, and how its secrets reach MLflow.

MLflow knows one set of credentials a process, which it reads from the environment at
each request. So those of a server go there: into this process and those it starts, and
into no address, log or file. A database gets them in the address that it is opened by.
"""

from __future__ import annotations

import os
from urllib.parse import quote, urlsplit, urlunsplit

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from brixa_flows.blocks.appearance import DOCUMENTATION, LOGO
from brixa_flows.errors import SettingsError
from brixa_flows.settings import BrixaSettings

__all__ = ["BrixaMlflowBackend"]

_VARIABLES = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
)
_SUBJECT = "the Brixa MLflow Backend block"
_in_use: dict[str, str] = {}


class BrixaMlflowBackend(Block):
    """The MLflow backend that keeps runs, metrics and the versions of models.

    Example:
        Load a stored backend and see where it is:
        ```python
        from brixa_flows.blocks import BrixaMlflowBackend

        backend = BrixaMlflowBackend.load("BLOCK_NAME")
        print(backend.tracking_uri)
        ```
    """

    _block_type_name = "Brixa MLflow Backend"
    _block_type_slug = "brixa-mlflow-backend"
    _logo_url = LOGO
    _documentation_url = DOCUMENTATION

    tracking_uri: str = Field(
        "",
        description="Address of MLflow, such as http://mlflow.example:5000; empty means "
        "what the environment says, else an sqlite file below a local storage.",
    )
    registry_uri: str = Field(
        "", description="Address of its model registry, where that is another one."
    )
    username: str = Field("", description="User, if MLflow or its database has users.")
    password: SecretStr = Field(SecretStr(""), description="Password of the user.")
    token: SecretStr = Field(
        SecretStr(""),
        description="Token of an MLflow server, in place of user and password.",
    )

    @classmethod
    def from_settings(cls, settings: BrixaSettings) -> BrixaMlflowBackend:
        """The backend that the environment describes; no secrets of it."""
        return cls(tracking_uri=settings.tracking_uri or "")

    def addresses(self) -> tuple[str, str]:
        """Addresses of runs and of models, ready to be opened in this process.

        Credentials of a server are put into the environment, where MLflow reads them.

        Returns:
            Two addresses; either may be empty.

        Raises:
            SettingsError: If fields contradict each other, or this process uses other
                credentials already.
        """
        given = (
            self.username,
            self.password.get_secret_value(),
            self.token.get_secret_value(),
        )
        if any(given):
            self._check(given)
        kinds = [_is_server(uri) for uri in self._uris() if uri]
        if any(given) and any(kinds):
            _use(dict(zip(_VARIABLES, given, strict=True)))
        user, password, _ = given
        tracking, registry = (_address(uri, user, password) for uri in self._uris())
        return tracking, registry

    def _uris(self) -> tuple[str, str]:
        return self.tracking_uri.strip(), self.registry_uri.strip()

    def _check(self, given: tuple[str, str, str]) -> None:
        user, password, token = given
        if not self.tracking_uri.strip():
            raise SettingsError(
                _SUBJECT, "has credentials and no tracking_uri; say whose they are"
            )
        if token and (user or password):
            raise SettingsError(
                _SUBJECT,
                "has a token, and a user or password too; MLflow takes one of the two",
            )
        if bool(user) != bool(password):
            missing = "password" if user else "username"
            raise SettingsError(_SUBJECT, f"has no {missing}; give both, or a token")
        if token and not _is_server(self.tracking_uri.strip()):
            raise SettingsError(
                _SUBJECT, "has a token for a database; give username and password"
            )


def _is_server(uri: str) -> bool:
    return urlsplit(uri).scheme in ("http", "https")


def _address(uri: str, user: str, password: str) -> str:
    """The address that is opened: a database's with the user in it."""
    parts = urlsplit(uri)
    if not user or not parts.hostname or _is_server(uri) or parts.username:
        return uri
    who = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    return urlunsplit(parts._replace(netloc=who + parts.netloc))


def _use(credentials: dict[str, str]) -> None:
    """Give credentials to MLflow in this process, in place of any that are there.

    Those of another kind go: MLflow prefers a user of the environment to a token.
    """
    if _in_use and _in_use != credentials:
        raise SettingsError(
            _SUBJECT,
            "has other credentials than the one that this process opened before, and "
            "MLflow keeps one set a process; open it in a process of its own",
        )
    _in_use.update(credentials)
    for variable, value in credentials.items():
        if value:
            os.environ[variable] = value
        else:
            os.environ.pop(variable, None)
