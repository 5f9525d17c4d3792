"""Runs akv-emulator for tests. Standard library only.

    from akvfs_emulator import Emulator

    with Emulator() as emu:                        # starts, waits until it listens
        emu.set_secret("db-password", "s3cret")    # in the vault "demo"
        emu.vault_url()                            # https://localhost:PORT/vaults/demo
        emu.add_fault(path="/secrets/db-*", status=429, retry_after=1, count=2)
        emu.requests(method="GET", path="/secrets/*")   # list of dicts
        emu.count(operation="secrets.get")

Attributes once started: https_url, https_port, imds_url, admin_url, ca_file, tenant, client_id,
client_secret, system_identity, user_identity. The program is found through $AKV_EMULATOR, else in
build/, build/dev/, build/asan/ of the repository.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]

TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT_ID = "22222222-2222-2222-2222-222222222222"
CLIENT_SECRET = "emulator-client-secret"
SYSTEM_IDENTITY = "33333333-3333-3333-3333-333333333333"
USER_IDENTITY = "44444444-4444-4444-4444-444444444444"


def find_emulator():
    """Path of the program; FileNotFoundError with what to do when it is not built."""
    named = os.environ.get("AKV_EMULATOR")
    if named:
        return named
    for folder in ("build", "build/dev", "build/asan"):
        path = REPO / folder / "akv-emulator"
        if path.is_file():
            return str(path)
    raise FileNotFoundError("akv-emulator is not built: run `make`, or set AKV_EMULATOR")


class AdminError(Exception):
    """The admin interface refused a request."""

    def __init__(self, status, text):
        super().__init__(f"admin interface: {status}: {text}")
        self.status = status
        self.text = text


class Emulator:
    """One emulator process with a directory of its own."""

    def __init__(self, *args, load=None, program=None, env=None):
        """args are further command-line arguments; load is a directory for --load."""
        self.program = program or find_emulator()
        self.args = [str(a) for a in args]
        if load is not None:
            self.args += ["--load", str(load)]
        self.env = env
        self.dir = None
        self.process = None
        self.tenant = TENANT
        self.client_id = CLIENT_ID
        self.client_secret = CLIENT_SECRET
        self.system_identity = SYSTEM_IDENTITY
        self.user_identity = USER_IDENTITY

    # --- life ---

    def start(self, https_port=0, timeout=30):
        """Starts it and returns once it listens. https_port=0 takes a free port."""
        self.dir = tempfile.mkdtemp(prefix="akv-emulator-")
        ports = os.path.join(self.dir, "ports.json")
        self.ca_file = os.path.join(self.dir, "ca.pem")
        self.log_file = os.path.join(self.dir, "log")
        command = [self.program, "--port", str(https_port), "--imds-port", "0", "--admin-port", "0",
                   "--ca-out", self.ca_file, "--port-file", ports, *self.args]
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.env)
        deadline = time.monotonic() + timeout
        while not os.path.exists(ports):
            if self.process.poll() is not None:
                raise RuntimeError(f"akv-emulator ended with {self.process.returncode}:\n{self.log()}")
            if time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"akv-emulator does not start:\n{self.log()}")
            time.sleep(0.01)
        with open(ports, encoding="utf-8") as f:
            self.info = json.load(f)
        self.https_port = self.info["https_port"]
        self.https_url = self.info["https_url"]
        self.imds_url = self.info["imds_url"]
        self.admin_url = self.info["admin_url"]
        return self

    def stop(self, timeout=30):
        """Ends it with SIGTERM and returns its exit status (0 is clean)."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        status = self.process.returncode
        self.last_log = self.log()
        self.process = None
        shutil.rmtree(self.dir, ignore_errors=True)
        return status

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, value, trace):
        status = self.stop()
        if kind is None and status:  # None: stopped already
            raise RuntimeError(f"akv-emulator ended with {status}:\n{self.last_log}")

    def log(self):
        """What it wrote so far."""
        with open(self.log_file, encoding="utf-8", errors="replace") as f:
            return f.read()

    # --- addresses ---

    @property
    def authority(self):
        """What takes the place of https://login.microsoftonline.com, without a slash."""
        return self.https_url

    def vault_url(self, vault="demo"):
        """By path: resolves everywhere."""
        return f"{self.https_url}/vaults/{vault}"

    def vault_host_url(self, vault="demo"):
        """By host name; needs a resolver (or a client) that knows *.localhost."""
        return f"https://{vault}.vault.localhost:{self.https_port}"

    # --- admin interface ---

    def admin(self, method, path, body=None):
        """One request to /_emulator/PATH; gives the parsed answer."""
        url = f"{self.admin_url}/_emulator/{path.lstrip('/')}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise AdminError(error.code, error.read().decode(errors="replace")) from None
        return json.loads(text) if text else None

    def add_vault(self, name, **settings):
        """settings: model ("policy"/"rbac"), network ("open"/"firewall"/"private"), location,
        resource, tenant, recoverable_days, deletion_ms. Also changes one that is there."""
        return self.admin("PUT", f"vaults/{name}", settings)

    def remove_vault(self, name):
        return self.admin("DELETE", f"vaults/{name}")

    def set_secret(self, name, value, vault="demo", **properties):
        """A new version; bytes are stored as base64 text. properties: contentType, tags, enabled,
        exp, nbf, created. Gives {"id", "version"}."""
        if isinstance(value, bytes):
            value = base64.b64encode(value).decode()
        return self.admin("PUT", f"vaults/{vault}/secrets/{name}", {"value": value, **properties})

    def set_key(self, name, vault="demo", **properties):
        """A new version; properties: kty, key_size, crv, pem, ..."""
        return self.admin("PUT", f"vaults/{vault}/keys/{name}", properties)

    def set_certificate(self, name, vault="demo", **properties):
        """A new version; properties: subject, contentType, kty, key_size, crv, value, pwd,
        validity_months, dns, ..."""
        return self.admin("PUT", f"vaults/{vault}/certificates/{name}", properties)

    def rotate(self, kind, name, vault="demo"):
        """A new version of what is there (a random value for a secret). kind is "secrets", ..."""
        return self.admin("POST", f"vaults/{vault}/{kind}/{name}/rotate", {})

    def update(self, kind, name, vault="demo", version=None, **properties):
        """Changes enabled, exp, nbf, tags, contentType of the newest or the named version."""
        path = f"vaults/{vault}/{kind}/{name}" + (f"/{version}" if version else "")
        return self.admin("PATCH", path, properties)

    def disable(self, kind, name, vault="demo", version=None):
        return self.update(kind, name, vault, version, enabled=False)

    def enable(self, kind, name, vault="demo", version=None):
        return self.update(kind, name, vault, version, enabled=True)

    def remove(self, kind, name, vault="demo"):
        """Removes without a trace (no soft delete)."""
        return self.admin("DELETE", f"vaults/{vault}/{kind}/{name}")

    def add_tenant(self, tenant, domain=None):
        return self.admin("PUT", f"tenants/{tenant}", {"domain": domain} if domain else {})

    def add_identity(self, client_id, **properties):
        """properties: tenant, object_id, client_secrets ([{"value", "expired"}]), federated
        ([{"issuer", "subject", "audience"}]), system_assigned, user_assigned, resource_id,
        permissions ({"VAULT or *": {"secrets": ["get", ...], "keys": [...], ...}} or None for all).
        Also changes one that is there."""
        return self.admin("PUT", f"identities/{client_id}", properties)

    def remove_identity(self, client_id):
        return self.admin("DELETE", f"identities/{client_id}")

    def permit(self, client_id, permissions):
        """{"demo": {"secrets": ["get"]}}; None allows everything everywhere again."""
        return self.add_identity(client_id, permissions=permissions)

    def revoke_tokens(self, client_id=None):
        """Every token issued so far (to that identity) is refused from now on."""
        return self.admin("POST", "tokens/revoke", {"client_id": client_id} if client_id else {})

    def settings(self, **changes):
        """token_lifetime, imds_lifetime (seconds), page_size. Gives all of them."""
        return self.admin("PATCH", "settings", changes)

    # --- faults ---

    def add_fault(self, **fault):
        """Members as in tests/emulator/README.md: method, path, vault, count, skip, latency_ms,
        status, body, headers, retry_after, drop, reset, hang, cut_after, bytes_per_second, garbage,
        connection, listener. Gives the fault's id."""
        return self.admin("POST", "faults", fault)["id"]

    def remove_fault(self, fault_id):
        return self.admin("DELETE", f"faults/{fault_id}")

    def clear_faults(self):
        return self.admin("DELETE", "faults")

    def faults(self):
        return self.admin("GET", "faults")["faults"]

    # --- request log ---

    def log_query(self, **query):
        """method, path (glob), identity, vault, operation, status, since, limit. Gives {"count",
        "last", "requests"}."""
        words = urllib.parse.urlencode({k: v for k, v in query.items() if v is not None})
        return self.admin("GET", "requests" + (f"?{words}" if words else ""))

    def requests(self, **query):
        return self.log_query(limit=query.pop("limit", 20000), **query)["requests"]

    def count(self, **query):
        return self.log_query(limit=0, **query)["count"]

    def last_request(self):
        """Id of the newest entry, for since=."""
        return self.log_query(limit=0)["last"]

    def counters(self):
        return self.admin("GET", "counters")

    def reset_log(self):
        return self.admin("DELETE", "requests")

    def reset(self):
        """Faults, log, vaults, identities and settings as they were at start, before --load."""
        return self.admin("POST", "reset", {})
