"""What the emulator does beyond recordings and Azure's clients: addresses, tokens, limits, loading,
certificates for TLS, the admin interface, and many requests at once."""

import base64
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from akvfs_emulator import AdminError, Emulator, find_emulator

from .client import Client


def value_of(answer):
    assert answer[0] == 200, answer[2]
    return json.loads(answer[2])["value"]


# --- addresses ---

def test_ids_name_the_host_that_was_asked(emu, client):
    emu.set_secret("x", "v")
    by_path = json.loads(client.vault("GET", "/secrets/x")[2])["id"]
    assert by_path.startswith(f"{emu.vault_url()}/secrets/x/")
    by_host = json.loads(client.vault("GET", "/secrets/x", host=True)[2])["id"]
    assert by_host.startswith("https://demo.vault.azure.net/secrets/x/")
    own = json.loads(client.vault("GET", "/secrets/x", host=True,
                                  headers={"Host": f"demo.vault.localhost:{emu.https_port}"})[2])["id"]
    assert own.startswith(f"{emu.vault_host_url()}/secrets/x/")


def test_next_links_can_be_followed_as_they_are(emu, client):
    for i in range(7):
        emu.set_secret(f"s{i}", "v")
    seen, path = [], "/secrets?maxresults=3"
    while path:
        page = json.loads(client.vault("GET", path)[2])
        seen += [i["id"].rsplit("/", 1)[1] for i in page["value"]]
        link = page["nextLink"]
        prefix = f"{emu.https_url}/vaults/demo"
        assert link is None or link.startswith(prefix)
        path = link and link[len(prefix):]
    assert seen == [f"s{i}" for i in range(7)]
    assert client.vault("GET", "/secrets?$skiptoken=rubbish")[0] == 400
    assert client.vault("GET", "/secrets?maxresults=26")[0] == 400


def test_a_list_that_changes_between_pages_loses_nothing_that_stays(emu, client):
    for name in "abcd":
        emu.set_secret(name, "v")
    page = json.loads(client.vault("GET", "/secrets?maxresults=2")[2])
    emu.remove("secrets", "c")
    rest = json.loads(client.vault("GET", page["nextLink"].split("/vaults/demo")[1])[2])
    assert [i["id"].rsplit("/", 1)[1] for i in rest["value"]] == ["d"]


def test_paths_with_slashes_and_case(emu, client):
    emu.set_secret("Mixed-Case", "v")
    for path in ("/secrets/mixed-case", "/secrets/MIXED-CASE/", "//secrets//Mixed-Case"):
        assert value_of(client.vault("GET", path)) == "v"


def test_unknown_vault_says_what_to_do(client):
    status, _, text = client.vault("GET", "/secrets/x", vault="nothere")
    assert status == 404 and "no vault named" in text.decode()


@pytest.mark.parametrize("path, status, kind", [
    ("/secrets/a%25b", 400, "text/html; charset=utf-8"),
    ("/secrets/a%zz", 400, "text/html; charset=utf-8"),
    ("/secrets/a%00b", 400, "text/html; charset=utf-8"),
    ("/secrets/a_b", 400, "application/json; charset=utf-8"),
    ("/secrets/" + "a" * 128, 400, "application/json; charset=utf-8"),
    ("/secrets/a/b/c/d/e/f/g/h/i", 400, "text/html; charset=utf-8"),
    ("/nothing", 404, "application/json; charset=utf-8"),
])
def test_bad_paths(client, path, status, kind):
    got = client.vault("GET", path)
    assert got[0] == status and got[1]["content-type"] == kind


# --- tokens ---

def refused(client, token):
    status, headers, text = client.vault("GET", "/secrets/x", token=token)
    assert status == 401 and headers["www-authenticate"].startswith("Bearer authorization=")
    return json.loads(text)["error"]["message"]


