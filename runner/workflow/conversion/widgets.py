"""Which widgets an input gets, with their first values: the counterpart of the editor's widget constructors.

What counts is how many places a widget takes in ``widgets_values`` and what it sends. A seed, for one, takes two: its
own and that of "control after generate", which is never sent.
"""

import copy
import math
from collections.abc import Callable
from typing import Any

from .model import UNSET, FixedWidget, Node, Widget
from .specs import Spec

_SEEDS = ("seed", "noise_seed")
_BOX = ("x", "y", "width", "height")


DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"


def is_widget_type(kind: Any) -> bool:
    """Whether the editor has a widget for inputs of type ``kind``."""
    return kind == DYNAMIC_COMBO or kind in _MAKERS


def make(spec: Spec, node: Node) -> list[Widget]:
    """The widgets that ``node`` gets for an input of a widget type, a dynamic combo's own one excepted."""
    return _MAKERS[spec.widget_type](spec, node)


def extras(node: Node) -> list[Widget]:
    """The widgets that the editor adds to a whole node once it has those of its inputs."""
    if node.type in ("PreviewAny", "SaveText"):
        return [Widget(name, "preview", "", stored=False, sent=False) for name in ("preview_text", "preview_mode")]
    if node.type == "WebcamCapture":
        return [FixedWidget("waiting for camera...", "button", UNSET)]
    return []


def _control(spec: Spec) -> Widget:
    return Widget(f"{spec.name} control", "combo", "randomize", sent=False)


def _int(spec: Spec, _: Node) -> list[Widget]:
    options = spec.options
    step = _number(options.get("step"), 1)
    widget = Widget(
        spec.name,
        _display(options, ("slider", "knob")),
        options.get("default", 0),
        low=_number(options.get("min"), 0),
        high=_number(options.get("max"), 2048),
        step=step,
    )
    control = options.get("control_after_generate")
    controlled = spec.name in _SEEDS if control is None else bool(control)
    return [widget, _control(spec)] if controlled else [widget]


def _float(spec: Spec, _: Node) -> list[Widget]:
    options = spec.options
    step = _number(options.get("step"), 0.5)
    precision = max(0, -math.floor(math.log10(step))) if step > 0 else 0
    own = _number(options.get("round"), 0)
    widget = Widget(
        spec.name,
        _display(options, ("gradientslider", "slider", "knob")),
        options.get("default", 0),
        low=_number(options.get("min"), 0),
        high=_number(options.get("max"), 2048),
        step=step,
        precision=precision,
        round=own or (10**-precision if precision else 0),
    )
    return [widget, _control(spec)] if options.get("control_after_generate") else [widget]


def _display(options: dict, kinds: tuple[str, ...]) -> str:
    return options["display"] if options.get("display") in kinds else "number"


def _number(value: Any, default: float) -> float:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def choices(spec: Spec) -> list:
    """The values that a combo offers."""
    listed = spec.options.get("options")
    return listed if isinstance(listed, list) else []


def combo(spec: Spec, _: Node | None = None) -> list[Widget]:
    """A list to choose from, with what hangs on it."""
    if spec.options.get("multi_select"):
        widgets = [Widget(spec.name, "custom", [])]
        return [*widgets, _control(spec)] if spec.options.get("control_after_generate") else widgets
    remote = spec.options.get("remote")
    first = choices(spec)[0] if choices(spec) else "Loading..." if remote else UNSET
    widgets = [Widget(spec.name, "combo", spec.options.get("default") or first, values=choices(spec))]
    if isinstance(remote, dict) and remote.get("refresh_button"):
        widgets.append(Widget("Auto-refresh after generation", "toggle", False, sent=False))
        widgets.append(Widget("refresh", "button", "refresh"))
    if spec.options.get("control_after_generate"):
        widgets += [_control(spec), Widget(f"{spec.name} filter", "string", "", sent=False)]
    return widgets


def _boolean(spec: Spec, _: Node) -> list[Widget]:
    return [Widget(spec.name, "toggle", spec.options.get("default", False))]


