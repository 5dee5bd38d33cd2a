"""Steer by reference images: Load IP-Adapter, Encode Reference, Apply IP-Adapter."""

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io

from . import folders, ip_encoding
from .algorithms import ip_adapter, ip_attention, ip_references
from .ip_adapter_patch import check_model, cross_attentions, patched
from .managed_model import ManagedModel

AdapterType = io.Custom("IMAGEINE_IP_ADAPTER")
EmbedsType = io.Custom("IMAGEINE_IP_EMBEDS")

_CROPS = ("center", "none")  # as core's CLIP Vision Encode names them
_NEEDED = ("ip_adapter", "image", "clip_vision", "embeds", "negative_image", "mask")


class Adapter:
    """An IP-Adapter whose weights ComfyUI manages: what travels on the IMAGEINE_IP_ADAPTER socket."""

    def __init__(self, network: ip_adapter.IPAdapter):
        half = comfy.model_management.should_use_fp16(comfy.model_management.get_torch_device())
        self.network = network.to(torch.float16 if half else torch.float32)
        self.layout = network.layout
        self.managed = ManagedModel(self.network)

    def tokens(self, references: ip_references.References, combine: str) -> tuple[torch.Tensor, torch.Tensor]:
        """See ``ip_references.tokens``."""
        ip_references.check(self.layout, references)
        self.managed.load()
        return ip_references.tokens(self.network, references, combine)


class LoadIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineLoadIPAdapter",
            display_name="Load IP-Adapter",
            category="imageine/conditioning",
            description="Loads an IP-Adapter, which lets reference images steer SD 1.5 or SDXL, from models/ipadapter. "
            "Its kind (standard, plus, plus-face, full-face) is read from the file, whatever its name.",
            search_aliases=["ipadapter", "ip adapter model", "image prompt", "reference image", "style transfer"],
            inputs=[
                io.Combo.Input(
                    "model",
                    display_name="Model",
                    options=folders.list_files(folders.IP_ADAPTER),
                    tooltip="A file in models/ipadapter. Empty? Run: imageine models pull reference, then press R.",
                )
            ],
            outputs=[
                AdapterType.Output(
                    "ip_adapter", display_name="ip_adapter", tooltip="For Apply IP-Adapter and Encode Reference."
                )
            ],
        )

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        path = folders.find_file(folders.IP_ADAPTER, model)
        state = comfy.utils.load_torch_file(path, safe_load=True)
        return io.NodeOutput(Adapter(ip_adapter.from_state(state, model)))


class EncodeReference(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineEncodeReference",
            display_name="Encode Reference",
            category="imageine/conditioning",
            description="Encodes reference images once for Apply IP-Adapter, and collects references of different "
            "sizes and weights when chained. What comes out is reused while only Apply IP-Adapter changes.",
            search_aliases=["ipadapter encoder", "ip adapter embeds", "combine embeds", "image prompt", "clip vision"],
            inputs=[
                AdapterType.Input(
                    "ip_adapter", display_name="IP-Adapter", tooltip="From Load IP-Adapter: it says what to encode."
                ),
                io.ClipVision.Input(
                    "clip_vision", display_name="CLIP Vision", tooltip="From Load CLIP Vision: the encoder it needs."
                ),
                io.Image.Input("image", display_name="Image", tooltip="The reference, or a batch of them."),
                io.Float.Input(
                    "weight", display_name="Weight", default=1.0, min=0.0, max=10.0, step=0.05,
                    tooltip="How much these images count among all references in Apply IP-Adapter's weighted average.",
                ),
                EmbedsType.Input(
                    "embeds", display_name="Embeds", optional=True,
                    tooltip="From another Encode Reference: references that come before these.",
                ),
                *_encoding_inputs(lazy=False),
            ],
            outputs=[
                EmbedsType.Output("embeds", display_name="embeds", tooltip="All references so far.")
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, ip_adapter: Adapter, clip_vision, image, weight, embeds=None, negative_image=None, crop="center"
    ) -> io.NodeOutput:
        layout = ip_adapter.layout
        found = ip_encoding.encode(layout, clip_vision, image, negative_image, weight, crop == "center")
        return io.NodeOutput(embeds + found if embeds else found)


class ApplyIPAdapter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineApplyIPAdapter",
            display_name="Apply IP-Adapter",
            category="imageine/conditioning",
            description="Lets reference images steer what the model paints. Chain several for several references. "
            "With weight 0 the model passes through, and nothing connected here is loaded or computed.",
            search_aliases=["ipadapter", "ip adapter", "image prompt", "reference image", "style transfer", "try-on"],
            inputs=[*_apply_sockets(), *_apply_options(), *_encoding_inputs(lazy=True)],
            outputs=[
                io.Model.Output("model", display_name="model", tooltip="The model, steered: for KSampler or the next.")
            ],
        )

    @classmethod
    def validate_inputs(cls, start_percent: float | None = None, end_percent: float | None = None) -> bool | str:
        """Constants only: a linked input is None."""
        return True if None in (start_percent, end_percent) else _range_problem(start_percent, end_percent) or True

    @classmethod
    def check_lazy_status(cls, weight: float, **inputs) -> list[str]:
        """With weight 0 nothing else is needed."""
        return [name for name in _NEEDED if name in inputs and inputs[name] is None] if weight else []

    @classmethod
    def execute(
        cls, model, weight, ip_adapter=None, image=None, clip_vision=None, embeds=None, mask=None,
        weight_type=ip_attention.LINEAR, combine=ip_references.CONCAT, start_percent=0.0, end_percent=1.0,
        negative_image=None, crop="center",
    ) -> io.NodeOutput:  # fmt: skip
        if not weight:
            return io.NodeOutput(model)
        if problem := _range_problem(start_percent, end_percent):
            raise ValueError(problem)
        if image is None and embeds is None:
            raise ValueError("Apply IP-Adapter has no reference: connect an image, or embeds from Encode Reference.")
        attentions = cross_attentions(model)
        check_model(ip_adapter.network, attentions)
        places = list(attentions)
        strengths = ip_attention.strengths(weight, weight_type, places, ip_adapter.layout.token_width)
        if image is not None:
            crop = crop == "center"
            found = ip_encoding.encode(ip_adapter.layout, clip_vision, image, negative_image, crop=crop)
            embeds = embeds + found if embeds else found
        sampling = model.get_model_object("model_sampling")
        influence = ip_attention.Influence(
            ip_adapter.network,
            *ip_adapter.tokens(embeds, combine),
            strengths,
            mask=None if mask is None else mask.reshape(-1, *mask.shape[-2:]).float().cpu(),
            sigma_start=sampling.percent_to_sigma(start_percent),
            sigma_end=sampling.percent_to_sigma(end_percent),
            always=start_percent <= 0 and end_percent >= 1,
        )
        return io.NodeOutput(patched(model, influence, ip_adapter.managed, places))


