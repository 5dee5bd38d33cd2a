"""Decide how to edit: Route Edit."""

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import io, ui

from .algorithms import text_card
from .detection import DetectorType

if TYPE_CHECKING:  # the rules' vocabulary takes longer to load than an extension may add to ComfyUI's start
    from .algorithms.routing import Decision

_AUTO, _SIMPLE, _COMPLEX = "auto", "simple", "complex"  # picking.AUTO, SIMPLE and COMPLEX of the router
_TEXT_THRESHOLD = 0.25


class ClipEncoder:
    """The text encoder on a CLIP socket, as the router wants it; ComfyUI loads and unloads its weights."""

    _BATCH = 32

    def __init__(self, clip):
        self._clip = clip

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [N, D], each row of length 1: the last layer at each text's end, where CLIP sums a text up.

        Ticks ComfyUI's progress bar and looks for an interrupt between batches of texts.
        """
        progress = comfy.utils.ProgressBar(len(texts))
        rows = []
        for start in range(0, len(texts), self._BATCH):
            comfy.model_management.throw_exception_if_processing_interrupted()
            batch = texts[start : start + self._BATCH]
            rows.append(self._encode(batch))
            progress.update(len(batch))
        return torch.nn.functional.normalize(torch.cat(rows), dim=-1).numpy()

    def _encode(self, texts: list[str]) -> torch.Tensor:
        tokens: dict[str, list] = {}
        for text in texts:
            for name, sections in self._clip.tokenize(text).items():
                tokens.setdefault(name, []).append(sections[0])  # of a text that is too long, the beginning
        hidden = self._clip.encode_from_tokens(tokens)  # the sections of a long prompt side by side: [1, N * T, D]
        hidden = hidden.reshape(len(texts), -1, hidden.shape[-1]).float().cpu()
        ends = [_end(section) for section in next(iter(tokens.values()))]
        return hidden[torch.arange(len(texts)), torch.tensor(ends).clamp(max=hidden.shape[1] - 1)]


def _end(section: list[tuple]) -> int:
    """Where the end token of CLIP's vocabulary first is: its highest number."""
    numbers = [entry[0] for entry in section]
    return numbers.index(max(numbers))


_clip_encoders: WeakKeyDictionary = WeakKeyDictionary()


class RouteEdit(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineRouteEdit",
            has_intermediate_output=True,  # or a cached run shows no preview
            display_name="Route Edit",
            category="imageine/routing",
            description='Reads a wish such as "swap the sofa for two chairs" and decides how to do it: with or without '
            "controls, which ones, what to mask, what to paint, and whether the reference helps. Says why.",
            search_aliases=["router", "auto edit", "classify prompt", "prompt parser", "simple or complex", "intent"],
            inputs=[*_shown_inputs(), *_sockets()],
            outputs=_outputs(),
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, prompt: str | None = None) -> bool | str:
        """Constants only: a linked prompt is None."""
        from .algorithms.routing import has_word, picking

        return picking.wordless(prompt) if prompt is not None and not has_word(prompt) else True

    @classmethod
    def check_lazy_status(cls, prompt, use_reference, override, edit, **inputs) -> list[str]:
        """A CLIP only for a wish that the rules leave open; the detector only where the photo could tell more.

        Never the reference: that there is one is all that counts.
        """
        from .algorithms.routing import evidence, picking

        waiting = {name for name, value in inputs.items() if value is None}
        if "clip" in waiting and not picking.is_sure(_decide(prompt, use_reference and "reference" in inputs)):
            return ["clip"]
        decision = _decide(prompt, use_reference and "reference" in inputs, inputs.get("clip"))
        if {"detector", "image"} <= inputs.keys() and evidence.questions(decision.edits):
            return [name for name in ("image", "detector") if name in waiting]
        return []

    @classmethod
    def execute(
        cls, prompt, use_reference, override, edit, box_threshold=0.3, image=None, detector=None, clip=None, **inputs
    ) -> io.NodeOutput:
        from .algorithms.routing import DEPTH, POSE, evidence, picking

        referenced = use_reference and "reference" in inputs
        decision = _decide(prompt, referenced, clip)
        asked = evidence.questions(decision.edits)
        if detector is not None and image is not None and asked:
            frames = detector.detect(image[:1], " . ".join(asked), box_threshold, _TEXT_THRESHOLD)
            found = [box["label"] for box in frames[0]]
            decision = _decide(prompt, referenced, clip, found)
        chosen = picking.pick(decision, edit, override)
        headline, reasons = picking.headline(chosen, edit, decision), list(chosen.reasons)
        reason = " ".join([headline, *reasons])
        return io.NodeOutput(
            chosen.pipeline == _COMPLEX, POSE in chosen.controls, DEPTH in chosen.controls, chosen.use_reference,
            chosen.whole_image, chosen.target, chosen.prompt, picking.denoise(chosen), len(decision.edits),
            reason, ui=_Card([headline, *reasons], cls),
        )  # fmt: skip


