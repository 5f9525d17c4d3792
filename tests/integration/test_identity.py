"""Every way to prove an identity, end to end: what is mounted, and the exact request on the wire."""

import base64
import contextlib
import json
import os
import pathlib
import subprocess
import time
import uuid

import pytest

from machine import wait_until
from services import CANARY, secret
from test_crash import kill_worker
from test_keeper import read
from test_service import Unit

ISSUER = "https://oidc.example/cluster/"
SUBJECT = "system:serviceaccount:prod:web"
AUDIENCE = "api://AzureADTokenExchange"
RESOURCE = "https%3A%2F%2Fvault.azure.net"
NOTHING = {"AZURE_CLIENT_ID": None, "AZURE_CLIENT_SECRET": None, "AZURE_TENANT_ID": None}


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def federated_token(audience=AUDIENCE, subject=SUBJECT, lifetime=3600):
    claims = {"iss": ISSUER, "sub": subject, "aud": [audience], "exp": int(time.time()) + lifetime}
    return f"{part({'alg': 'RS256', 'kid': uuid.uuid4().hex})}.{part(claims)}.c2lnbmF0dXJl"


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@pytest.fixture
def certificate(folder):
    """certificate(name) -> (PEM file with key and certificate, PEM text of the certificate)"""

    def make(name="app", owner=(0, 0)):
        key, public, both = (folder / f"{name}.{end}" for end in ("key", "crt", "pem"))
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                "-keyout", key, "-out", public)
        both.write_text(key.read_text() + public.read_text())
        both.chmod(0o600)
        os.chown(both, *owner)
        return both, public.read_text()

    return make


@pytest.fixture
def sent(services):
    """sent(operation) -> the token requests of that kind, as the emulator wrote them down."""

    def look(operation="entra.token"):
        return services.emulator.requests(operation=operation)

    return look


def form_of(row):
    return row["sent"]["form"]


def assertion_form(services):
    """What is sent by who has signed something, or has it signed."""
    return {
        "grant_type": "client_credentials",
        "client_id": services.client_id,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "***",
        "scope": "https://vault.azure.net/.default",
    }


# --- service principals ---


def test_a_client_secret_on_the_wire(akvfs, services, spc, sent):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        assert CANARY in mount.read("pw").decode()
    (row,) = sent()
    assert (row["method"], row["path"]) == ("POST", f"/{services.tenant}/oauth2/v2.0/token")
    assert form_of(row) == {
        "grant_type": "client_credentials",
        "client_id": services.client_id,
        "client_secret": "***",
        "scope": "https://vault.azure.net/.default",
    }
    assert row["sent"]["headers"]["Content-Type"] == (
        "application/x-www-form-urlencoded; charset=utf-8"
    )


def test_a_client_certificate(akvfs, services, spc, sent, certificate, who):
    path, public = certificate(owner=(who.uid, who.gid))
    services.emulator.add_identity(services.client_id, certificates=[public], client_secrets=[])
    services.set_secret("pw", secret())
    env = {"AZURE_CLIENT_SECRET": None, "AZURE_CLIENT_CERTIFICATE_PATH": path}
    with akvfs.mount(spc(["pw"]), who=who, env=env) as mount:
        assert CANARY in read(mount, who).decode()
    (row,) = sent()
    assert form_of(row) == assertion_form(services)
    header, claims = (row["sent"]["assertion"][it] for it in ("header", "claims"))
    assert set(header) == {"alg", "typ", "x5t#S256"} and header["alg"] == "PS256"
    assert claims["iss"] == claims["sub"] == services.client_id
    assert claims["aud"] == f"{services.emulator.https_url}/{services.tenant}/oauth2/v2.0/token"
    assert claims["exp"] - claims["nbf"] == 600


def thumbprints(rows):
    return {row["sent"]["assertion"]["header"]["x5t#S256"] for row in rows if row["status"] == 200}


