"""Who asks the vault how often, and what happens when it does not answer."""

import datetime
import json
import time

import pytest

from classes import element
from machine import plain_names, wait_until
from services import CANARY, secret


def test_two_mounts_of_a_class_ask_once(akvfs, services, spc):
    services.set_secret("shared", secret("1"))
    with akvfs.background(spc(["shared"]), "poll_interval=1h") as one:
        with akvfs.background(spc(["shared"]), "poll_interval=1h") as two:
            assert services.gets("shared") == 1
            assert one.status()["worker_pid"] == two.status()["worker_pid"]
            value = secret("2")
            services.set_secret("shared", value)
            akvfs.ok("refresh")
            one.wait_for("shared", value)
            two.wait_for("shared", value)
            assert services.gets("shared") == 2
            assert services.token_requests() == 1


def test_two_mounts_of_a_class_poll_once_an_interval(akvfs, services, spc):
    services.set_secret("shared", secret())
    with akvfs.background(spc(["shared"]), "poll_interval=1s"):
        with akvfs.background(spc(["shared"]), "poll_interval=1s"):
            wait_until(lambda: services.gets("shared") >= 8, "eight polls")
    times = services.times("shared")
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert min(gaps) > 0.5, gaps


def test_identities_share_nothing(akvfs, services, spc):
    """The same object asked for by another identity is fetched by that identity."""
    services.set_secret("shared", secret())
    other = services.another_identity()
    with akvfs.background(spc(["shared"]), "poll_interval=1h"):
        with akvfs.background(spc(["shared"]), "poll_interval=1h", env=other):
            assert services.gets("shared") == 2
            assert services.token_requests() == 2


def test_two_files_of_an_object_ask_once(akvfs, services, spc):
    services.set_secret("shared", secret("1"))
    text = spc([element("shared", alias="one"), element("shared", alias="two")])
    with akvfs.mount(text, "poll_interval=1h") as mount:
        assert services.gets("shared") == 1
        value = secret("2")
        services.set_secret("shared", value)
        akvfs.ok("refresh", mount.point)
        mount.wait_for("one", value)
        mount.wait_for("two", value)
        assert services.gets("shared") == 2


def test_the_token_is_fetched_once(akvfs, services, spc):
    names = [f"s{i}" for i in range(30)]
    for name in names:
        services.set_secret(name, secret())
    with akvfs.mount(spc(names), "poll_interval=1h") as mount:
        akvfs.ok("refresh", mount.point)
        assert services.token_requests() == 1
        assert services.requests() == 1 + 2 * len(names)


def test_polls_keep_to_the_interval(akvfs, services, spc):
    """Never sooner than the interval less its jitter; times are the services' own."""
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"]), "poll_interval=1s"):
        wait_until(lambda: services.gets("pw") >= 6, "six polls")
    times = services.times("pw")
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert min(gaps) > 0.5, gaps


@pytest.mark.slow
def test_an_outage_is_not_noticed(akvfs, services, spc, readers):
    """The vault away for three intervals: readers notice nothing, and it is said once, with the next
    try. That is never further away than an interval, so that the new value is soon there."""
    interval = 4
    value = secret("before")
    services.set_secret("pw", value)
    services.set_secret("lines", "0:" + secret())
    with akvfs.mount(spc(["pw", "lines"]), f"poll_interval={interval}s") as mount:
        group = readers(mount / "lines", 2)
        services.outage()
        # Three intervals without an answer, by the mount's own account.
        wait_until(
            lambda: mount.status()["objects"][0]["age_seconds"] >= 3 * interval,
            "three intervals have passed",
        )
        wait_until(lambda: mount.status()["objects"][0]["error"], "status says why")
        # There is none while one is under way.
        next_try = wait_until(lambda: mount.status()["objects"][0]["next_poll"], "another try is planned")
        assert datetime.datetime.fromisoformat(next_try).timestamp() <= time.time() + interval
        assert mount.read("pw") == value.encode()
        after = secret("after")
        services.set_secret("pw", after)
        services.recover()
        mount.wait_for("pw", after)
        wait_until(lambda: mount.status()["objects"][0]["error"] is None, "the error is forgotten")
        sums = group.stop()
        assert (sums["torn"], sums["errors"]) == (0, 0)
        lines = mount.log_text().splitlines()
        complaints = [line for line in lines if line[:1] in "EW" and "objectName:pw" in line]
        assert len(complaints) == 1 and "next try in" in complaints[0], complaints
        assert any("recovered" in line and "pw" in line for line in lines)


def test_throttling_slows_the_whole_vault(akvfs, services, spc):
    for name in ("a", "b"):
        services.set_secret(name, secret())
    with akvfs.mount(spc(["a", "b"]), "poll_interval=1s") as mount:
        services.fault("/secrets/a", status=429, retry_after=3600)
        wait_until(lambda: mount.status()["objects"][0]["error"], "a is throttled")
        before = services.gets("b")
        asked = services.gets("a")
        akvfs.run("refresh", mount.point)
        akvfs.run("refresh", mount.point)
        assert services.gets("a") == asked and services.gets("b") - before <= 1


def test_a_transient_failure_is_tried_again(akvfs, services, spc):
    services.set_secret("pw", secret("1"))
    services.fault("/secrets/pw", status=503, times=2)
    with akvfs.mount(spc(["pw"]), "poll_interval=1h"):
        assert services.gets("pw") == 3


def test_an_expired_or_refused_token_is_replaced(akvfs, services, spc):
    services.set_secret("pw", secret("1"))
    with akvfs.mount(spc(["pw"]), "poll_interval=1h") as mount:
        services.fault("/secrets/pw", status=401, times=1)
        value = secret("2")
        services.set_secret("pw", value)
        akvfs.ok("refresh", mount.point)
        mount.wait_for("pw", value)
        assert services.token_requests() == 2


def test_deleted_or_disabled_keeps_the_last_bytes(akvfs, services, spc):
    values = {name: secret(name) for name in ("disabled", "deleted", "forbidden")}
    for name, value in values.items():
        services.set_secret(name, value)
    with akvfs.mount(spc(list(values)), "poll_interval=1h") as mount:
        services.disable("disabled")
        services.delete("deleted")
        services.forbid("forbidden")
        done = akvfs.run("refresh", mount.point)
        assert done.returncode == 1
        wait_until(
            lambda: all(row["error"] for row in mount.status()["objects"]), "status shows the errors"
        )
        for name, value in values.items():
            assert mount.read(name) == value.encode()


def test_status_counts_time_from_the_last_answer(akvfs, services, spc):
    services.set_secret("pw", secret())
    with akvfs.mount(spc(["pw"]), "poll_interval=off") as mount:
        wait_until(lambda: mount.status()["objects"][0]["age_seconds"] >= 1, "a second has passed")
        before = time.time()
        akvfs.ok("refresh", mount.point)
        status = mount.status()
        assert status["objects"][0]["age_seconds"] <= time.time() - before + 1
        assert CANARY in mount.read("pw").decode() and CANARY not in json.dumps(status)
        assert plain_names(mount.point) == ["pw"]