def test_tokens_look_like_tokens(emu, client):
    header, payload, signature = client.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims["aud"] == "https://vault.azure.net" and claims["appid"] == emu.client_id
    assert claims["iss"] == f"https://sts.windows.net/{emu.tenant}/" and claims["tid"] == emu.tenant
    assert claims["exp"] - claims["iat"] == 3600 and re.fullmatch(r"[0-9a-f-]{36}", claims["oid"])
    assert len(base64.urlsafe_b64decode(signature + "==")) == 256


def test_tokens_of_others_and_changed_ones_are_refused(emu, client):
    header, payload, signature = client.token().split(".")
    other = base64.urlsafe_b64encode(base64.urlsafe_b64decode(payload + "==").replace(
        emu.client_id.encode(), emu.user_identity.encode())).decode().rstrip("=")
    for bad in (f"{header}.{other}.{signature}", f"{header}.{payload}.", "rubbish", "a.b.c",
                f"{header}.{payload}.{signature}.x"):
        assert refused(client, bad).startswith("AKV10046:")


def test_expired_and_revoked_tokens(emu, client):
    emu.settings(token_lifetime=1)
    short = json.loads(client.token_request()[2])["access_token"]
    emu.settings(token_lifetime=3600)
    deadline = threading.Event()
    for _ in range(300):
        if client.vault("GET", "/secrets/x", token=short)[0] == 401:
            break
        deadline.wait(0.01)
    assert refused(client, short).startswith("[TokenExpired]")
    emu.set_secret("x", "v")
    old = client.token()
    emu.revoke_tokens(emu.client_id)
    assert refused(client, old).startswith("[TokenExpired]")
    fresh = json.loads(client.token_request()[2])["access_token"]
    assert value_of(client.vault("GET", "/secrets/x", token=fresh)) == "v"


def test_audience_and_issuer(emu, client):
    emu.add_vault("china", resource="https://vault.azure.cn")
    emu.add_tenant("88888888-8888-8888-8888-888888888888")
    emu.add_vault("abroad", tenant="88888888-8888-8888-8888-888888888888")
    status, headers, text = client.vault("GET", "/secrets/x", vault="china")
    assert status == 401 and 'resource="https://vault.azure.cn"' in headers["www-authenticate"]
    assert "AKV10022" in text.decode()
    assert "AKV10032" in client.vault("GET", "/secrets/x", vault="abroad")[2].decode()
    token = client.token(scope="https://vault.azure.cn/.default")
    assert client.vault("GET", "/secrets/x", vault="china", token=token)[0] == 404


def test_token_request_mistakes(client):
    def code(**form):
        status, _, text = client.token_request(**form)
        assert status in (400, 401)
        return json.loads(text)["error_codes"][0]
    assert code(scope="https://vault.azure.net") == 1002012
    assert code(scope=None) == 900144
    assert code(grant_type="password") == 70003
    assert code(client_secret=None) == 7000218
    assert code(client_id=None) == 900144


def test_imds_identities(emu, client):
    ask = {"api-version": "2018-02-01", "resource": "https://vault.azure.net"}

    def who(**more):
        return json.loads(client.imds({**ask, **more})[2]).get("client_id")
    emu.add_identity(emu.user_identity, object_id="99999999-9999-9999-9999-999999999999",
                     resource_id="/subscriptions/s/x")
    assert who() == emu.system_identity
    assert who(msi_res_id="/subscriptions/S/X") == emu.user_identity
    assert who(object_id="99999999-9999-9999-9999-999999999999") == emu.user_identity
    assert who(client_id=emu.client_id) is None  # an application, not an identity of this VM
    emu.remove_identity(emu.system_identity)
    assert who() == emu.user_identity
    emu.add_identity("12121212-1212-1212-1212-121212121212", user_assigned=True)
    status, _, text = client.imds(ask)
    assert status == 400 and "Multiple user assigned identities exist" in text.decode()
    assert client.imds(ask, metadata="false")[0] == 400
    assert client.imds({"api-version": "2018-02-01"})[0] == 400


# --- rights ---

