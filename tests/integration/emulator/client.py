"""A client for tests that says what it wants to: any Host, any header, any connection."""

import http.client
import json
import ssl
import urllib.parse

VAULT = "https://vault.azure.net"


class Client:
    """Talks to one emulator. Gives (status, headers, body) each time."""

    def __init__(self, emu):
        self.emu = emu
        self.context = ssl.create_default_context(cafile=emu.ca_file)
        self.tokens = {}

    def connect(self):
        return http.client.HTTPSConnection("localhost", self.emu.https_port, context=self.context,
                                           timeout=60)

    def send(self, method, path, body=None, headers=None, connection=None):
        """Gives (status, headers, body). Headers: lower-case names; a repeated one is joined."""
        c = connection or self.connect()
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        sent = {"Content-Type": "application/json"} if isinstance(body, dict) else {}
        sent.update(headers or {})
        try:
            c.request(method, path, data, sent)
            answer = c.getresponse()
            text = answer.read()
        finally:
            if connection is None:
                c.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text

    def token_request(self, tenant=None, v2=True, **form):
        tenant = tenant or self.emu.tenant
        fields = {"grant_type": "client_credentials", "client_id": self.emu.client_id,
                  "client_secret": self.emu.client_secret}
        fields["scope" if v2 else "resource"] = VAULT + "/.default" if v2 else VAULT
        fields.update(form)
        data = urllib.parse.urlencode({k: v for k, v in fields.items() if v is not None})
        path = f"/{tenant}/oauth2/v2.0/token" if v2 else f"/{tenant}/oauth2/token"
        return self.send("POST", path, data,
                         {"Content-Type": "application/x-www-form-urlencoded"})

    def token(self, **form):
        key = tuple(sorted(form.items()))
        if key not in self.tokens:
            status, _, body = self.token_request(**form)
            assert status == 200, body
            self.tokens[key] = json.loads(body)["access_token"]
        return self.tokens[key]

    def vault(self, method, path, body=None, vault="demo", host=None, token=None, api="7.4",
              headers=None, connection=None):
        """A call of a vault, by path or, with host=True, by the name NAME.vault.azure.net."""
        sent = {"Authorization": f"Bearer {token or self.token()}"}
        if host:
            sent["Host"] = f"{vault}.vault.azure.net"
        else:
            path = f"/vaults/{vault}{path}"
        if api and "api-version=" not in path:
            path += ("&" if "?" in path else "?") + f"api-version={api}"
        sent.update(headers or {})
        return self.send(method, path, body, sent, connection)

    def imds(self, query, metadata="true", path="/metadata/identity/oauth2/token"):
        c = http.client.HTTPConnection("127.0.0.1", self.emu.info["imds_port"], timeout=60)
        headers = {"Metadata": metadata} if metadata else {}
        try:
            c.request("GET", f"{path}?{urllib.parse.urlencode(query)}", headers=headers)
            answer = c.getresponse()
            text = answer.read()
        finally:
            c.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, text
