"""Run a workflow: what runs it is found, or given."""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .client.events import Message
from .jobs import OnEvent, Place, RunResult, prepare
from .workflow import Workflow

if TYPE_CHECKING:
    from PIL import Image

    from .client import Client
    from .workflow.pictures import Picture


def run(
    workflow: str | Path | Mapping | Workflow,
    *,
    client: "Client | Place | None" = None,
    server: "str | Sequence[str] | Path | None" = None,
    comfyui: str | Path | None = None,
    embedded: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    images: "Mapping[str, Picture] | None" = None,
    mask: "str | Path | bytes | Image.Image | None" = None,
    seed: int | str | None = None,
    on_event: OnEvent | None = None,
    timeout: float | None = None,
    previews: bool = False,
    extra_metadata: Mapping[str, Any] | None = None,
) -> RunResult:
    """Run ``workflow`` and return the files it made.

    ``settings`` and ``images`` go by input name; ``mask`` (white = change) goes with the photo of the workflow's
    ``mask`` input; ``seed`` to every seed of the workflow. Without a ``client``, ``connection.connect`` chooses one by
    ``server`` and ``comfyui``; ``embedded`` are options of the engine without ComfyUI (``offload``, ``compile``), used
    where that is chosen. ``timeout`` seconds for the job; when they are over, and on Ctrl-C, the job is cancelled
    on the server. ``previews`` asks for ``Preview`` events; ``extra_metadata`` is added to the result's own.

    Everything that can be wrong here is looked at before anything is sent. Raises ``InputError``,
    ``WorkflowError``, ``ServerError`` or ``JobError``.
    """
    tell = on_event or (lambda event: None)
    workflow = copy.deepcopy(workflow) if isinstance(workflow, Workflow) else Workflow.load(workflow)
    values = {"settings": settings, "images": images, "mask": mask, "seed": seed}
    job = None if workflow.needs_definitions else prepare(workflow, **values)
    with connected(client, server, comfyui, tell, embedded) as client:
        if job is None:
            workflow.resolve(client.object_info())
            job = prepare(workflow, **values)
        for note in job.notes:
            tell(Message(note))
        job.require_fit(client)
        return job.run(client, tell, timeout=timeout, previews=previews, extra_metadata=extra_metadata)


@contextlib.contextmanager
def connected(
    client: "Client | Place | None",
    server: "str | Sequence[str] | Path | None",
    comfyui: str | Path | None,
    tell: OnEvent,
    embedded: Mapping[str, Any] | None = None,
) -> "Iterator[Client | Place]":
    """``client``, or else the one that ``connection.connect`` chooses, for as long as the context lasts."""
    if client is not None:
        yield client
        return
    from .engines.connection import connect

    with connect(server, comfyui, lambda text: tell(Message(text)), embedded) as found:
        yield found
