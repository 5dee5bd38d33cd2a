"""Fleets of server processes, and an impatient pool of them."""

import pytest
from imageine.runner import Pool
from support.client_cases import hasten
from support.fleet import Fleet


@pytest.fixture
def make_fleet(tmp_path):
    """Call it with the arguments of ``Fleet`` after the folder."""
    fleets = []

    def make(*arguments, **options):
        fleets.append(Fleet(tmp_path, *arguments, **options).__enter__())
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.stop()


@pytest.fixture
def make_pool(monkeypatch):
    """Call it with servers: a pool that waits no longer than a test can."""
    hasten(monkeypatch)

    def make(servers, **options):
        waits = {"timeout": 10, "grace": 0.3, "stalled_after": 30, "patience": 30, "pauses": (0.05, 0.2)}
        return Pool(servers, **(waits | options))

    return make
