"""A double of the Kubernetes API server, as far as a CSI driver needs it.

Namespaced objects of two kinds, secretproviderclasses.secrets-store.csi.x-k8s.io/v1 and core events:
get, list, watch, create, replace, patch and delete, with resourceVersion, conflicts, bookmarks and
Gone as "Kubernetes API Concepts" (kubernetes.io) has them, the texts as `kubectl` prints them, and
faults on order:

    api = ApiServer()
    token = api.account("akvfs", {"secretproviderclasses": ["get", "list", "watch"]})
    api.put_class("shop", "web", {...})
    api.fault(429, verb="watch", times=2, retry_after=1)
    api.compact()      # what a watch asks for from before now is 410 Gone
    api.cut()          # all connections, in the middle of whatever they do

Tests: test_apiserver.py, with the client that PyPI has.
"""

import copy
import dataclasses
import datetime
import json
import re
import threading
import time
import uuid

from front import Answer, Cut, Front

CLASSES = "secretproviderclasses"
GROUP = "secrets-store.csi.x-k8s.io"
DNS_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


@dataclasses.dataclass(frozen=True)
class Resource:
    name: str
    kind: str
    group: str  # "" is the core
    version: str = "v1"
    patches: tuple = ("application/merge-patch+json",)

    @property
    def api_version(self):
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def root(self):
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"

    @property
    def qualified(self):
        return f"{self.name}.{self.group}" if self.group else self.name


RESOURCES = {
    CLASSES: Resource(CLASSES, "SecretProviderClass", GROUP),
    # Custom resources know no strategic merge patch; of flat members it does the same.
    "events": Resource(
        "events",
        "Event",
        "",
        patches=("application/merge-patch+json", "application/strategic-merge-patch+json"),
    ),
}


class Refused(Exception):
    def __init__(self, code, reason, message, headers=None):
        super().__init__(message)
        self.code, self.reason, self.headers = code, reason, headers or {}

    def status(self):
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "code": self.code,
        }


