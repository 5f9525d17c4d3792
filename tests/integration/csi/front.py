"""An HTTPS server of one function, over HTTP/1.1 and HTTP/2 as ALPN agrees, with answers that may go
on for ever and connections that can be cut.

    front = Front(answer)       # answer(Request) -> Answer, on a thread of its own each
    front.url, front.ca_file

An answer's body is bytes, or an iterator of bytes that are sent as they come. Cut() raised by either
closes the connection there and then.
"""

import contextlib
import dataclasses
import datetime
import http.server
import ipaddress
import pathlib
import socket
import socketserver
import ssl
import tempfile
import threading
import typing
import urllib.parse

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Cut(Exception):
    """The connection ends here, in the middle of whatever it is."""


@dataclasses.dataclass
class Request:
    method: str
    path: str
    query: dict  # the last of each name
    headers: dict  # names in lower case
    body: bytes
    protocol: str  # "HTTP/1.1" or "HTTP/2"
    connection: int  # 0, 1, ...: which one it came over


@dataclasses.dataclass
class Answer:
    status: int
    body: typing.Any = b""
    headers: dict = dataclasses.field(default_factory=dict)


def _make_certificates(folder):
    """A CA and a certificate for 127.0.0.1 and localhost."""
    now = datetime.datetime.now(datetime.timezone.utc)

    def certificate(name, key, issuer, issuer_key, ca):
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
                critical=False,
            )
        )
        if ca:
            usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
            builder = builder.add_extension(usage, critical=True)
        else:
            names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ca = certificate("test CA", ca_key, "test CA", ca_key, True)
    own = certificate("localhost", key, "test CA", ca_key, False)
    pem = serialization.Encoding.PEM
    (folder / "ca.crt").write_bytes(ca.public_bytes(pem))
    (folder / "server.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + own.public_bytes(pem)
    )


def _request(method, target, headers, body, protocol, connection):
    path, _, query = target.partition("?")
    return Request(
        method,
        urllib.parse.unquote(path),
        dict(urllib.parse.parse_qsl(query, keep_blank_values=True)),
        {name.lower(): value for name, value in headers},
        body,
        protocol,
        connection,
    )


class _Http1(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self):
        length = int(self.headers.get("Content-Length") or 0)
        request = _request(
            self.command,
            self.path,
            self.headers.items(),
            self.rfile.read(length),
            "HTTP/1.1",
            self.server.number_of(self.connection),
        )
        try:
            answer = self.server.answer(request)
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if isinstance(answer.body, bytes):
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
                return
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in answer.body:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        except Cut:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def log_message(self, *_):
        pass


class _Http2:
    """One connection: this thread reads, a thread for each stream answers."""

    def __init__(self, sock, server):
        self.sock, self.server = sock, server
        self.number = server.number_of(sock)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self.changed = threading.Condition()  # guards h2; told of windows and of the end
        self.over = False
        self.streams = {}  # id: [headers, body]

    def run(self):
        with self.changed:
            self.h2.initiate_connection()
            self._flush()
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):
            while not self.over and (data := self.sock.recv(65536)):
                with self.changed:
                    for event in self.h2.receive_data(data):
                        self._take(event)
                    self._flush()
                    self.changed.notify_all()
        self._end()

    def _flush(self):
        self.sock.sendall(self.h2.data_to_send())

    def _end(self):
        with self.changed:
            self.over = True
            self.changed.notify_all()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def _take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.streams[event.stream_id] = [event.headers, b""]
        elif isinstance(event, h2.events.DataReceived):
            self.streams[event.stream_id][1] += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            threading.Thread(target=self._serve, args=(event.stream_id,), daemon=True).start()
        elif isinstance(event, h2.events.StreamReset):
            self.streams.pop(event.stream_id, None)

    def _serve(self, stream):
        try:
            headers, body = self.streams[stream]
            headers = [(name.decode(), value.decode()) for name, value in headers]
            pseudo = dict(headers)
            answer = self.server.answer(
                _request(pseudo[":method"], pseudo[":path"], headers, body, "HTTP/2", self.number)
            )
            fields = [(name.lower(), value) for name, value in answer.headers.items()]
            with self.changed:
                self.h2.send_headers(stream, [(":status", str(answer.status)), *fields])
                self._flush()
            pieces = [answer.body] if isinstance(answer.body, bytes) else answer.body
            for piece in pieces:
                self._send(stream, piece)
            with self.changed:
                self.h2.end_stream(stream)
                self._flush()
        except Cut:
            self._end()
        except (OSError, KeyError, h2.exceptions.ProtocolError):
            pass  # the other side gave the stream or the connection up

    def _send(self, stream, data):
        while data:
            with self.changed:
                self.changed.wait_for(
                    lambda: self.over
                    or stream not in self.streams
                    or self.h2.local_flow_control_window(stream) > 0
                )
                if self.over or stream not in self.streams:
                    raise OSError
                room = self.h2.local_flow_control_window(stream)
                size = min(room, self.h2.max_outbound_frame_size, len(data))
                self.h2.send_data(stream, data[:size])
                self._flush()
            data = data[size:]


class _Connection(socketserver.BaseRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            sock = self.server.context.wrap_socket(self.request, server_side=True)
            self.server.add(sock)
            try:
                if sock.selected_alpn_protocol() == "h2":
                    _Http2(sock, self.server).run()
                else:
                    _Http1(sock, self.client_address, self.server)
            finally:
                self.server.remove(sock)
                sock.close()


class Front(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, answer, protocols=("h2", "http/1.1")):
        self._folder = tempfile.TemporaryDirectory(prefix="akvfs-apiserver-")
        folder = pathlib.Path(self._folder.name)
        _make_certificates(folder)
        self.answer = answer
        self.ca_file = folder / "ca.crt"
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "server.pem")
        self.context.set_alpn_protocols(list(protocols))
        self._lock = threading.Lock()
        self._open = {}
        self._count = 0
        super().__init__(("127.0.0.1", 0), _Connection)
        self.url = f"https://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def add(self, sock):
        with self._lock:
            self._open[sock] = self._count
            self._count += 1

    def remove(self, sock):
        with self._lock:
            self._open.pop(sock, None)

    def number_of(self, sock):
        with self._lock:
            return self._open.get(sock, -1)

    @property
    def connections(self):
        """Accepted so far."""
        with self._lock:
            return self._count

    def cut(self):
        """Every connection that is open, at once."""
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def close(self):
        self.shutdown()
        self.server_close()
        self.cut()
        self._folder.cleanup()
