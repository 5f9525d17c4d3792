"""A node for the driver: kubelet's folders, an API server, `akvfs csi`."""

import contextlib
import os
import pathlib
import re
import signal
import sys
import urllib.error
import urllib.request

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import classes  # noqa: E402
import machine  # noqa: E402
from apiserver import ApiServer  # noqa: E402
from container import Container, signal_all  # noqa: E402
from kubelet import ISSUER, Kubelet  # noqa: E402
from machine import wait_until  # noqa: E402

# The driver may do in tests what the role of the manifests lets it do, and no more.
ROLE = next(
    item
    for item in yaml.safe_load_all((machine.TOP / "deploy/kubernetes/base/rbac.yaml").read_text())
    if (item["kind"], item["metadata"]["name"]) == ("ClusterRole", "akvfs-node")
)
RULES = {resource: rule["verbs"] for rule in ROLE["rules"] for resource in rule["resources"]}


@pytest.fixture
def api():
    with contextlib.closing(ApiServer()) as server:
        yield server


class Driver(Container):
    """`akvfs csi` on a node of its own."""

    def __init__(self, akvfs, api, services, folder):
        self.akvfs, self.api, self.services = akvfs, api, services
        self.folder = folder / "kubelet"
        self.plugins, self.registry = folder / "csi", folder / "registration"
        for path in (self.folder / "pods", self.plugins, self.registry):
            path.mkdir(parents=True)
            path.chmod(0o755)
        account = folder / "serviceaccount"
        account.mkdir()
        self.token = api.account("akvfs", RULES)
        (account / "token").write_text(self.token)
        (account / "ca.crt").write_bytes(pathlib.Path(api.ca_file).read_bytes())
        for path in (account, *account.iterdir()):
            path.chmod(0o755)
        self.account = account
        self.logs_of = {}
        self.kubelet = Kubelet(self.folder, self.plugins / "csi.sock")

    def words(self):
        return [
            "--nodeid", "node-1", "--endpoint", f"unix://{self.plugins}/csi.sock",
            "--registration-dir", str(self.registry), "--kubelet-dir", str(self.folder),
            "--kube-server", self.api.url, "--kube-token-file", str(self.account / "token"),
            "--kube-ca-file", str(self.account / "ca.crt"), "--health-addr", "127.0.0.1:0",
            "--metrics-addr", "127.0.0.1:0", *self.services.words(),
        ]

    def start(self, *words):
        self.launch(self.akvfs, self.folder, [self.akvfs.binary, "csi", *self.words(), *words])
        self.logs_of[self.process] = self.log
        self.wait_for_log("is ready")

    def end(self, sig=signal.SIGINT):
        self.process.send_signal(sig)
        status = self.process.wait(machine.PATIENCE)
        assert status == 0, f"akvfs csi ended with {status}:\n{self.log_text()}"

    def page(self, path, name="metrics"):
        """Status and text of a page, as who asks there now gets it; None while nobody answers."""
        address = re.findall(rf"\] {name}: (\S+)", self.log_text())[-1]
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=machine.PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return None

    def metrics(self):
        """{(name, *label values): value} of all series, labels in the order of their names."""
        status, text = self.page("/metrics")
        assert status == 200, text
        return {
            (s.name, *(value for _, value in sorted(s.labels.items()))): s.value
            for family in text_string_to_metric_families(text)
            for s in family.samples
        }

    def worker(self):
        """The pid of the worker that serves now."""
        for pid in machine.processes(self.akvfs.binary):
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "akvfs-worker":
                    return pid
        return None

    def kill_all(self):
        """Every process of it is gone at once, as after the end of its container."""
        stopped = set()  # first, so that none of them does anything about the others' end
        while more := set(machine.processes(self.akvfs.binary)) - stopped:
            signal_all(more, signal.SIGSTOP)
            stopped |= more
        signal_all(stopped, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: not machine.processes(self.akvfs.binary), "all are gone")
        for path in pathlib.Path("/run/akvfs").glob("*.sock"):
            path.unlink()

    def asked(self):
        """How often publishes have asked the API server so far."""
        return self.api.verbs().count("get")

    def mounts(self):
        return [point for point, *_ in machine.mounts_below(self.folder)]

    # --- what is in the cluster ---

    def put_class(self, namespace, elements, name="app", **parameters):
        """parameters: those of the class beside vault, tenant and objects; None leaves one out."""
        every = {
            "keyvaultName": self.services.vault,
            "tenantID": self.services.tenant,
            "clientID": self.services.client_id,
            "objects": classes.objects(elements),
            **parameters,
        }
        every = {key: value for key, value in every.items() if value is not None}
        self.api.put_class(namespace, name, {"provider": "azure", "parameters": every})

    def trust(self, namespace, account, client_id=None, permissions=None):
        """Entra takes the tokens of that service account for the application."""
        self.services.emulator.add_identity(
            client_id or self.services.client_id, tenant=self.services.tenant,
            permissions=permissions, client_secrets=[],
            federated=[{"issuer": ISSUER,
                        "subject": f"system:serviceaccount:{namespace}:{account}"}],
        )


@pytest.fixture
def driver(akvfs, api, services, folder):
    it = Driver(akvfs, api, services, folder)
    yield it
    if it.process and it.process.poll() is None:
        it.end()
    assert not it.mounts(), "left mounted"


@pytest.fixture
def node(driver):
    """A driver that runs, with one service account and one class in the namespace shop."""
    driver.trust("shop", "web")
    driver.start("--poll-interval", "30s")
    return driver
