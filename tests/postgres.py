"""A private PostgreSQL cluster, for tests that need a real one."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from uuid import uuid4

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from tests.requirements_present import require

__all__ = ["empty_database", "free_port", "start_cluster"]


def free_port() -> int:
    """A TCP port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_cluster() -> tuple[str, int, Path]:
    """Start a server of our own.

    Skips by name where PostgreSQL is absent. As root it runs as ``postgres`` or
    ``nobody``, because PostgreSQL refuses root; so its folder is not below pytest's,
    which are closed to others.

    Returns:
        URI of an empty database, the server's process, and its folder.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    found = programs[-1] if programs else None
    if found is None and (on_path := shutil.which("pg_ctl")):
        found = Path(on_path).parent
    require("PostgreSQL (initdb, pg_ctl)", found is not None)
    assert found is not None
    folder = Path(tempfile.mkdtemp(prefix="brixa-test-postgres-"))
    as_user = _unprivileged(folder)
    port, data = free_port(), folder / "data"
    _run([found / "initdb", "-D", data, "-A", "trust", "-U", "brixa", "-N"], as_user)
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k '' -c fsync=off"
    started = [found / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options]
    _run([*started, "start"], as_user)
    pid = int((data / "postmaster.pid").read_text().splitlines()[0])
    return f"postgresql://brixa:secret@127.0.0.1:{port}/postgres", pid, folder


def empty_database(uri: str) -> str:
    """Make a new database in a cluster that runs.

    Args:
        uri: Of another database there.

    Returns:
        URI of the new one.
    """
    name = f"empty_{uuid4().hex}"
    engine = create_engine(uri, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    return f"{uri.rpartition('/')[0]}/{name}"


def _unprivileged(folder: Path) -> dict[str, object]:
    """Options of a process that owns ``folder`` and is not root."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = known.get("postgres") or known["nobody"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _run(command: list[object], as_user: dict[str, object]) -> None:
    subprocess.run(
        [str(part) for part in command],
        check=True,
        cwd="/",
        timeout=60,
        stdout=subprocess.DEVNULL,
        **as_user,  # type: ignore[call-overload]
    )
