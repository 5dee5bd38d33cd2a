"""Route Edit without ComfyUI: the router decides, and the graph computes the chosen branch alone."""

from typing import TYPE_CHECKING, Any

from ....nodes.algorithms.routing import COMPLEX, DEPTH, POSE, evidence, has_word, picking, route
from .graph import NodeKind
from .own_nodes import not_here

if TYPE_CHECKING:
    from ....nodes.algorithms.routing import Decision
    from .studio import Studio

_TEXT_THRESHOLD = 0.25
_LAZY = frozenset({"image", "reference", "detector", "clip"})


def route_edit(
    studio: "Studio", prompt: str, use_reference: bool = True, override: str = picking.AUTO, edit: int = 1,
    box_threshold: float = 0.3, image=None, detector=None, **linked: None,
) -> tuple:  # fmt: skip
    from ....nodes.algorithms import grounding_dino

    referenced = _is_referenced(use_reference, linked)
    decision = _decide(prompt, referenced)
    if detector is not None and image is not None and (asked := evidence.questions(decision.edits)):
        words = " . ".join(asked)
        with studio.on_device(detector) as device:
            frames = grounding_dino.detect(detector, image[:1], words, box_threshold, _TEXT_THRESHOLD, device=device)
        decision = _decide(prompt, referenced, [box["label"] for box in frames[0]])
    chosen = picking.pick(decision, edit, override)
    reason = " ".join([picking.headline(chosen, edit, decision), *chosen.reasons])
    studio.show(reason)
    return (
        chosen.pipeline == COMPLEX, POSE in chosen.controls, DEPTH in chosen.controls, chosen.use_reference,
        chosen.whole_image, chosen.target, chosen.prompt, picking.denoise(chosen), len(decision.edits), reason,
    )  # fmt: skip


def _wanted(known: dict[str, Any]) -> list[str]:
    """The detector only where the photo could tell more; never the reference: that there is one is all that counts.

    Raises ``WorkflowError`` ``workflow_unfit`` for a CLIP.
    """
    if "clip" in known:
        raise not_here("a CLIP for Route Edit")
    decision = _decide(known["prompt"], _is_referenced(known["use_reference"], known))
    looks = {"image", "detector"} <= known.keys() and evidence.questions(decision.edits)
    return ["image", "detector"] if looks else []


def _is_referenced(use_reference: bool, inputs: dict[str, Any]) -> bool:
    return use_reference and "reference" in inputs


def _decide(prompt: str, reference: bool, found: list[str] | None = None) -> "Decision":
    """Raises ``ValueError`` when the prompt has no word."""
    from ....nodes.algorithms.routing.encoder import installed_encoder

    if not has_word(prompt):
        raise ValueError(picking.wordless(prompt))
    return route(prompt, reference=reference, found=found, encoder=installed_encoder())


ROUTER_NODES = {"ImageineRouteEdit": NodeKind(route_edit, lazy=_LAZY, wanted=_wanted)}
