"""Kubelet's side of a CSI driver: messages by hand, over a real gRPC client.

    kubelet = Kubelet(folder)
    pod = kubelet.pod("shop", "web-0", account="web")
    kubelet.publish(pod, "app-class")
    kubelet.unpublish(pod)

Field numbers are those of the CSI specification 1.9 (csi.proto), pluginregistration v1 and
grpc.health.v1.
"""

import base64
import hashlib
import json
import time
import uuid

import grpc

PREFIX = "csi.storage.k8s.io/"
AUDIENCE = "api://AzureADTokenExchange"
ISSUER = "https://oidc.example/cluster/"
CAPABILITY_MOUNT = {2: {}, 3: {1: 1}}  # mount, SINGLE_NODE_WRITER


# --- protobuf, as much as there is of it here ---


def varint(n):
    out = bytearray()
    while True:
        out.append(n & 0x7F | (0x80 if n > 0x7F else 0))
        n >>= 7
        if not n:
            return bytes(out)


def encode(fields):
    """{number: value}: bytes, str, int, bool, dict (a message), list (repeated)."""
    out = b""
    for number, value in fields.items():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, int):
                out += varint(number << 3) + varint(int(item)) if item else b""
                continue
            data = encode(item) if isinstance(item, dict) else item.encode() if isinstance(item, str) else item
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out


def decode(data):
    """{number: [values]}: int or bytes."""
    fields, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        else:
            assert key & 7 == 2, f"wire type {key & 7}"
            length = number()
            value, at = data[at : at + length], at + length
        fields.setdefault(key >> 3, []).append(value)
    return fields


def entries(of):
    return [{1: key, 2: value} for key, value in of.items()]


# --- pods ---


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def service_token(namespace, account, audience=AUDIENCE, lifetime=3600):
    claims = {
        "iss": ISSUER,
        "sub": f"system:serviceaccount:{namespace}:{account}",
        "aud": [audience],
        "exp": int(time.time()) + lifetime,
    }
    return f"{part({'alg': 'RS256', 'kid': uuid.uuid4().hex})}.{part(claims)}.c2lnbmF0dXJl"


class Pod:
    def __init__(self, kubelet, namespace, name, account="default", volume="secrets"):
        self.namespace, self.name, self.account = namespace, name, account
        self.uid = str(uuid.uuid4())
        self.parent = kubelet.folder / "pods" / self.uid / "volumes" / "kubernetes.io~csi" / volume
        self.target = self.parent / "mount"
        self.volume_id = "csi-" + hashlib.sha256(f"{self.uid}{volume}".encode()).hexdigest()

    def context(self, class_name, tokens=None, **attributes):
        tokens = tokens or {AUDIENCE: service_token(self.namespace, self.account)}
        return {
            "secretProviderClass": class_name,
            PREFIX + "pod.name": self.name,
            PREFIX + "pod.namespace": self.namespace,
            PREFIX + "pod.uid": self.uid,
            PREFIX + "serviceAccount.name": self.account,
            PREFIX + "ephemeral": "true",
            PREFIX + "serviceAccount.tokens": json.dumps(
                {audience: {"token": token, "expirationTimestamp": "2031-01-02T03:04:05Z"}
                 for audience, token in tokens.items()}
            ),
            **attributes,
        }


class Kubelet:
    def __init__(self, folder, socket):
        self.folder, self.socket = folder, socket
        self.channel = None

    def connect(self):
        """A new connection, as kubelet makes one for each call."""
        return grpc.insecure_channel(
            f"unix:{self.socket}", options=[("grpc.use_local_subchannel_pool", 1)]
        )

    def call(self, method, fields=None, timeout=30, body=None, channel=None):
        body = encode(fields or {}) if body is None else body
        if channel:
            return decode(channel.unary_unary(method)(body, timeout=timeout))
        with self.connect() as own:
            return decode(own.unary_unary(method)(body, timeout=timeout))

    def pod(self, namespace, name, **keywords):
        pod = Pod(self, namespace, name, **keywords)
        pod.parent.mkdir(parents=True)
        return pod

    def publish_fields(self, pod, class_name="app", *, secrets=None, group=None, readonly=True,
                       context=None, flags=(), **attributes):
        mount = {2: list(flags), 3: "" if group is None else str(group)}
        capability = {2: mount, 3: {1: 1}}
        return {
            1: pod.volume_id,
            4: str(pod.target),
            5: capability,
            6: readonly,
            7: entries(secrets or {}),
            8: entries(context or pod.context(class_name, **attributes)),
        }

    def publish(self, pod, class_name="app", timeout=30, channel=None, **keywords):
        self.call("/csi.v1.Node/NodePublishVolume",
                  self.publish_fields(pod, class_name, **keywords), timeout, channel=channel)

    def encode(self, pod, **keywords):
        return encode(self.publish_fields(pod, **keywords))

    def encode_unpublish(self, pod):
        return encode({1: pod.volume_id, 2: str(pod.target)})

    def unpublish(self, pod, timeout=30, channel=None):
        self.call("/csi.v1.Node/NodeUnpublishVolume", timeout=timeout, body=self.encode_unpublish(pod),
                  channel=channel)

    def stats(self, pod):
        answer = self.call("/csi.v1.Node/NodeGetVolumeStats", {1: pod.volume_id, 2: str(pod.target)})
        usage = {u[4][0]: u for u in map(decode, answer[1])}
        condition = decode(answer[2][0])
        return usage[1][3][0], usage[2][3][0], bool(condition.get(1, [0])[0]), condition[2][0].decode()
