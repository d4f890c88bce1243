"""What a damaged record of the registry means for people, and what they can do."""

from __future__ import annotations

import logging

from brixa_flows.errors import DamagedArtifactError, StorageError, UnsafeKeyError
from brixa_flows.recent import Recent
from brixa_flows.registry.facts.numbered_records import KINDS

__all__ = [
    "LINK",
    "NO_FOLDER",
    "damaged_folder",
    "damaged_record",
    "kind_of",
    "warn_once",
]

LINK = "is, or lies behind, a symbolic link, which is never followed"
NO_FOLDER = "is a {}, where a folder belongs"
_LOG = logging.getLogger(__name__)
_WARNED: Recent[tuple[str, str], bool] = Recent(10_000)
_RESTORE = "Restore the file from a backup"
_META = "meta"
_SIG = "sig"
_JOURNAL = "_journal"
_MEANING = {
    "claims": "it says what was registered under this number, so the version is "
    f"quarantined: nothing loads, saves or changes it. {_RESTORE}, or give the number "
    "up: brixa model delete NAME@VERSION --reason WHY",
    "seals": "it says which files were saved, so the version is quarantined and does "
    f"not load. {_RESTORE}, or remove it and run brixa doctor --fix, which writes it "
    "anew if the files are those that MLflow recorded",
    _META: "the version is quarantined and does not load, as it has no sure metadata. "
    f"{_RESTORE}, or remove it and run brixa doctor --fix, which writes it anew",
    _SIG: f"what it signs counts as not signed. {_RESTORE}, or remove it and sign the "
    "version again",
    "saves": "nobody can save the version. Remove it",
    "quarantine": "it says why the version is quarantined, which it stays. "
    f"{_RESTORE}, or remove it and run brixa doctor --fix, which judges the version's "
    "files anew",
    "changes": "it moved a stage or an own alias, so nobody knows who has those that no "
    f"later record names. {_RESTORE}, or say it again: brixa model transition "
    "NAME@VERSION STAGE --reason WHY, for an own alias registry.set_alias",
    "evaluations": "the other evaluations are told without it. "
    f"{_RESTORE}, or remove it",
    "drift": f"the other drift reports are told without it. {_RESTORE}, or remove it",
    "performance": "the other performance reports are told without it. "
    f"{_RESTORE}, or remove it",
    "estimators": "an older estimator judges the version's performance, if it has one. "
    f"{_RESTORE}, or learn anew with brixa performance learn NAME@VERSION ROWS",
    "measurements": "the metrics that it holds of a dataset are told without that data. "
    f"{_RESTORE}, or remove it",
    "projected.json": "nobody knows up to which change MLflow was shown the stages and "
    "aliases. brixa doctor --fix shows them again and writes it anew",
    "trust": f"what it says for the version does not count. {_RESTORE}, or remove it and "
    "vouch again with brixa trust NAME@VERSION --actor YOU --reason WHY",
    "adoptions": "it says which version a logged model became, so that one is not "
    f"adopted again. {_RESTORE}, or remove it and adopt the model again",
}
_RESTORE_FOLDER = "Put the folder itself there, with what was in it (what a link leads to, or a backup)"
_UNKNOWN = (
    "without it nobody knows what is right of the model, so nothing of it is looked up, "
    f"loaded or changed. {_RESTORE_FOLDER}"
)
_FOLDER_MEANING = {
    "saves": "nobody can save a version of the model. Remove it",
    "adoptions": "no logged model becomes a version of the model once. "
    f"{_RESTORE_FOLDER}, or remove it",
}
_OF_RECORDS = (
    "what is in it of the model's versions is told without it, none is added, and no "
    f"number is given. {_RESTORE_FOLDER}, or remove it"
)


def kind_of(key: str) -> str:
    """Which kind of entry of a journal is at a key (``claims``, ``drift`` ...)."""
    return key.rpartition(f"/{_JOURNAL}/")[2].partition("/")[0]


def damaged_record(key: str, reason: str, remedy: str = "") -> DamagedArtifactError:
    """The error of a record that is not what was written.

    Args:
        key: Of a file of the journal, or of ``{version}_meta.json`` or ``_sig.json``.
        reason: What is wrong with it.
        remedy: What it means and what to do, if its kind does not tell.
    """
    above, _, file = key.rpartition("/")
    before, found, inner = key.rpartition(f"/{_JOURNAL}/")
    if found and "/" not in inner:  # right in the journal, of the whole model
        name = before.rpartition("/")[2]
        return DamagedArtifactError(name, key, reason, remedy or _MEANING.get(file, ""))
    before, _, kind = above.rpartition(f"/{_JOURNAL}/")
    if before:
        kind, _, numbered = kind.partition("/")
        name = before.rpartition("/")[2]
        version = numbered or file.removesuffix(".json")
    else:
        name = above.rpartition("/")[2]
        version, _, kind = file.removesuffix(".json").rpartition("_")
    remedy = remedy or _MEANING.get(kind, "")
    if kind in ("changes", "adoptions"):
        return DamagedArtifactError(name, key, reason, remedy)
    remedy = remedy.replace("NAME@VERSION", f"{name}@{version}")
    return DamagedArtifactError(f"{name} {version}", key, reason, remedy)


def damaged_folder(key: str, reason: str) -> DamagedArtifactError:
    """The error of a folder of records that can't be listed.

    Args:
        key: Of the folder: a model's, its journal, or one in it.
        reason: What is wrong with it.
    """
    before, found, inner = f"{key}/".partition(f"/{_JOURNAL}/")
    kind = inner.partition("/")[0]
    meaning = _FOLDER_MEANING.get(kind, _OF_RECORDS if kind in KINDS else _UNKNOWN)
    name = before.rstrip("/").rpartition("/")[2]
    return DamagedArtifactError(name, key, reason, meaning, kind="folder")


def why_unreadable(err: StorageError) -> str | None:
    """What keeps a file or folder from being read for good; ``None`` if nothing does.

    A storage that is out of reach, say, damages nothing.
    """
    if isinstance(err, UnsafeKeyError):
        return LINK
    refused = err.facts.get("errno_name") in ("EACCES", "EPERM")
    return "can't be read by this user" if refused else None


def warn_once(place: str, said: str) -> None:
    """Warn in the log, once in this process: every call meets the same damage again.

    Args:
        place: Address of the storage.
        said: The sentence.
    """
    if _WARNED.get((place, said)) is None:
        _WARNED.put((place, said), True)
        _LOG.warning(said)
