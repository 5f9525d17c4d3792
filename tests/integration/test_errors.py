"""Every way for a mount to fail: one clear message with the cause and the next step, status 1, and
nothing left. (That no message holds a secret is asked by the fixture, after every test.)"""

import contextlib
import re
import socket
import subprocess

import pytest

import machine
from classes import element
from services import CANARY, secret


class Failure:
    """What a failed command said: the errors, each with its next step."""

    def __init__(self, text):
        self.text = text
        # In the foreground the log is on standard error too.
        lines = [line for line in text.splitlines() if line.strip()]
        self.lines = [line for line in lines if not re.match(r"[IWED]\d{4} \d\d:\d\d", line)]

    @property
    def errors(self):
        return [line for line in self.lines if not line.startswith(" ")]

    @property
    def hints(self):
        return [line.strip() for line in self.lines if line.startswith(" ")]

    def names(self, *words):
        for word in words:
            assert str(word) in self.text, f"no {word!r} in:\n{self.text}"


@pytest.fixture
def fails(akvfs):
    """fails(text, ...) mounts in vain and returns what was said."""

    def attempt(text, options=(), who=None, point=None, env=None, words=(), status=1, foreground=False):
        point = point or akvfs.point(who)
        before = machine.mountinfo()
        path = akvfs.class_file(text)
        argv = [*akvfs.words(path, point, options, foreground=foreground), *map(str, words)]
        done = akvfs.run(*argv, who=who, env=env)
        assert done.returncode == status, f"status {done.returncode}:\n{done.err}"
        assert machine.mountinfo() == before, "a mount was left"
        assert done.out == ""
        failure = Failure(done.err)
        assert failure.errors, f"no cause:\n{done.err}"
        assert failure.hints, f"no next step:\n{done.err}"
        assert failure.errors[0].startswith("akvfs mount: "), done.err
        return failure

    return attempt


@pytest.fixture
def one(services, spc):
    services.set_secret("one", secret())
    return spc(["one"])


# --- signing in ---


def test_wrong_client_secret(fails, services, one, who):
    said = fails(one, env={"AZURE_CLIENT_SECRET": f"wrong-{CANARY}"}, who=who)
    said.names("AADSTS7000215", services.client_id, services.tenant)
    assert len(said.errors) == 1


def test_unknown_tenant(fails, services, spc):
    services.set_secret("one", secret())
    tenant = "99999999-9999-4999-8999-999999999999"
    fails(spc(["one"], tenant=tenant)).names("AADSTS90002", tenant)


def test_unknown_client(fails, one):
    client = "88888888-8888-4888-8888-888888888888"
    fails(one, env={"AZURE_CLIENT_ID": client}).names("AADSTS700016", client)


@pytest.mark.parametrize("missing", ["AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"])
def test_no_credentials(fails, services, one, missing):
    said = fails(one, env={missing: None})
    said.names(missing)
    assert services.requests() == 0


def test_no_imds(fails, spc, services):
    services.set_secret("one", secret())
    with closed_port() as port:
        said = fails(
            spc(["one"], useVMManagedIdentity="true"),
            words=["--imds-endpoint", f"http://127.0.0.1:{port}"],
        )
    said.names(f"127.0.0.1:{port}")


def test_no_such_managed_identity(fails, spc, services):
    services.set_secret("one", secret())
    identity = "77777777-7777-4777-8777-777777777777"
    said = fails(
        spc(["one"], useVMManagedIdentity="true", userAssignedIdentityID=identity),
        words=services.imds_words(),
    )
    said.names(identity)


# --- the vault's answers ---


def test_missing_object(fails, services, spc, who):
    said = fails(spc(["never-made"]), who=who)
    said.names("never-made", "SecretNotFound", services.vault, "objectType:secret")


def test_disabled_object(fails, services, spc):
    services.set_secret("off", secret())
    services.disable("off")
    fails(spc(["off"])).names("off", "disabled", "403")


def test_forbidden_object(fails, services, spc):
    services.set_secret("no", secret())
    services.forbid_all()
    fails(spc(["no"])).names("no", "Forbidden", services.vault, services.client_id)


def test_all_reasons_at_once(fails, services, spc):
    """Three objects fail for three reasons and one is fine: three errors, in the class's order."""
    services.set_secret("fine", secret())
    services.set_secret("off", secret())
    services.disable("off")
    said = fails(spc(["gone-1", "fine", "off", "gone-2"]))
    assert len(said.errors) == 3, said.text
    for line, name in zip(said.errors, ["gone-1", "off", "gone-2"]):
        assert name in line


def test_an_object_of_another_kind(fails, services, spc):
    services.set_secret("one", secret())
    fails(spc([element("one", "key")])).names("one", "KeyNotFound")


@pytest.mark.parametrize("kind", ["garbage", "html", "empty", "cut"])
def test_answers_that_make_no_sense(fails, services, one, kind):
    services.spoil("/secrets/one", kind)
    fails(one).names("one", services.vault)


def test_the_vault_keeps_failing(fails, services, one):
    services.fault("/secrets/one", status=500)
    fails(one).names("one", "500")
    assert services.gets("one") == 4


# --- the way there ---


