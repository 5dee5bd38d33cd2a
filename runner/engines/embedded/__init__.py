"""Workflows without any ComfyUI: the shipped graphs, run in this process by torch, diffusers and the same algorithms.

``EmbeddedClient`` has the methods of ``runner.client.Client`` that ``run`` and ``edit`` use, so that both do the same
on a server and here: same checks, same events, same files, and from the same seed the same picture but for rounding.
Only what the shipped SD 1.5 workflows need is there; all else is refused before anything is loaded.
"""

import contextlib
import hashlib
import importlib.util
import io
import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...client import submission
from ...client.events import Event, Finished, Message, NodeDone, NodeProgress, NodeStarted, Started
from ...client.outcome import JobResult, OutputFile
from ...errors import ImageineError, JobCancelled, JobError, ModelError
from ...models.folders import ModelFolders, models_dirs
from ...workflow.node_specs import model_folder
from . import compiling
from .memory import AUTO, check_offload

if TYPE_CHECKING:
    from collections.abc import Callable

_INFO = Path(__file__).with_name("node_info.json")
_NEEDED = ("torch", "diffusers", "transformers", "accelerate", "numpy", "safetensors")
INSTALL = "Run `pip install 'imageine[embedded]'`, or use a ComfyUI: --server or --comfyui."


def missing_packages() -> list[str]:
    """Which packages the engine lacks here; empty when it can run."""
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


def check_options(offload: str, compile: bool) -> None:
    """Raises ``InputError`` ``option_invalid`` for an unknown ``offload``, and for two that do not go together."""
    check_offload(offload)
    if compile:
        compiling.check_compile(offload)


class EmbeddedClient:
    """``models`` are the folders of the model files, as ComfyUI lays them out; by default those that
    ``models_dirs`` finds. ``device`` is torch's name of one, or "auto". ``offload`` says which models wait in main
    memory, off the device: "none" of them, a whole "model" at a time, "sequential" (layer by layer), or "auto": what
    it takes by the memory that is free there. ``compile`` has torch compile the UNet, for each size of picture anew.

    Raises ``ModelError`` (``engine_missing``) when packages, or a compiler, are missing, ``InputError``
    (``option_invalid``).
    """

    url = "embedded"

    def __init__(
        self,
        models: ModelFolders | str | Path | None = None,
        device: str = "auto",
        offload: str = AUTO,
        compile: bool = False,
    ):
        check_options(offload, compile)
        if missing := missing_packages():
            message = f"Without ComfyUI, edits need {', '.join(missing)}, which this Python lacks."
            raise ModelError("engine_missing", message, INSTALL, {"packages": missing})
        from .studio import Studio

        self._studio = Studio(
            models if isinstance(models, ModelFolders) else models_dirs(models), device, offload, compile
        )
        self._files: dict[tuple[str, str], bytes] = {}
        self._jobs: dict[str, EmbeddedJob] = {}

    def __enter__(self) -> "EmbeddedClient":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the models."""
        self._studio = None

    @property
    def device(self) -> str:
        """torch's name of the device that paints."""
        return str(self._studio.device)

    def object_info(self, refresh: bool = False) -> dict:
        """The node classes there are and their inputs, in ``/object_info``'s form, with the models found here."""
        info = json.loads(_INFO.read_text(encoding="utf-8"))
        for kind, entry in info.items():
            for name, spec in entry["input"].get("required", {}).items():
                if folder := model_folder(kind, name):
                    spec[:] = ["COMBO", {"options": self._studio.choices(folder)}]
        info["LoadImage"]["input"]["required"]["image"][0] = self._studio.uploads()
        return info

    def upload_image(self, data: bytes, suffix: str = ".png", subfolder: str = "imageine") -> str:
        """Keep a picture file and return its name for a Load Image node."""
        name = f"{subfolder}/{hashlib.sha256(data).hexdigest()[:32]}{suffix}"
        self._studio.put(name, data)
        return name

    def submit(
        self, graph: dict, *, prompt_id: str | None = None, ui_workflow: dict | None = None, previews: bool = False
    ) -> "EmbeddedJob":
        """A job for an API-format ``graph``; it runs when it is waited for."""
        job = EmbeddedJob(prompt_id or str(uuid.uuid4()), submission.normalise(graph), self._studio, self._files)
        self._jobs[job.id] = job
        return job

    def attach(self, prompt_id: str) -> "EmbeddedJob":
        """A job that was submitted before. Raises ``JobError`` (job_lost) for an unknown id."""
        if prompt_id not in self._jobs:
            raise JobError("job_lost", f"There is no job {prompt_id} here.", "Submit it again.")
        return self._jobs[prompt_id]

    def fetch(self, output: OutputFile) -> bytes:
        """The content of a file that a job made."""
        return self._files[output.subfolder, output.filename]

    def free(self) -> None:
        """Forget the models."""
        self._studio.forget()


