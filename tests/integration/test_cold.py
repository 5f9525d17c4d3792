"""The time to mount N objects is a few round trips, not N."""

import pytest

from services import secret

N = 100
LATENCY_MS = 200  # large beside what the sanitizers cost; bench/ measures at 50 ms without them


@pytest.mark.slow
def test_a_hundred_objects_take_a_few_round_trips(akvfs, services, spc):
    import time

    names = [f"s{i}" for i in range(N)]
    for name in names:
        services.set_secret(name, secret(name))
    services.latency(LATENCY_MS)
    trip = services.round_trip()
    point = akvfs.point()
    path = akvfs.class_file(spc(names))
    began = time.monotonic()
    akvfs.ok(*akvfs.words(path, point, "poll_interval=1h"))
    took = time.monotonic() - began
    services.latency(0)
    assert services.requests() == N + 1
    akvfs.ok("unmount", point)
    # One for the token, the rest over a few connections, kept alive.
    ratio = took / trip
    print(f"{N} objects at {trip * 1000:.0f} ms: {took * 1000:.0f} ms, {ratio:.1f} round trips")
    assert ratio <= 12
