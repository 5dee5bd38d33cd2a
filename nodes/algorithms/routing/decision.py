"""What the router says: the edits of a wish, in the order to do them.

Standard library only: the headless runner imports this package.
"""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np

SIMPLE, COMPLEX = "simple", "complex"
POSE, DEPTH = "pose", "depth"

#: The controls of every category. One with controls takes the complex pipeline, one without the simple one.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "colour": (),
    "material": (),
    "removal": (),
    "background": (),
    "light": (),
    "appearance": (),
    "clothes": (POSE,),
    "person": (POSE,),
    "object": (DEPTH,),
    "restyle": (DEPTH,),
}
#: What a reference image can't help with.
WITHOUT_REFERENCE = frozenset({"removal", "light"})
#: What is done to the whole photo, without a mask.
WHOLE_IMAGE = frozenset({"light", "restyle"})
#: From this confidence on a rule fitted the whole wish: no CLIP is loaded for it, and the photo isn't asked.
SURE = 0.85
#: How much of the whole photo the simple pipeline paints anew (KSampler's denoise): above this, things begin to move.
WHOLE_IMAGE_DENOISE = 0.6


class TextEncoder(Protocol):
    """Any model that turns sentences into vectors whose dot product tells how alike they are."""

    def encode(self, texts: list[str]) -> "np.ndarray":
        """float32 [N, D], each row of length 1, for N texts."""
        ...


@dataclass(frozen=True)
class Edit:
    """One edit of a photo.

    ``category`` is one of ``CATEGORIES``. ``target`` is the noun phrase to mask, in English and in the photo's terms,
    empty with ``whole_image``. ``prompt`` is what the picture shows there afterwards, in English. ``confidence`` is
    0 to 1: above 0.85 a rule fitted the whole wish, below 0.6 it is a guess. ``reasons`` are plain sentences.
    """

    category: str
    pipeline: str
    controls: tuple[str, ...]
    use_reference: bool
    target: str
    whole_image: bool
    prompt: str
    confidence: float
    reasons: tuple[str, ...]

    def forced(self, pipeline: str) -> "Edit":
        """The edit in the pipeline that somebody chose: complex keeps the pose of a face, the depth of all else."""
        if pipeline == self.pipeline:
            return self
        controls = () if pipeline == SIMPLE else (POSE,) if self.category == "appearance" else (DEPTH,)
        reasons = (*self.reasons, f"The {pipeline} pipeline was chosen by hand.")
        return replace(self, pipeline=pipeline, controls=controls, reasons=reasons)

    def to_dict(self) -> dict[str, Any]:
        """The edit as JSON has it."""
        return asdict(self) | {"controls": list(self.controls), "reasons": list(self.reasons)}


def new_edit(
    category: str,
    target: str,
    prompt: str,
    *,
    confidence: float,
    reasons: tuple[str, ...],
    use_reference: bool = False,
) -> Edit:
    """An edit whose pipeline, controls and whole_image follow from its category."""
    controls = CATEGORIES[category]
    whole = category in WHOLE_IMAGE
    return Edit(
        category=category,
        pipeline=COMPLEX if controls else SIMPLE,
        controls=controls,
        use_reference=use_reference and category not in WITHOUT_REFERENCE,
        target="" if whole else target,
        whole_image=whole,
        prompt=prompt,
        confidence=round(min(1.0, max(0.0, confidence)), 3),
        reasons=reasons,
    )


@dataclass(frozen=True)
class Decision:
    """How to do a wish: its ``edits`` (at least one) in order, and what holds over all of them."""

    wish: str
    edits: tuple[Edit, ...]

    @property
    def pipeline(self) -> str:
        """``"complex"`` if any edit is."""
        return COMPLEX if any(edit.pipeline == COMPLEX for edit in self.edits) else SIMPLE

    @property
    def controls(self) -> tuple[str, ...]:
        """The controls of all edits, pose before depth."""
        wanted = {control for edit in self.edits for control in edit.controls}
        return tuple(control for control in (POSE, DEPTH) if control in wanted)

    @property
    def use_reference(self) -> bool:
        """Whether any edit takes something from the reference image."""
        return any(edit.use_reference for edit in self.edits)

    @property
    def category(self) -> str:
        """Of the first edit."""
        return self.edits[0].category

    @property
    def target(self) -> str:
        """Of the first edit."""
        return self.edits[0].target

    @property
    def whole_image(self) -> bool:
        """Of the first edit."""
        return self.edits[0].whole_image

    @property
    def prompt(self) -> str:
        """Of the first edit."""
        return self.edits[0].prompt

    @property
    def confidence(self) -> float:
        """Of the least certain edit."""
        return min(edit.confidence for edit in self.edits)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Of all edits, each once."""
        return tuple(dict.fromkeys(reason for edit in self.edits for reason in edit.reasons))

    def forced(self, pipeline: str) -> "Decision":
        """The decision of somebody who chose the pipeline, ``"simple"`` or ``"complex"``, for all edits."""
        return replace(self, edits=tuple(edit.forced(pipeline) for edit in self.edits))

    def to_dict(self) -> dict[str, Any]:
        """The decision as ``imageine route --json`` prints it."""
        return {
            "wish": self.wish,
            "pipeline": self.pipeline,
            "controls": list(self.controls),
            "use_reference": self.use_reference,
            "target": self.target,
            "whole_image": self.whole_image,
            "prompt": self.prompt,
            "confidence": self.confidence,
            "reasons": list(self.reasons),
            "category": self.category,
            "edits": [edit.to_dict() for edit in self.edits],
        }


def no_edit(wish: str) -> Decision:
    """For a ``wish`` without a word, which ``route`` refuses: of many wishes in a row it must not stop the others."""
    edit = new_edit("colour", "", wish, confidence=0.0, reasons=("There is no word in the wish.",))
    return Decision(wish, (edit,))
