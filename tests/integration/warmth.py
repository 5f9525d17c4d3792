"""What the kernel remembers of a mount, seen by looking while nobody is left to answer."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import machine
from machine import wait_until
from watchdog import ours

LOOKER = pathlib.Path(__file__).parent / "looker.py"
SCENES = 8


class Cold(Exception):
    """Something had to be asked."""


@contextlib.contextmanager
def connection(point):
    """What fusectl tells of that mount; its mount point is found without asking the file system."""
    with tempfile.TemporaryDirectory(prefix="akvfs-it-") as folder:
        subprocess.run(["mount", "-t", "fusectl", "none", folder], check=True)
        try:
            device = next(device for device, where in ours() if where == str(point))
            yield pathlib.Path(folder) / str(os.minor(device))
        finally:
            subprocess.run(["umount", folder], check=True)


def memory():
    """A file that is on no disk: values are in it."""
    return open(os.memfd_create("akvfs-it"), "w+", encoding="utf-8")


def look(point, seconds=0):
    """Everything there, as looker.py tells it, again and again for so long; never from this process,
    which would wait for ever. Cold when something had to be asked."""
    with connection(point) as fuse, memory() as seen, memory() as said:

        def asks():
            """Nobody waits where the connection is over: that is an error at once."""
            with contextlib.suppress(FileNotFoundError):
                return int((fuse / "waiting").read_text()) > 0
            return False

        looker = subprocess.Popen([sys.executable, str(LOOKER), str(point), str(seconds)], stdout=seen, stderr=said)
        try:
            what = "it has seen all, or has to ask"
            wait_until(lambda: looker.poll() is not None or asks(), what, seconds + machine.PATIENCE)
            if looker.poll() is None:
                raise Cold("no answer")
        finally:
            looker.kill()
            looker.wait(machine.PATIENCE)
        seen.seek(0)
        said.seek(0)
        if looker.returncode != 0:
            raise Cold(said.read())
        return json.load(seen)


def settled(mount):
    """The status, when the kernel has said what else it had to say: it forgets what was dropped later."""
    seen = []

    def same():
        seen.append(mount.status())
        return len({status["fuse_requests"] for status in seen[-10:]}) == 1 and len(seen) > 10

    wait_until(same, "no more requests come")
    return seen[-1]


def look_without_worker(mount, seconds=0):
    """What is there, while the worker stands still: not one request was sent. None when something was
    cold; the mount is as it was, and can be ended. What was cold is warm then: the worker warms what is
    new and no more, so that a page of an older generation would be cold in every scene to come."""
    status = settled(mount)
    with machine.stopped(status["worker_pid"]):
        try:
            seen = look(mount.point, seconds)
        except Cold as error:
            print(f"cold: {error}")
            seen = None
    if not seen:
        command = [sys.executable, str(LOOKER), str(mount.point)]
        subprocess.run(command, check=True, capture_output=True, timeout=machine.PATIENCE)
    return seen if mount.status()["fuse_requests"] == status["fuse_requests"] else None


def undisturbed(scene):
    """What scene() returns, None when it was cold. That one is played again where the kernel has
    forgotten something for reasons of its own; that it happens each time would be ours."""
    for _ in range(SCENES):
        before = machine.forgotten()
        seen = scene()
        if seen:
            return seen
        assert machine.forgets_since(before), "something was cold"
    raise AssertionError(f"something was cold in each of {SCENES} scenes")
