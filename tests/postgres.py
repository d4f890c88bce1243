"""A private PostgreSQL cluster, for tests that need a real one."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.requirements_present import require

__all__ = ["free_port", "private_cluster"]


def free_port() -> int:
    """A TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def private_cluster(folder: Path) -> Iterator[str]:
    """URI of an empty database; the server ends with the context.

    Skips by name where PostgreSQL is absent. As root it runs as ``postgres`` or
    ``nobody``, because PostgreSQL refuses root.

    Args:
        folder: Where its data goes; it must not exist.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = programs[-1] if programs else None
    if found is None and (on_path := shutil.which("pg_ctl")):
        found = Path(on_path).parent
    require("PostgreSQL (initdb, pg_ctl)", found is not None)
    assert found is not None
    user = _unprivileged()
    as_user: dict[str, object] = {}
    folder.mkdir(mode=0o755)
    if user is not None:
        _let_in(folder, user)
        as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    port, data = free_port(), folder / "data"
    _run([found / "initdb", "-D", data, "-A", "trust", "-U", "brixa", "-N"], as_user)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k '' -c fsync=off"
    control = [found / "pg_ctl", "-D", data, "-w"]
    _run([*control, "-l", folder / "log", "-o", options, "start"], as_user)
    try:
        yield f"postgresql://brixa:secret@127.0.0.1:{port}/postgres"
    finally:
        _run([*control, "-m", "immediate", "stop"], as_user)


def _unprivileged() -> pwd.struct_passwd | None:
    if getpass.getuser() != "root" and os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _let_in(folder: Path, user: pwd.struct_passwd) -> None:
    """The folder is theirs, and they may walk through pytest's private ones."""
    os.chown(folder, user.pw_uid, user.pw_gid)
    for parent in folder.parents:
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o001)


def _run(command: list[object], as_user: dict[str, object]) -> None:
    subprocess.run(
        [str(part) for part in command],
        check=True,
        cwd="/",
        timeout=60,
        stdout=subprocess.DEVNULL,
        **as_user,  # type: ignore[call-overload]
    )
