from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from pydantic import BaseModel

from brixa_flows.blocks import BrixaGatePolicy
from brixa_flows.errors import EvaluationError
from brixa_flows.evaluation.comparison import (
    Comparison,
    MetricComparison,
    SliceComparison,
)
from brixa_flows.evaluation.gates import ApprovalRule, Gate, GatePolicy
from brixa_flows.evaluation.intervals import Interval
from brixa_flows.evaluation.metrics import METRICS, MetricValues
from brixa_flows.evaluation.results import DatasetFacts, EvaluationResult, SliceResult
from brixa_flows.versioning import ModelVersion

DATA = DatasetFacts("test rows", "a" * 32, 500)


def result(production: str | None = None, **metrics: float) -> EvaluationResult:
    return EvaluationResult(
        model_name="flowers",
        version=ModelVersion.parse("1.1.0"),
        task="binary",
        metrics=MetricValues(metrics),
        intervals=MetricValues({name: Interval(0, 1) for name in metrics}),
        dataset=DATA,
        evaluated_at=datetime(2026, 1, 2, tzinfo=UTC),
        production=production,
    )


def comparison(
    candidate: str = "1.1.0", p_value: float = 0.01, **intervals: Any
) -> Comparison:
    found = {
        name: MetricComparison(
            metric=name,
            higher_is_better=METRICS[name].higher_is_better,
            baseline=0.8,
            candidate=0.8 + sum(bounds) / 2,
            difference=sum(bounds) / 2,
            interval=Interval(*bounds),
            p_value=p_value,
            adjusted_p_value=p_value,
            test="paired bootstrap",
            verdict="inconclusive",
        )
        for name, bounds in intervals.items()
    }
    return Comparison(
        model_name="flowers",
        baseline=ModelVersion.parse("1.0.0"),
        candidate=ModelVersion.parse(candidate),
        metrics=MetricValues(found),
        dataset=DATA,
    )


@pytest.mark.parametrize(
    ("gate", "value", "passes"),
    [
        (Gate("f1", min=0.8), 0.8, True),
        (Gate("f1", min=0.8), 0.7999, False),
        (Gate("log_loss", max=0.4), 0.4, True),
        (Gate("log_loss", max=0.4), 0.41, False),
        (Gate("f1", min=0.5, max=0.9), 0.95, False),
    ],
)
def test_min_and_max_judge_the_value(gate: Gate, value: float, passes: bool) -> None:
    decision = GatePolicy([gate]).decide(result(**{gate.metric: value}))
    assert decision.allowed is passes
    assert f"{value:.4f} on 500 rows" in decision.gates[0].sentence
    assert bool(decision.reasons) is not passes


def test_auc_is_roc_auc() -> None:
    decision = GatePolicy([Gate("auc", min=0.7)]).decide(result(roc_auc=0.9))
    assert decision.allowed


@pytest.mark.parametrize(
    ("conditions", "interval", "passes"),
    [
        ({"not_worse_than": "production", "margin": 0.01}, (-0.01, 0.05), True),
        ({"not_worse_than": "production", "margin": 0.01}, (-0.011, 0.05), False),
        ({"not_worse_than": "production"}, (-0.001, 0.5), False),
        ({"better_than": "production"}, (0.001, 0.05), True),
        ({"better_than": "production"}, (0.0, 0.0), False),
        ({"better_than": "production", "margin": 0.02}, (0.01, 0.05), False),
    ],
)
def test_the_other_two_judge_the_bound_of_the_interval(
    conditions: dict[str, Any], interval: tuple[float, float], passes: bool
) -> None:
    policy = GatePolicy([Gate("f1", **conditions)])
    decision = policy.decide(result("1.0.0", f1=0.8), comparison(f1=interval))
    assert decision.allowed is passes
    assert "1.0.0 in production on the same 500 rows" in decision.gates[0].sentence


