"""What is shown can be read when nobody is left to answer: no name has ever been looked at before."""

import contextlib
import itertools
import os
import signal
import subprocess

import machine
from classes import element
from machine import wait_until
from services import secret
from test_keeper import guardian_of
from warmth import Cold, look, look_without_worker, settled, undisturbed


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


def test_from_the_first_moment(akvfs, services, spc):
    def scene():
        with shown(akvfs, services, spc) as (mount, _, files):
            seen = look_without_worker(mount)
            return seen and shows_both_ways(seen, files)

    undisturbed(scene)


def test_after_each_rotation(akvfs, services, spc):
    numbers = itertools.count(1)
    with shown(akvfs, services, spc) as (mount, change, _):

        def scene():
            files = change(next(numbers))
            akvfs.ok("refresh", mount.point)
            seen = look_without_worker(mount)
            return seen and shows_both_ways(seen, files)

        for _ in range(3):
            undisturbed(scene)


def test_after_a_change_of_worker(akvfs, services, spc):
    numbers = itertools.count(1)
    with shown(akvfs, services, spc) as (mount, change, _):

        def scene():
            worker = mount.status()["worker_pid"]
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: mount.status()["worker_pid"] != worker, "another worker has taken over")
            wait_until(lambda: akvfs.run("refresh", mount.point).returncode == 0, "all was fetched")
            files = change(next(numbers))
            akvfs.ok("refresh", mount.point)
            seen = look_without_worker(mount)
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
