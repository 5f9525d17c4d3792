"""-o audit: each open is logged with who it is, and no byte stays in the page cache."""

import errno
import mmap
import os
import re
import subprocess
import sys

import pytest

import machine
from machine import wait_until
from services import secret

# Opens and reads each path it is given, as often as the first word says.
READ = "import sys\nfor _ in range(int(sys.argv[1])):\n for p in sys.argv[2:]: open(p, 'rb', 0).read()"


def lines(mount):
    return [line for line in mount.log_text().splitlines() if "audit: open " in line]


def words(line):
    """The words of a line, unquoted."""
    found = dict(re.findall(r' (\w+)=("(?:[^"\\]|\\.)*"|\d+)', line.partition("audit: open")[2]))
    return {k: re.sub(r"\\(.)", r"\1", v[1:-1]) if v[0] == '"' else int(v) for k, v in found.items()}


def requests(mount):
    return mount.status()["fuse_requests"]


def test_each_open_is_logged_with_who_it_is(akvfs, services, spc, who):
    services.set_secret("one", secret())
    services.set_secret("two", secret())
    with akvfs.mount(spc(["one", "two"]), ["audit", "poll_interval=off"], who=who) as mount:
        assert not lines(mount)
        paths = [str(mount / "one"), str(mount / "two")]
        done = subprocess.Popen(
            who.words([sys.executable, "-c", READ, "2", *paths]), stdout=subprocess.DEVNULL
        )
        assert done.wait() == 0
        seen = [words(line) for line in lines(mount)]
        assert [row["file"] for row in seen] == ["one", "two", "one", "two"]
        objects = {row["file"]: row for row in mount.status()["objects"]}
        for row in seen:
            assert row["pid"] == done.pid
            assert (row["uid"], row["gid"]) == (who.uid, who.gid)
            # A worker that is closed off may not look at others' programs.
            if "exe" in row:
                assert row["exe"] == os.path.realpath(sys.executable)
            else:
                assert row["comm"] == os.path.basename(sys.executable)[:15]
            assert row["object"] == "secret/" + row["file"]
            assert row["version"] == objects[row["file"]]["version"]
            assert row["mount"] == str(mount.point)
            assert row["cgroup"].startswith("/")
        assert all(re.match(r"I\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ \S+\.c:\d+\] ", line) for line in lines(mount))


def test_the_version_that_was_opened_is_the_one_in_the_log(akvfs, services, spc):
    services.set_secret("one", secret())
    with akvfs.mount(spc(["one"]), ["audit", "poll_interval=200ms"]) as mount:
        first, held = mount.status()["objects"][0]["version"], open(mount / "one", "rb", 0)
        before, after = held.read(), secret()
        services.set_secret("one", after)
        mount.wait_for("one", after)
        second = mount.status()["objects"][0]["version"]
        assert first != second
        assert [words(line)["version"] for line in lines(mount)][0] == first
        assert [words(line)["version"] for line in lines(mount)][-1] == second
        held.seek(0)
        assert held.read() == before, "a descriptor goes on reading the version it opened"
        held.close()


def test_reads_bypass_the_page_cache(akvfs, services, spc):
    value = secret("x" * 10000)
    services.set_secret("one", value)
    with akvfs.mount(spc(["one"]), ["audit", "poll_interval=off"]) as mount:
        with open(mount / "one", "rb", 0) as f:
            assert f.read() == value.encode()
            before = requests(mount)
            for _ in range(10):
                assert os.pread(f.fileno(), 5000, 0) == value.encode()[:5000]
            assert requests(mount) - before >= 10, "each read asks again"
            with pytest.raises(OSError) as raised:
                mmap.mmap(f.fileno(), 4096, mmap.MAP_SHARED, mmap.PROT_READ)
            assert raised.value.errno == errno.ENODEV


def test_what_is_not_opened_is_not_logged(akvfs, services, spc, who):
    services.set_secret("one", secret())
    with akvfs.mount(spc(["one"]), ["audit", "poll_interval=off"], who=who) as mount:
        subprocess.run(who.words(["ls", "-l", str(mount.point)]), check=True, capture_output=True)
        if who.is_root:
            with pytest.raises(OSError) as raised:
                open(mount / "one", "r+b")
            assert raised.value.errno == errno.EROFS
        assert not lines(mount)


def test_a_successor_goes_on_auditing(akvfs, services, spc):
    services.set_secret("one", secret())
    with akvfs.mount(spc(["one"]), ["audit", "poll_interval=off"]) as mount:
        mount.read("one")
        worker = mount.status()["worker_pid"]
        os.kill(worker, 9)
        n = len(lines(mount))
        mount.read("one")  # waits for the successor
        wait_until(lambda: len(lines(mount)) > n, "the successor logs the open")
        assert words(lines(mount)[-1])["pid"] == os.getpid()


def test_without_it_no_open_is_logged_and_none_asks(akvfs, services, spc):
    services.set_secret("one", secret())
    with akvfs.mount(spc(["one"]), ["poll_interval=off"]) as mount:

        def opens():
            for _ in range(100):
                fd = os.open(mount / "one", os.O_RDONLY)
                os.read(fd, 4096)
                os.close(fd)

        assert machine.requests_during(mount, lambda it: it.read("one"), opens) == 0
        assert not lines(mount)
