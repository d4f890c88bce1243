"""Bundles that ``model-signing`` writes and reads, and what is none."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from model_signing import signing as theirs
from model_signing import verifying

from brixa_flows.errors import SignatureError
from brixa_flows.signing import KeyRing, SignatureBundle


def digests(folder: Path) -> dict[str, str]:
    """sha256 by path of every file below ``folder``."""
    return {
        path.relative_to(folder)
        .as_posix(): hashlib.sha256(path.read_bytes())
        .hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def made(keys: KeyRing, version: Path, *names: str) -> SignatureBundle:
    bundle = SignatureBundle.of_files("m@1.0.0", digests(version), ("note",))
    for name in names:
        bundle = bundle.signed_by(keys.signer(name))
    return bundle


def verify_theirs(keys: KeyRing, name: str, version: Path, bundle: Path) -> None:
    public = keys.folder / f"{name}.pub"
    config = verifying.Config().use_elliptic_key_verifier(public_key=public)
    config.verify(version, bundle)


def test_model_signing_verifies_our_bundle(keys: KeyRing, version: Path) -> None:
    keys.new("ada")
    keys.new("grace")
    file = version.parent / "1.0.0_sig.json"
    file.write_bytes(made(keys, version, "ada", "grace").to_bytes())
    verify_theirs(keys, "ada", version, file)
    (version / "note").write_text("left by somebody")
    verify_theirs(keys, "ada", version, file)
    (version / "model.txt").write_text("other")
    with pytest.raises(ValueError, match="Signature mismatch.*model.txt"):
        verify_theirs(keys, "ada", version, file)


def test_we_verify_a_bundle_of_model_signing_and_add_to_it(
    keys: KeyRing, version: Path
) -> None:
    keys.new("ada")
    keys.new("grace")
    file = version.parent / "model.sig"
    private = keys.folder / "ada.pem"
    theirs.Config().use_elliptic_key_signer(private_key=private).sign(version, file)
    bundle = SignatureBundle.from_bytes(file.read_bytes(), "model.sig")
    assert bundle.files() == digests(version)
    [check] = keys.check(bundle.envelope)
    assert (check.signer, check.verdict) == ("ada", "trusted")
    file.write_bytes(bundle.signed_by(keys.signer("grace")).to_bytes())
    verify_theirs(keys, "ada", version, file)
    again = SignatureBundle.from_bytes(file.read_bytes(), "model.sig")
    assert [each.signer for each in keys.check(again.envelope)] == ["ada", "grace"]


def content(keys: KeyRing, version: Path) -> dict[str, Any]:
    keys.new("ada")
    read: dict[str, Any] = json.loads(made(keys, version, "ada").to_bytes())
    return read


def parsed(changed: Any) -> SignatureBundle:
    return SignatureBundle.from_bytes(json.dumps(changed).encode(), "m/1_sig.json")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, b'"text"'],
)
def test_what_is_no_bundle_is_one_sentence(data: bytes) -> None:
    with pytest.raises(SignatureError, match="m/1_sig.json is no Sigstore bundle"):
        SignatureBundle.from_bytes(data, "m/1_sig.json")


def test_a_cut_bundle_is_none(keys: KeyRing, version: Path) -> None:
    keys.new("ada")
    data = made(keys, version, "ada").to_bytes()
    for length in range(0, len(data) - 2, 97):
        with pytest.raises(SignatureError):
            SignatureBundle.from_bytes(data[:length], "m")


def test_a_huge_bundle_is_not_parsed() -> None:
    with pytest.raises(SignatureError, match="has 104857600 bytes"):
        SignatureBundle.from_bytes(b" " * 100 * 2**20, "m")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("mediaType",), "text/plain", "is 'text/plain'"),
        (("verificationMaterial",), 3, "no Sigstore bundle"),
        (("dsseEnvelope",), [], "no signed statement"),
        (("dsseEnvelope", "payloadType"), "x", "holds 'x'"),
        (("dsseEnvelope", "payload"), "%%%", "no signed statement"),
        (("dsseEnvelope", "payload"), "ä", "no signed statement"),
        (("dsseEnvelope", "signatures"), [], "no signature, or more than 64"),
        (("dsseEnvelope", "signatures"), [{"sig": ""}] * 65, "more than 64"),
        (("dsseEnvelope", "signatures"), [{"sig": 5}], "no signed statement"),
        (("dsseEnvelope", "signatures"), {"a": 1}, "no signed statement"),
    ],
)
def test_a_bundle_with_a_wrong_part_is_refused(
    keys: KeyRing, version: Path, path: tuple[str, ...], value: Any, words: str
) -> None:
    changed = content(keys, version)
    part = changed
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    with pytest.raises(SignatureError, match=words):
        parsed(changed)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("_type",), "https://in-toto.io/Statement/v0", "statement is of type"),
        (("predicateType",), "urn:brixa-flows:trust:v1", "statement of the kind"),
        (("subject",), [], "can't be used"),
        (("predicate",), [], "statement is incomplete"),
        (("predicate", "serialization", "method"), "shards", "hashes 'shards'"),
        (("predicate", "serialization", "hash_type"), "blake3", "by 'blake3'"),
        (("predicate", "resources", 0, "algorithm"), "md5", "is no sha256"),
        (("predicate", "resources", 0, "digest"), "00", "is no sha256"),
        (("predicate", "resources", 0, "digest"), 7, "statement is incomplete"),
        (("predicate", "resources", 0, "digest"), "0" * 64, "contradicts itself"),
        (("predicate", "resources", 1, "name"), "MLmodel", "contradicts itself"),
        (("predicate", "resources"), 5, "statement is incomplete"),
    ],
)
def test_a_statement_of_another_kind_is_refused(
    keys: KeyRing, version: Path, path: tuple[Any, ...], value: Any, words: str
) -> None:
    changed = content(keys, version)
    envelope = changed["dsseEnvelope"]
    statement = json.loads(base64.b64decode(envelope["payload"]))
    part = statement
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    with pytest.raises(SignatureError, match=words):
        parsed(changed).files()
