"""What classes can say here that the Azure provider passes over: optional objects, several vaults,
objects chosen from the vault's list; and what becomes of a file whose object changes state."""

import errno
import os
import time

import pytest

from classes import element
from machine import plain_names, wait_until
from services import secret
from test_crash import kill_worker


def selector(**fields):
    words = ", ".join(f"{key}: {value}" for key, value in fields.items())
    return "array: ['{" + words + "}']"


def only_selector(spc, **fields):
    """A class that names no object."""
    return spc([], objectSelector=selector(**fields)).split("    objects:")[0]


def error_of(path):
    """What open(2) says: 0 or an errno."""
    try:
        os.close(os.open(path, os.O_RDONLY))
    except OSError as e:
        return e.errno
    return 0


def appears(mount, name, value):
    wait_until(lambda: error_of(mount / name) == 0 and mount.read(name) == value.encode(), f"{name} is there")


def object_of(mount, file):
    return next(o for o in mount.status()["objects"] if o["file"] == file)


# --- optional ---


def test_optional_is_absent_until_it_appears(akvfs, services, spc):
    services.set_secret("always", secret("a"))
    text = spc(["always", element("sometimes", optional="true")])
    with akvfs.mount(text, "poll_interval=300ms") as mount:
        assert plain_names(mount.point) == ["always"]
        assert error_of(mount / "sometimes") == errno.ENOENT
        state = object_of(mount, "sometimes")
        assert (state["state"], state["shown"], state["version"]) == ("deleted", False, None)
        akvfs.ok("refresh", mount.point)
        value = secret("s")
        services.set_secret("sometimes", value)
        appears(mount, "sometimes", value)
        wait_until(lambda: error_of(mount / "..data" / "sometimes") == 0, "..data follows")
        assert object_of(mount, "sometimes")["state"] == "ok"


def test_a_missing_object_that_is_not_optional_fails_the_mount(akvfs, services, spc):
    services.set_secret("always", secret())
    path = akvfs.class_file(spc(["always", element("never", optional="false")]))
    done = akvfs.run(*akvfs.words(path, akvfs.point()))
    assert done.returncode == 1
    assert "objectName:never" in done.err


# --- several vaults ---


def test_objects_of_several_vaults(akvfs, services, spc):
    services.emulator.add_vault("kv-second", tenant=services.tenant)
    one, two, three = secret("1"), secret("2"), secret("3")
    services.set_secret("shared", one)
    services.emulator.set_secret("shared", two, vault="kv-second")
    services.emulator.set_secret("app-x", three, vault="kv-second")
    text = spc(
        ["shared", element("shared", alias="second/shared", keyvaultName="kv-second")],
        objectSelector=selector(objectType="secret", prefix="app-", keyvaultName="kv-second"),
    )
    with akvfs.mount(text, "poll_interval=300ms") as mount:
        assert mount.read("shared") == one.encode()
        assert mount.read("second/shared") == two.encode()
        assert mount.read("app-x") == three.encode()
        assert services.token_requests() == 1, "one identity, one token"
        later = secret("later")
        services.emulator.set_secret("shared", later, vault="kv-second")
        mount.wait_for("second/shared", later)
        assert mount.read("shared") == one.encode()
    path = akvfs.class_file(text, "again.yaml")
    done = akvfs.run("get", path, "second/shared", *services.words(), secret_output=True)
    assert done.out == later


def test_several_vaults_and_one_url(akvfs, services, spc):
    path = akvfs.class_file(spc([element("a", keyvaultName="kv-second")]))
    words = services.words()
    words[1] = services.emulator.vault_url(services.vault)
    done = akvfs.run("get", path, *words)
    assert done.returncode == 2
    assert "{vault}" in done.err


# --- selectors ---


def test_a_selector_follows_the_vault(akvfs, services, spc):
    values = {f"app-{i:02}": secret(str(i)) for i in range(60)}
    for name, value in values.items():
        services.set_secret(name, value)
    services.set_secret("other", secret())
    services.set_secret("app-off", secret())
    services.disable("app-off")
    text = only_selector(spc, objectType="secret", glob="app-*", objectAlias="conf/*.txt")
    with akvfs.mount(text, "poll_interval=500ms") as mount:
        folder = mount / "conf"
        assert sorted(os.listdir(folder)) == sorted(f"{name}.txt" for name in values)
        assert (folder / "app-07.txt").read_text() == values["app-07"]
        value = secret("new")
        services.set_secret("app-new", value)
        services.delete("app-07")
        appears(mount, "conf/app-new.txt", value)
        wait_until(lambda: "app-07.txt" not in os.listdir(folder), "it is gone")
        chosen = mount.status()["selectors"]
        assert [s["objects"] for s in chosen] == [60]
        assert chosen[0]["error"] is None


def test_a_selector_by_tag(akvfs, services, spc):
    services.set_secret("a", secret("a"), tags={"env": "prod"})
    services.set_secret("b", secret("b"), tags={"env": "test"})
    services.set_secret("c", secret("c"))
    text = spc(["c"], objectSelector=selector(objectType="secret", tag="env=prod"))
    with akvfs.mount(text) as mount:
        assert plain_names(mount.point) == ["a", "c"]


def test_a_selector_without_list_permission(akvfs, services, spc):
    services.set_secret("a", secret())
    services.emulator.permit(services.client_id, {services.vault: {"secrets": ["get"]}})
    path = akvfs.class_file(spc(["a"], objectSelector=selector(objectType="secret", glob="a*")))
    done = akvfs.run(*akvfs.words(path, akvfs.point()))
    assert done.returncode == 1
    assert "failed to list objectType:secret" in done.err
    assert "--secret-permissions get list" in done.err


