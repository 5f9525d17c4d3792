"""The life of volumes, as kubelet drives it."""

import os
import pathlib
import stat
import subprocess

import classes
import grpc
import pytest
from kubelet import Kubelet, decode, entries
from services import CANARY, secret

# Nine levels of nine aliases each: 400 million strings.
BOMB = 'a0: &a0 [x]\n' + ''.join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
) + "array: *a9\n"


def refused(call, code, *texts):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    error = caught.value
    assert error.code() == code, f"{error.code()}: {error.details()}"
    for text in texts:
        assert text in error.details(), error.details()
    return error.details()


def test_publish_and_unpublish(node):
    value = secret()
    node.services.set_secret("pw", value)
    node.put_class("shop", ["pw"])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    assert (pod.target / "pw").read_text() == value
    assert stat.S_IMODE(os.stat(pod.target / "pw").st_mode) == 0o644
    assert node.mounts() == [str(pod.target)]
    node.kubelet.publish(pod)  # again: nothing happens
    assert node.mounts() == [str(pod.target)]
    node.kubelet.unpublish(pod)
    assert node.mounts() == []
    assert not pod.target.exists()
    node.kubelet.unpublish(pod)


def test_what_a_publish_says_of_the_class(node):
    kubelet = node.kubelet
    node.services.set_secret("pw", secret())
    pod = kubelet.pod("shop", "web-0", account="web")

    def publish(**keywords):
        return lambda: kubelet.publish(pod, **keywords)

    refused(publish(), grpc.StatusCode.NOT_FOUND,
            "failed to get secretproviderclass shop/app, error: "
            'secretproviderclasses.secrets-store.csi.x-k8s.io "app" not found',
            "kubectl get secretproviderclass -n shop")
    node.api.put_class("shop", "app", {"parameters": {"a": "b"}})
    refused(publish(), grpc.StatusCode.INVALID_ARGUMENT, "provider not set in shop/app")
    node.api.put_class("shop", "app", {"provider": "vault", "parameters": {"a": "b"}})
    refused(publish(), grpc.StatusCode.INVALID_ARGUMENT, 'provider not found: provider "vault"')
    node.api.put_class("shop", "app", {"provider": "azure"})
    refused(publish(), grpc.StatusCode.INVALID_ARGUMENT, "parameters not set in shop/app")
    node.put_class("shop", ["pw"], keyvaultName=None)
    refused(publish(), grpc.StatusCode.INVALID_ARGUMENT,
            "failed to mount secrets store objects for pod shop/web-0, err: ", "keyvaultName")
    node.put_class("shop", ["absent", "pw"])
    refused(publish(), grpc.StatusCode.NOT_FOUND,
            "failed to mount secrets store objects for pod shop/web-0, err: ",
            "err: failed to mount objects, error: ",
            "failed to get objectType:secret, objectName:absent", "SecretNotFound")
    assert f"failed to process mount request: {pod.target}: NotFound: " in node.log_text()
    node.put_class("shop", ["pw"], clientID=None)
    refused(publish(), grpc.StatusCode.INVALID_ARGUMENT,
            "failed to get credentials, nodePublishSecretRef secret is not set")
    node.api.fault(503, retry_after=120)  # longer than any pause of ours: not tried again
    refused(publish(), grpc.StatusCode.UNAVAILABLE, "failed to get secretproviderclass shop/app")
    node.api.revoke(node.token)
    refused(publish(), grpc.StatusCode.FAILED_PRECONDITION, "Unauthorized")
    assert node.mounts() == []
    assert not pod.target.exists()


