"""A ControlNet that acts inside a region of the picture only."""

import comfy.controlnet
import comfy.utils
import torch


class RegionControl(comfy.controlnet.ControlBase):
    """Multiplies what ``inner`` adds to the model's features by ``region``, ``[B,H,W]`` in 0..1.

    Core's own way to bind a ControlNet to a place is a mask on the whole conditioning. That binds the text to the
    place as well, and needs a second conditioning, hence a second pass of the model, for the rest of the picture.
    Here the text acts everywhere, in one pass, and outside the region the features are exactly those without
    ``inner``; controls before it in the chain pass through untouched.

    The region is treated as core treats the map: cropped to the middle where its shape is not the latent's, then
    resized, here by area averages, so that a feature cell half covered gets half the control. A batch of regions
    is matched to the latents as a batch of maps is. ``inner`` is a ControlNet ready to use (its map is set), without
    a previous one.
    """

    def __init__(self, inner: comfy.controlnet.ControlBase, region: torch.Tensor):
        super().__init__()
        self.inner = inner
        self.region = region
        self._resized: dict[tuple, torch.Tensor] = {}

    def get_control(self, x_noisy, t, cond, batched_number, transformer_options):
        """The control tensors by place in the model; None where neither this nor an earlier control acts.

        Raises ``ValueError`` for a ControlNet whose tensors are not ``[B,C,h,w]``.
        """
        arguments = (x_noisy, t, cond, batched_number, transformer_options)
        earlier = self.previous_controlnet.get_control(*arguments) if self.previous_controlnet is not None else None
        own = self.inner.get_control(*arguments)
        if own is None:
            return earlier
        masked = {
            place: [one if one is None else one * self._mask(one, x_noisy, batched_number) for one in tensors]
            for place, tensors in own.items()
        }
        return self.control_merge(masked, earlier, None)

    def _mask(self, features: torch.Tensor, x_noisy: torch.Tensor, batched_number: int) -> torch.Tensor:
        """The region at the size of ``features``, ``[1 or B,1,h,w]``."""
        if features.ndim != 4:
            raise ValueError(
                f"A region cannot be given to this kind of ControlNet (its control has the shape "
                f"{list(features.shape)}, not [batch, channels, height, width]): disconnect region from Apply Controls."
            )
        height, width = x_noisy.shape[-2:]
        key = (height, width, *features.shape[-2:], features.device, features.dtype)
        if key not in self._resized:
            mask = comfy.utils.common_upscale(self.region[:, None].float(), width, height, "area", "center")
            mask = torch.nn.functional.adaptive_avg_pool2d(mask, features.shape[-2:])
            self._resized[key] = mask.to(features)
        return comfy.controlnet.broadcast_image_to(self._resized[key], features.shape[0], batched_number)

    def pre_run(self, model, percent_to_timestep_function):
        super().pre_run(model, percent_to_timestep_function)
        self.inner.pre_run(model, percent_to_timestep_function)

    def cleanup(self):
        super().cleanup()
        self.inner.cleanup()
        self._resized.clear()

    def get_models(self):
        return super().get_models() + self.inner.get_models()

    def get_extra_hooks(self):
        return super().get_extra_hooks() + self.inner.get_extra_hooks()

    def inference_memory_requirements(self, dtype):
        return super().inference_memory_requirements(dtype) + self.inner.inference_memory_requirements(dtype)

    def copy(self):
        copied = RegionControl(self.inner.copy(), self.region)
        self.copy_to(copied)
        return copied

    def deepclone_multigpu(self, load_device, autoregister=False):
        clone = RegionControl(self.inner.deepclone_multigpu(load_device), self.region)
        self.copy_to(clone)
        if autoregister:
            self.multigpu_clones[load_device] = clone
        return clone
