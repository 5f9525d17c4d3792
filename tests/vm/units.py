"""Units of systemd, and lines of fstab, for one test."""

import contextlib
import pathlib
import subprocess

UNITS = pathlib.Path("/run/systemd/system")
FSTAB = pathlib.Path("/etc/fstab")


def systemctl(*words):
    """A command that has to succeed; what it printed."""
    done = subprocess.run(["systemctl", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, f"systemctl {words}: {done.stdout}{done.stderr}\n{journal(words[-1])}"
    return done.stdout


def journal(unit):
    return subprocess.run(
        ["journalctl", "--no-pager", "-n", "40", "-o", "cat", "-u", str(unit)],
        capture_output=True,
        text=True,
    ).stdout


def shown(unit, what):
    return systemctl("show", "--value", "-p", what, unit).strip()


def state(unit):
    return shown(unit, "ActiveState")


def mount_unit(point, suffix="mount"):
    words = ["systemd-escape", "--path", f"--suffix={suffix}", str(point)]
    return subprocess.check_output(words, text=True).strip()


def forget(units):
    """Stopped and without a trace of having failed."""
    for unit in units:
        subprocess.run(["systemctl", "stop", unit], capture_output=True)
        subprocess.run(["systemctl", "reset-failed", unit], capture_output=True)


@contextlib.contextmanager
def unit(name, text):
    path = UNITS / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    systemctl("daemon-reload")
    try:
        yield name
    finally:
        forget([name])
        path.unlink()
        systemctl("daemon-reload")


@contextlib.contextmanager
def fstab(*lines):
    """Lines more in /etc/fstab, which systemd has read; the units of their mount points."""
    before = FSTAB.read_text() if FSTAB.exists() else ""
    FSTAB.write_text(before + "".join(line + "\n" for line in lines))
    units = [mount_unit(line.split()[1]) for line in lines]
    systemctl("daemon-reload")
    try:
        yield units
    finally:
        forget([unit.removesuffix("mount") + "automount" for unit in units])
        forget(units)
        FSTAB.write_text(before)
        systemctl("daemon-reload")
