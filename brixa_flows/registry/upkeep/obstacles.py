"""What lies where the registry keeps a file and is none: folders, links, devices."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from brixa_flows.errors import DamagedArtifactError
from brixa_flows.registry.facts.damage import damaged_record
from brixa_flows.registry.facts.numbered_records import KINDS
from brixa_flows.registry.facts.standing import Standing
from brixa_flows.registry.journal.layout import Layout
from brixa_flows.registry.journal.listings import FOLDER, SYMBOLIC_LINK
from brixa_flows.registry.reading.backends import Backends

__all__ = ["in_the_way", "strays", "told"]

_RECORD = ".json"
_OF_THE_DISK = "lost+found"
"""A file system makes it in its root, which may be the folder of the models."""
_OF_VERSIONS = ("_meta.json", "_sig.json")


def in_the_way(backends: Backends, standing: Standing | None) -> dict[str, str]:
    """What has the key of a record and is no file: ``folder``, ``symbolic link`` ...

    Args:
        backends: The places.
        standing: Of the model, whose deleted versions need no records; ``None`` looks
            where what belongs to no model is.
    """
    layout = backends.layout
    if standing is None:
        return dict(_below(backends, layout.meta_prefix, _RECORD))
    name = standing.name
    found = _of_model(backends, name)
    for version in standing.lifecycle.deleted:
        for kind in ("claims", "seals", "quarantine", "saves"):
            found.pop(layout.entry_key(name, kind, version), None)
        found.pop(layout.metadata_key(name, version), None)
    return found


def _of_model(backends: Backends, name: str) -> dict[str, str]:
    layout, journal = backends.layout, backends.layout.journal_prefix(name)
    found = dict(_below(backends, layout.model_prefix(name), *_OF_VERSIONS))
    found |= _below(backends, journal, _RECORD)
    for kind, what in _others(backends, journal).items():
        prefix = f"{journal}/{kind}"
        if what != FOLDER or kind.endswith(_RECORD):
            continue
        found |= _below(backends, prefix, _RECORD)
        for version in _others(backends, prefix) if kind in KINDS else ():
            if not version.endswith(_RECORD):
                found |= _below(backends, f"{prefix}/{version}", _RECORD)
    return found


def strays(backends: Backends) -> list[str]:
    """A sentence for what lies between the models and is none of them.

    A link with the name of a model is told as that model.
    """
    layout, listings = backends.layout, backends.journal.listings
    found = dict.fromkeys(listings.names(layout.root), "file")
    found |= dict.fromkeys(listings.folders(layout.root), FOLDER)
    found |= listings.others(layout.root)
    ours = {layout.meta_prefix, layout.deployments_prefix}
    sentences = [
        _stray(layout, name, what, ours) for name, what in sorted(found.items())
    ]
    sentences += [
        f"{layout.root!r} holds {name!r}, a name that nothing of the registry can have, so "
        "it is not looked at: move it elsewhere, or give it back the name that it had"
        for name in listings.no_keys(layout.root)
    ]
    return [sentence for sentence in sentences if sentence]


def _stray(layout: Layout, name: str, what: str, ours: Container[str]) -> str:
    key = f"{layout.root}/{name}"
    named = layout.is_model_directory(name)
    if key not in ours and (name.startswith((".", "_")) or what == FOLDER and named):
        return ""
    if name == _OF_THE_DISK and what == FOLDER:
        return ""
    if what == FOLDER:
        return (
            ""
            if key in ours
            else f"{key!r} is a folder whose name no model can have, so nothing in it is "
            "looked at: move it elsewhere, or give it back the name that it had"
        )
    if named and what == SYMBOLIC_LINK:
        return ""
    return (
        f"{key} is a {what}, where a folder belongs: put the folder itself there (what a "
        "link leads to, or a backup), or move it elsewhere if it is nothing of yours"
    )


def told(key: str, what: str) -> str:
    """The sentence about something that is in the way, with what helps."""
    if key.rpartition("/")[2] in ("projected.json", "_registry.json"):
        return (
            f"a {what} is in the way of the file {key}: move it elsewhere and run brixa "
            "doctor --fix, which writes the file anew"
        )
    return str(damaged_record(key, f"is a {what}, so it can't be read or written"))


def _below(
    backends: Backends, prefix: str, *suffixes: str
) -> Iterator[tuple[str, str]]:
    for other, what in _others(backends, prefix).items():
        if other.endswith(suffixes):
            yield f"{prefix}/{other}", what


def _others(backends: Backends, prefix: str) -> Mapping[str, str]:
    """What is right below and no file; a file system has more of it than other nodes."""
    try:
        return backends.journal.listings.others(prefix)
    except DamagedArtifactError:  # told with the damaged records, or instead of all
        return {}
