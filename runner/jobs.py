"""A workflow made ready to run, and run: set its inputs, check, upload, submit, follow, fetch."""

import contextlib
import copy
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .client.events import Event
from .errors import ImageineError, JobError
from .workflow import Input, Workflow
from .workflow.naming import MASK
from .workflow.pictures import Pictures, load_pictures
from .workflow.precheck import Problem, require_fit

if TYPE_CHECKING:
    from PIL import Image

    from .client import Client, Job, JobResult
    from .workflow.pictures import Picture

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


class Place(ABC):
    """What runs jobs in place of one ``Client``, and chooses by itself where: a pool of servers."""

    @abstractmethod
    def object_info(self) -> dict:
        """Every node class that can be had, as ``Client.object_info`` gives it."""

    @abstractmethod
    def require_fit(self, job: "Prepared") -> None:
        """Raise ``WorkflowError`` ``workflow_unfit`` when the job can be run nowhere."""

    @abstractmethod
    def perform(self, job: "Prepared", tell: OnEvent, **options: Any) -> RunResult:
        """Run the job; ``options`` and errors are those of ``Prepared.run``."""


@dataclass
class Prepared:
    """A workflow with its settings made and its pictures decoded: all that can be checked without a server is."""

    workflow: Workflow
    pictures: Pictures
    notes: list[str]

    def problems(self, object_info: dict) -> list[Problem]:
        """Why the server described by ``object_info`` cannot run it; empty when it can."""
        return self.workflow.check(object_info, uploads=self.pictures.photos)

    def require_fit(self, client: "Client | Place") -> None:
        """Raise ``WorkflowError`` ``workflow_unfit`` unless the server has what the workflow needs."""
        if isinstance(client, Place):
            client.require_fit(self)
        else:
            require_fit(self.problems(client.object_info()), self.workflow.name)

    def run(
        self,
        client: "Client | Place",
        tell: OnEvent,
        *,
        timeout: float | None = None,
        previews: bool = False,
        extra_metadata: Mapping[str, Any] | None = None,
    ) -> RunResult:
        """Upload, submit, follow and fetch."""
        if isinstance(client, Place):
            options = {"timeout": timeout, "previews": previews, "extra_metadata": extra_metadata}
            return client.perform(self, tell, **options)
        started, prompt_id = time.monotonic(), str(uuid.uuid4())
        self.upload(client)
        with cancelling(client, prompt_id, timeout):
            job = self.submit(client, tell, prompt_id, previews=previews)
            result = job.wait(timeout=timeout, on_event=tell)
        return self.collect(client, result, started, extra_metadata or {})

    def upload(self, client: "Client") -> None:
        """Put the pictures into the server's input folder."""
        for name, photo in self.pictures.photos.items():
            node_id, _ = self.workflow.targets(name)[0]
            mask = self.pictures.mask if name == self.pictures.masked else None
            # Load Image (as Mask) reads the picture's own transparency; for Load Image it is no part of the photo.
            keep_alpha = self.workflow.graph()[node_id]["class_type"] == "LoadImageMask"
            self.workflow.set(name, client.upload_image(photo.upload(mask, keep_alpha=keep_alpha)))

    def submit(self, client: "Client", tell: OnEvent, prompt_id: str, *, previews: bool = False) -> "Job":
        """Queue the graph, whose pictures the server has."""
        graph = self.workflow.graph(prefix=f"imageine/{prompt_id[:13]}")
        job = client.submit(graph, prompt_id=prompt_id, ui_workflow=self.workflow.ui_graph(), previews=previews)
        tell(Submitted(prompt_id, graph))
        return job

    def collect(self, client: "Client", result: "JobResult", started: float, extra: Mapping[str, Any]) -> RunResult:
        """Fetch the files of the finished job, which began at ``started`` by ``time.monotonic``."""
        outputs = _fetch(self.workflow, client, result)
        return RunResult(outputs, _metadata(self.workflow, extra), self.notes, time.monotonic() - started)


def prepare(
    workflow: str | Path | Mapping | Workflow,
    *,
    settings: Mapping[str, Any] | None = None,
    images: "Mapping[str, Picture] | None" = None,
    mask: "str | Path | bytes | Image.Image | None" = None,
    seed: int | str | None = None,
) -> Prepared:
    """The first half of ``run``, with its arguments: what can be wrong without a server raises here."""
    workflow = copy.deepcopy(workflow) if isinstance(workflow, Workflow) else Workflow.load(workflow)
    pictures = load_pictures(workflow, images or {}, mask)
    if seed is not None:
        workflow.set_seeds(seed)
    for name, value in (settings or {}).items():
        workflow.set(name, value)
    return Prepared(workflow, pictures, [*workflow.notes, *pictures.notes])


@contextlib.contextmanager
def cancelling(client: "Client", prompt_id: str, timeout: float | None) -> Iterator[None]:
    """Take the job off the server when nobody waits for it any more, wherever the wait was broken off."""
    try:
        yield
    except JobError as error:
        if error.code == "job_stalled":  # a dead worker stops nothing: do not wait for it
            _cancel(client, prompt_id, wait=0.5)
        elif error.code == "job_timeout" and _cancel(client, prompt_id):
            message = f"The job did not finish within {timeout:g} s and was cancelled."
            raise JobError("job_timeout", message, error.hint, error.details) from error
        raise
    except Exception:
        raise
    except BaseException:  # Ctrl-C, or the program being ended
        _cancel(client, prompt_id)
        raise


def _cancel(client: "Client", prompt_id: str, wait: float = 5.0) -> bool:
    with contextlib.suppress(ImageineError):  # why the wait ended is the news, not that cancelling failed too
        return client.attach(prompt_id).cancel(wait)
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
