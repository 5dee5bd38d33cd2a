"""Options that several commands have, and how they are read."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError

Server = Annotated[
    list[str] | None,
    typer.Option(metavar="URL", help="The ComfyUI to use (repeat: a pool), or 'embedded': none. Else IMAGEINE_SERVER."),
]
Servers = Annotated[Path | None, typer.Option(metavar="FILE", help="A TOML or JSON file that lists servers.")]
ComfyUI = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Start the ComfyUI in this folder; else COMFYUI_DIR.")
]
Offload = Annotated[
    str | None,
    typer.Option(
        help="Without ComfyUI: models that wait off the GPU: none, model, sequential, or auto (by its memory)."
    ),
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Without ComfyUI: torch.compile the UNet; pays off over many pictures.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Set any input of the workflow; repeatable.")
]
Mask = Annotated[Path | None, typer.Option(help="A picture, white where to change: replaces the search.")]
Timeout = Annotated[float | None, typer.Option(min=0, metavar="SECONDS", help="Give up and cancel the job after this.")]
Previews = Annotated[Path | None, typer.Option(metavar="DIR", help="Save the unfinished pictures in this folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; messages go to stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")]


def embedded(offload: str | None, compile_unet: bool) -> dict[str, Any]:
    """The options of the engine without ComfyUI that were given.

    Raises ``InputError`` ``option_invalid``, whatever engine it will be.
    """
    if offload is not None:
        from ..engines.embedded import check_options

        check_options(offload, compile_unet)
    given = {"offload": offload, "compile": compile_unet or None}
    return {name: value for name, value in given.items() if value is not None}


def pairs(options: list[str] | None, flag: str, only: str = "") -> dict[str, str]:
    """``["a=1", "b=2"]`` as a dict; a value without a name goes by the name ``only``."""
    found: dict[str, str] = {}
    for option in options or []:
        name, equals, value = option.partition("=")
        if not equals and only:
            name, equals, value = only, "=", option
        if not equals or not name.strip():
            raise InputError("option_invalid", f"{flag} {option!r} is not NAME=VALUE.", f"Write {flag} NAME=VALUE.")
        if name in found:
            raise InputError("option_invalid", f"{flag} names '{name}' twice.", "Keep one of them.")
        found[name] = value
    return found


def named(server: list[str] | None, servers: Path | None) -> list[str] | Path | None:
    """What ``connect`` takes as its server."""
    if server and servers:
        raise InputError("option_invalid", "Both --server and --servers were given.", "Name all servers in one way.")
    return servers or server
