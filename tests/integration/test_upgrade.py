"""akvfs upgrade: a new program takes everything over, or the old one goes on and says why not."""

import os
import pathlib
import shutil
import subprocess

import pytest

import machine
from machine import wait_until
from services import numbered, secret
from test_crash import crash, drop_caches, kill_worker, standby_of
from test_keeper import kill_keeper, read

UPGRADES = int(os.environ.get("AKVFS_UPGRADES", "20"))


@pytest.fixture
def newer(akvfs, folder):
    """newer() -> a copy of the program, at another place each time."""
    made = []

    def make(mode=0o755, owner=0):
        path = folder / f"akvfs-new-{len(made)}"
        shutil.copy(akvfs.binary, path)
        os.chown(path, owner, owner)
        path.chmod(mode)
        made.append(path)
        return path

    return make


def program_of(pid):
    return pathlib.Path(os.readlink(f"/proc/{pid}/exe"))


def ids(mount):
    status = mount.status()
    return status["keeper_pid"], status["worker_pid"]


def test_keeper_and_worker_are_of_the_new_program(akvfs, services, spc, who, newer):
    first, second = secret(), secret()
    services.set_secret("pw", first)
    with akvfs.mount(spc(["pw"]), who=who) as mount:
        before, program = ids(mount), newer(owner=who.uid)
        done = akvfs.ok("upgrade", mount.point, "--binary", program, who=who)
        after = ids(mount)
        assert not set(before) & set(after)
        assert "serves" in done.out and str(after[0]) in done.out and str(after[1]) in done.out
        assert {program_of(pid) for pid in after} == {program}
        assert read(mount, who) == first.encode()
        services.set_secret("pw", second)
        akvfs.ok("refresh", mount.point, who=who)
        wait_until(lambda: read(mount, who) == second.encode(), "rotation goes on")


def test_the_worker_alone(akvfs, services, spc, newer):
    services.set_secret("pw", first := secret())
    with akvfs.mount(spc(["pw"])) as mount:
        keeper, worker = ids(mount)
        old, program = program_of(keeper), newer()
        akvfs.ok("upgrade", "--worker", "--binary", program)
        assert ids(mount)[0] == keeper and ids(mount)[1] != worker
        assert program_of(keeper) == old and program_of(ids(mount)[1]) == program
        # Whoever comes after a crash is of the new program too, under the next keeper as well.
        kill_worker(mount)
        assert program_of(ids(mount)[1]) == program
        kill_keeper(mount)
        kill_worker(mount)
        assert program_of(ids(mount)[1]) == program
        assert mount.read("pw") == first.encode()


@pytest.mark.parametrize("words", [(), ("--worker",)], ids=["keeper", "worker"])
def test_the_worker_that_is_held_ready_is_of_the_new_program(akvfs, services, spc, newer, words):
    services.set_secret("pw", value := secret())
    with akvfs.mount(spc(["pw"])) as mount:
        before = wait_until(lambda: standby_of(ids(mount)[0]), "a worker is held ready")
        program = newer()
        akvfs.ok("upgrade", "--binary", program, *words)
        wait_until(lambda: machine.gone(before), "the one of the old program is ended")

        def held_ready():
            found = standby_of(ids(mount)[0])
            return found and program_of(found) == program and found

        standby = wait_until(held_ready, "one of the new program is held ready")
        assert kill_worker(mount) == standby
        assert program_of(standby) == program and mount.read("pw") == value.encode()


def test_in_the_background_several_mounts_and_a_crash_later(akvfs, services, spc, newer, watch):
    for name in "abc":
        services.set_secret(name, numbered(1))
    with akvfs.background(spc(["a"])) as a, akvfs.background(spc(["b"])), akvfs.background(spc(["c"])) as c:
        watching = watch(a.point, "moved_to")
        held = open(a / "a", "rb")
        akvfs.ok("upgrade", "--binary", newer())
        akvfs.ok("upgrade", "--binary", newer())
        drop_caches()
        services.set_secret("a", numbered(2))
        akvfs.ok("refresh")
        a.wait_for("a", numbered(2))
        watching.wait_for("MOVED_TO", "a")
        assert held.read() == numbered(1).encode()
        held.close()
        kill_keeper(a)
        kill_worker(a)
        drop_caches()
        assert c.read("c") == numbered(1).encode()
        assert len(akvfs.status()["mounts"]) == 3


def test_the_vault_need_not_be_there(akvfs, services, spc, newer):
    services.set_secret("pw", value := secret())
    with akvfs.mount(spc(["pw"])) as mount:
        services.outage()
        akvfs.ok("upgrade", "--binary", newer())
        drop_caches()
        assert mount.read("pw") == value.encode()
        services.recover()


