"""Hold the pose of people and the depth of a scene: Apply Controls."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from comfy_api.latest import io

from .algorithms import masks, pixels
from .region_control import RegionControl

_MAX_STRENGTH = 10.0  # core's own limit


@dataclass(frozen=True)
class Control:
    """One row of Apply Controls. A None among the settings is one that is not known yet, as its input is linked."""

    kind: str  # "pose" or "depth", the first part of its inputs' names
    use: bool | None
    strength: float | None
    start: float | None
    end: float | None

    @property
    def sockets(self) -> tuple[str, str]:
        return f"{self.kind}_control_net", f"{self.kind}_map"

    @property
    def on(self) -> bool:
        return bool(self.use and self.strength)

    def check(self, connected: Iterable[str]) -> None:
        """Raise ``ValueError`` when this control is on and cannot act; ``connected`` are the sockets in use."""
        if not self.on:
            return
        title = self.kind.title()
        if not 0 <= self.strength <= _MAX_STRENGTH:
            raise ValueError(f"{title} Strength is {self.strength:g}: give 0 to {_MAX_STRENGTH:g} (1 is normal).")
        if self.start is not None and self.end is not None and not 0 <= self.start < self.end <= 1:
            raise ValueError(
                f"{title} Start is {self.start:g} and {title} End {self.end:g}: the start has to lie before the end, "
                f"both in 0 to 1. To do without the control, switch Use {title} off."
            )
        missing = [socket for socket in self.sockets if socket not in connected]
        if missing:
            raise ValueError(
                f"Use {title} is on, but {' and '.join(missing)} got nothing. Connect "
                f"{_SOURCES[missing[0].removeprefix(self.kind)]}, or switch Use {title} off."
            )


_SOURCES = {"_control_net": "a Load ControlNet Model", "_map": "the map, for instance from a Map node"}


def read_controls(values: dict) -> list[Control]:
    """The controls in the order in which they are chained, from the node's inputs by name."""
    return [
        Control(
            kind,
            values.get(f"use_{kind}"),
            values.get(f"{kind}_strength"),
            values.get(f"{kind}_start", 0.0),
            values.get(f"{kind}_end", 1.0),
        )
        for kind in ("pose", "depth")
    ]


def apply_control(conditionings, control_net, hint, control: Control, vae=None, region=None) -> list:
    """``conditionings`` with a ControlNet chained to each, as core's ControlNetApplyAdvanced does it.

    ``hint`` is ``[B,H,W,3]`` in 0..1, ``region`` ``[B,H,W]`` in 0..1 or None for everywhere. Nothing given is
    changed. Conditionings with the same controls before share one new control, by which core sees that it may
    compute them in one batch. Raises ``ValueError`` when the ControlNet needs a VAE and there is none.
    """
    if getattr(control_net, "latent_format", None) is not None and vae is None:
        raise ValueError(f"The ControlNet at {control.sockets[0]} works on latents: connect vae.")
    chained = {}

    def chain(earlier):
        if earlier not in chained:
            settings = (control.strength, (control.start, control.end))
            new = control_net.copy().set_cond_hint(hint.movedim(-1, 1), *settings, vae=vae)
            new = new if region is None else RegionControl(new, region)
            chained[earlier] = new.set_previous_controlnet(earlier)
        return chained[earlier]

    return [
        [
            [text, {**options, "control": chain(options.get("control")), "control_apply_to_uncond": False}]
            for text, options in conditioning
        ]
        for conditioning in conditionings
    ]


