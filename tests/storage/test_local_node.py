"""The local node keeps the contract, between processes and against planted links."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from brixa_flows.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    StorageError,
    UnsafeKeyError,
)
from brixa_flows.storage.local import LocalStorageNode
from brixa_flows.testing.storage import StorageNodeContract

_PROCESSES = 6


@pytest.fixture
def node(tmp_path):
    """An empty local node."""
    return LocalStorageNode(tmp_path / "root")


class TestLocalStorageNode(StorageNodeContract):
    """The contract, on this filesystem."""

    @pytest.fixture
    def node(self, tmp_path_factory):
        """An empty node outside of the test's own folder."""
        return LocalStorageNode(tmp_path_factory.mktemp("root"))


def _run(root: Path, code: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a process that waits for a line and then runs ``code`` with a node."""
    program = (
        "import sys\n"
        "from brixa_flows.storage.local import LocalStorageNode\n"
        "from brixa_flows.errors import *\n"
        f"node = LocalStorageNode({str(root)!r})\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n" + code
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process


def _all_at_once(root: Path, code: str) -> list[str]:
    """What each of many processes prints that begin together."""
    processes = [_run(root, code, str(number)) for number in range(_PROCESSES)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    return printed


def test_of_many_processes_one_creates_each_key(node):
    printed = _all_at_once(
        node.root,
        "for key in range(20):\n"
        "    try:\n"
        "        node.create(f'claims/{key}', sys.argv[1].encode())\n"
        "        print(key)\n"
        "    except ObjectExistsError:\n"
        "        pass\n",
    )
    won = [
        (int(key), number)
        for number, text in enumerate(printed)
        for key in text.split()
    ]
    assert sorted(key for key, _ in won) == list(range(20))
    for key, number in won:
        assert node.read(f"claims/{key}")[0] == str(number).encode()


def test_no_swap_of_many_processes_is_lost(node):
    node.create("counter", b"0")
    _all_at_once(
        node.root,
        "done = 0\n"
        "while done < 10:\n"
        "    data, etag = node.read('counter')\n"
        "    try:\n"
        "        node.replace('counter', b'%d' % (int(data) + 1), etag=etag)\n"
        "        done += 1\n"
        "    except StaleWriteError:\n"
        "        pass\n",
    )
    assert node.read("counter")[0] == b"%d" % (10 * _PROCESSES)


@pytest.mark.parametrize("delay_ms", [0, 3, 10, 25])
def test_a_process_killed_in_the_middle_of_a_write_leaves_nothing_partial(
    node, delay_ms
):
    size = 2_000_000
    writer = _run(
        node.root,
        "import itertools\n"
        f"blob = b'x' * {size}\n"
        "print('writing', flush=True)\n"
        "etag = None\n"
        "for number in itertools.count():\n"
        "    node.create(f'new/{number}', blob)\n"
        "    etag = node.replace('one', blob, etag=etag)\n"
        "    with node.staging() as staged:\n"
        "        for name in 'abc':\n"
        "            (staged / name).write_bytes(blob)\n"
        "        node.publish(staged, f'whole/{number}')\n",
    )
    writer.stdout.readline()
    writer.stdin.write("go\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "writing\n"
    time.sleep(delay_ms / 1000)
    writer.send_signal(signal.SIGKILL)
    writer.communicate(timeout=30)

    assert all(stored.size_bytes == size for stored in node.list(""))
    for name in node.list_directories("whole"):
        whole = sorted(path.name for path in node.fetch(f"whole/{name}").iterdir())
        assert whole == ["a", "b", "c"]
    for stored in node.list("new"):
        with pytest.raises(ObjectExistsError):
            node.create(stored.key, b"")
    node.create("after", b"the dead process keeps no lock")


def test_a_reader_never_sees_half_of_a_write(node):
    writer = _run(
        node.root,
        "etag = node.create('swapped', b'0' * 300_000)\n"
        "print('writing', flush=True)\n"
        "for number in range(60):\n"
        "    etag = node.replace('swapped', b'%d' % (number % 10) * 300_000, etag=etag)\n",
    )
    writer.stdout.readline()
    writer.stdin.write("go\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "writing\n"
    reads = 0
    while writer.poll() is None or reads == 0:
        data, _ = node.read("swapped")
        assert len(data) == 300_000 and len(set(data)) == 1
        reads += 1
    writer.communicate(timeout=30)
    assert writer.returncode == 0


_NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\n") | st.sampled_from("./\\~\0"),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(_NAMES, max_size=4).map("/".join) | st.text(max_size=20))
def test_no_key_leads_out_of_the_root(tmp_path, key):
    outside = tmp_path / "outside"
    outside.mkdir(exist_ok=True)
    node = LocalStorageNode(outside / "root")
    try:
        node.create(key, b"x")
    except UnsafeKeyError:
        pass
    else:
        assert (node.root / key).resolve().is_relative_to(node.root)
        assert [stored.key for stored in node.list("")] == [key]
        node.delete(key)
    assert {path.name for path in outside.iterdir()} <= {"root"}
    assert list(node.list("")) == []


@pytest.fixture
def secret(tmp_path):
    """A folder beside the root that no key may reach."""
    folder = tmp_path / "secret"
    folder.mkdir()
    (folder / "key.pem").write_bytes(b"private")
    return folder


def test_a_planted_link_to_a_directory_is_refused(node, secret, tmp_path):
    node.create("m/real", b"1")
    (node.root / "m" / "link").symlink_to(secret)
    built = tmp_path / "built"
    built.mkdir()
    (built / "f").write_bytes(b"")
    for call in (
        lambda: node.read("m/link/key.pem"),
        lambda: node.stat("m/link/key.pem"),
        lambda: node.create("m/link/new", b""),
        lambda: node.replace("m/link/new", b"", etag=None),
        lambda: node.delete("m/link/key.pem"),
        lambda: node.delete("m/link"),
        lambda: node.publish(built, "m/link/new"),
        lambda: node.fetch("m/link"),
        lambda: list(node.list("m/link")),
        lambda: node.list_directories("m/link"),
    ):
        with pytest.raises(UnsafeKeyError, match="symbolic link"):
            call()
    assert [stored.key for stored in node.list("")] == ["m/real"]
    assert node.list_directories("m") == []
    assert [path.name for path in secret.iterdir()] == ["key.pem"]


def test_a_planted_link_to_a_file_is_refused(node, secret):
    node.create("m/real", b"1")
    etag = node.create("m/other", b"1")
    (node.root / "m" / "link").symlink_to(secret / "key.pem")
    (node.root / "m" / "dangling").symlink_to(secret / "new.pem")
    for call in (
        lambda: node.read("m/link"),
        lambda: node.stat("m/link"),
        lambda: node.create("m/link", b"mine"),
        lambda: node.create("m/dangling", b"mine"),
        lambda: node.replace("m/link", b"mine", etag=etag),
        lambda: node.fetch("m"),
    ):
        with pytest.raises(UnsafeKeyError):
            call()
    assert (secret / "key.pem").read_bytes() == b"private"
    assert not (secret / "new.pem").exists()


def test_its_own_folder_is_out_of_reach(node):
    with node.staging() as staged:
        own = staged.relative_to(node.root).parts[0]
        for key in (own, f"{own}/tmp/x", own.upper() + "/x"):
            with pytest.raises(UnsafeKeyError, match="belongs to the storage node"):
                node.create(key, b"")
    node.create(f"below/{own}", b"is a name like any other")


def test_the_root_may_be_reached_by_a_link(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    node = LocalStorageNode("./new/root")
    assert node.root == tmp_path.resolve() / "new" / "root"
    assert node.uri == node.root.as_uri()
    node.create("b", b"1")
    (tmp_path / "alias").symlink_to(node.root)
    LocalStorageNode(tmp_path / "alias").create("a", b"1")
    assert node.read("a")[0] == b"1"
    assert repr(node) == f"LocalStorageNode({str(node.root)!r})"


def test_reading_makes_no_root(tmp_path):
    node = LocalStorageNode(tmp_path / "mistyped" / "root")
    assert node.stat("a") is None
    assert list(node.list("")) == [] and node.list_directories("m") == []
    for read in (node.read, node.fetch):
        with pytest.raises(ObjectNotFoundError):
            read("a")
    assert node.discard_abandoned() == 0
    assert not (tmp_path / "mistyped").exists()


@pytest.mark.parametrize("step", ["create", "replace", "publish", "publish staged"])
def test_the_first_write_makes_the_root(tmp_path, step):
    node = LocalStorageNode(tmp_path / "new" / "root")
    if step == "create":
        node.create("a/b", b"1")
    elif step == "replace":
        node.replace("a/b", b"1", etag=None)
    elif step == "publish":
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "b").write_bytes(b"1")
        node.publish(tmp_path / "made", "a")
    else:
        with node.staging() as folder:
            (folder / "b").write_bytes(b"1")
            node.publish(folder, "a")
    assert node.read("a/b")[0] == b"1"


def test_a_root_that_can_not_be_made_is_told_by_the_first_write():
    node = LocalStorageNode("/proc/nope")
    for write in (lambda: node.create("a", b"1"), lambda: node.staging().__enter__()):
        with pytest.raises(StorageError) as caught:
            write()
        assert str(caught.value) == (
            "can't make the storage root /proc/nope: no folder can be made there; "
            "name another storage root"
        )


def test_a_file_can_not_be_the_root(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="file is a file; name a folder"):
        LocalStorageNode(tmp_path / "file")
    with pytest.raises(StorageError, match="is below .*file, which is a file; name"):
        LocalStorageNode(tmp_path / "file" / "below")


def test_a_node_is_sent_to_another_process_by_its_root(node):
    node.create("a", b"1")
    assert pickle.loads(pickle.dumps(node)).read("a")[0] == b"1"


def test_files_have_the_usual_permissions(node):
    mask = os.umask(0)
    os.umask(mask)
    node.create("a", b"1")
    with node.staging() as staged:
        (staged / "f").write_bytes(b"1")
        node.publish(staged, "p")
    assert stat.S_IMODE((node.root / "a").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((node.root / "p").stat().st_mode) == 0o777 & ~mask


def test_an_empty_directory_is_not_replaced_by_publishing(node):
    (node.root / "p").mkdir(parents=True)
    with node.staging() as staged:
        (staged / "f").write_bytes(b"1")
        with pytest.raises(ObjectExistsError):
            node.publish(staged, "p")
    assert list((node.root / "p").iterdir()) == []
    assert node.list_directories("") == []
    with pytest.raises(ObjectNotFoundError):
        node.fetch("p")


def test_every_write_is_forced_to_the_device_before_it_is_seen(node, monkeypatch):
    steps = []
    real = {name: getattr(os, name) for name in ("fsync", "link", "rename")}

    def fsync(descriptor):
        kind = os.fstat(descriptor).st_mode
        steps.append("sync directory" if stat.S_ISDIR(kind) else "sync file")
        real["fsync"](descriptor)

    def link(*arguments, **names):
        steps.append("link")
        real["link"](*arguments, **names)

    def rename(*arguments, **names):
        steps.append("rename")
        real["rename"](*arguments, **names)

    etag = node.create("a", b"0")
    with node.staging() as staged:
        (staged / "sub").mkdir()
        (staged / "sub" / "f").write_bytes(b"1")
        for name, spy in {"fsync": fsync, "link": link, "rename": rename}.items():
            monkeypatch.setattr(os, name, spy)
        node.create("b", b"1")
        assert steps == ["sync file", "link", "sync directory"]
        steps.clear()
        node.replace("a", b"1", etag=etag)
        assert steps == ["sync file", "rename", "sync directory"]
        steps.clear()
        node.publish(staged, "p")
        assert steps == [
            *["sync file", "sync directory", "sync directory"],
            *["rename", "sync directory"],
        ]
    monkeypatch.undo()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_said_in_a_sentence(node, monkeypatch):
    real_open = os.open

    def open_full(path, flags, *arguments, **names):
        if flags & os.O_EXCL:
            return real_open("/dev/full", os.O_WRONLY)
        return real_open(path, flags, *arguments, **names)

    monkeypatch.setattr(os, "open", open_full)
    with pytest.raises(
        StorageError, match="can't write 'a'.*no space is left"
    ) as caught:
        node.create("a", b"x")
    monkeypatch.undo()
    assert caught.value.errno_name == "ENOSPC"
    assert node.stat("a") is None
    node.create("a", b"x")


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EACCES, "permission is denied; give this user write access"),
        (errno.EROFS, "the filesystem is read-only"),
        (errno.EIO, "check the disk"),
        (errno.EXDEV, os.strerror(errno.EXDEV)),
    ],
)
def test_what_the_system_refuses_is_said_in_a_sentence(
    node, monkeypatch, number, reason
):
    def refuse(*arguments, **names):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(
        StorageError, match=f"can't write 'a' in .*: .*{reason}"
    ) as caught:
        node.create("a", b"x")
    monkeypatch.undo()
    assert caught.value.errno_name == errno.errorcode[number]
    assert isinstance(caught.value.__cause__, OSError)
    assert list((node.root / ".brixa" / "tmp").iterdir()) == []


def test_what_dead_processes_left_is_swept_but_nothing_that_is_in_use(node):
    with node.staging() as alive:
        folder = alive.parent
        long_ago = time.time() - 10 * 24 * 3600
        (folder / "dead").mkdir()
        (folder / "dead" / "f").write_bytes(b"1")
        (folder / "dead-file").write_bytes(b"1")
        (folder / "young").write_bytes(b"1")
        for path in (alive, folder / "dead", folder / "dead-file"):
            os.utime(path, (long_ago, long_ago))
        LocalStorageNode(node.root)
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            [alive.name, "young"]
        )