def test_rights_by_kind_and_vault(emu, client):
    emu.add_vault("second")
    for vault in ("demo", "second"):
        emu.set_secret("x", "v", vault)
        emu.set_key("x", vault, kty="EC")
    emu.permit(emu.client_id, {"demo": {"secrets": ["get"]}, "*": {"keys": ["get", "list"]}})
    status = {(v, k, p): client.vault("GET", f"/{k}{p}", vault=v)[0]
              for v in ("demo", "second") for k in ("secrets", "keys") for p in ("", "/x")}
    assert {key for key, s in status.items() if s == 200} == {
        ("demo", "secrets", "/x"), ("second", "keys", ""), ("second", "keys", "/x")}
    assert set(status.values()) == {200, 403}
    emu.permit(emu.client_id, None)
    assert client.vault("GET", "/keys")[0] == 200
    emu.permit(emu.client_id, {})
    assert client.vault("GET", "/keys")[0] == 403
    with pytest.raises(AdminError):
        emu.permit(emu.client_id, {"demo": {"keys": ["fly"]}})
    assert client.vault("GET", "/keys")[0] == 403  # a bad change changes nothing


# --- secrets ---

def test_odd_values(emu, client):
    for value in ("", "\n", "line\r\n", "\\u0000", "\"\\/\b\f\t\x01\x7f", "grüße 🔑", " ", "a" * 25600):
        status, _, text = client.vault("PUT", "/secrets/odd", {"value": value})
        assert status == 200, text
        assert value_of(client.vault("GET", "/secrets/odd")) == value
    assert client.vault("PUT", "/secrets/odd", {"value": "a" * 25601})[0] == 400
    emu.set_secret("big", "b" * 1000000)  # the admin interface takes more than the service
    assert len(value_of(client.vault("GET", "/secrets/big"))) == 1000000


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", {"value": 5}, {"value": "v", "attributes": []},
    {"value": "v", "attributes": {"exp": "soon"}}, {"value": "v", "tags": {"a": 1}},
    {"value": "v", "tags": {str(i): "t" for i in range(16)}}, {"value": "v", "contentType": 1},
    b'{"value": "a\\u0000b"}',
    b'{"value":' + b"[" * 1000 + b"]" * 1000 + b"}",
])
def test_bad_bodies(client, body):
    status, _, text = client.vault("PUT", "/secrets/x", body)
    assert status == 400 and json.loads(text)["error"]["code"] == "BadParameter"
    assert client.vault("GET", "/secrets/x")[0] == 404


def test_attributes(client):
    client.vault("PUT", "/secrets/x", {"value": "v", "attributes": {"exp": 32503680000}})
    first = json.loads(client.vault("GET", "/secrets/x")[2])
    assert first["attributes"]["exp"] == 32503680000
    version = first["id"].rsplit("/", 1)[1]
    status, _, text = client.vault("PATCH", f"/secrets/x/{version}",
                                   {"attributes": {"exp": None, "enabled": False}})
    changed = json.loads(text)["attributes"]
    assert status == 200 and "exp" not in changed and changed["enabled"] is False
    assert client.vault("GET", "/secrets/x")[0] == 403
    assert client.vault("PATCH", "/secrets/x", {
        "contentType": "new", "tags": {"a": 1}, "attributes": {"enabled": True}})[0] == 400
    assert client.vault("GET", "/secrets/x")[0] == 403  # all of it or nothing


def test_keys_are_echoed_as_imported(client):
    n = base64.urlsafe_b64encode(b"\0" + b"\xc1" * 256).decode().rstrip("=")
    x = base64.urlsafe_b64encode(b"\x11" * 65).decode().rstrip("=")
    for key in ({"kty": "RSA", "n": n, "e": "AAEAAQ", "d": "AQ"},
                {"kty": "EC", "crv": "P-521", "x": x, "y": x, "d": "AQ"},
                {"kty": "EC", "crv": "SECP256K1", "x": x, "y": x, "d": "AQ"}):
        status, _, text = client.vault("PUT", "/keys/k", {"key": key})
        assert status == 200, text
        got = json.loads(client.vault("GET", "/keys/k")[2])["key"]
        assert {k: got[k] for k in key if k != "d"} == {k: v for k, v in key.items() if k != "d"}
        assert "d" not in got
    assert client.vault("PUT", "/keys/k", {"key": {"kty": "RSA", "n": n}})[0] == 400


