"""What only a program in C is fast enough for: stress/ rotates at the cache's border, without a vault."""

import json
import os
import subprocess

import pytest

import machine

SECONDS = int(os.environ.get("AKVFS_STRESS_SECONDS", "10"))


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 120)
def test_no_read_is_torn_at_a_rotation_each_millisecond(folder):
    """Four readers on 64 KiB; a new version is handed over each millisecond."""
    point = folder / "mnt"
    point.mkdir()
    program = machine.BUILD / "tests" / "stress-rotate"
    done = subprocess.run(
        [str(program), "--seconds", str(SECONDS), "--interval-us", "1000"]
        + ["--size", "65536", "--readers", "4", str(point)],
        capture_output=True,
        text=True,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert (seen["torn"], seen["failed"], seen["backwards"]) == (0, 0, 0)
    assert seen["versions"] >= 900 * SECONDS, "the versions did not come each millisecond"
    assert seen["rotations"] > 0 and seen["reads"] > 0
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