class _Card(ui.PreviewImage):
    """Sentences as a picture, which both renderers and App Mode show, and as text, which API clients read."""

    def __init__(self, sentences: list[str], cls: type[io.ComfyNode]):
        super().__init__(text_card.draw(sentences), cls=cls)
        self.text = " ".join(sentences)

    def as_dict(self) -> dict:
        return super().as_dict() | {"text": (self.text,)}


def _decide(prompt: str, reference: bool, clip=None, found: list[str] | None = None) -> "Decision":
    """Raises ``ValueError`` when the prompt has no word."""
    from .algorithms.routing import has_word, picking, route
    from .algorithms.routing.encoder import installed_encoder

    if not has_word(prompt):
        raise ValueError(picking.wordless(prompt))
    decision = route(prompt, reference=reference, found=found)
    if clip is not None and picking.is_sure(decision):
        return decision
    encoder = installed_encoder() if clip is None else _clip_encoders.setdefault(clip, ClipEncoder(clip))
    return decision if encoder is None else route(prompt, reference=reference, found=found, encoder=encoder)


def _shown_inputs() -> list[io.Input]:
    return [
        io.String.Input(
            "prompt", display_name="Prompt", default="", multiline=True, placeholder="swap the sofa for two chairs",
            tooltip="The wish, as you would say it. English is understood best.",
        ),
        io.Boolean.Input(
            "use_reference", display_name="Use Reference", default=True,
            tooltip="Off: decide as if no reference was connected.",
        ),
        io.Combo.Input(
            "override", display_name="Override", options=[_AUTO, _SIMPLE, _COMPLEX], default=_AUTO,
            tooltip="auto decides by the wish. simple: never a control. complex: always one, the pose for people and "
            "clothes, the depth for everything else.",
        ),
        io.Int.Input(
            "edit", display_name="Edit", default=1, min=1, max=100,
            tooltip='Which edit to do when the wish has several ("make the car red and remove the sign"): 1 is the '
            "first. Feed the result back in for the next.",
        ),
        io.Float.Input(
            "box_threshold", display_name="Box Threshold", default=0.3, min=0.0, max=1.0, step=0.01, advanced=True,
            display_mode=io.NumberDisplay.slider,
            tooltip="Only with a detector: what scores above this counts as being in the photo.",
        ),
    ]  # fmt: skip


def _sockets() -> list[io.Input]:
    return [
        io.Image.Input(
            "image", display_name="Image", optional=True, lazy=True,
            tooltip="The photo, for the detector to look at; of a batch the first.",
        ),
        io.Image.Input(
            "reference", display_name="Reference", optional=True, lazy=True,
            tooltip="The reference image. Only whether one is connected counts; it is not even loaded here.",
        ),
        DetectorType.Input(
            "detector", display_name="Detector", optional=True, lazy=True,
            tooltip="From Load Grounding DINO, to look what is in the photo: no pose where nobody is, less certain "
            "where the named object isn't. Asked only when that matters.",
        ),
        io.Clip.Input(
            "clip", display_name="CLIP", optional=True, lazy=True,
            tooltip="A checkpoint's text encoder, for wishes that the rules leave open. Without it: the encoder "
            "MiniLM where it is installed (imageine[router]), else the rules alone.",
        ),
    ]  # fmt: skip


def _outputs() -> list[io.Output]:
    return [
        io.Boolean.Output("complex", display_name="complex", tooltip="True: with controls. For an If/Else Switch."),
        io.Boolean.Output("use_pose", display_name="use_pose", tooltip="For Apply Controls."),
        io.Boolean.Output("use_depth", display_name="use_depth", tooltip="For Apply Controls."),
        io.Boolean.Output(
            "use_reference", display_name="use_reference",
            tooltip="True when there is a reference and this edit can take something from it.",
        ),
        io.Boolean.Output(
            "whole_image", display_name="whole_image",
            tooltip="True: repaint the whole photo (light, weather, another style); nothing has to be found.",
        ),
        io.String.Output("target", display_name="target", tooltip="What to mask; empty for the whole photo."),
        io.String.Output("prompt", display_name="prompt", tooltip="What to paint, for CLIP Text Encode."),
        io.Float.Output(
            "denoise", display_name="denoise",
            tooltip="For KSampler: 1 paints anew, less keeps something of the photo (a new light 0.6, all else 1).",
        ),
        io.Int.Output("edits", display_name="edits", tooltip="How many edits the wish has."),
        io.String.Output("reason", display_name="reason", tooltip="The decision and why, in sentences."),
    ]  # fmt: skip
