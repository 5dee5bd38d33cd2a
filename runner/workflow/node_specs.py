"""What ``/object_info`` says about a node's inputs, in one shape for ComfyUI's two node APIs."""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..models import manifest

_CHOOSER = "COMFY_DYNAMICCOMBO_V3"
_LIST = "COMFY_AUTOGROW_V3"
_DYNAMIC = (_LIST, _CHOOSER, "COMFY_DYNAMICSLOT_V3")
_ANY = frozenset({"*", "COMFY_MATCHTYPE_V3"})
_UPLOADS = ("image_upload", "video_upload", "audio_upload", "animated_image_upload", "image_folder", "remote")

# Choices that the editor lists and the server takes whatever they are.
_FREE_CHOICES = {"CustomCombo": ("choice",)}

_MODEL_FOLDERS = {
    "ckpt_name": "checkpoints",
    "clip_name": "text_encoders",
    "clip_name1": "text_encoders",
    "clip_name2": "text_encoders",
    "clip_name3": "text_encoders",
    "clip_name4": "text_encoders",
    "control_net_name": "controlnet",
    "gligen_name": "gligen",
    "hypernetwork_name": "hypernetworks",
    "lora_name": "loras",
    "style_model_name": "style_models",
    "unet_name": "diffusion_models",
    "vae_name": "vae",
    "UpscaleModelLoader.model_name": "upscale_models",
    "CLIPVisionLoader.clip_name": "clip_vision",
    "ImageineLoadGroundingDINO.model": "grounding-dino",
    "ImageineLoadSegmentAnything.model": "sams",
    "ImageineLoadDepthAnything.model": "depth-anything",
    "ImageineLoadIPAdapter.model": "ipadapter",
    "ImageineLoadViTPose.model": "pose",
}


@dataclass(frozen=True)
class InputSpec:
    """One input of a node class."""

    type: Any
    """``INT``, ``IMAGE``, ``COMBO``, or several joined by commas."""
    required: bool
    choices: list | None
    """The values a combo offers; ``None`` when it is no combo or the server keeps the list to itself."""
    low: float | None
    high: float | None
    is_upload: bool
    """Whether the choices are files that a user uploads: the server takes more of them than it lists."""


def inputs(info: dict, given: Mapping[str, Any] | None = None) -> dict[str, InputSpec]:
    """Name -> spec of the inputs of one class.

    Inputs that depend on what a node is ``given`` (its API-format inputs) are left out without that: the further inputs
    of a chosen option, and the entries of a list that grows.
    """
    found = _group(info.get("input") or {}, given, "", required=True)
    for name in _FREE_CHOICES.get(str(info.get("name")), ()):
        if name in found:
            found[name] = replace(found[name], choices=None)
    return found


def _group(groups: dict, given: Mapping[str, Any] | None, prefix: str, *, required: bool) -> dict[str, InputSpec]:
    found: dict[str, InputSpec] = {}
    for group in ("required", "optional"):
        needed = required and group == "required"
        for key, entry in (groups.get(group) or {}).items():
            name = f"{prefix}{key}"
            if not entry or (isinstance(entry[0], str) and entry[0] in _DYNAMIC and given is None):
                continue
            if entry[0] == _CHOOSER:
                found |= _chooser(name, entry, given, required=needed)
            elif entry[0] == _LIST:
                found |= _list_entries(name, entry, given)
            elif not isinstance(entry[0], str) or entry[0] not in _DYNAMIC:
                found[name] = _spec(entry, required=needed)
    return found


def _chooser(name: str, entry: list, given: Mapping[str, Any], *, required: bool) -> dict[str, InputSpec]:
    """A choice, and the inputs that come with the option that is chosen."""
    options = [option for option in _options(entry).get("options") or [] if isinstance(option, dict)]
    groups = {option.get("key"): option.get("inputs") for option in options}
    chosen = given.get(name)
    found = {name: InputSpec("COMBO", required, list(groups), None, None, False)}
    if isinstance(chosen, str) and isinstance(groups.get(chosen), dict):
        found |= _group(groups[chosen], given, f"{name}.", required=required)
    return found


