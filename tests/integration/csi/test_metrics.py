"""The driver's pages: /healthz, and /metrics as Prometheus' own parser reads it."""

import math
import subprocess
import urllib.error
import urllib.request

import pytest
from machine import BUILD, wait_until
from prometheus_client.parser import text_string_to_metric_families


@pytest.fixture(scope="module")
def program():
    """web_sample.c, and the address of its pages."""
    process = subprocess.Popen(
        [BUILD / "tests" / "web-sample"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process, f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.stdin.close()
    assert process.wait(20) == 0


@pytest.fixture(scope="module")
def page(program):
    with urllib.request.urlopen(program[1] + "/metrics", timeout=20) as answer:
        return answer.headers, answer.read().decode()


@pytest.fixture(scope="module")
def families(page):
    return {family.name: family for family in text_string_to_metric_families(page[1])}


def values(family, name):
    return {tuple(sorted(s.labels.items())): s.value for s in family.samples if s.name == name}


def test_health_is_the_process_s_own(program):
    process, url = program

    def health():
        try:
            with urllib.request.urlopen(url + "/healthz", timeout=20) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    assert health() == (200, b"ok")
    for wanted in ((503, b"not ready"), (200, b"ok")):
        process.stdin.write("\n")
        process.stdin.flush()
        wait_until(lambda w=wanted: health() == w, f"/healthz answers {wanted}")


def test_the_content_has_the_type_of_the_text_format(page):
    assert page[0]["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert page[1].endswith("\n")


def test_every_family_has_a_kind_and_a_help(families):
    kinds = {name: family.type for name, family in families.items()}
    assert kinds == {
        "node_publish": "counter",
        "node_publish_error": "counter",
        "node_unpublish": "counter",
        "node_unpublish_error": "counter",
        "rotation_reconcile": "counter",
        "rotation_reconcile_error": "counter",
        "akvfs_publish_duration_seconds": "histogram",
        "akvfs_republish_error": "counter",
        "akvfs_volumes": "gauge",
        "akvfs_volumes_failing": "gauge",
        "akvfs_volumes_outdated": "gauge",
        "akvfs_classes_watched": "gauge",
        "akvfs_classes_failing": "gauge",
        "akvfs_vault_requests": "counter",
        "akvfs_events": "counter",
        "akvfs_build_info": "gauge",
        "akvfs_metrics_dropped": "counter",
    }
    assert all(family.documentation for family in families.values())


def test_values_come_through_as_they_were_counted(families):
    def one(name, sample):
        (value,) = values(families[name], sample).values()
        return value

    assert one("node_publish", "node_publish_total") == 90
    assert one("node_publish_error", "node_publish_error_total") == 10
    assert one("akvfs_volumes", "akvfs_volumes") == 30
    assert one("akvfs_vault_requests", "akvfs_vault_requests_total") == 1234567890123
    assert one("akvfs_metrics_dropped", "akvfs_metrics_dropped_total") == 0
    (event,) = families["akvfs_events"].samples
    assert event.labels == {"reason": 'a "quoted\\ reason\nä'}


def test_a_histogram_grows_to_its_count(families):
    family = families["akvfs_publish_duration_seconds"]
    for code, count in (("OK", 90), ("Unavailable", 10)):
        samples = [s for s in family.samples if s.labels["code"] == code]
        buckets = [(float(s.labels["le"]), s.value) for s in samples if s.name.endswith("_bucket")]
        assert buckets == sorted(buckets) and buckets[-1] == (math.inf, count)
        assert [s.value for s in samples if s.name.endswith("_count")] == [count]
        taken = [n * n / 1000 for n in range(100) if (n % 10 == 0) == (code != "OK")]
        for bound, below in buckets:
            assert below == sum(1 for t in taken if t <= bound)
        (total,) = [s.value for s in samples if s.name.endswith("_sum")]
        assert math.isclose(total, sum(taken))