def test_pending_certificate_is_cancelled_and_forgotten(client):
    body = {"policy": {"x509_props": {"subject": "CN=x"}, "issuer": {"name": "Unknown"}}}
    assert client.vault("POST", "/certificates/c/create", body)[0] == 202
    assert client.vault("POST", "/certificates/c/create", body)[0] == 409
    client.vault("POST", "/certificates/d/create", {"policy": {"x509_props": {"subject": "CN=d"}}})
    value = value_of(client.vault("GET", "/secrets/d"))
    assert client.vault("POST", "/certificates/c/import", {"value": value})[0] == 409
    got = json.loads(client.vault("GET", "/certificates/c")[2])
    assert got["attributes"]["enabled"] is False and "cer" not in got and "kid" not in got
    assert "/certificates/c" not in client.vault("GET", "/certificates")[2].decode()
    answer = client.vault("PATCH", "/certificates/c/pending", {"cancellation_requested": True})
    assert json.loads(answer[2])["status"] == "cancelled"
    assert client.vault("DELETE", "/certificates/c/pending")[0] == 200
    assert client.vault("GET", "/certificates/c/pending")[0] == 404


@pytest.mark.parametrize("policy", [
    {}, {"x509_props": {"subject": "no name"}}, {"x509_props": {"subject": "XX=y"}},
    {"x509_props": {"subject": "CN=x", "key_usage": ["everything"]}},
    {"x509_props": {"subject": "CN=x", "ekus": ["not an oid"]}},
    {"x509_props": {"subject": "CN=x", "validity_months": 0}},
    {"x509_props": {"subject": "CN=x"}, "key_props": {"kty": "RSA", "key_size": 1}},
    {"x509_props": {"subject": "CN=x"}, "key_props": {"kty": "oct"}},
    {"x509_props": {"subject": "CN=x"}, "secret_props": {"contentType": "text/plain"}},
])
def test_bad_policies(client, policy):
    status, _, text = client.vault("POST", "/certificates/bad/create", {"policy": policy})
    assert status == 400, text
    assert client.vault("GET", "/certificates/bad")[0] == 404


def test_key_reuse_and_unexportable_keys(client):
    policy = {"x509_props": {"subject": "CN=x"}, "key_props": {"reuse_key": True, "kty": "EC"}}
    keys = []
    for _ in range(2):
        client.vault("POST", "/certificates/c/create", {"policy": policy})
        keys.append(json.loads(client.vault("GET", "/keys/c")[2])["key"])
    assert keys[0]["x"] == keys[1]["x"] and keys[0]["kid"] != keys[1]["kid"]
    policy = {"x509_props": {"subject": "CN=x"}, "key_props": {"exportable": False},
              "secret_props": {"contentType": "application/x-pem-file"}}
    client.vault("POST", "/certificates/locked/create", {"policy": policy})
    assert "PRIVATE KEY" not in value_of(client.vault("GET", "/secrets/locked"))


# --- admin ---

def test_admin_sets_rotates_disables_removes(emu, client):
    first = emu.set_secret("x", "one", contentType="text/plain", tags={"a": "b"}, created=1000)
    assert value_of(client.vault("GET", "/secrets/x")) == "one"
    second = emu.rotate("secrets", "x")
    assert second["version"] != first["version"]
    got = json.loads(client.vault("GET", "/secrets/x")[2])
    assert got["value"] != "one" and got["contentType"] == "text/plain" and got["tags"] == {"a": "b"}
    emu.disable("secrets", "x", version=second["version"])
    assert client.vault("GET", "/secrets/x")[0] == 403
    assert value_of(client.vault("GET", f"/secrets/x/{first['version']}")) == "one"
    emu.enable("secrets", "x")
    emu.remove("secrets", "x")
    assert client.vault("GET", "/secrets/x")[0] == 404
    emu.set_secret("x", b"\x00\xff")
    assert value_of(client.vault("GET", "/secrets/x")) == "AP8="