def _string(spec: Spec, _: Node) -> list[Widget]:
    widget = Widget(spec.name, "customtext" if spec.options.get("multiline") else "text", spec.options.get("default"))
    widget.value = "" if widget.value is None else widget.value
    widget.wildcards = spec.options.get("dynamicPrompts") is True
    return [widget]


def _bounding_box(spec: Spec, _: Node) -> list[Widget]:
    box = spec.options.get("default") or {"x": 0, "y": 0, "width": 512, "height": 512}
    sides = [Widget(side, "number", box.get(side), sent=False) for side in _BOX]
    return [Widget(spec.name, "boundingbox", dict(box)), *sides]


def _video_edit(spec: Spec, _: Node) -> list[Widget]:
    features = spec.options.get("features", ["trim", "crop"])
    value = {}
    if "trim" in features:
        value["trim"] = {"start_time": 0, "duration": 0}
    if "crop" in features:
        value["crop"] = {"x": 0, "y": 0, "width": 0, "height": 0}
    return [Widget(spec.name, "videoedit", copy.deepcopy(spec.options.get("default") or value))]


def _load_3d(spec: Spec, node: Node) -> list[Widget]:
    view = FixedWidget("viewport_state" if node.type in _VIEWPORTS else "image", "load3D", "")
    if node.widget("model_file") is None:
        return [view]
    buttons = {"upload 3d model": "upload3dmodel", "upload extra resources": "uploadExtraResources", "clear": "clear"}
    return [*(Widget(name, "button", value) for name, value in buttons.items()), view]


_VIEWPORTS = frozenset({
    "Preview3DAdvanced", "Save3DAdvanced", "PreviewGaussianSplat", "PreviewPointCloud", "SaveGaussianSplat",
    "SavePointCloud",
})  # fmt: skip


def _record(spec: Spec, _: Node) -> list[Widget]:
    return [FixedWidget(spec.name, "audioUI", ""), Widget(spec.name, "audiorecord", "", sent=False)]


def _plain(kind: str, default: Any, *, stored: bool = True, sent: bool = True, fixed: bool = False) -> Callable:
    def maker(spec: Spec, _: Node) -> list[Widget]:
        given = spec.options.get("default")
        value = copy.deepcopy(default if given is None else given)
        return [(FixedWidget if fixed else Widget)(spec.name, kind, value, stored=stored, sent=sent)]

    return maker


_MAKERS: dict[str, Callable[[Spec, Node], list[Widget]]] = {
    "INT": _int,
    "FLOAT": _float,
    "BOOLEAN": _boolean,
    "STRING": _string,
    "COMBO": combo,
    "MARKDOWN": _plain("MARKDOWN", ""),
    "TEXTAREA": _plain("textarea", ""),
    "COLOR": _plain("color", "#000000"),
    "COLORS": _plain("colors", []),
    "CURVE": _plain("curve", {"points": [[0, 0], [1, 1]], "interpolation": "monotone_cubic"}),
    "RANGE": _plain("range", {"min": 0.0, "max": 1.0}),
    "CHART": _plain("chart", {}),
    "GALLERIA": _plain("galleria", []),
    "PAINTER": _plain("painter", ""),
    "COMPOSITOR": _plain("compositor", {}),
    "VIDEO_EDIT": _video_edit,
    "BOUNDING_BOX": _bounding_box,
    "BOUNDING_BOXES": _plain("boundingboxes", []),
    "IMAGECOMPARE": _plain("imagecompare", ["", ""], stored=False),
    "IMAGEUPLOAD": _plain("button", "image", sent=False),
    "AUDIOUPLOAD": _plain("button", "", sent=False),
    "AUDIO_UI": _plain("audioUI", "", stored=False, sent=False),
    "AUDIO_RECORD": _record,
    "WEBCAM": _plain("WEBCAM", "", fixed=True),
    "LOAD_3D": _load_3d,
    "LOAD_3D_ADVANCED": lambda spec, _: [FixedWidget("viewport_state", "load3DAdvanced", "")],
    "PREVIEW_3D": lambda spec, _: [FixedWidget("image", "load3D", "")],
}
