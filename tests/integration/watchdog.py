"""A test that is stuck in the kernel, on a mount that nobody answers, ends nevertheless.

pytest's own timeout is a signal's handler, which does not run in a process that waits for the answer
of a file system: the whole run would stand still. So a thread looks after each test, and when it has
gone on for longer than that it aborts the connections of the mounts in the tests' mount namespace.
The call that waited fails, and the test with it.
"""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
import threading

import machine


def of(item):
    """The watchdog of a test: somewhat more patient than its timeout (pytest-timeout)."""
    marker = item.get_closest_marker("timeout")
    seconds = marker.args[0] if marker else float(item.config.getini("timeout"))
    return watching(seconds + 20)


@contextlib.contextmanager
def watching(seconds):
    """Aborts all akvfs mounts here when the body takes longer."""
    timer = threading.Timer(seconds, abort_all)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def abort_all():
    with tempfile.TemporaryDirectory(prefix="akvfs-it-") as folder:
        subprocess.run(["mount", "-t", "fusectl", "none", folder], check=True)
        try:
            for device, point in ours():
                print(f"watchdog: {point} is aborted; this process: {stack()}", file=sys.stderr)
                with contextlib.suppress(OSError):  # it may have ended by itself
                    (pathlib.Path(folder) / str(os.minor(device)) / "abort").write_text("1")
        finally:
            subprocess.run(["umount", folder], check=True)


def ours():
    """(device, mount point) of all mounts of akvfs, told by a file that no file system is asked about."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        if right.startswith("fuse.akvfs "):
            major, minor = left.split()[2].split(":")
            yield os.makedev(int(major), int(minor)), machine.unescaped(left.split()[4])


def stack():
    """Where the kernel has this process, for whoever reads the report."""
    return pathlib.Path(f"/proc/{os.getpid()}/stack").read_text().replace("\n", " ")
