"""The driver on a full node: many volumes at once, again and again, and killed meanwhile.

Here in small; `make stress-csi` runs the same in full (AKVFS_SCALE=full) and shows what was counted.
"""

import collections
import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading

import machine
import pytest
from machine import wait_until
from services import secret
from test_takeover import insist, live, serve_one

FULL = os.environ.get("AKVFS_SCALE") == "full"
PODS, VOLUMES = (40, 30) if FULL else (20, 15)
CYCLES = 1000 if FULL else 100
KILLS = 200 if FULL else 20
DEADLINE = 120  # kubelet's, of each call

pytestmark = pytest.mark.timeout(1800 if FULL else 240)


def calls(node, method, bodies, connections):
    """All at once by stress-calls: what it has counted. Each is answered OK before its deadline."""
    done = subprocess.run(
        [str(machine.BUILD / "tests" / "stress-calls"), "--connections", str(connections),
         "--deadline", str(DEADLINE), str(node.kubelet.socket), f"/csi.v1.Node/{method}"],
        input=b"".join(len(body).to_bytes(4, "little") + body for body in bodies),
        capture_output=True,
    )
    assert done.returncode in (0, 1), done.stderr.decode()
    seen = json.loads(done.stdout)
    print(f"{method}: {seen['calls']} calls over {connections} connections: {seen['seconds']:.3f} s in "
          f"all, slowest {seen['slowest_ms']:.1f} ms, middle {seen['middle_ms']:.1f} ms")
    assert seen["ok"] == seen["calls"] == len(bodies), seen
    return seen


def test_a_burst_of_publishes(driver):
    """Pods of many volumes each, at once; then kubelet asks about each again, with newer tokens."""
    node = driver
    node.trust("shop", "web")
    node.start("--poll-interval", "1h")  # no poll of the clock's is counted, however long this takes
    names = ("pw", "other")
    for name in names:
        node.services.set_secret(name, secret())
    node.put_class("shop", names)
    volumes = [
        node.kubelet.pod("shop", f"web-{i}", account="web", volume=f"v{j}")
        for i in range(PODS) for j in range(VOLUMES)
    ]
    published = sorted(str(volume.target) for volume in volumes)

    def bodies():
        return [node.kubelet.encode(volume) for volume in volumes]

    calls(node, "NodePublishVolume", bodies(), PODS)
    assert sorted(node.mounts()) == published
    assert node.services.emulator.count(operation="secrets.get") == len(names), "one poll for all"
    requests, asked = node.services.emulator.count(), node.asked()
    calls(node, "NodePublishVolume", bodies()[:1000], 1)
    assert node.services.emulator.count() == requests
    assert node.asked() == asked
    assert sorted(node.mounts()) == published
    for volume in volumes:
        assert machine.plain_names(volume.target) == sorted(names)
    calls(node, "NodeUnpublishVolume", [node.kubelet.encode_unpublish(it) for it in volumes],
          PODS)
    assert node.mounts() == []
    assert not any(volume.target.exists() for volume in volumes)


Counts = collections.namedtuple("Counts", "mounts processes descriptors threads folders kib")


def counts(node):
    """What the driver's processes have, and what there is of its volumes. libgrpc starts another
    thread for its timers when it likes."""
    pids, descriptors, threads, kib = 0, 0, 0, 0
    for pid in machine.processes(node.akvfs.binary):
        with contextlib.suppress(OSError):  # a helper that has just ended
            of = pathlib.Path(f"/proc/{pid}")
            rollup = dict(line.split()[:2] for line in (of / "smaps_rollup").read_text().splitlines()[1:])
            descriptors += len(os.listdir(of / "fd"))
            names = [it.read_text() for it in of.glob("task/*/comm")]
            threads += len(names) - names.count("grpc_global_tim\n")
            kib += int(rollup["Pss_Anon:"])
            pids += 1
    folders = len(list(node.folder.rglob("mount")))
    return Counts(len(machine.mountinfo()), pids, descriptors, threads, folders, kib)


def test_lives_leave_nothing(node):
    """Neither mount nor descriptor, thread, byte or folder."""
    value = serve_one(node)
    worker = node.worker()

    def life(number):
        pod = node.kubelet.pod("shop", f"web-{number}", account="web")
        node.kubelet.publish(pod)
        assert (pod.target / "pw").read_text() == value
        node.kubelet.unpublish(pod)

    stays = node.kubelet.pod("shop", "stays", account="web")
    node.kubelet.publish(stays)
    for number in range(CYCLES // 2 if FULL else 20):
        life(number)
    before = counts(node)
    for number in range(CYCLES):
        life(number)
    assert node.worker() == worker

    def as_before():
        now = counts(node)
        return all(now[i] <= before[i] for i in range(5))

    wait_until(as_before, f"there is no more than {before}")
    after = counts(node)
    print(f"{CYCLES} lives: {before} before, {after} after")
    if FULL:  # else the allocators are still on their way to their size
        assert after.kib - before.kib < CYCLES // 4, "less than any part of a volume, each time"
    assert node.mounts() == [str(stays.target)] and after.folders == 1
    node.kubelet.unpublish(stays)


def test_workers_killed_in_the_middle_of_everything(node):
    """A reader in a mount namespace of its own never sees an error; a retry always succeeds."""
    value = serve_one(node)
    stays = node.kubelet.pod("shop", "stays", account="web")
    node.kubelet.publish(stays)
    reader = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c",
         f"while [ ! -e {node.folder}/stop ]; do cat {stays.target}/pw >/dev/null || echo bad; done"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    stop = threading.Event()
    again = collections.Counter()
    answered = threading.Semaphore(0)

    def ask(call):
        insist(call, told=lambda code: again.update([code.name]))
        answered.release()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        lives = [pool.submit(live, node, number, value, stop, ask) for number in range(4)]
        try:
            for number in range(KILLS):
                # one of four has just been answered: the others are in the middle of something
                for _ in range(1 + number % 4):
                    assert answered.acquire(timeout=machine.PATIENCE), "nothing goes on"
                worker = node.worker()
                os.kill(worker, signal.SIGKILL)
                wait_until(lambda w=worker: node.worker() not in (None, w), "another worker serves")
        finally:
            stop.set()
        done = [it.result() for it in lives]
    (node.folder / "stop").touch()
    assert reader.communicate(timeout=machine.PATIENCE)[0] == ""
    print(f"{KILLS} workers killed within {sum(done)} lives; asked again after {dict(again)}")
    assert min(done) > 0
    wait_until(lambda: node.mounts() == [str(stays.target)], "only what is published is mounted")
    insist(lambda: node.kubelet.unpublish(stays))


