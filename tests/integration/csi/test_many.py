"""Many volumes of one node, and how long a pod waits for its own."""

import concurrent.futures
import time

import pytest
from services import secret

OBJECTS = 10


def publish_timed(node, pod, **keywords):
    began = time.monotonic()
    node.kubelet.publish(pod, **keywords)
    return time.monotonic() - began


def test_a_cold_publish_takes_a_few_round_trips_and_a_warm_one_none(node):
    names = [f"s{i}" for i in range(OBJECTS)]
    for name in names:
        node.services.set_secret(name, secret())
    node.put_class("shop", names)
    latency = 1.0
    node.services.latency(int(latency * 1000))
    cold = publish_timed(node, first := node.kubelet.pod("shop", "web-0", account="web"))
    requests = node.services.emulator.count()
    pods = [node.kubelet.pod("shop", f"web-{i}", account="web") for i in range(1, 6)]
    warm = min(publish_timed(node, pod) for pod in pods)
    print(f"cold {cold / latency:.2f}, warm {warm / latency:.3f} of the vault's latency")
    assert cold < 6 * latency
    assert warm < latency / 2
    assert node.services.emulator.count() == requests, "not one request"
    for pod in [first, *pods]:
        node.kubelet.unpublish(pod)


@pytest.mark.slow
def test_a_burst_of_publishes(node):
    """20 pods of 15 volumes each at once; then kubelet asks about each again."""
    for name in ("pw", "other"):
        node.services.set_secret(name, secret())
    node.put_class("shop", ["pw", "other"])
    pods = [
        [node.kubelet.pod("shop", f"web-{i}", account="web", volume=f"v{j}") for j in range(15)]
        for i in range(20)
    ]

    def publish_all(volumes):
        with node.kubelet.connect() as channel:
            return [publish_timed(node, volume, timeout=120, channel=channel) for volume in volumes]

    with concurrent.futures.ThreadPoolExecutor(len(pods)) as pool:
        took = [t for times in pool.map(publish_all, pods) for t in times]
        assert sorted(node.mounts()) == sorted(str(v.target) for it in pods for v in it)
        assert node.services.emulator.count(operation="secrets.get") == 2, "one poll for all"
        requests, asked = node.services.emulator.count(), len(node.api.verbs())
        again = [t for times in pool.map(publish_all, pods) for t in times]
        assert node.services.emulator.count() == requests
        assert len(node.api.verbs()) == asked
        print(f"slowest of {len(took)}: {max(took):.2f} s; a republish: {sum(again) / len(again):.4f} s")

        def unpublish_all(volumes):
            with node.kubelet.connect() as channel:
                for volume in volumes:
                    node.kubelet.unpublish(volume, timeout=120, channel=channel)

        list(pool.map(unpublish_all, pods))
    assert node.mounts() == []
