"""Who may make this machine run a model: by record, by signature, by a person's word."""

from __future__ import annotations

import base64
import json
import os
import pickle
import shutil
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_signing import signing as theirs
from model_signing import verifying
from sklearn.linear_model import LogisticRegression

from brixa_flows.errors import (
    DamagedArtifactError,
    InsecureSerializationWarning,
    InvalidMetadataError,
    MissingExtraError,
    ModelNotSavedError,
    SettingsError,
    SignatureError,
    SigningKeyError,
    StorageError,
    TrackingUnavailableError,
    UntrustedArtifactError,
    VersionNotFoundError,
)
from brixa_flows.prediction import ModelPredictor
from brixa_flows.registry import ModelRegistry, TrustRecord
from brixa_flows.serializers.trust import TrustPolicy
from brixa_flows.settings import BrixaSettings
from brixa_flows.signing import KeyRing
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.tracking.memory_store import MemoryTrackingStore

Other = Callable[..., ModelRegistry]

pytestmark = pytest.mark.filterwarnings(
    "ignore::brixa_flows.errors.InsecureSerializationWarning"
)


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    """The keys of this machine: ``ada`` is ours and trusted."""
    monkeypatch.setenv("BRXA_KEYS_PATH", str(tmp_path / "keys"))
    ring = KeyRing(tmp_path / "keys")
    ring.new("ada")
    return ring


@pytest.fixture
def elsewhere(storage: LocalStorageNode) -> Other:
    """The same storage with a tracking backend that knows nothing (or a policy)."""

    def call(
        policy: TrustPolicy = "default", tracking: MemoryTrackingStore | None = None
    ) -> ModelRegistry:
        settings = BrixaSettings(trust_policy=policy)
        tracking = tracking or MemoryTrackingStore()
        return ModelRegistry(storage, tracking=tracking, settings=settings)

    return call


def bundle_of(
    storage: LocalStorageNode, name: str = "m", version: str = "1.0.0"
) -> Path:
    return storage.root / "models" / name / f"{version}_sig.json"


