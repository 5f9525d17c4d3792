"""Whose volume it is: what kubelet says counts, and nothing that a pod's author wrote."""

import json

import grpc
from kubelet import AUDIENCE, PREFIX, entries, service_token
from services import secret
from test_volumes import refused

OTHER = "dddddddd-0000-4000-8000-00000000000d"


def tokens(token, audience=AUDIENCE):
    return json.dumps({audience: {"token": token, "expirationTimestamp": "2031-01-02T03:04:05Z"}})


def vault_requests(node):
    return node.services.emulator.count(operation="secrets.get")


def test_forged_requests_are_refused(node):
    node.services.set_secret("pw", secret())
    node.put_class("shop", ["pw"])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    mine = pod.context("app")
    theirs = service_token("bank", "teller")

    def publish(context, code, *texts, **keywords):
        refused(lambda: node.kubelet.publish(pod, context=context, **keywords), code, *texts)

    key = PREFIX + "serviceAccount.tokens"
    publish({**mine, key: tokens(theirs)}, grpc.StatusCode.INVALID_ARGUMENT,
            "is that of system:serviceaccount:bank:teller",
            "the pod's account is system:serviceaccount:shop:web")
    publish(mine, grpc.StatusCode.INVALID_ARGUMENT, "both as an attribute and as a secret",
            secrets={key: tokens(theirs)})
    publish({**mine, PREFIX + "pod.labels": "x"}, grpc.StatusCode.INVALID_ARGUMENT,
            "is not one that kubelet sets")
    without = {name: value for name, value in mine.items() if name != PREFIX + "serviceAccount.name"}
    publish(without, grpc.StatusCode.FAILED_PRECONDITION, "podInfoOnMount")
    without = {name: value for name, value in mine.items() if name != key}
    publish(without, grpc.StatusCode.FAILED_PRECONDITION, "service account tokens not found",
            "tokenRequests")
    publish({**mine, PREFIX + "ephemeral": "false"}, grpc.StatusCode.INVALID_ARGUMENT, "inline")
    twice = node.kubelet.publish_fields(pod)
    twice[8] = entries(mine) + entries({PREFIX + "pod.namespace": "bank"})
    refused(lambda: node.kubelet.call("/csi.v1.Node/NodePublishVolume", twice),
            grpc.StatusCode.INVALID_ARGUMENT, "is there twice")
    assert vault_requests(node) == 0
    assert node.mounts() == []


def test_tokens_may_come_as_secrets(node):
    """Kubernetes 1.35: serviceAccountTokenInSecrets."""
    value = secret()
    node.services.set_secret("pw", value)
    node.put_class("shop", ["pw"])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    context = pod.context("app")
    token = context.pop(PREFIX + "serviceAccount.tokens")
    node.kubelet.publish(pod, context=context, secrets={PREFIX + "serviceAccount.tokens": token})
    assert (pod.target / "pw").read_text() == value
    node.kubelet.unpublish(pod)


def test_pods_of_one_identity_share_and_others_do_not(node):
    names = [f"s{i}" for i in range(5)]
    for name in names:
        node.services.set_secret(name, secret())
    node.put_class("shop", names)
    node.put_class("bank", names)
    first = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(first)
    before = vault_requests(node)
    assert before == len(names)
    more = [node.kubelet.pod("shop", f"web-{i}", account="web") for i in range(1, 6)]
    for pod in more:
        node.kubelet.publish(pod)
        assert sorted(it.name for it in pod.target.iterdir() if it.is_file()) == names
    assert vault_requests(node) == before, "the second pod costs the vault nothing"

    # The same class, another namespace's account: Entra does not know it.
    stranger = node.kubelet.pod("bank", "web-0", account="web")
    refused(lambda: node.kubelet.publish(stranger), grpc.StatusCode.FAILED_PRECONDITION,
            "failed to get key vault token")
    assert vault_requests(node) == before
    assert str(stranger.target) not in node.mounts()
    for pod in [first, *more]:
        node.kubelet.unpublish(pod)


def test_each_identity_sees_what_its_own_token_may_read(node):
    vault = node.services.vault
    for name in ("pw", "key"):
        node.services.set_secret(name, secret())
    node.trust("bank", "teller", client_id=OTHER, permissions={vault: {"keys": ["get"]}})
    node.put_class("shop", ["pw"])
    node.put_class("bank", ["pw"], clientID=OTHER)
    mine = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(mine)
    theirs = node.kubelet.pod("bank", "desk-0", account="teller")
    refused(lambda: node.kubelet.publish(theirs), grpc.StatusCode.PERMISSION_DENIED,
            "objectName:pw", "403")
    # what is in the cache of the one identity is not shown to the other, also under its client id
    node.put_class("bank", ["pw"])
    refused(lambda: node.kubelet.publish(theirs), grpc.StatusCode.FAILED_PRECONDITION)
    assert (mine.target / "pw").exists()
    node.kubelet.unpublish(mine)


def test_a_revoked_role_counts_for_the_next_pod(node):
    node.services.set_secret("pw", secret())
    node.put_class("shop", ["pw"])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    node.services.emulator.permit(node.services.client_id, {node.services.vault: {"keys": ["get"]}})
    node.akvfs.run("refresh")  # what the poll interval would do
    later = node.kubelet.pod("shop", "web-1", account="web")
    refused(lambda: node.kubelet.publish(later), grpc.StatusCode.PERMISSION_DENIED, "403")
    assert (pod.target / "pw").exists(), "what runs keeps its last good bytes"
    node.kubelet.unpublish(pod)


def test_a_republish_brings_tokens_and_costs_nothing(node):
    value = secret()
    node.services.set_secret("pw", value)
    node.put_class("shop", ["pw"])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    requests, asked = vault_requests(node), node.asked()
    inode = (pod.target / "pw").stat().st_ino
    for _ in range(20):
        node.kubelet.publish(pod)
    # neither what has gone wrong meanwhile ...
    node.api.delete_class("shop", "app")
    node.services.outage()
    node.kubelet.publish(pod)
    # ... nor what is wrong with the request makes it fail
    key = PREFIX + "serviceAccount.tokens"
    node.kubelet.publish(pod, context={**pod.context("app"), key: tokens(service_token("x", "y"))})
    node.wait_for_log("is that of system:serviceaccount:x:y")
    node.kubelet.publish(pod, context={**pod.context("app"), key: "{"})
    node.kubelet.publish(pod, readonly=False)
    node.wait_for_log("what is mounted stays as it is")
    node.services.recover()
    assert vault_requests(node) == requests
    assert node.asked() == asked
    assert (pod.target / "pw").stat().st_ino == inode
    assert (pod.target / "pw").read_text() == value
    node.kubelet.unpublish(pod)