def test_a_certificate_that_is_replaced_counts_from_the_next_token_on(
    akvfs, services, spc, sent, certificate
):
    path, public = certificate()
    services.emulator.add_identity(services.client_id, certificates=[public], client_secrets=[])
    services.emulator.settings(token_lifetime=3)
    services.set_secret("pw", secret("one"))
    words = ["--client-certificate", path]
    with akvfs.mount(spc(["pw"]), env={"AZURE_CLIENT_SECRET": None}, words=words) as mount:
        renewed, public = certificate("renewed")
        services.emulator.add_identity(services.client_id, certificates=[public])
        renewed.rename(path)
        wait_until(lambda: len(thumbprints(sent())) == 2, "a token by the new certificate")
        value = secret("two")
        services.set_secret("pw", value)
        mount.wait_for("pw", value)


def test_a_pfx_with_a_password_and_its_chain(akvfs, services, spc, sent, certificate, folder):
    path, public = certificate()
    pfx, word = folder / "app.pfx", folder / "word"
    word.write_text(f"{CANARY}-password\n")
    word.chmod(0o600)
    openssl("pkcs12", "-export", "-in", path, "-out", pfx, "-passout", f"file:{word}")
    services.emulator.add_identity(services.client_id, certificates=[public], client_secrets=[])
    services.set_secret("pw", secret())
    done = akvfs.ok(
        "get", akvfs.class_file(spc(["pw"])), "pw", *services.words(),
        "--client-certificate", pfx, "--client-certificate-password-file", word,
        env={"AZURE_CLIENT_SECRET": None, "AZURE_CLIENT_SEND_CERTIFICATE_CHAIN": "true"},
        secret_output=True,
    )
    assert CANARY in done.out
    (row,) = sent()
    assert len(row["sent"]["assertion"]["header"]["x5c"]) == 1


def test_ad_fs(akvfs, services, spc, sent, certificate):
    path, public = certificate()
    services.emulator.add_identity(services.client_id, certificates=[public])
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"], tenant="adfs")) as mount:
        assert CANARY in mount.read("pw").decode()
    words = ["--client-certificate", path]
    with akvfs.mount(spc(["pw"], tenant="adfs"), words=words) as mount:
        assert CANARY in mount.read("pw").decode()
    first, second = sent()
    assert first["path"] == second["path"] == "/adfs/oauth2/token"
    scope = "https://vault.azure.net/.default openid offline_access profile"
    assert form_of(first)["scope"] == form_of(second)["scope"] == scope
    header = second["sent"]["assertion"]["header"]
    assert header["alg"] == "RS256" and "x5t" in header


def test_a_certificate_that_is_not_registered(akvfs, services, spc, certificate):
    path, _ = certificate()
    done = akvfs.run(
        "get", akvfs.class_file(spc(["pw"])), *services.words(), "--client-certificate", path
    )
    assert done.returncode == 1
    for words in ("failed to get key vault token", "AADSTS700027", str(path), "az ad app credential"):
        assert words in done.err


# --- workload identity ---


@pytest.fixture
def workload(services, folder):
    """Its environment; the token's file can be written anew."""
    services.emulator.add_identity(
        services.client_id, client_secrets=[],
        federated=[{"issuer": ISSUER, "subject": SUBJECT, "audience": AUDIENCE}],
    )
    token = folder / "token"
    token.write_text(federated_token() + "\n")
    return {
        "AZURE_CLIENT_SECRET": None,
        "AZURE_CLIENT_ID": services.client_id,
        "AZURE_TENANT_ID": services.tenant,
        "AZURE_FEDERATED_TOKEN_FILE": token,
    }


def test_workload_identity(akvfs, services, spc, sent, workload, who):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"]), who=who, env=workload) as mount:
        assert CANARY in read(mount, who).decode()
    (row,) = sent()
    assert row["path"] == f"/{services.tenant}/oauth2/v2.0/token"
    assert form_of(row) == assertion_form(services)
    assert row["sent"]["assertion"]["claims"]["sub"] == SUBJECT


def key_ids(rows):
    return {row["sent"]["assertion"]["header"]["kid"] for row in rows if row["status"] == 200}


