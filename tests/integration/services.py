"""Key Vault, the token endpoint and IMDS for one test, in the words that the tests speak.

Every value that a test puts into the vault holds CANARY, and so does the client secret, so that any
of them can be found in any log or message whatever the test was about.
"""

import base64
import contextlib
import itertools
import json
import os
import re
import ssl
import textwrap
import time
import urllib.parse
import urllib.request
import uuid

from akvfs_emulator import Emulator

CANARY = "c4n4ry"
_numbers = itertools.count()


def secret(text=""):
    """A value that nobody else has; `text` is at its beginning."""
    return f"{text}{CANARY}-{next(_numbers)}-{uuid.uuid4().hex[:8]}"


def numbered(number, size=24 * 1024):
    """A large value of which every line begins with "NUMBER:"; see reader.py."""
    line = f"{number}:{CANARY}-" + "x" * 50 + "\n"
    return (line * (size // len(line))).rstrip("\n")


class Services:
    vault = "kv-it"
    tenant = "aaaaaaaa-0000-4000-8000-00000000000a"
    client_id = "bbbbbbbb-0000-4000-8000-00000000000b"

    def __init__(self, program, folder):
        os.environ["AKV_EMULATOR"] = str(program)
        self.emulator = Emulator()
        self.folder = folder
        self.client_secret = f"{CANARY}-client-secret-{uuid.uuid4().hex}"
        self._latency = None
        self._outage = []

    def start(self):
        self.emulator.start()
        # Its folder is its own; ordinary users have to read the certificate too.
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        self.ca_file = self.folder / "ca.pem"
        self.ca_file.write_bytes(open(self.emulator.ca_file, "rb").read())
        self.ca_file.chmod(0o644)
        self.emulator.add_tenant(self.tenant)
        self.emulator.add_vault(self.vault, tenant=self.tenant)
        self.emulator.add_identity(
            self.client_id, tenant=self.tenant, client_secrets=[{"value": self.client_secret}]
        )

    def close(self):
        with contextlib.suppress(Exception):
            self.emulator.clear_faults()
        status = self.emulator.stop()
        assert status in (0, None), f"akv-emulator ended with {status}:\n{self.emulator.last_log}"

    # --- how akvfs is told of them ---

    def environment(self):
        return {
            "AZURE_TENANT_ID": self.tenant,
            "AZURE_CLIENT_ID": self.client_id,
            "AZURE_CLIENT_SECRET": self.client_secret,
        }

    def env_file(self):
        return "".join(f"{key}={value}\n" for key, value in self.environment().items())

    def words(self):
        """Options of every command that asks them."""
        return [
            "--vault-url",
            self.emulator.https_url + "/vaults/{vault}",
            "--authority-host",
            self.emulator.https_url + "/",
            "--ca-file",
            str(self.ca_file),
        ]

    def mount_options(self):
        """The same as items of -o."""
        words = self.words()
        return ",".join(
            f"{name[2:].replace('-', '_')}={value}" for name, value in zip(words[::2], words[1::2])
        )

    def imds_words(self):
        self.emulator.add_identity(
            self.emulator.system_identity, tenant=self.tenant, system_assigned=True
        )
        return ["--imds-endpoint", self.emulator.imds_url]

    def secrets(self):
        """What must be in no log: client secret, and the tokens' common beginning."""
        return [self.client_secret, "eyJ0eXAi", "eyJhbGci"]

    # --- objects ---

    def set_secret(self, name, value, expires=None, **properties):
        """A new version of a secret; its version."""
        if expires is not None:
            properties["exp"] = expires
        return self.emulator.set_secret(name, value, vault=self.vault, **properties)["version"]

    def make_key(self, name, **properties):
        properties.setdefault("kty", "RSA")
        return self.emulator.set_key(name, vault=self.vault, **properties)["version"]

    def make_certificate(self, name, content_type="application/x-pem-file"):
        """The certificate's PEM, as `openssl x509` writes it."""
        self.emulator.set_certificate(
            name, vault=self.vault, subject=f"CN={name}", contentType=content_type
        )
        return self._certificate(name)

    def _certificate(self, name):
        """Asked of the vault itself, as any client does."""
        body = self.get("certificates", name)
        text = base64.b64encode(base64.b64decode(body["cer"])).decode()
        lines = "\n".join(textwrap.wrap(text, 64))
        return f"-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----\n"

    def updated(self, name):
        return self.get("secrets", name)["attributes"]["updated"]

    def disable(self, name):
        self.emulator.disable("secrets", name, vault=self.vault)

    def delete(self, name):
        self.emulator.remove("secrets", name, vault=self.vault)

    def forbid(self, name):
        """This identity may not read that one object any more."""
        self.emulator.add_fault(path=f"/secrets/{name}*", status=403)

    def forbid_all(self):
        """This identity may read no secret of the vault."""
        self.emulator.permit(self.client_id, {self.vault: {"keys": ["get"]}})

    def another_identity(self):
        """A second service principal; what stands in its environment."""
        client = "cccccccc-0000-4000-8000-00000000000c"
        value = f"{CANARY}-other-client-secret"
        self.emulator.add_identity(client, tenant=self.tenant, client_secrets=[{"value": value}])
        return {"AZURE_CLIENT_ID": client, "AZURE_CLIENT_SECRET": value}

    # --- faults ---

    def fault(self, path, times=None, **what):
        if times is not None:
            what["count"] = times
        return self.emulator.add_fault(path=path + "*", **what)

    def spoil(self, path, kind):
        self.fault(
            path,
            **{
                "garbage": {"garbage": True},
                "html": {"status": 200, "body": "<html>sign in</html>", "content_type": "text/html"},
                "empty": {"status": 200, "body": ""},
                "cut": {"cut_after": 20},
            }[kind],
        )

    def latency(self, ms):
        """Of every request to the vault and the token endpoint; 0 takes it away."""
        if self._latency is not None:
            self.emulator.remove_fault(self._latency)
            self._latency = None
        if ms:
            self._latency = self.emulator.add_fault(path="*", latency_ms=ms)

    def outage(self):
        """Nobody answers any more, on old connections or new ones."""
        self._outage = [
            self.emulator.add_fault(path="*", reset=True),
            self.emulator.add_fault(connection="reset"),
        ]

    def recover(self):
        for fault in self._outage:
            self.emulator.remove_fault(fault)
        self._outage = []

    # --- what they were asked ---

    def _log(self):
        """Requests to vault and token endpoint, but for those of get() below."""
        return [row for row in self.emulator.requests() if "asked-by=test" not in row["query"]]

    def requests(self):
        return len(self._log())

    def token_requests(self):
        return sum(row["path"].endswith("/token") for row in self._log())

    def _of(self, name):
        wanted = re.compile(rf"/(secrets|keys|certificates)/{re.escape(name)}(/|$)")
        return [row for row in self._log() if row["method"] == "GET" and wanted.search(row["path"])]

    def gets(self, name):
        return len(self._of(name))

    def times(self, name):
        """When each GET of that object came in, in seconds."""
        return [row["time_ms"] / 1000 for row in self._of(name)]

    # --- a client of one's own, to know what the vault says ---

    def _opener(self):
        context = ssl.create_default_context(cafile=str(self.ca_file))
        return urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def token(self):
        """Of the first service principal, for the vault."""
        form = urllib.parse.urlencode(
            {
                "grant_type": "client_credentials",
                "client_id": self.client_id,
                "client_secret": self.client_secret,
                "scope": "https://vault.azure.net/.default",
            }
        ).encode()
        url = f"{self.emulator.https_url}/{self.tenant}/oauth2/v2.0/token?asked-by=test"
        with self._opener().open(url, form) as answer:
            return json.load(answer)["access_token"]

    def get(self, segment, name):
        request = urllib.request.Request(
            f"{self.emulator.vault_url(self.vault)}/{segment}/{name}?api-version=7.4&asked-by=test",
            headers={"Authorization": f"Bearer {self.token()}"},
        )
        with self._opener().open(request) as answer:
            return json.load(answer)

    def round_trip(self):
        """Seconds that one request takes with the latency that is set, at best of three."""
        times = []
        for _ in range(3):
            began = time.monotonic()
            with contextlib.suppress(Exception):
                self.get_plain()
            times.append(time.monotonic() - began)
        return min(times)

    def get_plain(self):
        """One request that is refused with 401, which is all that timing needs."""
        self._opener().open(
            f"{self.emulator.vault_url(self.vault)}/secrets/x?api-version=7.4&asked-by=test"
        )
