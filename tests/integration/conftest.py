"""Fixtures of the integration tests: the services, akvfs, mounts that always go away again.

Every test ends with the same questions, asked by the fixture `akvfs`: is anything still mounted, is
any process left, is there a file in a control directory, and did a secret, a token or a client
secret get into a log or a message? Whatever the test itself showed, a yes fails it.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import uuid

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import classes  # noqa: E402
import machine  # noqa: E402
import watchdog  # noqa: E402
from machine import BUILD, wait_until  # noqa: E402
from services import CANARY, Services  # noqa: E402

# What a sanitizer says, wherever it says it.
SANITIZER = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:", "Sanitizer:DEADLYSIGNAL")


def pytest_configure(config):
    if os.geteuid() != 0:
        pytest.exit("the integration tests mount for real and need root", returncode=1)
    if not os.path.exists("/dev/fuse"):
        pytest.exit("the integration tests need /dev/fuse", returncode=1)
    for program in ("akvfs", "akv-emulator"):
        if not os.access(BUILD / program, os.X_OK):
            pytest.exit(f"{BUILD / program} is not built", returncode=1)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    with watchdog.of(item):
        yield


@pytest.fixture(scope="session")
def home():
    """A folder that every account can enter, with the programs in bin/."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="akvfs-it-"))
    folder.chmod(0o755)
    (folder / "bin").mkdir()
    shutil.copy2(BUILD / "akvfs", folder / "bin" / "akvfs")
    (folder / "bin" / "mount.akvfs").symlink_to("akvfs")
    yield folder
    assert not machine.mounts_below(folder), "left mounted"
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def binary(home):
    return home / "bin" / "akvfs"


@pytest.fixture
def helper(binary):
    """mount.akvfs where mount(8) looks for it."""
    link = "/sbin/mount.akvfs"
    if os.path.lexists(link):
        os.rename(link, link + ".aside")
    os.symlink(binary, link)
    yield link
    os.unlink(link)
    if os.path.lexists(link + ".aside"):
        os.rename(link + ".aside", link)


@pytest.fixture(scope="session")
def accounts(home):
    """root and an ordinary user, each with a runtime directory of its own."""
    uid, gid = machine.make_user("akvfs-it")
    runtime = home / "runtime"
    runtime.mkdir(mode=0o700)
    os.chown(runtime, uid, gid)
    yield {
        "root": machine.Someone("root", 0, 0, {}),
        "user": machine.Someone("user", uid, gid, {"XDG_RUNTIME_DIR": str(runtime)}),
    }


@pytest.fixture
def root(accounts):
    return accounts["root"]


@pytest.fixture
def user(accounts):
    return accounts["user"]


@pytest.fixture(params=["root", "user"])
def who(request, accounts):
    """Both accounts in turn: the test holds for each."""
    return accounts[request.param]


@pytest.fixture
def folder(home):
    """An empty folder of the test's own, which every account can enter and write to."""
    path = home / uuid.uuid4().hex[:12]
    path.mkdir()
    path.chmod(0o777)
    return path


@pytest.fixture
def services(folder):
    """Key Vault, the token endpoint and IMDS, on this machine, for one test."""
    with contextlib.closing(Services(BUILD / "akv-emulator", folder / "services")) as it:
        it.start()
        yield it


class Mount:
    """One mounted class; knows its processes and its log."""

    def __init__(self, akvfs, point, process, log, who):
        self.akvfs, self.point, self.process, self.log, self.who = akvfs, point, process, log, who

    def __truediv__(self, name):
        return self.point / name

    def read(self, name):
        return (self.point / name).read_bytes()

    def wait_for(self, name, value, patience=machine.PATIENCE):
        value = value.encode() if isinstance(value, str) else value
        wait_until(lambda: self.read(name) == value, f"{name} has its new value", patience)

    def status(self):
        answer = self.akvfs.status(self.point, who=self.who)
        assert len(answer["mounts"]) == 1, answer
        return answer["mounts"][0]

    def log_text(self):
        return self.log.read_text(errors="replace")

    def wait_for_log(self, text):
        wait_until(lambda: text in self.log_text(), f"the log says {text!r}")

    @property
    def mounted(self):
        return machine.is_mounted(self.point)


class Told:
    """A service manager's end of sd_notify(3): what a foreground mount says of itself."""

    def __init__(self, folder):
        self.address = folder / f"notify-{uuid.uuid4().hex[:6]}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(self.address))
        self.socket.setblocking(False)
        self.address.chmod(0o666)
        self.lines = []

    def has(self, line):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.lines += self.socket.recv(4096).decode().split("\n")
        return line in self.lines