def test_the_token_file_is_read_again(akvfs, services, spc, sent, workload, folder):
    """As kubelet renews it: a symlink of the folder moves. Root's alone, which the worker is not."""
    services.emulator.settings(token_lifetime=3)
    services.set_secret("pw", secret("one"))
    token = workload["AZURE_FEDERATED_TOKEN_FILE"]
    old, new = folder / "token-1", folder / "token-2"
    token.rename(old)
    token.symlink_to(old.name)
    old.chmod(0o600)
    with akvfs.mount(spc(["pw"]), env=workload) as mount:
        new.write_text(federated_token())
        new.chmod(0o600)
        fresh = folder / "fresh"
        fresh.symlink_to(new.name)
        fresh.rename(token)
        old.unlink()
        wait_until(lambda: len(key_ids(sent())) == 2, "the new token is exchanged")
        value = secret("two")
        services.set_secret("pw", value)
        mount.wait_for("pw", value)


def test_a_worker_that_was_killed_reads_it_again(akvfs, services, spc, sent, workload):
    services.set_secret("pw", secret("one"))
    with akvfs.mount(spc(["pw"]), env=workload) as mount:
        kill_worker(mount)
        value = secret("two")
        services.set_secret("pw", value)
        mount.wait_for("pw", value)
    assert len(sent()) == 2


def test_the_worker_of_a_new_program_reads_it(akvfs, services, spc, sent, workload):
    """Also after an upgrade of the keeper that has started the helper, and without keeper and all."""
    services.set_secret("pw", secret("one"))
    with akvfs.mount(spc(["pw"]), env=workload) as mount:
        for n in range(2):
            akvfs.ok("upgrade", mount.point)
            services.set_secret("pw", value := secret(f"two-{n}"))
            mount.wait_for("pw", value)
    assert len(sent()) == 3


def test_a_service_that_starts_again_reads_it(akvfs, services, spc, sent, workload, folder):
    """Nothing is fetched by the command then: what is mounted is gone on with by the worker."""
    services.set_secret("pw", secret("one"))
    service = Unit(akvfs, folder, spc(["pw"]), "poll_interval=1s", akvfs.default)
    try:
        service.start(**workload)
        wait_until(service.stored, "everything is stored")
        service.kill_everything()
        service.start(**workload)
        services.set_secret("pw", value := secret("two"))
        wait_until(lambda: service.read() == value.encode(), "the worker has signed in again")
        assert "is mounted anew" not in service.log.read_text()
        service.stop()
    finally:
        service.manager.close()
    assert len(sent()) == 2


def test_commands_that_mount_nothing_read_it_too(akvfs, services, spc, workload):
    path = akvfs.class_file(spc(["pw"]))
    services.set_secret("pw", "what is asked for")
    assert akvfs.run("get", path, "pw", *services.words(), env=workload).out == "what is asked for"
    done = akvfs.run("doctor", path, "--json", *services.words(), env=workload)
    token = [c for c in json.loads(done.out)["checks"] if c["check"] == "token"]
    assert (done.returncode, token[0]["state"]) == (0, "ok"), done.out


def test_a_token_that_nobody_trusts_is_shown_beside_what_is_required(akvfs, services, spc, workload):
    token = workload["AZURE_FEDERATED_TOKEN_FILE"]
    text = federated_token(subject="system:serviceaccount:prod:other")
    token.write_text(text)
    done = akvfs.run("get", akvfs.class_file(spc(["pw"])), *services.words(), env=workload)
    assert done.returncode == 1
    for words in (
        "failed to get key vault token",
        "No matching federated identity record found",
        "AADSTS700213",
        ISSUER,
        "system:serviceaccount:prod:other",
        "system:serviceaccount:<namespace>:<name>",
        AUDIENCE,
        "az identity federated-credential create",
        f"--issuer '{ISSUER}' --subject 'system:serviceaccount:prod:other' --audiences '{AUDIENCE}'",
    ):
        assert words in done.err, done.err
    assert text not in done.err


def test_a_token_file_without_a_token(akvfs, services, spc, workload, sent):
    workload["AZURE_FEDERATED_TOKEN_FILE"].write_text("no token\n")
    done = akvfs.run("get", akvfs.class_file(spc(["pw"])), *services.words(), env=workload)
    assert done.returncode == 1 and "it holds no JSON Web Token" in done.err
    workload["AZURE_FEDERATED_TOKEN_FILE"].unlink()
    done = akvfs.run("get", akvfs.class_file(spc(["pw"])), *services.words(), env=workload)
    assert done.returncode == 1 and "No such file" in done.err
    assert not sent()


