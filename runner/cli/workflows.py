"""The commands that look at a workflow without running it: ``imageine inputs`` and ``imageine convert``."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from . import console

if TYPE_CHECKING:
    from ..workflow import Input, Workflow

File = Annotated[str, typer.Argument(metavar="WORKFLOW", help="A workflow file, or the name of a shipped one.")]
Server = Annotated[
    str | None, typer.Option(metavar="URL", help="Ask this ComfyUI for its node definitions; else IMAGEINE_SERVER.")
]
ObjectInfo = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Node definitions in a file: what a server answers to /object_info."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; messages go to stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Print tracebacks of errors.")]

_WIDEST = 60
_UNLIMITED = 2**63 - 1  # what nodes without a limit say; a seed's 2^64 - 1 says as little


def inputs(
    workflow: File, server: Server = None, object_info: ObjectInfo = None, as_json: AsJson = False, debug: Debug = False
) -> None:
    """List the inputs of a workflow that --set and --image take."""
    with console.reporting(as_json=as_json, debug=debug):
        from dataclasses import asdict

        loaded = _load(workflow, server, object_info)
        if as_json:
            entries = [asdict(entry) for entry in loaded.inputs.values()]
            console.print_json({"workflow": loaded.name, "inputs": entries, "models": loaded.models})
            return
        _print_notes(loaded)
        rows = [(entry.name, _type(entry), _value(entry), _range(entry)) for entry in loaded.inputs.values()]
        widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
        for *cells, last in rows:
            line = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            print(f"{line}  {last}".rstrip())


def convert(
    workflow: File,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT", help="Where to write it; else on stdout.")
    ] = None,
    server: Server = None,
    object_info: ObjectInfo = None,
    debug: Debug = False,
) -> None:
    """Convert a workflow from the editor's own format to the API format, as the editor does."""
    with console.reporting(debug=debug):
        loaded = _load(workflow, server, object_info)
        _print_notes(loaded)
        text = json.dumps(loaded.graph(), indent=2, ensure_ascii=False) + "\n"
        if output is None:
            print(text, end="")
            return
        from ..pictures import output_files

        output_files.write(output, text.encode())
        print(output)


def _load(source: str, server: str | None, object_info: Path | None) -> "Workflow":
    """The workflow, with the node definitions of ``object_info`` or ``server`` if one is given or needed."""
    from ..workflow import Workflow

    if server and object_info:
        raise InputError("option_invalid", "Both --server and --object-info were given.", "Give one of them.")
    workflow = Workflow.load(source)
    if object_info:
        workflow.resolve(_read_definitions(object_info))
    elif server or workflow.needs_definitions:
        from ..engines.connection import connect

        with connect(server, None, console.note) as client:
            workflow.resolve(client.object_info())
    return workflow


def _read_definitions(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"--object-info {path} cannot be read: {error}."
        raise InputError("option_invalid", message, "Save what http://SERVER/object_info answers.") from error
    if not isinstance(data, dict) or not all(isinstance(entry, dict) and "input" in entry for entry in data.values()):
        message = f"--object-info {path} holds no node definitions."
        raise InputError("option_invalid", message, "Save what http://SERVER/object_info answers.")
    return data


def _print_notes(workflow: "Workflow") -> None:
    for text in workflow.notes:
        console.note(text)


def _type(entry: "Input") -> str:
    whole = {"INT": "whole number", "COMBO": "choice"}
    return entry.kind if entry.kind in ("image", "mask") else whole.get(entry.type, entry.kind)


def _value(entry: "Input") -> str:
    return "" if entry.kind == "mask" else _short(repr(entry.value))


def _range(entry: "Input") -> str:
    if entry.kind in ("image", "mask"):
        return ""
    if entry.choices is not None:
        return _short(" | ".join(str(choice) for choice in entry.choices))
    limits = (entry.low, entry.high)
    if entry.type in ("INT", "FLOAT") and all(limit is not None and abs(limit) < _UNLIMITED for limit in limits):
        return f"{entry.low} to {entry.high}"
    return ""


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."