def test_who_is_better_only_by_chance_is_not_surely_better() -> None:
    policy = GatePolicy([Gate("accuracy", better_than="production")])
    by_chance = comparison(p_value=0.25, accuracy=(0.02, 1.0))
    decision = policy.decide(result("1.0.0", accuracy=0.9), by_chance)
    assert not decision.allowed
    assert "can't tell it from chance (p 0.25)" in decision.gates[0].sentence


def test_less_loss_is_a_gain() -> None:
    policy = GatePolicy([Gate("log_loss", better_than="production")])
    judged = result("1.0.0", log_loss=0.3)
    assert policy.decide(judged, comparison(log_loss=(-0.2, -0.1))).allowed
    assert not policy.decide(judged, comparison(log_loss=(0.1, 0.2))).allowed


def test_with_nothing_in_production_a_relative_gate_passes_and_says_so() -> None:
    gate = Gate("f1", not_worse_than="production")
    decision = GatePolicy([gate]).decide(result(f1=0.2))
    assert decision.allowed
    assert "no version is in production yet" in decision.gates[0].sentence


def test_a_comparison_that_is_missing_shuts_the_gate() -> None:
    gate = Gate("f1", not_worse_than="production")
    decision = GatePolicy([gate]).decide(result("1.0.0", f1=0.9))
    assert not decision.allowed
    assert "not compared with 1.0.0" in decision.reasons[0]


def test_a_comparison_with_another_than_production_shuts_the_gate() -> None:
    gate = Gate("f1", better_than="production")
    decision = GatePolicy([gate]).decide(
        result("0.9.0", f1=0.9), comparison(f1=(0.1, 0.2))
    )
    assert not decision.allowed
    assert "0.9.0 is in production" in decision.reasons[0]


def test_a_version_in_production_is_not_measured_against_itself() -> None:
    gate = Gate("f1", not_worse_than="production")
    assert GatePolicy([gate]).decide(result("1.1.0", f1=0.9)).allowed


def test_a_gate_without_its_number_stays_shut() -> None:
    policy = GatePolicy(
        [Gate("recall", min=0.1), Gate("recall", better_than="production")]
    )
    decision = policy.decide(result("1.0.0", f1=0.9), comparison(f1=(0.1, 0.2)))
    assert [gate.passed for gate in decision.gates] == [False, False]
    assert "recall was not evaluated (only f1)" in decision.reasons[0]


@pytest.mark.parametrize(
    "conditions", [{"min": 0.1}, {"better_than": "production"}], ids=str
)
def test_a_metric_that_nobody_knows_shuts_the_gate_and_is_named_with_the_known_ones(
    conditions: dict[str, Any],
) -> None:
    policy = GatePolicy([Gate("aucc", **conditions)])
    [reason] = policy.decide(result(f1=0.9, own_cost=2.0)).reasons
    assert "there is no metric called 'aucc'; those of a binary task: " in reason
    assert "roc_auc" in reason and "measured beside them: own_cost" in reason


def test_a_metric_of_ones_own_is_judged_like_the_others() -> None:
    policy = GatePolicy([Gate("own_cost", max=3), Gate("own_cost", min=3)])
    decision = policy.decide(result(own_cost=2.0))
    assert [gate.passed for gate in decision.gates] == [True, False]


def test_a_comparison_of_another_candidate_is_refused() -> None:
    policy = GatePolicy([Gate("f1", min=0.5)])
    with pytest.raises(EvaluationError, match="flowers 1.1.0, but the comparison of"):
        policy.decide(result(f1=0.9), comparison("2.0.0", f1=(0.1, 0.2)))


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        ({}, "'f1' has no condition; give min="),
        ({"min": 0.9, "max": 0.1}, "min 0.9 above max 0.1"),
        ({"min": 0.5, "margin": 0.1}, "nothing to compare with"),
        ({"min": float("nan")}, "min: .*finite"),
        ({"minimum": 0.5}, "unknown key 'minimum'"),
        ({"better_than": "staging"}, "better_than: .*'production'"),
        ({"better_than": "production", "margin": -1}, "margin: .*greater than"),
        ({"require": "signature", "min": 1}, "a fact, which has no other condition"),
        ({"require": "luck"}, "require: .*'signature' or 'no_drift'"),
    ],
)
def test_what_is_no_gate_is_refused(conditions: dict[str, Any], sentence: str) -> None:
    with pytest.raises(EvaluationError, match=sentence):
        Gate("f1", **conditions)