REASONS = {
    401: ("Unauthorized", "Unauthorized"),
    403: ("Forbidden", "forbidden on order"),
    404: ("NotFound", "the server could not find the requested resource"),
    409: ("Conflict", "Operation cannot be fulfilled: please apply your changes to the latest version"),
    410: ("Expired", "The resourceVersion for the provided watch is too old."),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    500: ("InternalError", "Internal error occurred"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
}


def merge(target, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merge(target.get(name), value)
    return target


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class ApiServer:
    bookmark_seconds = 1  # about a minute in the real one

    def __init__(self, protocols=("h2", "http/1.1")):
        self.changed = threading.Condition()
        self.objects = {}  # (resource, namespace, name): object
        self.history = []  # (version, type, resource, object)
        self.version = 100
        self.oldest = 0  # versions before this one are gone
        self.accounts = {}  # token: (name, {resource: [verb]})
        self.faults = []
        self.requests = []  # (verb, resource, namespace, name, Request)
        self.cuts = 0
        self.begun = 0  # watches whose answer has begun: its headers are sent
        self.front = Front(self.answer, protocols)
        self.url, self.ca_file = self.front.url, self.front.ca_file

    def close(self):
        self.cut()
        self.front.close()

    # --- what tests say ---

    def account(self, name, rules, token=None):
        """A token for a service account that may do what the rules say, in every namespace."""
        token = token or f"token-of-{name}-{uuid.uuid4().hex}"
        with self.changed:
            self.accounts[token] = (f"system:serviceaccount:akvfs-system:{name}", rules)
        return token

    def revoke(self, token):
        with self.changed:
            del self.accounts[token]

    def put_class(self, namespace, name, spec):
        """Made or replaced, as by somebody else."""
        with self.changed:
            had = self.objects.get((CLASSES, namespace, name))
            new = {"metadata": {"name": name, "namespace": namespace}, "spec": spec}
            if had:
                new = {**had, "spec": spec}
            return self._store(RESOURCES[CLASSES], new, "MODIFIED" if had else "ADDED")

    def label_class(self, namespace, name, **labels):
        """As by `kubectl label`: nothing but its metadata is changed."""
        with self.changed:
            had = self.objects[CLASSES, namespace, name]
            meta = {**had["metadata"], "labels": labels}
            self._store(RESOURCES[CLASSES], {**had, "metadata": meta}, "MODIFIED")

    def delete_class(self, namespace, name):
        with self.changed:
            self._remove(RESOURCES[CLASSES], self.objects[CLASSES, namespace, name])

    def fault(self, status, verb=None, times=1, retry_after=None):
        """The next requests with this verb (any: None) get this status; "cut" cuts them off."""
        with self.changed:
            self.faults.append({"status": status, "verb": verb, "times": times, "after": retry_after})

    def compact(self):
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.history.clear()

    def cut(self):
        with self.changed:
            self.cuts += 1
            self.changed.notify_all()
        self.front.cut()

    def verbs(self):
        with self.changed:
            return [verb for verb, *_ in self.requests]

    def events(self, namespace):
        with self.changed:
            return [o for (r, ns, _), o in self.objects.items() if (r, ns) == ("events", namespace)]

    # --- the store; `changed` is held ---

    def _store(self, resource, item, change):
        self.version += 1
        meta = item["metadata"] = dict(item["metadata"])
        meta.setdefault("uid", str(uuid.uuid4()))
        meta.setdefault("creationTimestamp", now())
        if resource.group:  # of custom resources: counts changes of more than the metadata
            had = self.objects.get((resource.name, meta["namespace"], meta["name"]))
            same = had and {**had, "metadata": None} == {**item, "metadata": None, **{
                key: had[key] for key in ("apiVersion", "kind")}}
            meta["generation"] = had["metadata"]["generation"] + (not same) if had else 1
        meta["resourceVersion"] = str(self.version)
        item = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
        self.objects[resource.name, meta["namespace"], meta["name"]] = item
        self.history.append((self.version, change, resource.name, item))
        self.changed.notify_all()
        return item

    def _remove(self, resource, item):
        self.version += 1
        meta = {**item["metadata"], "resourceVersion": str(self.version)}
        del self.objects[resource.name, meta["namespace"], meta["name"]]
        self.history.append((self.version, "DELETED", resource.name, {**item, "metadata": meta}))
        self.changed.notify_all()

    # --- requests ---

    def answer(self, request):
        try:
            return self._answer(request)
        except Refused as refused:
            return Answer(
                refused.code,
                json.dumps(refused.status()).encode(),
                {"Content-Type": "application/json", **refused.headers},
            )

    def _answer(self, request):
        resource, namespace, name = self._where(request.path)
        verb = self._verb(request, name)
        with self.changed:
            self.requests.append((verb, resource.name, namespace, name, request))
        self._order(verb)
        self._authorize(request, verb, resource, namespace, name)
        if verb == "watch":
            return self._watch(request, resource, namespace)
        with self.changed:
            code, value = getattr(self, "_" + verb)(request, resource, namespace, name)
        return Answer(code, json.dumps(value).encode(), {"Content-Type": "application/json"})

    @staticmethod
    def _where(path):
        for resource in RESOURCES.values():
            found = re.fullmatch(
                re.escape(resource.root) + rf"(?:/namespaces/([^/]+))?/{resource.name}(?:/([^/]+))?", path
            )
            if found:
                return resource, found[1], found[2]
        raise Refused(404, *REASONS[404])

    @staticmethod
    def _verb(request, name):
        if request.method == "GET":
            if name:
                return "get"
            return "watch" if request.query.get("watch") in ("1", "true", "True") else "list"
        verbs = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
        if request.method not in verbs or (request.method == "POST") == bool(name):
            raise Refused(405, "MethodNotAllowed", "the server does not allow this method")
        return verbs[request.method]

    def _order(self, verb):
        with self.changed:
            for fault in self.faults:
                if fault["verb"] in (None, verb) and fault["times"] > 0:
                    fault["times"] -= 1
                    break
            else:
                return
        if fault["status"] == "cut":
            raise Cut
        headers = {"Retry-After": str(fault["after"])} if fault["after"] is not None else {}
        raise Refused(fault["status"], *REASONS[fault["status"]], headers)

    def _authorize(self, request, verb, resource, namespace, name):
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        with self.changed:
            account = self.accounts.get(token)
        if scheme != "Bearer" or not account:
            raise Refused(401, *REASONS[401])
        user, rules = account
        if not namespace or verb not in rules.get(resource.name, ()):
            scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
            of = f' "{name}"' if name else ""
            raise Refused(
                403,
                "Forbidden",
                f'{resource.qualified}{of} is forbidden: User "{user}" cannot {verb} resource '
                f'"{resource.name}" in API group "{resource.group}" {scope}',
            )

    def _found(self, resource, namespace, name):
        item = self.objects.get((resource.name, namespace, name))
        if not item:
            raise Refused(404, "NotFound", f'{resource.qualified} "{name}" not found')
        return item

    def _get(self, request, resource, namespace, name):
        return 200, self._found(resource, namespace, name)

    @staticmethod
    def _selects(request, resource):
        selector = request.query.get("fieldSelector", "")
        wanted = {}
        for part in filter(None, selector.split(",")):
            field, equals, value = part.partition("=")
            if not equals or field not in ("metadata.name", "metadata.namespace"):
                raise Refused(400, "BadRequest", f"field label not supported: {field}")
            wanted[field.split(".")[1]] = value.removeprefix("=")
        return lambda item: all(item["metadata"][k] == v for k, v in wanted.items())

    def _list(self, request, resource, namespace, name):
        selects = self._selects(request, resource)
        items = [
            item
            for (kind, ns, _), item in sorted(self.objects.items())
            if (kind, ns) == (resource.name, namespace) and selects(item)
        ]
        begin = int(request.query.get("continue") or 0)
        limit = int(request.query.get("limit") or 0) or len(items)
        meta = {"resourceVersion": str(self.version)}
        if begin + limit < len(items):
            meta["continue"] = str(begin + limit)
        return 200, {
            "apiVersion": resource.api_version,
            "kind": resource.kind + "List",
            "metadata": meta,
            "items": items[begin : begin + limit],
        }

    @staticmethod
    def _body(request, *types):
        # None is JSON, as the real one has it ("NegotiateInputSerializer").
        if request.headers.get("content-type", "application/json").split(";")[0] not in types:
            raise Refused(415, "UnsupportedMediaType", "the body of the request was in an unknown format")
        try:
            value = json.loads(request.body)
        except ValueError as error:
            raise Refused(400, "BadRequest", f"json: {error}") from None
        if not isinstance(value, dict):
            raise Refused(400, "BadRequest", "the object provided is unrecognized")
        return value

    def _checked(self, resource, namespace, item):
        """What a validation of the real one would not let through."""
        meta = item.setdefault("metadata", {})
        if not meta.get("name") and meta.get("generateName"):
            meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
        if meta.setdefault("namespace", namespace) != namespace:
            raise Refused(400, "BadRequest", "the namespace of the object does not match the request's")
        name = meta.get("name") or ""
        wrong = None
        if len(name) > 253 or not DNS_NAME.fullmatch(name):
            wrong = f'metadata.name: Invalid value: "{name}"'
        elif item.get("apiVersion", resource.api_version) != resource.api_version:
            raise Refused(400, "BadRequest", "the API version in the data does not match the expected one")
        elif resource.name == "events":
            if item.get("involvedObject", {}).get("namespace") != namespace:
                wrong = "involvedObject.namespace: Invalid value: does not match event.namespace"
            elif not isinstance(item.get("count", 1), int) or item.get("type") not in ("Normal", "Warning"):
                wrong = "type: Unsupported value"
        if wrong:
            raise Refused(422, "Invalid", f'{resource.kind} "{name}" is invalid: {wrong}')
        return item

    def _create(self, request, resource, namespace, name):
        item = self._checked(resource, namespace, self._body(request, "application/json"))
        name = item["metadata"]["name"]
        if (resource.name, namespace, name) in self.objects:
            raise Refused(409, "AlreadyExists", f'{resource.qualified} "{name}" already exists')
        return 201, self._store(resource, item, "ADDED")

    def _change(self, resource, namespace, had, item):
        wanted = item.get("metadata", {}).get("resourceVersion")
        name = had["metadata"]["name"]
        if wanted and wanted != had["metadata"]["resourceVersion"]:
            raise Refused(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on {resource.qualified} "{name}": the object has been '
                "modified; please apply your changes to the latest version and try again",
            )
        item["metadata"] = {
            **item.get("metadata", {}),
            **{key: had["metadata"][key] for key in ("name", "namespace", "uid", "creationTimestamp")},
        }
        return 200, self._store(resource, self._checked(resource, namespace, item), "MODIFIED")

    def _update(self, request, resource, namespace, name):
        had = self._found(resource, namespace, name)
        return self._change(resource, namespace, had, self._body(request, "application/json"))

    def _patch(self, request, resource, namespace, name):
        had = self._found(resource, namespace, name)
        patch = self._body(request, *resource.patches)
        return self._change(resource, namespace, had, merge(had, patch))

    def _delete(self, request, resource, namespace, name):
        self._remove(resource, self._found(resource, namespace, name))
        return 200, {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {"name": name, "group": resource.group, "kind": resource.name},
        }

    # --- watches ---

    def _watch(self, request, resource, namespace):
        selects = self._selects(request, resource)
        with self.changed:
            begin = int(request.query.get("resourceVersion") or self.version)
            cuts = self.cuts
        seconds = float(request.query.get("timeoutSeconds") or 1800)
        bookmarks = request.query.get("allowWatchBookmarks") in ("1", "true", "True")
        lines = self._lines(resource, namespace, selects, begin, time.monotonic() + seconds, bookmarks, cuts)
        return Answer(200, lines, {"Content-Type": "application/json"})

    def _lines(self, resource, namespace, selects, seen, end, bookmarks, cuts):
        def line(kind, item):
            return json.dumps({"type": kind, "object": item}).encode() + b"\n"

        with self.changed:
            self.begun += 1
        bookmark = time.monotonic() + self.bookmark_seconds
        while True:
            with self.changed:
                if self.cuts != cuts:
                    raise Cut
                gone = seen < self.oldest and f"too old resource version: {seen} ({self.oldest})"
                news = [entry for entry in self.history if entry[0] > seen]
                if not news and not gone:
                    self.changed.wait(max(0, min(bookmark, end) - time.monotonic()))
                    news = [entry for entry in self.history if entry[0] > seen]
                    version = self.version
            if gone:
                yield line("ERROR", Refused(410, "Expired", gone).status())
                return
            for version, change, kind, item in news:
                seen = version
                if kind == resource.name and item["metadata"]["namespace"] == namespace and selects(item):
                    yield line(change, item)
            over = time.monotonic() >= end
            if not news and bookmarks and (over or time.monotonic() >= bookmark) and self.cuts == cuts:
                seen = max(seen, version) if seen >= self.oldest else seen
                meta = {"resourceVersion": str(seen), "creationTimestamp": None}
                yield line(
                    "BOOKMARK",
                    {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta},
                )
                bookmark = time.monotonic() + self.bookmark_seconds
            if over:
                return
