"""`imageine demo`: true edits without any download, on bundled pictures with small models of our own.

The pictures are coloured shapes before photographs that scikit-image ships, all without copyright restrictions:
`coffee` by Rachel Michetti, courtesy of Pikolo Espresso Bar, CC0; `rocket` by SpaceX, public domain; `gravel` by
CC0Textures, CC0.

Imports of the runner stand inside the functions: ``trained`` has to load in ComfyUI's own interpreter too, which
need not have the runner's packages.
"""

import contextlib
import copy
import functools
import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from PIL import Image

    from ..client import Client
    from ..editing import EditResult
    from ..jobs import OnEvent

PICTURES = Path(__file__).with_name("pictures")
EDITS = (
    (PICTURES / "coffee.jpg", "make the blue circle orange"),
    (PICTURES / "rocket.jpg", "remove the green star"),
    (PICTURES / "gravel.jpg", "make the red square striped"),
)
SEED = 1
# What the toy painter does best: it was trained on crops of this size, and masks of plain shapes need little margin.
SETTINGS = {"width": 256, "height": 256, "grow": 4, "feather": 5, "blend": 4}
STEPS = 12
GUIDANCE = 2.0
BLEND_MASK = "Blend Mask"

# Run by the Python that runs ComfyUI: it has torch, and this program's own may not.
_MAKE_MODELS = """
import importlib.util, pathlib, sys
root, cache = map(pathlib.Path, sys.argv[1:3])
spec = importlib.util.spec_from_file_location(
    "imageine", root / "__init__.py", submodule_search_locations=[str(root)])
sys.modules["imageine"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["imageine"])
from imageine.runner.demo import trained
print(trained.models_folder(cache, sys.argv[3:]))
"""


@dataclass
class DemoEdit:
    """One of the demo's edits; ``path`` holds the edited picture.

    ``changed`` is the fraction of pixels that differ from the picture, ``inside`` the fraction that the edit was
    allowed to touch, ``outside`` the largest difference of the others, in 8-bit levels: 0 unless something is broken.
    """

    wish: str
    path: Path
    changed: float
    inside: float
    outside: int
    result: "EditResult"


@dataclass
class DemoResult:
    """``path`` holds the sheet of all pictures before and after."""

    path: Path
    edits: list[DemoEdit]


def run_demo(output: str | Path, *, comfyui: str | Path | None = None, on_event: "OnEvent | None" = None) -> DemoResult:
    """Do the ``EDITS`` by the whole path, from the wish to the stitched picture, and draw a sheet of them.

    A ComfyUI is found (or ``comfyui`` names its folder), started privately with the demo's models in place of real
    ones, and stopped again. Where there is none that can start, the embedded engine does it. The sheet is written to
    ``output``, the edited pictures beside it as ``<name> 1``, ``<name> 2``, ...

    Raises ``InputError`` (``output`` cannot be written), ``ServerError`` (the ComfyUI does not start; or there is none
    and packages are missing to do without), ``ModelError`` (the models cannot be made), and what ``edit`` raises.
    """
    from ..client.events import Message
    from ..pictures.output_files import check_output
    from .sheet import save_sheet

    def tell(text: str) -> None:
        if on_event:
            on_event(Message(text))

    output = check_output(output)
    folder = _find_comfyui(comfyui, tell)
    tell("Making the demo's models (once, 325 MB) ...")
    models = make_models(folder)
    edits = []
    with working_client(folder, models, tell) as client:
        for number, (picture, wish) in enumerate(EDITS, 1):
            tell(f'{number} of {len(EDITS)}: "{wish}" ...')
            path = output.with_name(f"{output.stem} {number}{output.suffix}")
            edits.append(_edit(client, picture, wish, path, on_event))
    save_sheet(output, [(edit.wish, edit.result) for edit in edits])
    tell(_verdict(output, edits))
    return DemoResult(output, edits)


@contextlib.contextmanager
def working_client(
    folder: Path | None, models: Path, tell: "Callable[[str], None]" = lambda text: None
) -> "Iterator[Client]":
    """A client of the ComfyUI in ``folder``, started with ``models``; of the embedded engine without a folder."""
    from ..client import Client
    from ..engines.embedded import EmbeddedClient
    from ..engines.managed import ManagedComfyUI

    if folder is None:
        with EmbeddedClient(models) as client:
            tell(f"Working without ComfyUI, on the {client.device}.")
            yield client
        return
    tell(f"Starting the ComfyUI in {folder} with them ...")
    alone = ("--disable-all-custom-nodes", "--whitelist-custom-nodes", "imageine")
    managed = ManagedComfyUI(folder, models=models, extra_args=alone)
    with managed, contextlib.closing(Client(managed.url)) as client:
        yield client


