"""The keeper is killed: its heir takes over, nothing is lost, and rotation goes on."""

import os
import pathlib
import signal
import subprocess

import pytest

import machine
from machine import wait_until
from services import secret
from test_crash import crash, kill_worker
from warmth import Cold, look, settled, undisturbed

KILLS = int(os.environ.get("AKVFS_KEEPER_KILLS", "50"))


def kill_keeper(mount):
    before = mount.status()["keeper_pid"]
    os.kill(before, signal.SIGKILL)

    def replaced():
        status = mount.status()
        return status and status["keeper_pid"] != before

    wait_until(replaced, "another keeper has taken over")


def read(mount, who, name="pw"):
    """As the account that mounted: root may not look into an ordinary user's mount."""
    done = subprocess.run(
        who.words(["cat", str(mount / name)]), check=True, capture_output=True, timeout=machine.PATIENCE
    )
    return done.stdout


def test_a_killed_keeper_is_replaced_and_rotation_goes_on(akvfs, services, spc, who):
    first, second = secret(), secret()
    services.set_secret("pw", first)
    with akvfs.mount(spc(["pw"]), who=who) as mount:
        worker = mount.status()["worker_pid"]
        for _ in range(3):
            kill_keeper(mount)
            assert read(mount, who) == first.encode()
        assert mount.status()["worker_pid"] == worker, "the worker is the same"
        services.set_secret("pw", second)
        akvfs.ok("refresh", mount.point, who=who)
        wait_until(lambda: read(mount, who) == second.encode(), "the new value is read")


def guardian_of(keeper):
    children = pathlib.Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    return next((int(c) for c in children if name_of(c) == "akvfs-guardian"), None)


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except FileNotFoundError:
        return ""


def test_the_guardian_holds_no_mount_and_is_replaced_when_killed(akvfs, services, spc):
    value = secret()
    services.set_secret("pw", value)
    with akvfs.mount(spc(["pw"])) as mount:
        status = mount.status()
        keeper, worker = status["keeper_pid"], status["worker_pid"]
        wait_until(lambda: guardian_of(keeper), "there is a guardian")
        guardian = guardian_of(keeper)

        def sockets():
            return {h for h in machine.descriptors(worker) if "socket:" in h}

        def holds_no_mount():
            """Once it waits: it has begun as the keeper's copy."""
            held = machine.descriptors(guardian)
            return held and not [
                h
                for h in held
                if "fuse" in h or "akvfs-journal" in h or "secretmem" in h or h == str(mount.point)
            ]

        wait_until(holds_no_mount, "the guardian holds nothing of the mount")

        known = sockets()
        os.kill(guardian, signal.SIGKILL)
        wait_until(lambda: guardian_of(keeper) not in (None, guardian), "there is another guardian")
        wait_until(lambda: sockets() - known, "the worker knows of it")
        kill_keeper(mount)
        assert mount.read("pw") == value.encode()


def test_a_command_that_learns_late_of_an_heir_ends_as_the_heir_did(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount, machine.stopped(mount.process.pid):
        kill_keeper(mount)
        heir = mount.status()["keeper_pid"]
        akvfs.ok("unmount", mount.point)
        wait_until(lambda: machine.state_of(heir) == "Z", "the heir has ended")


def test_a_command_that_learns_of_an_heir_without_a_worker_stays_with_it(akvfs, services, spc):
    services.set_secret("pw", value := secret())
    with akvfs.mount(spc(["pw"])) as mount:
        killed, worker = (mount.status()[key] for key in ("keeper_pid", "worker_pid"))
        with machine.stopped(mount.process.pid):
            kill_keeper(mount)
            heir = mount.status()["keeper_pid"]
            os.kill(heir, signal.SIGSTOP)
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: machine.gone(killed), "the command has seen that the keeper is dead")
        os.kill(heir, signal.SIGCONT)
        wait_until(lambda: mount.status()["worker_pid"] != worker, "another worker has taken over")
        assert mount.read("pw") == value.encode()


def test_keeper_and_worker_killed_in_turn(akvfs, services, spc):
    services.set_secret("pw", first := secret())
    with akvfs.mount(spc(["pw"])) as mount:
        for _ in range(3):
            kill_keeper(mount)
            kill_worker(mount)
            assert mount.read("pw") == first.encode()


def test_a_stopped_worker_is_waited_for(akvfs, services, spc):
    """The heir can take nothing over from it yet; what is warm is there meanwhile."""

    def scene():
        services.set_secret("pw", first := secret())
        with akvfs.mount(spc(["pw"])) as mount:
            before = settled(mount)
            guardian = wait_until(lambda: guardian_of(before["keeper_pid"]), "there is a guardian")
            with machine.stopped(before["worker_pid"]):
                os.kill(before["keeper_pid"], signal.SIGKILL)
                wait_until(lambda: name_of(guardian) == "akvfs-keeper", "the heir asks")
                try:
                    seen = look(mount.point)
                    assert seen["./pw"] == first
                except Cold:
                    seen = None
            wait_until(lambda: mount.status()["keeper_pid"] == guardian, "it has taken over")
            services.set_secret("pw", second := secret())
            akvfs.ok("refresh", mount.point)
            assert mount.read("pw") == second.encode()
            return seen

    undisturbed(scene)


def test_an_heir_that_waits_for_a_stopped_worker_can_be_ended(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"]), status=1) as mount:
        before = mount.status()
        guardian = wait_until(lambda: guardian_of(before["keeper_pid"]), "there is a guardian")
        os.kill(before["worker_pid"], signal.SIGSTOP)
        wait_until(lambda: machine.state_of(before["worker_pid"]) == "T", "it is stopped")
        os.kill(before["keeper_pid"], signal.SIGKILL)
        wait_until(lambda: name_of(guardian) == "akvfs-keeper", "the heir asks")
        os.kill(guardian, signal.SIGTERM)
        wait_until(lambda: machine.gone(guardian), "it does not wait any longer")
        os.kill(before["worker_pid"], signal.SIGKILL)
        subprocess.run(["umount", "-l", str(mount.point)], check=True)
        wait_until(lambda: machine.gone(before["worker_pid"]) and not mount.mounted, "nothing is left")


def test_the_heir_unmounts_when_it_is_told_to(akvfs, services, spc, who):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"]), who=who) as mount:
        kill_keeper(mount)
        mount.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not mount.mounted, "it is unmounted")
        assert mount.process.wait(machine.PATIENCE) == 0, mount.log_text()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("victim", ["keeper", "both"])
def test_no_operation_fails_while_keepers_are_killed(folder, victim):
    """Eight threads of look-ups, reads and listings of uncached names, with rotation running."""
    # A worker's end, not a keeper's, costs the requests in its hands where nothing can be sent again.
    aborts = victim == "both" and not machine.resends()
    words = ["--no-resend"] if aborts else []
    seen = crash(folder, "--victim", victim, *words, kills=KILLS)
    assert aborts or seen["aborted"] == 0
    assert seen["rotates"]
