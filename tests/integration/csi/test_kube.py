"""Our client of the API server (csi/kube*), driven by kube_client.c, against the double that PyPI's
client has been content with (test_apiserver.py)."""

import json
import subprocess
import threading

import pytest
from apiserver import CLASSES, GROUP, ApiServer
from machine import BUILD, wait_until

ROOT = f"/apis/{GROUP}/v1/namespaces"
SPEC = {"provider": "azure", "parameters": {"keyvaultName": "kv"}}
RULES = {CLASSES: ["get", "list", "watch"], "events": ["create", "patch"]}


class Client:
    """kube-client, and what it printed so far."""

    def __init__(self, api, folder, token):
        self.token_file = folder / "token"
        self.token_file.write_text(token + "\n")
        self.lines = []
        self.process = subprocess.Popen(
            [BUILD / "tests" / "kube-client", api.url, self.token_file, api.ca_file],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._log = []
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=lambda: self._log.extend(self.process.stderr), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(json.loads(line))

    def say(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def ask(self, *words):
        """The answer to a request, when nothing else is under way."""
        n = len(self.of("status"))
        self.say(*words)
        wait_until(lambda: len(self.of("status")) > n, what=f"the answer to {words}")
        return self.of("status")[-1]

    def of(self, member):
        return [line for line in list(self.lines) if member in line]

    def versions(self, name):
        """What was told of a class: its keyvaultName each time, None when it was not there."""
        told = [line["object"] for line in self.of("changed") if line["changed"] == name]
        return [o and o["spec"]["parameters"]["keyvaultName"] for o in told]

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(20)
        for thread in self._threads:
            thread.join()
        log = "".join(self._log)
        assert status == 0, log
        assert self.token_file.read_text().strip() not in log


@pytest.fixture(params=["h2", "http/1.1"])
def api(request):
    server = ApiServer([request.param])
    server.protocol = {"h2": "HTTP/2", "http/1.1": "HTTP/1.1"}[request.param]
    yield server
    server.close()


@pytest.fixture
def client(api, tmp_path):
    one = Client(api, tmp_path, api.account("akvfs", RULES))
    yield one
    one.close()


def named(vault):
    return {**SPEC, "parameters": {"keyvaultName": vault}}


def test_a_class_is_read_and_what_is_wrong_is_said(api, client):
    api.put_class("shop", "web", SPEC)
    answer = client.ask("get", f"{ROOT}/shop/{CLASSES}/web")
    assert answer["status"] == 200 and answer["object"]["spec"] == SPEC
    assert api.requests[-1][4].protocol == api.protocol

    missing = client.ask("get", f"{ROOT}/shop/{CLASSES}/other")
    assert missing["error"] == f'{CLASSES}.{GROUP} "other" not found'
    assert (missing["status"], missing["cause"]) == (404, "not-found")
    forbidden = client.ask("delete", f"{ROOT}/shop/{CLASSES}/web")
    assert (forbidden["status"], forbidden["cause"]) == (403, "forbidden")
    assert "cannot delete resource" in forbidden["error"]

    api.fault(429, verb="get", retry_after=1)
    api.fault(503, verb="get")
    api.fault("cut", verb="get")
    assert client.ask("get", f"{ROOT}/shop/{CLASSES}/web")["status"] == 200


def test_a_token_that_kubelet_replaced_is_taken_at_once(api, client):
    api.put_class("shop", "web", SPEC)
    first = client.token_file.read_text().strip()
    assert client.ask("get", f"{ROOT}/shop/{CLASSES}/web")["status"] == 200
    second = api.account("akvfs", RULES)
    api.revoke(first)
    assert client.ask("get", f"{ROOT}/shop/{CLASSES}/web")["cause"] == "auth"
    client.token_file.write_text(second)
    assert client.ask("get", f"{ROOT}/shop/{CLASSES}/web")["status"] == 200


def test_every_change_of_a_class_is_noticed(api, client):
    api.put_class("shop", "web", named("a"))
    api.put_class("shop", "other", named("z"))
    client.say("watch", "shop web")
    wait_until(lambda: client.versions("shop/web") == ["a"], what="the first")
    wait_until(lambda: "watch" in api.verbs(), what="the watch")
    api.put_class("shop", "other", named("y"))
    api.put_class("shop", "web", named("b"))
    api.delete_class("shop", "web")
    api.put_class("shop", "web", named("c"))
    wait_until(lambda: client.versions("shop/web") == ["a", "b", None, "c"], what="each change")
    assert api.verbs().count("list") == 1


def test_a_class_that_is_made_later_is_noticed(api, client):
    client.say("watch", "shop web")
    wait_until(lambda: client.versions("shop/web") == [None], what="that there is none")
    api.put_class("shop", "web", named("a"))
    wait_until(lambda: client.versions("shop/web") == [None, "a"], what="that there is one")


def test_nothing_is_missed_by_a_cut_connection(api, client):
    api.put_class("shop", "web", named("0"))
    client.say("watch", "shop web")
    wait_until(lambda: "watch" in api.verbs(), what="the watch")
    for number in range(1, 4):
        watches = api.verbs().count("watch")
        api.cut()
        api.put_class("shop", "web", named(str(number)))
        wait_until(lambda: api.verbs().count("watch") > watches, what="the next watch")
    wait_until(lambda: client.versions("shop/web") == ["0", "1", "2", "3"], what="each change, once")


def test_a_version_that_is_gone_is_listed_again(api, client):
    api.put_class("shop", "web", named("a"))
    client.say("watch", "shop web")
    wait_until(lambda: api.begun == 1, what="the watch")
    # As a line of the stream (compaction), and as the status of a watch.
    with api.changed:  # the next watch is answered when all of that has happened
        api.cut()
        api.put_class("shop", "web", named("b"))
        api.compact()
    wait_until(lambda: api.verbs().count("list") == 2, what="a second list")
    wait_until(lambda: client.versions("shop/web") == ["a", "b"], what="the change")
    wait_until(lambda: api.begun == 3, what="the watch after the one that was told")
    api.fault(410, verb="watch")
    api.cut()
    wait_until(lambda: api.verbs().count("list") == 3, what="a third list")
    api.put_class("shop", "web", named("c"))
    wait_until(lambda: client.versions("shop/web") == ["a", "b", "c"], what="the change")
    assert client.of("trouble") == []


@pytest.mark.parametrize("api", ["http/1.1"], indirect=True)
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, "cut"])
def test_trouble_is_told_once_and_passes(api, client, status):
    api.put_class("shop", "web", named("a"))
    api.fault(status, verb="list", times=2)
    client.say("watch", "shop web")
    wait_until(lambda: client.versions("shop/web") == ["a"], what="the class")
    wait_until(lambda: len(client.of("trouble")) == 2, what="the end of the trouble")
    began, ended = client.of("trouble")
    assert began["trouble"] and ended["trouble"] == ""
    api.put_class("shop", "web", named("b"))
    wait_until(lambda: client.versions("shop/web") == ["a", "b"], what="the change")


