"""Each fault that can be ordered, as a client meets it."""

import http.client
import json
import socket
import ssl
import threading
import time

import pytest

from akvfs_emulator import AdminError, Emulator

from .client import Client


def get(client, name="x", **kw):
    return client.vault("GET", f"/secrets/{name}", **kw)


@pytest.fixture
def filled(emu, client):
    emu.set_secret("x", "v" * 1000)
    client.token()
    emu.reset_log()
    return emu


def test_count_and_skip(filled, client):
    filled.add_fault(path="/secrets/x", status=500, count=2, skip=1)
    assert [get(client)[0] for _ in range(5)] == [200, 500, 500, 200, 200]
    (fault,) = filled.faults()
    assert fault["played"] == 2 and fault["count"] == 0
    assert [r["fault"] != 0 for r in filled.requests()] == [False, True, True, False, False]


def test_patterns(filled, client):
    filled.set_secret("db-1", "v")
    filled.add_vault("other")
    filled.set_secret("db-1", "v", "other")
    by_path = filled.add_fault(method="GET", path="/secrets/db-*", status=503)
    assert get(client, "db-1")[0] == 503 and get(client, "x")[0] == 200
    assert client.vault("PUT", "/secrets/db-1", {"value": "v"})[0] == 200
    filled.remove_fault(by_path)
    filled.add_fault(vault="other", status=503)
    assert get(client, "db-1")[0] == 200 and get(client, "db-1", vault="other")[0] == 503
    filled.clear_faults()
    filled.add_fault(path="/*/oauth2/v2.0/token", status=500)
    assert client.token_request()[0] == 500 and get(client)[0] == 200


def test_a_refused_write_writes_nothing(filled, client):
    filled.add_fault(method="PUT", status=429, count=1)
    assert client.vault("PUT", "/secrets/new", {"value": "v"})[0] == 429
    assert get(client, "new")[0] == 404


def test_status_with_body_and_headers(filled, client):
    filled.add_fault(path="/secrets/x", status=418, body={"a": 1}, headers={"X-Odd": "yes"}, count=1)
    status, headers, text = get(client)
    assert (status, json.loads(text), headers["x-odd"]) == (418, {"a": 1}, "yes")
    filled.add_fault(path="/secrets/x", status=502, body="<html>", content_type="text/html", count=1)
    status, headers, text = get(client)
    assert (status, text, headers["content-type"]) == (502, b"<html>", "text/html")


def test_throttling_with_and_without_retry_after(filled, client):
    filled.add_fault(path="/secrets/x", status=429, count=1)
    status, headers, text = get(client)
    assert status == 429 and "retry-after" not in headers
    assert json.loads(text)["error"]["code"] == "Throttled"
    filled.add_fault(path="/secrets/x", status=429, retry_after=7, count=1)
    assert get(client)[1]["retry-after"] == "7"


def test_each_party_words_its_own_errors(filled, client):
    filled.add_fault(status=429)
    assert "error_codes" in json.loads(client.token_request()[2])
    assert json.loads(client.imds({"api-version": "2018-02-01"})[2]) == {
        "error": "invalid_request",
        "error_description": "Temporarily throttled, too many requests"}


def test_latency_holds_up_nobody_else(filled, client):
    filled.set_secret("slow", "v")
    filled.add_fault(path="/secrets/slow", latency_ms=60000, count=1)
    sock = ssl.create_default_context(cafile=filled.ca_file).wrap_socket(
        socket.create_connection(("127.0.0.1", filled.https_port)), server_hostname="localhost")
    sock.sendall(f"GET /vaults/demo/secrets/slow?api-version=7.4 HTTP/1.1\r\nHost: localhost\r\n"
                 f"Authorization: Bearer {client.token()}\r\n\r\n".encode())
    wait_for(lambda: filled.counters()["in_flight"] == 1)
    assert [get(client)[0] for _ in range(5)] == [200] * 5
    sock.close()  # a client that leaves frees the thread
    wait_for(lambda: filled.counters()["in_flight"] == 0)
    assert filled.counters()["dropped"] == 1


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def test_latency_is_at_least_what_was_asked(filled, client):
    filled.add_fault(path="/secrets/x", latency_ms=150, count=1)
    began = time.monotonic()
    assert get(client)[0] == 200
    assert time.monotonic() - began >= 0.15
    assert filled.requests(path="/secrets/x")[0]["took_ms"] >= 150


