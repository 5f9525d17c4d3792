"""Azure's own Python clients against the emulator: whatever they need, it has to do.

They are looked for in this interpreter and in build/venv (made by tests/tools/venv). Without them these
tests are skipped, or fail when CI=true.
"""

import base64
import os
import site
import socket
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[3]

try:
    import azure.keyvault.secrets  # noqa: F401
except ImportError:
    for folder in (REPO / "build" / "venv" / "lib").glob("python3*/site-packages"):
        site.addsitedir(str(folder))
try:
    from azure.core.exceptions import (ClientAuthenticationError, HttpResponseError,
                                       ResourceExistsError, ResourceNotFoundError)
    from azure.identity import (ClientAssertionCredential, ClientSecretCredential,
                                ManagedIdentityCredential)
    from azure.keyvault.certificates import (CertificateClient, CertificateContentType,
                                             CertificatePolicy)
    from azure.keyvault.keys import KeyClient
    from azure.keyvault.secrets import SecretClient
except ImportError as why:
    TEXT = f"Azure's clients are not installed ({why}): run tests/tools/venv"
    if os.environ.get("CI") == "true":
        raise RuntimeError(TEXT) from why
    pytest.skip(TEXT, allow_module_level=True)


@pytest.fixture(autouse=True)
def names_resolve(monkeypatch, emu):
    """Vault names lead to the emulator, those of the public cloud from port 443, so that the
    clients see the URLs they were written for."""
    real = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if isinstance(host, str) and host.endswith(".vault.azure.net"):
            host, port = "127.0.0.1", emu.https_port
        elif isinstance(host, str) and host.endswith(".vault.localhost"):
            host = "127.0.0.1"
        return real(host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def credential(emu, **changes):
    words = {"tenant_id": emu.tenant, "client_id": emu.client_id,
             "client_secret": emu.client_secret}
    words.update(changes)
    return ClientSecretCredential(authority=emu.authority, disable_instance_discovery=True,
                                  connection_verify=emu.ca_file, retry_total=0, **words)


def client_of(kind, emu, vault="demo", cred=None, **options):
    return kind(vault_url=f"https://{vault}.vault.azure.net", credential=cred or credential(emu),
                connection_verify=emu.ca_file, **{"retry_total": 0, **options})


@pytest.fixture
def secrets(emu):
    return client_of(SecretClient, emu)


@pytest.fixture
def keys(emu):
    return client_of(KeyClient, emu)


@pytest.fixture
def certificates(emu):
    return client_of(CertificateClient, emu)


# --- secrets ---

def test_set_and_get(secrets):
    expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=30)
    made = secrets.set_secret("greeting", "hello\nwörld €", content_type="text/plain",
                              tags={"a": "b"}, expires_on=expires)
    got = secrets.get_secret("greeting")
    assert got.value == "hello\nwörld €"
    assert got.properties.version == made.properties.version
    assert got.properties.content_type == "text/plain"
    assert got.properties.tags == {"a": "b"}
    assert got.properties.expires_on == expires
    assert got.properties.enabled and got.properties.recovery_level == "Recoverable+Purgeable"
    assert got.properties.created_on <= datetime.now(timezone.utc)


def test_versions(secrets):
    first = secrets.set_secret("v", "one").properties.version
    second = secrets.set_secret("v", "two").properties.version
    assert secrets.get_secret("v").value == "two"
    assert secrets.get_secret("v", first).value == "one"
    listed = {p.version for p in secrets.list_properties_of_secret_versions("v")}
    assert listed == {first, second}
    assert not list(secrets.list_properties_of_secret_versions("nothing"))


def test_update_and_disable(secrets):
    version = secrets.set_secret("u", "v").properties.version
    changed = secrets.update_secret_properties("u", version, enabled=False,
                                               content_type="x", tags={"t": "1"})
    assert not changed.enabled and changed.content_type == "x" and changed.tags == {"t": "1"}
    with pytest.raises(HttpResponseError) as caught:
        secrets.get_secret("u")
    assert caught.value.status_code == 403
    assert caught.value.error.code == "Forbidden"
    assert "disabled secret" in caught.value.message


