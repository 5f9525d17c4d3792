"""What a mounted class looks like."""

import errno
import os
import stat
import subprocess

import pytest

import machine
from classes import element
from machine import wait_until
from services import secret
from test_keeper import read


def test_reads_what_the_vault_holds(akvfs, services, spc, who):
    value = secret("db password, with ünïcode and\n\ttwo lines\n")
    services.set_secret("db-password", value)
    services.set_secret("empty-looking", " " + secret())
    with akvfs.mount(spc(["db-password", "empty-looking"]), who=who) as mount:
        assert read(mount, who, "db-password") == value.encode()


def test_lists_names_and_folders(akvfs, services, spc):
    for name in ("one", "two", "three"):
        services.set_secret(name, secret())
    text = spc(
        [
            element("one"),
            element("two", alias="tls/tls.key"),
            element("three", alias="tls/deep/er/ca.crt"),
        ]
    )
    with akvfs.mount(text) as mount:
        seen = {
            os.path.relpath(folder, mount.point): (sorted(folders), sorted(files))
            for folder, folders, files in os.walk(mount.point)
        }
        # The same once more, in the first generation.
        generation = {path: there for path, there in seen.items() if path.startswith("..1")}
        for path in generation:
            del seen[path]
        top = seen["."]
        seen["."] = tuple([name for name in part if not name.startswith("..")] for part in top)
        assert top == (["..1", "..data", "tls"], ["one"])
        assert {os.path.relpath(path, "..1"): there for path, there in generation.items()} == seen
        assert seen == {
            ".": (["tls"], ["one"]),
            "tls": (["deep"], ["tls.key"]),
            "tls/deep": (["er"], []),
            "tls/deep/er": ([], ["ca.crt"]),
        }
        for name in ("two", "absent", "tls/absent", "one/below"):
            with pytest.raises(OSError) as raised:
                os.stat(mount / name)
            assert raised.value.errno in (errno.ENOENT, errno.ENOTDIR)


def test_modes_owner_and_group(akvfs, services, spc):
    services.set_secret("plain", secret())
    services.set_secret("tight", secret())
    text = spc([element("plain"), element("tight", filePermission="0400")])
    with akvfs.mount(text, ["poll_interval=1s", "uid=1234,gid=4321,mode=0440"]) as mount:
        plain, tight, top = (os.stat(mount / name) for name in ("plain", "tight", "."))
        assert stat.S_IMODE(plain.st_mode) == 0o440
        assert stat.S_IMODE(tight.st_mode) == 0o400
        assert {(s.st_uid, s.st_gid) for s in (plain, tight, top)} == {(1234, 4321)}
        assert stat.S_ISDIR(top.st_mode)
        assert plain.st_nlink == 1
        assert plain.st_ino < 2**32


def test_default_mode_is_upstreams(akvfs, services, spc):
    services.set_secret("plain", secret())
    with akvfs.mount(spc(["plain"])) as mount:
        assert stat.S_IMODE(os.stat(mount / "plain").st_mode) == 0o644


def test_size_and_time_are_the_objects(akvfs, services, spc):
    value = secret("0123456789")
    services.set_secret("timed", value)
    with akvfs.mount(spc(["timed"])) as mount:
        seen = os.stat(mount / "timed")
        assert seen.st_size == len(value)
        assert seen.st_mtime == services.updated("timed")


def test_permissions_hold_for_other_users(akvfs, services, spc, user):
    services.set_secret("open", secret())
    services.set_secret("closed", secret())
    text = spc([element("open"), element("closed", filePermission="0400")])
    with akvfs.mount(text) as mount:
        for name, status in (("open", 0), ("closed", 1)):
            done = subprocess.run(user.words(["cat", str(mount / name)]), capture_output=True)
            assert done.returncode == status, done.stderr


def test_a_users_mount_is_his_alone(akvfs, services, spc, user):
    services.set_secret("mine", secret())
    with akvfs.mount(spc(["mine"]), who=user) as mount:
        assert subprocess.run(["cat", str(mount / "mine")], capture_output=True).returncode != 0


