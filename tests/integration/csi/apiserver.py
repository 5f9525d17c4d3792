"""A double of the Kubernetes API server that knows SecretProviderClasses alone, over HTTPS: get, with
the statuses and texts of the real one, and faults on order."""

import http.server
import json
import pathlib
import shutil
import ssl
import subprocess
import tempfile
import threading
import uuid

CLASSES = "secretproviderclasses"
ROOT = "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/"


class ApiServer:
    def __init__(self):
        self.lock = threading.Lock()
        self.classes, self.accounts, self.faults, self.requests = {}, {}, [], []
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="akvfs-api-"))
        self.ca_file = self.folder / "ca.pem"
        key = self.folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=api", "-addext", "subjectAltName=IP:127.0.0.1",
             "-keyout", key, "-out", self.ca_file],
            check=True, capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca_file, key)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status, body = outer.answer(self.path, self.headers.get("Authorization", ""))
                text = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def get_request(self):
                sock, address = self.socket.accept()
                sock.settimeout(30)
                return context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        shutil.rmtree(self.folder)

    def account(self, name, rules, token=None):
        token = token or f"token-of-{name}-{uuid.uuid4().hex}"
        with self.lock:
            self.accounts[token] = (name, rules)
        return token

    def revoke(self, token):
        with self.lock:
            del self.accounts[token]

    def put_class(self, namespace, name, spec):
        with self.lock:
            self.classes[namespace, name] = {
                "apiVersion": "secrets-store.csi.x-k8s.io/v1",
                "kind": "SecretProviderClass",
                "metadata": {"name": name, "namespace": namespace},
                "spec": spec,
            }

    def delete_class(self, namespace, name):
        with self.lock:
            del self.classes[namespace, name]

    def fault(self, status, verb=None, times=1, retry_after=None):
        with self.lock:
            self.faults += [status] * times

    def verbs(self):
        with self.lock:
            return list(self.requests)

    @staticmethod
    def refuse(code, reason, message):
        return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
                      "message": message, "code": code}

    def answer(self, path, authorization):
        with self.lock:
            self.requests.append("get")
            account = self.accounts.get(authorization.removeprefix("Bearer "))
            if self.faults:
                return self.refuse(self.faults.pop(0), "InternalError", "a fault on order")
            if not account:
                return self.refuse(401, "Unauthorized", "Unauthorized")
            parts = path.removeprefix(ROOT).split("/")
            if not path.startswith(ROOT) or len(parts) != 3 or parts[1] != CLASSES:
                return self.refuse(404, "NotFound", "the server could not find the requested resource")
            if "get" not in account[1].get(CLASSES, []):
                return self.refuse(403, "Forbidden", f"{CLASSES} \"{parts[2]}\" is forbidden")
            found = self.classes.get((parts[0], parts[2]))
            if not found:
                return self.refuse(
                    404, "NotFound",
                    f'{CLASSES}.secrets-store.csi.x-k8s.io "{parts[2]}" not found',
                )
            return 200, found
