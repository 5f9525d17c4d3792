"""A new version takes the place of the old one: whole, at once, and seen by watchers."""

import mmap
import os
import signal

import pytest

from classes import element
from machine import plain_names, wait_until
from services import numbered, secret
from test_keeper import read


def test_the_next_open_sees_the_new_version(akvfs, services, spc, who):
    services.set_secret("pw", secret("1"))
    with akvfs.mount(spc(["pw"]), who=who) as mount:
        for number in range(2, 5):
            value = secret(f"value {number}" * number)
            services.set_secret("pw", value)
            if who.is_root:
                mount.wait_for("pw", value)
                assert os.stat(mount / "pw").st_size == len(value)
                assert os.stat(mount / "pw").st_mtime == services.updated("pw")
            else:
                wait_until(lambda: read(mount, who) == value.encode(), "the user reads the new value")


def test_an_open_descriptor_keeps_its_version(akvfs, services, spc):
    old, new = secret("old" * 3000), secret("new")
    services.set_secret("pw", old)
    with akvfs.mount(spc(["pw"])) as mount:
        never_read = os.open(mount / "pw", os.O_RDONLY)
        half_read = os.open(mount / "pw", os.O_RDONLY)
        try:
            assert os.read(half_read, 4096) == old.encode()[:4096]
            with mmap.mmap(half_read, 0, prot=mmap.PROT_READ) as mapped:
                services.set_secret("pw", new)
                mount.wait_for("pw", new)
                assert mapped[:] == old.encode()
                assert os.read(half_read, 10**6) == old.encode()[4096:]
                assert os.read(never_read, 10**6) == old.encode()
                assert os.fstat(never_read).st_size == len(old)
                # Not the same file any more.
                assert os.fstat(never_read).st_ino != os.stat(mount / "pw").st_ino
        finally:
            os.close(never_read)
            os.close(half_read)


@pytest.mark.parametrize("name", ["pw", "tls/deep/pw"])
def test_watchers_see_each_rotation(akvfs, services, spc, watch, name):
    services.set_secret("pw", secret("1"))
    with akvfs.mount(spc([element("pw", alias=name)])) as mount:
        path = mount / name
        folder = watch(path.parent, "moved_to", "delete", "create")
        for number in range(2, 6):
            file = watch(path, "attrib", "delete_self")
            value = secret(str(number))
            services.set_secret("pw", value)
            mount.wait_for(name, value)
            folder.wait_for("MOVED_TO", "pw", count=number - 1)
            file.wait_for("ATTRIB")
            file.wait_for("DELETE_SELF")
        # One event a rotation for the name itself; beside it, at the top, only ..data moves.
        assert folder.count("MOVED_TO", "pw") == 4
        others = [line for line in folder.lines() if line != "MOVED_TO pw"]
        assert set(others) <= ({"MOVED_TO ..data"} if path.parent == mount.point else set())


def test_a_watched_file_that_is_held_tells_by_attrib(akvfs, services, spc, watch):
    services.set_secret("pw", secret("1"))
    with akvfs.mount(spc(["pw"])) as mount:
        held = os.open(mount / "pw", os.O_RDONLY)
        try:
            file = watch(mount / "pw", "attrib", "delete_self")
            services.set_secret("pw", secret("2"))
            file.wait_for("ATTRIB")
            assert file.count("DELETE_SELF") == 0
        finally:
            os.close(held)
        file.wait_for("DELETE_SELF")


def test_nothing_happens_when_nothing_is_new(akvfs, services, spc, watch):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        before = os.stat(mount / "pw")
        folder = watch(mount.point, "moved_to", "delete", "create", "attrib")
        polls = services.gets("pw")
        wait_until(lambda: services.gets("pw") >= polls + 3, "three more polls")
        akvfs.ok("refresh", mount.point)
        assert folder.lines() == []
        assert os.stat(mount / "pw") == before
        assert mount.status()["generation"] == 1


@pytest.mark.slow
def test_readers_beside_rotations_see_whole_versions(akvfs, services, spc, readers):
    """As fast as the services and `akvfs refresh` can; tests/integration/stress goes faster."""
    services.set_secret("big", numbered(0))
    with akvfs.mount(spc(["big"]), "poll_interval=1h") as mount:
        whole = readers(mount / "big", 3)
        held = readers(mount / "big", 1, mode="held")
        for number in range(1, 61):
            services.set_secret("big", numbered(number))
            akvfs.ok("refresh", mount.point)
        mount.wait_for("big", numbered(60))
        sums, kept = whole.stop(), held.stop()
        assert sums["reads"] > 100 and kept["reads"] > 100
        assert (sums["torn"], sums["errors"], sums["backwards"]) == (0, 0, 0), sums
        assert sums["values"] >= 3 * 10, "the readers saw too few of 60 rotations"
        assert (kept["torn"], kept["errors"]) == (0, 0), kept


def test_many_objects_rotate_at_once(akvfs, services, spc):
    names = [f"s{i}" for i in range(50)]
    for name in names:
        services.set_secret(name, secret("old"))
    with akvfs.mount(spc(names), "poll_interval=1h") as mount:
        values = {name: secret(f"new {name}") for name in names}
        for name, value in values.items():
            services.set_secret(name, value)
        akvfs.ok("refresh", mount.point)
        for name, value in values.items():
            mount.wait_for(name, value)
        assert plain_names(mount.point) == sorted(names)


def test_sighup_polls_now(akvfs, services, spc):
    services.set_secret("pw", secret("1"))
    with akvfs.mount(spc(["pw"]), "poll_interval=1h") as mount:
        value = secret("2")
        services.set_secret("pw", value)
        mount.process.send_signal(signal.SIGHUP)
        mount.wait_for("pw", value)


def test_refresh_returns_when_the_new_value_can_be_read(akvfs, services, spc):
    services.set_secret("pw", secret("1"))
    with akvfs.mount(spc(["pw"]), "poll_interval=off") as mount:
        for number in range(2, 12):
            value = secret(str(number))
            services.set_secret("pw", value)
            akvfs.ok("refresh", mount.point)
            mount.wait_for("pw", value)
        assert mount.status()["generation"] == 11
        assert mount.status()["next_poll"] is None


def test_a_value_that_only_changes_its_time_is_a_new_version(akvfs, services, spc):
    """The same bytes set again are another version: time and version follow."""
    value = secret("same")
    services.set_secret("pw", value)
    with akvfs.mount(spc(["pw"]), "poll_interval=1h") as mount:
        version = services.set_secret("pw", value)
        akvfs.ok("refresh", mount.point)
        wait_until(
            lambda: mount.status()["objects"][0]["version"] == version, "status shows the new version"
        )
        assert mount.read("pw") == value.encode()