def test_what_users_see_of_the_mount(akvfs, services, spc):
    services.set_secret("one", secret())
    with akvfs.mount(spc(["one"], name="payments")) as mount:
        (row,) = machine.mounts_below(mount.point)
        flags = set(row[1].split(","))
        assert {"ro", "nosuid", "nodev", "noexec"} <= flags
        assert row[2].startswith("fuse")
        assert "payments" in row[3]
        # The writable mount that rotations are made in is nobody's to see.
        assert [r for r in machine.mountinfo() if r[3] == row[3]] == [row]


CHANGES = {
    "open for writing": lambda p: os.open(p / "one", os.O_WRONLY),
    "open for both": lambda p: os.open(p / "one", os.O_RDWR),
    "truncate on open": lambda p: os.open(p / "one", os.O_WRONLY | os.O_TRUNC),
    "append": lambda p: os.open(p / "one", os.O_WRONLY | os.O_APPEND),
    "create": lambda p: os.open(p / "new", os.O_CREAT | os.O_WRONLY, 0o600),
    "truncate": lambda p: os.truncate(p / "one", 0),
    "unlink": lambda p: os.unlink(p / "one"),
    "rmdir": lambda p: os.rmdir(p / "folder"),
    "mkdir": lambda p: os.mkdir(p / "new"),
    "rename": lambda p: os.rename(p / "one", p / "two"),
    "rename over": lambda p: os.rename(p / "one", p / "folder" / "inner"),
    "link": lambda p: os.link(p / "one", p / "new"),
    "symlink": lambda p: os.symlink("one", p / "new"),
    "mknod": lambda p: os.mknod(p / "new", 0o600 | stat.S_IFIFO),
    "chmod": lambda p: os.chmod(p / "one", 0o777),
    "chown": lambda p: os.chown(p / "one", 0, 0),
    "utime": lambda p: os.utime(p / "one", (1, 1)),
    "setxattr": lambda p: os.setxattr(p / "one", "user.x", b"1"),
}


def refused(mount, who, change):
    """The errno that `change` gives to that account, tried in a child that became it."""
    pid = os.fork()
    if pid == 0:
        try:
            if not who.is_root:
                os.setgroups([])
                os.setresgid(who.gid, who.gid, who.gid)
                os.setresuid(who.uid, who.uid, who.uid)
            CHANGES[change](mount.point)
            os._exit(0)
        except OSError as error:
            os._exit(error.errno)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_nothing_can_be_changed(akvfs, services, spc, who):
    value = secret()
    services.set_secret("one", value)
    services.set_secret("inner", secret())
    text = spc([element("one"), element("inner", alias="folder/inner")])
    with akvfs.mount(text, who=who) as mount:
        answers = {change: refused(mount, who, change) for change in CHANGES}
        fine = {errno.EROFS, errno.EACCES, errno.EPERM}
        if who.is_root:
            fine = {errno.EROFS}
        # Attributes that are not offered at all are refused as such.
        fine_for = {"setxattr": fine | {errno.EOPNOTSUPP}}
        wrong = {
            change: errno.errorcode.get(code, code)
            for change, code in answers.items()
            if code not in fine_for.get(change, fine)
        }
        assert not wrong
        # And nothing stays of the attempt, in any reader's eyes.
        assert read(mount, who, "one") == value.encode()
        listed = subprocess.run(who.words(["ls", str(mount.point)]), capture_output=True)
        assert listed.stdout.split() == [b"folder", b"one"]


def test_nothing_can_be_executed(akvfs, services, spc):
    services.set_secret("script", "#!/bin/sh\nexit 0\n# " + secret())
    with akvfs.mount(spc([element("script", filePermission="0755")])) as mount:
        with pytest.raises(PermissionError):
            subprocess.run([str(mount / "script")])


