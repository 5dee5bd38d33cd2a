"""Edit one photo by a wish in words."""

import contextlib
import copy
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageChops

from ..nodes.algorithms.routing import Decision, has_word
from . import planning
from .client.events import Event, Message
from .errors import InputError, JobError, WorkflowError
from .jobs import OnEvent, Output, Place, Prepared, RunResult, prepare
from .pictures import output_files
from .pictures.photos import Photo, load_photo
from .planning import Plan
from .running import connected
from .workflow import Workflow

if TYPE_CHECKING:
    from .client import Client

_RESULT = "result"


@dataclass(frozen=True)
class Decided(Event):
    """What is to be done, before anything is."""

    decision: Decision


@dataclass
class EditResult:
    """An edited photo.

    ``image`` has the photo's size and is RGB, or RGBA when the photo has transparency. ``metadata`` has the keys of
    ``metadata.py``, ``metadata["imageine"]`` among them: prompt, seed, pipeline, models; of a wish with several edits
    they are those of the last. ``notes`` tells what a user would want to know. ``seconds`` is the time from the first
    upload to the last fetched result.
    """

    image: Image.Image
    metadata: dict[str, Any]
    notes: list[str]
    seconds: float
    photo: Photo
    decision: Decision

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
    client: "Client | Place | None" = None,
    server: "str | Sequence[str] | Path | None" = None,
    comfyui: str | Path | None = None,
    embedded: Mapping[str, Any] | None = None,
    pipeline: str = planning.AUTO,
    reference: "str | Path | bytes | Image.Image | Photo | None" = None,
    mask: "str | Path | bytes | Image.Image | None" = None,
    target: str | None = None,
    negative: str | None = None,
    seed: int | str | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    workflow: str | Path | Mapping | Workflow | None = None,
    settings: Mapping[str, Any] | None = None,
    on_event: OnEvent | None = None,
    timeout: float | None = None,
    previews: bool = False,
) -> EditResult:
    """Change what ``wish`` says ("make the car blue", or just "blue car") in ``photo`` and nothing else.

    The wish decides between the simple pipeline (colour, material, removal) and the complex one, which keeps the pose
    of people or the depth of the scene (clothes, objects, rooms), and with it the workflow; ``pipeline`` ("simple",
    "complex") or ``workflow`` decides instead. Several edits in one wish are done one after another. ``reference`` is
    a picture to take a garment, an object, a material or a style from.

    ``mask`` (white = change) replaces the search for the object, ``target`` the words it is searched by. ``seed``
    is random when not given; the one used is in the result's metadata. ``settings`` sets any other input of the
    workflow by name. Without a ``client``, ``connection.connect`` chooses one by ``server`` and ``comfyui``;
    ``embedded`` as for ``run``.

    Raises ``InputError``, ``WorkflowError``, ``ServerError`` or ``JobError``; see ``errors.CODES``.

    >>> edit("street.jpg", "make the car blue").save("out.png")
    """
    options = {"target": target, "negative": negative, "seed": seed, "steps": steps, "guidance": guidance}
    given = {name: value for name, value in options.items() if value is not None}
    _check_options(given, pipeline, workflow)
    decision = planning.decide(wish, pipeline=pipeline, reference=reference is not None)
    tell = on_event or (lambda event: None)
    tell(Decided(decision))
    photo = photo if isinstance(photo, Photo) else load_photo(photo)
    reference = _load_reference(reference)
    if reference is not None and workflow is None and not decision.use_reference:
        tell(Message("The reference picture is not used: the wish has nothing to take from it."))
    chosen = None if workflow is None else copy.deepcopy(_load(workflow))
    with contextlib.ExitStack() as stack:
        if chosen is not None and chosen.needs_definitions:
            client = stack.enter_context(connected(client, server, comfyui, tell, embedded))
            chosen.resolve(client.object_info())
        plans = planning.make_plans(decision, workflow=chosen, reference=reference is not None)
        _check_one(plans, given, mask)
        jobs = [_prepare(plan, _pictures(plan, photo, reference), mask, given, settings) for plan in plans]
        client = stack.enter_context(connected(client, server, comfyui, tell, embedded))
        for job in jobs:
            _require_fit(job, client, by_choice=pipeline != planning.AUTO or chosen is not None)
        return _Editing(photo, wish, decision, tell).run(client, plans, jobs, timeout=timeout, previews=previews)


def _load(workflow: str | Path | Mapping | Workflow) -> Workflow:
    return workflow if isinstance(workflow, Workflow) else Workflow.load(workflow)


def _check_options(given: dict[str, Any], pipeline: str, workflow: Any) -> None:
    if "target" in given and not has_word(given["target"]):
        raise InputError("prompt_empty", f"The target {given['target']!r} has no word in it.", "Name the object.")
    if workflow is not None and pipeline != planning.AUTO:
        message = f"The pipeline '{pipeline}' was asked for and a workflow too, which is one already."
        raise InputError("option_invalid", message, "Give one of --pipeline and --workflow.")


