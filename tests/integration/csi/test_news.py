"""What is told of volumes when kubelet does not ask: events on pods, and metrics."""

import os
import signal

from kubelet import AUDIENCE, ISSUER, service_token
from machine import wait_until
from services import CANARY, secret
from test_takeover import insist, serve_one


GONE = '{"error":{"code":"SecretNotFound","message":"A secret with (name/id) pw was not found"}}'


def told(node, reason, namespace="shop"):
    return [e for e in node.api.events(namespace) if e["reason"] == reason]


def wait_for(node, reason, count=1):
    return wait_until(lambda: len(events := told(node, reason)) >= count and events,
                      f"{count} of {reason} are told")


def published(node, name="web-0", **keywords):
    pod = node.kubelet.pod("shop", name, account="web")
    node.kubelet.publish(pod, **keywords)
    return pod


def test_a_rotation_that_fails_is_told_once_and_when_it_is_over(node):
    value = serve_one(node)
    pod = published(node)
    node.services.fault("/secrets/pw", status=404, body=GONE)
    for _ in range(2):
        assert node.akvfs.run("refresh").returncode == 1
    (event,) = wait_for(node, "MountRotationFailed")
    assert event["type"] == "Warning"
    assert event["involvedObject"]["name"] == "web-0" and event["involvedObject"]["uid"] == pod.uid
    assert event["source"] == {"component": "secrets.akvfs.io", "host": "node-1"}
    assert event["message"].startswith("failed to rotate mounted contents for spc shop/app, err: object pw: ")
    assert "what was fetched last stays mounted" in event["message"]
    assert event["count"] == 1, "for the transition, and not for each poll"
    assert (pod.target / "pw").read_text() == value
    now = node.metrics()
    assert now[("akvfs_volumes_failing",)] == 1
    assert now["rotation_reconcile_error_total", "NotFound", "linux", "azure", "false"] >= 2
    assert now["akvfs_events_total", "MountRotationFailed"] == 1

    node.services.emulator.clear_faults()
    node.services.set_secret("pw", new := secret())
    node.akvfs.ok("refresh")
    (event,) = wait_for(node, "MountRotationComplete")
    assert event["type"] == "Normal"
    assert (pod.target / "pw").read_text() == new
    now = node.metrics()
    assert now[("akvfs_volumes_failing",)] == 0
    assert now["rotation_reconcile_total", "linux", "azure", "true"] == 1
    assert CANARY not in str(node.api.events("shop"))
    node.kubelet.unpublish(pod)


def test_an_object_that_goes_is_told_with_what_becomes_of_its_file(driver):
    driver.trust("shop", "web")
    driver.start("--poll-interval", "30s", "--on-deleted", "remove")
    serve_one(driver)
    pod = published(driver)
    driver.services.delete("pw")
    assert driver.akvfs.run("refresh").returncode == 1
    (event,) = wait_for(driver, "MountRotationFailed")
    assert "SecretNotFound" in event["message"] and "its files were taken away" in event["message"]
    assert not (pod.target / "pw").exists()
    driver.kubelet.unpublish(pod)


def test_a_class_in_use_is_watched_and_no_other(node):
    """One watch a class, by its name; a pod is told when its class is not the one it has any more."""
    value = serve_one(node)
    node.put_class("shop", ["pw"], name="other")
    pods = [published(node, f"web-{i}") for i in range(3)]
    wait_until(lambda: node.api.begun == 1, "the class is watched")
    watches = [r for r in node.api.requests if r[0] in ("list", "watch")]
    assert len(watches) == 2
    for _, resource, namespace, _, request in watches:
        assert (resource, namespace) == ("secretproviderclasses", "shop")
        assert request.query["fieldSelector"] == "metadata.name=app"

    node.api.label_class("shop", "app", team="web")
    node.services.set_secret("more", secret())
    node.put_class("shop", ["pw", "more"])
    events = wait_for(node, "SecretProviderClassChanged", 3)
    assert {e["involvedObject"]["name"] for e in events} == {"web-0", "web-1", "web-2"}
    assert all(e["type"] == "Normal" and e["count"] == 1 for e in events)
    assert (pods[0].target / "pw").read_text() == value
    assert not (pods[0].target / "more").exists(), "it counts from the next publish on"
    fresh = published(node, "web-3")
    assert (fresh.target / "more").exists()
    now = node.metrics()
    assert now[("akvfs_volumes_outdated",)] == 3
    assert now[("akvfs_classes_watched",)] == 1

    node.api.delete_class("shop", "app")
    events = wait_for(node, "SecretProviderClassGone", 4)
    assert all(e["type"] == "Warning" for e in events)
    assert len(told(node, "SecretProviderClassChanged")) == 3
    assert (fresh.target / "pw").read_text() == value
    for pod in [*pods, fresh]:
        node.kubelet.unpublish(pod)


