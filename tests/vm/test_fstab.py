"""Lines of fstab as systemd mounts them: generated units and remote-fs.target."""

import subprocess

import pytest

import machine
from machine import wait_until
from services import secret
from units import fstab, shown, state, systemctl, unit


@pytest.fixture
def line(akvfs, services, helper, folder):
    """line(class text, options) -> (mount point, a line of fstab)"""
    environment = folder / "env"
    environment.write_text(services.env_file())
    environment.chmod(0o600)

    def make(text, options):
        point = akvfs.point()
        path = akvfs.class_file(text, f"{point.name}.yaml")
        words = f"{options},poll_interval=1h,env_file={environment},{services.mount_options()}"
        return point, f"{path} {point} akvfs {words} 0 0"

    return make


def test_the_generated_unit(akvfs, services, spc, line):
    value = secret()
    services.set_secret("pw", value)
    point, text = line(spc(["pw"]), "noauto,_netdev,mode=0400")
    with fstab(text) as (mount,):
        assert "remote-fs-pre.target" in shown(mount, "After")
        assert "network.target" in shown(mount, "After")
        systemctl("start", mount)
        assert state(mount) == "active"
        assert (point / "pw").read_bytes() == value.encode()
        systemctl("stop", mount)
        assert state(mount) == "inactive"
        assert not machine.is_mounted(point)


def test_who_unmounts_by_hand_ends_the_unit(akvfs, services, spc, line):
    services.set_secret("pw", secret())
    point, text = line(spc(["pw"]), "noauto")
    for words in (["umount", point], [akvfs.binary, "unmount", point]):
        with fstab(text) as (mount,):
            systemctl("start", mount)
            subprocess.run(list(map(str, words)), check=True)
            wait_until(lambda: state(mount) == "inactive", "systemd sees that it is gone")


def test_one_unit_does_not_take_the_others_mount_along(akvfs, services, spc, line):
    """Both are served by one daemon, which began its life in the first one's control group."""
    services.set_secret("a", secret("a"))
    services.set_secret("b", secret("b"))
    first, second = line(spc(["a"]), "noauto"), line(spc(["b"]), "noauto")
    with fstab(first[1], second[1]) as (one, two):
        systemctl("start", one)
        systemctl("start", two)
        before = akvfs.status(second[0])["mounts"][0]
        systemctl("stop", one)
        assert state(one) == "inactive" and state(two) == "active"
        assert not machine.is_mounted(first[0])
        after = akvfs.status(second[0])["mounts"][0]
        for who in ("keeper_pid", "worker_pid"):
            assert after[who] == before[who], who
        value = secret("rotated")
        services.set_secret("b", value)
        akvfs.ok("refresh", second[0])
        wait_until(lambda: (second[0] / "b").read_bytes() == value.encode(), "it rotates")
        # And back again, into a control group that has something in it already.
        systemctl("start", one)
        assert (first[0] / "a").read_bytes()


def test_mount_a(akvfs, services, spc, line):
    services.set_secret("a", secret("a"))
    services.set_secret("b", secret("b"))
    lines = [line(spc([name]), "_netdev") for name in ("a", "b")]
    with fstab(*(text for _, text in lines)) as units:
        for _ in range(2):  # what is mounted is left alone
            subprocess.run(["mount", "-a", "-t", "akvfs"], check=True)
            for (point, _), name in zip(lines, ("a", "b")):
                assert (point / name).read_bytes().startswith(name.encode())
                assert len(machine.mounts_below(point)) == 1
        wait_until(lambda: [state(it) for it in units] == ["active"] * 2, "systemd has seen them")


def test_booting_goes_on_without_a_mount_that_may_fail(akvfs, services, spc, line):
    """remote-fs.target is what a boot waits for."""
    point, text = line(spc(["never-made"]), "_netdev,nofail")
    with fstab(text) as (mount,):
        systemctl("restart", "remote-fs.target")
        wait_until(lambda: state(mount) == "failed", "the mount has failed")
        assert state("remote-fs.target") == "active"
        assert not machine.is_mounted(point)


def test_booting_stops_at_a_mount_that_must_not_fail(akvfs, services, spc, line):
    point, text = line(spc(["made-later"]), "_netdev")
    with fstab(text) as (mount,):
        done = subprocess.run(["systemctl", "restart", "remote-fs.target"], capture_output=True)
        assert done.returncode != 0 and state(mount) == "failed"
        services.set_secret("made-later", secret())
        systemctl("start", "remote-fs.target")
        assert state(mount) == "active"
        assert (point / "made-later").read_bytes()
    systemctl("start", "remote-fs.target")


def test_a_service_that_needs_the_files(akvfs, services, spc, line, folder):
    value = secret()
    services.set_secret("pw", value)
    point, text = line(spc(["pw"]), "noauto")
    seen = folder / "seen"
    service = (
        f"[Unit]\nRequiresMountsFor={point}\n"
        f"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=cp {point}/pw {seen}\n"
    )
    with fstab(text) as (mount,), unit("akvfs-test-user.service", service) as user:
        systemctl("start", user)
        assert seen.read_bytes() == value.encode()
        systemctl("stop", mount)
        assert state(user) == "inactive", "who needs a mount is stopped before it goes"
