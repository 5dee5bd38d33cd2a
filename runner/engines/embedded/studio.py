"""What the nodes of a run share: models, each loaded once, the pictures that went in, the files that came out."""

import contextlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from ...errors import ModelError
from ...models.folders import ModelFolders
from . import compiling
from .memory import AUTO, Memory
from .quiet import quiet

if TYPE_CHECKING:
    import torch

    from .checkpoints import Checkpoint


class Studio:
    """``device`` is torch's name of one, or "auto": CUDA, then MPS, then the CPU.

    On a GPU networks are kept in half precision; detectors and the like lie in main memory while they are not used,
    all others as ``offload`` says (``memory.Memory``). With ``compiled`` UNets go through torch.compile.
    """

    def __init__(self, folders: ModelFolders, device: str = "auto", offload: str = AUTO, compiled: bool = False):
        import torch

        self.device = torch.device(_best_device() if device == "auto" else device)
        self.memory = Memory(self.device, offload)
        if compiled:
            compiling.require_compiler(self.device)
        self._compiled = compiled
        self.dtype = torch.float32 if self.device.type == "cpu" else torch.float16
        self.progress: Callable[[int, int], None] = lambda step, steps: None
        self.save: Callable[[Any, str], None] = lambda images, prefix: None
        self.show: Callable[[str], None] = lambda text: None
        self._folders = folders
        self._loaded: dict[tuple[str, str], Any] = {}
        self._uploads: dict[str, bytes] = {}

    def put(self, name: str, data: bytes) -> None:
        """Keep the picture file ``data`` for ``upload``."""
        self._uploads[name] = data

    def upload(self, name: str) -> Image.Image:
        return Image.open(io.BytesIO(self._uploads[name]))

    def uploads(self) -> list[str]:
        return list(self._uploads)

    def checkpoint(self, name: str) -> "Checkpoint":
        from . import checkpoints

        def load(path: Path):
            loaded = checkpoints.load_checkpoint(path, self.dtype)
            if self._compiled:
                loaded.unet.compile()  # when it is first called, for pictures of that size
            return loaded

        return self.network("checkpoints", name, load)

    def control_net(self, name: str) -> Any:
        from . import checkpoints

        return self.network("controlnet", name, lambda path: checkpoints.load_control_net(path, self.dtype))

    def image_encoder(self, name: str) -> Any:
        from . import references

        return self.network("clip_vision", name, lambda path: references.load_encoder(path, self.dtype))

    def adapter(self, name: str) -> Any:
        from . import references

        return self.network("ipadapter", name, references.load_adapter)

    def network(self, folder: str, name: str, load: Callable[[Path], Any]) -> Any:
        """What ``load`` makes of the file or folder ``name`` in the models folder ``folder``; the first time only."""
        if (folder, name) not in self._loaded:
            with quiet():
                self._loaded[folder, name] = load(self._find(folder, name))
        return self._loaded[folder, name]

    @contextlib.contextmanager
    def on_device(self, loaded: Any) -> "Iterator[torch.device]":
        """Have the network of ``loaded`` (a detector, a segmenter, ...) on the device for the time being."""
        loaded.model.to(self.device)
        try:
            yield self.device
        finally:
            loaded.model.to("cpu")

    def forget(self) -> None:
        """Drop every model."""
        self._loaded.clear()
        self.memory.forget()

    def choices(self, folder: str) -> list[str]:
        """Names of the models in the models folder ``folder``: files, or folders with a config.json."""
        names = set()
        for root in self._folders.paths(folder):
            files = sorted(root.rglob("*.safetensors")) if root.is_dir() else []
            for path in files:
                in_folder = (path.parent / "config.json").is_file()
                names.add((path.parent if in_folder else path).relative_to(root).as_posix())
        return sorted(names)

    def _find(self, folder: str, name: str) -> Path:
        for root in self._folders.paths(folder):
            if (root / name).exists():
                return root / name
        searched = ", ".join(map(str, self._folders.paths(folder)))
        raise ModelError("model_unknown", f"There is no model '{name}' in {searched}.", "See `imageine models list`.")


def _best_device() -> str:
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