def test_identity_binding(akvfs, services, spc, sent, folder):
    """The proxy is met under its own TLS name; the Host header is the authority's."""
    name = "aeaf29ip1hi5q38ebc3u4daum81u0unk52t5bg50j25234fmuj78g.ests.aks"
    services.emulator.stop()
    services.emulator.args += ["--san", name]
    services.start()
    audience = "api://AKSIdentityBinding"
    services.emulator.add_identity(
        services.client_id, client_secrets=[],
        federated=[{"issuer": ISSUER, "subject": SUBJECT, "audience": audience}],
    )
    services.set_secret("pw", secret())
    token = folder / "token"
    token.write_text(federated_token(audience))
    env = {
        "AZURE_CLIENT_SECRET": None,
        "AZURE_FEDERATED_TOKEN_FILE": token,
        "AZURE_KUBERNETES_CA_FILE": services.ca_file,
    }
    text = spc(["pw"], useAzureTokenProxy="true", clientID=services.client_id)
    words = ["--token-proxy-url", services.emulator.https_url, "--sni-name", name]
    # nobody listens at the authority: only the proxy can have answered
    words += ["--authority-host", "https://login.example/"]
    with akvfs.mount(text, env=env, words=words) as mount:
        assert CANARY in mount.read("pw").decode()
    (row,) = sent()
    assert row["path"] == f"/{services.tenant}/oauth2/v2.0/token"
    assert row["sent"]["headers"]["Host"] == "login.example"
    assert row["sent"]["assertion"]["claims"]["aud"] == [audience]


# --- managed identities ---


@pytest.mark.parametrize(
    "parameters, query",
    [
        ({}, f"api-version=2018-02-01&resource={RESOURCE}"),
        (
            {"userAssignedIdentityID": "44444444-4444-4444-4444-444444444444"},
            "api-version=2018-02-01&client_id=44444444-4444-4444-4444-444444444444"
            f"&resource={RESOURCE}",
        ),
        (
            {"userAssignedIdentityObjectID": "55555555-0000-4000-8000-000000000000"},
            "api-version=2018-02-01&object_id=55555555-0000-4000-8000-000000000000"
            f"&resource={RESOURCE}",
        ),
        (
            {"userAssignedIdentityID": "/subscriptions/s/resourceGroups/g/x"},
            "api-version=2018-02-01&msi_res_id=%2Fsubscriptions%2Fs%2FresourceGroups%2Fg%2Fx"
            f"&resource={RESOURCE}",
        ),
    ],
)
def test_the_identity_of_a_vm(akvfs, services, spc, sent, parameters, query):
    services.emulator.add_identity(
        services.emulator.user_identity, tenant=services.tenant, user_assigned=True,
        object_id="55555555-0000-4000-8000-000000000000",
        resource_id="/subscriptions/s/resourceGroups/g/x",
    )
    services.set_secret("pw", secret())
    text = spc(["pw"], useVMManagedIdentity="true", **parameters)
    with akvfs.mount(text, env=NOTHING, words=services.imds_words()) as mount:
        assert CANARY in mount.read("pw").decode()
    (row,) = sent("imds.token")
    assert (row["method"], row["path"]) == ("GET", "/metadata/identity/oauth2/token")
    assert row["query"] == query
    assert row["sent"]["headers"]["Metadata"] == "true"


def test_app_service(akvfs, services, spc, sent):
    services.emulator.add_identity(
        services.emulator.system_identity, tenant=services.tenant, system_assigned=True
    )
    services.set_secret("pw", secret())
    env = {
        **NOTHING,
        "IDENTITY_ENDPOINT": services.emulator.imds_url + "/msi/token",
        "IDENTITY_HEADER": "emulator-identity-header",
    }
    with akvfs.mount(spc(["pw"], useVMManagedIdentity="true"), env=env) as mount:
        assert CANARY in mount.read("pw").decode()
        assert "emulator-identity-header" not in mount.log_text()
    (row,) = sent("app-service.token")
    assert row["query"] == f"api-version=2019-08-01&resource={RESOURCE}"
    assert row["sent"]["headers"]["X-IDENTITY-HEADER"] == "***"
    assert "Metadata" not in row["sent"]["headers"]


