"""Which servers make up a pool: addresses, or a TOML or JSON file that lists them."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..client.transport import Address
from ..errors import InputError

_FILES = (".toml", ".json")
_SHAPE = 'It lists servers like this: {"servers": [{"url": "http://gpu1:8188", "weight": 2}]}; in TOML, [[servers]].'


@dataclass(frozen=True)
class ServerSpec:
    """One server of a pool.

    ``weight`` (above 0) is how much it can do beside the others: 2 is twice as fast. ``headers`` go with every request
    to it, such as ``{"Authorization": "Bearer ..."}``.
    """

    url: str
    weight: float = 1.0
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The address without credentials, by which a pool knows the server."""
        return Address.parse(self.url).base


Servers = str | Path | Iterable[str | ServerSpec | Mapping]


def read_servers(source: Servers) -> list[ServerSpec]:
    """The servers that ``source`` names: addresses (one text may hold several, with commas), specs, or a file.

    A file holds ``servers``: a list of addresses, or of tables with ``url`` and, if need be, ``weight`` and
    ``headers``. Raises ``InputError`` (option_invalid) for anything else, for a server named twice, and for none.
    """
    if isinstance(source, Path) or (isinstance(source, str) and source.endswith(_FILES)):
        entries, origin = _read_file(Path(source)), str(source)
    else:
        entries, origin = source.split(",") if isinstance(source, str) else list(source), "The list of servers"
    specs = [read_server(entry) for entry in entries if not isinstance(entry, str) or entry.strip()]
    keys = [spec.key for spec in specs]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise InputError("option_invalid", f"{origin} names {twice} twice.", "Name every server once.")
    if not specs:
        raise InputError("option_invalid", f"{origin} names no server.", _SHAPE)
    return specs


def read_server(entry: Any) -> ServerSpec:
    """One server: its address, a table as in a file, or a spec. Raises ``InputError`` (option_invalid)."""
    if isinstance(entry, str):
        entry = {"url": entry.strip()}
    if isinstance(entry, Mapping):
        unknown = sorted(entry.keys() - {"url", "weight", "headers"})
        if unknown or not isinstance(entry.get("url"), str):
            what = f"the key {unknown[0]!r} is unknown" if unknown else "it has no url"
            raise InputError("option_invalid", f"{dict(entry)!r} is no server: {what}.", _SHAPE)
        entry = ServerSpec(entry["url"], entry.get("weight", 1.0), entry.get("headers", {}))
    if not isinstance(entry, ServerSpec):
        raise InputError("option_invalid", f"{entry!r} is no server.", _SHAPE)
    Address.parse(entry.url)
    weight, headers = entry.weight, entry.headers
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        message = f"The weight of {entry.key} is {weight!r}, and must be a number above 0."
        raise InputError("option_invalid", message, "A server twice as fast as the others has the weight 2.")
    if not isinstance(headers, Mapping) or not all(isinstance(text, str) for text in headers.values()):
        raise InputError("option_invalid", f"The headers of {entry.key} are no table of texts.", _SHAPE)
    return entry


def _read_file(path: Path) -> list:
    try:
        text = path.read_text(encoding="utf-8")
        content = _read_toml(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:  # both formats' errors are ValueErrors
        raise InputError("option_invalid", f"The servers of {path} cannot be read: {error}.", _SHAPE) from error
    entries = content.get("servers") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise InputError("option_invalid", f"{path} has no list of servers.", _SHAPE)
    return entries


def _read_toml(text: str) -> dict:
    try:
        import tomllib
    except ImportError as error:  # Python 3.10
        raise ValueError("this Python reads no TOML; write it as JSON") from error
    return tomllib.loads(text)
