"""The masking nodes inside ComfyUI, driven by its own executor: lazy inputs and validation are the real ones."""

import asyncio
import gc
import weakref
from pathlib import Path
from types import SimpleNamespace

import comfy.model_management as management
import execution
import folder_paths
import torch
from imageine.nodes import folders, masking

import nodes

BOX = {"x": 10.0, "y": 8.0, "width": 30.0, "height": 20.0, "label": "car", "score": 0.62}
HEIGHT, WIDTH = 48, 64
RAN: list[str] = []  # stub nodes in the order in which they were executed


class StubDetector:
    """Finds ``BOX`` in bright images."""

    def detect(self, images, prompt, box_threshold, text_threshold):
        RAN.append(f"detect {len(images)}")
        return [[dict(BOX)] if image.mean() > 0.5 else [] for image in images]


def stub(name: str, type_: str, value) -> type:
    """A node without inputs that gives ``value`` and remembers that it ran."""

    def run(self):
        RAN.append(name)
        return (value() if callable(value) else value,)

    inputs = classmethod(lambda cls: {"required": {}})
    return type(name, (), {"INPUT_TYPES": inputs, "RETURN_TYPES": (type_,), "FUNCTION": "run", "run": run})


class Sink:
    """An output node that keeps what arrives."""

    RETURN_TYPES = ()
    FUNCTION = "run"
    OUTPUT_NODE = True
    kept: dict = {}

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {"mask": ("MASK",), "bboxes": ("BOUNDING_BOX",), "count": ("INT",)}}

    def run(self, **values):
        Sink.kept = values
        return ()


def main(model: str) -> dict:
    """``model`` is the folder of a SAM; returns what the test asserts."""
    torch.set_num_threads(1)
    folders.register()
    target = Path(folder_paths.models_dir) / folders.SEGMENT_ANYTHING
    target.mkdir(parents=True, exist_ok=True)
    (target / "tiny").symlink_to(model, target_is_directory=True)
    for one in (masking.LoadSegmentAnything, masking.SegmentBoxes, masking.MaskByText, masking.RefineMask):
        nodes.NODE_CLASS_MAPPINGS[one.define_schema().node_id] = one
    nodes.NODE_CLASS_MAPPINGS["Sink"] = Sink
    with torch.inference_mode():
        report = {"schema": schema(), "lazy": lazy(), "validation": validation(), "outputs": outputs()}
        sam = masking.LoadSegmentAnything.execute("tiny")[0]
        report["memory"] = memory(sam)
    gone = weakref.ref(sam.model.model)
    del sam
    gc.collect()
    management.cleanup_models()
    report["memory"]["alive"] = gone() is not None
    return report


def schema() -> dict:
    found = {}
    for name, one in nodes.NODE_CLASS_MAPPINGS.items():
        if not name.startswith("Imageine"):
            continue
        info = one.GET_NODE_INFO_V1()
        options = {key: entry for group in info["input"].values() for key, entry in group.items()}
        found[name] = {
            "display_name": info["display_name"],
            "inputs": info["input_order"].get("required", []),
            "optional": info["input_order"].get("optional", []),
            "outputs": list(info["output"]),
            "silent": [key for key, entry in options.items() if not entry[1].get("tooltip")]
            + [tip for tip in info["output_tooltips"] if not tip]
            + [key for key in ("description", "search_aliases") if not info.get(key)],
            "shown": [key for key, entry in options.items() if not entry[1].get("advanced")],
        }
    return found


def graph(images: torch.Tensor, painted: torch.Tensor | None, with_sam: bool = True, **values) -> dict:
    nodes.NODE_CLASS_MAPPINGS |= {
        "StubImages": stub("images", "IMAGE", images),
        "StubDetector": stub("detector", "IMAGEINE_GROUNDING_DINO", StubDetector),
        "StubSam": stub("sam", "IMAGEINE_SEGMENT_ANYTHING", lambda: masking.LoadSegmentAnything.execute("tiny")[0]),
        "StubPaint": stub("paint", "MASK", painted),
    }
    names = ("prompt", "box_threshold", "target", "text_threshold", "max_boxes", "sort", "index", "min_area")
    defaults = ("car", 0.3, "", 0.25, 0, "score", -1, 0.0)
    inputs = dict(zip(names, defaults, strict=True))
    inputs |= {"max_area": 1.0, "labels": "", "grow": 0, "feather": 5, "on_empty": "empty mask"} | values
    inputs |= {"image": ["images", 0], "detector": ["detector", 0]}
    inputs |= {"sam": ["sam", 0]} if with_sam else {}
    inputs |= {"mask": ["paint", 0]} if painted is not None else {}
    prompt = {
        "images": {"class_type": "StubImages", "inputs": {}},
        "detector": {"class_type": "StubDetector", "inputs": {}},
        "sam": {"class_type": "StubSam", "inputs": {}},
        "paint": {"class_type": "StubPaint", "inputs": {}},
        "by text": {"class_type": "ImageineMaskByText", "inputs": inputs},
        "sink": {"class_type": "Sink", "inputs": {}},
    }
    for slot, name in enumerate(("mask", "bboxes", "count")):
        prompt["sink"]["inputs"][name] = ["by text", slot]
    return prompt


