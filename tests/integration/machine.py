"""What the tests ask of the machine: mounts, processes, users, conditions to wait for."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = TOP / os.environ.get("AKVFS_BUILD", "build")  # an absolute one stays as it is

# Seconds; how long a condition may take on a slow machine before it counts as never.
PATIENCE = float(os.environ.get("AKVFS_PATIENCE", "60"))


def kernel():
    return tuple(int(n) for n in os.uname().release.split("-")[0].split(".")[:2])


def resends():
    """The kernel can be asked for what a dead worker had read and not answered (Linux 6.9)."""
    return kernel() >= (6, 9)


def wait_until(condition, what, patience=PATIENCE):
    """The first true value of condition(), asked again and again. Fails, naming `what`."""
    end = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {patience:g} s in vain until {what}")
        time.sleep(0.005)


@contextlib.contextmanager
def stopped(pid):
    """That process does not run. Once it does again, all that happened meanwhile is before it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: state_of(pid) == "T", "it is stopped")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def mountinfo(pid="self"):
    """(mount point, mount options, type, source, superblock options) of every mount."""
    rows = []
    for line in pathlib.Path(f"/proc/{pid}/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        fields, rest = left.split(), right.split()
        rows.append((unescaped(fields[4]), fields[5], rest[0], rest[1], rest[2]))
    return rows


def unescaped(path):
    """A path as mountinfo writes it."""
    return re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), path)


def mounts_below(folder):
    folder = str(folder)
    return [row for row in mountinfo() if row[0] == folder or row[0].startswith(folder + "/")]


def is_mounted(point):
    return any(row[0] == str(point) for row in mountinfo())


def processes(needle):
    """Process ids whose executable is `needle` (a path)."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                exe = os.readlink(entry / "exe").removesuffix(" (deleted)")
                if exe == str(needle):
                    found.append(int(entry.name))
    return found


def descriptors(pid):
    """What a process has open, as /proc names it."""
    held = []
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since
            held.append(os.readlink(link))
    return held


def state_of(pid):
    """The letter of a process's state, or None when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def gone(pid):
    return state_of(pid) in (None, "Z", "X")


class Someone:
    """An account that commands run as. prefix goes before their words."""

    def __init__(self, name, uid, gid, environment):
        self.name, self.uid, self.gid, self.environment = name, uid, gid, environment

    def __repr__(self):
        return self.name

    @property
    def is_root(self):
        return self.uid == 0

    def words(self, argv):
        if self.is_root:
            return list(argv)
        return [
            "setpriv",
            f"--reuid={self.uid}",
            f"--regid={self.gid}",
            "--clear-groups",
            "--inh-caps=-all",
            "--",
            *argv,
        ]


def make_user(name):
    """An ordinary account; made if it is not there."""
    if subprocess.run(["id", name], capture_output=True).returncode != 0:
        subprocess.run(
            ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name],
            check=True,
        )
    uid = int(subprocess.check_output(["id", "-u", name]))
    gid = int(subprocess.check_output(["id", "-g", name]))
    return uid, gid


def plain_names(folder):
    """What a class shows in a folder, sorted: without `..data` and the generations."""
    return sorted(name for name in os.listdir(folder) if not name.startswith(".."))


def sanitized(binary):
    """Whether it was built with the address sanitizer."""
    return b"__asan_init" in binary.read_bytes()


def forgotten():
    """How often the kernel was told to drop its caches, which are everybody's, and how much it took
    back from them for want of memory (proc_vmstat(5))."""
    with open("/proc/vmstat", encoding="ascii") as f:
        return [line for line in f if line.startswith(("drop_", "pgsteal_", "pginodesteal", "kswapd_inodesteal"))]


def forgets_since(before):
    """Whether the kernel may have forgotten what it knew of a mount since forgotten() was `before`.
    Where DAMON pages out what it takes for idle, it may at any moment, and no counter tells."""
    return forgotten() != before or any(
        (scheme / "action").read_text() == "pageout\n" and (damon / "state").read_text() == "on\n"
        for damon in pathlib.Path("/sys/kernel/mm/damon/admin/kdamonds").glob("[0-9]*")
        for scheme in damon.glob("contexts/*/schemes/[0-9]*")
    )


def requests_during(mount, warm, work):
    """What work() makes the kernel ask of a mount that warm(mount) has warmed; the least of some
    tries, where the kernel has forgotten something meanwhile for reasons of its own. A try beside a
    neighbour who drops all caches is none."""
    least, tries = None, 0
    while tries < 8:
        before = forgotten()
        warm(mount)
        asked = mount.status()["fuse_requests"]
        work()
        asked = mount.status()["fuse_requests"] - asked
        least = asked if least is None else min(asked, least)
        if least == 0 or not forgets_since(before):
            break
        tries += forgotten() == before
    return least