def test_what_a_trusted_key_signed_loads_while_the_backend_is_away(
    registry: ModelRegistry,
    save: Any,
    elsewhere: Other,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    storage: LocalStorageNode,
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise TrackingUnavailableError("http://away", "nobody answers")

    save("m")
    save("signed")
    registry.sign("signed", "1.0.0", key="ada")
    monkeypatch.setattr(MemoryTrackingStore, "recorded_digest", fail)
    policies: tuple[TrustPolicy, ...] = ("default", "strict", "open")
    for policy in policies:
        with pytest.raises(TrackingUnavailableError, match="http://away"):
            elsewhere(policy).load_model("m")
        assert elsewhere(policy).load_model("signed") is not None
    assert "signed 1.0.0 is loaded, because ada signed for it" in caplog.text
    file = next((storage.root / "models" / "signed" / "1.0.0").glob("model.*"))
    file.chmod(0o644)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    with pytest.raises(DamagedArtifactError):
        registry.load_model("signed")


def test_a_signature_by_a_trusted_key_lets_it_load_by_every_policy(
    registry: ModelRegistry, save: Any, elsewhere: Other
) -> None:
    save("m")
    with pytest.raises(UntrustedArtifactError, match="strict asks.*has no signature"):
        elsewhere("strict").load_model("m")
    worth = registry.sign("m", "1.0.0", key="ada")
    assert (worth.signers, worth.recorded, worth.loads) == (("ada",), True, True)
    for policy in ("default", "strict", "open"):
        with pytest.warns(InsecureSerializationWarning, match="model.joblib"):
            assert elsewhere(policy).load_model("m") is not None
    predictor = ModelPredictor.from_registry(elsewhere("strict"), "m")
    assert predictor.metadata.name == "m"


def test_model_signing_verifies_the_version_directory_and_we_its_bundle(
    registry: ModelRegistry,
    save: Any,
    elsewhere: Other,
    storage: LocalStorageNode,
    keys: KeyRing,
) -> None:
    save("m")
    registry.sign("m", "1.0.0", key="ada")
    directory, bundle = storage.root / "models/m/1.0.0", bundle_of(storage)
    config = verifying.Config().use_elliptic_key_verifier(
        public_key=keys.folder / "ada.pub"
    )
    config.verify(directory, bundle)
    bundle.unlink()
    signer = theirs.Config().use_elliptic_key_signer(
        private_key=keys.folder / "ada.pem"
    )
    signer.sign(directory, bundle)
    assert elsewhere("strict").load_model("m") is not None


def test_several_people_sign_and_one_trusted_one_is_enough(
    registry: ModelRegistry, save: Any, elsewhere: Other, keys: KeyRing
) -> None:
    save("m")
    keys.new("grace")
    registry.sign("m", "1.0.0", key="ada")
    worth = registry.sign("m", "1.0.0", key="grace")
    assert worth.signers == ("ada", "grace")
    keys.revoke("ada", reason="left", actor="grace")
    assert elsewhere("strict").verify("m", "1.0.0").signers == ("grace",)
    keys.revoke("grace", reason="left too", actor="nobody")
    with pytest.raises(UntrustedArtifactError, match="ada, whose key is revoked, sig"):
        elsewhere("strict").load_model("m")
    assert registry.load_model("m") is not None, "recorded when it was saved here"


def test_a_signature_of_a_stranger_counts_nowhere(
    registry: ModelRegistry, save: Any, elsewhere: Other, keys: KeyRing
) -> None:
    save("m")
    registry.sign("m", "1.0.0", key="ada")
    (keys.folder / "ada.pub").unlink()
    for policy in ("default", "strict"):
        with pytest.raises(UntrustedArtifactError, match="is not trusted here"):
            elsewhere(policy).load_model("m")
    worth = elsewhere().verify("m", "1.0.0")
    assert not worth.loads and worth.signatures[0].verdict == "unknown"
    assert elsewhere("open").load_model("m") is not None


def test_strict_takes_no_word_for_a_signature(
    registry: ModelRegistry, save: Any, elsewhere: Other, tracking: MemoryTrackingStore
) -> None:
    save("m")
    registry.trust("m", "1.0.0", actor="ada", reason="mine", key="ada")
    strict = elsewhere("strict", tracking)
    for trust in (None, "code"):
        with pytest.raises(UntrustedArtifactError, match="brixa model sign m@1.0.0"):
            strict.load_model("m", trust=trust)  # type: ignore[arg-type]


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _other_payload(data: bytes) -> bytes:
    bundle = json.loads(data)
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    changed = payload.replace(b"m@1.0.0", b"m@1.0.1")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(changed).decode()
    return json.dumps(bundle).encode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"no JSON", "is no Sigstore bundle"),
        (_cut, "is no Sigstore bundle"),
        (lambda data: b"{}" + b" " * 40 * 2**20, "has 41943042 bytes"),
        (_other_payload, "signature of ada is not over these files"),
    ],
)
def test_a_bundle_that_says_nothing_vouches_for_nothing(
    registry: ModelRegistry,
    save: Any,
    elsewhere: Other,
    storage: LocalStorageNode,
    change: Callable[[bytes], bytes],
    words: str,
) -> None:
    save("m")
    registry.sign("m", "1.0.0", key="ada")
    path = bundle_of(storage)
    path.write_bytes(change(path.read_bytes()))
    for policy in ("default", "strict"):
        with pytest.raises(UntrustedArtifactError, match=words):
            elsewhere(policy).load_model("m", "1.0.0")
    assert words in elsewhere().verify("m", "1.0.0").problem


def test_a_signature_copied_from_another_version_does_not_verify(
    registry: ModelRegistry, save: Any, elsewhere: Other, storage: LocalStorageNode
) -> None:
    save("m")
    save("m")
    registry.sign("m", "1.0.0", key="ada")
    shutil.copy(bundle_of(storage), bundle_of(storage, version="1.0.1"))
    with pytest.raises(UntrustedArtifactError, match="not of the files of m 1.0.1"):
        elsewhere("strict").load_model("m", "1.0.1")
    with pytest.raises(SignatureError, match="not of the files of m 1.0.1"):
        registry.sign("m", "1.0.1", key="ada")


