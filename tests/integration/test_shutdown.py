"""Everything ends: with readers at work, from afar, and when the worker does nothing any more."""

import os
import signal
import subprocess
import sys

import pytest

from machine import gone, state_of, wait_until
from services import secret

# Opens, reads and lists until the mount point has nothing of it any more. Says when it has begun.
# What it held open meanwhile is read when its standard input ends: the first error is the start of
# the end, and pages are taken away one file after the other.
LOOP = """
import os, sys
point, said = sys.argv[1], False
held = os.open(point + "/one", os.O_RDONLY)
while True:
    try:
        os.listdir(point)
        os.stat(point + "/absent")
    except FileNotFoundError:
        pass
    except OSError:
        break
    try:
        with open(point + "/one", "rb", 0) as f:
            f.read()
    except OSError:
        break
    if not said:
        print("reading", flush=True)
        said = True
sys.stdin.read()
# What is still held is not the secret any more, or an error; it never hangs.
try:
    rest = os.pread(held, 4096, 0)
    print("bytes", len(rest), flush=True)
except OSError as e:
    print("error", e.errno, flush=True)
"""


def readers(mount, n, prefix=()):
    started = [
        subprocess.Popen(
            [*prefix, sys.executable, "-c", LOOP, str(mount.point)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(n)
    ]
    for one in started:
        assert one.stdout.readline() == "reading\n"
    return started


def look_again(started):
    for one in started:
        one.stdin.close()


def end(started):
    for one in started:
        one.stdin.close()
        one.stdout.close()
        one.kill()
        one.wait()


# Another mount namespace, which keeps what is mounted whatever happens in ours.
AFAR = ["unshare", "--mount", "--propagation", "private"]


@pytest.mark.parametrize("prefix", [[], AFAR], ids=["here", "in another namespace"])
@pytest.mark.parametrize("options", ["poll_interval=200ms", "audit"])
def test_readers_in_loops_do_not_keep_a_mount(akvfs, services, spc, prefix, options):
    services.set_secret("one", secret())
    with akvfs.mount(spc(["one"]), [options]) as mount:
        started = readers(mount, 4, prefix)
        try:
            mount.process.send_signal(signal.SIGTERM)
            wait_until(lambda: mount.process.poll() is not None, "the keeper has ended")
            assert mount.process.returncode == 0
            assert not mount.mounted
            look_again(started)
            for one in started:
                wait_until(lambda: one.poll() is not None, "the reader was not left hanging")
                assert one.returncode == 0
                assert not holds_the_secret(one.stdout.read())
        finally:
            end(started)


def holds_the_secret(said):
    """What the descriptor that was open all the time read at the end: bytes, or an error."""
    assert said.startswith(("bytes ", "error "))
    return said.startswith("bytes ") and said != "bytes 0\n"


@pytest.mark.parametrize("prefix", [[], AFAR], ids=["here", "in another namespace"])
def test_a_stopped_worker_keeps_nobody(akvfs, services, spc, prefix):
    """SIGSTOP, then SIGTERM to the keeper: it ends, nothing stays mounted, no reader hangs."""
    services.set_secret("one", secret())
    with akvfs.mount(spc(["one"]), ["audit", "poll_interval=off"], status=1) as mount:
        worker = mount.status()["worker_pid"]
        started = readers(mount, 2, prefix)
        try:
            os.kill(worker, signal.SIGSTOP)
            wait_until(lambda: state_of(worker) == "T", "the worker is stopped")
            mount.process.send_signal(signal.SIGTERM)
            wait_until(lambda: mount.process.poll() is not None, "the keeper has ended")
            assert "did not end" in mount.log_text()
            assert not mount.mounted
            assert gone(worker)
            look_again(started)
            for one in started:
                wait_until(lambda: one.poll() is not None, "the reader was not left hanging")
        finally:
            end(started)
        for path in akvfs.control_files():  # a killed worker leaves them; the next one takes over
            path.unlink(missing_ok=True)