def _list_entries(name: str, entry: list, given: Mapping[str, Any]) -> dict[str, InputSpec]:
    """The entries of a growing list that a node has; with one kind of input in it, all are of that kind."""
    template = _options(entry).get("template")
    group = template.get("input") if isinstance(template, dict) else None
    specs = list(_group(group, given, "", required=False).values()) if isinstance(group, dict) else []
    return {key: specs[0] for key in given if key.startswith(f"{name}.")} if len(specs) == 1 else {}


def _options(entry: list) -> dict:
    return entry[1] if len(entry) > 1 and isinstance(entry[1], dict) else {}


def _spec(entry: list, *, required: bool) -> InputSpec:
    kind = entry[0]
    options = _options(entry)
    choices = kind if isinstance(kind, list) else options.get("options") if kind == "COMBO" else None
    return InputSpec(
        type="COMBO" if isinstance(kind, list) else kind,
        required=required,
        choices=choices,
        low=options.get("min"),
        high=options.get("max"),
        is_upload=any(options.get(key) for key in _UPLOADS),
    )


def types_meet(given: Any, wanted: Any) -> bool:
    """Whether an output of type ``given`` may feed an input of type ``wanted``, as ComfyUI's server sees it."""
    if given == wanted or (isinstance(given, list) and wanted == "COMBO"):
        return True
    if not isinstance(given, str) or not isinstance(wanted, str):
        return False
    given_types = {part.strip() for part in given.split(",")}
    wanted_types = {part.strip() for part in wanted.split(",")}
    return bool(given_types & wanted_types or _ANY & given_types or _ANY & wanted_types)


def misfit(spec: InputSpec, value: Any) -> str:
    """Why ``value`` does not fit ``spec``; empty when it does."""
    if isinstance(value, dict) and "__value__" in value:
        value = value["__value__"]
    if spec.type in ("INT", "FLOAT"):
        return _misfit_number(spec, value)
    if spec.type == "BOOLEAN":
        return "" if isinstance(value, bool) or value in (0, 1) else "it must be true or false."
    if spec.choices is None:
        return ""
    unlisted = [item for item in (value if isinstance(value, list) else [value]) if item not in spec.choices]
    if not unlisted:
        return ""
    return _choices_hint(unlisted[0], spec.choices)


def _misfit_number(spec: InputSpec, value: Any) -> str:
    whole = spec.type == "INT"
    kind = "a whole number" if whole else "a number"
    try:
        number = float(value)
    except (TypeError, ValueError):
        return f"it must be {kind}."
    if not math.isfinite(number) or (whole and isinstance(value, float) and not number.is_integer()):
        return f"it must be {kind}."
    exact = value if isinstance(value, int) else number  # a 64-bit seed does not survive float()
    if spec.low is not None and exact < spec.low:
        return f"the least is {spec.low}."
    if spec.high is not None and exact > spec.high:
        return f"the most is {spec.high}."
    return ""


def _choices_hint(value: Any, choices: list) -> str:
    names = [str(choice) for choice in choices]
    close = difflib.get_close_matches(str(value), names, n=3, cutoff=0.5)
    shown = close or names[:12]
    rest = len(names) - len(shown)
    listed = ", ".join(repr(name) for name in shown) or "nothing to choose from"
    return f"the choices are {listed}{f' and {rest} more' if rest else ''}."


def model_folder(class_type: str, name: str) -> str:
    """The folder under ``models/`` whose files the input ``name`` of ``class_type`` lists, or an empty string."""
    return _MODEL_FOLDERS.get(f"{class_type}.{name}") or _MODEL_FOLDERS.get(name, "")


def pull_command(path: str) -> str:
    """The command that downloads model ``path`` (``<folder>/<name>``), or an empty string: the manifest lacks it."""
    for model in manifest.load_manifest():
        if any(file.target == path or file.target.startswith(f"{path}/") for file in model.files):
            pipeline = model.pipelines[0] if model.default and model.pipelines else model.id
            return f"imageine models pull {pipeline}"
    return ""
