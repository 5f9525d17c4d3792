"""deploy/: the manifests as kustomize makes them, and what the image holds."""

import re
import shutil
import subprocess

import jsonschema
import machine
import pytest
import yaml
from machine import BUILD, TOP

KUBERNETES = TOP / "deploy" / "kubernetes"
NAMES = {"base": "secrets.akvfs.io", "drop-in": "secrets-store.csi.k8s.io"}


def kustomize(folder):
    """kubectl has it; else it is built."""
    if shutil.which("kubectl"):
        command = ["kubectl", "kustomize"]
    else:
        tool = [TOP / "tests" / "tools" / "go-tool", "kustomize"]
        made = subprocess.run(tool, stdout=subprocess.PIPE, text=True, check=True, timeout=900)
        command = [made.stdout.strip(), "build"]
    done = subprocess.run([*command, folder], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module", params=list(NAMES))
def variant(request):
    return request.param


@pytest.fixture(scope="module")
def objects(variant):
    return kustomize(KUBERNETES / variant)


def one(objects, kind, name=None):
    (found,) = [
        o for o in objects if o["kind"] == kind and name in (None, o["metadata"]["name"])
    ]
    return found


@pytest.fixture
def daemon_set(objects):
    return one(objects, "DaemonSet", "akvfs-node")


@pytest.fixture
def pod(daemon_set):
    return daemon_set["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (only,) = pod["containers"]
    return only


@pytest.fixture
def keeper(objects):
    return one(objects, "DaemonSet", "akvfs-keeper")


@pytest.fixture
def keeper_pod(keeper):
    return keeper["spec"]["template"]["spec"]


@pytest.fixture
def keeper_container(keeper_pod):
    (only,) = keeper_pod["containers"]
    return only


def words_of(container):
    return dict(word.split("=", 1) for word in container["args"][1:])


def host_paths(pod, container):
    """Of the host, by where the container has it."""
    host = {v["name"]: v["hostPath"]["path"] for v in pod["volumes"]}
    assert set(host) == {m["name"] for m in container["volumeMounts"]}
    return {m["mountPath"]: host[m["name"]] for m in container["volumeMounts"]}


def test_each_object_is_there_once(variant, objects):
    kinds = sorted((o["kind"], o["metadata"]["name"]) for o in objects)
    assert kinds == sorted(
        [
            ("CSIDriver", NAMES[variant]),
            ("ClusterRole", "akvfs-classes-edit"),
            ("ClusterRole", "akvfs-classes-view"),
            ("ClusterRole", "akvfs-node"),
            ("ClusterRoleBinding", "akvfs-node"),
            ("CustomResourceDefinition", "secretproviderclasses.secrets-store.csi.x-k8s.io"),
            ("CustomResourceDefinition", "secretproviderclasspodstatuses.secrets-store.csi.x-k8s.io"),
            ("DaemonSet", "akvfs-keeper"),
            ("DaemonSet", "akvfs-node"),
            ("ServiceAccount", "akvfs-node"),
        ]
        + ([("Namespace", "akvfs-system")] if variant == "base" else [])
    )


def test_every_reference_leads_somewhere(variant, objects, daemon_set, pod, keeper, keeper_pod):
    namespace = {"base": "akvfs-system", "drop-in": "kube-system"}[variant]
    account = one(objects, "ServiceAccount")
    for item in (account, daemon_set, keeper):
        assert item["metadata"]["namespace"] == namespace
    binding = one(objects, "ClusterRoleBinding")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": namespace}
    ]
    assert binding["roleRef"]["name"] == "akvfs-node"
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    # The keeper has nobody to show a token to.
    assert keeper_pod["automountServiceAccountToken"] is False and "serviceAccountName" not in keeper_pod
    selectors = []
    for item in (daemon_set, keeper):
        labels = item["spec"]["template"]["metadata"]["labels"]
        selectors.append(item["spec"]["selector"]["matchLabels"])
        assert selectors[-1].items() <= labels.items()
    assert selectors[0] != selectors[1]


def test_guides_find_the_drop_in(variant, daemon_set, container):
    template = daemon_set["spec"]["template"]["metadata"]
    assert template["annotations"]["kubectl.kubernetes.io/default-container"] == container["name"]
    wanted = {"base": ("akvfs-node", "akvfs-node"), "drop-in": ("secrets-store-csi-driver", "secrets-store")}
    assert (template["labels"]["app"], container["name"]) == wanted[variant]


def test_the_csi_driver_says_what_the_driver_needs(objects):
    driver = one(objects, "CSIDriver")
    assert driver["metadata"]["labels"] == {
        "security.kubernetes.io/csi-ephemeral-volume-profile": "restricted"
    }
    assert driver["spec"] == {
        "attachRequired": False,
        "podInfoOnMount": True,
        "volumeLifecycleModes": ["Ephemeral"],
        "requiresRepublish": True,
        "tokenRequests": [
            {"audience": "api://AzureADTokenExchange"},
            {"audience": "api://AKSIdentityBinding"},
        ],
        "fsGroupPolicy": "None",
        "seLinuxMount": True,
    }


# Who calls the function on the left asks the API server for the verbs on the right.
VERBS = {
    "kube_get(": ("secretproviderclasses", {"get"}),
    "kube_watch_new(": ("secretproviderclasses", {"list", "watch"}),
    "kube_events_say(": ("events", {"create", "patch"}),
}
GROUPS = {"secretproviderclasses": ["secrets-store.csi.x-k8s.io"], "events": [""]}


def test_the_account_may_do_what_the_driver_does_and_no_more(objects):
    callers = "".join(
        path.read_text()
        for folder in ("csi", "cli")
        for path in (TOP / folder).glob("*.c")
        if path.name not in ("kube.c", "kube_watch.c", "kube_events.c")
    )
    wanted = {}
    for function, (resource, verbs) in VERBS.items():
        if function in callers:
            wanted.setdefault(resource, set()).update(verbs)
    # What VERBS does not know of.
    assert not re.search(r"\bkube_(create|patch|delete|send)\(", callers)
    role = one(objects, "ClusterRole", "akvfs-node")
    for rule in role["rules"]:
        (resource,) = rule["resources"]
        assert rule["apiGroups"] == GROUPS[resource]
    assert {rule["resources"][0]: set(rule["verbs"]) for rule in role["rules"]} == wanted


def test_options_are_those_of_the_program(variant, pod, container, keeper_pod, keeper_container):
    for item, command in ((container, "csi"), (keeper_container, "keeper")):
        assert item["args"][0] == command
        told = subprocess.run([BUILD / "akvfs", command, "--help"], capture_output=True, text=True, check=True)
        for name in words_of(item):
            assert name in told.stdout, name
        assert words_of(item)["--driver-name"] == NAMES[variant]
    worker, keeper = words_of(container), words_of(keeper_container)
    # Where the two meet is one folder of the host.
    assert worker["--keeper"] == keeper["--listen"] == "/run/akvfs/keeper.sock"
    inside = host_paths(keeper_pod, keeper_container)
    assert host_paths(pod, container) == {"/run": inside["/run"]}
    # The socket, as the keeper sees it and as kubelet does.
    assert keeper["--endpoint"] == "unix:///csi/csi.sock"
    assert worker["--kubelet-registration-path"] == inside["/csi"] + "/csi.sock"
    assert worker["--kubelet-dir"] == keeper["--kubelet-dir"]
    assert inside[keeper["--registration-dir"]] == keeper["--kubelet-dir"] + "/plugins_registry"
    (pods,) = [m for m in keeper_container["volumeMounts"] if m.get("mountPropagation") == "Bidirectional"]
    assert pods["mountPath"] == inside[pods["mountPath"]] == keeper["--kubelet-dir"] + "/pods"


def test_probes_ask_the_page_of_this_driver(variant, container):
    """Which tells the process's own health; of two drivers on one node each has ports of its own."""
    words = dict(word.split("=", 1) for word in container["args"][1:])
    port = {"base": 9808, "drop-in": 9809}[variant]
    assert words["--health-addr"] == f"127.0.0.1:{port}"
    assert words["--metrics-addr"] == {"base": "127.0.0.1:8095", "drop-in": "127.0.0.1:8096"}[variant]
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"host": "127.0.0.1", "port": port, "path": "/healthz"}