def test_list_pages(secrets, emu):
    names = {f"many-{i:03d}" for i in range(60)}
    for name in names:
        emu.set_secret(name, "v")
    assert {p.name for p in secrets.list_properties_of_secrets()} == names
    pages = [len(list(page)) for page in
             secrets.list_properties_of_secrets(max_page_size=7).by_page()]
    assert pages == [7] * 8 + [4]
    assert emu.count(operation="secrets.list") == 3 + 9


def test_delete_recover_purge(secrets):
    secrets.set_secret("gone", "v")
    deleted = secrets.begin_delete_secret("gone").result()
    assert deleted.name == "gone" and deleted.recovery_id.endswith("/deletedsecrets/gone")
    assert deleted.scheduled_purge_date - deleted.deleted_date == timedelta(days=90)
    with pytest.raises(ResourceNotFoundError) as caught:
        secrets.get_secret("gone")
    assert caught.value.error.code == "SecretNotFound"
    with pytest.raises(ResourceExistsError):
        secrets.set_secret("gone", "again")
    assert [s.name for s in secrets.list_deleted_secrets()] == ["gone"]
    secrets.begin_recover_deleted_secret("gone").wait()
    assert secrets.get_secret("gone").value == "v"
    secrets.begin_delete_secret("gone").wait()
    secrets.purge_deleted_secret("gone")
    with pytest.raises(ResourceNotFoundError):
        secrets.get_deleted_secret("gone")
    assert secrets.set_secret("gone", "new").value == "new"


def test_deletion_takes_a_while(secrets, emu):
    emu.add_vault("demo", deletion_ms=300)
    secrets.set_secret("slow", "v")
    poller = secrets.begin_delete_secret("slow", _polling_interval=0.05)
    with pytest.raises(ResourceExistsError):
        secrets.set_secret("slow", "again")
    poller.wait()
    assert secrets.get_deleted_secret("slow").name == "slow"


# --- errors ---

def test_missing_secret(secrets):
    with pytest.raises(ResourceNotFoundError) as caught:
        secrets.get_secret("nothing")
    assert "(name/id) nothing was not found in this key vault" in caught.value.message


def test_wrong_client_secret(emu):
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        client_of(SecretClient, emu, cred=credential(emu, client_secret="no")).get_secret("x")


def test_unknown_tenant_and_application(emu):
    # MSAL asks openid-configuration first and words an unknown tenant itself.
    with pytest.raises((ClientAuthenticationError, ValueError)):
        credential(emu, tenant_id="55555555-5555-5555-5555-555555555555").get_token(
            "https://vault.azure.net/.default")
    with pytest.raises(ClientAuthenticationError, match="AADSTS700016"):
        credential(emu, client_id="55555555-5555-5555-5555-555555555555").get_token(
            "https://vault.azure.net/.default")


def test_forbidden(secrets, keys, emu):
    emu.set_secret("x", "v")
    emu.permit(emu.client_id, {"demo": {"secrets": ["list"]}})
    assert [p.name for p in secrets.list_properties_of_secrets()] == ["x"]
    with pytest.raises(HttpResponseError) as caught:
        secrets.get_secret("x")
    assert caught.value.status_code == 403
    assert "does not have secrets get permission on key vault 'demo;" in caught.value.message
    with pytest.raises(HttpResponseError) as caught:
        keys.create_rsa_key("k")
    assert caught.value.status_code == 403


def test_token_is_fetched_once(emu):
    emu.add_vault("fresh")  # the clients remember challenges by host name
    emu.set_secret("x", "v", "fresh")
    secrets = client_of(SecretClient, emu, "fresh")
    for _ in range(3):
        secrets.get_secret("x")
    assert emu.count(operation="entra.token") == 1
    assert emu.count(path="/secrets/x", status=401) == 1  # the challenge names the tenant
    assert {r["identity"] for r in emu.requests(operation="secrets.get")} == {emu.client_id}


