"""What only a program in C is fast enough for: stress/ rotates at the cache's border, without a vault."""

import json
import os
import subprocess

import pytest

import machine

OPENS = int(os.environ.get("AKVFS_STRESS_OPENS", "62500"))  # of 16 reads each: a million
INTERVAL = os.environ.get("AKVFS_STRESS_INTERVAL_US", "300")  # an emulated machine takes more


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_read_of_a_million_is_torn(folder):
    """64 KiB in pieces of 4 KiB, while a new version is handed over each 300 us."""
    point = folder / "mnt"
    point.mkdir()
    program = machine.BUILD / "tests" / "stress-rotate"
    done = subprocess.run(
        [str(program), "--opens", str(OPENS), "--interval-us", INTERVAL]
        + ["--size", "65536", "--readers", "4", str(point)],
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["torn"], seen["failed"], seen["backwards"]) == (0, 0, 0)
    assert seen["reads"] == 16 * OPENS
    assert seen["versions"] >= seen["rotations"] > 1
    assert not machine.mounts_below(folder)


def many(folder, *words):
    program = machine.BUILD / "tests" / "stress-many"
    done = subprocess.run([str(program), *words, str(folder)], capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["objects"], seen["wrong"], seen["left_mounted"]) == (10, 0, 0)
    assert not machine.mounts_below(folder)
    return seen, done.stderr


def check_idle(seen):
    """At rest no cost at all."""
    assert (seen["idle_switches"], seen["idle_ticks"]) == (0, 0)
    assert seen["threads"] == seen["threads_empty"]
    assert seen["descriptors"] - seen["descriptors_empty"] < seen["mounts"] + 10


@pytest.mark.slow
def test_a_thousand_mounts_in_one_worker(folder):
    """10 objects each: memory, threads, descriptors; and at rest no cost at all."""
    seen, _ = many(folder)
    assert seen["mounts"] == 1000
    check_idle(seen)
    if not machine.sanitized(machine.BUILD / "akvfs"):  # which takes more for itself
        assert seen["beyond_kib"] < 64 << 10


@pytest.mark.slow
def test_one_mount_more_than_a_worker_can_have(folder):
    """It is refused with a reason, and all the others go on."""
    seen, said = many(folder, "--to-the-limit")
    assert 1000 <= seen["mounts"] <= 1024
    assert said.count("cannot be served: this worker has as many mounts as it can have") == 1
    check_idle(seen)
