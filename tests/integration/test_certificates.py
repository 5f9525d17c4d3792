"""Files of certificates, of JSON secrets, and names made by rule: from the vault to the mount."""

import base64
import json
import os
import re
import subprocess

import pytest

from classes import element
from services import secret

FOLDER = ["ca.crt", "cert.pfx", "combined.pem", "fullchain.pem", "tls.crt", "tls.key"]
PKCS12 = "application/x-pkcs12"


class Authority:
    """A root, an intermediate and leaves, made by the openssl command."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        self.openssl("req -x509 -days 30 -subj /CN=root -nodes -keyout root.key -out root.crt", "EC")
        self.sign("inter", "root", "basicConstraints=critical,CA:TRUE")

    def openssl(self, words, new_key=None, stdin=None, check=True):
        words = words.split()
        if new_key == "EC":
            words += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        elif new_key:
            words += ["-newkey", new_key]
        return subprocess.run(
            ["openssl", *words], cwd=self.folder, input=stdin, check=check, capture_output=True
        )

    def sign(self, name, issuer, *extensions, kind="EC"):
        self.openssl(f"req -subj /CN={name} -nodes -keyout {name}.key -out {name}.csr", kind)
        lines = ["subjectKeyIdentifier=hash", "authorityKeyIdentifier=keyid", *extensions]
        (self.folder / f"{name}.ext").write_text("\n".join(lines) + "\n")
        self.openssl(
            f"x509 -req -days 30 -in {name}.csr -CA {issuer}.crt -CAkey {issuer}.key"
            f" -CAcreateserial -extfile {name}.ext -out {name}.crt"
        )

    def text(self, *names):
        """The files one behind the other, as they are."""
        return "".join((self.folder / name).read_text() for name in names)

    def pkcs8(self, name):
        return self.openssl(f"pkcs8 -topk8 -nocrypt -in {name}.key").stdout.decode()

    def pfx(self, leaf, *chain):
        """In that order, the leaf where it is named among them."""
        (self.folder / "chain").write_text(self.text(*(f"{name}.crt" for name in chain)))
        done = self.openssl(
            f"pkcs12 -export -inkey {leaf}.key -in {leaf}.crt -certfile chain -passout pass:"
        )
        return base64.b64encode(done.stdout).decode()


@pytest.fixture
def ca(folder):
    return Authority(folder / "ca")


def put(services, name, value, content_type=None):
    words = {"contentType": content_type} if content_type else {}
    services.emulator.set_certificate(name, vault=services.vault, value=value, **words)


def read_all(folder):
    return {name: (folder / name).read_bytes() for name in sorted(os.listdir(folder))}


@pytest.mark.parametrize("kind", ["EC", "rsa:2048"])
def test_a_certificate_as_a_folder(akvfs, services, spc, ca, kind):
    ca.sign("leaf", "inter", kind=kind)
    put(services, "web", ca.pfx("leaf", "root", "inter"), PKCS12)
    text = spc([element("web", certificateFiles="folder", filePermission="0400")])
    with akvfs.mount(text) as mount:
        got = read_all(mount / "web")
        assert sorted(got) == FOLDER
        assert got["tls.crt"].decode() == ca.text("leaf.crt", "inter.crt")
        assert got["tls.key"].decode() == ca.pkcs8("leaf")
        assert got["ca.crt"].decode() == ca.text("inter.crt", "root.crt")
        assert got["fullchain.pem"].decode() == ca.text("leaf.crt", "inter.crt", "root.crt")
        assert got["combined.pem"] == got["tls.key"] + got["fullchain.pem"]
        assert got["cert.pfx"] == base64.b64decode(services.get("secrets", "web")["value"])
        assert (mount / "web" / "tls.key").stat().st_mode & 0o777 == 0o400
        for generation in ("web", "..data/web"):
            ca.openssl(f"verify -CAfile {mount / generation}/ca.crt {mount / generation}/tls.crt")
        key = ca.openssl(f"pkcs12 -in {mount / 'web'}/cert.pfx -passin pass: -nocerts -nodes")
        assert ca.openssl("pkey", stdin=key.stdout).stdout == got["tls.key"]


def pair_of(ca, folder):
    """Whether certificate and key, opened one after the other in that folder, are of one version."""
    with open(folder / "tls.crt", "rb") as crt, open(folder / "tls.key", "rb") as key:
        of_crt = ca.openssl("x509 -noout -pubkey", stdin=crt.read()).stdout
        of_key = ca.openssl("pkey -pubout", stdin=key.read()).stdout
    return of_crt == of_key


def test_a_folder_rotates_as_one(akvfs, services, spc, ca):
    text = spc([element("web", certificateFiles="folder")])
    for number in range(3):
        ca.sign(f"leaf{number}", "inter")
    put(services, "web", ca.pfx("leaf0", "inter", "root"), PKCS12)
    with akvfs.mount(text, "poll_interval=1h") as mount:
        first = os.path.realpath(mount / "..data")
        for number in range(1, 3):
            before = read_all(mount / "..data" / "web")
            folder = os.open(mount / "..data" / "web", os.O_PATH | os.O_DIRECTORY)
            put(services, "web", ca.pfx(f"leaf{number}", "inter", "root"), PKCS12)
            akvfs.ok("refresh", mount.point)
            wanted = ca.text(f"leaf{number}.crt", "inter.crt").encode()
            mount.wait_for("..data/web/tls.crt", wanted)
            assert read_all(mount / "..data" / "web") == read_all(mount / "web")
            assert pair_of(ca, mount / "..data" / "web")
            for name, value in before.items():
                fd = os.open(name, os.O_RDONLY, dir_fd=folder)
                assert os.read(fd, 1 << 16) == value, "who is in it stays in it"
                os.close(fd)
            os.close(folder)
        assert os.path.realpath(mount / "..data") != first


def test_pem_in_the_vault_makes_a_folder_too(akvfs, services, spc, ca):
    ca.sign("leaf", "inter")
    put(services, "web", ca.pkcs8("leaf") + ca.text("leaf.crt", "inter.crt"))
    elements = [
        element("web", certificateFiles="folder"),
        element("web", alias="plain.pem"),
    ]
    with akvfs.mount(spc(elements), "poll_interval=1h") as mount:
        got = read_all(mount / "web")
        assert sorted(got) == FOLDER
        assert mount.read("plain.pem").decode() == services.get("secrets", "web")["value"]
        assert got["ca.crt"].decode() == ca.text("inter.crt")
        readable = ca.openssl(f"pkcs12 -in {mount / 'web'}/cert.pfx -passin pass: -nodes").stdout
        assert readable.count(b"BEGIN CERTIFICATE") == 2
        # The PFX is made here: a poll that brings nothing new must not make another one.
        inode, generation = (mount / "web" / "cert.pfx").stat().st_ino, mount.status()["generation"]
        akvfs.ok("refresh", mount.point)
        assert (mount / "web" / "cert.pfx").stat().st_ino == inode
        assert mount.status()["generation"] == generation


def test_separate_files_are_those_of_the_provider(akvfs, services, spc, ca):
    ca.sign("leaf", "inter")
    put(services, "web", ca.pfx("leaf", "root", "inter"), PKCS12)
    services.set_secret("db", secret("db"))
    services.make_key("signing")
    elements = ["web", "db", element("signing", type="key"), element("web", type="cert", alias="c")]
    chain = ca.text("leaf.crt", "inter.crt", "root.crt")
    with akvfs.mount(spc(elements), "cert_key_files") as mount:
        assert [n for n in sorted(os.listdir(mount.point)) if not n.startswith("..")] == [
            "c", "db", "signing", "web", "web.crt", "web.key",
        ]
        assert mount.read("web.crt").decode() == chain
        assert mount.read("web.key").decode() == ca.pkcs8("leaf")
        assert mount.read("web").decode() == ca.pkcs8("leaf") + chain
    words = ["get", akvfs.class_file(spc(["web"])), *services.words()]
    crt = akvfs.ok(*words, "--cert-key-files", "web.crt", secret_output=True).stdout.decode()
    assert crt == chain
    assert akvfs.run(*words, "web.crt").returncode == 1, "only when asked for"


def test_the_order_of_the_vault_can_be_kept(akvfs, services, spc, ca):
    ca.sign("leaf", "inter")
    put(services, "web", ca.pfx("leaf", "root", "inter"), PKCS12)
    words = ["get", akvfs.class_file(spc(["web"])), *services.words(), "web"]
    key = ca.pkcs8("leaf")
    as_is = akvfs.ok(*words, "--pem-chain=off", secret_output=True).stdout.decode()
    blocks = ca.openssl(
        "pkcs12 -passin pass: -nodes -nokeys",
        stdin=base64.b64decode(services.get("secrets", "web")["value"]),
    ).stdout.decode()
    kept = re.findall(r"-----BEGIN.*?-----END CERTIFICATE-----\n", blocks, re.S)
    assert as_is == key + "".join(kept)
    ordered = akvfs.ok(*words, secret_output=True).stdout.decode()
    assert ordered == key + ca.text("leaf.crt", "inter.crt", "root.crt")


def test_a_folder_wants_a_certificate(akvfs, services, spc):
    services.set_secret("db", secret("db"))
    failed = akvfs.run(
        "get", akvfs.class_file(spc([element("db", certificateFiles="folder")])), *services.words()
    )
    assert failed.returncode == 1
    assert "object db: certificateFiles: folder is for the secret of a certificate" in failed.stderr.decode()
    assert "az keyvault certificate import" in failed.stderr.decode()


# --- jsonPath -----------------------------------------------------------------------------------


def test_values_of_a_json_secret(akvfs, services, spc):
    value = {"user": "app", "password": secret('p"\\ä\n'), "hosts": [{"port": 5432}, {"port": 1}]}
    services.set_secret("db", json.dumps(value)[:-1] + ', "exact": 1.10}')
    paths = {
        "user": "$.user",
        "password": "$['password']",
        "port": "$.hosts[-1].port",
        "exact": "$.exact",
    }
    elements = [element("db", alias=name, jsonPath=path) for name, path in paths.items()]
    with akvfs.mount(spc(elements), "poll_interval=1h") as mount:
        assert mount.read("user") == b"app"
        assert mount.read("password").decode() == value["password"]
        assert mount.read("port") == b"1"
        assert mount.read("exact") == b"1.10"
        assert services.gets("db") == 1, "one request for all of them"
        # A change elsewhere in the text: the version is another one, the bytes are not.
        value["user"] = "other"
        services.set_secret("db", json.dumps(value)[:-1] + ', "exact": 1.10}')
        akvfs.ok("refresh", mount.point)
        mount.wait_for("user", b"other")
        assert mount.read("exact") == b"1.10"
        # What is no JSON any more keeps what was shown, and says so.
        services.set_secret("db", secret("no json"))
        assert akvfs.run("refresh", mount.point).returncode == 1
        assert mount.read("user") == b"other"
        errors = [o["error"] for o in mount.status()["objects"]]
        assert all("the value of the secret is not JSON" in e for e in errors), errors


def test_a_path_that_leads_nowhere_fails_the_mount(akvfs, services, spc):
    services.set_secret("db", json.dumps({"password": secret("x")}))
    elements = [element("db", alias="a", jsonPath="$.pasword"), element("db", alias="b")]
    failed = akvfs.run("get", akvfs.class_file(spc(elements)), *services.words())
    assert failed.returncode == 1
    assert "object a: jsonPath $.pasword: there is no such member" in failed.stderr.decode()


# --- namePreset ---------------------------------------------------------------------------------


def test_names_by_rule(akvfs, services, spc):
    password, api_key = secret("1"), secret("2")
    services.set_secret("Database--Password", password)
    services.set_secret("api-key", api_key)
    elements = [
        element("Database--Password", namePreset="folders"),
        element("Database--Password", namePreset="upper-snake"),
        element("api-key", namePreset="upper-snake"),
    ]
    with akvfs.mount(spc(elements)) as mount:
        assert mount.read("Database/Password") == password.encode()
        assert mount.read("DATABASE__PASSWORD") == password.encode()
        assert mount.read("API_KEY") == api_key.encode()