def test_in_the_background_it_returns_when_all_can_be_read(akvfs, services, spc, who):
    names = [f"s{i}" for i in range(20)]
    values = {name: secret(name) for name in names}
    for name, value in values.items():
        services.set_secret(name, value)
    services.latency(20)
    point = akvfs.point(who)
    path = akvfs.class_file(spc(names))
    akvfs.ok(*akvfs.words(path, point, "poll_interval=1h"), who=who)
    assert machine.is_mounted(point)
    for name, value in values.items():
        assert read(point, who, name) == value.encode()
    akvfs.ok("unmount", point, who=who)
    wait_until(lambda: not machine.is_mounted(point), "it is unmounted")


def test_keys_and_certificates(akvfs, services, spc):
    pem = services.make_certificate("web")
    services.make_key("signing")
    text = spc([element("web", "cert", alias="web.crt"), element("signing", "key", alias="key.pub")])
    with akvfs.mount(text) as mount:
        assert mount.read("web.crt").decode() == pem
        key = subprocess.run(
            ["openssl", "pkey", "-pubin", "-noout", "-text"], input=mount.read("key.pub"), capture_output=True
        )
        assert key.returncode == 0, key.stderr


@pytest.mark.parametrize("content_type", ["application/x-pem-file", "application/x-pkcs12"])
def test_a_certificate_with_its_key(akvfs, services, spc, content_type):
    """objectType secret of a certificate: key and certificate as PEM, whatever the vault keeps."""
    pem = services.make_certificate("web", content_type=content_type)
    with akvfs.mount(spc([element("web", "secret", alias="web.pem")])) as mount:
        text = mount.read("web.pem")
        assert pem in text.decode()
        for words in (["pkey", "-noout"], ["x509", "-noout"]):
            subprocess.run(["openssl", *words], input=text, check=True, capture_output=True)


def test_encodings(akvfs, services, spc):
    import base64

    raw = bytes(range(256)) + secret().encode()
    services.set_secret("b64", base64.b64encode(raw).decode())
    services.set_secret("hexed", raw.hex().upper())
    text = spc([element("b64", objectEncoding="base64"), element("hexed", objectEncoding="hex")])
    with akvfs.mount(text) as mount:
        assert mount.read("b64") == raw
        assert mount.read("hexed") == raw


def test_a_pinned_version_stays(akvfs, services, spc):
    old = secret("old")
    version = services.set_secret("pinned", old)
    services.set_secret("pinned", secret("new"))
    services.set_secret("moving", secret("a"))
    text = spc([element("pinned", objectVersion=version), element("moving")])
    with akvfs.mount(text) as mount:
        assert mount.read("pinned") == old.encode()
        value = secret("b")
        services.set_secret("moving", value)
        mount.wait_for("moving", value)
        assert mount.read("pinned") == old.encode()
        # Pinned to a version, it was fetched once.
        assert services.gets("pinned") == 1


def test_managed_identity(akvfs, services, spc):
    value = secret()
    services.set_secret("vm", value)
    text = spc(["vm"], useVMManagedIdentity="true")
    env = {"AZURE_CLIENT_ID": None, "AZURE_CLIENT_SECRET": None, "AZURE_TENANT_ID": None}
    with akvfs.mount(text, env=env, words=services.imds_words()) as mount:
        assert mount.read("vm") == value.encode()


def test_reader_of_each_interface(akvfs, services, spc):
    """mmap, sendfile, splice, O_DIRECT-free copies: every way that programs read files."""
    import mmap

    value = secret("x" * 9000)
    services.set_secret("big", value)
    with akvfs.mount(spc(["big"])) as mount:
        fd = os.open(mount / "big", os.O_RDONLY)
        try:
            with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as mapped:
                assert mapped[:] == value.encode()
            read_end, write_end = os.pipe()
            sent = os.sendfile(write_end, fd, 0, 4096)
            assert os.read(read_end, sent) == value.encode()[:sent]
            assert os.pread(fd, 100, len(value) - 10) == value.encode()[-10:]
            assert os.pread(fd, 100, len(value) + 10) == b""
        finally:
            os.close(fd)
