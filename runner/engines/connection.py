"""Which ComfyUI a command works with."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, ServerError

if TYPE_CHECKING:
    from ..client import Client


@contextlib.contextmanager
def connect(
    server: str | None = None, comfyui: str | Path | None = None, tell: Callable[[str], None] | None = None
) -> "Iterator[Client]":
    """A client of the ComfyUI to use, and to ``tell`` which one it is; closed, or stopped, afterwards.

    In this order: ``server``; the ComfyUI in the folder ``comfyui``, started for the time being; the server named by
    IMAGEINE_SERVER; one that answers on 127.0.0.1:8188; a ComfyUI found on this machine, started for the time being.

    Raises ``ServerError``: ``comfyui_missing`` when there is none, and what ``Client.check`` and ``ManagedComfyUI``
    raise; ``InputError`` ``option_invalid`` when both are given.
    """
    from . import comfyui as places

    if server and comfyui:
        raise InputError("option_invalid", "Both a server and a ComfyUI folder were given.", "Give one of them.")
    tell = tell or (lambda text: None)
    client = None if comfyui else places.find_server(server)
    if client is not None:
        with contextlib.closing(client):
            tell(f"Using the ComfyUI at {client.url}.")
            yield client
        return
    folder = places.find_comfyui(Path(comfyui) if comfyui else None)
    if folder is None:
        raise ServerError(
            "comfyui_missing",
            f"No ComfyUI was found: none answers at {places.DEFAULT_SERVER}, IMAGEINE_SERVER and COMFYUI_DIR are not "
            "set, and there is none around this package nor in ~/comfy/ComfyUI or ~/Documents/comfy/ComfyUI.",
            "Start ComfyUI, name its address with --server, or name its folder with --comfyui. "
            "To install one: pip install comfy-cli && comfy install",
        )
    with _started(folder, tell) as client:
        yield client


@contextlib.contextmanager
def _started(folder: Path, tell: Callable[[str], None]) -> "Iterator[Client]":
    from ..client import Client
    from .managed import ManagedComfyUI

    tell(f"Starting the ComfyUI in {folder} ...")
    with ManagedComfyUI(folder) as managed, contextlib.closing(Client(managed.url)) as client:
        tell(f"It is ready at {managed.url} and ends with this command.")
        yield client
