"""Plain torch modules under ComfyUI's model management."""

import comfy.model_management
import comfy.model_patcher
import torch


class ImageineModel(torch.nn.Module):
    """A box around a module from another library.

    ComfyUI writes its bookkeeping (``device``, ``model_loaded_weight_memory``, ...) on the module it manages, and
    on a transformers model ``device`` is a read-only property. The class name is what ComfyUI's log shows.
    """

    def __init__(self, module: torch.nn.Module):
        super().__init__()
        self.module = module


class ManagedModel:
    """A torch module whose weights ComfyUI loads, budgets and unloads like those of its own models.

    The patcher is the classic ``ModelPatcher`` also where ComfyUI runs its dynamic one: that one streams the
    layers of ``comfy.ops`` and moves anything else whole, as the classic does, except that parameters held beside
    submodules (Grounding DINO and SAM 2 have some) would then stay on the device after an unload.
    """

    def __init__(self, module: torch.nn.Module):
        self.module = module.eval().requires_grad_(False)
        self.patcher = comfy.model_patcher.ModelPatcher(
            ImageineModel(self.module),
            load_device=comfy.model_management.get_torch_device(),
            offload_device=comfy.model_management.unet_offload_device(),
        )

    def load(self, memory_required: int = 0) -> torch.device:
        """Bring the weights to the compute device; returns the device they are on.

        ``memory_required`` is what the computation needs beside the weights, in bytes. That room is made by
        unloading other models. With ``--novram`` ComfyUI leaves plain modules on the CPU, and the CPU is returned.
        """
        # Whole or not at all: a plain module cannot compute with half of its layers elsewhere.
        comfy.model_management.load_models_gpu([self.patcher], memory_required=memory_required, force_full_load=True)
        return next(self.module.parameters()).device
