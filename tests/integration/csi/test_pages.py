"""/healthz and /metrics of a driver at work, as a probe and Prometheus ask for them."""

import os
import signal
import socket

import grpc
import machine
from machine import wait_until
from services import CANARY, secret
from test_takeover import insist
from test_volumes import refused

PUBLISHED = ("node_publish_total", "linux", "azure")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_what_kubelet_is_answered_is_counted(node):
    node.services.set_secret("pw", secret())
    pod = node.kubelet.pod("shop", "web-0", account="web")
    refused(lambda: node.kubelet.publish(pod), grpc.StatusCode.NOT_FOUND)
    node.put_class("shop", ["pw"])
    node.kubelet.publish(pod)
    node.kubelet.publish(pod)
    refused(lambda: node.kubelet.call("/csi.v1.Node/NodeUnpublishVolume", {2: str(pod.target)}),
            grpc.StatusCode.INVALID_ARGUMENT)
    told = node.metrics()
    assert told[PUBLISHED] == 2
    assert told["node_publish_error_total", "NotFound", "linux", "azure"] == 1
    assert told["node_unpublish_error_total", "linux"] == 1
    assert told["akvfs_publish_duration_seconds_count", "OK"] == 1, "a republish is none"
    assert told["akvfs_publish_duration_seconds_count", "NotFound"] == 1
    assert told[("akvfs_volumes",)] == 1
    assert told[("akvfs_vault_requests_total",)] == node.services.emulator.count(operation="secrets.get")
    node.kubelet.unpublish(pod)
    told = node.metrics()
    assert told["node_unpublish_total", "linux"] == 1
    assert told[("akvfs_volumes",)] == 0
    for name in ("shop", "web-0", "pw", CANARY):
        assert name not in node.page("/metrics")[1], "no series has an object of anybody's in it"


def test_each_page_is_at_its_own_address(node):
    assert node.page("/healthz", "health") == (200, "ok")
    assert node.page("/metrics", "health")[0] == 404
    assert node.page("/healthz")[0] == 200


def test_the_next_worker_has_the_pages_again(driver):
    """At the same port; the worker that is held ready takes no connection that it never serves."""
    driver.trust("shop", "web")
    port = free_port()
    driver.start("--health-addr", f"127.0.0.1:{port}", "--metrics-addr", "off")
    for _ in range(3):
        for _ in range(20):
            assert driver.page("/healthz", "health") == (200, "ok")
        worker = driver.worker()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda w=worker: driver.worker() not in (None, w), "another worker serves")
        wait_until(lambda: driver.page("/healthz", "health") == (200, "ok"), "its page is there")
    assert " metrics: " not in driver.log_text()


def test_a_port_that_somebody_has_costs_the_page_alone(driver):
    driver.trust("shop", "web")
    driver.services.set_secret("pw", value := secret())
    driver.put_class("shop", ["pw"])
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        driver.start("--health-addr", f"127.0.0.1:{other.getsockname()[1]}")
        driver.wait_for_log("another program has this port")
        pod = driver.kubelet.pod("shop", "web-0", account="web")
        insist(lambda: driver.kubelet.publish(pod))
        assert (pod.target / "pw").read_text() == value
        driver.kubelet.unpublish(pod)


def test_the_pages_stay_when_another_driver_takes_over(driver):
    """Both have the port while the one hands over to the other."""
    driver.trust("shop", "web")
    words = ("--health-addr", f"127.0.0.1:{free_port()}", "--metrics-addr", f"127.0.0.1:{free_port()}")
    driver.start(*words)
    driver.services.set_secret("pw", secret())
    driver.put_class("shop", ["pw"])
    pod = driver.kubelet.pod("shop", "web-0", account="web")
    driver.kubelet.publish(pod)
    old = driver.process
    driver.start(*words)
    driver.wait_for_log("takes over by plan")
    wait_until(lambda: "nothing is left to do here" in driver.logs_of[old].read_text(),
               "the old one has nothing left to do")
    # what the old one still has of its life must not keep a probe waiting
    for _ in range(20):
        assert driver.page("/healthz", "health") == (200, "ok")
        assert driver.metrics()[("akvfs_volumes",)] == 1
    old.send_signal(signal.SIGTERM)
    assert old.wait(machine.PATIENCE) == 0
    assert driver.page("/healthz", "health") == (200, "ok")
    driver.kubelet.unpublish(pod)
