"""That this is the machine whose ways the other tests are run for: without this they show nothing."""

import os
import pathlib
import platform

import machine
from test_isolation import has_secret_memory


def test_a_kernel_without_resend():
    assert not machine.resends(), platform.release()
    assert "Debian" in platform.version()


def test_systemd_is_the_init():
    assert pathlib.Path("/proc/1/comm").read_text() == "systemd\n"
    assert pathlib.Path("/run/systemd/system").is_dir()


def test_memfd_secret_is_there_when_it_was_asked_for():
    assert has_secret_memory() == (os.environ["AKVFS_VM"] == "secretmem")


def test_there_is_swap():
    assert len(pathlib.Path("/proc/swaps").read_text().splitlines()) == 2
