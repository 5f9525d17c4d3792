"""A pod in a user namespace of its own gets an id-mapped clone of the mount (Linux 6.12 or later).

What a container runtime does for such a pod: open_tree(2) clones the mount, mount_setattr(2) shifts
its ids by the pod's user namespace. The test does the same in a mount namespace of its own.
"""

import os
import subprocess
import sys
import textwrap

import pytest

from machine import kernel
from services import secret
from test_crash import kill_worker

SHIFT = 100000


# Runs by itself, so that its namespaces go with it. Prints owner and content seen in the clone, from
# outside and by the user namespace's own root.
CLONE = textwrap.dedent(
    """
    import ctypes, os, struct, subprocess, sys
    point, shift = sys.argv[1], sys.argv[2]
    libc = ctypes.CDLL(None, use_errno=True)
    AT_EMPTY_PATH, AT_FDCWD, OPEN_TREE_CLONE, MOUNT_ATTR_IDMAP = 0x1000, -100, 1, 0x00100000

    def call(number, *words):
        r = libc.syscall(number, *words)
        if r < 0:
            sys.exit(f"syscall {number}: {os.strerror(ctypes.get_errno())}")
        return r

    # A user namespace with nobody in it but a process that waits.
    holder = subprocess.Popen(
        ["unshare", "--user", "sh", "-c", "echo; read x"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    for which in ("uid_map", "gid_map"):
        with open(f"/proc/{holder.pid}/{which}", "w") as f:
            f.write(f"0 {shift} 65536")
    user = os.open(f"/proc/{holder.pid}/ns/user", os.O_RDONLY)

    tree = call(428, AT_FDCWD, point.encode(), OPEN_TREE_CLONE | os.O_CLOEXEC)
    attr = struct.pack("QQQQ", MOUNT_ATTR_IDMAP, 0, 0, user)
    call(442, tree, b"", AT_EMPTY_PATH, attr, len(attr))
    for name in sys.argv[3:]:
        fd = os.open(name, os.O_RDONLY, dir_fd=tree)
        st = os.fstat(fd)
        print(name, st.st_uid, st.st_gid, os.read(fd, 4096).decode())
    print(sorted(os.listdir(f"/proc/self/fd/{tree}")), flush=True)
    # As the pod itself: root in there is nobody out here.
    child = os.fork()
    if child == 0:
        call(308, user, 0x10000000)  # setns(2), CLONE_NEWUSER
        os.setgid(0)
        os.setuid(0)
        for name in sys.argv[3:]:
            with open(name, opener=lambda path, flags: os.open(path, flags, dir_fd=tree)) as f:
                st = os.fstat(f.fileno())
                print("inside", name, st.st_uid, st.st_gid, f.read(), flush=True)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        sys.exit("the pod could not read")
    holder.stdin.close()
    holder.wait()
    """
)


def clone(point, *names):
    return subprocess.run(
        [sys.executable, "-c", CLONE, str(point), str(SHIFT), *names],
        capture_output=True,
        text=True,
        timeout=60,
    )


needs_idmap = pytest.mark.skipif(
    kernel() < (6, 12), reason="id-mapped FUSE mounts need Linux 6.12 or later"
)


@needs_idmap
def test_an_id_mapped_clone_reads_with_shifted_ids(akvfs, services, spc):
    first, second = secret(), secret()
    services.set_secret("one", first)
    with akvfs.mount(spc(["one"]), ["poll_interval=200ms", "uid=12,gid=34"]) as mount:
        seen = clone(mount.point, "one")
        assert seen.returncode == 0, seen.stderr
        assert seen.stdout.splitlines() == [
            f"one {SHIFT + 12} {SHIFT + 34} {first}",
            "['..1', '..data', 'one']",
            f"inside one 12 34 {first}",
        ]
        assert os.stat(mount / "one").st_uid == 12, "the mount itself is as it was"

        # Rotation goes through the private mount: the clone sees it, and nothing of it is refused.
        services.set_secret("one", second)
        mount.wait_for("one", second)
        assert second in clone(mount.point, "one").stdout
        assert "refused" not in mount.log_text()


@needs_idmap
def test_a_successor_goes_on_with_an_id_mapped_mount(akvfs, services, spc):
    value = secret()
    services.set_secret("one", value)
    with akvfs.mount(spc(["one"])) as mount:
        kill_worker(mount)
        assert mount.status()["worker_starts"] == 2
        seen = clone(mount.point, "one")
        assert seen.returncode == 0, seen.stderr
        assert f"one {SHIFT} {SHIFT} {value}" in seen.stdout


@needs_idmap
def test_an_audited_mount_cannot_be_id_mapped(akvfs, services, spc):
    """With shifted ids the kernel tells no caller's uid, which an audit is about."""
    services.set_secret("one", secret())
    with akvfs.mount(spc(["one"]), ["audit"]) as mount:
        seen = clone(mount.point, "one")
        assert seen.returncode == 1
        assert "Invalid argument" in seen.stderr
