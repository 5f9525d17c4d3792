"""The keeper and the worker in pods of their own: `akvfs keeper` in a mount namespace with kubelet's
folder mounted Bidirectional, which sees the host's processes (hostPID), and `akvfs csi --keeper` in
namespaces of its own, without that folder, as a root that may do little. What they share is a folder
of the host."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading
import uuid

import machine
import pytest
from container import Container, signal_all
from machine import wait_until
from services import secret
from test_pods import OWN_PID, shared
from test_takeover import insist, live, serve_one

KEEPER = """#!/bin/sh
exec unshare --mount --propagation unchanged {binary} "$@"
"""
# Of kubelet's folder it sees nothing, and of the host's processes neither. What it may do is as the
# manifests have it.
WORKER = """#!/bin/sh
exec unshare --pid --fork --kill-child --mount --propagation private sh -c '
        mount -t proc proc /proc && umount -l {kubelet} && mount -t tmpfs tmpfs {kubelet} &&
        mount --bind /run/akvfs /run/akvfs && mount -o remount,bind,ro /run/akvfs &&
        exec setpriv --inh-caps=-all --bounding-set=-all,+setuid,+setgid,+kill,+ipc_lock \\
                --no-new-privs "$0" "$@"
' {binary} "$@"
"""
GATE = "/run/akvfs/keeper.sock"


class Pod(Container):
    """One container: its processes, its log, and how it is ended."""

    def __init__(self, node, script, words, ready):
        self.node = node
        self.launch(node.akvfs, node.folder, [script, *words])
        self.wait_for_log(ready)

    def members(self):
        """Every process of it, children of children too; those that are ending may be missing."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                for task in os.listdir(f"/proc/{pid}/task"):
                    children = pathlib.Path(f"/proc/{pid}/task/{task}/children")
                    todo += map(int, children.read_text().split())
        return found

    def first(self):
        """The program itself, behind unshare where that stays."""
        for pid in self.members():
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/exe").removesuffix(" (deleted)") == str(self.node.binary):
                    return pid
        raise AssertionError(f"it does not run:\n{self.log_text()}")

    def worker(self):
        for pid in self.members():
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "akvfs-worker":
                    return pid
        return None

    def ok(self, *words):
        """As `kubectl exec`."""
        first = self.first()
        return subprocess.run(
            ["nsenter", "--target", str(first), "--mount", "--pid", self.node.binary, *words],
            check=True, stdout=subprocess.PIPE, text=True, timeout=machine.PATIENCE,
        ).stdout

    def kill(self):
        """As a runtime ends a container: everything, at once, without a word."""
        os.kill(self.first(), signal.SIGSTOP)  # or it might start one more
        signal_all(self.members(), signal.SIGKILL)
        self.process.wait(machine.PATIENCE)

    def end(self, sig=signal.SIGTERM):
        os.kill(self.first(), sig)
        assert self.process.wait(machine.PATIENCE) == 0, self.log_text()


class Node:
    """What the tests of one pod ask a driver for, of two."""

    def __init__(self, driver):
        self.driver = driver
        self.binary = driver.akvfs.binary
        for name, text in (("keeper", KEEPER), ("worker", WORKER)):
            script = driver.folder.parent / name
            script.write_text(text.format(binary=self.binary, kubelet=driver.folder))
            script.chmod(0o755)
            setattr(self, f"{name}_script", script)
        self.pods = []

    def __getattr__(self, name):
        return getattr(self.driver, name)

    def mounts(self):
        """Without the folder itself, which is shared with the keeper."""
        return [point for point in self.driver.mounts() if point != str(self.driver.folder)]

    def start_keeper(self, ready="is ready for a worker", *words):
        words = ["keeper", "--endpoint", f"unix://{self.plugins}/csi.sock", "--registration-dir",
                 self.registry, "--kubelet-dir", self.folder, *words]
        self.keeper = Pod(self, self.keeper_script, words, ready)
        self.pods.append(self.keeper)
        return self.keeper

    def start_worker(self, *words, ready="is ready"):
        words = ["csi", *self.driver.words(), "--poll-interval", "30s", "--keeper", GATE, *words]
        self.worker = Pod(self, self.worker_script, words, ready)
        self.pods.append(self.worker)
        return self.worker


class Reader:
    """Reads a file again and again in a mount namespace of its own, and never sees an error. Where the
    kernel can be asked for what a dead worker had read, so does what asks a process each time."""

    def __init__(self, node, path):
        ask = f"stat -f {path} >/dev/null && " if machine.resends() else ""
        self.stop = node.driver.folder.parent / f"stop-{uuid.uuid4().hex[:6]}"
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             f"while [ ! -e {self.stop} ]; do {ask}cat {path} >/dev/null || echo bad; done"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.stop.touch()
        said = self.process.communicate(timeout=machine.PATIENCE)[0]
        if kind is None:
            assert said == ""


