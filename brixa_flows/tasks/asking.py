"""Asking the Prefect server, with an error of ours where it does not answer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import get_current_settings

from brixa_flows.errors import PrefectUnavailableError

__all__ = ["asking_prefect"]


@contextmanager
def asking_prefect() -> Iterator[SyncPrefectClient]:
    """A client for a few questions.

    Raises:
        PrefectUnavailableError: If the server does not answer, or refuses.
    """
    try:
        with get_client(sync_client=True) as client:
            yield client
    except (httpx.TransportError, PrefectHTTPStatusError) as err:
        url = get_current_settings().api.url or "(no PREFECT_API_URL)"
        raise PrefectUnavailableError(url, str(err) or type(err).__name__) from err
