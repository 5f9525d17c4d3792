"""What is shown can be read when nobody is left to answer: no name has ever been looked at before."""

import contextlib
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys

import machine
from classes import element
from machine import wait_until
from services import secret
from test_keeper import guardian_of

LOOKER = pathlib.Path(__file__).parent / "looker.py"
SCENES = 8


class Cold(Exception):
    """Something had to be asked."""


def look(point):
    """Everything there, as looker.py tells it. Fails when something had to be asked."""
    done = subprocess.run(
        [sys.executable, str(LOOKER), str(point)], capture_output=True, text=True, timeout=5
    )
    if done.returncode != 0:
        raise Cold(done.stderr)
    return json.loads(done.stdout)


def shows(seen, top, files):
    """Nothing but these files is below that folder, generations aside."""
    wanted = {path: text for path, text in files.items()}
    for folder in {""} | {parent for path in files for parent in folders_of(path)}:
        prefix = f"{folder}/" if folder else ""
        names = {path[len(prefix) :].split("/")[0] for path in files if path.startswith(prefix)}
        wanted[folder] = sorted(names)
    found = {
        path[len(top) :].lstrip("/"): [name for name in what if not name.startswith("..")]
        if isinstance(what, list)
        else what
        for path, what in seen.items()
        if path == top or path.startswith(top + "/")
    }
    found = {path: what for path, what in found.items() if not path.startswith("..")}
    return found == wanted


def shows_both_ways(seen, files):
    newest = seen["./..data"]
    assert shows(seen, ".", files)
    assert shows(seen, "..data/.", files)
    assert shows(seen, f"./{newest}", files)
    assert newest in seen["."]
    return True


def folders_of(path):
    parts = path.split("/")[:-1]
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]


@contextlib.contextmanager
def shown(akvfs, services, spc, status=0):
    """A mount, change(n), which changes all that it shows and returns that, and what it is at first."""
    names = {"small": "small", "big": "page", "inner": "folder/inner", "deep": "folder/sub/deep"}

    def change(number):
        files = {}
        for name, path in names.items():
            files[path] = secret(f"{name} {number} " * (2000 if name == "big" else 1))[: 20000 + number]
            services.set_secret(name, files[path])
        return files

    files = change(0)
    text = spc([element(name, alias=path) for name, path in names.items()])
    with akvfs.mount(text, "poll_interval=1h", status=status) as mount:
        yield mount, change, files


def dropped():
    """How often somebody on this machine has emptied the kernel's caches, which are everybody's."""
    return [line for line in pathlib.Path("/proc/vmstat").read_text().splitlines() if line.startswith("drop_")]


def settled(mount):
    """The status, when the kernel has said what else it had to say: it forgets what was dropped later."""
    seen = []

    def same():
        seen.append(mount.status())
        return len({status["fuse_requests"] for status in seen[-10:]}) == 1 and len(seen) > 10

    wait_until(same, "no more requests come")
    return seen[-1]


def look_without_worker(mount, before):
    """What is there, while the worker stands still: not one request was sent. None when that cannot be
    told, for what was warm was taken from the kernel; `before` it was warm, so much was dropped()."""
    status = settled(mount)
    worker = status["worker_pid"]
    os.kill(worker, signal.SIGSTOP)
    try:
        wait_until(lambda: machine.state_of(worker) == "T", "it is stopped")
        seen = look(mount.point)
    except subprocess.TimeoutExpired:
        return None
    finally:
        os.kill(worker, signal.SIGCONT)
    after = mount.status()["fuse_requests"]
    return seen if after == status["fuse_requests"] or dropped() == before else None


def undisturbed(scene):
    """scene() again, when it was cold. The kernel may forget anything at any time, so one that was is
    no failure; that it is the rule would be."""
    assert any(scene() for _ in range(SCENES)), f"something was cold in each of {SCENES} scenes"


def test_from_the_first_moment(akvfs, services, spc):
    def scene():
        before = dropped()
        with shown(akvfs, services, spc) as (mount, _, files):
            seen = look_without_worker(mount, before)
            return seen and shows_both_ways(seen, files)

    undisturbed(scene)


def test_after_each_rotation(akvfs, services, spc):
    numbers = itertools.count(1)
    with shown(akvfs, services, spc) as (mount, change, _):

        def scene():
            before = dropped()
            files = change(next(numbers))
            akvfs.ok("refresh", mount.point)
            seen = look_without_worker(mount, before)
            return seen and shows_both_ways(seen, files)

        for _ in range(3):
            undisturbed(scene)


def test_after_a_change_of_worker(akvfs, services, spc):
    numbers = itertools.count(1)
    with shown(akvfs, services, spc) as (mount, change, _):

        def scene():
            before = dropped()
            worker = mount.status()["worker_pid"]
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: mount.status()["worker_pid"] != worker, "another worker has taken over")
            wait_until(lambda: akvfs.run("refresh", mount.point).returncode == 0, "all was fetched")
            files = change(next(numbers))
            akvfs.ok("refresh", mount.point)
            seen = look_without_worker(mount, before)
            return seen and shows_both_ways(seen, files)

        undisturbed(scene)


def end_all(mount):
    """SIGKILL for everybody, so that nobody can take over from anybody."""
    status = mount.status()
    keeper = status["keeper_pid"]
    guardian = wait_until(lambda: guardian_of(keeper), "there is a guardian")
    os.kill(keeper, signal.SIGSTOP)
    for pid in (guardian, keeper, status["worker_pid"]):
        os.kill(pid, signal.SIGKILL)
    for pid in (guardian, keeper, status["worker_pid"]):
        wait_until(lambda: machine.gone(pid), "it is dead")


def test_with_no_process_at_all(akvfs, services, spc):
    """The connection is over with them; what the kernel knows it goes on showing."""

    def scene():
        before = dropped()
        with shown(akvfs, services, spc, status=1) as (mount, change, _):
            files = change(1)
            akvfs.ok("refresh", mount.point)
            settled(mount)
            end_all(mount)
            try:
                return shows_both_ways(look(mount.point), files)
            except Cold:
                return None
            finally:
                subprocess.run(["umount", "-l", str(mount.point)], check=True)
                for path in akvfs.control_files():
                    path.unlink()

    undisturbed(scene)