def test_a_signed_directory_copied_to_another_version_is_refused(
    registry: ModelRegistry, save: Any, elsewhere: Other, storage: LocalStorageNode
) -> None:
    save("m")
    save("m")
    registry.sign("m", "1.0.0", key="ada")
    models = storage.root / "models" / "m"
    shutil.rmtree(models / "1.0.1")
    shutil.copytree(models / "1.0.0", models / "1.0.1")
    shutil.copy(bundle_of(storage), bundle_of(storage, version="1.0.1"))
    meta = json.loads((models / "1.0.1_meta.json").read_text())
    del meta["record_sha256"]
    meta["core"] = json.loads((models / "1.0.0_meta.json").read_text())["core"]
    (models / "1.0.1_meta.json").write_text(json.dumps(meta))
    for policy in ("strict", "open"):
        with pytest.raises(DamagedArtifactError, match="belongs to m 1.0.0"):
            elsewhere(policy).load_model("m", "1.0.1")


@pytest.mark.parametrize("asked", ["1.1.0", "^1.1"])
@pytest.mark.parametrize("policy", ["default", "strict", "open"])
def test_a_claim_copied_from_another_version_leads_to_no_other_files(
    registry: ModelRegistry,
    save: Any,
    storage: LocalStorageNode,
    elsewhere: Other,
    tracking: MemoryTrackingStore,
    policy: TrustPolicy,
    asked: str,
) -> None:
    for version in ("1.0.0", "1.1.0"):
        save("m", version)
        registry.sign("m", version, key="ada")
    claims = storage.root / "models" / "m" / "_journal" / "claims"
    shutil.copy(claims / "1.0.0.json", claims / "1.1.0.json")
    with pytest.raises(DamagedArtifactError, match="1.1.0.json.*belongs to m 1.0.0"):
        elsewhere(policy, tracking).load_model("m", asked)
    assert str(elsewhere(policy, tracking).resolve("m", "latest")) == "1.0.0"


def test_tampered_files_are_not_signed_and_nothing_is_written(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode
) -> None:
    save("m")
    model = storage.root / "models/m/1.0.0/model.joblib"
    model.write_bytes(model.read_bytes() + b"x")
    with pytest.raises(DamagedArtifactError, match="model.joblib"):
        registry.sign("m", "1.0.0", key="ada")
    assert not bundle_of(storage).exists()


def test_a_registered_version_has_nothing_to_sign(registry: ModelRegistry) -> None:
    registry.register_model("m", "t")
    with pytest.raises(ModelNotSavedError):
        registry.sign("m", "1.0.0", key="ada")
    with pytest.raises(ModelNotSavedError):
        registry.trust("m", "1.0.0", actor="ada", reason="why not")


def test_a_key_that_is_not_there_signs_nothing(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode
) -> None:
    save("m")
    with pytest.raises(SigningKeyError, match="which has: ada; make it with"):
        registry.sign("m", "1.0.0", key="eve")
    with pytest.raises(SigningKeyError):
        registry.trust("m", "1.0.0", actor="eve", reason="x", key="eve")
    assert not bundle_of(storage).exists()
    assert registry.trust_records() == []


