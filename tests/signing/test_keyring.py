"""Keys: made for their owner alone, trusted by name, and revoked for ever."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from brixa_flows.errors import (
    InvalidNameError,
    MissingExtraError,
    SettingsError,
    SigningKeyError,
)
from brixa_flows.signing import Envelope, KeyRing

SHA = "0" * 64


def envelope() -> Envelope:
    return Envelope.of("x", SHA, "urn:test", {"said": "so"})


def verdicts(keys: KeyRing, signed: Envelope) -> list[tuple[str, str]]:
    return [(each.signer, each.verdict) for each in keys.check(signed)]


def public_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def test_a_new_key_is_its_owners_alone_and_trusted_here(keys: KeyRing) -> None:
    made = keys.new("ada")
    assert keys.folder.stat().st_mode & 0o777 == 0o700
    assert (keys.folder / "ada.pem").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(keys.folder)) == ["ada.pem", "ada.pub"]
    assert keys.keys() == [made]
    assert made.can_sign and made.revoked is None
    signed = envelope().signed_by(keys.signer("ada"))
    assert verdicts(keys, signed) == [("ada", "trusted")]


def test_a_signature_over_other_bytes_is_wrong(keys: KeyRing) -> None:
    keys.new("ada")
    signed = envelope().signed_by(keys.signer("ada"))
    other = Envelope(signed.payload.replace(b"so", b"no"), signed.signatures)
    assert verdicts(keys, other) == [("ada", "wrong")]
    content = signed.to_json()
    content["signatures"][0]["sig"] = "AAAA"
    assert verdicts(keys, Envelope.from_json(content, "here")) == [("ada", "wrong")]


def test_a_key_that_names_itself_like_a_trusted_one_is_found_out(
    keys: KeyRing, tmp_path: Path
) -> None:
    ada = keys.new("ada")
    stranger = KeyRing(tmp_path / "elsewhere")
    stranger.new("ada")
    content = envelope().signed_by(stranger.signer("ada")).to_json()
    content["signatures"][0]["keyid"] = ada.fingerprint
    assert verdicts(keys, Envelope.from_json(content, "here")) == [("ada", "wrong")]


def test_a_colleagues_key_is_unknown_until_it_is_added(
    keys: KeyRing, tmp_path: Path
) -> None:
    colleague = KeyRing(tmp_path / "elsewhere")
    theirs = colleague.new("grace")
    signed = envelope().signed_by(colleague.signer("grace"))
    assert verdicts(keys, signed) == [("", "unknown")]
    added = keys.add(colleague.folder / "grace.pub")
    assert (added.name, added.fingerprint) == ("grace", theirs.fingerprint)
    assert not added.can_sign
    assert verdicts(keys, signed) == [("grace", "trusted")]
    with pytest.raises(SigningKeyError, match="'hopper' is known here already as 'gr"):
        keys.add(colleague.folder / "grace.pub", "hopper")


def test_several_keys_sign_one_statement_and_each_once(keys: KeyRing) -> None:
    keys.new("ada")
    keys.new("grace")
    signed = envelope().signed_by(keys.signer("ada")).signed_by(keys.signer("grace"))
    again = signed.signed_by(keys.signer("ada"))
    assert sorted(verdicts(keys, again)) == [("ada", "trusted"), ("grace", "trusted")]


def test_a_revoked_key_is_never_believed_again(keys: KeyRing) -> None:
    made = keys.new("ada")
    signed = envelope().signed_by(keys.signer("ada"))
    keys.revoke("ada", reason="laptop lost", actor="grace")
    assert verdicts(keys, signed) == [("ada", "revoked")]
    [listed] = keys.keys()
    assert listed.revoked is not None and "laptop lost (grace" in listed.revoked
    with pytest.raises(SigningKeyError, match="'ada' is revoked"):
        keys.signer("ada")
    twice = keys.revoke(made.fingerprint, reason="another", actor="x")
    assert twice.revoked == listed.revoked, "the first reason stands"
    public = keys.folder / "ada.pub"
    public.rename(keys.folder.parent / "ada.pub")
    assert verdicts(keys, signed) == [("", "revoked")], "also without its public part"
    with pytest.raises(SigningKeyError, match="was revoked here, which is for ever"):
        keys.add(keys.folder.parent / "ada.pub", "ada-again")


def test_a_key_that_was_never_here_can_be_revoked_by_its_fingerprint(
    keys: KeyRing, tmp_path: Path
) -> None:
    other = KeyRing(tmp_path / "elsewhere")
    fingerprint = other.new("eve").fingerprint
    keys.revoke(fingerprint, reason="stolen", actor="ada")
    with pytest.raises(SigningKeyError, match="was revoked"):
        keys.add(other.folder / "eve.pub")
    assert [key.fingerprint for key in keys.keys()] == [fingerprint]


def test_a_damaged_revocation_still_revokes(keys: KeyRing) -> None:
    made = keys.new("ada")
    keys.revoke("ada", reason="x", actor="y")
    (keys.folder / "revoked" / f"{made.fingerprint}.json").write_text("{")
    with pytest.raises(SigningKeyError, match="revoked"):
        keys.signer("ada")


def test_an_encrypted_key_asks_for_its_passphrase(keys: KeyRing) -> None:
    keys.new("ada", "correct horse")
    assert b"ENCRYPTED" in (keys.folder / "ada.pem").read_bytes()
    with pytest.raises(SigningKeyError, match="is encrypted.*--passphrase-env"):
        keys.signer("ada")
    with pytest.raises(SigningKeyError, match="can't be decrypted"):
        keys.signer("ada", "wrong")
    signed = envelope().signed_by(keys.signer("ada", "correct horse"))
    assert verdicts(keys, signed) == [("ada", "trusted")]


def test_a_taken_name_keeps_its_key(keys: KeyRing) -> None:
    keys.new("ada")
    before = (keys.folder / "ada.pem").read_bytes()
    with pytest.raises(SigningKeyError, match="'ada' is there already"):
        keys.new("ada")
    assert (keys.folder / "ada.pem").read_bytes() == before


@pytest.mark.parametrize("name", ["", "../ada", "a/b", "/etc/x", ".ada", "a b", "a\n"])
def test_a_name_that_is_a_path_is_refused(keys: KeyRing, name: str) -> None:
    for call in (keys.new, keys.signer):
        with pytest.raises(InvalidNameError, match="can't be the name of a key"):
            call(name)
    assert not keys.folder.exists()


def _other_curve() -> bytes:
    return public_pem(ec.generate_private_key(ec.SECP384R1()))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (_other_curve, "on the curve secp384r1, and P-256"),
        (lambda: public_pem(ed25519.Ed25519PrivateKey.generate()), "no elliptic curve"),
        (lambda: b"not a key", "is no public key as PEM"),
        (lambda: b"", "is no public key as PEM"),
        (lambda: b"-----BEGIN PRIVATE KEY-----\nAA", "is a private one"),
    ],
)
def test_what_is_no_public_key_on_p256_is_not_added(
    keys: KeyRing, tmp_path: Path, content: Callable[[], bytes], words: str
) -> None:
    file = tmp_path / "given.pub"
    file.write_bytes(content())
    with pytest.raises(SigningKeyError, match=words):
        keys.add(file)
    assert keys.keys() == []
    with pytest.raises(SigningKeyError, match="can't be read"):
        keys.add(tmp_path / "absent.pub")


def test_a_private_key_on_another_curve_does_not_sign(keys: KeyRing) -> None:
    keys.new("ada")
    private = ec.generate_private_key(ec.SECP521R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (keys.folder / "ada.pem").write_bytes(private)
    with pytest.raises(SigningKeyError, match="secp521r1"):
        keys.signer("ada")
    (keys.folder / "ada.pem").write_bytes(b"garbage")
    with pytest.raises(SigningKeyError, match="is no private key as PEM"):
        keys.signer("ada")


def test_a_private_key_that_others_can_read_does_not_sign(keys: KeyRing) -> None:
    keys.new("ada")
    (keys.folder / "ada.pem").chmod(0o640)
    with pytest.raises(SigningKeyError, match="open to others.*chmod 600"):
        keys.signer("ada")


def test_a_directory_or_key_that_others_can_write_is_not_believed(
    keys: KeyRing,
) -> None:
    keys.new("ada")
    (keys.folder / "ada.pub").chmod(0o666)
    with pytest.raises(SigningKeyError, match="chmod 644"):
        keys.keys()
    (keys.folder / "ada.pub").chmod(0o644)
    keys.folder.chmod(0o777)
    with pytest.raises(SettingsError, match="BRXA_KEYS_PATH.*written by others"):
        keys.keys()
    keys.folder.chmod(0o1777)
    assert len(keys.keys()) == 1, "a sticky folder keeps others off our files"


def test_a_linked_key_directory_is_refused(keys: KeyRing, tmp_path: Path) -> None:
    keys.new("ada")
    link = tmp_path / "link"
    link.symlink_to(keys.folder)
    for call in (lambda ring: ring.keys(), lambda ring: ring.new("eve")):
        with pytest.raises(SettingsError, match="BRXA_KEYS_PATH.*is a link"):
            call(KeyRing(link))
    assert not (keys.folder / "eve.pem").exists()


def test_a_link_is_followed_inside_of_the_directory_alone(
    keys: KeyRing, tmp_path: Path
) -> None:
    keys.new("ada")
    inside = keys.folder / "..data"
    inside.mkdir()
    (keys.folder / "ada.pub").rename(inside / "ada.pub")
    (keys.folder / "ada.pub").symlink_to("..data/ada.pub")
    assert [key.name for key in keys.keys()] == ["ada"]
    stranger = KeyRing(tmp_path / "elsewhere")
    stranger.new("eve")
    (keys.folder / "eve.pub").symlink_to(stranger.folder / "eve.pub")
    with pytest.raises(SigningKeyError, match="link out of the key directory"):
        keys.keys()


def test_a_key_directory_that_is_a_file_or_absent_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="is no folder"):
        KeyRing(tmp_path / "file").new("ada")
    with pytest.raises(SettingsError, match="Not a directory"):
        KeyRing(tmp_path / "file" / "keys").new("ada")
    absent = KeyRing(tmp_path / "absent")
    assert absent.keys() == []
    with pytest.raises(SigningKeyError, match="which has: none; make it with: brixa"):
        absent.signer("ada")
    with pytest.raises(SigningKeyError, match="or a fingerprint of 64"):
        absent.revoke("ada", reason="x", actor="y")
    assert not absent.folder.exists()


def test_a_failure_half_way_leaves_no_key(
    keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def full(source: str, target: Path) -> None:
        if str(target).endswith(".pub"):
            raise OSError(28, "No space left on device")
        link(source, target)

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(SigningKeyError, match="No space left"):
        keys.new("ada")
    assert os.listdir(keys.folder) == []


def test_without_the_extra_the_command_to_install_it_is_told(
    keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "brixa_flows.signing.ecdsa", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'brixa-flows\[sign\]'"):
        keys.new("ada")
    assert not keys.folder.exists()


def test_importing_the_room_imports_no_cryptography() -> None:
    code = "import sys, brixa_flows.signing; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