def test_a_selector_that_chooses_too_much(akvfs, services, spc):
    for i in range(3):
        services.set_secret(f"a{i}", secret())
    path = akvfs.class_file(only_selector(spc, objectType="secret", glob="a*", max="2"))
    done = akvfs.run("get", path, *services.words())
    assert done.returncode == 1
    assert "3 objects" in done.err and "max" in done.err


def test_a_selector_and_a_name_that_is_taken(akvfs, services, spc):
    services.set_secret("a", secret())
    services.set_secret("b", secret())
    text = spc([element("b", alias="a")], objectSelector=selector(objectType="secret", glob="a"))
    done = akvfs.run("get", akvfs.class_file(text), *services.words())
    assert done.returncode == 1
    assert "where object b is already" in done.err


# --- what becomes of a file ---


def disable(services, name):
    services.disable(name)


def delete(services, name):
    services.delete(name)


def expire(services, name):
    services.emulator.update("secrets", name, vault=services.vault, exp=int(time.time()) - 5)


def forbid(services, name):
    services.emulator.permit(services.client_id, {services.vault: {"keys": ["get"]}})


CAUSES = [
    ("deleted", delete, errno.ENOENT),
    ("disabled", disable, errno.ENOENT),
    ("expired", expire, errno.ENOENT),
    ("forbidden", forbid, errno.EACCES),
]


@pytest.mark.parametrize("state, happens, error", CAUSES, ids=[c[0] for c in CAUSES])
def test_kept_unless_said_otherwise(akvfs, services, spc, state, happens, error):
    value = secret()
    services.set_secret("pw", value)
    with akvfs.mount(spc(["pw"]), "poll_interval=300ms") as mount:
        happens(services, "pw")
        wait_until(lambda: object_of(mount, "pw")["state"] == state, "it is seen")
        assert mount.read("pw") == value.encode()
        assert object_of(mount, "pw")["shown"] is True


@pytest.mark.parametrize("state, happens, error", CAUSES, ids=[c[0] for c in CAUSES])
def test_removed_from_the_next_open(akvfs, services, spc, state, happens, error):
    value = secret()
    services.set_secret("pw", value)
    options = f"poll_interval=300ms,on_{state}=remove"
    with akvfs.mount(spc(["pw"]), options) as mount:
        with open(mount / "pw") as held:
            happens(services, "pw")
            wait_until(lambda: error_of(mount / "pw") == error, "the file is away")
            assert held.read() == value, "an open descriptor goes on"
        wait_until(lambda: error_of(mount / "..data" / "pw") == errno.ENOENT, "..data follows")
        assert plain_names(mount.point) == []
        known = object_of(mount, "pw")
        assert (known["state"], known["shown"]) == (state, False)
        assert known["error"]

        services.emulator.permit(services.client_id, None)
        back = secret("back")
        services.set_secret("pw", back)
        appears(mount, "pw", back)
        assert object_of(mount, "pw")["state"] == "ok"


def test_a_vault_that_is_gone_keeps(akvfs, services, spc):
    value = secret()
    services.set_secret("pw", value)
    options = "poll_interval=300ms,on_deleted=remove,on_disabled=remove,on_expired=remove,on_forbidden=remove"
    with akvfs.mount(spc(["pw"]), options) as mount:
        services.outage()
        wait_until(lambda: object_of(mount, "pw")["state"] == "failing", "it is seen")
        assert mount.read("pw") == value.encode()
        services.recover()
        # The firewall refuses the place, not the identity.
        services.emulator.add_vault(services.vault, tenant=services.tenant, network="firewall")
        wait_until(lambda: "irewall" in (object_of(mount, "pw")["error"] or ""), "it is seen")
        assert object_of(mount, "pw")["state"] == "failing"
        assert mount.read("pw") == value.encode()


def test_what_was_taken_away_is_away_for_the_next_worker(akvfs, services, spc):
    """A worker that dies: the next one goes on with the rest, and refuses what was refused."""
    services.set_secret("pw", secret())
    services.make_key("key")
    text = spc(["pw", element("key", type="key")])
    with akvfs.mount(text, "poll_interval=300ms,on_forbidden=remove") as mount:
        forbid(services, "pw")
        wait_until(lambda: error_of(mount / "pw") == errno.EACCES, "it is refused")
        kill_worker(mount)
        wait_until(lambda: object_of(mount, "pw")["shown"] is False, "it has looked")
        wait_until(lambda: error_of(mount / "pw") == errno.EACCES, "it is refused again")
        assert mount.read("key").startswith(b"-----BEGIN PUBLIC KEY")


def test_what_is_kept_is_kept_for_the_next_worker(akvfs, services, spc):
    """An optional object that was deleted: its file outlives the worker as well."""
    value = secret()
    services.set_secret("pw", value)
    services.set_secret("other", secret())
    text = spc([element("pw", optional="true"), "other"])
    with akvfs.mount(text, "poll_interval=300ms") as mount:
        services.delete("pw")
        wait_until(lambda: object_of(mount, "pw")["state"] == "deleted", "it is seen")
        before = mount.status()["worker_pid"]
        os.kill(before, 9)
        mount.wait_for_log("are fresh again after the change of worker")
        later = secret("later")
        services.set_secret("other", later)
        appears(mount, "other", later)
        assert mount.read("pw") == value.encode()
