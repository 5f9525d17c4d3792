"""What the kernel remembers of a mount, seen by looking while nobody is left to answer."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import machine
from machine import wait_until

LOOKER = pathlib.Path(__file__).parent / "looker.py"
SCENES = 8


class Cold(Exception):
    """Something had to be asked."""


def look(point, seconds=0):
    """Everything there, as looker.py tells it, again and again for so long; never from this process,
    which would wait for ever. Cold when something had to be asked."""
    try:
        done = subprocess.run(
            [sys.executable, str(LOOKER), str(point), str(seconds)],
            capture_output=True,
            text=True,
            timeout=seconds + machine.PATIENCE / 2,
        )
    except subprocess.TimeoutExpired as error:
        raise Cold("no answer") from error
    if done.returncode != 0:
        raise Cold(done.stderr)
    return json.loads(done.stdout)


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
    cold; the mount is as it was, and can be ended."""
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
