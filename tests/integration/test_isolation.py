"""What the worker may do, and what can be seen of it: promises 10 and 11."""

import contextlib
import ctypes
import os
import pathlib
import resource
import subprocess
import sys
import time

import pytest

import machine
import memory
from classes import element
from machine import wait_until
from services import numbered, secret
from test_crash import kill_worker

CAP_IPC_LOCK = 1 << 14


def status_of(pid):
    """/proc/PID/status as a dictionary."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


# The sanitizers' own mlock(2) does nothing and never fails. `make test-sandbox` runs these.
can_fail_to_lock = pytest.mark.skipif(
    machine.sanitized(machine.BUILD / "akvfs"), reason="a sanitized build locks no memory"
)


def test_the_worker_of_root_has_an_account_of_its_own(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        row = mount.status()
        worker = status_of(row["worker_pid"])
        assert worker["Name"] == "akvfs-worker"
        assert status_of(row["keeper_pid"])["Name"] == "akvfs-keeper"
        assert len(set(worker["Uid"].split())) == 1 and worker["Uid"].split()[0] != "0"
        assert len(set(worker["Gid"].split())) == 1 and worker["Gid"].split()[0] != "0"
        assert worker["Groups"] == ""
        own = status_of(os.getpid())
        for which in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            assert int(worker[which], 16) == int(own["CapPrm"], 16) & CAP_IPC_LOCK, which
        assert int(worker["CapBnd"], 16) & ~CAP_IPC_LOCK == 0
        assert worker["NoNewPrivs"] == "1"


def test_a_users_worker_has_no_capability(akvfs, services, spc, user):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"]), who=user) as mount:
        worker = status_of(mount.status()["worker_pid"])
        assert worker["Uid"].split() == [str(user.uid)] * 4
        for which in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            assert int(worker[which], 16) == 0, which
        assert worker["NoNewPrivs"] == "1"


def test_every_thread_of_the_worker_is_bound(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        worker = mount.status()["worker_pid"]
        threads = os.listdir(f"/proc/{worker}/task")
        assert len(threads) > 1
        for thread in threads:
            one = status_of(f"{worker}/task/{thread}")
            assert one["NoNewPrivs"] == "1" and one["Uid"].split()[0] != "0"
            # A sanitized worker is not bound; make test-sandbox runs all of this with one that is.
            assert one["Seccomp"] == ("0" if machine.sanitized(akvfs.binary) else "2")


def test_a_worker_that_follows_is_bound_as_well(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        before = status_of(mount.status()["worker_pid"])
        after = status_of(kill_worker(mount))
        for which in ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp"):
            assert after[which] == before[which], which


@contextlib.contextmanager
def account(folder, name, uid, gid):
    """An account that nobody else on this machine meets."""
    lines = {"passwd": f"{name}:x:{uid}:{gid}::/nonexistent:/usr/sbin/nologin", "group": f"{name}:x:{gid}:"}
    with contextlib.ExitStack() as stack:
        for file, line in lines.items():
            others = pathlib.Path("/etc", file).read_text().splitlines()
            copy = folder / file
            copy.write_text("\n".join([o for o in others if not o.startswith(f"{name}:")] + [line, ""]))
            subprocess.run(["mount", "--bind", copy, f"/etc/{file}"], check=True)
            stack.callback(subprocess.run, ["umount", "-l", f"/etc/{file}"], check=True)
        yield


def test_an_account_named_akvfs_is_the_workers(akvfs, services, spc, folder):
    """Where a package has made the account, the worker has that one."""
    services.set_secret("pw", secret())
    with account(folder, "akvfs", 60997, 60998):
        with akvfs.mount(spc(["pw"])) as mount:
            worker = status_of(mount.status()["worker_pid"])
            assert worker["Uid"].split() == ["60997"] * 4
            assert worker["Gid"].split() == ["60998"] * 4


def test_the_workers_account_has_no_power_over_mounts(akvfs, services, spc):
    """The account that the worker runs as may not command it: root's commands are root's."""
    services.set_secret("pw", secret())
    with akvfs.background(spc(["pw"])) as mount:
        row = mount.status()
        uid = status_of(row["worker_pid"])["Uid"].split()[0]
        words = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all"]
        done = subprocess.run(
            [*words, str(akvfs.binary), "unmount", str(mount.point)],
            env=akvfs.environment(XDG_RUNTIME_DIR=None),
            capture_output=True,
        )
        assert done.returncode == 1
        assert mount.mounted


def test_a_ca_file_that_only_root_can_read(akvfs, services, spc):
    services.set_secret("pw", secret())
    services.ca_file.chmod(0o600)
    with akvfs.mount(spc(["pw"])) as mount:
        assert mount.status()["objects"][0]["error"] is None


def test_a_ca_file_that_is_none(akvfs, services, spc, folder):
    services.set_secret("pw", secret())
    services.ca_file.write_bytes(b"\x30\x82\x01\x00")
    path = akvfs.class_file(spc(["pw"]))
    done = akvfs.run(*akvfs.words(path, akvfs.point()))
    assert done.returncode == 1 and "is not PEM" in done.err


def test_a_log_file_that_only_root_can_write(akvfs, services, spc, folder):
    services.set_secret("pw", secret())
    inner = folder / "private"
    inner.mkdir(mode=0o700)
    log = inner / "akvfs.log"
    with akvfs.background(spc(["pw"]), words=["--log", log]) as mount:
        akvfs.ok("refresh", mount.point)
    text = log.read_text()
    assert "worker of uid" in text and "mounted class" in text


# --- memory ---


def has_secret_memory():
    """memfd_secret(2), which answers EINVAL to flags that it does not know where it is there."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(447, 0)
    if fd >= 0:
        os.close(fd)
    return fd >= 0