def test_bad_requests_touch_nothing(node):
    kubelet = node.kubelet
    node.services.set_secret("pw", secret())
    node.put_class("shop", ["pw"])
    pod = kubelet.pod("shop", "web-0", account="web")
    good = kubelet.publish_fields(pod)

    def publish(*texts, **changes):
        fields = {**good, **{int(key[1:]): value for key, value in changes.items()}}
        fields = {key: value for key, value in fields.items() if value is not None}
        refused(lambda: kubelet.call("/csi.v1.Node/NodePublishVolume", fields),
                grpc.StatusCode.INVALID_ARGUMENT, *texts)

    publish("Volume capability missing in request", _5=None)
    publish("Volume ID missing in request", _1=None)
    publish("Target path missing in request", _4=None)
    publish("Volume attributes missing in request", _8=None)
    publish("Readonly is not true in request", _6=False)
    publish("not below kubelet's folder", _4="/etc/mount")
    publish("'..' part", _4=f"{node.folder}/pods/../../../etc/mount")
    publish("no name", _8=entries(pod.context("../../x")))
    publish("is not one that kubelet sets",
            _8=entries({**pod.context("app"), "csi.storage.k8s.io/pod.nodeName": "x"}))
    publish("", _8=entries({**pod.context("app"), "objects": "array:\n" + "  - x\n" * 200000}))
    publish("", _8=entries({**pod.context("app"), "objects": BOMB}))
    publish("", _8=entries({**pod.context("app"), "objects": classes.objects(
        [classes.element("pw", alias="../../x")])}))
    assert not pod.target.exists()

    os.symlink("/tmp", pod.target)
    error = refused(lambda: kubelet.publish(pod), grpc.StatusCode.INTERNAL, str(pod.target))
    assert CANARY not in error
    assert os.readlink(pod.target) == "/tmp"
    os.unlink(pod.target)
    assert node.mounts() == []

    refused(lambda: kubelet.call("/csi.v1.Node/NodePublishVolume", body=b"\xff" * 64),
            grpc.StatusCode.INVALID_ARGUMENT)
    refused(lambda: kubelet.call("/csi.v1.Node/NodePublishVolume", body=b"\0" * (5 << 20)),
            grpc.StatusCode.RESOURCE_EXHAUSTED)
    for method in ("NodeStageVolume", "NodeExpandVolume", "NodeUnstageVolume"):
        refused(lambda m=method: kubelet.call(f"/csi.v1.Node/{m}"), grpc.StatusCode.UNIMPLEMENTED)
    refused(lambda: kubelet.call("/csi.v1.Controller/CreateVolume"), grpc.StatusCode.UNIMPLEMENTED)
    refused(lambda: kubelet.call("/csi.v1.Node/NodeUnpublishVolume", {2: str(pod.target)}),
            grpc.StatusCode.INVALID_ARGUMENT, "Volume ID missing in request")
    refused(lambda: kubelet.call("/csi.v1.Node/NodeUnpublishVolume", {1: "x", 2: "/etc"}),
            grpc.StatusCode.INVALID_ARGUMENT)
    refused(lambda: kubelet.stats(pod), grpc.StatusCode.NOT_FOUND)


def test_who_is_asked_about(node):
    """Registration, identity and health, as kubelet and probes ask."""
    kubelet = node.kubelet
    registry = Kubelet(node.folder, node.registry / "secrets.akvfs.io-reg.sock")
    info = registry.call("/pluginregistration.Registration/GetInfo")
    assert info[1] == [b"CSIPlugin"] and info[2] == [b"secrets.akvfs.io"]
    assert info[3] == [f"{node.folder}/plugins/secrets.akvfs.io/csi.sock".encode()]
    assert info[4] == [b"1.0.0"]
    registry.call("/pluginregistration.Registration/NotifyRegistrationStatus", {1: True})
    node.wait_for_log("kubelet has registered the driver")

    assert kubelet.call("/csi.v1.Identity/GetPluginInfo")[1] == [b"secrets.akvfs.io"]
    assert kubelet.call("/csi.v1.Identity/GetPluginCapabilities") == {}
    assert decode(kubelet.call("/csi.v1.Identity/Probe")[1][0]) == {1: [1]}
    assert kubelet.call("/grpc.health.v1.Health/Check") == {1: [1]}
    assert kubelet.call("/csi.v1.Node/NodeGetInfo") == {1: [b"node-1"]}
    answer = kubelet.call("/csi.v1.Node/NodeGetCapabilities")
    types = [decode(decode(it)[1][0])[1][0] for it in answer[1]]
    assert sorted(types) == [2, 4, 6]  # GET_VOLUME_STATS, VOLUME_CONDITION, VOLUME_MOUNT_GROUP

    # The keeper does without the library of all that.
    def has_grpc(pid):
        return "libgrpc" in pathlib.Path(f"/proc/{pid}/maps").read_text()

    assert has_grpc(node.worker()) and not has_grpc(node.process.pid)


