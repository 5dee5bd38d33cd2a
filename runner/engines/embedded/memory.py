"""Where networks are while they do not compute: all on the device, or in main memory by turns.

The moves are accelerate's: whole networks by diffusers' ``enable_model_cpu_offload``, which knows what acts together,
single layers by ``accelerate.cpu_offload`` (diffusers' ``enable_sequential_cpu_offload`` is a loop of it). Both hold
for one sampling, so that between two of them adapters can be put into a plain UNet.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ...errors import InputError

if TYPE_CHECKING:
    import torch

AUTO, NONE, MODEL, SEQUENTIAL = OFFLOADS = ("auto", "none", "model", "sequential")

_SHARED = ("cpu", "mps")  # devices that compute in main memory: there is nothing to save
# The VAE's decoder has 256 channels at the picture's size, and holds three such tensors at a time (counted on torch's
# "meta" device with a full SD 1.5 VAE). As much again, and more, is left for the workspace of convolutions.
_NUMBERS_PER_PIXEL = 8 * 256
_SPARE = 256 << 20  # of a driver's and a desktop's, bytes


def check_offload(offload: str) -> str:
    """Raises ``InputError`` ``option_invalid`` unless it is one of ``OFFLOADS``."""
    if offload not in OFFLOADS:
        message = f"There is no offload '{offload}'."
        raise InputError("option_invalid", message, f"Choose one of {', '.join(OFFLOADS)}.")
    return offload


def choose(free: int, everything: int, at_once: int, working: int) -> str:
    """The least offload that fits into ``free`` bytes of a device.

    ``everything`` is the size of all networks, ``at_once`` of the largest ones that act together, ``working`` what the
    computation takes beside them; all in bytes.
    """
    free -= working + _SPARE
    if everything <= free:
        return NONE
    return MODEL if at_once <= free else SEQUENTIAL


class Memory:
    """Networks on ``device`` and off it, as ``offload`` says.

    "none" leaves on the device what was used there once. "model" brings a network there for as long as it computes.
    "sequential" does so with each of its layers: slowest, and the least memory. "auto" is "none" where the device has
    no memory of its own, and otherwise decides at every sampling by the memory that is free; ``tell`` hears of it.
    """

    def __init__(self, device: "torch.device", offload: str = AUTO, tell: Callable[[str], None] = lambda text: None):
        self.device = device
        self.tell = tell
        self._decides = check_offload(offload) == AUTO and device.type not in _SHARED
        self.offload = NONE if offload == AUTO else offload
        """What is done now: "none", "model" or "sequential"."""
        self._resident: dict[int, Any] = {}

    @contextlib.contextmanager
    def holding(self, network: Any) -> Iterator[None]:
        """Have ``network``, an ``nn.Module``, compute on the device for as long as the context lasts."""
        if self.offload == SEQUENTIAL:
            with _layers_moved(network, self.device):
                yield
            return
        self._bring([network])
        try:
            yield
        finally:
            if self.offload == MODEL:
                self._send_away([network])

    @contextlib.contextmanager
    def running(self, pipeline: Any, pixels: int) -> Iterator[None]:
        """Have the networks of a diffusers ``pipeline`` on the device as it needs them, for pictures of ``pixels``."""
        networks = _networks(pipeline)
        if self._decides:
            self._decide(pipeline, networks, pixels)
        if self.offload == NONE:
            self._bring(networks)
            yield
            return
        self._send_away(networks)
        with contextlib.ExitStack() as stack:
            stack.callback(self._send_away, networks)
            if self.offload == MODEL:
                stack.callback(pipeline.remove_all_hooks)
                pipeline.enable_model_cpu_offload(device=self.device)
            else:
                for network in networks:
                    stack.enter_context(_layers_moved(network, self.device))
            yield

    def forget(self) -> None:
        """No longer hold on to any network."""
        self._resident.clear()

    def _decide(self, pipeline: Any, networks: list, pixels: int) -> None:
        others = [network for key, network in self._resident.items() if key not in set(map(id, networks))]
        self._send_away(others)
        here = sum(size(network) for network in networks if id(network) in self._resident)
        together = [getattr(pipeline, name, None) for name in ("unet", "controlnet")]
        at_once = max(sum(size(one) for one in together if one is not None), *map(size, networks))
        everything = sum(map(size, networks))
        itemsize = pipeline.unet.dtype.itemsize
        free = free_memory(self.device) + here
        chosen = choose(free, everything, at_once, pixels * _NUMBERS_PER_PIXEL * itemsize)
        if chosen != self.offload and chosen != NONE:
            self.tell(
                f"The models ({everything / 2**30:.1f} GiB) do not fit into the {free / 2**30:.1f} GiB that are free "
                f"on the {self.device}: offload '{chosen}', which is slower."
            )
        self.offload = chosen

    def _bring(self, networks: Iterable) -> None:
        for network in networks:
            network.to(self.device)
            self._resident[id(network)] = network

    def _send_away(self, networks: Iterable) -> None:
        for network in networks:
            network.to("cpu")
            self._resident.pop(id(network), None)


def size(network: Any) -> int:
    """Bytes of its weights."""
    return sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))


def free_memory(device: "torch.device") -> int:
    """Bytes of ``device``, a CUDA or ROCm one, that nobody uses, those that torch keeps in stock included."""
    import torch

    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)


def _networks(pipeline: Any) -> list:
    import torch

    return [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]


@contextlib.contextmanager
def _layers_moved(network: Any, device: "torch.device") -> Iterator[None]:
    from accelerate import cpu_offload
    from accelerate.hooks import remove_hook_from_module

    try:
        # As diffusers does it: buffers move too where the network has weights of its own, beside its layers.
        cpu_offload(network, device, offload_buffers=bool(network._parameters))
        yield
    finally:
        remove_hook_from_module(network, recurse=True)
