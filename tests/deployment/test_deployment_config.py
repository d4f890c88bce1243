"""What may be asked of a deployment, and how many replicas CPU use asks for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from brixa_flows.deployment.config import (
    Autoscaling,
    DeploymentConfig,
    DeploymentSpec,
    make_spec,
)
from brixa_flows.deployment.engines.autoscale import CpuAutoscaler
from brixa_flows.deployment.engines.replica import Plan
from brixa_flows.deployment.quantities import cpu_cores, memory_bytes
from brixa_flows.errors import InvalidDeploymentError
from brixa_flows.settings import BrixaSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def spec(**asked) -> DeploymentSpec:
    facts = {"replicas": None, "resources": None, "env_vars": None, "autoscaling": None}
    return make_spec(
        BrixaSettings(default_replicas=2, default_cpu="500m", default_memory="1Gi"),
        model_name="m",
        version="1.0.0",
        **{**facts, **asked},
    )


@pytest.mark.parametrize(
    ("text", "cores"), [("1", 1), ("0.5", 0.5), ("500m", 0.5), (" 2 ", 2), ("1e1", 10)]
)
def test_cpu_is_read_as_kubernetes_writes_it(text, cores):
    assert cpu_cores(text) == cores


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("2Gi", 2 * 2**30),
        ("512M", 512_000_000),
        ("1000", 1000),
        ("1.5Ki", 1536),
        ("1e3", 1000),
        ("1k", 1000),
        ("5000m", 5),
    ],
)
def test_memory_is_read_as_kubernetes_writes_it(text, size_bytes):
    assert memory_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["", "x", "-1", "1Gi", "0", "1 m", "0.0001", "1,5"])
def test_what_is_no_cpu_is_refused(text):
    with pytest.raises(ValueError, match="CPU"):
        cpu_cores(text)


@pytest.mark.parametrize("text", ["", "2gb", "2 Gi", "-1Gi", "0", "1m", "Gi"])
def test_what_is_no_memory_is_refused(text):
    with pytest.raises(ValueError, match="memory"):
        memory_bytes(text)


def test_what_is_not_asked_for_comes_from_the_settings():
    made = spec(resources={"memory": "3Gi"})
    assert made.replicas == 2
    assert made.resources.cpu == "500m" and made.resources.memory == "3Gi"
    assert spec(autoscaling={"min_replicas": 3, "max_replicas": 4}).replicas == 3


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"replicas": 0}, "replicas = '0'"),
        ({"replicas": "two"}, "replicas = 'two'"),
        ({"replicas": True}, "replicas = 'True'"),
        ({"replicas": 10_000}, "replicas = '10000'"),
        ({"resources": {"cpu": "much"}}, "resources.cpu: 'much' is no amount of CPU"),
        ({"resources": {"memory": "2gb"}}, "resources.memory: '2gb' is no amount"),
        ({"resources": {"gpu": -1}}, "resources.gpu = '-1'"),
        ({"resources": {"gpu": 0.5}}, "resources.gpu = '0.5'"),
        ({"resources": {"disk": "1Gi"}}, "resources.disk is not known here"),
        ({"resources": "1"}, "resources = '1'"),
        ({"env_vars": {"A": 1}}, "env_vars.A = '1'"),
        ({"env_vars": {"A": b"1"}}, "env_vars.A = "),
        ({"request_log": True}, "request_log.share = 'True'"),
        ({"env_vars": {"A=B": "1"}}, "'A=B' can't be an environment variable"),
        ({"env_vars": {"A": "\0"}}, "zero byte"),
        ({"env_vars": {"A": "\ud800"}}, "the value of A is no text in UTF-8"),
        ({"env_vars": 5}, "env_vars = '5'"),
        (
            {"env_vars": {"LOG_LEVEL": "loud"}},
            "env_vars.LOG_LEVEL = 'loud': Input should be 'DEBUG', 'INFO', 'WARNING', ",
        ),
        (
            {"env_vars": {"MAX_BATCH_SIZE": "0"}},
            "env_vars.MAX_BATCH_SIZE = '0' is not a positive whole number; give one "
            "such as 64, or leave it out",
        ),
        ({"env_vars": {"MAX_BATCH_SIZE": "9" * 5000}}, "MAX_BATCH_SIZE = '999"),
        ({"env_vars": {"MAX_CONCURRENT_REQUESTS": "-1"}}, "REQUESTS = '-1' is not a"),
        ({"env_vars": {"MAX_REQUEST_BYTES": "1Mi"}}, "MAX_REQUEST_BYTES = '1Mi' is"),
        ({"env_vars": {"BRXA_DEFAULT_REPLICAS": "0"}}, "BRXA_DEFAULT_REPLICAS = '0':"),
        ({"env_vars": {"BRXA_TRUST": "open"}}, "env_vars.BRXA_TRUST is not a setting"),
        (
            {"autoscaling": {"min_replicas": 3, "max_replicas": 2}},
            "min_replicas (3) is more than max_replicas (2)",
        ),
        ({"autoscaling": {"min_replicas": 1}}, "max_replicas"),
        ({"autoscaling": {"max_replicas": 2, "target": 1}}, "target is not known here"),
        ({"autoscaling": {"max_replicas": 2, "target_cpu_utilization": 0}}, "= '0'"),
        ({"autoscaling": 5}, "autoscaling"),
        ({"replicas": 5, "autoscaling": {"max_replicas": 3}}, "1 to 3"),
    ],
)
def test_what_can_not_work_is_refused_by_name(asked, words):
    with pytest.raises(InvalidDeploymentError) as caught:
        spec(**asked)
    assert words in caught.value.message


def test_variables_that_replicas_can_read_are_taken_as_given():
    given = {"LOG_LEVEL": "debug", "MAX_BATCH_SIZE": " 8 ", "BRXA_TRUST_POLICY": ""}
    assert spec(env_vars={**given, "ANY": "thing"}).env_vars == {
        **given,
        "ANY": "thing",
    }


def test_the_history_keeps_what_was_there_and_not_more_than_ten():
    config = DeploymentConfig(name="d", created_at=NOW, updated_at=NOW, **dict(spec()))
    for number in range(15):
        wanted = spec().model_copy(update={"version": f"1.{number}.0"})
        config = config.followed_by(wanted, NOW)
    assert config.version == "1.14.0"
    assert [each.version for each in config.history] == [
        f"1.{number}.0" for number in range(4, 14)
    ]
    same = config.followed_by(config.spec, NOW)
    assert same.history == config.history
    assert DeploymentConfig.model_validate_json(config.model_dump_json()) == config


def test_autoscaling_follows_the_formula_of_kubernetes():
    scaler = CpuAutoscaler(
        Autoscaling(min_replicas=1, max_replicas=5, target_cpu_utilization=50)
    )
    assert scaler.decide(0, 2, 54) == 2, "within the tolerance"
    assert scaler.decide(1, 2, 90) == 4, "ceil(2 * 90 / 50)"
    assert scaler.decide(2, 4, 100) == 5, "never more than the most"


def test_autoscaling_shrinks_only_after_the_window():
    limits = Autoscaling(max_replicas=4, target_cpu_utilization=50)
    scaler = CpuAutoscaler(limits)
    assert scaler.decide(0, 4, 50) == 4
    assert scaler.decide(100, 4, 5) == 4
    assert scaler.decide(290, 4, 30) == 4
    assert scaler.decide(310, 4, 5) == 3, "the most that was wanted since 10"
    assert scaler.decide(700, 3, 0) == 1


def test_what_a_start_or_a_person_chose_stays_for_the_window():
    scaler = CpuAutoscaler(Autoscaling(max_replicas=4, target_cpu_utilization=50))
    scaler.chose(0, 2)
    assert scaler.decide(5, 2, 0) == 2
    scaler.chose(100, 4)
    assert scaler.decide(105, 4, 0) == 4
    assert scaler.decide(399, 4, 0) == 4
    assert scaler.decide(401, 4, 0) == 1


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"trust_policy": "strict"}, False),
        ({"keys_path": "/other"}, False),
        ({"digest": "sha256:bb"}, False),
        ({"ready_timeout_seconds": 9.0}, True),
        ({"config": {"replicas": 3}}, True),
        ({"config": {"env_vars": {"A": "1"}}}, False),
        ({"config": {"version": "1.0.1"}}, False),
    ],
    ids=str,
)
def test_running_replicas_are_kept_only_for_what_they_were_started_for(change, same):
    config = DeploymentConfig(name="d", created_at=NOW, updated_at=NOW, **dict(spec()))
    running = Plan(
        config=config,
        digest="sha256:aa",
        model_storage_uri="file:///models",
        registry_path="models",
        trust_policy="default",
        keys_path="/keys",
        log_level="INFO",
        ready_timeout_seconds=60.0,
        deployments_uri="file:///models",
    )
    if "config" in change:
        change = {"config": config.model_copy(update=change["config"])}
    assert running.model_copy(update=change).serves_like(running) is same


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"port": 0}, "port = 0 is no port; give 1 to 65535"),
        ({"grpc_port": 65536}, "grpc_port = 65536 is no port"),
        ({"port": "80"}, "port = '80' is no whole number"),
        ({"port": True}, "port = True is no whole number"),
        ({"port": 9000}, "port = 9000: d has 8000, and a deployment keeps its ports"),
        ({"grpc_port": 8000}, "port and grpc_port are both 8000"),
    ],
)
def test_a_port_that_it_can_not_have_is_refused(asked, told):
    both = config_of(spec(protocol="both"))
    with pytest.raises(InvalidDeploymentError, match=told):
        both.at_ports(**{"port": None, "grpc_port": None, **asked})


def test_a_port_is_chosen_once_and_only_for_what_is_served():
    both = config_of(spec(protocol="both"))
    chosen = both.at_ports(8000, 9000)
    assert (chosen.port, chosen.grpc_port) == (8000, 9000)
    assert chosen.at_ports(None, None) == chosen
    with pytest.raises(InvalidDeploymentError, match="serves REST alone"):
        config_of(spec()).at_ports(None, 9000)


def config_of(wanted: DeploymentSpec) -> DeploymentConfig:
    facts = {field: getattr(wanted, field) for field in DeploymentSpec.model_fields}
    return DeploymentConfig(
        name="d", port=8000, created_at=NOW, updated_at=NOW, **facts
    )
