"""How long a pod waits for its volume."""

import time

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
