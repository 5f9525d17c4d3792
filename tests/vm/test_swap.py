"""What is pushed out of memory: the swap device is searched for a secret that readers have read.

A control group's memory is reclaimed down to the last page, again and again, so that all of the
daemon that can be swapped is. What must be found on the device, for the test to mean anything: bytes
of a tmpfs that was filled in that same control group, and a word of the daemon's own ordinary memory.
"""

import mmap
import os
import pathlib
import subprocess

import machine
from machine import wait_until
from services import CANARY, numbered, secret
from units import shown, systemctl

DEVICE = pathlib.Path("/dev/disk/by-id/virtio-swap")
PIECE = 1 << 20


def on_swap(needles):
    """Which of the byte strings are on the swap device. Read past every cache."""
    found, tail = set(), b""
    overlap = max(map(len, needles))
    buffer = mmap.mmap(-1, PIECE)  # aligned, as O_DIRECT wants it
    fd = os.open(DEVICE, os.O_RDONLY | os.O_DIRECT)
    try:
        while (n := os.readv(fd, [buffer])) > 0:
            piece = tail + buffer[:n]
            found |= {needle for needle in needles if needle in piece}
            tail = piece[-overlap:]
    finally:
        os.close(fd)
    return found


def swapped(pid):
    """Bytes of a process that are in swap."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmSwap")).split()[1]) << 10


def reclaim(group):
    """All of the group's memory that can go, goes. EAGAIN says that less went than was asked for."""
    for _ in range(3):
        try:
            (group / "memory.reclaim").write_text("256M")
        except BlockingIOError:
            pass


def test_no_secret_reaches_swap(akvfs, services, spc, folder):
    value, large, old = secret("swap"), numbered(3), secret("old")
    services.set_secret("an-ordinary-word", old)
    services.set_secret("large", large)
    unit = "akvfs-test-swap.service"
    point, path = akvfs.point(), akvfs.class_file(spc(["an-ordinary-word", "large"]))
    environment = [f"--setenv={key}={text}" for key, text in akvfs.environment().items()]
    argv = [akvfs.binary, *akvfs.words(path, point, "poll_interval=1h", foreground=True)]
    # MemorySwapMax is infinity unless somebody says otherwise.
    subprocess.run(
        ["systemd-run", "--quiet", f"--unit={unit}", "-p", "Type=notify", "-p", "NotifyAccess=all"]
        + environment
        + list(map(str, argv)),
        check=True,
    )
    shm = folder / "tmpfs"
    shm.mkdir()
    try:
        group = pathlib.Path("/sys/fs/cgroup" + shown(unit, "ControlGroup"))
        row = akvfs.status(point)["mounts"][0]
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(shm)], check=True)
        on_tmpfs = "k0ntr0lle-" + os.urandom(8).hex()
        # Whoever writes a page of a tmpfs pays for it.
        subprocess.run(
            ["sh", "-c", f'echo $$ >"{group}/cgroup.procs" && yes {on_tmpfs} | head -c 1M >"{shm}/file"'],
            check=True,
        )
        assert (point / "an-ordinary-word").read_bytes() == old.encode()
        assert (point / "large").read_bytes() == large.encode()
        reclaim(group)
        services.set_secret("an-ordinary-word", value)
        akvfs.ok("refresh", point)
        wait_until(lambda: (point / "an-ordinary-word").read_bytes() == value.encode(), "it rotates")
        reclaim(group)
        wait_until(lambda: swapped(row["worker_pid"]) > 0, "the worker was swapped out")
        assert swapped(row["keeper_pid"]) > 0

        texts = [value, old, large.splitlines()[5], CANARY, services.client_secret, "eyJ0eXAi", "eyJhbGci"]
        found = on_swap([text.encode() for text in [on_tmpfs, "an-ordinary-word", *texts]])
        assert on_tmpfs.encode() in found, "the control on a tmpfs was not found"
        assert b"an-ordinary-word" in found, "the daemon's ordinary memory was not found"
        assert found == {on_tmpfs.encode(), b"an-ordinary-word"}
        # It is all still there, and serves.
        assert (point / "large").read_bytes() == large.encode()
    finally:
        subprocess.run(["umount", str(shm)])
        systemctl("stop", unit)
    assert not machine.is_mounted(point)
