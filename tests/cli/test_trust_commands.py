"""``brixa key``, ``brixa trust`` and ``brixa model sign|verify|scan``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from brixa_flows.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty key directory, and none of the files that other tests sign."""
    monkeypatch.setenv("BRXA_KEYS_PATH", str(tmp_path / "keys"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "keys"


@pytest.fixture(autouse=True)
def unsigned(storage: Path) -> None:
    """The version is as it was saved."""
    (storage / "models/delays/1.0.0_sig.json").unlink(missing_ok=True)
    shutil.rmtree(storage / "models/delays/_journal/trust", ignore_errors=True)


@pytest.fixture
def stranger(
    storage: Path, mlflow_template_db: Path, tmp_path: Path
) -> tuple[str, str]:
    """Options of a registry whose tracking backend knows nothing of the versions."""
    shutil.copy(mlflow_template_db, tmp_path / "other.db")
    return "--tracking-uri", f"sqlite:///{tmp_path / 'other.db'}"


def test_a_version_is_signed_and_verified_by_name(
    run: Run, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, err = run("key", "new", "ada")
    assert (code, out) == (0, f"{keys}/ada.pub\n")
    assert "brixa key add ada.pub" in err
    assert run("model", "verify", "delays@1.0.0", "--signed")[0] == 1
    monkeypatch.setenv("BRXA_TRUST_POLICY", "strict")
    code, out, _ = run("model", "verify", "delays")
    assert code == 1
    assert "nobody signed it" in out
    assert "does not load under BRXA_TRUST_POLICY=strict" in out
    code, out, _ = run("model", "sign", "delays@1.0.0", "--key", "ada")
    assert code == 0
    assert "signed by ada\n  loads under BRXA_TRUST_POLICY=strict" in out
    code, out, _ = run("model", "verify", "delays@1.0.0", "--signed", "--json")
    assert code == 0
    assert json.loads(out)["signers"] == ["ada"]


def test_a_revoked_signer_fails_the_check(run: Run) -> None:
    run("key", "new", "ada")
    run("model", "sign", "delays@1.0.0", "--key", "ada")
    code, out, _ = run("key", "revoke", "ada", "--reason", "lost", "--actor", "grace")
    assert (code, out[:23]) == (0, "revoked ada: lost (grac")
    code, out, _ = run("key", "list", "--json")
    [listed] = json.loads(out)
    assert listed["name"] == "ada" and "lost" in listed["revoked"]
    assert "revoked: lost" in run("key", "list")[1]
    code, out, _ = run("model", "verify", "delays@1.0.0")
    assert code == 1
    assert "signed by ada, whose key is revoked" in out


@pytest.mark.parametrize("blank", [("--reason", " "), ("--reason", "x", "--actor", "")])
def test_a_key_is_not_revoked_without_a_reason(
    run: Run, blank: tuple[str, ...], keys: Path
) -> None:
    run("key", "new", "ada")
    code, out, err = run("key", "revoke", "ada", *blank)
    assert (code, out) == (1, "")
    assert "is blank; say w" in err
    assert "the key 'ada'" in err
    assert not (keys / "revoked").exists()


def test_an_encrypted_key_takes_its_passphrase_from_a_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = ("model", "sign", "delays@1.0.0", "--key", "ada")
    code, _, err = run("key", "new", "ada", "--passphrase-env", "WORDS")
    assert code == 1 and "WORDS is not set" in err
    monkeypatch.setenv("WORDS", "correct horse")
    assert run("key", "new", "ada", "--passphrase-env", "WORDS")[0] == 0
    code, _, err = run(*sign)
    assert code == 1 and "name the variable that holds its passphrase" in err
    assert run(*sign, "--passphrase-env", "WORDS")[0] == 0


def test_a_colleagues_key_is_added(run: Run, keys: Path, tmp_path: Path) -> None:
    run("key", "new", "grace")
    (keys / "grace.pub").rename(tmp_path / "grace.pub")
    (keys / "grace.pem").unlink()
    code, out, _ = run("key", "add", "grace.pub")
    assert code == 0 and out.startswith("signatures of grace (")
    code, _, err = run("key", "add", "grace.pub", "--name", "hopper")
    assert code == 1 and "known here already as 'grace'" in err


def test_a_scan_prints_what_it_found_and_that_it_proves_nothing(run: Run) -> None:
    code, out, err = run("model", "scan", "delays@1.0.0")
    assert code == 0
    assert "model.joblib" in out
    assert "which proves nothing" in err
    code, out, _ = run("model", "scan", "delays", "--json")
    assert json.loads(out)["dangerous"] == []


def test_a_scan_of_a_damaged_version_says_so_and_fails(run: Run, storage: Path) -> None:
    added = storage / "models/delays/1.0.0/added"
    added.write_text("no pickle")
    try:
        code, out, err = run("model", "scan", "delays@1.0.0")
    finally:
        added.unlink()
    assert code == 1 and "model.joblib" in out
    assert "models/delays/1.0.0: the file 'added' was not saved with it" in err


def test_where_there_is_nothing_to_list_it_is_said_what_makes_some(
    run: Run, keys: Path
) -> None:
    code, out, err = run("key", "list")
    assert (code, out) == (0, "") and f"no keys in {keys}; make one with: brixa" in err
    assert run("key", "list", "--json")[1].strip() == "[]"
    code, out, err = run("trust", "list")
    assert (code, out) == (0, "") and "nobody has vouched" in err


def test_a_word_is_given_listed_and_kept(run: Run, stranger: tuple[str, str]) -> None:
    assert run(*stranger, "model", "verify", "delays@1.0.0")[0] == 1
    code, out, _ = run(*stranger, "trust", "list", "--json")
    assert json.loads(out)["untrusted"] == [{"name": "delays", "version": "1.0.0"}]
    assert "nobody yet" in run(*stranger, "trust", "list")[1]
    run("key", "new", "ada")
    by = ("--actor", "ada", "--reason", "moved", "--key", "ada")
    code, out, err = run(*stranger, "trust", "delays@1.0.0", *by)
    assert code == 0
    assert out == "delays 1.0.0 is trusted on the word of ada, signed by ada\n"
    assert "1 trusted, 0 refused" in err
    assert run(*stranger, "model", "verify", "delays@1.0.0")[0] == 0
    code, out, _ = run(*stranger, "trust", "list")
    assert "moved" in out and "nobody yet" not in out
    assert run(*stranger, "trust", "--all", *by)[2] == "0 trusted, 0 refused\n"


def test_all_that_was_not_saved_here_is_trusted_at_once(
    run: Run, stranger: tuple[str, str]
) -> None:
    by = ("--actor", "ada", "--reason", "moved")
    code, out, _ = run(*stranger, "trust", "--all", *by, "--json")
    assert code == 0
    assert [each["version"] for each in json.loads(out)] == ["1.0.0"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("trust",), 2, "name NAME@VERSION, or --all, or list"),
        (("trust", "list", "--all"), 2, "name NAME@VERSION, or --all, or list"),
        (("trust", "delays@1.0.0"), 2, "say who vouches and why"),
        (("trust", "delays", "--actor", "a", "--reason", "b"), 2, "exact version"),
        (("trust", "delays@^1", "--actor", "a", "--reason", "b"), 1, "not a semantic"),
        (("trust", "delays@1.0.0", "--actor", "", "--reason", "b"), 1, "is blank"),
        (("model", "sign", "delays@1.0.0", "--key", "eve"), 1, "'eve' is not in"),
        (("model", "sign", "delays@1.0.0", "--key", "../x"), 1, "the name of a key"),
        (("key", "new", "a/b"), 1, "can't be the name of a key"),
        (("key", "add", "absent.pub"), 1, "can't be read"),
        (("key", "revoke", "eve", "--reason", "x"), 1, "64 hexadecimal digits"),
        (("model", "scan", "delays@9.0.0"), 1, "answers to '9.0.0'"),
    ],
)
def test_what_can_not_be_done_is_one_sentence(
    run: Run, keys: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    ended, out, err = run(*arguments)
    assert (ended, out) == (code, "")
    assert words in err
    assert not keys.exists()


def test_making_a_key_touches_no_storage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit):
        main(["key", "new", "ada"])
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]
    monkeypatch.setenv("BRXA_STORAGE_PATH", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["key", "new", "eve"])
    assert ended.value.code == 1
    assert "lies in the storage" in capsys.readouterr().err