def test_a_storage_that_takes_no_writes_is_one_sentence(
    registry: ModelRegistry,
    save: Any,
    storage: LocalStorageNode,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save("m")

    def refuse(*_: object, **__: object) -> str:
        raise StorageError("can't write: the filesystem is read-only")

    monkeypatch.setattr(storage, "create", refuse)
    monkeypatch.setattr(storage, "replace", refuse)
    with pytest.raises(StorageError, match="read-only"):
        registry.sign("m", "1.0.0", key="ada")
    with pytest.raises(StorageError, match="read-only"):
        registry.trust("m", "1.0.0", actor="ada", reason="x", key="ada")


def test_keys_beside_the_models_are_refused(
    storage: LocalStorageNode, save: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("m")
    monkeypatch.setenv("BRXA_KEYS_PATH", str(storage.root / "keys"))
    monkeypatch.setenv("BRXA_TRUST_POLICY", "strict")
    registry = ModelRegistry(storage, tracking=MemoryTrackingStore())
    with pytest.raises(SettingsError, match="BRXA_KEYS_PATH.*lies in the storage"):
        registry.load_model("m")


def test_without_the_extra_strict_says_what_to_install(
    registry: ModelRegistry,
    save: Any,
    elsewhere: Other,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save("m")
    registry.sign("m", "1.0.0", key="ada")
    monkeypatch.delitem(sys.modules, "brixa_flows.signing.ecdsa")
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(MissingExtraError, match=r"brixa-flows\[sign\]"):
        elsewhere("strict").load_model("m")
    assert registry.load_model("m") is not None, "recorded versions need no signature"


def test_garbage_of_a_version_is_its_signatures_too(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode
) -> None:
    save("m")
    registry.sign("m", "1.0.0", key="ada")
    registry.delete_version("m", "1.0.0", reason="old")
    assert bundle_of(storage).exists()
    registry.collect_garbage(remove=True)
    assert not bundle_of(storage).exists()
    with pytest.raises(VersionNotFoundError, match="was deleted"):
        registry.trust("m", "1.0.0", actor="ada", reason="x")


def test_a_persons_word_lets_a_version_load_that_was_not_saved_here(
    save: Any, elsewhere: Other
) -> None:
    save("m")
    here = elsewhere()
    assert [str(version) for _, version in here.untrusted()] == ["1.0.0"]
    with pytest.raises(UntrustedArtifactError, match="brixa trust m@1.0.0 --actor"):
        here.load_model("m")
    record = here.trust("m", "1.0.0", actor="ada", reason="trained it myself")
    assert here.load_model("m") is not None
    assert here.untrusted() == []
    assert here.trust_records() == [record]
    assert (record.actor, record.reason, record.signers) == (
        "ada",
        "trained it myself",
        (),
    )


def test_an_unsigned_word_does_not_outlive_the_tracking_backend(
    save: Any, elsewhere: Other
) -> None:
    save("m")
    elsewhere().trust("m", "1.0.0", actor="ada", reason="x")
    after = elsewhere()
    assert [record.actor for record in after.trust_records()] == ["ada"]
    with pytest.raises(UntrustedArtifactError):
        after.load_model("m")


def test_a_signed_word_outlives_it_until_the_key_is_revoked(
    save: Any, elsewhere: Other, keys: KeyRing
) -> None:
    save("m")
    elsewhere().trust("m", "1.0.0", actor="ada", reason="x", key="ada")
    after = elsewhere()
    assert after.load_model("m") is not None
    assert after.trust_records()[0].signers == ("ada",)
    keys.revoke("ada", reason="stolen", actor="grace")
    with pytest.raises(UntrustedArtifactError):
        elsewhere().load_model("m")
    assert "revoked" in elsewhere().trust_records()[0].problem


def record_path(storage: LocalStorageNode, version: str = "1.0.0") -> Path:
    return storage.root / f"models/m/_journal/trust/{version}/00000001.json"


def test_a_word_signed_for_one_version_is_none_for_another(
    registry: ModelRegistry, save: Any, elsewhere: Other, storage: LocalStorageNode
) -> None:
    save("m")
    save("m")
    registry.trust("m", "1.0.0", actor="ada", reason="x", key="ada")
    copied = json.loads(record_path(storage).read_text())
    del copied["record_sha256"]
    copied["digest"] = registry.verify("m", "1.0.1").digest
    record_path(storage, "1.0.1").parent.mkdir()
    record_path(storage, "1.0.1").write_text(json.dumps(copied))
    with pytest.raises(UntrustedArtifactError):
        elsewhere().load_model("m", "1.0.1")
    assert "is about m@1.0.0" in elsewhere().trust_records()[1].problem


def test_what_stands_beside_a_signed_word_is_not_believed(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode
) -> None:
    save("m")
    registry.trust("m", "1.0.0", actor="ada", reason="checked", key="ada")
    path = record_path(storage)
    record = json.loads(path.read_text())
    del record["record_sha256"]
    path.write_text(json.dumps({**record, "actor": "grace"}))
    assert registry.trust_records()[0].actor == "ada"


@pytest.mark.parametrize("junk", ["[]", "{", '{"number": 1}'])
def test_a_damaged_trust_record_is_told_and_hides_no_other(
    registry: ModelRegistry,
    save: Any,
    storage: LocalStorageNode,
    elsewhere: Other,
    caplog: pytest.LogCaptureFixture,
    junk: str,
) -> None:
    save("m")
    for actor in ("ada", "grace"):
        registry.trust("m", "1.0.0", actor=actor, reason="checked", key="ada")
    record_path(storage).write_text(junk)
    assert elsewhere().load_model("m", "1.0.0") is not None
    assert [each.actor for each in registry.trust_records()] == ["grace"]
    assert "set aside" in caplog.text


def test_a_trust_record_is_no_signature_of_files(
    registry: ModelRegistry, save: Any, elsewhere: Other, storage: LocalStorageNode
) -> None:
    save("m")
    registry.trust("m", "1.0.0", actor="ada", reason="x", key="ada")
    registry.sign("m", "1.0.0", key="ada")
    bundle = json.loads(bundle_of(storage).read_text())
    bundle["dsseEnvelope"] = json.loads(record_path(storage).read_text())["envelope"]
    bundle_of(storage).write_text(json.dumps(bundle))
    with pytest.raises(UntrustedArtifactError, match="statement of the kind"):
        elsewhere("strict").load_model("m")


@pytest.mark.parametrize("blank", [{"actor": " "}, {"reason": ""}])
def test_who_vouches_says_who_and_why(
    registry: ModelRegistry, save: Any, blank: dict[str, str]
) -> None:
    save("m")
    given = {"actor": "ada", "reason": "x", **blank}
    with pytest.raises(InvalidMetadataError, match="is blank; say w"):
        registry.trust("m", "1.0.0", **given)
    assert registry.trust_records() == []


def test_a_version_that_is_trusted_already_gets_no_needless_record(
    registry: ModelRegistry, save: Any
) -> None:
    save("m")
    assert registry.trust("m", "1.0.0", actor="ada", reason="x") is None
    assert registry.trust_records() == []
    signed = registry.trust("m", "1.0.0", actor="ada", reason="x", key="ada")
    assert signed is not None and signed.signers == ("ada",)
    assert registry.trust("m", "1.0.0", actor="ada", reason="x", key="ada") is None
    assert len(registry.trust_records()) == 1


def test_no_word_stands_against_a_recorded_digest(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode, elsewhere: Other
) -> None:
    save("m")
    tracking = MemoryTrackingStore()
    digest = "sha256:" + "1" * 64
    tracking.open_run("m", "1.0.0", digest=digest, params={})
    other = elsewhere(tracking=tracking)
    with pytest.raises(DamagedArtifactError, match="was recorded"):
        other.trust("m", "1.0.0", actor="ada", reason="x")
    assert other.trust_records() == []


def unsealed(registry: ModelRegistry, storage: LocalStorageNode) -> None:
    """As if the process had died after publishing the files of m 1.0.0."""
    (storage.root / "models/m/_journal/seals/1.0.0.json").unlink()


def test_a_word_admits_from_quarantine_where_no_digest_was_recorded(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode, elsewhere: Other
) -> None:
    save("m")
    unsealed(registry, storage)
    other = elsewhere()
    assert "quarantined" in [action.action for action in other.recover()]
    with pytest.raises(VersionNotFoundError):
        other.load_model("m", "1.0.0")
    assert other.trust_all(actor="ada", reason="all of them") == []
    record = other.trust("m", "1.0.0", actor="ada", reason="it is mine")
    assert "recorded no digest" in record.quarantined
    assert other.get_metadata("m", "1.0.0").state == "ready"
    assert other.load_model("m", "1.0.0") is not None
    assert other.recover() == []


def test_a_word_does_not_admit_from_quarantine_where_another_was_recorded(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode, elsewhere: Other
) -> None:
    save("m")
    unsealed(registry, storage)
    tracking = MemoryTrackingStore()
    digest = "sha256:" + "1" * 64
    tracking.open_run("m", "1.0.0", digest=digest, params={})
    other = elsewhere(tracking=tracking)
    other.recover()
    with pytest.raises(UntrustedArtifactError, match="stays in quarantine"):
        other.trust("m", "1.0.0", actor="ada", reason="x")
    assert other.get_metadata("m", "1.0.0").state == "quarantined"


def test_a_version_whose_files_are_restored_leaves_quarantine_by_the_doctor(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode
) -> None:
    save("m")
    unsealed(registry, storage)
    path = storage.root / "models/m/1.0.0/model.joblib"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert [each.action for each in registry.recover()][0] == "quarantined"
    assert registry.get_metadata("m", "1.0.0").problem in registry.check()
    registry.recover()
    assert registry.get_metadata("m", "1.0.0").state == "quarantined"
    path.write_bytes(whole)
    assert "completed" in [each.action for each in registry.recover()]
    assert registry.check() == []
    registry.load_model("m", "1.0.0")


def test_all_that_was_not_saved_here_is_trusted_at_once_and_failures_are_told(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode, elsewhere: Other
) -> None:
    save("m")
    save("m")
    save("n")
    model = storage.root / "models/m/1.0.1/model.joblib"
    model.write_bytes(b"other")
    other = elsewhere()
    done = other.trust_all(actor="ada", reason="moved house", key="ada")
    trusted = [each.name for each in done if isinstance(each, TrustRecord)]
    [failed] = [each for each in done if not isinstance(each, TrustRecord)]
    assert trusted == ["m", "n"]
    assert isinstance(failed, DamagedArtifactError)
    assert [str(version) for _, version in other.untrusted()] == ["1.0.1"]


def test_a_scan_names_what_is_dangerous_and_executes_nothing(
    registry: ModelRegistry, tmp_path: Path
) -> None:
    registry.register_model("m", "t", "pickle")
    registry.save_model("m", "1.0.0", _Runs(tmp_path / "ran"))
    report = registry.scan("m", "1.0.0")
    assert report.dangerous == ("posix.system",)
    assert not (tmp_path / "ran").exists()
    assert registry.load_model("m") == 0
    assert (tmp_path / "ran").exists(), "it would have run"


class _Runs:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def test_a_scan_tells_how_far_it_saw(registry: ModelRegistry, save: Any) -> None:
    save("m")
    [file] = registry.scan("m", "1.0.0").files
    assert (file.path, file.seen, file.dangerous) == ("model.joblib", "in part", ())
    assert LogisticRegression.__name__ in " ".join(file.unknown)


def test_a_damaged_version_is_scanned_all_the_same_and_told_to_be_damaged(
    registry: ModelRegistry, save: Any, storage: LocalStorageNode, tmp_path: Path
) -> None:
    save("m")
    version = storage.root / "models/m/1.0.0"
    (version / "added.pkl").write_bytes(pickle.dumps(_Runs(tmp_path / "ran")))
    packed = zlib.compress(pickle.dumps(_Runs(tmp_path / "ran")))
    (version / "model.joblib").write_bytes(packed)
    report = registry.scan("m", "1.0.0")
    seen = {each.path: each.seen for each in report.files}
    assert seen["added.pkl"] == "whole" and seen["model.joblib"] == "compressed"
    assert "added.pkl" in report.damaged
    assert report.dangerous == ("posix.system",)
    assert not (tmp_path / "ran").exists()
    shutil.rmtree(version)
    with pytest.raises(DamagedArtifactError, match="is missing"):
        registry.scan("m", "1.0.0")


def test_without_the_extra_a_scan_says_what_to_install(
    registry: ModelRegistry, save: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("m")
    modules = sys.modules
    monkeypatch.delitem(modules, "brixa_flows.serializers.scanning", raising=False)
    monkeypatch.setitem(modules, "picklescan.scanner", None)
    with pytest.raises(MissingExtraError, match=r"brixa-flows\[scan\]"):
        registry.scan("m", "1.0.0")
