"""csi-sanity of kubernetes-csi/csi-test, which nobody here wrote, against the driver."""

import contextlib
import re
import subprocess

import pytest
from machine import TOP
from sanity_proxy import SanityProxy
from services import secret

# Specs by name, and why they are not asked.
SKIPPED = {
    r"Controller Service": "the controller is sanity_proxy.py's, the driver has none",
    r"GroupController Service": "nor one of groups",
    r"Snapshot": "of which snapshots could be made",
}


@pytest.fixture(scope="session")
def csi_sanity():
    tool = TOP / "tests" / "tools" / "go-tool"
    made = subprocess.run([tool, "csi-sanity"], stdout=subprocess.PIPE, text=True, timeout=900)
    assert made.returncode == 0, "go-tool csi-sanity failed"
    return made.stdout.strip()


@pytest.mark.timeout(1200)
@pytest.mark.slow
def test_csi_sanity(node, csi_sanity, folder):
    node.services.set_secret("pw", secret())
    node.put_class("shop", ["pw"])
    pod = node.kubelet.pod("shop", "web-0", account="web")
    socket = folder / "proxy.sock"
    with contextlib.closing(SanityProxy(node.kubelet, pod, "app", socket)) as proxy:
        done = subprocess.run(
            [
                csi_sanity,
                f"-csi.endpoint=unix://{socket}",
                f"-csi.mountdir={pod.parent}/csi-mount",
                f"-csi.stagingdir={folder}/staging",
                "-ginkgo.no-color",
                "-ginkgo.v",
                f"-ginkgo.skip={'|'.join(SKIPPED)}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )
        ran = re.search(r"Ran (\d+) of (\d+) Specs", done.stdout)
        assert done.returncode == 0 and ran, done.stdout
        print(ran[0])
        # What it says it ran is what came here.
        for method in ("Identity/GetPluginInfo", "Identity/Probe", "Node/NodeGetInfo"):
            assert proxy.calls.get("/csi.v1." + method), proxy.calls
        assert proxy.calls["/csi.v1.Node/NodePublishVolume"] >= 5, proxy.calls
    assert int(ran[1]) >= 17, done.stdout
    assert node.mounts() == []