@contextlib.contextmanager
def closed_port():
    """A port where nothing listens, and nobody else begins to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@contextlib.contextmanager
def black_hole():
    """A port that answers nothing at all: its queue of connections is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_wrong_ca(fails, services, one, folder, who):
    other = folder / "other-ca.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=another"]
        + ["-keyout", "/dev/null", "-out", str(other)],
        check=True,
        capture_output=True,
    )
    other.chmod(0o644)
    said = fails(one, words=["--ca-file", other], who=who)
    said.names("certificate", "--ca-file")


def test_refused_connection(fails, services, one, who):
    with closed_port() as port:
        said = fails(one, words=["--vault-url", f"https://127.0.0.1:{port}"], who=who)
    said.names(f"127.0.0.1:{port}", "one")


def test_refused_authority(fails, services, one):
    with closed_port() as port:
        said = fails(one, words=["--authority-host", f"https://127.0.0.1:{port}/"])
    said.names(f"127.0.0.1:{port}")


def test_a_name_that_does_not_resolve(fails, services, one):
    fails(one, words=["--vault-url", "https://no-such-vault.invalid"]).names("no-such-vault.invalid")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_black_holed_connection(fails, services, one):
    with black_hole() as port:
        said = fails(one, words=["--vault-url", f"https://127.0.0.1:{port}"])
    said.names(f"127.0.0.1:{port}", "no answer")


def test_plain_http_is_refused(fails, services, one):
    fails(one, words=["--vault-url", "http://127.0.0.1:1"], status=2).names("https")
    fails(one, words=["--authority-host", "http://127.0.0.1:1"], status=2).names("https")
    assert services.requests() == 0


# --- the mount point ---


def test_mount_point_is_missing(fails, services, one, folder, who):
    fails(one, point=folder / "absent", who=who).names(folder / "absent")
    assert services.requests() == 0


def test_mount_point_is_a_file(akvfs, services, one, folder):
    (folder / "file").write_text("")
    done = akvfs.run(*akvfs.words(akvfs.class_file(one), folder / "file"))
    assert done.returncode == 1
    assert f"{folder / 'file'} is not a directory" in done.err


def test_mount_point_is_not_empty(fails, services, one, akvfs, who):
    point = akvfs.point(who)
    (point / "precious").write_text("kept")
    fails(one, point=point, who=who).names(point, "empty")
    assert (point / "precious").read_text() == "kept"
    assert services.requests() == 0


def test_already_mounted(fails, services, one, akvfs, who):
    with akvfs.mount(one, who=who) as mount:
        asked = services.requests()
        fails(one, point=mount.point, who=who).names(mount.point, "mounted")
        assert services.requests() == asked


def test_mount_point_cannot_be_written_by_the_user(fails, services, one, akvfs, user):
    point = akvfs.point()  # root's
    fails(one, point=point, who=user).names(point)


def test_fusermount_is_missing(fails, services, one, user):
    with hidden("/usr/bin/fusermount3"):
        fails(one, who=user).names("fusermount3", "fuse3")


@contextlib.contextmanager
def hidden(path):
    """The file cannot be executed for as long as this lasts."""
    subprocess.run(["mount", "--bind", "/dev/null", path], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", path], check=True)


# --- the class and the command line ---


def test_a_bad_class_says_all_that_is_wrong(akvfs, services, spc):
    text = spc(
        [
            element("one", "Secret"),
            element("two", filePermission="0999"),
            element("three", alias="../escape"),
        ]
    )
    path = akvfs.class_file(text)
    for words in (["check", path], ["mount", path, akvfs.point()]):
        done = akvfs.run(*words)
        assert done.returncode == 1
        said = done.out + done.err
        for word in ("objectType", "filePermission", "objectAlias"):
            assert word in said
        assert said.count(f"{path}:") >= 3


@pytest.mark.parametrize(
    "words",
    [
        ["mount"],
        ["mount", "class.yaml"],
        ["mount", "a", "b", "c"],
        ["mount", "a", "b", "-o", "poll_intervall=3s"],
        ["mount", "a", "b", "-o", "poll_interval=soon"],
        ["mount", "a", "b", "-o", "mode=999"],
        ["mount", "a", "b", "--vault-uri", "https://x"],
        ["mnt", "a", "b"],
        ["unmount"],
        ["check"],
        ["get"],
        ["status", "--jsn"],
    ],
    ids=" ".join,
)
def test_wrong_words(akvfs, words):
    done = akvfs.run(*words)
    assert done.returncode == 2, done.err
    assert done.err.startswith("akvfs") and len(done.err.splitlines()) >= 1


def test_a_class_that_cannot_be_read(fails, akvfs, folder, services):
    done = akvfs.run("mount", folder / "absent.yaml", akvfs.point())
    assert done.returncode == 1
    assert str(folder / "absent.yaml") in done.err


def test_a_frequent_poll_warns_with_its_price(akvfs, services, one):
    with akvfs.mount(one, "poll_interval=10s") as mount:
        text = mount.log_text()
        assert "8640" in text, text


def test_foreground_fails_the_same_way(fails, spc):
    fails(spc(["never-made"]), foreground=True).names("never-made", "SecretNotFound")