def test_throttled_then_served(emu):
    emu.set_secret("x", "v")
    patient = client_of(SecretClient, emu, retry_total=3, retry_backoff_factor=0.01)
    patient.get_secret("x")
    emu.add_fault(path="/secrets/x", status=429, retry_after=0, count=2)
    assert patient.get_secret("x").value == "v"
    assert emu.count(path="/secrets/x", status=429) == 2


# --- other hosts and vaults ---

def test_localhost_name_and_other_vault(emu):
    emu.add_vault("second")
    other = SecretClient(vault_url=emu.vault_host_url("second"), credential=credential(emu),
                         connection_verify=emu.ca_file, verify_challenge_resource=False)
    other.set_secret("x", "second's")
    assert other.get_secret("x").value == "second's"
    assert other.get_secret("x").id.startswith(emu.vault_host_url("second") + "/secrets/x/")
    with pytest.raises(ResourceNotFoundError):
        client_of(SecretClient, emu).get_secret("x")


# --- identities ---

def test_managed_identity(emu, monkeypatch):
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", emu.imds_url)
    emu.set_secret("x", "v")
    for words, who in (({}, emu.system_identity),
                       ({"client_id": emu.user_identity}, emu.user_identity)):
        client_of(SecretClient, emu, cred=ManagedIdentityCredential(**words)).get_secret("x")
        assert emu.requests(operation="secrets.get")[-1]["identity"] == who
        assert emu.count(operation="imds.token", identity=who) == 1


def test_managed_identity_unknown(emu, monkeypatch):
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", emu.imds_url)
    cred = ManagedIdentityCredential(client_id="66666666-6666-6666-6666-666666666666")
    with pytest.raises(ClientAuthenticationError):
        cred.get_token("https://vault.azure.net/.default")


def test_federated_token(emu, client):
    import json
    import time

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    def assertion():
        return ".".join([part({"alg": "RS256"}), part({
            "iss": "https://issuer.example/", "sub": "system:serviceaccount:ns:sa",
            "aud": "api://AzureADTokenExchange", "exp": int(time.time()) + 600}), "c2ln"])

    emu.add_identity("77777777-7777-7777-7777-777777777777", federated=[
        {"issuer": "https://issuer.example/", "subject": "system:serviceaccount:ns:sa"}])
    emu.set_secret("x", "v")
    cred = ClientAssertionCredential(
        emu.tenant, "77777777-7777-7777-7777-777777777777", assertion, authority=emu.authority,
        disable_instance_discovery=True, connection_verify=emu.ca_file)
    assert client_of(SecretClient, emu, cred=cred).get_secret("x").value == "v"


# --- keys ---

def test_keys(keys):
    rsa = keys.create_rsa_key("rsa", size=2048, tags={"a": "b"})
    assert rsa.key_type == "RSA" and len(rsa.key.n) == 256 and rsa.key.e == b"\x01\x00\x01"
    ec = keys.create_ec_key("ec", curve="P-521")
    assert ec.key.crv == "P-521" and len(ec.key.x) == 66
    got = keys.get_key("rsa")
    assert got.key.n == rsa.key.n and got.properties.tags == {"a": "b"}
    assert got.properties.exportable is False
    changed = keys.update_key_properties("rsa", enabled=False)
    assert not changed.properties.enabled
    assert not keys.get_key("rsa").properties.enabled  # a disabled key can still be read
    assert keys.rotate_key("ec").properties.version != ec.properties.version
    assert {p.name for p in keys.list_properties_of_keys()} == {"rsa", "ec"}
    assert len(list(keys.list_properties_of_key_versions("ec"))) == 2
    keys.begin_delete_key("rsa").wait()
    with pytest.raises(ResourceNotFoundError):
        keys.get_key("rsa")
    keys.begin_recover_deleted_key("rsa").wait()
    assert keys.get_key("rsa").key.n == rsa.key.n