def test_what_volumes_say_of_themselves(node):
    node.services.set_secret("pw", "12345" + CANARY)
    node.put_class("shop", ["pw"])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    size = len("12345" + CANARY)
    used, files, abnormal, text = node.kubelet.stats(pod)
    assert (used, files, abnormal) == (size, 1, False), text
    status = node.akvfs.status()["mounts"]
    assert [it["mountpoint"] for it in status] == [str(pod.target)]
    assert "service account shop/web" in status[0]["identity"]

    node.services.delete("pw")
    node.akvfs.run("refresh")
    used, files, abnormal, text = node.kubelet.stats(pod)
    assert (used, files, abnormal) == (size, 1, True)
    assert "SecretNotFound" in text
    node.kubelet.unpublish(pod)
    refused(lambda: node.kubelet.stats(pod), grpc.StatusCode.NOT_FOUND)


def test_an_unpublish_ends_with_readers_inside(node):
    node.services.set_secret("pw", secret())
    node.put_class("shop", ["pw"])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod)
    with open(pod.target / "pw", "rb") as reader:
        node.kubelet.unpublish(pod)
        assert not pod.target.exists()
        with pytest.raises(OSError):
            reader.read()


def test_a_volume_of_the_driver_before_is_replaced_and_taken_away(node):
    """Pods that were there when akvfs took the Secrets Store CSI Driver's place."""
    node.services.set_secret("pw", value := secret())
    node.put_class("shop", ["pw"])
    pods = [node.kubelet.pod("shop", f"web-{i}", account="web") for i in range(2)]
    for pod in pods:
        pod.target.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", pod.target], check=True)
        (pod.target / "pw").write_text("of that driver")
    node.kubelet.publish(pods[0])  # a republish, for kubelet
    assert (pods[0].target / "pw").read_text() == value
    for pod in pods:
        node.kubelet.unpublish(pod)
        assert not pod.target.exists()
    assert node.mounts() == []


def test_the_pod_s_group_reads(node):
    node.services.set_secret("pw", secret())
    node.services.set_secret("open", secret())
    node.put_class("shop", ["pw", classes.element("open", filePermission="0404")])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod, group=4242)
    modes = {}
    for name in ("pw", "open"):
        it = os.stat(pod.target / name)
        assert (it.st_uid, it.st_gid) == (0, 4242)
        modes[name] = stat.S_IMODE(it.st_mode)
    assert modes == {"pw": 0o440, "open": 0o404}
    node.kubelet.unpublish(pod)


def test_attributes_overlay_the_class(node):
    values = {name: secret() for name in ("pw", "other")}
    for name, value in values.items():
        node.services.set_secret(name, value)
    node.put_class("shop", ["pw"])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod, objects=classes.objects(["other"]))
    assert (pod.target / "other").read_text() == values["other"]
    assert not (pod.target / "pw").exists()
    node.kubelet.unpublish(pod)