def forms(text):
    """The ways in which a text may lie in memory: as it is, and as it crosses the control socket."""
    return [text.encode(), text.encode().hex().encode()]


def assert_nowhere(pid, texts):
    """None of {what: text} is in readable memory; what the loop has just done may take a moment."""
    needles = {needle: what for what, text in texts.items() for needle in forms(text)}
    last = {}

    def clean():
        last.clear()
        found, _ = memory.scan(pid, list(needles))
        last.update({needles[n]: places for n, places in found.items() if places})
        return not last

    try:
        wait_until(clean, "memory is clean")
    except AssertionError:
        raise AssertionError(f"found in memory: {last}") from None


def test_the_scan_finds_what_is_there(akvfs, services, spc):
    """What the tests below look for with must be able to find: a name that is no secret."""
    services.set_secret("name-to-be-found", secret())
    with akvfs.mount(spc(["name-to-be-found"])) as mount:
        found, _ = memory.scan(mount.status()["worker_pid"], [b"name-to-be-found"])
        assert found[b"name-to-be-found"]


@pytest.mark.skipif(not has_secret_memory(), reason="this kernel has no memfd_secret")
def test_no_secret_in_memory_that_can_be_read(akvfs, services, spc):
    old, new, large = secret("old"), secret("new"), numbered(7)
    services.set_secret("pw", old)
    services.set_secret("large", large)
    services.make_certificate("tls")
    with akvfs.mount(spc(["pw", "large", element("tls", "secret")])) as mount:
        worker = mount.status()["worker_pid"]
        assert mount.read("large") == large.encode()
        key = mount.read("tls").decode()
        assert "PRIVATE KEY" in key
        # A line from the middle of the private key.
        line = key.split("PRIVATE KEY-----")[1].splitlines()[5]
        services.set_secret("pw", new)
        mount.wait_for("pw", new)

        found, closed = memory.scan(worker, [b"akvfs"])
        assert found[b"akvfs"]
        assert any("secretmem" in mapping.name for mapping in closed), "secret memory was readable"
        assert_nowhere(
            worker,
            {
                "the current secret": new,
                "the secret that was rotated out": old,
                "a large secret": "\n".join(large.splitlines()[3:6]),
                "a private key": line,
                "the client secret": services.client_secret,
                "a token": "eyJ0eXAi",
                "a token of the other kind": "eyJhbGci",
                "a token's answer": '"access_token"',
            },
        )


@pytest.mark.skipif(not has_secret_memory(), reason="this kernel has no memfd_secret")
def test_the_keeper_never_has_a_secret(akvfs, services, spc):
    value = secret()
    services.set_secret("pw", value)
    with akvfs.mount(spc(["pw"])) as mount:
        assert mount.read("pw") == value.encode()
        keeper = mount.status()["keeper_pid"]
        assert_nowhere(keeper, {"a secret": value, "client secret": services.client_secret})


