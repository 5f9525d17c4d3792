"""Processes that are killed, volumes that are left, callers that give up."""

import concurrent.futures
import os
import signal
import threading
import time

import grpc
import machine
import pytest
from machine import wait_until
from services import secret
from test_volumes import refused


def serve_one(node, name="pw"):
    value = secret()
    node.services.set_secret(name, value)
    node.put_class("shop", [name])
    return value


def insist(call, patience=machine.PATIENCE, told=None):
    """As kubelet: again after every code that is not final; told() hears of each."""
    again = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.DEADLINE_EXCEEDED,
             grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.CANCELLED)
    end = time.monotonic() + patience
    while True:
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() not in again or time.monotonic() > end:
                raise
            if told:
                told(error.code())


def live(node, number, value, stop, ask=lambda call: call()):
    """Pods that come, read and go, one after the other; how many there were."""
    done = 0
    while not stop.is_set():
        pod = node.kubelet.pod("shop", f"web-{number}-{done}", account="web")
        ask(lambda: node.kubelet.publish(pod))
        assert (pod.target / "pw").read_text() == value
        ask(lambda: node.kubelet.unpublish(pod))
        assert not pod.target.exists()
        done += 1
    return done


def test_volumes_are_found_again_after_the_worker_was_killed(node):
    value = serve_one(node)
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    asked = node.asked()
    worker = node.worker()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: node.worker() not in (None, worker), "another worker serves")
    assert (pod.target / "pw").read_text() == value
    insist(lambda: node.kubelet.publish(pod))
    assert node.asked() == asked
    assert node.mounts() == [str(pod.target)]
    node.services.set_secret("pw", new := secret())
    node.wait_for_log("fresh again after the change of worker")
    node.akvfs.run("refresh")
    assert (pod.target / "pw").read_text() == new
    insist(lambda: node.kubelet.unpublish(pod))
    assert node.mounts() == [] and not pod.target.exists()


def test_a_token_of_a_republish_serves_the_next_worker(node):
    """What the last worker left may hold an old token: the next republish brings a better one."""
    serve_one(node)
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    # Entra takes no token of this account for the moment
    node.services.emulator.add_identity(node.services.client_id, tenant=node.services.tenant,
                                        client_secrets=[], federated=[])
    worker = node.worker()
    os.kill(worker, signal.SIGKILL)
    node.wait_for_log("what the last worker left stays as it is")
    node.trust("shop", "web")
    insist(lambda: node.kubelet.publish(pod))
    node.wait_for_log("fresh again after the change of worker")
    node.kubelet.unpublish(pod)


def test_what_a_dead_driver_left_is_mounted_anew(node):
    """Every process of it is gone, as after the end of its container."""
    value = serve_one(node)
    pods = [node.kubelet.pod("shop", f"web-{i}", account="web") for i in range(2)]
    for pod in pods:
        node.kubelet.publish(pod)
    node.kill_all()
    with pytest.raises(OSError):
        os.statvfs(pods[0].target)
    node.start()
    node.kubelet.publish(pods[0])  # a republish, for kubelet
    assert (pods[0].target / "pw").read_text() == value
    node.kubelet.unpublish(pods[1])
    assert not pods[1].target.exists()
    node.kubelet.unpublish(pods[0])
    assert node.mounts() == []


def test_two_publishes_at_once_and_an_unpublish(node):
    serve_one(node)
    node.services.latency(400)
    pod = node.kubelet.pod("shop", "web-0", account="web")
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        both = [pool.submit(node.kubelet.publish, pod) for _ in range(3)]
        for it in both:
            it.result()
        assert node.mounts() == [str(pod.target)]
        assert node.services.emulator.count(operation="secrets.get") == 1
        node.kubelet.unpublish(pod)

        other = node.kubelet.pod("shop", "web-1", account="web")
        node.services.latency(20000)
        asked = node.asked()
        publish = pool.submit(node.kubelet.publish, other)
        wait_until(lambda: node.asked() > asked, "it has begun")
        node.kubelet.unpublish(other)
        refused(publish.result, grpc.StatusCode.ABORTED)
    assert node.mounts() == [] and not other.target.exists()


def test_a_caller_is_told_before_its_deadline(node):
    serve_one(node)
    node.services.latency(60000)
    # The longer it is, the more time a busy machine has to get as far as the vault, and to answer.
    for patience in (2, 8, 30):
        pod = node.kubelet.pod("shop", f"web-{patience}", account="web")
        error = refused(lambda p=pod, t=patience: node.kubelet.publish(p, timeout=t),
                        grpc.StatusCode.DEADLINE_EXCEEDED)
        if "no object has been fetched yet" in error:
            break
    assert error.startswith("failed to mount secrets store objects for pod shop/web-"), error
    assert "context deadline exceeded: no object has been fetched yet" in error
    node.services.latency(0)
    insist(lambda: node.kubelet.publish(pod))
    node.kubelet.unpublish(pod)


def test_a_caller_that_goes_away_leaves_nothing(node):
    serve_one(node)
    node.services.latency(1500)
    pod = node.kubelet.pod("shop", "web-0", account="web")
    asked = node.asked()
    channel = node.kubelet.connect()
    call = channel.unary_unary("/csi.v1.Node/NodePublishVolume").future(
        node.kubelet.encode(pod), timeout=60)
    wait_until(lambda: node.asked() > asked, "it has begun")
    call.cancel()
    channel.close()
    node.services.latency(0)
    node.kubelet.unpublish(pod)
    assert node.mounts() == [] and not pod.target.exists()


def test_sigterm_leaves_what_is_mounted_to_kubelet(node):
    value = serve_one(node)
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    node.process.send_signal(signal.SIGTERM)
    node.wait_for_log("1 are served until they are unpublished")
    assert (pod.target / "pw").read_text() == value
    late = node.kubelet.pod("shop", "web-1", account="web")
    refused(lambda: node.kubelet.publish(late), grpc.StatusCode.UNAVAILABLE)
    node.kubelet.publish(pod)
    node.kubelet.unpublish(pod)
    assert node.process.wait(machine.PATIENCE) == 0
    assert node.mounts() == []


def test_a_second_sigterm_takes_everything_away(node):
    serve_one(node)
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    node.process.send_signal(signal.SIGTERM)
    node.wait_for_log("1 are served until they are unpublished")
    node.end(signal.SIGTERM)
    assert node.mounts() == [] and not pod.target.exists()


def test_another_driver_takes_over_and_no_call_is_lost(node):
    """As a DaemonSet with maxSurge replaces its pods: the new one is there before the old one goes."""
    value = serve_one(node)
    stays = node.kubelet.pod("shop", "stays", account="web")
    node.kubelet.publish(stays)
    stop = threading.Event()

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        lives = [pool.submit(live, node, number, value, stop) for number in range(2)]
        try:
            for _ in range(3):
                old = node.process
                node.start("--poll-interval", "30s")
                node.wait_for_log("takes over by plan")
                wait_until(lambda p=old: "nothing is left to do here" in node.logs_of[p].read_text(),
                           "the old one has nothing left to do")
                assert "will have to be given again" not in node.logs_of[old].read_text()
                assert old.poll() is None, "whoever started it would start it again"
                old.send_signal(signal.SIGTERM)
                assert old.wait(machine.PATIENCE) == 0
        finally:
            stop.set()
        done = [it.result() for it in lives]
    assert min(done) > 0
    assert (stays.target / "pw").read_text() == value
    assert node.mounts() == [str(stays.target)]
    node.kubelet.unpublish(stays)