def test_a_bound_of_a_negative_loss_is_refused_as_it_would_let_all_through() -> None:
    with pytest.raises(EvaluationError, match="'log_loss' with max="):
        Gate("neg_log_loss", min=-0.1)
    relative = Gate("neg_log_loss", better_than="production")
    assert relative.is_relative


def test_a_lone_bound_on_the_good_side_is_refused_as_every_bad_version_would_pass() -> (
    None
):
    with pytest.raises(EvaluationError, match="only min=0.1, but less of it is better"):
        Gate("log_loss", min=0.1)
    with pytest.raises(EvaluationError, match="only max=0.9, .* more .*; write min="):
        GatePolicy.from_dict({"gates": [{"metric": "auc", "max": 0.9}]})
    assert Gate("auc", min=0.6, max=0.99).max == 0.99, "too good to be true"
    assert Gate("auc", max=0.99, not_worse_than="production").is_relative
    judged = replace(result(miss=0.5), higher_is_better={"miss": False})
    decision = GatePolicy([Gate("miss", min=0), Gate("miss", max=1)]).decide(judged)
    told, fine = [outcome.sentence for outcome in decision.gates]
    assert told.endswith("; less of it is better: no bad version is stopped")
    assert fine.endswith("at most 1 as asked")


def test_a_gate_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Gate("f1", min=0.5).min = 0.1  # type: ignore[misc]


@pytest.mark.parametrize("gates", [[], None, 5, "f1"])
def test_a_policy_without_gates_is_refused_in_one_sentence(gates: Any) -> None:
    with pytest.raises(EvaluationError) as caught:
        GatePolicy(gates)
    assert str(caught.value) == (
        "the gate policy 'policy' needs a list of at least one gate, such as "
        "Gate('f1', min=0.8) or {'metric': 'f1', 'min': 0.8}"
    )


def test_a_gate_without_a_metric_is_refused() -> None:
    with pytest.raises(EvaluationError, match="has an empty metric"):
        Gate(min=0.5)


