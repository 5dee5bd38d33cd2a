"""A scripted server, and an impatient client of it."""

import pytest
from imageine.runner.client import Client
from support.client_cases import hasten
from support.scripted_server import ScriptedServer


@pytest.fixture
def server():
    with ScriptedServer() as running:
        yield running


@pytest.fixture
def client(server, monkeypatch):
    hasten(monkeypatch)
    with Client(server.url, timeout=10, grace=0.5, stalled_after=0.5) as client:
        yield client