def _range_problem(start: float, end: float) -> str:
    if start < end:
        return ""
    return f"Start ({start:g}) is not before End ({end:g}), so the reference would never act. Lower Start or raise End."


def _apply_sockets() -> list[io.Input]:
    return [
        io.Model.Input("model", display_name="Model", tooltip="An SD 1.5 or SDXL model, inpainting ones included."),
        AdapterType.Input(
            "ip_adapter", display_name="IP-Adapter", lazy=True,
            tooltip="From Load IP-Adapter, made for the same base model.",
        ),
        io.Image.Input(
            "image", display_name="Image", optional=True, lazy=True,
            tooltip="The reference, or a batch of them. Transparency is flattened on white. Any size.",
        ),
        io.ClipVision.Input(
            "clip_vision", display_name="CLIP Vision", optional=True, lazy=True,
            tooltip="From Load CLIP Vision: the encoder that the adapter was made for. Not needed with embeds alone.",
        ),
        EmbedsType.Input(
            "embeds", display_name="Embeds", optional=True, lazy=True,
            tooltip="From Encode Reference, instead of an image or before it.",
        ),
        io.Mask.Input(
            "mask", display_name="Mask", optional=True, lazy=True,
            tooltip="Where the reference acts: one mask, or one per picture of the batch. Resized to the picture.",
        ),
        io.Float.Input(
            "weight", display_name="Weight", default=0.8, min=-1.0, max=5.0, step=0.05,
            display_mode=io.NumberDisplay.slider,
            tooltip="How strongly the reference acts: 1 as trained, less leaves more to the prompt, 0 switches it off.",
        ),
    ]  # fmt: skip


def _apply_options() -> list[io.Input]:
    return [
        io.Combo.Input(
            "weight_type", display_name="Weight Type", options=list(ip_attention.WEIGHT_TYPES),
            default=ip_attention.LINEAR, advanced=True,
            tooltip="Which blocks of the model see the reference: all alike, the first more (ease in), the last more "
            "(ease out), or those that carry style, composition, or both.",
        ),
        io.Combo.Input(
            "combine", display_name="Combine", options=list(ip_references.COMBINATIONS),
            default=ip_references.CONCAT, advanced=True,
            tooltip="Several references side by side (concat), or mixed into one: all alike, or by the weights given "
            "in Encode Reference.",
        ),
        io.Float.Input(
            "start_percent", display_name="Start", default=0.0, min=0.0, max=1.0, step=0.01, advanced=True,
            tooltip="When the reference begins to act, as a share of the sampling (0 is the first step).",
        ),
        io.Float.Input(
            "end_percent", display_name="End", default=1.0, min=0.0, max=1.0, step=0.01, advanced=True,
            tooltip="When the reference stops acting, as a share of the sampling (1 is the last step).",
        ),
    ]  # fmt: skip


def _encoding_inputs(lazy: bool) -> list[io.Input]:
    return [
        io.Image.Input(
            "negative_image", display_name="Negative Image", optional=True, lazy=lazy,
            tooltip="What to steer away from, such as noise or an unwanted style. Without it: nothing in particular.",
        ),
        io.Combo.Input(
            "crop", display_name="Crop", options=list(_CROPS), default=_CROPS[0], advanced=True,
            tooltip="The encoder sees a square: the middle of the image (center), or all of it squeezed (none).",
        ),
    ]  # fmt: skip