POLICY = GatePolicy(
    [
        Gate("f1", min=0.8),
        Gate("auc", not_worse_than="production", margin=0.01),
    ],
    name="promotion",
)


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json", ".toml"])
def test_a_policy_is_read_from_a_file(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"policy{suffix}"
    if suffix == ".toml":
        file.write_text(
            'name = "promotion"\n'
            '[[gates]]\nmetric = "f1"\nmin = 0.8\n'
            '[[gates]]\nmetric = "auc"\nnot_worse_than = "production"\nmargin = 0.01\n'
        )
    elif suffix == ".json":
        file.write_text(json.dumps(POLICY.to_dict()))
    else:
        file.write_text(yaml.safe_dump(POLICY.to_dict()))
    assert GatePolicy.from_file(file) == POLICY
    assert POLICY.metrics == ["f1", "roc_auc"]
    assert POLICY.needs_comparison


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("policy.txt", "", "must end in .json, .toml, .yaml, .yml"),
        ("policy.yaml", "a: [", "can't be read as a policy"),
        ("policy.json", "[]", "a mapping with a list 'gates'"),
        ("policy.json", '{"gates": [{"metric": "f1"}]}', "has no condition"),
        ("policy.json", '{"gates": [{"min": 0.5}]}', "metric"),
        ("policy.json", '{"gates": [{"metric": "f1", "min": 1}], "x": 1}', "key 'x'"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_by_name(
    tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(EvaluationError, match=sentence) as caught:
        GatePolicy.from_file(file)
    assert name in str(caught.value)


def test_a_policy_is_a_field_of_other_models() -> None:
    class Block(BaseModel):
        policy: GatePolicy

    assert Block.model_validate({"policy": POLICY.to_dict()}).policy == POLICY
    dumped = Block(policy=POLICY).model_dump_json()
    assert Block.model_validate_json(dumped).policy == POLICY


def sliced(**shares: tuple[int, float]) -> EvaluationResult:
    parts = [
        SliceResult(
            "region",
            value,
            rows,
            MetricValues(f1=share) if share else MetricValues(),
            MetricValues(f1=Interval(0, 1)) if share else MetricValues(),
            () if share else ("f1 needs rows",),
        )
        for value, (rows, share) in shares.items()
    ]
    return replace(result(f1=0.8), slices=tuple(parts))


@pytest.mark.parametrize(
    ("shares", "passes", "words"),
    [
        (
            {"north": (50, 0.8), "south": (90, 0.7)},
            True,
            "at worst 0.7000 where .*south",
        ),
        (
            {"north": (50, 0.8), "south": (90, 0.4)},
            False,
            "'south' .90 rows. is 0.4000",
        ),
        ({"north": (50, 0.8), "south": (9, 0.1)}, True, "not judged: 'south' .9."),
        ({"north": (9, 0.9)}, False, "no value has 30 rows"),
        ({"north": (50, 0.0)}, False, "can't be judged: f1 needs rows"),
        ({}, False, "not evaluated by region .slices: none.; evaluate with slices="),
    ],
)
def test_a_gate_may_hold_for_every_value_of_a_column(
    shares: dict[str, tuple[int, float]], passes: bool, words: str
) -> None:
    policy = GatePolicy([Gate("f1", min=0.6, slice="region")])
    assert policy.slices == ["region"]
    [outcome] = policy.decide(sliced(**shares)).gates
    assert outcome.passed is passes
    assert re.search(words, outcome.sentence), outcome.sentence
    assert str(outcome.gate) == "f1 >= 0.6 for each region"


@pytest.mark.parametrize(
    ("value", "allowed", "words"),
    [
        (0.8020, True, "f1 is 0.8020 (within 0.001, of rows that were summed up) on"),
        (0.8004, False, "summed up) on 500 rows, and may be below the least allowed"),
        (0.7996, False, "summed up) on 500 rows, below the least allowed 0.8"),
    ],
)
def test_a_value_that_is_known_within_a_bound_passes_where_all_of_it_does(
    value: float, allowed: bool, words: str
) -> None:
    judged = replace(result(f1=value), bounds=MetricValues({"f1": 0.001}))
    decision = GatePolicy([Gate("f1", min=0.8)]).decide(judged)
    assert decision.allowed is allowed
    assert words in decision.gates[0].sentence


def sliced_comparison(**bounds: tuple[int, tuple[float, float] | None]) -> Comparison:
    whole = comparison(roc_auc=(0.01, 0.03))
    parts = [
        SliceComparison(
            "carrier",
            value,
            rows,
            comparison(roc_auc=gain).metrics if gain else MetricValues(),
            () if gain else ("roc_auc needs both classes",),
        )
        for value, (rows, gain) in bounds.items()
    ]
    return replace(whole, slices=tuple(parts))


@pytest.mark.parametrize(
    ("bounds", "passes", "words"),
    [
        (
            {"AA": (50, (0.0, 0.02)), "UA": (90, (-0.005, 0.02))},
            True,
            "each of 2 values of carrier; at worst, where it is 'UA' .90 rows., the "
            "gain is between -0.0050",
        ),
        (
            {"AA": (50, (0.0, 0.02)), "UA": (90, (-0.2, 0.3))},
            False,
            "carrier is 'UA' .90 rows.: .*so it may be worse by more than 0.01",
        ),
        (
            {"AA": (50, (0.0, 0.02)), "UA": (9, (-0.2, 0.3))},
            True,
            "under 30 rows, not judged: 'UA' .9.",
        ),
        ({"AA": (9, (0.0, 0.02))}, False, "no value has 30 rows"),
        ({"AA": (50, None)}, False, "can't be judged: roc_auc needs both classes"),
        ({}, False, "not compared by carrier .slices: none.; compare with slices="),
    ],
)
def test_a_relative_gate_may_hold_for_every_value_of_a_column(
    bounds: dict[str, tuple[int, tuple[float, float] | None]], passes: bool, words: str
) -> None:
    gate = Gate("auc", not_worse_than="production", margin=0.01, slice="carrier")
    policy = GatePolicy([gate, Gate("f1", min=0, slice="region")])
    assert policy.compared_slices == ["carrier"]
    judged = result(production="1.0.0", roc_auc=0.8)
    outcome = policy.decide(judged, sliced_comparison(**bounds)).gates[0]
    assert outcome.passed is passes
    assert re.search(words, outcome.sentence), outcome.sentence


def test_a_gate_by_slice_may_ask_for_a_value_and_for_a_gain() -> None:
    gate = Gate("f1", min=0.9, better_than="production", slice="region")
    kept = SliceComparison("region", "north", 50, comparison(f1=(0.01, 0.03)).metrics)
    judged = replace(sliced(north=(50, 0.8)), production="1.0.0")
    compared = replace(comparison(f1=(0.01, 0.03)), slices=(kept,))
    [outcome] = GatePolicy([gate]).decide(judged, compared).gates
    assert not outcome.passed  # the gain is there, the value is not
    assert "below the least allowed 0.9; f1 against 1.0.0 in" in outcome.sentence


@pytest.mark.parametrize(
    ("require", "facts", "passes", "words"),
    [
        ("signature", {"signature": True}, True, "has schemas"),
        ("signature", {"signature": False}, False, "save_model(..., input_example=)"),
        ("signature", {}, False, "no schemas"),
        ("no_drift", {"drift": {"status": "ok"}}, True, "have not drifted"),
        (
            "no_drift",
            {"drift": {"status": "drift", "sentence": "age moved"}},
            False,
            "against its training rows: age moved",
        ),
        ("no_drift", {"drift": {"status": "insufficient_data"}}, False, "insufficient"),
        ("no_drift", {}, False, "nobody looked"),
    ],
)
def test_a_gate_may_require_a_fact(
    require: str, facts: dict[str, Any], passes: bool, words: str
) -> None:
    policy = GatePolicy([{"require": require}])
    assert policy.metrics == []
    assert policy.needs_drift is (require == "no_drift")
    [outcome] = policy.decide(replace(result(f1=0.9), **facts)).gates
    assert outcome.passed is passes and words in outcome.sentence
    assert GatePolicy.from_dict(policy.to_dict()) == policy


def test_cost_is_gated_like_any_number() -> None:
    policy = GatePolicy([Gate("latency", max=2), Gate("model_size", max=10)])
    judged = result(latency_per_row_ms=3.0, model_size_mb=4.0)
    assert [each.passed for each in policy.decide(judged).gates] == [False, True]


def test_a_number_in_a_name_is_a_known_metric() -> None:
    policy = GatePolicy([Gate("mean_pinball_loss_0.9", max=2)])
    [reason] = policy.decide(result(f1=0.5)).reasons
    assert "mean_pinball_loss_0.9 was not evaluated" in reason


def test_the_decision_is_a_suite_for_a_ci() -> None:
    decision = POLICY.decide(result(f1=0.7, roc_auc=0.9))
    suite = ElementTree.fromstring(decision.to_junit().split("\n", 1)[1])
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    [failure] = suite.iter("failure")
    assert "below the least allowed 0.8" in str(failure.get("message"))


def test_every_gate_is_kept_in_a_block() -> None:
    policy = GatePolicy(
        [
            Gate("f1", min=0.8, slice="region", min_rows=50),
            Gate("f1", better_than="production", margin=0.1, slice="region"),
            Gate("auc", not_worse_than="production", margin=0.01),
            Gate(require="signature"),
            Gate(require="no_drift"),
        ],
        name="policy",
    )
    assert BrixaGatePolicy.from_policy(policy).policy() == policy


def test_the_decision_reads_well() -> None:
    decision = POLICY.decide(result(f1=0.7, roc_auc=0.9))
    text = decision.to_markdown()
    assert "flowers 1.1.0: refused by the policy promotion" in text
    assert "| f1 >= 0.8 | no | f1 is 0.7000 on 500 rows, below the least" in text
    assert json.loads(json.dumps(decision.to_dict()))["allowed"] is False


def test_a_policy_that_asks_a_person_opens_no_gate_by_itself() -> None:
    asks = GatePolicy([Gate("f1", min=0.8)], name="p", approval={"hours": 2})
    decision = asks.decide(result(f1=0.9))
    assert decision.verdict == "waiting" and not decision.allowed
    assert decision.reasons == []
    assert "allowed by the policy p, which asks a person" in decision.to_markdown()
    assert decision.to_dict()["verdict"] == "waiting"
    strict = GatePolicy([Gate("f1", min=0.99)], approval=ApprovalRule())
    assert strict.decide(result(f1=0.9)).verdict == "refused"


@pytest.mark.parametrize("suffix", ["yaml", "toml"])
def test_an_approval_is_kept_in_a_file(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"policy.{suffix}"
    texts = {
        "yaml": "gates: [{metric: f1, min: 0.8}]\napproval: {hours: 1.5, tell: leads}\n",
        "toml": "[[gates]]\nmetric = 'f1'\nmin = 0.8\n[approval]\nhours = 1.5\n"
        "tell = 'leads'\n",
    }
    file.write_text(texts[suffix])
    policy = GatePolicy.from_file(file)
    assert policy.approval == ApprovalRule(hours=1.5, tell="leads")
    assert policy.approval is not None and policy.approval.timeout_seconds == 5400
    assert GatePolicy.from_dict(policy.to_dict()) == policy


@pytest.mark.parametrize(
    ("approval", "words"),
    [
        ("{hours: 0}", "hours: Input should be greater than 0"),
        ("{hours: .nan}", "hours: Input should be"),
        ("{hour: 3}", "unknown key 'hour'"),
        ("true", "valid dictionary"),
        ("", "the approval is empty; say how long a person has"),
    ],
)
def test_an_approval_that_is_none_is_never_left_out_in_silence(
    tmp_path: Path, approval: str, words: str
) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f"gates: [{{metric: f1, min: 0.8}}]\napproval: {approval}\n")
    with pytest.raises(EvaluationError, match=re.escape(words)):
        GatePolicy.from_file(file)


@pytest.mark.parametrize(
    ("apart", "sentence"),
    [
        ({"dataset": replace(DATA, digest="b" * 32)}, "on the rows bbbbbbbb, not aaaa"),
        ({"dataset": replace(DATA, target="late")}, "by the label 'late', not ''"),
        ({"threshold": 0.3}, "positive class 'yes', threshold 0.3, not binary"),
        ({"positive": "no"}, "as binary, positive class 'no'.* not .*'yes'"),
    ],
)
def test_a_comparison_on_other_rows_or_of_another_question_shuts_the_gate(
    apart: dict[str, Any], sentence: str
) -> None:
    gates = GatePolicy([Gate("f1", min=0.5), Gate("f1", not_worse_than="production")])
    judged = replace(result("1.0.0", f1=0.8), positive="yes", classes=("no", "yes"))
    alike = {"task": "binary", "positive": "yes"}
    found = replace(comparison(f1=(0.01, 0.03)), **alike)
    assert gates.decide(judged, found).allowed
    decision = gates.decide(judged, replace(found, **apart))
    assert [each.passed for each in decision.gates] == [True, False]
    assert re.search(sentence, decision.gates[1].sentence)
    assert gates.decide(judged, replace(found, task=None)).allowed, "of an old record"


def test_production_that_knows_more_classes_is_compared_and_told() -> None:
    judged = replace(result("1.0.0", f1=0.8), positive="yes", classes=("no", "yes"))
    found = replace(
        comparison(f1=(0.01, 0.03)),
        task="multiclass",
        warnings=("means over 3",),
        classes_differ=True,
    )
    decision = GatePolicy([Gate("f1", not_worse_than="production")]).decide(
        judged, found
    )
    assert decision.allowed and "means over 3" in decision.warnings


def test_a_decision_names_the_rows_and_the_question() -> None:
    judged = replace(result(f1=0.8), positive="yes", threshold=0.3)
    decision = GatePolicy([Gate("f1", min=0.5)]).decide(judged)
    told = "500 rows of test rows (digest " + "a" * 32 + "), binary, positive class "
    told += "'yes', threshold 0.3"
    assert told in decision.to_markdown()
    assert told in html.unescape(decision.to_junit())
    plain = json.loads(json.dumps(decision.to_dict()))
    assert (plain["dataset"]["name"], plain["dataset"]["digest"]) == (
        "test rows",
        "a" * 32,
    )
    assert (plain["task"], plain["positive"], plain["threshold"]) == (
        "binary",
        "yes",
        0.3,
    )


def test_why_a_number_is_missing_stands_in_the_gate() -> None:
    gates = GatePolicy([Gate("auc", min=0.5), Gate("auc", not_worse_than="production")])
    why = {"roc_auc": "roc_auc needs rows of every class"}
    decision = gates.decide(result("1.0.0", f1=0.8), None, why)
    for outcome in decision.gates:
        assert (
            outcome.sentence
            == f"{why['roc_auc']}; a gate without its number stays shut"
        )
    refused = gates.refuse("flowers", "1.1.0", "the model answers nothing")
    assert refused.verdict == "refused" and refused.dataset is None
    assert refused.to_junit().count("be judged: the model answers nothing") == 2
    assert json.loads(json.dumps(refused.to_dict()))["dataset"] is None
    assert "Judged on" not in refused.to_markdown()


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        (
            "p.yaml",
            "gates:\n  - metric: f1\n    min: 0.8\n    min: 0.1\n",
            "p.yaml .*the key 'min' is there twice in the mapping .* line 2",
        ),
        (
            "p.yml",
            "gates: []\ngates: [{metric: f1, min: 1}]",
            "key 'gates' is there twice",
        ),
        (
            "p.json",
            '{"gates": [{"metric": "f1", "min": 1, "min": 0}]}',
            "'min' is there",
        ),
        (
            "p.yaml",
            "gates: [{metric: f1, min: 0,1}]",
            "gates.0 has the key 1, .*write 0.1",
        ),
        ("p.yaml", "1: 2\ngates: []", "the gate policy has the key 1"),
        ("p.yaml", "gates: [{metric: f1, min: true}]", "min: true is no number"),
        (
            "p.yaml",
            "gates: [{metric: f1, min: .5, min_rows: yes}]",
            "true is no number",
        ),
        ("p.yaml", "gates: [{metric: f1, min: '0,8'}]", "'f1' min: .*number"),
    ],
)
def test_what_would_silently_mean_another_gate_is_refused(
    tmp_path: Path, name: str, text: str, sentence: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(EvaluationError, match=sentence) as told:
        GatePolicy.from_file(tmp_path / name)
    assert "at least one gate" not in str(told.value)


def test_a_key_that_was_merged_in_may_be_said_again(tmp_path: Path) -> None:
    text = "gates: [&f {metric: f1, min: 0.1}, {<<: *f, min: 0.2}]"
    (tmp_path / "p.yaml").write_text(text)
    assert [each.min for each in GatePolicy.from_file(tmp_path / "p.yaml").gates] == [
        0.1,
        0.2,
    ]


def test_a_bar_in_a_value_stays_in_its_cell() -> None:
    part = SliceComparison("a|b", "x|y", 50, comparison(f1=(0.01, 0.03)).metrics)
    told = replace(comparison(f1=(0.01, 0.03)), slices=(part,)).to_markdown()
    assert "a\\|b = x\\|y" in told
    few = SliceResult("a|b", "x|y", 50, {"f1": 0.1}, {"f1": Interval(0, 1)})
    decision = GatePolicy([Gate("f1", min=0.5, slice="a|b")]).decide(
        replace(result(f1=0.8), slices=(few,))
    )
    row = next(line for line in decision.to_markdown().splitlines() if "x" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 4