class EmbeddedJob:
    """One run of a graph in this process; ``wait`` runs it."""

    def __init__(self, prompt_id: str, graph: dict, studio: Any, files: dict[tuple[str, str], bytes]):
        self.id = prompt_id
        self.graph = graph
        self._studio = studio
        self._files = files
        self._cancelled = False
        self._deadline: float | None = None
        self._node = ""

    def cancel(self, wait: float = 5.0) -> bool:
        """Stop before the next node or step; True, as nothing runs beside the thread that asks."""
        self._cancelled = True
        return True

    def wait(self, timeout: float | None = None, on_event: "Callable[[Event], None] | None" = None) -> JobResult:
        """Run the graph. Raises ``JobError`` (job_failed, job_timeout), ``JobCancelled``, or what a node raises."""
        from .core_nodes import CORE_NODES
        from .graph import Run
        from .own_nodes import OWN_NODES
        from .router import ROUTER_NODES

        tell = on_event or (lambda event: None)
        self._deadline = None if timeout is None else time.monotonic() + timeout
        outputs: list[OutputFile] = []
        texts: dict[str, list[str]] = {}
        self._studio.memory.tell = lambda text: tell(Message(text))
        self._studio.progress = lambda step, steps: self._step(tell, step, steps)
        self._studio.save = lambda images, prefix: outputs.extend(self._save(images, prefix))
        self._studio.show = lambda text: texts.setdefault(self._node, []).append(text)
        tell(Started(len(self.graph)))
        kinds = CORE_NODES | OWN_NODES | ROUTER_NODES
        Run(self.graph, kinds, self._studio, lambda node: self._around(node, tell)).finish()
        tell(Finished())
        return JobResult(self.id, outputs, texts)

    @contextlib.contextmanager
    def _around(self, node_id: str, tell: "Callable[[Event], None]") -> Iterator[None]:
        self._check()
        self._node = node_id
        tell(NodeStarted(node_id))
        try:
            yield
        except (ImageineError, KeyboardInterrupt):
            raise
        except Exception as error:
            raise self._failed(node_id, error) from error
        tell(NodeDone(node_id))

    def _failed(self, node_id: str, error: Exception) -> JobError:
        node = self.graph[node_id]
        title = node.get("_meta", {}).get("title", node["class_type"])
        hint = _hint(error)
        details = {"node_id": node_id, "class_type": node["class_type"], "exception": type(error).__name__}
        return JobError("job_failed", f"{title} failed: {error}", hint, details)

    def _step(self, tell: "Callable[[Event], None]", step: int, steps: int) -> None:
        tell(NodeProgress(self._node, step, steps))
        self._check()

    def _check(self) -> None:
        if self._cancelled:
            raise JobCancelled("job_cancelled", "The job was cancelled.")
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise JobError("job_timeout", "The job did not finish in time.", "Allow more time with --timeout.")

    def _save(self, images: Any, prefix: str) -> Iterator[OutputFile]:
        from PIL import Image

        subfolder, _, name = prefix.rpartition("/")
        for number, image in enumerate(images, 1):
            # As ComfyUI's Save Image does it: fractions are cut off.
            levels = (image * 255.0).clamp(0, 255).byte().cpu().numpy()
            buffer = io.BytesIO()
            Image.fromarray(levels).save(buffer, "PNG", compress_level=1)
            filename = f"{name}_{number:05}_.png"
            self._files[subfolder, filename] = buffer.getvalue()
            yield OutputFile(self._node, "images", filename, subfolder)


def _hint(error: Exception) -> str:
    if compiling.is_compilers(error):
        return compiling.WITHOUT
    if "out of memory" in str(error).lower():
        return "Use a smaller picture, close other programs, or move more of the models: --offload sequential."
    return ""
