"""Under a service manager that keeps descriptors: a restart, and the death of everything at once,
take no mount away. Here the manager is this test, which does what systemd.service(5) and
sd_notify(3) say; a machine with systemd is another test's (make test-vm)."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import uuid

import pytest

import machine
from machine import wait_until
from services import numbered, secret
from test_crash import children, drop_caches
from test_keeper import kill_keeper


class Manager:
    """$NOTIFY_SOCKET and the descriptor store of one unit."""

    def __init__(self, folder):
        self.address = folder / f"manager-{uuid.uuid4().hex[:6]}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.address))
        self.address.chmod(0o666)
        self.lines, self.store = [], []  # (name, descriptor)
        self.lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        with contextlib.suppress(OSError):
            while True:
                text, passed, *_ = socket.recv_fds(self.socket, 4096, 16, socket.MSG_CMSG_CLOEXEC)
                lines = text.decode().split("\n")
                if "QUIT=1" in lines:
                    return
                fields = dict(line.split("=", 1) for line in lines if "=" in line)
                with self.lock:
                    self.lines += lines
                    name = fields.get("FDNAME", "stored")
                    if "FDSTORE" in fields:
                        self.store += [(name, fd) for fd in passed]
                    if "FDSTOREREMOVE" in fields:
                        for row in [row for row in self.store if row[0] == name]:
                            os.close(row[1])
                            self.store.remove(row)

    def has(self, line):
        with self.lock:
            return line in self.lines

    def names(self):
        with self.lock:
            return sorted(name for name, _ in self.store)

    def forget_lines(self):
        with self.lock:
            self.lines.clear()

    def drop(self):
        """As for a unit that has stopped: everything is closed."""
        with self.lock:
            for _, fd in self.store:
                os.close(fd)
            self.store.clear()

    def close(self):
        self.drop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"QUIT=1", str(self.address))
        self.socket.close()


# Descriptors from 3 on, and LISTEN_PID, which only the process itself knows.
BECOME = """
import os, sys
fds = [int(fd) for fd in sys.argv[1].split(",") if fd]
high = [os.dup2(fd, 200 + i) for i, fd in enumerate(fds)]
os.closerange(3, 200)
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
    os.close(fd)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Unit:
    """Starts `akvfs mount -f --keep-on-restart` again and again, as a unit of systemd's is."""

    def __init__(self, akvfs, folder, text, options, who):
        self.akvfs, self.who, self.options = akvfs, who, options
        self.manager = Manager(folder)
        self.point = akvfs.point(who)
        self.write(text)
        self.log = folder / f"log-{uuid.uuid4().hex[:6]}"
        self.log.touch()
        akvfs.logs.append(self.log)
        self.process = None

    def write(self, text):
        self.class_path = self.akvfs.class_file(text, f"class-{uuid.uuid4().hex[:6]}.yaml")

    def start(self, wait=True, **env):
        words = self.akvfs.words(self.class_path, self.point, self.options, foreground=True)
        words.insert(2, "--keep-on-restart")
        with self.manager.lock:
            stored = list(self.manager.store)
            self.manager.lines.clear()
        fds = [fd for _, fd in stored]
        environment = self.akvfs.environment(self.who, NOTIFY_SOCKET=self.manager.address, **env)
        if fds:
            environment |= {"LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(n for n, _ in stored)}

        argv = self.who.words([str(self.akvfs.binary), *map(str, words)])
        become = [sys.executable, "-c", BECOME, ",".join(map(str, fds)), *argv]
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                become,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=fds,
            )
        self.akvfs.started.append((self.point, self.process, self.who))
        if wait:
            wait_until(lambda: self.manager.has("READY=1") or self.process.poll() is not None, "it is ready")
            assert self.process.poll() is None, self.log.read_text()

    def stored(self):
        """A record, a connection and a journal; nothing of what was before."""
        kinds = [name.rsplit("-", 1)[0] if name != "akvfs-record" else name for name in self.manager.names()]
        return kinds == ["akvfs-area", "akvfs-fuse", "akvfs-record"]

    def status(self):
        rows = self.akvfs.status(self.point, who=self.who)["mounts"]
        return rows[0] if rows else None

    def kill_everything(self):
        """As the out-of-memory killer does with OOMPolicy=kill, or systemd with what does not end."""
        group = []
        # Stopped first, so that nobody takes anybody's place; one that was just being forked too.
        while new := [pid for pid in (self.process.pid, *descendants(self.process.pid)) if pid not in group]:
            for pid in new:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
            wait_until(lambda: all(machine.state_of(p) in (None, "T", "Z") for p in new), "they are stopped")
            group += new
        # The command last: at the end of a session's leader what is stopped gets SIGHUP and goes on.
        for pid in reversed(group):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: all(machine.gone(pid) for pid in group), "all are dead")

    def read(self, name="pw"):
        return subprocess.run(
            self.who.words(["cat", str(self.point / name)]), check=True, capture_output=True, timeout=60
        ).stdout

    def stop(self):
        self.process.terminate()
        assert self.process.wait(machine.PATIENCE) == 0, self.log.read_text()
        assert not machine.is_mounted(self.point)


