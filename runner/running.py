"""Run a workflow on a ComfyUI: set its inputs, check, upload, submit, follow, fetch."""

import contextlib
import copy
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .client.events import Event, Message
from .errors import ImageineError, JobError, WorkflowError
from .pictures.photos import Photo, load_mask, load_photo
from .workflow import Input, Workflow
from .workflow.naming import MASK
from .workflow.precheck import require_fit

if TYPE_CHECKING:
    from PIL import Image

    from .client import Client, JobResult

    Picture = str | Path | bytes | Image.Image | Photo

OnEvent = Callable[[Event], None]


@dataclass(frozen=True)
class Submitted(Event):
    """The server took the job; ``graph`` is what it runs."""

    prompt_id: str
    graph: dict


@dataclass(frozen=True)
class Output:
    """One file that the workflow made."""

    node_id: str
    title: str
    kind: str
    """ComfyUI's word: ``images``, ``audio``, ..."""
    filename: str
    data: bytes


@dataclass
class RunResult:
    """What a finished job gave.

    ``metadata`` has the keys of ``metadata.py``; ``seconds`` is the time from the upload to the last fetched file.
    """

    outputs: list[Output]
    metadata: dict[str, Any]
    notes: list[str]
    seconds: float


@dataclass
class Pictures:
    """The photos for a workflow's image inputs, by input name, and the painted mask for one of them."""

    photos: dict[str, Photo] = field(default_factory=dict)
    masked: str = ""
    mask: "Image.Image | None" = None
    notes: list[str] = field(default_factory=list)


def run(
    workflow: str | Path | Mapping | Workflow,
    *,
    client: "Client | None" = None,
    server: str | None = None,
    comfyui: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    images: "Mapping[str, Picture] | None" = None,
    mask: "str | Path | bytes | Image.Image | None" = None,
    on_event: OnEvent | None = None,
    timeout: float | None = None,
    previews: bool = False,
    extra_metadata: Mapping[str, Any] | None = None,
) -> RunResult:
    """Run ``workflow`` and return the files it made.

    ``settings`` and ``images`` go by input name; ``mask`` (white = change) goes with the photo of the workflow's
    ``mask`` input. Without a ``client``, ``connection.connect`` chooses one by ``server`` and ``comfyui``. ``timeout``
    seconds for the job; when they are over, and on Ctrl-C, the job is cancelled on the server. ``previews`` asks for
    ``Preview`` events; ``extra_metadata`` is added to the result's own.

    Everything that can be wrong here is looked at before anything is sent. Raises ``InputError``,
    ``WorkflowError``, ``ServerError`` or ``JobError``.
    """
    workflow = copy.deepcopy(workflow) if isinstance(workflow, Workflow) else Workflow.load(workflow)
    tell = on_event or (lambda event: None)
    pictures = load_pictures(workflow, images or {}, mask)
    for name, value in (settings or {}).items():
        workflow.set(name, value)
    notes = [*workflow.notes, *pictures.notes]
    for note in notes:
        tell(Message(note))
    with _connected(client, server, comfyui, tell) as client:
        require_fit(workflow.check(client.object_info(), uploads=pictures.photos), workflow.name)
        started = time.monotonic()
        _upload(workflow, pictures, client)
        outputs = _run_job(workflow, client, tell, timeout, previews)
        return RunResult(outputs, _metadata(workflow, extra_metadata or {}), notes, time.monotonic() - started)


def load_pictures(
    workflow: Workflow, images: "Mapping[str, Picture]", mask: "str | Path | bytes | Image.Image | None"
) -> Pictures:
    """Decode the pictures for ``workflow``, each checked to have an input it goes to.

    Raises ``InputError`` for a bad picture and ``WorkflowError`` for a name that is no image input.
    """
    pictures = Pictures()
    for name, source in images.items():
        entry = workflow.find(name)
        if entry.kind != "image":
            message = f"'{entry.name}' of the workflow '{workflow.name}' takes no picture."
            raise WorkflowError("workflow_input_value", message, "Give it a value with --set.")
        photo = source if isinstance(source, Photo) else load_photo(source)
        pictures.photos[entry.name] = photo
        pictures.notes += photo.notes
    if mask is not None:
        pictures.masked = _masked_image(workflow, pictures)
        pictures.mask, notes = load_mask(mask, pictures.photos[pictures.masked].size)
        pictures.notes += notes
    return pictures