@pytest.fixture
def arc(services):
    """The agent's folder, on a file system of this test's own; and its environment."""
    folder = pathlib.Path("/var/opt")
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "none", folder], check=True)
    try:
        (folder / "azcmagent" / "tokens").mkdir(parents=True)
        (folder / "azcmagent" / "tokens").chmod(0o750)
        services.emulator.add_identity(
            services.emulator.system_identity, tenant=services.tenant, system_assigned=True
        )
        yield {
            **NOTHING,
            "IDENTITY_ENDPOINT": services.emulator.imds_url + "/arc/metadata/identity/oauth2/token",
            "IMDS_ENDPOINT": services.emulator.imds_url + "/arc",
        }
    finally:
        subprocess.run(["umount", folder], check=True)
        if made:
            folder.rmdir()


def test_azure_arc(akvfs, services, spc, sent, arc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"], useVMManagedIdentity="true"), env=arc) as mount:
        assert CANARY in mount.read("pw").decode()
    first, second = sent("arc.token")
    assert (first["status"], second["status"]) == (401, 200)
    assert first["query"] == second["query"] == f"api-version=2020-06-01&resource={RESOURCE}"
    assert "Authorization" not in first["sent"]["headers"]
    assert second["sent"]["headers"]["Authorization"] == "***"
    assert second["sent"]["headers"]["Metadata"] == "true"


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "/var/opt/azcmagent/tokens/../../../../etc/x.key", "/var/opt/azcmagent/tokens/a/b.key"],
)
def test_azure_arc_opens_no_other_file(akvfs, services, spc, arc, path):
    services.fault(
        "/arc/", status=401, headers={"WWW-Authenticate": f"Basic realm={path}"}, body="{}"
    )
    text = spc(["pw"], useVMManagedIdentity="true")
    done = akvfs.run("get", akvfs.class_file(text), *services.words(), env=arc)
    assert done.returncode == 1
    assert "names a key file that is not one of /var/opt/azcmagent/tokens/*.key" in done.err


def test_pod_identity(akvfs, services, spc, sent):
    services.emulator.add_identity(
        services.emulator.user_identity, tenant=services.tenant, pod="prod/web-0"
    )
    services.set_secret("pw", secret())
    text = spc(["pw"], usePodIdentity="true")
    words = ["--imds-endpoint", services.emulator.imds_url]
    env = {**NOTHING, "POD_NAME": "web-0", "POD_NAMESPACE": "prod"}
    with akvfs.mount(text, env=env, words=words) as mount:
        assert CANARY in mount.read("pw").decode()
    (row,) = sent("nmi.token")
    assert (row["path"], row["query"]) == ("/host/token/", "resource=https://vault.azure.net")
    headers = row["sent"]["headers"]
    assert (headers["podname"], headers["podns"]) == ("web-0", "prod")

    env["POD_NAME"] = "other"
    done = akvfs.run("get", akvfs.class_file(text), *services.words(), *words, env=env)
    assert done.returncode == 1
    assert "nmi response failed with status code: 404, response body: no AzureAssigned" in done.err
    assert "aadpodidbinding" in done.err
    assert len(sent("nmi.token")) == 2, "it is asked once"


# --- the Azure CLI ---


@pytest.fixture
def az(services, folder):
    """az(text): a program of that name, which says how it was called; its environment."""
    programs = folder / "programs"
    programs.mkdir()
    called = folder / "called"
    called.touch()
    called.chmod(0o666)

    def make(body, who):
        script = programs / "az"
        script.write_text(f'#!/bin/sh\necho "$@" >>{called}\necho "$HOME" >>{called}\n{body}\n')
        script.chmod(0o755)
        return {**NOTHING, "PATH": f"{programs}:/usr/bin:/bin", "HOME": str(folder)}

    make.called = called
    return make