# Runs its words as on a kernel that has no memfd_secret(2): the system call answers ENOSYS.
WITHOUT_SECRET_MEMORY = """
import ctypes, os, struct, sys
LOAD_NR, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ENOSYS, ALLOW = 0x00050000 | 38, 0x7fff0000
rules = [(LOAD_NR, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, 447), (RETURN, 0, 0, ENOSYS), (RETURN, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *rule) for rule in rules))
program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(rules), ctypes.addressof(code)))
assert ctypes.CDLL(None).prctl(22, 2, program) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""


class WithoutSecretMemory(machine.Someone):
    def words(self, argv):
        return [sys.executable, "-c", WITHOUT_SECRET_MEMORY, *super().words(argv)]


def test_what_was_rotated_out_is_in_no_memory_at_all(akvfs, services, spc):
    """Where a scan can look into every page, the worker's store for its successor included."""
    root = WithoutSecretMemory("root", 0, 0, {})
    values = [secret(f"rotated-{n}") for n in range(4)]
    services.set_secret("pw", values[0])
    services.set_secret("inner", values[0])
    text = spc([element("pw"), element("inner", alias="folder/inner")])
    with akvfs.mount(text, "poll_interval=1s", who=root) as mount:
        assert mount.status()["secret_memory"]["kind"] == "locked"
        worker = mount.status()["worker_pid"]
        for value in values[1:]:
            services.set_secret("pw", value)
            services.set_secret("inner", value)
            akvfs.ok("refresh", mount.point)
            assert mount.read("pw") == value.encode()
            assert (mount / "..data" / "folder" / "inner").read_bytes() == value.encode()
        found, _ = memory.scan(worker, [values[-1].encode()])
        assert found[values[-1].encode()], "the scan does not see what is there"
        # The generation before goes after a poll interval.
        assert_nowhere(worker, {f"version {n}": value for n, value in enumerate(values[:-1])})


def test_an_expired_token_is_in_no_memory_at_all(akvfs, services, spc):
    lifetime = 15
    services.emulator.settings(token_lifetime=lifetime)
    services.set_secret("pw", secret())
    root = WithoutSecretMemory("root", 0, 0, {})
    held = False
    while not held:
        began = time.monotonic()
        with akvfs.mount(spc(["pw"]), "poll_interval=1h", who=root) as mount:
            worker = mount.status()["worker_pid"]
            found, _ = memory.scan(worker, [b"eyJ0eXAi"])
            held = bool(found[b"eyJ0eXAi"])
            # Where the look itself took that long there is nothing to be seen.
            assert held or time.monotonic() - began > lifetime / 2, "it is not held while it is good"
            assert_nowhere(worker, {"an expired token": "eyJ0eXAi"})


def test_nobody_may_look_and_no_core_is_left(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        row = mount.status()
        for pid in (row["worker_pid"], row["keeper_pid"]):
            # What is not dumpable belongs to root in /proc, whoever runs it. (A sanitized worker
            # has to look at itself, and so may its account.)
            assert os.stat(f"/proc/{pid}/environ").st_uid == 0 or machine.sanitized(akvfs.binary)
            limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
            core = next(line for line in limits.splitlines() if line.startswith("Max core"))
            assert core.split()[4:6] == ["0", "0"]
        uid = int(status_of(row["worker_pid"])["Uid"].split()[0])
        done = subprocess.run(
            ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all"]
            + ["cat", f"/proc/{row['worker_pid']}/environ"],
            capture_output=True,
        )
        assert done.returncode != 0 or machine.sanitized(akvfs.binary), "its own account can look into it"


def unlocked(akvfs, who, *words):
    """akvfs of an ordinary user who may lock no memory at all."""
    argv = who.words([str(akvfs.binary), *map(str, words)])
    done = subprocess.run(
        argv,
        env=akvfs.environment(who),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0)),
    )
    akvfs.said.append((f"akvfs {words}", done.stdout + done.stderr))
    return done


@can_fail_to_lock
def test_secret_memory_that_is_required(akvfs, services, spc, user):
    services.set_secret("pw", secret())
    path, point = akvfs.class_file(spc(["pw"])), akvfs.point(user)
    words = akvfs.words(path, point, ["secret_memory=require"])
    done = unlocked(akvfs, user, *words)
    assert done.returncode == 1
    assert "cannot be locked" in done.stderr and "LimitMEMLOCK" in done.stderr
    assert not machine.is_mounted(point)
    assert services.requests() == 0, "something was fetched all the same"


@can_fail_to_lock
def test_secret_memory_that_is_preferred(akvfs, services, spc, user):
    services.set_secret("pw", secret())
    point = akvfs.point(user)
    log = akvfs.folder / "user.log"
    log.touch()
    os.chown(log, user.uid, user.gid)
    words = akvfs.words(akvfs.class_file(spc(["pw"])), point, [f"log={log}"])
    done = unlocked(akvfs, user, *words)
    assert done.returncode == 0, done.stderr
    try:
        row = akvfs.status(point, who=user)["mounts"][0]
        assert row["secret_memory"]["locked"] is False
        assert row["secret_memory"]["kind"] == "unlocked"
        assert "may reach swap" in akvfs.ok("status", point, who=user).out
        assert "could not be locked" in log.read_text()
    finally:
        akvfs.ok("unmount", point, who=user)


def test_secret_memory_of_root(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"]), options="poll_interval=1s,secret_memory=require") as mount:
        kind = mount.status()["secret_memory"]["kind"]
        assert kind == ("memfd_secret" if has_secret_memory() else "locked")
