"""`akvfs mount -f` as a service of systemd: ready when readable, restarted, reloaded, stopped."""

import contextlib
import os
import pathlib
import signal

import pytest

import machine
from machine import wait_until
from services import secret
from units import forget, journal, shown, state, systemctl, unit

NAME = "akvfs-test.service"
TEMPLATE = machine.TOP / "deploy" / "systemd" / "akvfs@.service"


@pytest.fixture
def service(akvfs, services, folder):
    """service(class text, lines of [Service]) -> (mount point, text of a unit)"""
    environment = folder / "env"
    environment.write_text(services.env_file())
    environment.chmod(0o600)

    def make(text, *more):
        point = akvfs.point()
        path = akvfs.class_file(text, f"{point.name}.yaml")
        words = " ".join(akvfs.words(path, point, "poll_interval=1h", foreground=True))
        lines = [
            "[Unit]",
            "StartLimitIntervalSec=0",
            "[Service]",
            "Type=notify",
            "NotifyAccess=all",
            "Restart=on-failure",
            "RestartSec=100ms",
            f"EnvironmentFile={environment}",
            f"ExecStart={akvfs.binary} {words.replace('%', '%%')}",
            "ExecReload=/bin/kill -HUP $MAINPID",
            *more,
        ]
        return point, "\n".join(lines) + "\n"

    return make


def reads(path, value):
    try:
        return path.read_bytes() == value.encode()
    except OSError:
        return False


def test_started_means_readable(akvfs, services, spc, service):
    value = secret()
    services.set_secret("pw", value)
    services.latency(500)
    point, text = service(spc(["pw"]))
    with unit(NAME, text):
        systemctl("start", NAME)
        assert (point / "pw").read_bytes() == value.encode()
        assert state(NAME) == "active"
        systemctl("stop", NAME)
        assert shown(NAME, "Result") == "success"
        assert not machine.is_mounted(point)


def test_a_reload_asks_the_vault(akvfs, services, spc, service):
    services.set_secret("pw", secret("old"))
    point, text = service(spc(["pw"]))
    with unit(NAME, text):
        systemctl("start", NAME)
        value = secret("new")
        services.set_secret("pw", value)
        systemctl("reload", NAME)
        wait_until(lambda: reads(point / "pw", value), "the new value is shown")


def test_a_service_that_cannot_start(akvfs, services, spc, service):
    point, text = service(spc(["never-made"]), "Restart=no")
    with unit(NAME, text):
        with pytest.raises(AssertionError, match="SecretNotFound"):
            systemctl("start", NAME)
        assert state(NAME) == "failed"
        assert not machine.is_mounted(point)


@pytest.mark.parametrize("victim", ["worker_pid", "keeper_pid"])
def test_one_process_dies_and_the_service_lives(akvfs, services, spc, service, victim):
    value = secret()
    services.set_secret("pw", value)
    point, text = service(spc(["pw"]))
    with unit(NAME, text):
        systemctl("start", NAME)
        main = shown(NAME, "MainPID")
        before = akvfs.status(point)["mounts"][0]
        if victim == "keeper_pid" and str(before["keeper_pid"]) == main:
            pytest.fail("the keeper is the main process: its end would be the service's")
        os.kill(before[victim], signal.SIGKILL)

        def after():
            done = akvfs.run("status", "--json", point)
            return done.returncode == 0 and str(before[victim]) not in done.out

        wait_until(after, "another one is there")
        assert (point / "pw").read_bytes() == value.encode()
        assert state(NAME) == "active"
        assert shown(NAME, "MainPID") == main and shown(NAME, "NRestarts") == "0"


def test_everything_dies_and_systemd_starts_it_again(akvfs, services, spc, service):
    """A dead mount lies in the way then, and answers ENOTCONN to whoever looks."""
    value = secret()
    services.set_secret("pw", value)
    point, text = service(spc(["pw"]))
    with unit(NAME, text):
        systemctl("start", NAME)
        systemctl("kill", "--signal=KILL", NAME)
        wait_until(lambda: shown(NAME, "NRestarts") != "0" and state(NAME) == "active", "it runs again")
        assert (point / "pw").read_bytes() == value.encode()
        systemctl("stop", NAME)
        assert not machine.is_mounted(point)
    # The next daemon in the background sweeps up the control socket that the dead worker left.
    with akvfs.background(spc(["pw"])):
        pass


def test_restart_by_an_administrator(akvfs, services, spc, service):
    value = secret()
    services.set_secret("pw", value)
    point, text = service(spc(["pw"]))
    with unit(NAME, text):
        systemctl("start", NAME)
        for _ in range(3):
            systemctl("restart", NAME)
            assert (point / "pw").read_bytes() == value.encode()
        assert len(machine.mounts_below(point)) == 1


def test_the_secret_of_a_credential(akvfs, services, spc, service, folder):
    """LoadCredential= hands the client secret to this service alone."""
    value = secret()
    services.set_secret("pw", value)
    file = folder / "client-secret"
    file.write_text(services.client_secret)
    file.chmod(0o600)
    (folder / "no-secret").write_text(
        "".join(line for line in services.env_file().splitlines(True) if "SECRET" not in line)
    )
    point, text = service(
        spc(["pw"]),
        "EnvironmentFile=",
        f"EnvironmentFile={folder}/no-secret",
        f"LoadCredential=azure-client-secret:{file}",
    )
    with unit(NAME, text):
        systemctl("start", NAME)
        assert (point / "pw").read_bytes() == value.encode()


@pytest.fixture
def instance(akvfs, services, spc):
    """The unit that comes along, for a class as docs/upgrade.md has it: (name, mount point)"""
    etc, name = pathlib.Path("/etc/akvfs"), "akvfs@it.service"
    files = [etc / "it.yaml", etc / "it.env"]
    etc.mkdir(exist_ok=True)
    files[0].write_text(spc(["pw"]))
    files[1].write_text(
        f'{services.env_file()}AKVFS_OPTIONS="-o poll_interval=1h,{services.mount_options()}"\n'
    )
    with unit(TEMPLATE.name, TEMPLATE.read_text().replace("/usr/bin/akvfs", str(akvfs.binary))):
        yield name, pathlib.Path("/run/secrets/it")
        forget([name])
    for file in files:
        file.unlink()


def test_the_unit_that_comes_along(services, instance):
    """A reload polls; a restart, and the end of everything at once, keep the mount and what is open."""
    name, point = instance
    services.set_secret("pw", value := secret())
    systemctl("start", name)
    assert (point / "pw").read_bytes() == value.encode()
    with contextlib.ExitStack() as stack:
        held = os.open(point / "pw", os.O_RDONLY)
        stack.callback(os.close, held)

        def goes_on():
            assert (point / "pw").read_bytes() == os.pread(held, 4096, 0) == value.encode()
            assert "is mounted anew" not in journal(name)

        systemctl("restart", name)
        goes_on()
        systemctl("kill", "--signal=KILL", name)
        wait_until(lambda: shown(name, "NRestarts") != "0" and state(name) == "active", "it runs again")
        goes_on()
    services.set_secret("pw", value := secret())
    systemctl("reload", name)
    wait_until(lambda: reads(point / "pw", value), "it was asked for")
    systemctl("stop", name)
    assert not machine.is_mounted(point)