class ApplyControls(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineApplyControls",
            display_name="Apply Controls",
            category="imageine/conditioning",
            description="Keeps the pose of people and the depth of the scene while the rest changes, with two "
            "ControlNets. A control that is off, or of strength 0, costs nothing: neither its map nor its model is "
            "even loaded.",
            search_aliases=["controlnet", "apply controlnet", "openpose", "depth control", "keep pose", "keep shape"],
            inputs=[*_shown_inputs(), *_advanced_inputs(), *_sockets()],
            outputs=[
                io.Conditioning.Output(
                    "positive", display_name="positive", tooltip="For InpaintModelConditioning or KSampler."
                ),
                io.Conditioning.Output(
                    "negative", display_name="negative", tooltip="For InpaintModelConditioning or KSampler."
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, use_pose=None, pose_strength=None, pose_start=None, pose_end=None, pose_control_net=False, pose_map=False,
        use_depth=None, depth_strength=None, depth_start=None, depth_end=None, depth_control_net=False,
        depth_map=False,
    ) -> bool | str:  # fmt: skip
        """Constants only: a linked input is None, a socket False when nothing is linked to it."""
        values = dict(locals())
        try:
            for control in read_controls(values):
                control.check([socket for socket in control.sockets if values[socket] is None])
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def check_lazy_status(cls, **inputs) -> list[str]:
        """Asks for the region when a control is on, then for what the controls need that are."""
        controls = [control for control in read_controls(inputs) if control.on]
        for control in controls:
            control.check(inputs)
        if not controls:
            return []
        if "region" in inputs and not _has_region(inputs["region"]):
            return ["region"] if inputs["region"] is None else []
        return [socket for control in controls for socket in control.sockets if inputs[socket] is None]

    @classmethod
    def execute(cls, positive, negative, vae=None, region=None, **inputs) -> io.NodeOutput:
        controls = [control for control in read_controls(inputs) if control.on]
        if region is not None:
            region = masks.as_batch(region)
            controls = controls if _has_region(region) else []
        for control in controls:
            control.check([socket for socket in control.sockets if inputs.get(socket) is not None])
        _check_counts({control.sockets[1]: inputs[control.sockets[1]] for control in controls}, region)
        for control in controls:
            control_net, hint = (inputs[socket] for socket in control.sockets)
            positive, negative = apply_control(
                (positive, negative), control_net, pixels.to_rgb(hint), control, vae, region
            )
        return io.NodeOutput(positive, negative)


def _has_region(region: torch.Tensor | None) -> bool:
    return region is not None and bool(masks.as_batch(region).any())


def _check_counts(maps: dict[str, torch.Tensor], region: torch.Tensor | None) -> None:
    """Raise ``ValueError`` unless all batches hold one picture, or as many as the others."""
    counts = {name: len(batch) for name, batch in maps.items()}
    if maps and region is not None:
        counts["region"] = len(region)
    if len(set(counts.values()) - {1}) > 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise ValueError(f"Different numbers of pictures ({found}): give each one for all crops, or one per crop.")


def _shown_inputs() -> list[io.Input]:
    inputs = [
        io.Conditioning.Input("positive", display_name="Positive", tooltip="What to paint, from CLIP Text Encode."),
        io.Conditioning.Input("negative", display_name="Negative", tooltip="What to avoid, from CLIP Text Encode."),
    ]
    for kind, kept in (("pose", "the pose of people"), ("depth", "the depth and shapes of the scene")):
        inputs += [
            io.Boolean.Input(
                f"use_{kind}", display_name=f"Use {kind.title()}", default=True,
                tooltip=f"Keep {kept}. Off costs nothing: map and model are not even computed. Can be driven by a "
                "link.",
            ),
            io.Float.Input(
                f"{kind}_strength", display_name=f"{kind.title()} Strength", default=1.0, min=0.0, max=_MAX_STRENGTH,
                step=0.01,
                tooltip=f"How strictly to keep {kept}: 1 is normal, less leaves more freedom, 0 is off.",
            ),
        ]  # fmt: skip
    return inputs


def _advanced_inputs() -> list[io.Input]:
    percent = {"min": 0.0, "max": 1.0, "step": 0.001, "advanced": True}
    inputs = []
    for kind in ("pose", "depth"):
        title = kind.title()
        inputs += [
            io.Float.Input(
                f"{kind}_start", display_name=f"{title} Start", default=0.0, **percent,
                tooltip="From where in the sampling it acts: 0 is the first step, 0.2 leaves the first fifth free.",
            ),
            io.Float.Input(
                f"{kind}_end", display_name=f"{title} End", default=1.0, **percent,
                tooltip="Up to where in the sampling it acts: 1 is the last step, 0.8 leaves the last fifth free.",
            ),
        ]  # fmt: skip
    return inputs


def _sockets() -> list[io.Input]:
    inputs = []
    for kind, source in (("pose", "Map Pose or SDPose"), ("depth", "Map Depth or Depth Anything 3")):
        title = kind.title()
        inputs += [
            io.ControlNet.Input(
                f"{kind}_control_net", display_name=f"{title} ControlNet", optional=True, lazy=True,
                tooltip=f"From Load ControlNet Model. Not loaded while Use {title} is off.",
            ),
            io.Image.Input(
                f"{kind}_map", display_name=f"{title} Map", optional=True, lazy=True,
                tooltip=f"From {source}, made of the picture that is sampled: of the crops, when you crop. One for "
                f"all, or one each. Not computed while Use {title} is off.",
            ),
        ]  # fmt: skip
    return [
        *inputs,
        io.Vae.Input(
            "vae", display_name="VAE", optional=True,
            tooltip="Only for ControlNets that work on latents (SD 3, Flux); not for SD 1.5 and SDXL.",
        ),
        io.Mask.Input(
            "region", display_name="Region", optional=True, lazy=True, advanced=True,
            tooltip="Where the controls act, in the picture that is sampled; the prompt acts everywhere. Nothing "
            "connected: everywhere. All black: nowhere.",
        ),
    ]  # fmt: skip
