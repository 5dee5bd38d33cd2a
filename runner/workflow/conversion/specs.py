"""The inputs of a node class in the order, and with the additions, of ComfyUI's editor."""

from dataclasses import dataclass, field, replace
from typing import Any

_UPLOADS = ("image_upload", "video_upload", "animated_image_upload")
_AUDIO_PLAYERS = frozenset(
    {"LoadAudio", "SaveAudio", "PreviewAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced"}
)


@dataclass(frozen=True)
class Spec:
    """One input of a class: ``options`` is what ``/object_info`` has beside the type."""

    name: str
    type: str
    optional: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def widget_type(self) -> str:
        """The type that decides which widget it gets."""
        return str(self.options.get("widgetType") or self.type)

    @property
    def is_socket_only(self) -> bool:
        return bool(self.options.get("forceInput"))

    def renamed(self, name: str, *, optional: bool) -> "Spec":
        return replace(self, name=name, optional=optional)


def read(name: str, entry: Any, *, optional: bool = False) -> Spec:
    """The spec of one ``/object_info`` entry ``[type or choices, options]``."""
    entry = entry if isinstance(entry, list) and entry else ["UNKNOWN"]
    options = dict(entry[1]) if len(entry) > 1 and isinstance(entry[1], dict) else {}
    kind = entry[0]
    if isinstance(kind, list):
        kind, options["options"] = "COMBO", kind
    if optional and options.get("defaultInput"):
        options["forceInput"] = True
    return Spec(name, kind if isinstance(kind, str) else "UNKNOWN", optional, options)


def read_group(groups: Any, prefix: str = "") -> list[Spec]:
    """The specs in ``{"required": {...}, "optional": {...}}``, names led by ``prefix``."""
    groups = groups if isinstance(groups, dict) else {}
    return [
        read(f"{prefix}{name}", entry, optional=group == "optional")
        for group in ("required", "optional")
        for name, entry in (groups.get(group) or {}).items()
    ]


def of_class(name: str, info: dict) -> list[Spec]:
    """The inputs of a class as its definition lists them, with those that the editor adds: upload buttons, players."""
    required = dict((info.get("input") or {}).get("required") or {})
    optional = (info.get("input") or {}).get("optional") or {}
    specs = {key: read(key, entry) for key, entry in required.items()}
    for spec in _additions(name, specs):
        specs[spec.name] = spec
    specs |= {key: read(key, entry, optional=True) for key, entry in optional.items()}
    return list(specs.values())


def _additions(name: str, required: dict[str, Spec]) -> list[Spec]:
    added = []
    upload = next(
        (spec for spec in required.values() if spec.type == "COMBO" and any(spec.options.get(key) for key in _UPLOADS)),
        None,
    )
    if upload:
        added.append(Spec("upload", "IMAGEUPLOAD"))
    if name in _AUDIO_PLAYERS:
        added.append(Spec("audioUI", "AUDIO_UI"))
    if "audio" in required and required["audio"].options.get("audio_upload") is True:
        added.append(Spec("upload", "AUDIOUPLOAD"))
    if name in ("SaveGLB", "Preview3D"):
        added.append(Spec("image", "PREVIEW_3D"))
    if name == "Load3DAdvanced":
        added.append(Spec("viewport_state", "LOAD_3D_ADVANCED"))
    return added


def ordered(specs: list[Spec], info: dict) -> list[Spec]:
    """``specs`` in the order that ``input_order`` gives; what it does not name comes last."""
    order = info.get("input_order")
    if not isinstance(order, dict):
        return specs
    by_name = {spec.name: spec for spec in specs}
    named = [
        by_name[name]
        for group in ("required", "optional")
        for name in order.get(group) or []
        if name in by_name and by_name[name].optional is (group == "optional")
    ]
    names = {spec.name for spec in named}
    return [*named, *(spec for spec in specs if spec.name not in names)]