def test_many_classes_are_watched_over_few_connections(api, client):
    names = [f"c{number}" for number in range(40)]
    for name in names:
        api.put_class("shop", name, named("a"))
        client.say("watch", "shop", name)
    wait_until(lambda: api.verbs().count("watch") == len(names), what="all watches")
    # They take nobody's place.
    assert client.ask("get", f"{ROOT}/shop/{CLASSES}/c0")["status"] == 200
    for name in names:
        api.put_class("shop", name, named("b"))
    wait_until(
        lambda: all(client.versions(f"shop/{name}") == ["a", "b"] for name in names), what="all changes"
    )
    if api.protocol == "HTTP/2":
        assert api.front.connections <= 2
    # Nothing cluster-wide, and no class but the one that was named.
    for _, _, namespace, name, request in api.requests:
        assert namespace == "shop"
        assert name or request.query["fieldSelector"].startswith("metadata.name=c")


def test_large_objects_come_through(api, client):
    vault = "v" * (1 << 20)
    api.put_class("shop", "web", named("a"))
    client.say("watch", "shop web")
    wait_until(lambda: "watch" in api.verbs(), what="the watch")
    api.put_class("shop", "web", named(vault))
    wait_until(lambda: client.versions("shop/web") == ["a", vault], what="the change")
    assert client.ask("get", f"{ROOT}/shop/{CLASSES}/web")["object"]["spec"] == named(vault)


@pytest.mark.parametrize("api", ["http/1.1"], indirect=True)
def test_an_event_is_made_once_and_counted(api, client):
    # In one piece: all of it is said before the first count could be told.
    again = 3 * "event shop web-0 u-1 MountLost the pod has to be restarted\n"
    client.say(again + "event shop web-1 u-2 MountLost the pod has to be restarted")
    wait_until(lambda: len(api.events("shop")) == 2, what="the events")
    first, other = sorted(api.events("shop"), key=lambda event: event["involvedObject"]["name"])
    assert first["involvedObject"]["uid"] == "u-1" and other["involvedObject"]["uid"] == "u-2"
    assert first["reason"] == "MountLost" and first["message"] == "the pod has to be restarted"
    assert first["source"] == {"component": "secrets.akvfs.io", "host": "node-1"}

    def counts():
        return sorted(event["count"] for event in api.events("shop"))

    wait_until(lambda: counts() == [1, 3], what="the count")
    assert api.verbs().count("create") == 2 and api.verbs().count("patch") == 1
