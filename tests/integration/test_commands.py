"""What the commands print; the contract of `status --json`; mount(8) and fstab."""

import json
import os
import re
import subprocess
import time

import machine
from classes import element
from machine import plain_names, wait_until
from services import secret


# --- status ---


def test_status_json_is_the_contract(akvfs, services, spc):
    version = services.set_secret("pw", secret(), expires=int(time.time()) + 86400)
    services.set_secret("inner", secret())
    text = spc([element("pw"), element("inner", alias="folder/inner")], name="payments")
    with akvfs.mount(text, "poll_interval=1h") as mount:
        answer = akvfs.status(mount.point)
        assert list(answer) == ["mounts"]
        (row,) = answer["mounts"]
        assert row["mountpoint"] == str(mount.point)
        assert row["class"] == "payments"
        assert not machine.gone(row["keeper_pid"]) and not machine.gone(row["worker_pid"])
        assert row["keeper_pid"] != row["worker_pid"]
        assert row["generation"] == 1
        assert isinstance(row["fuse_requests"], int)
        assert "next_poll" in row and row["next_poll"] is not None
        first, second = row["objects"]
        assert (first["file"], second["file"]) == ("pw", "folder/inner")
        assert "pw" in first["object"]
        assert first["version"] == version
        assert first["error"] is None
        assert 0 <= first["age_seconds"] < 3600
        assert {"updated", "expires"} <= set(first)
        assert second["expires"] is None and first["expires"] is not None


