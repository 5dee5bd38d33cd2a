"""The command ``imageine``: arguments and printing. What it does is in ``editing``, ``running`` and ``models``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from ... import __version__
from . import console
from .batch import batch
from .doctor import doctor
from .models import app as models_app
from .options import (
    AsJson,
    ComfyUI,
    Compile,
    Debug,
    Mask,
    Offload,
    Previews,
    Quiet,
    Server,
    Servers,
    Settings,
    Timeout,
    embedded,
    named,
    pairs,
)
from .routing import route
from .setup import setup
from .workflows import convert, inputs

app = typer.Typer(
    name="imageine",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: to load rich takes longer than all the rest of the start
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Edit a photo by text, with the workflows of ComfyUI.",
    epilog="Exit codes: 0 done, 2 bad input, 3 workflow, 4 server, 5 job, 6 models, 7 doctor: a problem, 130 stopped.",
)

app.add_typer(models_app, name="models")
app.command()(doctor)
app.command()(setup)


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"imageine {__version__}")
        raise typer.Exit


@app.command()
def edit(
    photo: Annotated[Path, typer.Argument(help="The photo: JPEG, PNG, WebP, TIFF, ...")],
    wish: Annotated[str, typer.Argument(help='What to change: "make the car blue", or "blue car".')],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write: .png, .jpg or .webp.")],
    target: Annotated[str | None, typer.Option(help="What to change, in words, when the wish does not say it.")] = None,
    mask: Mask = None,
    reference: Annotated[
        Path | None, typer.Option(help="A picture to take the garment, object, material or style from.")
    ] = None,
    pipeline: Annotated[
        str, typer.Option(help="simple (colour, material, removal), complex (keeps pose or depth), or auto.")
    ] = "auto",
    explain: Annotated[bool, typer.Option("--explain", help="Say why it is done in this way.")] = False,
    negative: Annotated[str | None, typer.Option(help="What must not appear.")] = None,
    seed: Annotated[str | None, typer.Option(help="A number gives the same result again; else random.")] = None,
    steps: Annotated[int | None, typer.Option(help="Sampling steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How closely to follow the words.")] = None,
    workflow: Annotated[
        str | None, typer.Option(help="A workflow file, or a shipped one; else the wish decides.")
    ] = None,
    settings: Settings = None,
    server: Server = None,
    servers: Servers = None,
    comfyui: ComfyUI = None,
    offload: Offload = None,
    compile_unet: Compile = False,
    timeout: Timeout = None,
    previews: Previews = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Change one thing in a photo, and nothing else."""
    with console.reporting(as_json=as_json, debug=debug):
        from .. import editing
        from ..pictures import output_files

        output_files.check_output(output, source=photo)
        options = {"target": target, "mask": mask, "negative": negative, "seed": seed, "steps": steps}
        options |= {"guidance": guidance, "workflow": workflow, "settings": pairs(settings, "--set")}
        options |= {"pipeline": pipeline, "reference": reference}
        with _display(quiet, previews, explain=explain) as display:
            result = editing.edit(
                photo,
                wish,
                **options,
                server=named(server, servers),
                comfyui=comfyui,
                embedded=embedded(offload, compile_unet),
                timeout=timeout,
                previews=previews is not None,
                on_event=display.on_event,
            )
        result.save(output)
        _report_edit(result, output, as_json=as_json, quiet=quiet)


@app.command()
def run(
    workflow: Annotated[str, typer.Argument(help="A workflow file, or the name of a shipped one.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="The folder for what it makes.")],
    settings: Settings = None,
    images: Annotated[
        list[str] | None, typer.Option("--image", metavar="NAME=PATH", help="A photo for an input; repeatable.")
    ] = None,
    mask: Mask = None,
    seed: Annotated[str | None, typer.Option(help="For every seed in it: a number, or random. Else as saved.")] = None,
    server: Server = None,
    servers: Servers = None,
    comfyui: ComfyUI = None,
    offload: Offload = None,
    compile_unet: Compile = False,
    timeout: Timeout = None,
    previews: Previews = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Run any workflow and save what it makes."""
    with console.reporting(as_json=as_json, debug=debug):
        from .. import running
        from ..pictures import output_files

        output_files.check_output_folder(output)
        with _display(quiet, previews) as display:
            result = running.run(
                workflow,
                settings=pairs(settings, "--set"),
                images=pairs(images, "--image", only="image"),
                mask=mask,
                seed=seed,
                server=named(server, servers),
                comfyui=comfyui,
                embedded=embedded(offload, compile_unet),
                timeout=timeout,
                previews=previews is not None,
                on_event=display.on_event,
            )
        _report_run(result, output, as_json=as_json, quiet=quiet)


app.command()(batch)
app.command()(route)
app.command()(inputs)
app.command()(convert)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The sheet: .png, .jpg or .webp.")] = Path("demo.png"),
    comfyui: ComfyUI = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Three true edits of bundled pictures with toy models: shows that everything works, without any download."""
    with console.reporting(debug=debug):
        from ..demo import run_demo

        with _display(quiet, None) as display:
            result = run_demo(output, comfyui=comfyui, on_event=display.on_event)
        if not quiet:
            print(result.path)


def main() -> None:
    """Entry point of the command ``imageine``."""
    app()


def _display(quiet: bool, previews: Path | None, *, explain: bool = False) -> console.Display:
    if previews is not None:
        from ..pictures import output_files

        output_files.check_output_folder(previews).mkdir(parents=True, exist_ok=True)
    return console.Display(quiet=quiet, previews=previews, explain=explain)


def _report_edit(result: Any, output: Path, *, as_json: bool, quiet: bool) -> None:
    own = result.metadata["imageine"]
    if as_json:
        facts = {"output": str(output), "seconds": round(result.seconds, 3), "notes": result.notes}
        console.print_json(facts | own | {"decision": result.decision.to_dict()})
    elif not quiet:
        console.note(f"Seed {own.get('seed', 'unknown')}, {result.seconds:.1f} s.")
        print(output)


def _report_run(result: Any, folder: Path, *, as_json: bool, quiet: bool) -> None:
    from ..pictures import output_files
    from ..workflow.naming import slug

    paths = []
    for output in result.outputs:
        suffix = Path(output.filename).suffix
        path = output_files.free_name(folder, slug(output.title) or output.node_id, suffix)
        output_files.write(path, output.data)
        paths.append(str(path))
    if as_json:
        facts = {"outputs": paths, "seconds": round(result.seconds, 3), "notes": result.notes}
        console.print_json(facts | result.metadata["imageine"])
    elif not quiet:
        print("\n".join(paths))
