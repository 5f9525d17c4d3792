"""akvfs against Lowkey Vault: Key Vault and a metadata service as others have read the documentation.

It is started here, on ports of its own, from the jar that AKVFS_LOWKEY names. What it holds is made
through its own interface and judged by the openssl command.
"""

import base64
import contextlib
import json
import os
import pathlib
import socket
import ssl
import subprocess
import tempfile
import urllib.request

import pytest

from classes import element
from machine import PATIENCE, plain_names, wait_until
from services import secret

JAR = os.environ.get("AKVFS_LOWKEY")
pytestmark = pytest.mark.skipif(not JAR, reason="AKVFS_LOWKEY names no jar of Lowkey Vault")

VAULTS = ["kv-one", "kv-two"]
CURVES = {"P-256": "prime256v1", "P-256K": "secp256k1", "P-384": "secp384r1", "P-521": "secp521r1"}
PAGE = 25  # of its lists, as of Key Vault's


def free_ports(n):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for it in sockets:
            it.bind(("127.0.0.1", 0))
        return [it.getsockname()[1] for it in sockets]


def openssl(*words, stdin=None):
    return subprocess.run(["openssl", *words], input=stdin, check=True, capture_output=True).stdout


class Lowkey:
    vault = VAULTS[0]
    tenant = "aaaaaaaa-0000-4000-8000-00000000000a"

    def __init__(self, folder):
        self.port, self.metadata_port = free_ports(2)
        self.ca_file = folder / "ca.pem"
        self.log = folder / "log"
        key, store = folder / "key.pem", folder / "store.p12"
        # Its own certificate is for *.localhost, and OpenSSL takes no wildcard so close to the root.
        names = ",".join(f"DNS:{name}" for name in ["localhost", *(f"{v}.localhost" for v in VAULTS)])
        openssl(
            *"req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost".split(),
            *["-addext", f"subjectAltName={names}", "-keyout", key, "-out", self.ca_file],
        )
        openssl(
            *["pkcs12", "-export", "-inkey", key, "-in", self.ca_file],
            *["-out", store, "-passout", "pass:changeit"],
        )
        java = pathlib.Path(os.environ["JAVA_HOME"], "bin/java") if "JAVA_HOME" in os.environ else "java"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [
                    # The quickest start, which most of its life is.
                    *[java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-jar", JAR],
                    "--server.address=127.0.0.1",
                    *[f"--server.port={self.port}", f"--app.token.port={self.metadata_port}"],
                    *[f"--server.ssl.key-store=file:{store}", f"--LOWKEY_VAULT_NAMES={','.join(VAULTS)}"],
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def wait(self):
        wait_until(
            lambda: self.process.poll() is not None or self.answers(),
            "Lowkey Vault answers",
            patience=3 * PATIENCE,
        )
        assert self.process.poll() is None, self.log.read_text()

    def answers(self):
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{self.metadata_port}/ping").status == 200

    # --- what akvfs is told, as by services.Services ---

    def environment(self):
        return {}

    def words(self):
        return [
            *["--vault-url", f"https://{{vault}}.localhost:{self.port}"],
            *["--imds-endpoint", f"http://127.0.0.1:{self.metadata_port}"],
            *["--ca-file", str(self.ca_file)],
        ]

    def secrets(self):
        return ["eyJ0eXAi", "eyJhbGci"]

    # --- its objects ---

    def call(self, method, path, body=None, vault=None):
        """Any token is good. The vault is chosen by the Host field."""
        request = urllib.request.Request(
            f"https://localhost:{self.port}{path}?api-version=7.4",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": "Bearer x",
                "Content-Type": "application/json",
                "Host": f"{vault or self.vault}.localhost:{self.port}",
            },
        )
        context = ssl.create_default_context(cafile=str(self.ca_file))
        with urllib.request.urlopen(request, context=context) as answer:
            return json.load(answer)

    def set_secret(self, name, value, vault=None, **attributes):
        """Its version."""
        body = {"value": value, "attributes": attributes}
        return self.call("PUT", f"/secrets/{name}", body, vault)["id"].rpartition("/")[2]

    def make_certificate(self, name, content_type, **key):
        policy = {
            "issuer": {"name": "Self"},
            "key_props": {"exportable": True, **key},
            "secret_props": {"contentType": content_type},
            "x509_props": {"subject": f"CN={name}", "validity_months": 12},
        }
        self.call("POST", f"/certificates/{name}/create", {"policy": policy})


@pytest.fixture(scope="module")
def lowkey():
    with tempfile.TemporaryDirectory(prefix="akvfs-lowkey-") as folder:
        it = Lowkey(pathlib.Path(folder))
        try:
            it.wait()
            yield it
        finally:
            it.process.terminate()
            it.process.wait()


@pytest.fixture
def services(lowkey):
    return lowkey


@pytest.fixture
def managed(spc):
    return lambda elements, **more: spc(elements, useVMManagedIdentity="true", **more)


def test_secrets(akvfs, services, managed):
    first, second, third = secret("1"), secret("2\n\u20ac"), secret("3")
    services.set_secret("pw", first)
    services.set_secret("pw", secret(), vault=VAULTS[1])
    services.set_secret("gone", secret())
    elements = [
        "pw",
        element("pw", alias="other", keyvaultName=VAULTS[1]),
        element("pw", alias="old", objectVersionHistory="3").replace('"3"', "3"),
        element("late", optional="true"),
        "gone",
    ]
    with akvfs.mount(managed(elements), "poll_interval=300ms,on_deleted=remove") as mount:
        assert mount.read("pw") == first.encode()
        assert mount.read("other") != first.encode()
        assert plain_names(mount.point) == ["gone", "old", "other", "pw"]
        version = services.set_secret("pw", second)
        mount.wait_for("pw", second)
        wait_until(lambda: sorted(os.listdir(mount / "old")) == ["0", "1"], "there are two versions")
        services.call("PATCH", f"/secrets/pw/{version}", {"attributes": {"enabled": False}})
        wait_until(lambda: sorted(os.listdir(mount / "old")) == ["0"], "the disabled one is left out")
        services.set_secret("late", third)
        wait_until(lambda: "late" in plain_names(mount.point), "it has appeared")
        mount.wait_for("late", third)
        services.call("DELETE", "/secrets/gone")
        wait_until(lambda: "gone" not in plain_names(mount.point), "it is taken away")


def test_a_selector_reads_every_page(akvfs, services, managed):
    values = {f"page-{i:02}": secret() for i in range(2 * PAGE + 3)}
    for name, value in values.items():
        services.set_secret(name, value)
    services.set_secret("page-off", secret(), enabled=False)
    chosen = "array: ['{objectType: secret, prefix: page-, max: 200}']"
    services.set_secret("one", secret())
    with akvfs.mount(managed(["one"], objectSelector=chosen)) as mount:
        assert plain_names(mount.point) == sorted([*values, "one"])
        assert all(mount.read(name) == value.encode() for name, value in values.items())


def jwk_number(key, member):
    text = key[member]
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def test_keys(akvfs, services, managed):
    made = {f"key-{crv}": {"kty": "EC", "crv": crv} for crv in CURVES}
    made["key-rsa"] = {"kty": "RSA", "key_size": 2048}
    made["key-rsa-hsm"] = {"kty": "RSA-HSM", "key_size": 2048, "public_exponent": 3}
    keys = {
        name: services.call("POST", f"/keys/{name}/create", body)["key"] for name, body in made.items()
    }
    with akvfs.mount(managed([element(name, type="key") for name in keys])) as mount:
        for name, key in keys.items():
            der = openssl("pkey", "-pubin", "-in", mount / name, "-outform", "DER")
            text = openssl("pkey", "-pubin", "-in", mount / name, "-noout", "-text").decode()
            if "crv" in key:
                assert CURVES[key["crv"]] in text
                size = {"P-384": 48, "P-521": 66}.get(key["crv"], 32)
                assert int.from_bytes(der[-2 * size : -size], "big") == jwk_number(key, "x")
                assert int.from_bytes(der[-size:], "big") == jwk_number(key, "y")
            else:
                assert f"Exponent: {jwk_number(key, 'e')} " in text
                modulus = openssl("rsa", "-pubin", "-in", mount / name, "-noout", "-modulus")
                assert int(modulus.partition(b"=")[2], 16) == jwk_number(key, "n")


@pytest.mark.parametrize("content_type", ["application/x-pkcs12", "application/x-pem-file"])
@pytest.mark.parametrize("key", [{"kty": "RSA", "key_size": 2048}, {"kty": "EC", "crv": "P-256"}])
def test_certificates(akvfs, services, managed, key, content_type):
    name = f"{key['kty']}-{content_type[-6:]}"
    services.make_certificate(name, content_type, **key)
    elements = [
        name,
        element(name, alias="cert", type="cert"),
        element(name, alias="key", type="key"),
        element(name, alias="dir", certificateFiles="folder"),
    ]

    def certificate():
        der = base64.b64decode(services.call("GET", f"/certificates/{name}")["cer"])
        return openssl("x509", "-inform", "DER", stdin=der)

    with akvfs.mount(managed(elements), "poll_interval=300ms") as mount:
        was = certificate()
        public = openssl("x509", "-noout", "-pubkey", stdin=was)
        assert mount.read("cert") == was
        assert mount.read("key") == public
        assert openssl("x509", "-in", mount / name) == was
        assert mount.read(name).startswith(b"-----BEGIN PRIVATE KEY-----")
        assert openssl("pkey", "-pubout", "-in", mount / name) == public
        assert mount.read("dir/tls.crt") == was
        pfx = openssl("pkcs12", "-in", mount / "dir/cert.pfx", "-passin", "pass:", "-nokeys", "-legacy")
        assert was in pfx
        services.make_certificate(name, content_type, **key)
        mount.wait_for("cert", certificate().decode())
        assert certificate() != was


def test_doctor_and_errors(akvfs, services, managed):
    services.set_secret("well", secret())
    services.set_secret("off", secret(), enabled=False)
    services.call("POST", "/keys/oct/create", {"kty": "oct-HSM", "key_size": 256})
    other = element("well", alias="other", keyvaultName=VAULTS[1], optional="true")
    path = akvfs.class_file(managed(["well", other]))
    said = json.loads(akvfs.ok("doctor", path, *services.words(), "--json").out)["checks"]
    assert {check["state"] for check in said} == {"ok"}, said
    # Its challenge wants tokens for the vault itself, which nobody gives: it gets the cloud's.
    told = {check["check"]: check["text"] for check in said}
    assert f"{VAULTS[1]}.localhost:{services.port}" in told["vault"]
    assert told["token"].startswith("audience https://vault.azure.net, good for ")
    elements = ["well", "off", "never", element("oct", type="key")]
    done = akvfs.run("get", akvfs.class_file(managed(elements)), *services.words())
    assert done.returncode == 1
    for name in ["off", "never"]:
        assert f"failed to get objectType:secret, objectName:{name}" in done.err
    assert "key type 'oct-HSM' currently not supported" in done.err
