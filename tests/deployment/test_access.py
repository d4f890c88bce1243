"""Who may ask a deployment, and how it is encrypted: keys, certificates, our client."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pandas as pd
import psutil
import pytest
from certificates import make_certificate
from deployment_world import save_version, wait_until
from tiny_models import Constant

from brixa_flows.deployment import (
    EndpointClient,
    ModelDeployer,
    new_api_key,
    predict_frame,
)
from brixa_flows.deployment.access import Access, is_loopback, make_keys
from brixa_flows.deployment.config import check_reach
from brixa_flows.deployment.engines.listening import open_port
from brixa_flows.deployment.engines.runtime import RuntimeFolder
from brixa_flows.deployment.tls import read_tls
from brixa_flows.errors import DeploymentError, InvalidDeploymentError
from brixa_flows.registry import ModelRegistry

ONE_ROW = {"records": [{"a": 1.0}]}
FRAME = pd.DataFrame({"a": [1.0, 2.0]})
NAME = "guarded"


@pytest.fixture(scope="module")
def key() -> str:
    return new_api_key()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "mine")


@pytest.fixture(scope="module")
def guarded(
    registry: ModelRegistry, deployer: ModelDeployer, key: str, tls: dict[str, str]
) -> str:
    """Serves HTTPS to one who has a key."""
    save_version(registry, "secret-numbers", Constant(1.0), version="1.0.0")
    done, message = deployer.deploy(
        "secret-numbers", name=NAME, api_keys={"ada": key}, tls=tls
    )
    assert done, message
    assert "at https://127.0.0.1:" in message and key not in message
    return NAME


def status_of(deployer, path="/predict", key=None, header=None) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    headers |= {"authorization": header} if header else {}
    method = "POST" if path == "/predict" else "GET"
    trusted = deployer.config(NAME).tls.certificate
    return httpx.request(
        method,
        deployer.get_endpoint(NAME) + path,
        json=ONE_ROW if method == "POST" else None,
        headers=headers,
        verify=ssl.create_default_context(cafile=trusted),
    )


def refusals(deployer, key: str) -> int:
    """How many requests without a key the deployment counted."""
    told = status_of(deployer, "/metrics", key=key).text
    start = f'brixa_requests_total{{deployment="{NAME}",code="401"}} '
    [line] = [each for each in told.splitlines() if each.startswith(start)]
    return int(line.removeprefix(start))


def test_only_who_shows_a_key_is_answered_and_probes_are_without(
    guarded, deployer, key
):
    asked, refused_before = deployer.status(NAME).requests_total, refusals(
        deployer, key
    )
    assert status_of(deployer, key=key).json()["predictions"] == [1.0]
    for path in ("/predict", "/metrics", "/v2", "/docs", "/v2/models/secret-numbers"):
        refused = status_of(deployer, path)
        assert refused.status_code == 401, path
        assert refused.headers["www-authenticate"] == 'Bearer realm="brixa"'
        assert "'Authorization: Bearer KEY'" in refused.json()["error"]
    wrong = status_of(deployer, key=key[:-1] + "_")
    assert wrong.status_code == 401 and "not known here" in wrong.json()["error"]
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
    assert status_of(deployer, header=f"Basic {key}").status_code == 401
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert status_of(deployer, path).status_code == 200
    assert refusals(deployer, key) == refused_before + 7
    assert deployer.status(NAME).requests_total == asked + 1


def test_keys_come_and_go_with_no_restart(guarded, deployer, key):
    before = deployer.status(guarded)
    second = deployer.add_key(guarded, "grace")
    assert status_of(deployer, key=second).status_code == 200
    assert [each.name for each in deployer.keys(guarded)] == ["ada", "grace"]
    replaced = deployer.add_key(guarded, "grace")
    assert status_of(deployer, key=second).status_code == 401
    assert status_of(deployer, key=replaced).status_code == 200
    psutil.Process(before.replicas[0].pid).kill()
    wait_until(lambda: deployer.status(guarded).restarts > before.restarts)
    wait_until(lambda: deployer.status(guarded).state == "ready")
    assert status_of(deployer, key=replaced).status_code == 200, "after a crash too"
    deployer.revoke_key(guarded, "grace")
    assert status_of(deployer, key=replaced).status_code == 401
    assert status_of(deployer, key=key).status_code == 200
    after = deployer.status(guarded)
    assert (after.pid, after.api_keys) == (before.pid, ("ada",))
    with pytest.raises(DeploymentError, match="has no key 'grace'; it has ada"):
        deployer.revoke_key(guarded, "grace")


def test_without_its_last_key_it_answers_nobody_until_it_is_opened(
    guarded, deployer, key
):
    deployer.revoke_key(guarded, "ada")
    for shown in (key, None):
        assert status_of(deployer, key=shown).status_code == 401
    seen = deployer.status(guarded)
    assert seen.shut and not seen.api_keys
    deployer.open_to_all(guarded)
    assert status_of(deployer).status_code == 200 and not deployer.status(guarded).shut
    deployer.add_key(guarded, "ada", key)
    assert status_of(deployer).status_code == 401
    assert status_of(deployer, key=key).status_code == 200


def test_no_file_of_the_deployment_holds_a_key(guarded, deployer, key, storage):
    files = [path for path in storage.root.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if key.encode() in path.read_bytes()]
    kept = json.loads(storage.read(f"models/deployments/{guarded}/config.json")[0])
    assert [set(each) for each in kept["api_keys"]] == [
        {"name", "digest", "created_at"}
    ]


def test_our_client_shows_its_key_and_trusts_a_file(guarded, deployer, key):
    endpoint = deployer.get_endpoint(guarded)
    trusted = deployer.config(guarded).tls.certificate
    got = predict_frame(endpoint, "secret-numbers", FRAME, api_key=key, ca_file=trusted)
    assert got.values.tolist() == [1.0, 1.0]
    with EndpointClient(endpoint, ca_file=trusted) as client:
        with pytest.raises(DeploymentError, match="401: authorization: .*BRXA_API_KEY"):
            client.predict("secret-numbers", FRAME)
    with EndpointClient(endpoint, api_key=key) as client:
        with pytest.raises(DeploymentError, match="CERTIFICATE_VERIFY_FAILED"):
            client.predict("secret-numbers", FRAME)


def test_status_tells_who_may_ask_and_until_when(guarded, deployer):
    status = deployer.status(guarded)
    assert status.endpoint.startswith("https://") and status.api_keys == ("ada",)
    assert status.tls_expires_at == deployer.config(guarded).tls.expires_at
    left = status.tls_expires_at - datetime.now(UTC)
    assert 0 < left.total_seconds() < 2 * 86400


def test_a_renewed_certificate_is_served(guarded, deployer, key, tmp_path):
    before = deployer.config(guarded)
    renewed = make_certificate(tmp_path, "renewed", days=2)
    assert deployer.deploy("secret-numbers", name=guarded, tls=renewed)[0]
    assert status_of(deployer, key=key).status_code == 200
    assert deployer.config(guarded).tls.fingerprint != before.tls.fingerprint
    with EndpointClient(
        deployer.get_endpoint(guarded), api_key=key, ca_file=before.tls.certificate
    ) as client:
        with pytest.raises(DeploymentError, match="CERTIFICATE_VERIFY_FAILED"):
            client.predict("secret-numbers", FRAME)


def test_what_others_reach_needs_a_key_before_anything_is_started(
    registry, storage, guarded, deployer, key
):
    reachable = ModelDeployer(registry, storage, host="0.0.0.0")
    done, message = reachable.deploy("secret-numbers", name="open")
    assert not done and "everybody who reaches 0.0.0.0" in message
    bad = [
        ({"ada": "password"}, "can be guessed"),
        ({"ada": f"{key} and more"}, "can't be sent"),
        ({"../ada": key}, "can't be the name of a key"),
        (["ada"], "api_keys is a list; give keys by whose they are"),
    ]
    for keys, words in bad:
        done, message = reachable.deploy("secret-numbers", name="open", api_keys=keys)
        assert not done and words in message and "password" not in message
    assert "open" not in reachable.list()
    assert not (storage.root / "models/_meta/serving/open").exists()
    config = deployer.config(guarded).model_copy(update={"host": "10.0.0.1"})
    check_reach(config)
    with pytest.raises(InvalidDeploymentError, match="reaches 10.0.0.1, as it has no"):
        check_reach(config.model_copy(update={"api_keys": (), "shut": False}))


@pytest.mark.parametrize("fault", ["missing", "other", "expired", "locked", "text"])
def test_files_that_can_not_be_served_with_are_a_sentence_and_change_nothing(
    guarded, deployer, tls, tmp_path, fault
):
    mine = make_certificate(tmp_path, "a", days=-1 if fault == "expired" else 1)
    if fault == "missing":
        Path(mine["key"]).unlink()
    elif fault == "other":
        mine["key"] = tls["key"]
    elif fault == "locked":
        mine = make_certificate(tmp_path, "b", password=b"swordfish")
    elif fault == "text":
        Path(mine["certificate"]).write_text("not a certificate")
    words = {
        "missing": "can't be read (No such file",
        "other": "is not the key of the certificate",
        "expired": "certificate has expired",
        "locked": "is encrypted",
        "text": "are not a certificate and its key in PEM",
    }[fault]
    before = deployer.config(guarded)
    done, message = deployer.deploy("secret-numbers", name=guarded, tls=mine)
    assert not done and words in message, message
    assert deployer.config(guarded) == before


def test_a_certificate_without_its_key_is_told(tls):
    with pytest.raises(InvalidDeploymentError, match="give {'certificate': PATH"):
        read_tls({"certificate": tls["certificate"]})
    for nothing in ("", " ", None, 3):
        with pytest.raises(InvalidDeploymentError, match="certificate = .* names no f"):
            read_tls({"certificate": nothing, "key": tls["key"]})


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("nowhere.invalid", "host = 'nowhere.invalid' is not known here"),
        ("192.0.2.1", "host = '192.0.2.1' is no address of this machine; give 127."),
        ("fe80::1", "host = 'fe80::1' is no address of this machine"),
        ("127.1", "host = '127.1': '127.1' does not appear to be an IPv4"),
    ],
)
def test_an_address_that_can_not_be_bound_is_told(tmp_path, host, words):
    with pytest.raises(DeploymentError) as told:
        open_port(host, 0, 0, RuntimeFolder(tmp_path))
    assert words in told.value.message and "0.0.0.0 for all" in told.value.message


@pytest.mark.parametrize(
    ("header", "lets_in"),
    [
        (b"Bearer 0123456789abcdef01234567", True),
        (b"bearer  0123456789abcdef01234567 ", True),
        ("Bearer 0123456789abcdef01234567", True),
        (b"Bearer", False),
        (b"Bearer ", False),
        (b"0123456789abcdef01234567", False),
        (b"Bearer 0123456789abcdef0123456", False),
        ("Bearer \u2603", False),
        (b"", False),
        (None, False),
    ],
)
def test_a_header_lets_in_or_not(header, lets_in):
    keys = make_keys((), {"a": "0123456789abcdef01234567"}, datetime.now(UTC))
    access = Access(key.digest for key in keys)
    assert (access.refusal(header) is None) is lets_in
    assert Access().refusal(header) is None


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.org", False),
        ("", False),
    ],
)
def test_who_can_reach_an_address(host, alone):
    assert is_loopback(host) is alone