def test_admin_certificates_and_keys(emu, client):
    emu.set_certificate("c", contentType="application/x-pem-file", kty="EC", dns=["a.example"])
    first = value_of(client.vault("GET", "/secrets/c"))
    emu.rotate("certificates", "c")
    assert value_of(client.vault("GET", "/secrets/c")) != first
    emu.set_certificate("copy", value=first)
    assert value_of(client.vault("GET", "/secrets/copy")) == first
    emu.disable("certificates", "c")
    assert client.vault("GET", "/secrets/c")[0] == 403
    emu.remove("certificates", "c")
    assert client.vault("GET", "/secrets/c")[0] == client.vault("GET", "/keys/c")[0] == 404
    emu.set_key("k", kty="EC", crv="P-384")
    assert json.loads(client.vault("GET", "/keys/k")[2])["key"]["crv"] == "P-384"


@pytest.mark.parametrize("method, path, body, status", [
    ("GET", "nothing", None, 404),
    ("PUT", "vaults/x", {}, 400),
    ("PUT", "vaults/good", {"modle": "rbac"}, 400),
    ("PUT", "vaults/good", {"model": "none"}, 400),
    ("PUT", "vaults/demo/secrets/a_b", {"value": "v"}, 400),
    ("PUT", "vaults/demo/secrets/a", {}, 400),
    ("PUT", "vaults/none/secrets/a", {"value": "v"}, 404),
    ("PUT", "vaults/demo/keys/k", {"kty": "oct"}, 400),
    ("PUT", "vaults/demo/certificates/c", {"value": "rubbish"}, 400),
    ("PATCH", "vaults/demo/secrets/none", {"enabled": False}, 404),
    ("PUT", "identities/i", {"permissions": {"demo": {"secrets": ["fly"]}}}, 400),
    ("PATCH", "settings", {"page_size": 0}, 400),
    ("GET", "requests?since=x", None, 400),
    ("DELETE", "faults/77", None, 404),
])
def test_admin_refuses(emu, method, path, body, status):
    with pytest.raises(AdminError) as caught:
        emu.admin(method, path, body)
    assert caught.value.status == status