@contextlib.contextmanager
def busy(node, stays, value, *how):
    """Volumes come and go on two threads, and one that stays is read; each came at least once."""
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(2) as pool, Reader(node, f"{stays.target}/pw"):
        lives = [pool.submit(live, node, number, value, stop, *how) for number in range(2)]
        try:
            yield
        finally:
            stop.set()
        assert min(it.result() for it in lives) > 0


@pytest.fixture
def node(driver):
    shared(driver)
    it = Node(driver)
    try:
        it.start_keeper()
        yield it
    finally:
        # Workers first, and the keeper takes away what a failed test has left.
        for pod in reversed(it.pods):
            if pod.process.poll() is None and pod is not it.keeper:
                pod.kill()
        if it.keeper.process.poll() is None:
            it.keeper.end(signal.SIGINT)
        subprocess.run(["umount", driver.folder], check=True)


def other_worker(pod, worker):
    return wait_until(lambda: pod.worker() not in (None, worker) and pod.worker(), "another worker serves")


def test_a_volume_of_two_pods(node):
    value = serve_one(node)
    node.start_worker()
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    with Reader(node, f"{pod.target}/pw"):
        assert (pod.target / "pw").read_text() == value
        node.services.set_secret("pw", new := secret())
        node.worker.ok("refresh")
        wait_until(lambda: (pod.target / "pw").read_text() == new, "it is rotated")
        assert len(json.loads(node.worker.ok("status", "--json"))["mounts"]) == 1
        # The keeper has no network, where this machine lets anybody leave it.
        if subprocess.run(["unshare", "--net", "true"], check=False).returncode == 0:
            assert pathlib.Path(f"/proc/{node.keeper.first()}/net/dev").read_text().count(":") == 1
        # The worker's account may do nothing, and is nobody whom the keeper would hear.
        status = pathlib.Path(f"/proc/{node.worker.worker()}/status").read_text()
        assert "CapEff:\t0000000000004000\n" in status and "\nUid:\t0\t" not in status
    node.kubelet.unpublish(pod)
    assert node.mounts() == [] and not pod.target.exists()


def test_workers_that_are_killed_lose_nothing(node):
    value = serve_one(node)
    node.start_worker()
    stays = node.kubelet.pod("shop", "stays", account="web")
    node.kubelet.publish(stays)
    with busy(node, stays, value, insist):
        for _ in range(5):
            worker = node.worker.worker()
            os.kill(worker, signal.SIGKILL)
            other_worker(node.worker, worker)
        # The whole container, and it is started again.
        node.worker.kill()
        node.start_worker()
    assert (stays.target / "pw").read_text() == value
    wait_until(lambda: node.mounts() == [str(stays.target)], "only what is published is mounted")
    insist(lambda: node.kubelet.unpublish(stays))
    assert node.keeper.process.poll() is None


def test_a_new_worker_replaces_the_one_before_and_no_call_is_lost(node):
    """As a DaemonSet with maxSurge replaces its pods."""
    value = serve_one(node)
    node.start_worker()
    stays = node.kubelet.pod("shop", "stays", account="web")
    node.kubelet.publish(stays)
    with busy(node, stays, value):
        for _ in range(3):
            old = node.worker
            node.start_worker()
            old.wait_for_log("another worker serves: nothing is left to do here")
            assert "will have to be given again" not in old.log_text()
            assert old.process.poll() is None, "whoever started it would start it again"
            old.end()
    assert node.mounts() == [str(stays.target)]
    node.kubelet.unpublish(stays)


def test_the_pod_that_was_replaced_stands_in_when_the_next_one_dies(node):
    value = serve_one(node)
    first = node.start_worker()
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    second = node.start_worker()
    first.wait_for_log("another worker serves")
    second.kill()
    wait_until(first.worker, "the first pod's worker serves again")
    assert (pod.target / "pw").read_text() == value
    insist(lambda: node.kubelet.unpublish(pod))
    assert "killed by signal" not in first.log_text()


def test_keepers_that_are_killed_lose_nothing(node):
    """The whole container, guardians too: what the worker holds comes back to the next one."""
    value = serve_one(node)
    node.start_worker()
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    with Reader(node, f"{pod.target}/pw"):
        for number in range(3):
            node.keeper.kill()
            node.worker.wait_for_log("the keeper has hung up", number + 1)
            # Nobody mounts meanwhile, and everybody reads.
            assert (pod.target / "pw").read_text() == value
            os.statvfs(pod.target)
            node.start_keeper()
            node.keeper.wait_for_log("this one took 1 mounts over")
            node.keeper.wait_for_log("takes over by plan")
            insist(lambda: node.kubelet.publish(pod))
            node.services.set_secret("pw", value := secret())
            wait_until(lambda: node.worker.ok("refresh") is not None
                       and (pod.target / "pw").read_text() == value, "it is rotated")
            other = node.kubelet.pod("shop", f"other-{number}", account="web")
            insist(lambda: node.kubelet.publish(other))
            assert (other.target / "pw").read_text() == value
            insist(lambda: node.kubelet.unpublish(other))
    assert node.mounts() == [str(pod.target)]
    insist(lambda: node.kubelet.unpublish(pod))
    assert "killed by signal" not in node.worker.log_text()