def test_the_next_pod_can_take_over(variant, daemon_set, pod, container, keeper, keeper_pod, keeper_container):
    """What csi/test_keeper_pod.py shows needs these."""
    for item in (daemon_set, keeper):
        assert item["spec"]["updateStrategy"] == {
            "type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        assert item["spec"]["minReadySeconds"] > 0
    # Both pods are on the host's network at once: a port that is declared would keep one from it.
    assert "ports" not in container and "ports" not in keeper_container
    # Not the other variant's.
    assert host_paths(pod, container)["/run"] == {
        "base": "/run/akvfs-csi", "drop-in": "/run/akvfs-csi-drop-in"}[variant]
    assert keeper_pod["terminationGracePeriodSeconds"] > 60


def test_pods_have_no_more_than_they_need(pod, container, keeper_pod, keeper_container):
    """The worker's capabilities are those that csi/test_keeper_pod.py leaves it."""
    assert pod["hostNetwork"] is True and pod["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert keeper_pod["hostPID"] is True
    assert "hostPID" not in pod and "hostNetwork" not in keeper_pod
    context = container["securityContext"]
    assert context["capabilities"] == {"drop": ["ALL"], "add": ["SETUID", "SETGID", "KILL", "IPC_LOCK"]}
    assert context["allowPrivilegeEscalation"] is False and "privileged" not in context
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    (run,) = container["volumeMounts"]
    assert run["readOnly"] is True
    assert keeper_container["securityContext"]["privileged"] is True
    for each in (pod, keeper_pod):
        assert each["nodeSelector"] == {"kubernetes.io/os": "linux"}
        assert each["tolerations"] == [{"operator": "Exists"}]
        assert not each.get("hostIPC")
        assert not any("secret" in volume for volume in each["volumes"])
    for each in (container, keeper_container):
        assert each["securityContext"]["readOnlyRootFilesystem"] is True


def classes_schema(objects, version):
    crd = one(objects, "CustomResourceDefinition", "secretproviderclasses.secrets-store.csi.x-k8s.io")
    (found,) = [v for v in crd["spec"]["versions"] if v["name"] == version]
    return found["schema"]["openAPIV3Schema"]


def test_classes_of_guides_fit_the_schema(objects):
    for crd in (o for o in objects if o["kind"] == "CustomResourceDefinition"):
        assert [(v["name"], v["served"], v["storage"]) for v in crd["spec"]["versions"]] == [
            ("v1", True, True),
            ("v1alpha1", True, False),
        ]
        for version in crd["spec"]["versions"]:
            jsonschema.Draft7Validator.check_schema(version["schema"]["openAPIV3Schema"])
    example = yaml.safe_load(
        """
        apiVersion: secrets-store.csi.x-k8s.io/v1
        kind: SecretProviderClass
        metadata: {name: web, namespace: shop}
        spec:
          provider: azure
          secretObjects:
            - secretName: tls
              type: kubernetes.io/tls
              labels: {app: web}
              annotations: {a: b}
              data: [{objectName: cert, key: tls.crt}]
          parameters: {keyvaultName: kv, tenantID: t, objects: "array: []", usePodIdentity: "false"}
        """
    )
    for version in ("v1", "v1alpha1"):
        schema = classes_schema(objects, version)
        jsonschema.validate(example, schema)
        wrong = {**example, "spec": {**example["spec"], "parameters": {"usePodIdentity": False}}}
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_examples_of_the_documentation_fit_the_schema(variant):
    schema = classes_schema(kustomize(KUBERNETES / variant), "v1")
    found = 0
    for path in (TOP / "docs" / "examples").rglob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            if document and document.get("kind") == "SecretProviderClass":
                jsonschema.validate(document, schema)
                found += 1
    assert found > 0


@pytest.mark.skipif(
    machine.sanitized(BUILD / "akvfs"), reason="a sanitized build names what its libraries need as well"
)
def test_the_image_has_the_libraries_that_the_program_needs():
    """By Debian's own account of which package a library is in."""
    linked = subprocess.run(["readelf", "-d", BUILD / "akvfs"], capture_output=True, text=True, check=True)
    wanted = {"ca-certificates"}
    # The driver's worker loads one by name (csi/grpc_core.h).
    (loaded,) = set(re.findall(rb"\0(libgrpc\.so\.[0-9]+)\0", (BUILD / "akvfs").read_bytes()))
    for library in [loaded.decode(), *re.findall(r"\(NEEDED\).*\[(.*)\]", linked.stdout)]:
        owner = subprocess.run(["dpkg-query", "-S", f"*/{library}"], capture_output=True, text=True, check=True)
        wanted.add(owner.stdout.split(":")[0])
    lines = (TOP / "deploy" / "image" / "packages").read_text().splitlines()
    # Every Debian has the C library, of which libresolv is a part.
    assert [line for line in lines if not line.startswith("#")] == sorted(wanted - {"libc6"})
