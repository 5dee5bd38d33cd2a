"""Which engine a command works with: a ComfyUI on a server, one that is started for the time being, or none at all."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, ServerError

if TYPE_CHECKING:
    from ..client import Client
    from ..pool import Pool

EMBEDDED = "embedded"  # in place of a server's address: no ComfyUI, even if there is one


@contextlib.contextmanager
def connect(
    server: "str | Sequence[str] | Path | None" = None,
    comfyui: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
    embedded: Mapping[str, Any] | None = None,
) -> "Iterator[Client | Pool]":
    """A client of what is to run the workflow, and to ``tell`` which one it is; closed, or stopped, afterwards.

    In this order: ``server`` ("embedded" for no ComfyUI); the ComfyUI in the folder ``comfyui``, started for the time
    being; the server named by IMAGEINE_SERVER; one that answers on 127.0.0.1:8188; a ComfyUI found on this machine,
    started for the time being; without any, the embedded engine. Several servers (a sequence, a text with commas, or
    a ``Path`` to a file as ``pool.config`` reads it) give a ``Pool``. ``embedded`` are options of ``EmbeddedClient``,
    for when it comes to that.

    Raises ``ServerError``: ``comfyui_missing`` when there is none and the embedded engine lacks packages, and what
    ``Client.check``, ``Pool`` and ``ManagedComfyUI`` raise; ``InputError`` ``option_invalid`` when both are given.
    """
    from . import comfyui as places

    if server and comfyui:
        raise InputError("option_invalid", "Both a server and a ComfyUI folder were given.", "Give one of them.")
    tell = tell or (lambda text: None)
    make_embedded = functools.partial(_embedded, tell, embedded or {})
    server = _one_or_several(server or ("" if comfyui else os.environ.get("IMAGEINE_SERVER", "")))
    if not isinstance(server, str):
        with _pooled(server, tell) as pool:
            yield pool
        return
    if server == EMBEDDED:
        with make_embedded() as client:
            yield client
        return
    client = None if comfyui else places.find_server(server or None)
    if client is not None:
        with contextlib.closing(client):
            tell(f"Using the ComfyUI at {client.url}.")
            yield client
        return
    folder = places.find_comfyui(Path(comfyui) if comfyui else None)
    with _started(folder, tell) if folder else make_embedded(places.DEFAULT_SERVER) as client:
        yield client


def _one_or_several(server: "str | Sequence[str] | Path") -> "str | list[str] | Path":
    if isinstance(server, Path):
        return server
    texts = [server] if isinstance(server, str) else server
    addresses = [address.strip() for text in texts for address in text.split(",") if address.strip()]
    return addresses if len(addresses) > 1 else "".join(addresses)


@contextlib.contextmanager
def _pooled(servers: "list[str] | Path", tell: Callable[[str], None]) -> "Iterator[Pool]":
    from ..pool import Pool

    with Pool(servers) as pool:
        states = pool.servers()
        up = [state for state in states if not state.reason]
        tell(f"{len(up)} of {len(states)} servers answer.")
        for state in states:
            if state.reason:
                tell(f"Not used: {state.url}. {state.reason}")
        yield pool


@contextlib.contextmanager
def _started(folder: Path, tell: Callable[[str], None]) -> "Iterator[Client]":
    from ..client import Client
    from .managed import ManagedComfyUI

    tell(f"Starting the ComfyUI in {folder} ...")
    with ManagedComfyUI(folder) as managed, contextlib.closing(Client(managed.url)) as client:
        tell(f"It is ready at {managed.url} and ends with this command.")
        yield client


@contextlib.contextmanager
def _embedded(tell: Callable[[str], None], options: Mapping[str, Any], looked_at: str = "") -> "Iterator[Client]":
    """``looked_at``: where no ComfyUI answered, when one was looked for."""
    from .embedded import EmbeddedClient, missing_packages

    if looked_at and (missing := missing_packages()):
        raise ServerError(
            "comfyui_missing",
            f"No ComfyUI was found: none answers at {looked_at}, IMAGEINE_SERVER and COMFYUI_DIR are not "
            "set, and there is none around this package nor in ~/comfy/ComfyUI or ~/Documents/comfy/ComfyUI.",
            "Start ComfyUI, name its address with --server, or name its folder with --comfyui. To install one: "
            "imageine setup. To do without (this Python lacks "
            f"{', '.join(missing)}): pip install 'imageine[embedded]'",
        )
    with EmbeddedClient(**options) as client:
        tell(f"{'No ComfyUI was found: working' if looked_at else 'Working'} without one, on the {client.device}.")
        yield client