def test_another_keeper_takes_over_and_the_worker_stays(node):
    """As a DaemonSet with maxSurge replaces the keeper's pods."""
    value = serve_one(node)
    node.start_worker()
    worker = node.worker.worker()
    stays = node.kubelet.pod("shop", "stays", account="web")
    node.kubelet.publish(stays)
    bound = node.driver.folder / "bound"
    bound.touch()
    subprocess.run(["mount", "--bind", stays.target / "pw", bound], check=True)
    try:
        with busy(node, stays, value):
            for _ in range(3):
                old = node.keeper
                node.start_keeper("taken over from another keeper")
                old.wait_for_log("nothing is left to do here")
                assert old.process.poll() is None, "whoever started it would start it again"
                old.end()
        with Reader(node, f"{stays.target}/pw"):
            # A bind mount is known once, to whichever keeper.
            node.services.set_secret("pw", value := secret())
            node.worker.ok("refresh")
            wait_until(lambda: (stays.target / "pw").read_text() == value, "it is rotated")
            wait_until(lambda: bound.read_text() == value, "the bind mount follows")
    finally:
        subprocess.run(["umount", bound], check=True)
    assert node.worker.worker() == worker
    # A worker that comes finds the gate where it was.
    node.start_worker()
    assert (stays.target / "pw").read_text() == value
    node.kubelet.unpublish(stays)


def test_a_keeper_that_is_told_to_end_goes_when_nothing_is_mounted(node):
    value = serve_one(node)
    node.start_worker()
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    os.kill(node.keeper.first(), signal.SIGTERM)
    node.keeper.wait_for_log("1 mounts are held until they are unmounted")
    os.kill(node.worker.worker(), signal.SIGKILL)
    wait_until(node.worker.worker, "another worker serves")
    assert (pod.target / "pw").read_text() == value
    insist(lambda: node.kubelet.unpublish(pod))
    assert node.keeper.process.wait(machine.PATIENCE) == 0
    assert not list(pathlib.Path(GATE).parent.glob("*.sock"))
    node.worker.end()


def test_a_worker_that_is_told_to_end_leaves_all_to_the_next(node):
    value = serve_one(node)
    node.start_worker()
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    with Reader(node, f"{pod.target}/pw"):
        node.worker.end()
        node.start_worker()
        insist(lambda: node.kubelet.publish(pod))
    assert (pod.target / "pw").read_text() == value
    node.worker.end(signal.SIGINT)
    assert node.mounts() == [] and node.keeper.process.poll() is None


def test_without_a_worker_nobody_waits_for_ever(node):
    serve_one(node)
    node.start_worker()
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    files = os.statvfs(pod.target).f_files
    assert files > 0
    node.worker.kill()
    # Asks a process each time: the spare, which knows of no file.
    assert os.statvfs(pod.target).f_files == 0
    node.keeper.wait_for_log("until one serves, readers get EIO")
    node.start_worker()
    wait_until(lambda: os.statvfs(pod.target).f_files == files, "a worker answers")
    node.kubelet.unpublish(pod)


def test_from_one_pod_to_two_and_back(node):
    """The driver in one pod hands over to a keeper, and gets everything back from one."""
    value = serve_one(node)
    node.keeper.end()
    one = Pod(node, node.keeper_script, ["csi", *node.driver.words()], "is ready")
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    with Reader(node, f"{pod.target}/pw"):
        node.start_keeper("taken over from another keeper")
        one.wait_for_log("nothing is left to do here")
        node.start_worker()
        one.end()
        other = node.kubelet.pod("shop", "web-1", account="web")
        node.kubelet.publish(other)
        assert (other.target / "pw").read_text() == value
        one = Pod(node, node.keeper_script, ["csi", *node.driver.words()], "is ready")
        node.keeper.wait_for_log("nothing is left to do here")
        node.keeper.end()
        insist(lambda: node.kubelet.unpublish(other))
    assert (pod.target / "pw").read_text() == value
    node.worker.end()
    insist(lambda: node.kubelet.unpublish(pod))
    one.end()


def test_a_keeper_that_cannot_see_its_worker_says_so(node, tmp_path):
    """And the worker's container ends, so that an update goes no further."""
    tmp_path.chmod(0o700)
    script = tmp_path / "keeper"
    script.write_text(OWN_PID.format(binary=node.binary))
    script.chmod(0o755)
    words = ["--driver-name", "other.example", "--endpoint", f"unix://{tmp_path}/csi.sock",
             "--registration-dir", tmp_path, "--kubelet-dir", node.folder]
    gate = tmp_path / "gate.sock"
    keeper = Pod(node, script, ["keeper", "--listen", gate, *words], "is ready for a worker")
    try:
        worker = Pod(node, node.worker_script,
                     ["csi", *node.driver.words(), *words, "--keeper", gate], "takes no worker")
        assert worker.process.wait(machine.PATIENCE) == 1
        assert "hostPID: true" in worker.log_text()
        assert "could begin to serve" in worker.log_text()
    finally:
        keeper.end()
    assert not gate.exists()