def test_the_login_of_the_azure_cli(akvfs, services, spc, az, who):
    token = services.token()
    answer = json.dumps({"accessToken": token, "expires_on": int(time.time()) + 3000, "tokenType": "Bearer"})
    env = az(f"cat <<'E'\n{answer}\nE", who)
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"]), who=who, env=env, words=["--azure-cli"]) as mount:
        assert CANARY in read(mount, who).decode()
    assert az.called.read_text().splitlines() == [
        "account get-access-token --output json --resource https://vault.azure.net "
        f"--tenant {services.tenant}",
        env["HOME"],
    ]


def test_nobody_has_logged_in(akvfs, services, spc, az, root):
    env = az("echo \"ERROR: Please run 'az login' to setup account.\" >&2; exit 1", root)
    done = akvfs.run(
        "get", akvfs.class_file(spc(["pw"])), *services.words(), "--azure-cli", env=env
    )
    assert done.returncode == 1
    assert "failed to get key vault token" in done.err and "Please run 'az login'" in done.err
    assert f"az login --tenant {services.tenant}" in done.err
    env["PATH"] = "/usr/sbin"
    done = akvfs.run(
        "get", akvfs.class_file(spc(["pw"])), *services.words(), "--azure-cli", env=env
    )
    assert done.returncode == 1 and "there is no az in PATH" in done.err


# --- how often ---


def test_a_hundred_objects_and_two_mounts_take_one_token(akvfs, services, spc, sent, workload):
    names = [f"object-{i}" for i in range(100)]
    for name in names:
        services.set_secret(name, secret())
    text = spc(names)
    with contextlib.ExitStack() as stack:
        mounts = [
            stack.enter_context(akvfs.background(text, "poll_interval=off", env=workload))
            for _ in range(2)
        ]
        for mount in mounts:
            assert CANARY in mount.read("object-99").decode()
        assert len(sent()) == 1
        assert all(services.gets(name) <= 2 for name in names)


def test_metadata_services_that_ask_to_wait_are_waited_for(akvfs, services, spc, sent):
    services.set_secret("pw", secret())
    words = services.imds_words()
    services.fault("/metadata/", times=1, status=429, retry_after=1)
    services.fault("/metadata/", times=1, status=410, retry_after=1)
    with akvfs.mount(spc(["pw"], useVMManagedIdentity="true"), env=NOTHING, words=words) as mount:
        assert CANARY in mount.read("pw").decode()
    assert [row["status"] for row in sent("imds.token") if row["status"] == 200] == [200]
    assert len(services.emulator.requests(path="/metadata/*")) == 3


# --- private clouds ---


def test_two_azure_stacks_in_one_process(akvfs, services, spc, sent, folder):
    """cloudEnvFileName is the class's own: what one says is nothing to the other."""
    for name in ("one", "two"):
        services.emulator.add_vault(
            f"kv-{name}", tenant=services.tenant, resource=f"https://vault.{name}.example"
        )
        services.emulator.set_secret("pw", secret(name), vault=f"kv-{name}")
        (folder / f"{name}.json").write_text(
            json.dumps(
                {
                    "name": "AzureStackCloud",
                    "activeDirectoryEndpoint": services.emulator.https_url + "/adfs/",
                    "keyVaultEndpoint": f"https://vault.{name}.example/",
                    "keyVaultDNSSuffix": f"vault.{name}.example",
                }
            )
        )
    words = [
        "--vault-url", services.emulator.https_url + "/vaults/{vault}",
        "--ca-file", services.ca_file,
        "--poll-interval", "off",
    ]
    with contextlib.ExitStack() as stack:
        for name in ("one", "two"):
            text = spc(
                ["pw"], vault=f"kv-{name}", tenant="adfs",
                cloudName="AzureStackCloud", cloudEnvFileName=str(folder / f"{name}.json"),
            )
            point = akvfs.point()
            akvfs.started.append((point, None, akvfs.default))
            akvfs.ok("mount", akvfs.class_file(text, f"{name}.yaml"), point, *words)
            stack.callback(akvfs.finish, point, None, akvfs.default)
            assert (point / "pw").read_text().startswith(name)
    assert [form_of(row)["scope"].split("/.default")[0] for row in sent()] == [
        "https://vault.one.example",
        "https://vault.two.example",
    ]
    assert {row["path"] for row in sent()} == {"/adfs/oauth2/token"}
