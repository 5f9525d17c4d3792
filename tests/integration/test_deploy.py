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
def pod(objects):
    return one(objects, "DaemonSet")["spec"]["template"]["spec"]


@pytest.fixture
def container(pod):
    (only,) = pod["containers"]
    return only


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
            ("DaemonSet", "akvfs-node"),
            ("ServiceAccount", "akvfs-node"),
        ]
        + ([("Namespace", "akvfs-system")] if variant == "base" else [])
    )


def test_every_reference_leads_somewhere(variant, objects, pod, container):
    namespace = {"base": "akvfs-system", "drop-in": "kube-system"}[variant]
    account = one(objects, "ServiceAccount")
    daemon_set = one(objects, "DaemonSet")
    assert account["metadata"]["namespace"] == daemon_set["metadata"]["namespace"] == namespace
    binding = one(objects, "ClusterRoleBinding")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": namespace}
    ]
    assert binding["roleRef"]["name"] == "akvfs-node"
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    labels = daemon_set["spec"]["template"]["metadata"]["labels"]
    assert daemon_set["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert {v["name"] for v in pod["volumes"]} == {m["name"] for m in container["volumeMounts"]}


def test_guides_find_the_drop_in(variant, objects, container):
    template = one(objects, "DaemonSet")["spec"]["template"]["metadata"]
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


def test_options_are_those_of_the_program(variant, pod, container):
    assert container["args"][0] == "csi"
    told = subprocess.run([BUILD / "akvfs", "csi", "--help"], capture_output=True, text=True, check=True)
    options = dict(word.split("=", 1) for word in container["args"][1:])
    for name in options:
        assert name in told.stdout, name
    assert options["--driver-name"] == NAMES[variant]
    host = {v["name"]: v.get("hostPath", {}).get("path") for v in pod["volumes"]}
    inside = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
    # The socket, as the driver sees it and as kubelet does.
    assert options["--endpoint"] == "unix:///csi/csi.sock"
    assert options["--kubelet-registration-path"] == host[inside["/csi"]] + "/csi.sock"
    assert host[inside[options["--registration-dir"]]] == options["--kubelet-dir"] + "/plugins_registry"
    (pods,) = [m for m in container["volumeMounts"] if m.get("mountPropagation") == "Bidirectional"]
    assert pods["mountPath"] == host[pods["name"]] == options["--kubelet-dir"] + "/pods"


def test_probes_ask_the_page_of_this_driver(variant, container):
    """Which tells the process's own health; of two drivers on one node each has ports of its own."""
    words = dict(word.split("=", 1) for word in container["args"][1:])
    port = {"base": 9808, "drop-in": 9809}[variant]
    assert words["--health-addr"] == f"127.0.0.1:{port}"
    assert words["--metrics-addr"] == {"base": "127.0.0.1:8095", "drop-in": "127.0.0.1:8096"}[variant]
    for probe in ("startupProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"host": "127.0.0.1", "port": port, "path": "/healthz"}


def test_the_next_pod_can_take_over(variant, objects, pod, container):
    """What csi/test_pods.py shows needs these."""
    strategy = one(objects, "DaemonSet")["spec"]["updateStrategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    assert pod["hostPID"] is True
    # Both pods are on the host's network at once: a port that is declared would keep one from it.
    assert "ports" not in container
    (run,) = [m["name"] for m in container["volumeMounts"] if m["mountPath"] == "/run"]
    (volume,) = [v for v in pod["volumes"] if v["name"] == run]
    # Not the other variant's: `akvfs status` is about all that is in there.
    assert volume["hostPath"]["path"] == {"base": "/run/akvfs-csi", "drop-in": "/run/akvfs-csi-drop-in"}[variant]


def test_pods_have_no_more_than_they_need(pod, container):
    assert pod["hostNetwork"] is True and pod["dnsPolicy"] == "ClusterFirstWithHostNet"
    assert pod["nodeSelector"] == {"kubernetes.io/os": "linux"}
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert not pod.get("hostIPC")
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert not any("secret" in volume for volume in pod["volumes"])


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