def run(prompt: dict) -> dict:
    """Validate and execute as the server does: what ran, what came out, the error if any."""
    RAN.clear()
    Sink.kept = {}
    valid, error, outputs, node_errors = asyncio.run(execution.validate_prompt("one", prompt, None))
    if not valid:
        details = [one["details"] for node in node_errors.values() for one in node["errors"]]
        return {"ran": list(RAN), "refused": details or [str(error)]}
    server = SimpleNamespace(client_id=None, last_node_id=None, send_sync=lambda *args: None)
    executor = execution.PromptExecutor(server, execution.CacheType.CLASSIC, {"ram": 0, "ram_inactive": 0, "lru": 0})
    executor.execute(prompt, "one", {}, outputs)
    failures = [data["exception_message"] for event, data in executor.status_messages if event == "execution_error"]
    kept = Sink.kept
    mask = kept.get("mask")
    return {
        "ran": list(RAN),
        "failures": failures,
        "shape": None if mask is None else list(mask.shape),
        "filled": None if mask is None else mask.flatten(1).any(1).tolist(),
        "frames": kept.get("bboxes"),
        "count": kept.get("count"),
    }


def pictures(*bright: bool) -> torch.Tensor:
    return torch.stack([torch.full((HEIGHT, WIDTH, 3), 0.9 if one else 0.1) for one in bright])


def lazy() -> dict:
    stroke = torch.zeros(2, HEIGHT, WIDTH)
    stroke[0, 20:30, 20:40] = 1
    return {
        "painted": run(graph(pictures(True, True), torch.ones(1, HEIGHT, WIDTH))),
        "painted, no prompt": run(graph(pictures(True), torch.ones(1, 8, 8), prompt="")),
        "half painted": run(graph(pictures(True, True), stroke)),
        "nothing painted": run(graph(pictures(True, False), torch.zeros(1, 64, 64))),
        "no mask, no sam": run(graph(pictures(True, False), None, with_sam=False)),
        "no prompt": run(graph(pictures(True), torch.zeros(1, 64, 64), prompt=" . ,")),
        "error": run(graph(pictures(False), None, on_empty="error")),
        "whole image": run(graph(pictures(False, True), None, with_sam=False, on_empty="whole image")),
    }


def validation() -> dict:
    return {
        "punctuation": run(graph(pictures(True), None, prompt="...")),
        "target instead": run(graph(pictures(True), None, with_sam=False, prompt="", target="car")),
    }


def outputs() -> dict:
    sam = masking.LoadSegmentAnything.execute("tiny")[0]
    images = torch.rand(3, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))
    frames = [[BOX, {**BOX, "x": 0.0}], [], [BOX]]
    some = masking.SegmentBoxes.execute(sam, images, frames)
    none = masking.SegmentBoxes.execute(sam, images, [])
    refined = masking.RefineMask.execute(some[0], 0.5, 4, 9, True, 0.0001)
    return {
        "masks": [list(one.shape) for one in (*some.args, *none.args, *refined.args)],
        "types": sorted({str(one.dtype) for one in (*some.args, *none.args, *refined.args)}),
        "empty": [bool(none[0].any()), bool(none[1].any()), bool(some[0][1].any())],
        "union": bool((some[0][0] == some[1][:2].amax(0)).all()),
        "texts": [list(one.ui.as_dict()["text"]) for one in (some, none)],
        "pictures": len(some.ui.as_dict()["images"]),
        "interrupt": interrupted(sam, images, frames),
        "missing": missing(),
    }


def interrupted(sam, images, frames) -> str:
    management.interrupt_current_processing(True)
    try:
        sam.union_masks(images, frames)
    except management.InterruptProcessingException:
        return "stopped"
    finally:
        management.interrupt_current_processing(False)
    return "went on"


def missing() -> str:
    try:
        masking.LoadSegmentAnything.execute("none")
    except ValueError as error:
        return str(error)
    return ""


def memory(sam) -> dict:
    images = torch.rand(1, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))
    first = sam.union_masks(images, [[BOX]])
    loaded = any(one.model is sam.managed.patcher for one in management.current_loaded_models)
    management.unload_all_models()
    offload = management.unet_offload_device()
    return {
        "loaded": loaded,
        "after unload": sum(one.model is sam.managed.patcher for one in management.current_loaded_models),
        "elsewhere": sum(one.device != offload for one in (*sam.model.model.parameters(), *sam.model.model.buffers())),
        "same again": bool(torch.equal(first, sam.union_masks(images, [[BOX]]))),
    }
