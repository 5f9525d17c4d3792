"""All files of a class together: `..data` and the folders that it points to."""

import os
import time

import pytest

import machine
from classes import element
from machine import wait_until
from services import secret
from test_stress import stress


@pytest.fixture
def pair(akvfs, services, spc):
    for name in ("crt", "key"):
        services.set_secret(name, secret("1"))
    text = spc([element("crt", alias="tls/crt"), element("key")])
    with akvfs.mount(text, "poll_interval=1h") as mount:
        yield mount


def rotate(mount, services, akvfs, text):
    """Both at once; returns what they are now."""
    values = {"tls/crt": secret(text), "key": secret(text)}
    services.set_secret("crt", values["tls/crt"])
    services.set_secret("key", values["key"])
    akvfs.ok("refresh", mount.point)
    return {name: value.encode() for name, value in values.items()}


def read_all(folder):
    return {name: (folder / name).read_bytes() for name in ("tls/crt", "key")}


def test_the_first_generation(pair):
    assert sorted(os.listdir(pair.point)) == ["..1", "..data", "key", "tls"]
    assert os.readlink(pair / "..data") == "..1"
    assert sorted(os.listdir(pair / "..data")) == ["key", "tls"]
    assert read_all(pair / "..data") == read_all(pair.point)
    plain, own = os.stat(pair / "key"), os.stat(pair / "..data" / "key")
    assert plain.st_ino != own.st_ino and plain.st_nlink == own.st_nlink == 1
    assert (plain.st_mode, plain.st_size) == (own.st_mode, own.st_size)


def test_a_set_of_changes_is_one_generation(pair, services, akvfs):
    for number in range(2, 6):
        values = rotate(pair, services, akvfs, str(number))
        wait_until(lambda: read_all(pair / "..data") == values, "..data shows both")
        assert read_all(pair.point) == values, "plain names come first"
    target = os.readlink(pair / "..data")
    assert pair.status()["generation"] == int(target[2:])
    # The one before stays, older ones go.
    wait_until(
        lambda: len([name for name in os.listdir(pair.point) if name[:2] == ".."]) == 3,
        "..data and two generations are listed",
    )
    assert not os.path.exists(pair / "..1")


def test_who_is_in_a_generation_stays_in_it(pair, services, akvfs):
    before = read_all(pair / "..data")
    folder = os.open(pair / "..data", os.O_PATH | os.O_DIRECTORY)
    try:
        for number in range(2, 7):
            values = rotate(pair, services, akvfs, str(number))
            wait_until(lambda: read_all(pair / "..data") == values, "..data shows both")
        for name, value in before.items():
            fd = os.open(name, os.O_RDONLY, dir_fd=folder)
            assert os.read(fd, 1 << 16) == value, "also when it is no longer listed"
            os.close(fd)
    finally:
        os.close(folder)


def shown(mount):
    """Generations that are listed."""
    return [name for name in os.listdir(mount.point) if name[2:].isdigit()]


@pytest.mark.parametrize("worker", ["lives", "is killed"])
def test_the_one_before_goes_after_a_poll_interval(worker, akvfs, services, spc):
    old, new = secret("1"), secret("2")
    services.set_secret("key", old)
    with akvfs.mount(spc(["key"]), "poll_interval=3s") as mount:
        folder = os.open(mount / "..data", os.O_PATH | os.O_DIRECTORY)
        try:
            services.set_secret("key", new)
            began = time.monotonic()
            akvfs.ok("refresh", mount.point)
            try:
                assert mount.read("..1/key") == old.encode(), "for those on their way to it"
            except FileNotFoundError:
                assert time.monotonic() - began > 3, "it went too soon"
            wait_until(lambda: mount.read("..data/key") == new.encode(), "..data is the new one")
            if worker == "is killed":
                os.kill(mount.status()["worker_pid"], 9)
            wait_until(lambda: not os.path.exists(mount / "..1"), "it has gone")
            wait_until(lambda: shown(mount) == ["..2"], "and is not listed")
            assert mount.read("..data/key") == new.encode()
            fd = os.open("key", os.O_RDONLY, dir_fd=folder)
            assert os.read(fd, 1 << 16) == old.encode(), "who is in it stays"
            os.close(fd)
        finally:
            os.close(folder)


def test_watchers_of_kubernetes_volumes_see_each(pair, services, akvfs, watch):
    folder = watch(pair.point, "moved_to", "create", "delete")
    for number in range(2, 6):
        values = rotate(pair, services, akvfs, str(number))
        wait_until(lambda: read_all(pair / "..data") == values, "..data shows both")
        folder.wait_for("MOVED_TO", "..data", count=number - 1)
    # A refresh may see the one object before the other, and then shows two generations, or, when
    # the second is there before the first is in place, the second alone.
    assert folder.count("MOVED_TO", "..data") <= pair.status()["generation"] - 1


def test_data_is_warm(pair):
    path = str(pair / "..data" / "key")

    def warm(mount):
        for _ in range(2):
            read_all(mount / "..data")

    def opens():
        for _ in range(10_000):
            fd = os.open(path, os.O_RDONLY)
            os.read(fd, 4096)
            os.close(fd)
            os.readlink(pair / "..data")

    assert machine.requests_during(pair, warm, opens) == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_certificate_and_key_are_never_of_two_versions(folder):
    """100,000 tries beside a rotation each millisecond."""
    seen = stress(folder, "pair", "--tries", 100_000)
    assert (seen["mixed"], seen["failed"]) == (0, 0)
    assert seen["tries"] == 100_000 and seen["missed"] < 1000
    assert seen["generations"] > 10