def make_models(comfyui_dir: Path | None, extras: "Collection[str]" = ()) -> Path:
    """The folder of the demo's models, made by the Python that runs ``comfyui_dir``, or by this one without ComfyUI.
    With ``extras`` ("reference", "depth"), which the demo itself does not need, there are models for edits by a
    reference picture and for Complex Edit's depth too.

    Raises ``ServerError`` (server_start) when that Python lacks torch or another package, with the pip line, and
    ``ModelError`` (model_unwritable) when the models cannot be made.
    """
    from ..caching import cache_folder
    from ..engines.comfyui import find_python
    from ..errors import ModelError
    from . import trained

    cache = cache_folder()
    target = trained.target(cache, extras)
    if target.is_dir():
        return target
    root = Path(__file__).absolute().parents[2]
    python = find_python(comfyui_dir).path if comfyui_dir else sys.executable
    command = [str(python), "-c", _MAKE_MODELS, str(root), str(cache), *extras]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ModelError(
            "model_unwritable",
            f"The demo's models could not be made in {cache}: {lines[-1]}",
            f"Free {700 if extras else 350} MB there, or name another folder with IMAGEINE_CACHE.",
            {"output": lines[-30:]},
        )
    return target


def blend_mask(client: "Client", result: "EditResult") -> "Image.Image":
    """Where Stitch Inpaint was allowed to change the photo of ``result``: mode "1", white inside.

    Runs the same graph again on the same server, which has kept every result, with a node that saves the mask.
    """
    from PIL import Image

    from ..running import run

    graph = save_blend_mask(result.metadata["prompt"])
    outputs = run(graph, client=client, images={"image": result.photo}).outputs
    saved = next(output for output in outputs if output.title == BLEND_MASK)
    return Image.open(io.BytesIO(saved.data)).convert("L").point(lambda level: 255 * (level > 0), "1")


def save_blend_mask(graph: dict[str, Any]) -> dict[str, Any]:
    """A copy of an API-format ``graph`` that also saves the mask of its Stitch Inpaint, white where above 0."""
    graph = copy.deepcopy(graph)
    stitch = next(number for number, node in graph.items() if node["class_type"] == "ImageineStitchInpaint")
    threshold, picture, save = "blend-threshold", "blend-picture", "blend-save"
    graph[threshold] = {"class_type": "ThresholdMask", "inputs": {"mask": [stitch, 1], "value": 0.0}}
    graph[picture] = {"class_type": "MaskToImage", "inputs": {"mask": [threshold, 0]}}
    graph[save] = {
        "class_type": "SaveImage",
        "inputs": {"images": [picture, 0], "filename_prefix": "Imageine mask"},
        "_meta": {"title": BLEND_MASK},
    }
    return graph


def _find_comfyui(comfyui: str | Path | None, tell: "Callable[[str], None]") -> Path | None:
    """The ComfyUI to use; None to do without, which a ComfyUI that was asked for rules out."""
    from ..engines.comfyui import find_comfyui, find_python
    from ..engines.embedded import INSTALL, missing_packages
    from ..errors import ServerError

    missing = missing_packages()
    folder = find_comfyui(Path(comfyui) if comfyui else None)
    if folder is None and missing:
        raise ServerError(
            "comfyui_missing",
            "The demo found no ComfyUI on this machine (COMFYUI_DIR is not set, and there is none around this package "
            f"nor in ~/comfy/ComfyUI), and to do without, this Python lacks {', '.join(missing)}.",
            f"{INSTALL.split(',')[0]}. To install a ComfyUI: imageine setup",
        )
    if folder is None or comfyui or missing:
        return folder
    try:
        find_python(folder)
    except ServerError as error:
        tell(f"{error.message} So the demo does without it.")
        return None
    return folder


def _edit(client: "Client", picture: Path, wish: str, path: Path, on_event: "OnEvent | None") -> DemoEdit:
    from PIL import Image, ImageChops

    from ..editing import edit

    options = {"seed": SEED, "steps": STEPS, "guidance": GUIDANCE, "settings": SETTINGS}
    result = edit(picture, wish, client=client, on_event=on_event, **options)
    mask = blend_mask(client, result)
    before, after = result.photo.rgb, result.image.convert("RGB")
    levels = functools.reduce(ImageChops.lighter, ImageChops.difference(before, after).split())
    outside = Image.new("L", before.size)
    outside.paste(levels, mask=ImageChops.invert(mask.convert("L")))
    pixels = before.width * before.height
    return DemoEdit(
        wish,
        result.save(path),
        changed=1 - levels.histogram()[0] / pixels,
        inside=mask.convert("L").histogram()[255] / pixels,
        outside=outside.getextrema()[1],
        result=result,
    )


def _verdict(output: Path, edits: list[DemoEdit]) -> str:
    parts = ", ".join(f"{edit.inside:.0%}" for edit in edits)
    return (
        f"Wrote {output}, and beside it the {len(edits)} edited pictures.\n"
        f"The edits could touch {parts} of their pictures; the largest difference outside these regions is "
        f"{max(edit.outside for edit in edits)} of 255.\n"
        "These are toy models that know coloured shapes and nothing else. For real edits: imageine models pull simple"
    )