def test_it_ends_as_it_always_does(akvfs, services, spc, newer):
    """mount -f, whose own child the first keeper was, passes signals on and sees the end."""
    services.set_secret("pw", first := secret())
    with akvfs.mount(spc(["pw"]), "poll_interval=1h") as mount:
        for _ in range(2):
            akvfs.ok("upgrade", "--binary", newer())
        services.set_secret("pw", second := secret())
        assert mount.read("pw") == first.encode()
        mount.process.send_signal(1)
        mount.wait_for("pw", second)
        mount.process.terminate()
        assert mount.process.wait(machine.PATIENCE) == 0, mount.log_text()
        assert not mount.mounted


# --- refused, and the old one goes on ---


def refused(akvfs, mount, *words, hint=""):
    before, value = ids(mount), mount.read("pw")
    done = akvfs.run("upgrade", *words)
    assert done.returncode == 1 and hint in done.err, done.err
    assert ids(mount) == before
    drop_caches()
    assert mount.read("pw") == value
    return done.err


@pytest.fixture
def shown(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        yield mount
        services.set_secret("pw", value := secret())
        mount.wait_for("pw", value)


@pytest.mark.parametrize("words", [(), ("--worker",)], ids=["keeper", "worker"])
class TestRefused:
    def test_somebody_else_s_program(self, akvfs, shown, newer, user, words):
        refused(akvfs, shown, "--binary", newer(owner=user.uid), *words, hint="belongs to somebody else")

    def test_one_that_others_can_write_to(self, akvfs, shown, newer, words):
        refused(akvfs, shown, "--binary", newer(mode=0o775), *words, hint="others can write to it")

    def test_one_that_is_not_executable(self, akvfs, shown, newer, words):
        refused(akvfs, shown, "--binary", newer(mode=0o644), *words, hint="not executable")

    def test_one_that_ends_at_once(self, akvfs, shown, folder, words):
        shutil.copy("/bin/false", folder / "false")
        refused(akvfs, shown, "--binary", folder / "false", *words, hint="before it was ready")

    def test_one_that_is_no_program(self, akvfs, shown, folder, words):
        (folder / "text").write_text("hello\n")
        (folder / "text").chmod(0o755)
        refused(akvfs, shown, "--binary", folder / "text", *words, hint="before it was ready")

    @pytest.mark.parametrize("what", ["protocol", "journal"])
    def test_one_of_another_version(self, akvfs, shown, words, what):
        """tests/integration/stress/other.c speaks as a program of the next version would."""
        other = machine.BUILD / "tests" / f"stress-other-{what}"
        text = refused(akvfs, shown, "--binary", other, *words, hint="version")
        assert "unmount, and mount with the new program" in text

    def test_one_that_is_killed_while_it_takes_over(self, akvfs, shown, words):
        refused(akvfs, shown, "--binary", machine.BUILD / "tests" / "stress-other-dies", *words)


def test_a_worker_that_ends_when_it_takes_over(akvfs, shown):
    """It was ready, so the old one has made way: workers of the old program come again."""
    old = program_of(ids(shown)[1])
    done = akvfs.run("upgrade", "--worker", "--binary", machine.BUILD / "tests" / "stress-other-late")
    assert done.returncode == 1 and "workers of the old program go on" in done.err
    drop_caches()
    assert shown.read("pw")
    wait_until(lambda: program_of(ids(shown)[1]) == old, "a worker of the old program serves")


def test_nothing_is_there_to_upgrade(akvfs, folder):
    done = akvfs.run("upgrade")
    assert done.returncode == 1 and "nothing is mounted" in done.err
    done = akvfs.run("upgrade", folder)
    assert done.returncode == 1 and str(folder) in done.err
    for words in (["--binary", folder / "gone"], [folder / "gone"]):
        done = akvfs.run("upgrade", *words)
        assert done.returncode == 1 and "/gone" in done.err and "mounted" not in done.err


def test_only_root_and_who_mounted_may_ask(akvfs, services, spc, user, newer):
    """The door is in a folder of root's alone; opened to everybody it is guarded still."""
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        door = next(pathlib.Path("/run/akvfs").glob("k-*.sock"))
        script = (
            "import socket, sys\n"
            "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
            f"s.connect('{door}')\n"
            "s.settimeout(20)\n"
            "print(len(s.recv(9000)))\n"
        )
        words = user.words(["/usr/bin/python3", "-c", script])
        assert "PermissionError" in subprocess.run(words, capture_output=True, text=True).stderr
        door.parent.chmod(0o711)
        door.chmod(0o666)
        try:
            assert subprocess.run(words, capture_output=True, text=True).stdout == "0\n"
            mount.wait_for_log("was turned away")
        finally:
            door.parent.chmod(0o700)


# --- under load ---


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("victim", ["upgrade-worker", "upgrade"])
@pytest.mark.parametrize("resend", ["", "--no-resend"])
def test_no_operation_fails_while_programs_are_replaced(folder, victim, resend):
    """Eight threads of look-ups, reads and listings of uncached names, with rotation running. What
    the kernel could send again is not needed: a worker that makes way leaves nothing unanswered."""
    words = [resend] if resend else []
    seen = crash(folder, "--victim", victim, *words, kills=UPGRADES)
    assert seen["aborted"] == 0 and seen["rotates"], seen
