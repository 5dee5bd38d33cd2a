"""Edit one photo by a wish in words."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops

from ..nodes.algorithms.wish import Wish, has_word, parse_wish
from .client.events import Message
from .errors import InputError, JobError
from .pictures import output_files
from .pictures.photos import Photo, load_photo
from .running import OnEvent, Output, RunResult, run
from .workflow import Workflow

if TYPE_CHECKING:
    from .client import Client

_RESULT = "result"


@dataclass
class EditResult:
    """An edited photo.

    ``image`` has the photo's size and is RGB, or RGBA when the photo has transparency. ``metadata`` has the keys of
    ``metadata.py``, ``metadata["imageine"]`` among them: prompt, seed, pipeline, models. ``notes`` tells what a user
    would want to know. ``seconds`` is the time from the upload to the fetched result.
    """

    image: Image.Image
    metadata: dict[str, Any]
    notes: list[str]
    seconds: float
    photo: Photo

    def encode(self, suffix: str) -> tuple[bytes, list[str]]:
        """(the file's bytes, notes) as ``.png``, ``.jpg`` or ``.webp``, with metadata, colour profile and EXIF."""
        profile, exif = self.photo.icc_profile, self.photo.exif
        return output_files.encode(self.image, suffix, self.metadata, icc_profile=profile, exif=exif)

    def save(self, path: str | Path) -> Path:
        """Write the picture in the format of ``path``'s extension, whole or not at all.

        Raises ``InputError`` ``output_unwritable``.
        """
        path = output_files.check_output(path)
        data, notes = self.encode(path.suffix)
        output_files.write(path, data)
        self.notes += notes
        return path


def edit(
    photo: "str | Path | bytes | Image.Image | Photo",
    wish: str,
    *,
    client: "Client | None" = None,
    server: str | None = None,
    comfyui: str | Path | None = None,
    mask: "str | Path | bytes | Image.Image | None" = None,
    target: str | None = None,
    negative: str | None = None,
    seed: int | str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    workflow: str | Path | Mapping | Workflow = "Simple Edit",
    settings: Mapping[str, Any] | None = None,
    on_event: OnEvent | None = None,
    timeout: float | None = None,
    previews: bool = False,
) -> EditResult:
    """Change what ``wish`` says ("make the car blue", or just "blue car") in ``photo`` and nothing else.

    ``mask`` (white = change) replaces the search for the object, ``target`` the words it is searched by. ``seed``
    is random when not given; the one used is in the result's metadata. ``settings`` sets any other input of the
    workflow by name. Without a ``client``, ``connection.connect`` chooses one by ``server`` and ``comfyui``.

    Raises ``InputError``, ``WorkflowError``, ``ServerError`` or ``JobError``; see ``errors.CODES``.

    >>> edit("street.jpg", "make the car blue").save("out.png")
    """
    parsed = _parse(wish)
    photo = photo if isinstance(photo, Photo) else load_photo(photo)
    workflow = workflow if isinstance(workflow, Workflow) else Workflow.load(workflow)
    options = {"target": target, "negative": negative, "seed": seed, "steps": steps, "guidance": guidance}
    result = run(
        workflow,
        client=client,
        server=server,
        comfyui=comfyui,
        settings=_settings(workflow, parsed, options) | dict(settings or {}),
        images={"image": photo},
        mask=mask,
        on_event=on_event,
        timeout=timeout,
        previews=previews,
        extra_metadata={"wish": wish},
    )
    return _finish(photo, result, on_event)


def _parse(wish: str) -> Wish:
    if not has_word(wish):
        message = f"The wish {wish!r} has no word in it."
        raise InputError("prompt_empty", message, 'Say what to change, such as "make the car blue".')
    return parse_wish(wish)


def _settings(workflow: Workflow, wish: Wish, options: dict[str, Any]) -> dict[str, Any]:
    """What to set by name: the wish, the options that were given, and what follows from those that were not."""
    given = {name: value for name, value in options.items() if value is not None}
    if "target" in given and not has_word(given["target"]):
        raise InputError("prompt_empty", f"The target {given['target']!r} has no word in it.", "Name the object.")
    defaults: dict[str, Any] = {"seed": "random"}
    # An empty target means: find what the prompt says.
    defaults["target"] = "" if wish.target == wish.prompt else wish.target
    inputs = workflow.inputs
    return {"prompt": wish.prompt} | {name: defaults[name] for name in defaults if name in inputs} | given


def _finish(photo: Photo, result: RunResult, on_event: OnEvent | None) -> EditResult:
    notes = []
    output, others = _choose(result.outputs)
    image = _decode(output)
    if others:
        notes.append(f"The workflow saved {others} more pictures; `imageine run` keeps them all.")
    if image.size != photo.size:
        notes.append(f"The result is {image.width}x{image.height}, the photo {photo.size[0]}x{photo.size[1]}.")
    elif ImageChops.difference(image, photo.rgb).getbbox() is None:
        notes.append(
            "Nothing was changed, most likely because the object was not found. Name it in other words with --target, "
            "search less strictly with --set box_threshold=0.2, or give a --mask."
        )
    for note in notes:
        if on_event:
            on_event(Message(note))
    return EditResult(photo.restore(image), result.metadata, [*result.notes, *notes], result.seconds, photo)


def _choose(outputs: list[Output]) -> tuple[Output, int]:
    """(the edited picture, how many others there are): the node titled Result goes first."""
    pictures = [output for output in outputs if output.kind == "images"]
    if not pictures:
        raise JobError("output_missing", "The workflow saved no picture.", "Give it a Save Image node.")
    pictures.sort(key=lambda output: output.title.casefold() != _RESULT)
    return pictures[0], len(pictures) - 1


def _decode(output: Output) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(output.data))
        return image.convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        message = f"The server's result '{output.filename}' is no picture: {error}."
        raise JobError("output_missing", message, "Look at the server's log, and at its disk space.") from error
