"""The driver as a container runtime starts it, in a mount namespace of its own with kubelet's folder
mounted Bidirectional; and the next pod of a DaemonSet with maxSurge, which shares no more with it than
folders and processes of the host (hostPID)."""

import os
import pathlib
import signal
import subprocess

import machine
import pytest
from machine import wait_until
from services import secret

# Of the mounts only kubelet's folder is a shared one.
HOST_PID = """#!/bin/sh
exec unshare --mount --propagation unchanged {binary} "$@"
"""
OWN_PID = """#!/bin/sh
exec unshare --pid --fork --kill-child --mount --propagation unchanged \\
        sh -c 'mount -t proc proc /proc && exec "$0" "$@"' {binary} "$@"
"""


class InPod:
    """As the fixture akvfs, but that what it starts is in a pod."""

    def __init__(self, akvfs, script, text):
        self._akvfs = akvfs
        self.binary = script
        script.write_text(text.format(binary=akvfs.binary))
        script.chmod(0o755)

    def __getattr__(self, name):
        return getattr(self._akvfs, name)


def shared(driver):
    driver.trust("shop", "web")
    driver.put_class("shop", ["pw"])
    subprocess.run(["mount", "--bind", driver.folder, driver.folder], check=True)
    subprocess.run(["mount", "--make-shared", driver.folder], check=True)


@pytest.fixture
def pods(driver, request):
    shared(driver)
    script = driver.folder.parent / "pod"
    driver.akvfs = InPod(driver.akvfs, script, request.param)
    yield driver
    if driver.process and driver.process.poll() is None:
        end(driver.process)
    subprocess.run(["umount", driver.folder], check=True)


def end(process, sig=signal.SIGINT):
    """unshare itself hears no signal while it waits for the first process of a pid namespace."""
    children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    comm = pathlib.Path(f"/proc/{process.pid}/comm").read_text().strip()
    os.kill(int(children[0]) if comm == "unshare" else process.pid, sig)
    assert process.wait(machine.PATIENCE) == 0


@pytest.mark.parametrize("pods", [HOST_PID, OWN_PID], indirect=True, ids=["host", "own"])
def test_a_volume_is_mounted_from_within_a_pod(pods):
    value = secret()
    pods.services.set_secret("pw", value)
    pods.start("--poll-interval", "30s")
    # What the probes ask (deploy/kubernetes), before there is a volume too.
    subprocess.run([pods.akvfs.binary, "status"], check=True, stdout=subprocess.DEVNULL)
    pod = pods.kubelet.pod("shop", "web-0", account="web")
    pods.kubelet.publish(pod)
    assert (pod.target / "pw").read_text() == value
    pods.kubelet.unpublish(pod)
    assert not pod.target.exists()


@pytest.mark.parametrize("pods", [HOST_PID], indirect=True, ids=["host"])
def test_the_next_pod_takes_the_volumes_over(pods):
    value = secret()
    pods.services.set_secret("pw", value)
    pods.start("--poll-interval", "30s")
    pod = pods.kubelet.pod("shop", "web-0", account="web")
    pods.kubelet.publish(pod)
    for number in range(3):
        old = pods.process
        pods.start("--poll-interval", "30s")
        pods.wait_for_log("takes over by plan")
        wait_until(
            lambda p=old: "nothing is left to do here" in pods.logs_of[p].read_text(),
            "the old one has nothing left to do",
        )
        end(old, signal.SIGTERM)
        # What was mounted from within a namespace that is gone, and what is mounted from the next.
        assert (pod.target / "pw").read_text() == value
        other = pods.kubelet.pod("shop", f"other-{number}", account="web")
        pods.kubelet.publish(other)
        assert (other.target / "pw").read_text() == value
        pods.kubelet.unpublish(other)
    pods.kubelet.unpublish(pod)
    assert not pod.target.exists()
