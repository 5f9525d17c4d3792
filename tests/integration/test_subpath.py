"""A bind mount of one file, as kubelet makes for `subPath`, follows rotation; a descriptor does not."""

import contextlib
import os
import signal
import subprocess

import pytest

from classes import element
from machine import wait_until
from services import secret
from test_crash import drop_caches, kill_worker, wait_for_worker


@contextlib.contextmanager
def bound(source, target):
    target.touch()
    subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
    try:
        yield target
    finally:
        subprocess.run(["umount", str(target)], check=True)


@pytest.fixture
def mount(akvfs, services, spc):
    services.set_secret("pw", secret("0"))
    services.set_secret("other", secret("other"))
    text = spc([element("pw"), element("pw", alias="d/pw"), element("other")])
    with akvfs.mount(text, "poll_interval=1h") as it:
        yield it


def rotate(mount, services, akvfs, text):
    value = secret(text)
    services.set_secret("pw", value)
    akvfs.ok("refresh", mount.point)
    return value.encode()


@pytest.mark.parametrize("name", ["pw", "d/pw"])
def test_a_bind_mount_shows_each_rotation(mount, services, akvfs, folder, name):
    with bound(mount / name, folder / "bound") as file:
        for number in range(1, 5):
            value = rotate(mount, services, akvfs, "longer each time " * number)
            wait_until(lambda: file.read_bytes() == value, "the bind mount shows the new value")
            assert os.stat(file).st_size == len(value)
        value = rotate(mount, services, akvfs, "short")
        wait_until(lambda: file.read_bytes() == value, "a shorter one as well")


def test_without_being_asked_within_two_polls(akvfs, services, spc, folder):
    services.set_secret("pw", secret("0"))
    with akvfs.mount(spc(["pw"]), "poll_interval=2s") as mount, bound(mount / "pw", folder / "bound") as file:
        wait_until(lambda: file.read_bytes() == (mount / "pw").read_bytes(), "it is there")
        for number in range(1, 4):
            value = secret(f"number {number}").encode()
            services.set_secret("pw", value.decode())
            polls = services.gets("pw")
            wait_until(lambda: file.read_bytes() == value, "the bind mount shows the new value")
            # The poll that brought it may have been under way; then the next one has. A third may
            # have begun while this was looked at.
            assert services.gets("pw") - polls <= 3


def test_a_descriptor_opened_by_name_keeps_its_version(mount, services, akvfs, folder):
    with bound(mount / "pw", folder / "bound") as file:
        first = rotate(mount, services, akvfs, "1")
        wait_until(lambda: file.read_bytes() == first, "the bind mount shows the new value")
        fd = os.open(mount / "pw", os.O_RDONLY)
        try:
            for number in range(2, 4):
                value = rotate(mount, services, akvfs, str(number))
                wait_until(lambda: file.read_bytes() == value, "the bind mount shows the new value")
                assert os.pread(fd, 4096, 0) == first
        finally:
            os.close(fd)


def test_what_is_not_bound_does_not_follow(mount, services, akvfs, folder):
    before = (mount / "pw").read_bytes()
    fd = os.open(mount / "pw", os.O_RDONLY)
    try:
        with bound(mount / "d/pw", folder / "bound") as file:
            value = rotate(mount, services, akvfs, "1")
            wait_until(lambda: file.read_bytes() == value, "the bind mount shows the new value")
            assert os.pread(fd, 4096, 0) == before
    finally:
        os.close(fd)


def test_a_new_worker_goes_on_with_it(mount, services, akvfs, folder):
    with bound(mount / "pw", folder / "bound") as file:
        first = rotate(mount, services, akvfs, "1")
        wait_until(lambda: file.read_bytes() == first, "the bind mount shows the new value")
        kill_worker(mount)
        assert file.read_bytes() == first

        services.set_secret("pw", secret("2"))
        wait_until(
            lambda: akvfs.run("refresh", mount.point).returncode == 0, "everything was fetched again"
        )
        value = (mount / "pw").read_bytes()
        assert value != first
        wait_until(lambda: file.read_bytes() == value, "the bind mount shows the newest value")


def test_a_new_worker_does_not_go_back(mount, services, akvfs, folder):
    """What a bind mount had been given stays, also while nobody has told the new worker of it."""
    before = (mount / "pw").read_bytes()
    with bound(mount / "pw", folder / "bound") as file:
        first = rotate(mount, services, akvfs, "1")
        wait_until(lambda: file.read_bytes() == first, "the bind mount shows the new value")
        for _ in range(5):
            worker = mount.status()["worker_pid"]
            os.kill(worker, signal.SIGKILL)
            drop_caches()
            assert file.read_bytes() == first != before, "asked of whoever comes next"
            wait_for_worker(mount, worker)
            assert file.read_bytes() == first


@pytest.mark.parametrize("words", [(), ("--worker",)], ids=["keeper", "worker"])
def test_a_new_program_goes_on_with_it(mount, services, akvfs, folder, words):
    """Its worker has the bytes of the journal, its keeper finds the bind mounts by itself."""
    before = (mount / "pw").read_bytes()
    with bound(mount / "pw", folder / "bound") as file:
        last = rotate(mount, services, akvfs, "1")
        wait_until(lambda: file.read_bytes() == last, "the bind mount shows the new value")
        for number in range(2, 4):
            inode = os.stat(file).st_ino
            akvfs.ok("upgrade", mount.point, *words)
            drop_caches()
            assert file.read_bytes() == last != before, "asked of the new worker"
            assert os.stat(file).st_ino == inode
            last = rotate(mount, services, akvfs, f"{number}, which is longer")
            wait_until(lambda: file.read_bytes() == last, "it follows with the new program, too")
            fd = os.open(mount / "pw", os.O_RDONLY)
            try:
                newer = rotate(mount, services, akvfs, f"{number}, once more")
                wait_until(lambda: file.read_bytes() == newer, "the bind mount shows the newest value")
                assert os.pread(fd, 4096, 0) == last, "what is not bound does not follow"
                last = newer
            finally:
                os.close(fd)


def test_a_keeper_s_heir_knows_when_a_bind_is_gone(mount, services, akvfs, folder):
    """What is told twice is bound once: the inode that was bound keeps its version afterwards."""
    held = os.open(mount / "pw", os.O_RDONLY)
    try:
        with bound(mount / "pw", folder / "bound") as file:
            first = rotate(mount, services, akvfs, "1")
            wait_until(lambda: file.read_bytes() == first, "the bind mount shows the new value")
            keeper = mount.status()["keeper_pid"]
            os.kill(keeper, signal.SIGKILL)
            wait_until(lambda: mount.status()["keeper_pid"] != keeper, "another keeper has taken over")
            second = rotate(mount, services, akvfs, "2, which is longer")
            wait_until(lambda: file.read_bytes() == second, "it follows with the heir, too")
            assert os.pread(held, 4096, 0) == second
        # The keeper has looked at mountinfo again when it knows of a bind that was made later.
        with bound(mount / "other", folder / "another") as another:
            value = secret("new").encode()
            services.set_secret("other", value.decode())
            akvfs.ok("refresh", mount.point)
            wait_until(lambda: another.read_bytes() == value, "it knows of that one")
            rotate(mount, services, akvfs, "3")
            assert os.pread(held, 4096, 0) == second
    finally:
        os.close(held)
