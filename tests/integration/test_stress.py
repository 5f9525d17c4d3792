"""What only a program in C is fast enough for: stress/ rotates at the cache's border, without a vault."""

import json
import os
import subprocess

import pytest

import machine

OPENS = int(os.environ.get("AKVFS_STRESS_OPENS", "62500"))  # of 16 reads each: a million
INTERVAL = os.environ.get("AKVFS_STRESS_INTERVAL_US", "300")  # an emulated machine takes more


def stress(folder, name, *words):
    """What stress-NAME has counted, which is content with it and has left no mount."""
    point = folder / "mnt"
    point.mkdir()
    program = machine.BUILD / "tests" / f"stress-{name}"
    done = subprocess.run([str(program), *map(str, words), str(point)], capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not machine.mounts_below(folder)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_read_of_a_million_is_torn(folder):
    """64 KiB in pieces of 4 KiB, while a new version is handed over each 300 us."""
    words = ["--opens", OPENS, "--interval-us", INTERVAL, "--size", 65536, "--readers", 4]
    seen = stress(folder, "rotate", *words)
    assert (seen["torn"], seen["failed"], seen["backwards"]) == (0, 0, 0)
    assert seen["reads"] == 16 * OPENS
    assert seen["versions"] >= seen["rotations"] > 1


@pytest.mark.slow
def test_over_a_thousand_mounts_in_one_worker(folder):
    """10 objects each: memory, threads, descriptors; and at rest no cost at all. More than a process can
    have of libfuse's sessions."""
    seen = stress(folder, "many", "--mounts", 1100)
    assert (seen["mounts"], seen["objects"]) == (1100, 10)
    assert (seen["wrong"], seen["left_mounted"]) == (0, 0)
    assert (seen["idle_switches"], seen["idle_ticks"]) == (0, 0)
    assert seen["threads"] == seen["threads_empty"]
    assert seen["descriptors"] - seen["descriptors_empty"] < seen["mounts"] + 10
    if not machine.sanitized(machine.BUILD / "akvfs"):  # which takes more for itself
        assert seen["beyond_kib"] < 64 << 10