def test_the_next_worker_knows_which_class_a_volume_has(node):
    serve_one(node)
    pod, same = published(node), published(node, "web-1")
    wait_until(lambda: node.api.begun == 1, "the class is watched")
    worker = node.worker()
    os.kill(worker, signal.SIGKILL)
    node.wait_for_log("2 volumes of the last worker are gone on with")
    wait_until(lambda: node.api.begun == 2, "the class is watched again")
    assert told(node, "SecretProviderClassChanged") == []
    node.put_class("shop", ["pw"], useVMManagedIdentity="false")
    wait_for(node, "SecretProviderClassChanged", 2)
    for it in (pod, same):
        insist(lambda it=it: node.kubelet.unpublish(it))


def test_a_watch_that_is_refused_costs_nothing_but_the_news(node):
    value = serve_one(node)
    for verb in ("list", "watch"):
        node.api.fault(403, verb=verb, times=1)
    pod = published(node)
    node.wait_for_log("are not noticed for the time being")
    assert (pod.target / "pw").read_text() == value
    node.wait_for_log("changes of all classes in use are noticed again")
    node.put_class("shop", ["pw"], useVMManagedIdentity="false")
    wait_for(node, "SecretProviderClassChanged")
    node.kubelet.unpublish(pod)


def test_what_kubelet_brings_and_cannot_be_taken_is_told(node):
    value = serve_one(node)
    pod = published(node)
    other = pod.context("app", tokens={AUDIENCE: service_token("shop", "other")})
    for _ in range(2):
        node.kubelet.publish(pod, context=other)  # answered OK: some kubelets take it for the end
    (event,) = wait_for(node, "MountRepublishFailed")
    assert event["involvedObject"]["name"] == "web-0"
    assert event["count"] == 1
    assert node.metrics()["akvfs_republish_error_total", "InvalidArgument"] == 2
    assert (pod.target / "pw").read_text() == value
    node.kubelet.unpublish(pod)


def test_a_volume_that_had_died_is_mounted_anew_and_its_pod_told(node):
    """As when keeper and worker were removed together: only a restart helps containers that run."""
    value = serve_one(node)
    pod = published(node)
    node.kill_all()
    node.start("--poll-interval", "30s")
    insist(lambda: node.kubelet.publish(pod))
    assert (pod.target / "pw").read_text() == value
    (event,) = wait_for(node, "MountReplaced")
    assert event["type"] == "Warning" and event["involvedObject"]["uid"] == pod.uid
    assert "restart the pod" in event["message"]
    fresh = published(node, "web-1")
    insist(lambda: node.kubelet.publish(pod))
    assert len(told(node, "MountReplaced")) == 1
    for it in (pod, fresh):
        node.kubelet.unpublish(it)


def test_a_republish_of_identity_binding_brings_the_token_of_its_audience(driver):
    """Kubelet brings one for each audience; the other one is not the volume's."""
    name = "aeaf29ip1hi5q38ebc3u4daum81u0unk52t5bg50j25234fmuj78g.ests.aks"
    binding = "api://AKSIdentityBinding"
    services = driver.services
    services.emulator.stop()
    services.emulator.args += ["--san", name]
    services.start()
    with open(driver.account / "ca.crt", "ab") as authorities:
        authorities.write(services.ca_file.read_bytes())
    services.emulator.add_identity(
        services.client_id, tenant=services.tenant, client_secrets=[],
        federated=[{"issuer": ISSUER, "subject": "system:serviceaccount:shop:web", "audience": binding}],
    )
    driver.start("--token-proxy-url", services.emulator.https_url, "--sni-name", name)
    services.set_secret("pw", value := secret())
    driver.put_class("shop", ["pw"], useAzureTokenProxy="true")
    pod = driver.kubelet.pod("shop", "web-0", account="web")

    def tokens(account):
        return {AUDIENCE: service_token("shop", "web"), binding: service_token("shop", account, binding)}

    driver.kubelet.publish(pod, context=pod.context("app", tokens=tokens("web")))
    assert (pod.target / "pw").read_text() == value
    driver.kubelet.publish(pod, context=pod.context("app", tokens=tokens("web")))
    assert told(driver, "MountRepublishFailed") == []
    driver.kubelet.publish(pod, context=pod.context("app", tokens=tokens("other")))
    (event,) = wait_for(driver, "MountRepublishFailed")
    assert "is that of system:serviceaccount:shop:other" in event["message"]
    driver.kubelet.unpublish(pod)
