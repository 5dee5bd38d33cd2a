"""HTTP to one ComfyUI server: addresses, retries, and every network failure as a ``ServerError``."""

import contextlib
import ipaddress
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import requests

from ..errors import InputError, ServerError

CONNECT_SECONDS = 10.0
RETRY_DELAYS = (0.1, 0.3, 0.9)
RETRIED_STATUSES = (502, 503, 504)  # a proxy in front, for a moment without its server
COMFYUI_PORT = 8188
KEPT_SECONDS = 2.0  # servers and proxies keep an idle connection for much longer

_SCHEMES = {"": "http", "http": "http", "https": "https", "ws": "http", "wss": "https"}


class Unreachable(ServerError):
    """No answer. ``sent`` is False when the request surely never reached the server, True when it may have."""

    def __init__(self, message: str, hint: str, *, sent: bool, timed_out: bool = False):
        super().__init__("server_unreachable", message, hint)
        self.sent = sent
        self.timed_out = timed_out


class Refused(ServerError):
    """The server answered with an HTTP error ``status``; ``body`` is its JSON, or its text."""

    def __init__(self, message: str, hint: str, status: int, body):
        super().__init__("server_refused", message, hint, {"status": status, "body": body})
        self.status = status
        self.body = body


@dataclass(frozen=True)
class Address:
    """Where a server is: ``base`` without trailing slash or credentials, and the ``(user, password)`` it had."""

    base: str
    auth: tuple[str, str] | None = None

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``http(s)://[user:password@]host[:port][/prefix]``, or ``host[:port]`` (port 8188).

        Raises ``InputError`` (option_invalid) for anything else.
        """
        text = text.strip()
        try:
            parts = urlsplit(text if "://" in text else f"//{text}")
            scheme, host, port = _SCHEMES[parts.scheme], parts.hostname, parts.port
        except (KeyError, ValueError):
            host = None
        if not host or any(char.isspace() for char in text):
            raise InputError(
                "option_invalid",
                f"'{text}' is not the address of a server.",
                "Write it like http://127.0.0.1:8188, https://host/prefix, or host:port.",
            )
        if port is None and not parts.scheme:
            port = COMFYUI_PORT
        host = f"[{host}]" if ":" in host else host
        netloc = host if port is None else f"{host}:{port}"
        auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        return cls(urlunsplit((scheme, netloc, parts.path.rstrip("/"), "", "")), auth)

    @property
    def host(self) -> str:
        return urlsplit(self.base).hostname or ""

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def http(self, path: str) -> str:
        """The URL of a route. A base that ends in /api serves the /api/... routes without saying it twice."""
        if self.base.endswith("/api") and path.startswith("/api/"):
            path = path.removeprefix("/api")
        return self.base + path

    def websocket(self, client_id: str) -> str:
        return "ws" + self.base.removeprefix("http") + f"/ws?clientId={quote(client_id)}"


class Transport:
    """Requests to one server. GETs are tried again after a reset or a proxy's 5xx; nothing else is.

    ``timeout`` is the longest silence of the server within one request, in seconds.
    """

    def __init__(self, address: Address, timeout: float, headers: dict | None):
        self.address = address
        self.timeout = timeout
        self.headers = dict(headers or {})
        self.session = self.new_session()
        self._answered = -math.inf  # when the last answer came, on ``session``

    def new_session(self) -> requests.Session:
        """A session with this server's headers and credentials, and no connection yet."""
        session = requests.Session()
        session.headers.update({"Accept-Encoding": "identity", **self.headers})
        session.auth = self.address.auth
        # Otherwise HTTP_PROXY would send requests for this very machine to a proxy.
        session.trust_env = not self.address.is_loopback
        return session

    @contextlib.contextmanager
    def sure_session(self) -> Iterator[requests.Session]:
        """A session whose connection surely lives: the one in use, or a new one if that was idle.

        On a connection that the server just closed, a lost request looks like a lost answer.
        """
        if time.monotonic() - self._answered < KEPT_SECONDS:
            yield self.session
            return
        with self.new_session() as session:
            yield session

    def close(self) -> None:
        self.session.close()

    def get(self, path: str, *, method: str = "GET", **options) -> requests.Response:
        """GET (or HEAD) a route, with retries; see ``send`` for the errors."""
        for delay in RETRY_DELAYS:
            try:
                return self.send(method, path, **options)
            except Unreachable as error:
                if not error.sent or error.timed_out:
                    raise
            except Refused as error:
                if error.status not in RETRIED_STATUSES:
                    raise
            time.sleep(delay)
        return self.send(method, path, **options)

    def get_json(self, path: str, **options):
        """GET a route that answers JSON. Raises ``ServerError`` (server_refused) for anything else."""
        response = self.get(path, **options)
        try:
            return response.json()
        except ValueError as error:
            raise Refused(
                f"{self.address.base} answered GET {path} with something that is not JSON.",
                "Is a proxy or a login page in front of ComfyUI?",
                response.status_code,
                response.text[:500],
            ) from error

    def send(self, method: str, path: str, *, session: requests.Session | None = None, **options) -> requests.Response:
        """One request, tried once; any 2xx is returned with its body read.

        Raises ``Unreachable`` when no whole answer came and ``Refused`` for an HTTP error. Redirects are followed
        for GET and HEAD; for others they are an error, because following would turn a POST into a GET.
        """
        options.setdefault("allow_redirects", method in ("GET", "HEAD"))
        options.setdefault("timeout", (min(self.timeout, CONNECT_SECONDS), self.timeout))
        try:
            response = (session or self.session).request(method, self.address.http(path), **options)
        except requests.RequestException as error:
            raise self._unreachable(error, f"{method} {path}") from error
        if session in (None, self.session):
            self._answered = time.monotonic()
        if not 200 <= response.status_code < 300:
            raise self._refused(response, f"{method} {path}")
        return response

    def _unreachable(self, error: requests.RequestException, what: str) -> Unreachable:
        base, text = self.address.base, str(error)
        if isinstance(error, requests.exceptions.SSLError):
            hint = "The server may speak plain http, or its certificate is not trusted here."
            return Unreachable(f"No TLS connection to {base}: {text}.", hint, sent=False)
        if isinstance(error, requests.exceptions.ConnectTimeout):
            hint = "Is the address right, and does a firewall let it through?"
            return Unreachable(f"{base} did not accept a connection in time.", hint, sent=False)
        if isinstance(error, requests.exceptions.Timeout):
            hint = "It may be busy or hung: look at its log, or allow more time."
            return Unreachable(
                f"{base} did not answer {what} within {self.timeout:g} s.", hint, sent=True, timed_out=True
            )
        hint = "Start ComfyUI there (python main.py), or give another address with --server."
        if any(mark in text for mark in ("NewConnectionError", "NameResolutionError", "Failed to resolve", "refused")):
            return Unreachable(f"Nothing answers at {base}.", hint, sent=False)
        return Unreachable(f"{base} closed the connection during {what}.", "Look at the server's log.", sent=True)

    def _refused(self, response: requests.Response, what: str) -> Refused:
        body = response.text[:20_000]
        with contextlib.suppress(ValueError):
            body = json.loads(response.content)
        status = response.status_code
        shown = " ".join((body if isinstance(body, str) else json.dumps(body)).split())[:300]
        message = f"{self.address.base} answered {what} with {status} {response.reason or ''}".rstrip()
        hint = _HINTS.get(status, "")
        if 300 <= status < 400:
            hint = f"Use the address it points to: {response.headers.get('Location', 'not given')}"
        elif status >= 500:
            hint = "The server's log says why; its disk may be full."
        return Refused(f"{message}: {shown}" if shown else f"{message}.", hint, status, body)


_HINTS = {
    401: "It wants a login: write the address as http://user:password@host, or pass an Authorization header.",
    403: "ComfyUI refuses an Origin header that differs from its Host; a proxy in front may want a login.",
    413: "That is larger than the server accepts: start ComfyUI with a larger --max-upload-size (MB, normally 100).",
}