def _masked_image(workflow: Workflow, pictures: Pictures) -> str:
    """Name of the image input whose node's mask output is used."""
    names = {entry.address: entry.name for entry in workflow.inputs.values()}
    masks = [entry for entry in workflow.inputs.values() if entry.kind == MASK]
    images = [names[entry.address.replace(f".{MASK}", ".image")] for entry in masks]
    given = [name for name in images if name in pictures.photos]
    if len(given) == 1:
        return given[0]
    if not masks:
        raise WorkflowError("workflow_input_unknown", f"The workflow '{workflow.name}' takes no painted mask.")
    if not given:
        message = f"A mask goes with a photo, and '{images[0]}' was given none."
        raise WorkflowError("workflow_input_value", message, f"Give it with --image {images[0]}=PATH.")
    message = f"The mask may belong to {' or '.join(given)}."
    raise WorkflowError("workflow_input_value", message, "Paint it into the photo's transparency instead.")


@contextlib.contextmanager
def _connected(
    client: "Client | None", server: str | None, comfyui: str | Path | None, tell: OnEvent
) -> "Iterator[Client]":
    if client is not None:
        yield client
        return
    from .engines.connection import connect

    with connect(server, comfyui, lambda text: tell(Message(text))) as found:
        yield found


def _upload(workflow: Workflow, pictures: Pictures, client: "Client") -> None:
    for name, photo in pictures.photos.items():
        node_id = workflow.find(name).address.split(".", 1)[0]
        mask = pictures.mask if name == pictures.masked else None
        # Load Image (as Mask) reads the picture's own transparency; for Load Image it is no part of the photo.
        keep_alpha = workflow.graph()[node_id]["class_type"] == "LoadImageMask"
        workflow.set(name, client.upload_image(photo.upload(mask, keep_alpha=keep_alpha)))


def _run_job(
    workflow: Workflow, client: "Client", tell: OnEvent, timeout: float | None, previews: bool
) -> list[Output]:
    prompt_id = str(uuid.uuid4())
    graph = workflow.graph(prefix=f"imageine/{prompt_id[:13]}")
    with _cancelling(client, prompt_id, timeout):
        job = client.submit(graph, prompt_id=prompt_id, ui_workflow=workflow.ui_graph(), previews=previews)
        tell(Submitted(prompt_id, graph))
        result = job.wait(timeout=timeout, on_event=tell)
    return _fetch(workflow, client, result)


@contextlib.contextmanager
def _cancelling(client: "Client", prompt_id: str, timeout: float | None) -> Iterator[None]:
    """Take the job off the server when nobody waits for it any more, wherever the wait was broken off."""
    try:
        yield
    except JobError as error:
        if error.code in ("job_timeout", "job_stalled") and _cancel(client, prompt_id) and error.code == "job_timeout":
            message = f"The job did not finish within {timeout:g} s and was cancelled."
            raise JobError("job_timeout", message, error.hint, error.details) from error
        raise
    except Exception:
        raise
    except BaseException:  # Ctrl-C, or the program being ended
        _cancel(client, prompt_id)
        raise


def _cancel(client: "Client", prompt_id: str) -> bool:
    with contextlib.suppress(ImageineError):  # why the wait ended is the news, not that cancelling failed too
        return client.attach(prompt_id).cancel()
    return False


def _fetch(workflow: Workflow, client: "Client", result: "JobResult") -> list[Output]:
    """The files that were saved; if none was, the previews."""
    graph = workflow.graph()
    saved = [file for file in result.outputs if file.type == "output"] or result.outputs
    if not saved:
        message = f"The workflow '{workflow.name}' ran and made no file."
        raise JobError("output_missing", message, "Give it a Save Image node.")
    outputs = []
    for file in saved:
        title = graph.get(file.node_id, {}).get("_meta", {}).get("title", file.node_id)
        outputs.append(Output(file.node_id, title, file.kind, file.filename, client.fetch(file)))
    return outputs


def _metadata(workflow: Workflow, extra: Mapping[str, Any]) -> dict[str, Any]:
    """See ``metadata.py``. No time, server or file name: the same edit gives the same bytes."""
    from .. import __version__

    values = {name: entry.value for name, entry in workflow.inputs.items() if _is_setting(entry)}
    known = {name: values.get(name) for name in ("prompt", "target", "negative", "seed")}
    own = {
        "version": __version__,
        "pipeline": workflow.name,
        **{name: value for name, value in known.items() if value is not None},
        **extra,
        "models": workflow.models,
        "inputs": values,
    }
    return {"imageine": own, "prompt": workflow.graph(), "workflow": workflow.ui_graph()}


def _is_setting(entry: Input) -> bool:
    return entry.kind not in ("image", MASK)