def test_admin_takes_requests_for_the_loopback_only(emu):
    request = urllib.request.Request(f"{emu.admin_url}/_emulator/vaults",
                                     headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403


# --- log ---

def test_request_log(emu, client):
    emu.set_secret("x", "v")
    client.vault("GET", "/secrets/x")
    client.vault("GET", "/secrets/none")
    mark = emu.last_request()
    client.vault("GET", "/secrets/x", host=True)
    assert emu.count(operation="secrets.get", identity=emu.client_id) == 3
    assert emu.count(path="/secrets/*", status=404) == 1
    (last,) = emu.requests(since=mark)
    assert last["path"] == "/secrets/x" and last["vault"] == "demo" and last["took_ms"] >= 0
    assert emu.count(path="/secrets/x") == 2  # by path and by host alike
    assert emu.counters()["status"] == {"200": 3, "404": 1}
    assert len(emu.log_query(limit=1)["requests"]) == 1
    emu.reset_log()
    assert emu.count() == 0 and emu.counters()["requests"] == 0 and emu.last_request() > mark
    assert client.token() not in emu.log() and emu.client_secret not in json.dumps(emu.requests())


def test_many_requests_at_once_over_few_connections(emu, client):
    for i in range(100):
        emu.set_secret(f"s{i}", f"v{i}")
    client.token()
    emu.reset_log()
    emu.add_fault(path="/secrets/*", latency_ms=20)
    wrong = []

    def work(numbers):
        connection = client.connect()
        for i in numbers:
            answer = client.vault("GET", f"/secrets/s{i}", connection=connection)
            if json.loads(answer[2]).get("value") != f"v{i}":
                wrong.append(i)
        connection.close()

    threads = [threading.Thread(target=work, args=(range(k, 100, 8),)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not wrong
    counters = emu.counters()
    assert counters["status"] == {"200": 100} and counters["connections"]["opened"] == 8
    assert counters["in_flight_max"] > 1


# --- TLS and start ---

def handshake(emu, name="localhost"):
    context = ssl.create_default_context(cafile=emu.ca_file)
    with socket.create_connection(("127.0.0.1", emu.https_port)) as sock:
        with context.wrap_socket(sock, server_hostname=name) as tls:
            return tls.version()


def test_tls_names(running):
    for name in ("localhost", "demo.vault.localhost", "demo.vault.azure.net", "127.0.0.1", "::1",
                 "login.microsoftonline.com", "demo.vault.azure.cn"):
        assert handshake(running, name) == "TLSv1.3"
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(running, "example.com")


@pytest.mark.parametrize("args, why", [
    (("--bad-cert", "wrong-host"), "Hostname mismatch"),
    (("--bad-cert", "expired"), "certificate has expired"),
    (("--bad-cert", "not-yet-valid"), "not yet valid"),
    (("--bad-cert", "unknown-ca"), "unable to get local issuer|self.signed"),
    (("--cert-name", "other.example"), "Hostname mismatch"),
])
def test_bad_certificates(args, why):
    with Emulator(*args) as emu:
        with pytest.raises(ssl.SSLCertVerificationError, match=why):
            handshake(emu)
        if args[0] == "--cert-name":
            assert handshake(emu, "other.example")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_tls_is_refused(running):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(running.ca_file)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", running.https_port)) as sock:
        with pytest.raises(ssl.SSLError):
            context.wrap_socket(sock, server_hostname="localhost")


def test_start_from_a_directory(tmp_path, running):
    source = Client(running)
    running.set_certificate("c", contentType="application/x-pem-file")
    pem = value_of(source.vault("GET", "/secrets/c"))
    running.set_certificate("p12", kty="EC")
    pfx = base64.b64decode(value_of(source.vault("GET", "/secrets/p12")))
    for folder in ("secrets", "keys", "certificates", "vaults/second/secrets"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "secrets" / "plain").write_bytes(b"with newline\n")
    (tmp_path / "secrets" / "tagged").write_text("v")
    (tmp_path / "secrets" / "tagged.json").write_text('{"contentType": "a/b", "enabled": false}')
    (tmp_path / "keys" / "k.pem").write_text(pem[:pem.index("-----BEGIN CERTIFICATE")])
    (tmp_path / "certificates" / "pem.pem").write_text(pem)
    (tmp_path / "certificates" / "pfx.pfx").write_bytes(pfx)
    (tmp_path / "vaults" / "second" / "secrets" / "other").write_text("second's")
    (tmp_path / "vaults" / "second" / "vault.json").write_text('{"model": "rbac"}')
    (tmp_path / "identities.json").write_text(json.dumps({
        "tenants": [{"id": "abcdabcd-0000-0000-0000-000000000000", "domain": "d.example"}],
        "identities": [{"client_id": "app", "client_secrets": ["pass"],
                        "permissions": {"second": {"secrets": ["get"]}}}]}))
    with Emulator(load=tmp_path) as emu:
        client = Client(emu)
        assert value_of(client.vault("GET", "/secrets/plain")) == "with newline\n"
        assert client.vault("GET", "/secrets/tagged")[0] == 403
        assert value_of(client.vault("GET", "/secrets/pem")) == pem
        assert json.loads(client.vault("GET", "/keys/k")[2])["key"]["kty"] == "RSA"
        secret = json.loads(client.vault("GET", "/secrets/pfx")[2])
        assert secret["contentType"] == "application/x-pkcs12" and secret["managed"]
        token = client.token(client_id="app", client_secret="pass")
        assert value_of(client.vault("GET", "/secrets/other", vault="second", token=token))
        assert client.vault("GET", "/secrets/plain", token=token)[0] == 403
        assert client.token_request(tenant="d.example", client_id="app")[0] == 400


@pytest.mark.parametrize("files, why", [
    ({"secrets/nul": b"a\0b"}, "NUL byte"),
    ({"secrets/a_b": b"v"}, "no secret can have the name"),
    ({"keys/k.pem": b"rubbish"}, "no key in that PEM"),
    ({"certificates/c.pem": b"rubbish"}, "neither PEM|no private key"),
    ({"identities.json": b"{"}, "is not JSON"),
])
def test_what_cannot_be_loaded_is_named(tmp_path, files, why):
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    r = subprocess.run([find_emulator(), "--port", "0", "--load", tmp_path, "--ca-out",
                        tmp_path / "ca.pem"], capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and re.search(why, r.stderr) and next(iter(files)) in r.stderr


def start_by_hand(tmp_path, *args):
    """With --ready-fd and nothing else that Emulator gives; returns (process, what it said)."""
    reading, writing = os.pipe()
    process = subprocess.Popen([find_emulator(), "--port", "0", "--ca-out", tmp_path / "ca.pem",
                                "--ready-fd", str(writing), *args], pass_fds=[writing],
                               stdout=subprocess.PIPE, text=True)
    os.close(writing)
    with os.fdopen(reading) as f:
        return process, json.loads(f.read())


def end(process):
    process.terminate()
    line = process.stdout.read()
    assert process.wait(30) == 0
    return line


def test_ready_descriptor_and_ports_switched_off(tmp_path):
    process, said = start_by_hand(tmp_path, "--imds-port", "none", "--admin-port", "none")
    assert said["pid"] == process.pid and said["vault_url"].endswith("/vaults/demo")
    assert "imds_url" not in said and "admin_url" not in said
    assert end(process) == f"listening {said['https_url']} ca {tmp_path / 'ca.pem'}\n"


def test_authority_names_and_no_defaults(tmp_path):
    process, said = start_by_hand(
        tmp_path, "--imds-port", "0", "--admin-port", "0", "--authority", "https://sts.example",
        "--san", "sts.example", "--no-defaults")
    emu = Emulator()
    emu.https_port, emu.ca_file = said["https_port"], said["ca_file"]
    emu.admin_url, emu.info = said["admin_url"], said
    client = Client(emu)
    assert handshake(emu, "sts.example")
    assert client.send("GET", "/vaults/demo/secrets?api-version=7.4")[0] == 404
    assert emu.admin("GET", "identities") == {"identities": []}
    emu.add_vault("own")
    headers = client.send("GET", "/vaults/own/secrets?api-version=7.4")[1]
    assert 'authorization="https://sts.example/' in headers["www-authenticate"]
    assert re.fullmatch(r"listening \S+ imds \S+ ca \S+ admin \S+\n", end(process))


def test_help_shows_what_is_needed_to_begin():
    r = subprocess.run([find_emulator(), "--help"], capture_output=True, text=True, check=True)
    for word in ("--ca-out", "--load", "emulator-client-secret", "/_emulator/", "curl"):
        assert word in r.stdout
    r = subprocess.run([find_emulator(), "--prot", "1"], capture_output=True, text=True)
    assert r.returncode == 2 and "--help" in r.stderr


def test_port_in_use_is_said(running, tmp_path):
    r = subprocess.run([find_emulator(), "--port", str(running.https_port), "--ca-out",
                        tmp_path / "ca.pem"], capture_output=True, text=True, timeout=60)
    assert r.returncode == 1 and "Address already in use" in r.stderr


def test_restart_on_the_same_port():
    first = Emulator().start()
    port = first.https_port
    Client(first).token()
    assert first.stop() == 0
    second = Emulator().start(https_port=port)
    try:
        assert second.https_port == port and Client(second).token()
    finally:
        assert second.stop() == 0
