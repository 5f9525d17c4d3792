"""The end of a mount: asked for, signalled, killed, under load."""

import contextlib
import os
import signal
import subprocess
import threading

import pytest

import machine
from machine import wait_until
from services import numbered, secret


def finish_by(akvfs, mount):
    wait_until(lambda: not machine.is_mounted(mount.point), "it is unmounted")
    assert mount.process.wait(machine.PATIENCE) is not None


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_unmounts_cleanly(akvfs, services, spc, who, signum):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"]), who=who) as mount:
        mount.process.send_signal(signum)
        finish_by(akvfs, mount)
        assert mount.process.returncode == 0, mount.log_text()


def test_sigterm_with_a_readers_file_open(akvfs, services, spc):
    value = secret()
    services.set_secret("pw", value)
    with akvfs.mount(spc(["pw"])) as mount:
        fd = os.open(mount / "pw", os.O_RDONLY)
        try:
            assert os.read(fd, 5) == value.encode()[:5]
            mount.process.send_signal(signal.SIGTERM)
            finish_by(akvfs, mount)
            assert mount.process.returncode == 0, mount.log_text()
            assert list(mount.point.iterdir()) == []
        finally:
            with contextlib.suppress(OSError):  # close(2) may say that the mount is gone
                os.close(fd)


def test_sigterm_to_the_worker_unmounts(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        os.kill(mount.status()["worker_pid"], signal.SIGTERM)
        finish_by(akvfs, mount)


def test_umount_by_somebody_else_ends_it(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        subprocess.run(["umount", str(mount.point)], check=True)
        finish_by(akvfs, mount)


def test_unmount_under_load(akvfs, services, spc, readers):
    services.set_secret("big", numbered(0))
    with akvfs.mount(spc(["big"])) as mount:
        group = readers(mount / "big", 3)
        held = [os.open(mount / "big", os.O_RDONLY) for _ in range(10)]
        stop = threading.Event()

        def rotate():
            number = 1
            while not stop.is_set():
                services.set_secret("big", numbered(number))
                number += 1

        rotating = threading.Thread(target=rotate)
        rotating.start()
        try:
            akvfs.ok("unmount", mount.point)
            wait_until(lambda: not mount.mounted, "it is unmounted")
        finally:
            stop.set()
            rotating.join()
            for fd in held:
                with contextlib.suppress(OSError):
                    os.close(fd)
        # The readers meet errors from then on, and never half a version.
        sums = group.stop()
        assert sums["torn"] == 0, sums


def test_unmount_of_what_is_not_mounted(akvfs, folder):
    done = akvfs.run("unmount", akvfs.point())
    assert done.returncode == 1
    assert "not" in done.err and str(folder) in done.err


def test_mount_and_unmount_many_times(akvfs, services, spc, who):
    services.set_secret("pw", secret())
    point = akvfs.point(who)
    for _ in range(10):
        with akvfs.mount(spc(["pw"]), point=point, who=who):
            pass


def test_several_mounts_at_once(akvfs, services, spc):
    values = {f"s{i}": secret(str(i)) for i in range(8)}
    for name, value in values.items():
        services.set_secret(name, value)
    with contextlib.ExitStack() as stack:
        # Half of them share a worker, half have one of their own.
        mounts = {
            name: stack.enter_context((akvfs.mount, akvfs.background)[i % 2](spc([name])))
            for i, name in enumerate(values)
        }
        for name, mount in mounts.items():
            assert mount.read(name) == values[name].encode()
        seen = {row["mountpoint"] for row in akvfs.status()["mounts"]}
        assert seen == {str(mount.point) for mount in mounts.values()}


def start(akvfs, text, who):
    """A mount whose end is the test's own affair: killed ones do not end with status 0."""
    context = akvfs.mount(text, who=who)
    return context.__enter__()


def nothing_is_in_the_way(akvfs, text, who, point):
    """The same mount can be made again; that also takes away the socket of the one that was killed."""
    with akvfs.background(text, who=who, point=point):
        pass


def test_a_killed_worker_leaves_no_mount_that_hangs(akvfs, services, spc, who):
    services.set_secret("pw", secret())
    services.set_secret("cold", secret())
    mount = start(akvfs, spc(["pw", "cold"]), who)
    worker = mount.status()["worker_pid"]
    os.kill(worker, signal.SIGKILL)

    # Whether it is served again or goes away, whoever reads gets an answer.
    def answered(name):
        return subprocess.run(
            who.words(["cat", str(mount / name)]), capture_output=True, timeout=machine.PATIENCE
        ).returncode

    answered("cold")

    def settled():
        return not mount.mounted or (
            answered("pw") == 0 and mount.status()["worker_pid"] not in (None, worker)
        )

    wait_until(settled, "the mount is gone, or another worker serves it")
    if mount.mounted:
        akvfs.ok("unmount", mount.point, who=who)
    wait_until(lambda: mount.process.poll() is not None, "the keeper has ended")
    assert not mount.mounted
    nothing_is_in_the_way(akvfs, spc(["pw"]), who, mount.point)


def test_a_killed_keeper_leaves_no_mount_that_hangs(akvfs, services, spc, who):
    services.set_secret("pw", secret())
    mount = start(akvfs, spc(["pw"]), who)
    os.kill(mount.status()["keeper_pid"], signal.SIGKILL)
    subprocess.run(
        who.words(["cat", str(mount / "pw")]), capture_output=True, timeout=machine.PATIENCE
    )
    if mount.mounted:
        akvfs.run("unmount", mount.point, who=who)
    wait_until(lambda: not mount.mounted, "it is unmounted")
    nothing_is_in_the_way(akvfs, spc(["pw"]), who, mount.point)


def test_the_mount_command_killed_while_it_waits_leaves_nothing(akvfs, services, spc, who):
    services.set_secret("pw", secret())
    services.latency(600_000)
    point = akvfs.point(who)
    path = akvfs.class_file(spc(["pw"]))
    process = subprocess.Popen(
        who.words([str(akvfs.binary), *akvfs.words(path, point)]),
        env=akvfs.environment(who),
        # As from a terminal: a shell's background job, which these tests may be, ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: services.requests() > 0, "it has begun to ask")
    process.send_signal(signal.SIGINT)
    assert process.wait(machine.PATIENCE) != 0
    wait_until(lambda: not machine.processes(akvfs.binary), "its processes have ended")
    assert not machine.is_mounted(point)


def test_systemd_is_told(akvfs, services, spc):
    """A service of Type=notify: ready when everything can be read, stopping when it ends."""
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        assert "READY=1" in mount.told.lines and mount.mounted
        assert "STOPPING=1" not in mount.told.lines
        mount.process.send_signal(signal.SIGTERM)
        wait_until(lambda: mount.told.has("STOPPING=1"), "it says that it stops")
        finish_by(akvfs, mount)