def test_a_service_principal_from_the_node_publish_secret(node):
    value = secret()
    node.services.set_secret("pw", value)
    node.put_class("shop", ["pw"], clientID=None)
    client = "cccccccc-0000-4000-8000-00000000000c"
    proof = f"{CANARY}-of-the-secret"
    node.services.emulator.add_identity(
        client, tenant=node.services.tenant, client_secrets=[{"value": proof}])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    node.kubelet.publish(pod, secrets={"clientid": client, "clientsecret": proof})
    assert (pod.target / "pw").read_text() == value
    other = node.kubelet.pod("shop", "web-1", account="web")
    refused(lambda: node.kubelet.publish(other, secrets={"clientid": client}),
            grpc.StatusCode.INVALID_ARGUMENT, "could not find clientsecret in secrets")
    error = refused(
        lambda: node.kubelet.publish(other, secrets={"clientid": client, "clientsecret": proof + "x"}),
        grpc.StatusCode.FAILED_PRECONDITION, "failed to get key vault token")
    assert CANARY not in error
    node.kubelet.unpublish(pod)


def test_the_node_s_own_identity(driver):
    value = secret()
    driver.services.set_secret("pw", value)
    driver.put_class("shop", ["pw"], clientID=None, useVMManagedIdentity="true")
    driver.start(*driver.services.imds_words())
    pod = driver.kubelet.pod("shop", "web-0")
    driver.kubelet.publish(pod)
    assert (pod.target / "pw").read_text() == value
    driver.kubelet.unpublish(pod)


def test_one_volume_more_than_there_may_be(driver):
    """It is refused with a reason and leaves nothing, and has its place when another goes."""
    driver.trust("shop", "web")
    driver.services.set_secret("pw", value := secret())
    driver.put_class("shop", ["pw"])
    driver.start("--max-volumes", "2")
    pods = [driver.kubelet.pod("shop", f"web-{i}", account="web") for i in range(3)]
    for pod in pods[:2]:
        driver.kubelet.publish(pod)
    refused(lambda: driver.kubelet.publish(pods[2]), grpc.StatusCode.RESOURCE_EXHAUSTED,
            "this node has 2 volumes, and may have no more (--max-volumes)")
    assert not pods[2].target.exists()
    driver.kubelet.publish(pods[0])  # one that is there is asked about as ever
    driver.kubelet.unpublish(pods[0])
    driver.kubelet.publish(pods[2])
    assert (pods[2].target / "pw").read_text() == value
    for pod in pods[1:]:
        driver.kubelet.unpublish(pod)


def test_the_pod_s_selinux_label(node):
    """Kubelet's mount flag: for the kernel to take, with nothing left when it does not; any other flag
    is refused."""
    node.services.set_secret("pw", value := secret())
    node.put_class("shop", ["pw"])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    for flag in ("ro", "context=", 'context="a:b:c",suid', 'context="a:b"'):
        refused(lambda f=flag: node.kubelet.publish(pod, flags=[f]), grpc.StatusCode.INVALID_ARGUMENT,
                "mount flag")
    label = "system_u:object_r:container_file_t:s0:c1,c2"
    flags = [f'context="{label}"']
    if not os.path.exists("/sys/fs/selinux/enforce"):
        error = refused(lambda: node.kubelet.publish(pod, flags=flags),
                        grpc.StatusCode.INVALID_ARGUMENT, "the SELinux label: ", "SELinux is off here")
        assert "shop/web-0" in error
        assert not pod.target.exists() and node.mounts() == []
        node.kubelet.publish(pod)
    else:
        node.kubelet.publish(pod, flags=flags)
        assert os.getxattr(pod.target / "pw", "security.selinux").decode().rstrip("\0") == label
        refused(lambda: node.kubelet.publish(pod, flags=['context="a:b:c"']),
                grpc.StatusCode.ALREADY_EXISTS, "another SELinux label")
    # With a flag or without one now: a pod that runs goes on with what it has.
    node.kubelet.publish(pod, flags=flags)
    node.kubelet.publish(pod)
    assert (pod.target / "pw").read_text() == value
    node.kubelet.unpublish(pod)