def test_hang_until_the_fault_goes(filled, client):
    fault = filled.add_fault(path="/secrets/x", hang=True)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(get(client)[0]))
    thread.start()
    wait_for(lambda: filled.counters()["in_flight"] == 1)
    assert not answers
    filled.remove_fault(fault)
    thread.join(30)
    assert answers == [200]


@pytest.mark.parametrize("how", ["drop", "reset"])
def test_dropped_connection(filled, client, how):
    filled.add_fault(path="/secrets/x", count=1, **{how: True})
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError, ssl.SSLError)):
        get(client)
    assert get(client)[0] == 200
    assert filled.requests(path="/secrets/x")[0]["status"] == 0


def test_cut_body(filled, client):
    filled.add_fault(path="/secrets/x", cut_after=100, count=1)
    with pytest.raises((http.client.IncompleteRead, ssl.SSLError, ConnectionError)) as caught:
        get(client)
    if isinstance(caught.value, http.client.IncompleteRead):
        assert len(caught.value.partial) == 100
    assert get(client)[0] == 200


def test_slow_body(filled, client):
    filled.add_fault(path="/secrets/x", bytes_per_second=4000, count=1)
    began = time.monotonic()
    status, headers, text = get(client)
    assert status == 200 and len(text) == int(headers["content-length"]) > 1000
    assert time.monotonic() - began >= 0.2
    assert json.loads(text)["value"] == "v" * 1000


def test_garbage(filled, client):
    filled.add_fault(path="/secrets/x", garbage=True, count=1)
    status, headers, text = get(client)
    assert status == 200 and len(text) == int(headers["content-length"])
    with pytest.raises(ValueError):
        json.loads(text)


def test_close(filled, client):
    filled.add_fault(path="/secrets/x", close=True, count=1)
    assert get(client)[1]["connection"] == "close"


@pytest.mark.parametrize("how", ["hang", "reset", "garbage"])
def test_connection_that_never_becomes_tls(filled, client, how):
    filled.add_fault(connection=how, listener="https", count=1)
    context = ssl.create_default_context(cafile=filled.ca_file)
    with pytest.raises((ssl.SSLError, ConnectionError, TimeoutError)) as caught:
        with socket.create_connection(("127.0.0.1", filled.https_port), timeout=0.5) as sock:
            context.wrap_socket(sock, server_hostname="localhost")
    assert (how == "hang") == isinstance(caught.value, TimeoutError)
    assert get(client)[0] == 200


def test_imds_that_hangs(filled, client):
    filled.add_fault(connection="hang", listener="imds", count=1)
    with socket.create_connection(("127.0.0.1", filled.info["imds_port"]), timeout=0.3) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(TimeoutError):
            sock.recv(1)
    assert client.imds({})[0] == 400


def test_stop_in_the_middle_of_everything(emu):
    """SIGTERM with a hang, a parked connection and a slow body under way ends it cleanly."""
    with Emulator() as own:
        client = Client(own)
        own.set_secret("x", "v" * 1000)
        client.token()
        own.add_fault(path="/secrets/hang", hang=True)
        own.add_fault(path="/secrets/x", bytes_per_second=10)

        def ask(name):
            try:
                get(client, name)
            except (OSError, http.client.HTTPException):
                pass
        threads = [threading.Thread(target=ask, args=(n,)) for n in ("hang", "x")]
        for t in threads:
            t.start()
        wait_for(lambda: own.counters()["requests"] >= 3)
        own.add_fault(connection="hang", listener="https")
        parked = socket.create_connection(("127.0.0.1", own.https_port))
        wait_for(lambda: any(f["played"] for f in own.faults() if "connection" in f))
        assert own.stop() == 0
        for t in threads:
            t.join(30)
            assert not t.is_alive()
        parked.close()


@pytest.mark.parametrize("fault, why", [
    ({"statsu": 500}, "no member statsu"),
    ({"status": 99}, "status is no number"),
    ({"body": "x"}, "a body needs a status"),
    ({"connection": "burn"}, "connection is none of"),
    ({"headers": {"A": "b\r\nC: d"}, "status": 500}, "malformed"),
    ({"latency_ms": -1}, "latency_ms is no number"),
])
def test_bad_faults_are_refused(emu, fault, why):
    with pytest.raises(AdminError, match=why) as caught:
        emu.add_fault(**fault)
    assert caught.value.status == 400
