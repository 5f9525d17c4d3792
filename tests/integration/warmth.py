"""What the kernel remembers of a mount, seen by looking while nobody is left to answer."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
from concurrent import futures

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


def look(point, seconds=0):
    """Everything there, as looker.py tells it, again and again for so long; never from this process,
    which would wait for ever. Cold when something had to be asked."""
    command = [sys.executable, str(LOOKER), str(point), str(seconds)]
    with (
        connection(point) as fuse,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as looker,
    ):

        def asks():
            """Nothing is waited for once nobody answers: the connection is over, or was never."""
            with contextlib.suppress(FileNotFoundError):
                return int((fuse / "waiting").read_text()) > 0
            return False

        with futures.ThreadPoolExecutor(1) as pool:
            said = pool.submit(looker.communicate)
            wait_until(lambda: said.done() or asks(), "it has seen all, or has to ask", seconds + machine.PATIENCE)
            cold = not said.done() and asks()
            if cold:
                looker.kill()
            out, complaint = said.result()
    if cold:
        raise Cold("no answer")
    if looker.returncode != 0:
        raise Cold(complaint)
    return json.loads(out)


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
    worker = status["worker_pid"]
    os.kill(worker, signal.SIGSTOP)
    try:
        wait_until(lambda: machine.state_of(worker) == "T", "it is stopped")
        seen = look(mount.point, seconds)
    except Cold as error:
        print(f"cold: {error}")
        seen = None
    finally:
        os.kill(worker, signal.SIGCONT)
    if not seen:
        subprocess.run([sys.executable, str(LOOKER), str(mount.point)], check=True, capture_output=True)
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
