"""akvfs doctor: each step of the way, green and red, with the status of the first red line."""

import base64
import json
import socket
import socketserver
import struct
import subprocess
import threading

import pytest

from classes import element
from services import secret
from test_errors import closed_port

STATUS = {
    name: 10 + i
    for i, name in enumerate(
        ["class", "identity", "dns", "proxy", "tcp", "tls", "clock", "vault", "token", "object"]
    )
}


@pytest.fixture
def doctor(akvfs, services):
    def run(text, words=None, more=(), env=None, json_wanted=True):
        path = akvfs.class_file(text, "doctor.yaml")
        argv = ["doctor", str(path), *(services.words() if words is None else words), *map(str, more)]
        done = akvfs.run(*argv, *(["--json"] if json_wanted else []), env=env)
        return done if not json_wanted else Findings(done)

    return run


class Findings:
    def __init__(self, done):
        self.status = done.returncode
        self.document = json.loads(done.out)
        self.checks = self.document["checks"]
        assert self.document["status"] == self.status
        assert self.document["ok"] is (self.status == 0)

    def of(self, check, state=None):
        return [c for c in self.checks if c["check"] == check and state in (None, c["state"])]

    def fails(self, check):
        """This is the first thing that is red; its text, with its hint."""
        red = [c for c in self.checks if c["state"] == "fail"]
        assert red, self.checks
        assert red[0]["check"] == check, red
        assert self.status == STATUS[check]
        assert red[0]["hint"], red[0]
        return red[0]["text"] + " | " + red[0]["hint"]


def test_all_is_well(doctor, services, spc):
    services.set_secret("pw", secret())
    services.make_key("k")
    text = spc(
        [
            "pw",
            element("k", type="key"),
            element("pw", alias="old", objectVersionHistory="3").replace('"3"', "3"),
            element("never", optional="true"),
        ],
        objectSelector="array: ['{objectType: secret, glob: p*}']",
    )
    said = doctor(text)
    assert said.status == 0, said.checks
    kinds = [c["check"] for c in said.checks]
    assert kinds == sorted(kinds, key=list(STATUS).index)
    assert set(kinds) == set(STATUS)
    assert services.client_id in said.of("token")[0]["text"]
    assert services.tenant in said.of("token")[0]["text"]
    assert "https://vault.azure.net" in said.of("token")[0]["text"]
    assert "TLSv1." in said.of("tls")[0]["text"]
    objects = {c["subject"]: c["text"] for c in said.of("object")}
    assert "version" in objects["pw"]
    assert "1 enabled versions" in objects["old"]
    assert "is missing, and may be" in objects["never"]
    assert objects["secrets like p*"] == "1 of 1 enabled objects"


def test_lines_for_people(doctor, services, spc):
    services.set_secret("pw", secret())
    done = doctor(spc(["pw", "nowhere"]), json_wanted=False)
    assert done.returncode == STATUS["object"]
    lines = done.out.splitlines()
    assert any(line.startswith("ok    tls ") for line in lines), done.out
    red = [i for i, line in enumerate(lines) if line.startswith("FAIL")]
    assert len(red) == 1 and "SecretNotFound" in lines[red[0]]
    assert lines[red[0] + 1].startswith("      check objectName")
    assert "\x1b" not in done.out


def test_a_class_with_errors(doctor, akvfs, spc):
    said = doctor(spc([element("pw", type="Secret")]))
    said.fails("class")
    assert len(said.checks) == 1


def test_no_identity(doctor, spc):
    said = doctor(spc(["pw"]), env={"AZURE_CLIENT_SECRET": None})
    assert "AZURE_CLIENT_SECRET" in said.fails("identity")


def test_a_name_that_does_not_resolve(doctor, services, spc):
    words = services.words()
    words[1] = "https://nowhere.invalid/{vault}"
    said = doctor(spc(["pw"]), words=words, more=["--resolver", "127.0.0.1:1"])
    assert "nowhere.invalid does not resolve" in said.fails("dns")
    assert said.of("tls", "skipped") and said.of("object", "skipped")
    assert said.of("token", "ok"), "the token has a way of its own"


def test_nobody_listens(doctor, services, spc):
    words = services.words()
    with closed_port() as port:
        words[1] = f"https://127.0.0.1:{port}/{{vault}}"
        assert "refused" in doctor(spc(["pw"]), words=words).fails("tcp")


def test_a_proxy_that_refuses(doctor, services, spc):
    with serving(lambda s: s.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")) as port:
        env = {"https_proxy": f"http://user:hunter22@127.0.0.1:{port}", "no_proxy": ""}
        said = doctor(spc(["pw"]), env=env)
    text = said.fails("proxy")
    assert "407" in text and "no_proxy=" in text
    assert "hunter22" not in json.dumps(said.document)
    assert f"127.0.0.1:{port}" in said.of("proxy", "note")[0]["text"]


def test_an_authority_that_is_not_known(doctor, services, spc, folder):
    other = folder / "other.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-subj", "/CN=other", "-days", "2", "-keyout", folder / "other.key", "-out", other],
        check=True, capture_output=True,
    )
    other.chmod(0o644)
    words = services.words()
    words[words.index("--ca-file") + 1] = str(other)
    said = doctor(spc(["pw"]), words=words)
    text = said.fails("tls")
    assert "not accepted" in text and "--ca-file" in text