class Akvfs:
    """Runs the program, and keeps all that it said for the questions at the end."""

    def __init__(self, binary, folder, services, accounts):
        self.binary, self.folder, self.services = binary, folder, services
        self.default = accounts["root"]
        self.said = []  # (what, text)
        self.logs = []
        self.started = []

    # --- running ---

    def environment(self, who=None, **more):
        env = {
            "PATH": f"{self.binary.parent}:/usr/bin:/bin:/usr/sbin:/sbin",
            "LC_ALL": "C.UTF-8",
            "HOME": "/",
            "ASAN_OPTIONS": "detect_leaks=1:exitcode=99",
            "UBSAN_OPTIONS": "print_stacktrace=1",
            **self.services.environment(),
            **(who or self.default).environment,
            **more,
        }
        return {key: str(value) for key, value in env.items() if value is not None}

    def run(self, *words, who=None, env=None, program=None, secret_output=False, timeout=120):
        """Runs it to its end. secret_output: standard output is meant to hold values."""
        who = who or self.default
        argv = who.words([str(program or self.binary), *map(str, words)])
        done = subprocess.run(
            argv,
            env=self.environment(who, **(env or {})),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
        )
        done.out = done.stdout.decode(errors="replace")
        done.err = done.stderr.decode(errors="replace")
        self.said.append((f"stderr of {words}", done.err))
        if not secret_output:
            self.said.append((f"stdout of {words}", done.out))
        return done

    def ok(self, *words, **keywords):
        done = self.run(*words, **keywords)
        assert done.returncode == 0, f"akvfs {words} ended with {done.returncode}:\n{done.err}"
        return done

    def status(self, *words, who=None):
        return json.loads(self.ok("status", "--json", *words, who=who).out)

    # --- mounting ---

    def point(self, who=None, name="mnt"):
        path = self.folder / f"{name}-{uuid.uuid4().hex[:6]}"
        path.mkdir()
        os.chown(path, (who or self.default).uid, (who or self.default).gid)
        return path

    def class_file(self, text, name="class.yaml"):
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)
        return path

    def words(self, class_path, point, options=(), foreground=False):
        words = ["mount", str(class_path), str(point), *self.services.words()]
        if foreground:
            words.insert(1, "-f")
        for option in [options] if isinstance(options, str) else options:
            words += ["-o", option]
        return words

    @contextlib.contextmanager
    def mount(
        self, text, options="poll_interval=1s", who=None, point=None, env=None, words=(), status=0
    ):
        """A mount in the foreground, ready to be read, whose log can be looked at.

        status: what it is expected to end with."""
        who = who or self.default
        point = point or self.point(who)
        class_path = self.class_file(text, f"class-{uuid.uuid4().hex[:6]}.yaml")
        log = self.folder / f"log-{uuid.uuid4().hex[:6]}"
        argv = [*self.words(class_path, point, options, foreground=True), *map(str, words)]
        told = Told(self.folder)
        with open(log, "wb") as out:
            process = subprocess.Popen(
                who.words([str(self.binary), *argv]),
                env=self.environment(who, NOTIFY_SOCKET=told.address, **(env or {})),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.logs.append(log)
        self.started.append((point, process, who))
        mount = Mount(self, point, process, log, who)
        mount.told = told
        wait_until(lambda: told.has("READY=1") or process.poll() is not None, "it is mounted")
        if process.poll() is not None:
            raise AssertionError(f"mount ended with {process.returncode}:\n{mount.log_text()}")
        yield mount
        self.finish(point, process, who, status)

    @contextlib.contextmanager
    def background(self, text, options="poll_interval=1s", who=None, point=None, env=None, words=()):
        """A mount that was left to itself: the command has returned, the daemon logs to a file."""
        who = who or self.default
        point = point or self.point(who)
        class_path = self.class_file(text, f"class-{uuid.uuid4().hex[:6]}.yaml")
        log = self.folder / f"log-{uuid.uuid4().hex[:6]}"
        log.touch()
        os.chown(log, who.uid, who.gid)
        self.logs.append(log)
        self.started.append((point, None, who))
        argv = [*self.words(class_path, point, options), "-o", f"log={log}", *map(str, words)]
        self.ok(*argv, who=who, env=env)
        assert machine.is_mounted(point)
        yield Mount(self, point, None, log, who)
        self.finish(point, None, who)

    def finish(self, point, process, who, expected=0):
        """The ordinary end: akvfs unmount, and everything is gone."""
        if machine.is_mounted(point):
            self.ok("unmount", point, who=who)
        if process:
            status = process.wait(machine.PATIENCE)
            said = "".join(log.read_text(errors="replace") for log in self.logs[-1:])
            assert status == expected, f"the mount ended with status {status}:\n{said}"
        assert not machine.is_mounted(point)

    # --- the end of every test ---

    def clean_up(self):
        """Takes everything away by force; True when there was nothing to do."""
        clean = True
        for point, process, _ in self.started:
            for _ in range(5):
                if machine.is_mounted(point):
                    clean = False
                    subprocess.run(["umount", "-l", str(point)], capture_output=True)
            if process and process.poll() is None:
                clean = False
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return clean

    def _control_directories(self):
        return (pathlib.Path("/run/akvfs"), self.folder.parent / "runtime" / "akvfs")

    def control_files(self):
        """What serves a mount, and has to go with it. The lock and the log stay."""
        found = [path for base in self._control_directories() for path in base.rglob("*")]
        return [path for path in found if path.name not in ("lock", "akvfs.log")]

    def check_nothing_is_left(self):
        def left():
            return (
                machine.mounts_below(self.folder)
                + machine.processes(self.binary)
                + self.control_files()
            )

        try:
            wait_until(lambda: not left(), "nothing is left", patience=20)
        except AssertionError:
            what = left()
            self.clean_up()
            for pid in machine.processes(self.binary):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for point, *_ in machine.mounts_below(self.folder):
                subprocess.run(["umount", "-l", point], capture_output=True)
            for path in self.control_files():
                path.unlink(missing_ok=True)
            raise AssertionError(f"left behind: {what}") from None

    def check_nothing_was_said(self):
        """No secret, token or client secret in any message; no complaint of a sanitizer."""
        logs = self.logs + [
            base / "akvfs.log"
            for base in self._control_directories()
            if (base / "akvfs.log").exists()
        ]
        texts = self.said + [(str(log), log.read_text(errors="replace")) for log in logs]
        secrets = self.services.secrets()
        for what, text in texts:
            assert CANARY not in text, f"{what} holds a secret:\n{text}"
            for secret in secrets:
                assert secret not in text, f"{what} holds a token or client secret:\n{text}"
            for mark in SANITIZER:
                assert mark not in text, f"{what}:\n{text}"


@pytest.fixture
def akvfs(binary, folder, services, accounts):
    it = Akvfs(binary, folder, services, accounts)
    yield it
    it.clean_up()
    it.check_nothing_is_left()
    it.check_nothing_was_said()


class Watch:
    """inotifywait in the background; lines() are "EVENTS NAME"."""

    def __init__(self, path, events):
        self._lines = []
        self.process = subprocess.Popen(
            ["inotifywait", "-m", "--format", "%e %f", *[w for e in events for w in ("-e", e)], str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ready = threading.Event()

        def listen_for_ready():
            for line in self.process.stderr:
                if "Watches established" in line:
                    ready.set()

        def listen():
            for line in self.process.stdout:
                self._lines.append(line.strip())

        for target in (listen_for_ready, listen):
            threading.Thread(target=target, daemon=True).start()
        assert ready.wait(machine.PATIENCE), "inotifywait did not begin to watch"

    def lines(self):
        return list(self._lines)

    def count(self, event, name=None):
        return sum(
            event in line.split(" ", 1)[0].split(",")
            and (name is None or line.split(" ", 1)[1:] == [name])
            for line in self.lines()
        )

    def wait_for(self, event, name=None, count=1):
        wait_until(lambda: self.count(event, name) >= count, f"{event} {name or ''} seen {count} times")

    def close(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def watch():
    """watch(path, events...) -> Watch"""
    watches = []

    def begin(path, *events):
        watches.append(Watch(path, events))
        return watches[-1]

    yield begin
    for it in watches:
        it.close()


@pytest.fixture
def readers(folder):
    """readers(path, n): n processes that read a file of equal lines until stop(); see reader.py."""
    groups = []

    class Readers:
        def __init__(self, path, n, mode="whole"):
            self.processes = [
                subprocess.Popen(
                    [sys.executable, str(pathlib.Path(__file__).parent / "reader.py"), str(path), mode],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
                for _ in range(n)
            ]
            for process in self.processes:
                assert process.stdout.readline() == "ready\n"

        def stop(self):
            """Sums of what they counted: {"reads": , "torn": , "errors": , "values": }"""
            sums = {"reads": 0, "torn": 0, "errors": 0, "values": 0, "backwards": 0}
            for process in self.processes:
                out, _ = process.communicate("stop\n", timeout=machine.PATIENCE)
                assert process.returncode == 0
                for key, value in json.loads(out).items():
                    sums[key] += value
            self.processes = []
            return sums

    def begin(*words, **keywords):
        groups.append(Readers(*words, **keywords))
        return groups[-1]

    yield begin
    for group in groups:
        for process in group.processes:
            process.kill()
            process.wait()


@pytest.fixture
def spc(services):
    """spc([...]) -> a class of this test's vault and tenant."""

    def build(elements, **keywords):
        keywords.setdefault("vault", services.vault)
        keywords.setdefault("tenant", services.tenant)
        return classes.document(elements, **keywords)

    return build