def test_key_import(keys):
    from azure.keyvault.keys import JsonWebKey
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    numbers = private.private_numbers()
    jwk = JsonWebKey(kty="EC", crv="P-256", key_ops=["sign", "verify"],
                     x=numbers.public_numbers.x.to_bytes(32, "big"),
                     y=numbers.public_numbers.y.to_bytes(32, "big"),
                     d=numbers.private_value.to_bytes(32, "big"))
    imported = keys.import_key("imported", jwk)
    assert imported.key.x == jwk.x and imported.key.d is None


# --- certificates ---

def test_certificate(certificates, secrets, keys):
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import pkcs12

    policy = CertificatePolicy(issuer_name="Self", subject="CN=example", san_dns_names=["a.example"],
                               validity_in_months=24, exportable=True)
    made = certificates.begin_create_certificate("cert", policy).result()
    cert = x509.load_der_x509_certificate(bytes(made.cer))
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example"]
    assert made.policy.validity_in_months == 24
    assert certificates.get_certificate_operation("cert").status == "completed"

    secret = secrets.get_secret("cert")
    assert secret.properties.content_type == "application/x-pkcs12"
    assert secret.properties.managed and secret.properties.key_id == made.key_id
    key, leaf, more = pkcs12.load_key_and_certificates(base64.b64decode(secret.value), b"")
    assert leaf == cert and key.public_key() == cert.public_key() and not more
    assert keys.get_key("cert").key.n == \
        cert.public_key().public_numbers().n.to_bytes(256, "big")

    version = made.properties.version
    by_version = certificates.get_certificate_version("cert", version)
    assert by_version.policy is None or by_version.policy.issuer_name is None
    again = certificates.begin_create_certificate("cert", policy).result()
    assert again.properties.version != version
    assert len(list(certificates.list_properties_of_certificate_versions("cert"))) == 2
    assert [p.name for p in certificates.list_properties_of_certificates()] == ["cert"]
    certificates.begin_delete_certificate("cert").wait()
    with pytest.raises(ResourceNotFoundError):
        secrets.get_secret("cert")
    certificates.begin_recover_deleted_certificate("cert").wait()
    assert secrets.get_secret("cert").value


def test_pem_certificate_and_import(certificates, secrets):
    policy = CertificatePolicy(issuer_name="Self", subject="CN=pem",
                               content_type=CertificateContentType.pem, key_type="EC",
                               key_curve_name="P-256")
    certificates.begin_create_certificate("pem", policy).result()
    text = secrets.get_secret("pem").value
    assert text.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert text.endswith("-----END CERTIFICATE-----\n")
    imported = certificates.import_certificate(
        "imported", text.encode(),
        policy=CertificatePolicy(content_type=CertificateContentType.pem))
    assert bytes(imported.cer) == bytes(certificates.get_certificate("pem").cer)
    assert secrets.get_secret("imported").value == text


def test_certificate_signed_by_somebody_else(certificates, secrets):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    policy = CertificatePolicy(issuer_name="Unknown", subject="CN=merged")
    certificates.begin_create_certificate("merged", policy).result()
    operation = certificates.get_certificate_operation("merged")
    assert operation.status == "inProgress"
    request = x509.load_der_x509_csr(bytes(operation.csr))
    ca = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(timezone.utc)
    signed = (x509.CertificateBuilder().subject_name(request.subject)
              .issuer_name(x509.Name.from_rfc4514_string("CN=authority"))
              .public_key(request.public_key()).serial_number(5)
              .not_valid_before(now).not_valid_after(now + timedelta(days=1))
              .sign(ca, hashes.SHA256()))
    certificates.merge_certificate("merged", [signed.public_bytes(Encoding.DER)])
    got = certificates.get_certificate("merged")
    assert bytes(got.cer) == signed.public_bytes(Encoding.DER) and got.properties.enabled
    assert secrets.get_secret("merged").properties.managed
