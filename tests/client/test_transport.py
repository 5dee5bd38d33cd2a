"""Addresses, and servers that cannot be used."""

import pytest
from imageine.runner.client import Client
from imageine.runner.client.transport import Address
from imageine.runner.errors import ServerError
from support.client_cases import GRAPH, error_of
from support.scripted_server import ScriptedServer


@pytest.mark.parametrize(
    ("text", "base", "auth"),
    [
        ("http://127.0.0.1:8188", "http://127.0.0.1:8188", None),
        ("http://127.0.0.1:8188/", "http://127.0.0.1:8188", None),
        ("127.0.0.1:8188", "http://127.0.0.1:8188", None),
        ("localhost:9000/comfy/", "http://localhost:9000/comfy", None),
        ("gpu-box", "http://gpu-box:8188", None),
        ("https://host/prefix/", "https://host/prefix", None),
        ("https://me:p%40ss@host:8443", "https://host:8443", ("me", "p@ss")),
        ("wss://host/x", "https://host/x", None),
        ("http://[::1]:8188", "http://[::1]:8188", None),
        ("  http://host  ", "http://host", None),
    ],
)
def test_address(text, base, auth):
    assert Address.parse(text) == Address(base, auth)


@pytest.mark.parametrize("text", ["", "http://", "ftp://host", "http://host:port", "a b", "http://host:99999"])
def test_address_that_is_none(text):
    assert error_of(Address.parse, text).code == "option_invalid"


def test_routes_of_an_address():
    plain, api = Address.parse("http://h/p"), Address.parse("https://h/api")
    assert plain.http("/api/jobs/x") == "http://h/p/api/jobs/x"
    assert api.http("/api/jobs/x") == "https://h/api/jobs/x"
    assert api.http("/prompt") == "https://h/api/prompt"
    assert api.websocket("id") == "wss://h/api/ws?clientId=id"
    assert Address.parse("http://[::1]:1").is_loopback
    assert not Address.parse("http://10.0.0.1").is_loopback


def test_nothing_listens():
    with ScriptedServer() as server:
        url = server.url
    with Client(url) as client:
        error = error_of(client.check)
        assert isinstance(error, ServerError)
        assert error.code == "server_unreachable"
        assert "--server" in error.hint
        assert error_of(client.submit, GRAPH).code == "server_unreachable"


def test_unknown_host_and_tls_to_a_plain_server(server):
    with Client("http://nowhere.invalid:1") as client:
        assert error_of(client.check).code == "server_unreachable"
    with Client(server.url.replace("http://", "https://")) as client:
        assert "http" in error_of(client.check).hint


@pytest.mark.parametrize("answer", [(200, "<html>"), (200, "[]"), (200, '{"system": 3}'), (404, "no")])
def test_something_else_listens(client, server, answer):
    server.fail("GET", "/system_stats", answer)
    server.fail("GET", "/api/system_stats", answer)
    assert error_of(client.check).code == "server_not_comfyui"


@pytest.mark.parametrize(("status", "word"), [(401, "login"), (403, "Origin")])
def test_a_server_that_wants_a_login_or_another_origin(client, server, status, word):
    server.fail("GET", "/system_stats", status)
    error = error_of(client.check)
    assert error.code == "server_refused"
    assert word in error.hint
