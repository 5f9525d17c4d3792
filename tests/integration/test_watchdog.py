"""The tests' own guard against standing still for ever."""

import errno
import os
import signal

import pytest

import machine
import watchdog
from machine import wait_until
from services import secret


def test_a_look_that_nobody_answers_ends(akvfs, services, spc):
    """As in pytest itself, where no signal's handler can run meanwhile."""
    services.set_secret("a", secret())
    with akvfs.mount(spc(["a"]), "poll_interval=1h") as mount:
        worker = mount.status()["worker_pid"]
        os.kill(worker, signal.SIGSTOP)
        try:
            wait_until(lambda: machine.state_of(worker) == "T", "it is stopped")
            with watchdog.watching(1), pytest.raises(OSError) as caught:
                os.stat(mount / "never looked up")
            assert caught.value.errno in (errno.ECONNABORTED, errno.ENOTCONN)
        finally:
            os.kill(worker, signal.SIGCONT)
        wait_until(lambda: mount.process.poll() is not None, "the connection's end is the mount's")