def _check_one(plans: list[Plan], given: dict[str, Any], mask: Any) -> None:
    """A mask or a target is for one edit."""
    named = "target" if "target" in given else "mask"
    if len(plans) > 1 and (mask is not None or "target" in given):
        wanted = "; ".join(plan.edit.prompt for plan in plans)
        message = f"The wish asks for {len(plans)} edits ({wanted}), and a {named} is for one."
        raise InputError("option_invalid", message, f"Do them one after another, or leave out the {named}.")


def _load_reference(source: Any) -> Photo | None:
    return source if source is None or isinstance(source, Photo) else load_photo(source, what="reference picture")


def _pictures(plan: Plan, photo: Photo, reference: Photo | None) -> dict[str, Photo]:
    """What goes into the image inputs of the plan's workflow."""
    if "reference" not in plan.workflow.inputs:
        wanted = reference is not None and plan.edit.use_reference  # the workflow, chosen by hand, refuses it then
        return {"image": photo, "reference": reference} if wanted else {"image": photo}
    if reference is None and "use_reference" not in plan.workflow.inputs:
        message = f"The workflow '{plan.workflow.name}' takes something from a reference picture, and there is none."
        raise InputError("image_missing", message, "Give it with --reference.")
    # Switched off, the reference is not looked at; but ComfyUI wants every picture of a graph to be there.
    return {"image": photo, "reference": reference or photo}


def _prepare(
    plan: Plan, pictures: dict[str, Photo], mask: Any, given: dict[str, Any], settings: Mapping[str, Any] | None
) -> Prepared:
    """The plan's job: options of the caller before those of the plan, and ``settings`` before all."""
    if plan.mask_all and mask is None and "target" not in given:
        mask = Image.new("L", pictures["image"].size, 255)
    values = {"seed": "random"} | plan.settings | given | dict(settings or {})
    return prepare(plan.workflow, settings=values, images=pictures, mask=mask)


def _require_fit(job: Prepared, client: "Client", *, by_choice: bool) -> None:
    try:
        job.require_fit(client)
    except WorkflowError as error:
        if by_choice or job.workflow.name == "Simple Edit":
            raise
        hint = f"{error.hint}\nOr do without: --pipeline simple, and no --reference.".strip()
        raise WorkflowError(error.code, error.message, hint, error.details) from error


class _Editing:
    """The edits of one wish on one photo, each on the result of the one before."""

    def __init__(self, photo: Photo, wish: str, decision: Decision, tell: OnEvent):
        self.photo = photo
        self.wish = wish
        self.decision = decision
        self.tell = tell
        self.notes: list[str] = []

    def run(self, client: "Client", plans: list[Plan], jobs: list[Prepared], **options) -> EditResult:
        current, seconds, metadata = self.photo, 0.0, {}
        for number, (plan, job) in enumerate(zip(plans, jobs, strict=True), 1):
            self.tell(Message(self._announce(plan, job, number, len(plans))))
            for note in job.notes:
                self._note(note)
            job.pictures.photos[job.workflow.find("image").name] = current
            result = job.run(client, self.tell, extra_metadata=self._own(plan, number, len(plans)), **options)
            image = self._finish(result, job.workflow, current)
            current = dataclasses.replace(current, rgb=image)
            seconds, metadata = seconds + result.seconds, result.metadata
        if len(plans) > 1:
            self._note(f"The wish was done in {len(plans)} edits; the file opens as the graph of the last.")
        return EditResult(self.photo.restore(current.rgb), metadata, self.notes, seconds, self.photo, self.decision)

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            self.tell(Message(text))

    @staticmethod
    def _announce(plan: Plan, job: Prepared, number: int, count: int) -> str:
        inputs = job.workflow.inputs
        prompt = inputs["prompt"].value if "prompt" in inputs else plan.edit.prompt
        where = "in all of the photo"
        if job.pictures.mask is not None and not plan.mask_all:
            where = "inside the mask"
        elif "target" in inputs and not plan.mask_all:
            where = f'where there is "{inputs["target"].value or prompt}"'
        part = f"{number} of {count}, " if count > 1 else ""
        return f'{part}{job.workflow.name}: paint "{prompt}" {where}.'

    def _own(self, plan: Plan, number: int, count: int) -> dict[str, Any]:
        edit = plan.edit
        own = {"wish": self.wish, "controls": list(edit.controls), "reasons": list(edit.reasons)}
        return own | ({"edit": number, "edits": count} if count > 1 else {})

    def _finish(self, result: RunResult, workflow: Workflow, before: Photo) -> Image.Image:
        output, others = _choose(result.outputs)
        image = _decode(output)
        if others:
            self._note(f"The workflow saved {others} more pictures; `imageine run` keeps them all.")
        if image.size != before.size:
            self._note(f"The result is {image.width}x{image.height}, the photo {before.size[0]}x{before.size[1]}.")
        elif ImageChops.difference(image, before.rgb).getbbox() is None:
            self._note(_nothing_changed(workflow))
        return image


def _nothing_changed(workflow: Workflow) -> str:
    names = ("box_threshold", "mask_by_text.box_threshold")
    threshold = next((name for name in names if name in workflow.inputs), None)
    strictness = f"search less strictly with --set {threshold}=0.2, " if threshold else ""
    return (
        "Nothing was changed, most likely because the object was not found. Name it in other words with --target, "
        f"{strictness}or give a --mask."
    )


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
