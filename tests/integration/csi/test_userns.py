"""Pods in user namespaces of their own (hostUsers: false)."""

import os
import signal

from machine import wait_until
from services import secret
from test_idmap import SHIFT, clone, needs_idmap
from test_takeover import insist


@needs_idmap
def test_a_pod_in_a_user_namespace_of_its_own(node):
    """The runtime gives it an id-mapped clone, in which the pod's group is the one that it asked for."""
    node.services.set_secret("pw", first := secret())
    node.put_class("shop", ["pw"])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod, group=4242)
    seen = clone(pod.target, "pw")
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.splitlines()[0] == f"pw {SHIFT} {SHIFT + 4242} {first}"
    assert seen.stdout.splitlines()[-1] == f"inside pw 0 4242 {first}"
    assert (os.stat(pod.target / "pw").st_uid, os.stat(pod.target / "pw").st_gid) == (0, 4242)

    # What comes later comes there as well: a rotation, and another worker.
    node.services.set_secret("pw", second := secret())
    node.akvfs.run("refresh")
    wait_until(lambda: (pod.target / "pw").read_text() == second, "it has rotated")
    worker = node.worker()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: node.worker() not in (None, worker), "another worker serves")
    seen = clone(pod.target, "pw")
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.splitlines()[0] == f"pw {SHIFT} {SHIFT + 4242} {second}"
    insist(lambda: node.kubelet.unpublish(pod))
    assert node.mounts() == [] and not pod.target.exists()
