"""The files of a key directory: written whole, read only if nobody else can write them.

Who can write a public key into the directory decides whom this machine trusts, so its
files are held to the rules that ssh has for its own.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from brixa_flows.errors import SettingsError, SigningKeyError

__all__ = ["check_folder", "make_folder", "read_file", "write_new"]

_BYTES_AT_MOST = 64 * 1024
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_SETTING = "BRXA_KEYS_PATH"


def check_folder(folder: Path) -> bool:
    """Whether the directory is there.

    Raises:
        SettingsError: If it is a link or no directory, or others can write there.
    """
    try:
        facts = folder.lstat()
    except FileNotFoundError:
        return False
    except OSError as err:
        raise _refused(folder, f"can't be read ({err.strerror})") from err
    if stat.S_ISLNK(facts.st_mode):
        raise _refused(folder, "is a link, which others may turn; name the folder")
    if not stat.S_ISDIR(facts.st_mode):
        raise _refused(folder, "is no folder; name one")
    sticky = facts.st_mode & stat.S_ISVTX  # there, others can't touch our files
    if not _is_ours(facts) or (facts.st_mode & _WRITABLE_BY_OTHERS and not sticky):
        raise _refused(
            folder, "can be written by others, who could add keys; chmod 700 it"
        )
    return True


def make_folder(folder: Path) -> None:
    """Make the directory, for this user alone, where it is not there.

    Raises:
        SettingsError: If it can't be made, or as :func:`check_folder`.
    """
    if check_folder(folder):
        return
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as err:
        raise _refused(folder, f"can't be made ({err.strerror})") from err


def read_file(path: Path, *, secret: bool = False) -> bytes | None:
    """Content of a file in the directory, ``None`` if it is not there.

    A link is followed as long as it stays in the directory (so are the secrets that
    Kubernetes mounts).

    Args:
        path: The file.
        secret: Refuse it also where others can read it.

    Raises:
        SigningKeyError: If it can't be read, or others can write (or read) it.
    """
    try:
        if not path.resolve().is_relative_to(path.parent.resolve()):
            raise SigningKeyError(path.name, "is a link out of the key directory")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as err:
        reason = f"can't be read ({err.strerror}: {path})"
        raise SigningKeyError(path.name, reason) from err
    with open(descriptor, "rb") as file:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _BYTES_AT_MOST:
            raise SigningKeyError(path.name, f"is no key file ({path})")
        forbidden = _OPEN_TO_OTHERS if secret else _WRITABLE_BY_OTHERS
        if not _is_ours(facts) or facts.st_mode & forbidden:
            mode = "600" if secret else "644"
            raise SigningKeyError(
                path.name, f"is open to others; make it yours and chmod {mode} {path}"
            )
        return file.read()


def write_new(path: Path, data: bytes, mode: int) -> None:
    """Write a file that is not there yet, whole or not at all.

    Raises:
        FileExistsError: If it is there; it is unchanged.
        SigningKeyError: If it can't be written.
    """
    try:
        descriptor, part = tempfile.mkstemp(prefix=".part-", dir=path.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fchmod(descriptor, mode)
                os.fsync(descriptor)
            os.link(part, path)
        finally:
            os.unlink(part)
    except FileExistsError:
        raise
    except OSError as err:
        reason = f"can't be written ({err.strerror}: {path})"
        raise SigningKeyError(path.name, reason) from err


def _is_ours(facts: os.stat_result) -> bool:
    return facts.st_uid in (0, os.geteuid())


def _refused(folder: Path, reason: str) -> SettingsError:
    return SettingsError(_SETTING, f"= {str(folder)!r} {reason}")
