"""What may be executed on load."""

from __future__ import annotations

import warnings

import pytest

from brixa_flows.errors import (
    DamagedArtifactError,
    InsecureSerializationWarning,
    SettingsError,
    UnknownPluginError,
    UntrustedArtifactError,
)
from brixa_flows.serializers import (
    ArtifactManifest,
    SavedModel,
    check_trust,
    depends_on_signature,
    save_model_files,
)

FILE = {"model.x": {"size_bytes": 1, "sha256": "0" * 64}}


def manifest(serializer, format, tier="code", **config):
    """A manifest of one file."""
    saved = SavedModel(serializer, format, tier, "model.x", config)
    core = {"name": "churn", "version": "1.2.0"}
    return ArtifactManifest(saved=saved, files=FILE, core=core)


CODE = manifest("sklearn", "joblib")
DATA = manifest("pytorch", "safetensors", "data", classes=["torch.nn:Linear"])
OWN_CLASS = manifest("pytorch", "safetensors", "data", classes=["my_team.nets:Net"])


@pytest.mark.parametrize(
    "facts",
    [
        {"recorded_digest": CODE.digest},
        {"recorded_digest": None, "trust": "code"},
        {"recorded_digest": None, "policy": "open"},
    ],
)
def test_a_format_that_runs_code_loads_with_a_warning_where_it_is_trusted(facts):
    with pytest.warns(
        InsecureSerializationWarning, match="churn 1.2.0.*model.x"
    ) as got:
        check_trust(CODE, **facts)
    assert got[0].filename == __file__


@pytest.mark.parametrize("untrusted", [CODE, OWN_CLASS])
def test_by_default_code_that_was_not_recorded_here_is_refused(untrusted):
    with pytest.raises(UntrustedArtifactError, match="churn 1.2.0.*trust='code'"):
        check_trust(untrusted, recorded_digest=None)


@pytest.mark.parametrize("trust", [None, "code"])
@pytest.mark.parametrize("untrusted", [CODE, OWN_CLASS])
def test_strict_refuses_all_code_without_a_signature(untrusted, trust):
    with pytest.raises(UntrustedArtifactError, match="strict asks for .* signature"):
        check_trust(
            untrusted,
            recorded_digest=untrusted.digest,
            policy="strict",
            trust=trust,
        )


@pytest.mark.parametrize("policy", ["default", "strict", "open"])
def test_a_format_that_holds_data_loads_by_any_policy_without_a_warning(policy):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_trust(DATA, recorded_digest=None, policy=policy)


def test_data_that_imports_a_recorded_class_of_ones_own_loads_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_trust(OWN_CLASS, recorded_digest=OWN_CLASS.digest)


@pytest.mark.parametrize("each", [CODE, DATA])
@pytest.mark.parametrize("policy", ["default", "strict", "open"])
def test_another_digest_than_the_recorded_one_is_refused_in_both_tiers(each, policy):
    with pytest.raises(DamagedArtifactError, match="was recorded"):
        check_trust(
            each, recorded_digest="sha256:" + "1" * 64, policy=policy, trust="code"
        )


@pytest.mark.parametrize(
    ("serializer", "format"),
    [("pickle", "pickle"), ("sklearn", "joblib"), ("pytorch", "cloudpickle")],
)
def test_a_manifest_that_calls_its_pickle_data_is_not_believed(serializer, format):
    with pytest.raises(UntrustedArtifactError, match=f"model.x in the format {format}"):
        check_trust(manifest(serializer, format, "data"), recorded_digest=None)


def test_a_serializer_that_is_not_installed_is_named():
    with pytest.raises(UnknownPluginError, match="evil"):
        check_trust(manifest("evil", "x", "data"), recorded_digest=None)


@pytest.mark.parametrize("wrong", [{"policy": "off"}, {"trust": True}])
def test_a_policy_or_trust_that_is_none_is_refused(wrong):
    with pytest.raises(SettingsError, match="is not"):
        check_trust(DATA, recorded_digest=None, **wrong)


def test_saving_code_warns_with_file_and_remedy_at_the_callers_line(tmp_path):
    with pytest.warns(InsecureSerializationWarning, match="model.pkl.*trust") as got:
        save_model_files({"weights": [1, 2]}, tmp_path)
    assert got[0].filename == __file__


@pytest.mark.parametrize("policy", ["default", "strict"])
@pytest.mark.parametrize("untrusted", [CODE, OWN_CLASS])
@pytest.mark.filterwarnings("ignore::brixa_flows.errors.InsecureSerializationWarning")
def test_a_trusted_signer_lets_code_load_and_a_problem_is_told(untrusted, policy):
    facts = {"recorded_digest": None, "policy": policy}
    assert depends_on_signature(untrusted, **facts)
    check_trust(untrusted, **facts, signers=["ada"])
    with pytest.raises(UntrustedArtifactError, match="signed by eve; .*brixa model si"):
        check_trust(untrusted, **facts, problem="it is signed by eve")


@pytest.mark.parametrize(
    "facts",
    [
        {"recorded_digest": "x"},
        {"recorded_digest": None, "trust": "code"},
        {"recorded_digest": None, "policy": "open"},
    ],
)
def test_a_signature_is_asked_for_only_where_nothing_else_vouches(facts):
    assert not depends_on_signature(CODE, **facts)
    assert not depends_on_signature(DATA, recorded_digest=None, policy="strict")
    assert depends_on_signature(CODE, **facts | {"policy": "strict"})