def descendants(pid):
    found = []
    for child in children(pid):
        found += [child, *descendants(child)]
    return found


@pytest.fixture
def unit(akvfs, folder):
    units = []

    def make(text, options="poll_interval=1s", who=None):
        units.append(Unit(akvfs, folder, text, options, who or akvfs.default))
        return units[-1]

    yield make
    for it in units:
        it.manager.close()


@pytest.fixture
def running(unit):
    """running(text, ...) -> a unit that has started, and of which everything is stored"""

    def make(text, options="poll_interval=1s", who=None, **env):
        service = unit(text, options, who)
        service.start(**env)
        wait_until(service.stored, "everything is stored")
        return service

    return make


def test_what_is_stored_and_that_nothing_is_after_a_stop(services, spc, running):
    services.set_secret("pw", secret())
    service = running(spc(["pw"]))
    service.stop()
    wait_until(lambda: service.manager.names() == [], "nothing is kept")


def test_everything_is_killed_at_once(services, spc, unit, who):
    first, second = numbered(1), numbered(2)
    services.set_secret("pw", first)
    service = unit(spc(["pw"]), who=who)
    service.start()
    for round_ in range(3):
        wait_until(service.stored, "everything is stored")
        before = service.status()
        service.kill_everything()
        assert machine.is_mounted(service.point)
        if who.is_root:
            drop_caches()
        # Somebody comes before there is anybody to answer: he waits, and gets what he came for.
        reader = subprocess.Popen(
            who.words(["cat", str(service.point / "pw")]), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        service.start()
        out, err = reader.communicate(timeout=machine.PATIENCE)
        assert out == first.encode(), err
        after = service.status()
        assert after["worker_starts"] > before["worker_starts"]
        assert "is mounted anew" not in service.log.read_text()
    services.set_secret("pw", second)
    wait_until(lambda: service.read() == second.encode(), "rotation goes on")
    service.stop()


def test_what_the_manager_holds_is_not_dead(services, spc, running):
    """A mount that nobody serves is in the way of nobody else, but this one has an owner."""
    services.set_secret("pw", value := secret())
    service = running(spc(["pw"]))
    service.kill_everything()
    done = service.akvfs.run("mount", service.class_path, service.point)
    assert done.returncode == 1 and "removing that mount" not in done.err, done.err
    assert machine.is_mounted(service.point)
    service.start()
    assert service.read() == value.encode()
    assert "removing that mount" not in service.log.read_text()
    service.manager.drop()
    service.kill_everything()
    service.start()
    assert "removing that mount" in service.log.read_text()
    assert service.read() == value.encode()
    service.stop()


def test_open_files_and_the_vault_s_absence(services, spc, running, watch):
    services.set_secret("pw", first := numbered(1))
    service = running(spc(["pw"]), "poll_interval=1h")
    watching = watch(service.point, "moved_to")
    # The first close of a mount asks with FLUSH. This process must not be the one that waits for it
    # while it starts the service.
    assert service.read() == first.encode()
    with open(service.point / "pw", "rb") as held:
        services.outage()
        service.kill_everything()
        drop_caches()
        service.start()
        assert held.read() == first.encode() == service.read()
        services.recover()
        services.set_secret("pw", second := numbered(2))
        wait_until(lambda: service.akvfs.run("refresh", service.point).returncode == 0, "it polls")
        wait_until(lambda: service.read() == second.encode(), "the new value is read")
        watching.wait_for("MOVED_TO", "pw")
        held.seek(0)
        assert held.read() == first.encode()
    service.stop()


def test_a_killed_keeper_an_upgrade_and_then_everything(services, spc, running):
    """Whoever is the keeper at the moment, what is stored is of now."""
    services.set_secret("pw", value := secret())
    service = running(spc(["pw"]))
    kill_keeper(service)
    wait_until(service.stored, "everything is stored again, and once")
    service.akvfs.ok("upgrade", service.point)
    kill_keeper(service)
    service.akvfs.ok("upgrade", service.point)
    wait_until(service.stored, "everything is stored")
    service.kill_everything()
    drop_caches()
    service.start()
    assert service.read() == value.encode()
    service.stop()


def test_another_class_is_mounted_anew(services, spc, running):
    services.set_secret("pw", one := secret())
    services.set_secret("more", two := secret())
    service = running(spc(["pw"]))
    service.kill_everything()
    service.write(spc(["pw", "more"]))
    service.start()
    assert (service.read("pw"), service.read("more")) == (one.encode(), two.encode())
    assert "is mounted anew" in service.log.read_text()
    wait_until(service.stored, "the new one is stored, the old one is not")
    service.stop()


def test_a_class_that_is_broken_leaves_no_dead_mount(services, spc, running):
    services.set_secret("pw", secret())
    service = running(spc(["pw"]))
    service.kill_everything()
    service.write("kind: [")
    service.start(wait=False)
    assert service.process.wait(machine.PATIENCE) == 1
    assert not machine.is_mounted(service.point)
    wait_until(lambda: service.manager.names() == [], "nothing is kept")


def test_what_was_stored_is_damaged(services, spc, running):
    """The mount is made anew, as if nothing had been there."""
    services.set_secret("pw", value := secret())
    service = running(spc(["pw"]))
    service.kill_everything()
    with service.manager.lock:
        fd = next(fd for name, fd in service.manager.store if name.startswith("akvfs-area"))
        null = os.open("/dev/null", os.O_RDONLY)
        os.dup2(null, fd, inheritable=False)
        os.close(null)
    service.start()
    assert service.read() == value.encode()
    service.stop()


# --- systemctl restart ---


@pytest.fixture
def bus(folder):
    """A message bus with a manager on it that knows of one job: set .job to its type."""
    with Bus(folder) as it:
        yield it


class Bus:
    """dbus-daemon, and tests/integration/stress/systemd.c as org.freedesktop.systemd1 on it."""

    def __init__(self, folder):
        self.address = f"unix:path={folder}/bus"
        self.config = folder / "bus.conf"
        self.job = folder / "job"
        self.config.write_text(
            f"<busconfig><type>system</type><listen>{self.address}</listen>"
            '<policy context="default"><allow user="*"/><allow own="*"/>'
            '<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>'
        )

    def __enter__(self):
        self.daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={self.config}", "--nofork", "--nopidfile"],
            stderr=subprocess.DEVNULL,
        )
        path = pathlib.Path(self.address.removeprefix("unix:path="))
        wait_until(path.exists, "the bus listens")
        self.manager = subprocess.Popen(
            [str(machine.BUILD / "tests" / "stress-systemd"), str(self.job)],
            env={"DBUS_SYSTEM_BUS_ADDRESS": self.address},
            stdout=subprocess.PIPE,
        )
        assert self.manager.stdout.readline() == b"ready\n"
        return self

    def __exit__(self, *_):
        for process in (self.manager, self.daemon):
            process.kill()
            process.wait()


@pytest.mark.parametrize("job, kept", [("restart", True), ("try-restart", True), ("stop", False), ("", False)])
def test_a_restart_keeps_the_mount_and_a_stop_does_not(services, spc, running, bus, job, kept):
    services.set_secret("pw", value := secret())
    service = running(spc(["pw"]), DBUS_SYSTEM_BUS_ADDRESS=bus.address)
    bus.job.write_text(job)
    service.process.terminate()
    assert service.process.wait(machine.PATIENCE) == 0, service.log.read_text()
    assert machine.is_mounted(service.point) == kept
    if not kept:
        wait_until(lambda: service.manager.names() == [], "nothing is kept")
        return
    drop_caches()
    bus.job.write_text("stop")
    service.start(DBUS_SYSTEM_BUS_ADDRESS=bus.address)
    assert service.read() == value.encode()
    assert "is mounted anew" not in service.log.read_text()
    service.stop()