def test_status_for_people(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"], name="payments")) as mount:
        out = akvfs.ok("status").out
        assert str(mount.point) in out and "pw" in out


def test_status_without_mounts(akvfs):
    assert akvfs.status() == {"mounts": []}
    akvfs.ok("status")


def test_status_of_what_is_not_mounted(akvfs):
    assert akvfs.run("status", akvfs.point()).returncode == 1


def test_another_user_sees_nothing(akvfs, services, spc, user):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"])) as mount:
        assert akvfs.status(who=user) == {"mounts": []}
        assert akvfs.run("refresh", mount.point, who=user).returncode != 0
        assert akvfs.run("unmount", mount.point, who=user).returncode != 0
        assert mount.mounted


# --- get ---


def test_get_prints_the_bytes_of_one_file(akvfs, services, spc):
    value = secret("with\nlines\n\n")
    services.set_secret("pw", value)
    services.set_secret("other", secret())
    path = akvfs.class_file(spc([element("pw", alias="db/pw"), element("other")]))
    done = akvfs.ok("get", path, "db/pw", *services.words(), secret_output=True)
    assert done.stdout == value.encode()


def test_get_lists_without_values(akvfs, services, spc):
    services.set_secret("pw", secret())
    services.set_secret("other", secret())
    path = akvfs.class_file(spc([element("pw", alias="db/pw"), element("other")]))
    out = akvfs.ok("get", path, *services.words()).out
    assert "db/pw" in out and "other" in out


def test_get_of_a_file_that_the_class_has_not(akvfs, services, spc):
    services.set_secret("pw", secret())
    path = akvfs.class_file(spc(["pw"]))
    done = akvfs.run("get", path, "pv", *services.words())
    assert done.returncode == 1
    assert "pv" in done.err and "pw" in done.err


# --- check ---


def test_check_needs_no_network(akvfs, services, spc):
    path = akvfs.class_file(spc(["pw"]))
    akvfs.ok("check", path)
    assert services.requests() == 0


def test_check_of_the_examples(akvfs):
    examples = sorted((machine.TOP / "docs" / "examples").glob("*.yaml"))
    assert examples
    for path in examples:
        akvfs.ok("check", path)


# --- refresh ---


def test_refresh_of_one_mount_leaves_the_others(akvfs, services, spc):
    services.set_secret("a", secret())
    services.set_secret("b", secret())
    with akvfs.mount(spc(["a"]), "poll_interval=1h") as one:
        with akvfs.mount(spc(["b"]), "poll_interval=1h"):
            akvfs.ok("refresh", one.point)
            assert (services.gets("a"), services.gets("b")) == (2, 1)
            akvfs.ok("refresh")
            assert (services.gets("a"), services.gets("b")) == (3, 2)


def test_refresh_says_what_failed(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"]), "poll_interval=1h") as mount:
        services.delete("pw")
        done = akvfs.run("refresh", mount.point)
        assert done.returncode == 1
        assert "pw" in done.err and "SecretNotFound" in done.err


# --- mount(8) and fstab ---


def test_mount_8(akvfs, services, spc, helper):
    value = secret()
    services.set_secret("pw", value)
    path = akvfs.class_file(spc(["pw"]))
    point = akvfs.point()
    options = "poll_interval=1h,uid=12,mode=0440,_netdev,nofail,ro," + services.mount_options()
    subprocess.run(
        ["mount", "-t", "akvfs", str(path), str(point), "-o", options],
        env=akvfs.environment(),
        check=True,
    )
    assert (point / "pw").read_bytes() == value.encode()
    assert os.stat(point / "pw").st_mode & 0o777 == 0o440 and os.stat(point / "pw").st_uid == 12
    subprocess.run(["umount", str(point)], check=True)
    assert not machine.is_mounted(point)


def test_a_line_of_fstab(akvfs, services, spc, helper, folder):
    value = secret()
    services.set_secret("pw", value)
    path = akvfs.class_file(spc(["pw"]))
    point = akvfs.point()
    environment = folder / "env"
    environment.write_text(services.env_file())
    environment.chmod(0o600)
    fstab = folder / "fstab"
    fstab.write_text(
        f"{path} {point} akvfs noauto,_netdev,x-systemd.automount,env_file={environment},"
        f"{services.mount_options()} 0 0\n"
    )
    # As at boot: no variable says who signs in.
    subprocess.run(
        ["mount", "--fstab", str(fstab), str(point)], env={"PATH": os.environ["PATH"]}, check=True
    )
    assert (point / "pw").read_bytes() == value.encode()
    subprocess.run(["umount", str(point)], check=True)


def test_mount_8_fails_with_the_reason(akvfs, services, spc, helper):
    path = akvfs.class_file(spc(["never-made"]))
    point = akvfs.point()
    done = subprocess.run(
        ["mount", "-t", "akvfs", str(path), str(point), "-o", services.mount_options()],
        env=akvfs.environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0 and "SecretNotFound" in done.stderr
    assert not machine.is_mounted(point)


# --- credentials ---


def test_client_secret_from_a_file(akvfs, services, spc, folder):
    services.set_secret("pw", secret())
    file = folder / "client-secret"
    file.write_text(services.client_secret + "\n")
    file.chmod(0o600)
    env = {"AZURE_CLIENT_SECRET": None}
    with akvfs.mount(spc(["pw"]), env=env, words=["--client-secret-file", file]):
        pass


def test_client_secret_from_systemd(akvfs, services, spc, folder):
    services.set_secret("pw", secret())
    credentials = folder / "credentials"
    credentials.mkdir(mode=0o700)
    (credentials / "azure-client-secret").write_text(services.client_secret)
    (credentials / "azure-client-id").write_text(services.client_id)
    (credentials / "azure-tenant-id").write_text(services.tenant)
    env = {
        "AZURE_CLIENT_SECRET": None,
        "AZURE_CLIENT_ID": None,
        "AZURE_TENANT_ID": None,
        "CREDENTIALS_DIRECTORY": credentials,
    }
    with akvfs.mount(spc(["pw"], tenant=services.tenant), env=env):
        pass


def test_no_secret_in_the_processes_words_or_environment(akvfs, services, spc):
    value = secret()
    services.set_secret("pw", value)
    with akvfs.mount(spc(["pw"])) as mount:
        row = mount.status()
        for pid in (row["keeper_pid"], row["worker_pid"], mount.process.pid):
            words = open(f"/proc/{pid}/cmdline", "rb").read()
            assert services.client_secret.encode() not in words
        # What `akvfs mount` itself was given stays in its environment; its children have none.
        for pid in {row["keeper_pid"], row["worker_pid"]} - {mount.process.pid}:
            environment = open(f"/proc/{pid}/environ", "rb").read()
            assert services.client_secret.encode() not in environment


# --- the program itself ---


def test_help_and_version(akvfs):
    assert re.match(r"akvfs \d+\.\d+\.\d+", akvfs.ok("--version").out)
    out = akvfs.ok("--help").out
    for command in ("mount", "unmount", "check", "get", "doctor", "status", "refresh", "upgrade"):
        assert command in out
        assert command in akvfs.ok(command, "--help").out


def test_status_escapes_names(akvfs, services, spc):
    """Names that need escaping come out as JSON strings."""
    services.set_secret("pw", secret())
    with akvfs.mount(spc([element("pw", alias='we"ird näme')])) as mount:
        row = json.loads(akvfs.ok("status", "--json").out)["mounts"][0]
        assert row["objects"][0]["file"] == 'we"ird näme'
        wait_until(lambda: plain_names(mount.point) == ['we"ird näme'], "it is listed")