def test_what_speaks_no_tls(doctor, services, spc):
    with serving(lambda s: s.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")) as port:
        words = services.words()
        words[1] = f"https://localhost:{port}/{{vault}}"
        assert "does not speak TLS" in doctor(spc(["pw"]), words=words).fails("tls")


def test_a_clock_that_is_wrong(doctor, services, spc):
    services.set_secret("pw", secret())
    services.emulator.add_fault(
        path="/secrets", status=401,
        headers={"Date": "Mon, 01 Jan 2024 00:00:00 GMT",
                 "WWW-Authenticate": 'Bearer authorization="https://a.example/t", resource="https://vault.azure.net"'},
    )
    assert "ahead of the vault's" in doctor(spc(["pw"])).fails("clock")


def test_how_the_vault_was_reached(doctor, services, spc):
    services.set_secret("pw", secret())
    services.emulator.add_fault(
        path="/secrets", status=401,
        headers={"x-ms-keyvault-network-info": "conn_type=PrivateLink;addr=10.0.0.4;act_addr_fam=InterNetwork;",
                 "WWW-Authenticate": 'Bearer authorization="https://login.example/other-tenant", resource="https://vault.azure.net"'},
    )
    said = doctor(spc(["pw"]))
    assert "reached by PrivateLink, sees this machine as 10.0.0.4" in said.of("vault", "ok")[0]["text"]
    text = said.fails("token")
    assert "the vault belongs to tenant other-tenant" in text and "tenantID: other-tenant" in text


def test_something_else_answers(doctor, services, spc):
    services.emulator.add_fault(
        path="/secrets", status=200, body="<html>sign in</html>", content_type="text/html"
    )
    assert "captive portal" in doctor(spc(["pw"])).fails("vault")


def test_a_token_that_says_little(doctor, services, spc):
    claims = base64.urlsafe_b64encode(b'{"aud":["https://vault.azure.net"]}').decode().rstrip("=")
    body = {"token_type": "Bearer", "expires_in": 3599, "access_token": f"e30.{claims}.c2ln"}
    services.fault("*/oauth2/v2.0/token", status=200, body=json.dumps(body), content_type="application/json")
    text = doctor(spc(["pw"])).of("token", "ok")[0]["text"]
    assert text == "audience https://vault.azure.net, good for 59 minutes"


def test_no_token(doctor, services, spc):
    said = doctor(spc(["pw"]), env={"AZURE_CLIENT_SECRET": "wrong-value"})
    assert "AADSTS7000215" in said.fails("token")
    assert said.of("object", "skipped")


def test_a_forbidden_object(doctor, services, spc):
    services.set_secret("pw", secret())
    services.emulator.permit(services.client_id, {services.vault: {"keys": ["get"]}})
    said = doctor(spc(["pw"]))
    text = said.fails("object")
    assert "failed to get objectType:secret, objectName:pw" in text
    assert "--secret-permissions get" in text


def test_states_that_are_worth_a_note(doctor, services, spc):
    services.set_secret("old", secret(), expires=1600000000)
    said = doctor(spc(["old"]))
    assert said.status == 0
    assert "it has expired" in said.of("object", "note")[0]["text"]


# --- resolvers ---


class serving:
    """A TCP server on 127.0.0.1 that reads once and then does `act`."""

    def __init__(self, act):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                self.request.settimeout(10)
                try:
                    self.request.recv(4096)
                    act(self.request)
                except OSError:
                    pass

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.server_address[1]

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Resolver:
    """Answers every question with these records: ("cname", name) and ("a", address)."""

    def __init__(self, records, rcode=0):
        outer = self
        self.questions = []

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                packet, sock = self.request
                sock.sendto(outer.answer(packet, records, rcode), self.client_address)

        self.server = socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"

    def answer(self, packet, records, rcode):
        question = packet[12:]
        self.questions.append(question)
        answer = packet[:2] + struct.pack(">HHHHH", 0x8180 | rcode, 1, len(records), 0, 0) + question
        for kind, value in records:
            if kind == "cname":
                data = b"".join(bytes([len(p)]) + p.encode() for p in value.split(".")) + b"\0"
            else:
                data = socket.inet_aton(value)
            answer += b"\xc0\x0c" + struct.pack(">HHIH", 5 if kind == "cname" else 1, 1, 60, len(data)) + data
        return answer

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def dns_line(doctor, services, spc, resolver):
    words = services.words()
    words[1] = "https://contoso.vault.invalid"
    said = doctor(spc(["pw"]), words=words, more=["--resolver", resolver.address])
    return next(c for c in said.of("dns") if c["subject"] == f"resolver {resolver.address}")


def test_a_resolver_that_knows_the_private_endpoint(doctor, services, spc):
    records = [("cname", "contoso.privatelink.vaultcore.azure.net"), ("a", "10.1.2.3")]
    with Resolver(records) as resolver:
        line = dns_line(doctor, services, spc, resolver)
    assert line["state"] == "ok"
    assert "is contoso.privatelink.vaultcore.azure.net, 10.1.2.3 (private)" in line["text"]
    assert b"\x07contoso\x05vault\x07invalid" in resolver.questions[0]


def test_a_resolver_that_does_not(doctor, services, spc):
    records = [("cname", "contoso.privatelink.vaultcore.azure.net"), ("a", "20.61.190.5")]
    with Resolver(records) as resolver:
        line = dns_line(doctor, services, spc, resolver)
    assert line["state"] == "note"
    assert "20.61.190.5 (public), through privatelink" in line["text"]
    assert "link the private DNS zone" in line["hint"]


def test_a_resolver_that_knows_nothing(doctor, services, spc):
    with Resolver([], rcode=3) as resolver:
        line = dns_line(doctor, services, spc, resolver)
    assert line["state"] == "note" and "NXDOMAIN" in line["text"]


def test_a_resolver_that_is_no_address(doctor, services, spc):
    done = doctor(spc(["pw"]), more=["--resolver", "dns.example"], json_wanted=False)
    assert done.returncode == 2
