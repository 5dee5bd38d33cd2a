"""The detection nodes run inside ComfyUI: folders, memory, outputs and what core's own nodes make of them."""

import gc
import weakref
from pathlib import Path
from types import SimpleNamespace

import comfy.model_management as management
import folder_paths
import torch
from imageine.nodes import detection, folders


def main(model: str, extra: str) -> dict:
    """``model`` is the folder of a detector, ``extra`` an empty folder; returns what the test asserts."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        report = {"folders": check_folders(Path(model), Path(extra)), "schema": schema()}
        detector = detection.LoadGroundingDino.execute("plain")[0]
        images = torch.rand(3, 200, 300, 3, generator=torch.Generator().manual_seed(0))
        report["outputs"] = outputs(detector, images)
        report["core"] = through_core(detector, images)
        report["interrupt"] = interrupted(detector, images)
        report["memory"] = memory(detector, images)
    gone = weakref.ref(detector.model.model)
    del detector
    gc.collect()
    management.cleanup_models()
    report["memory"]["alive"] = gone() is not None
    return report


def check_folders(model: Path, extra: Path) -> dict:
    # As extra_model_paths.yaml leaves it for a folder that core does not know.
    folder_paths.add_model_folder_path(folders.GROUNDING_DINO, str(extra))
    before = folders.list_models(folders.GROUNDING_DINO)
    folders.register()
    default = Path(folder_paths.models_dir) / folders.GROUNDING_DINO
    default.mkdir(parents=True, exist_ok=True)
    (extra / "no model").mkdir()
    (extra / "plain").mkdir()
    for file in model.iterdir():
        (extra / "plain" / file.name).symlink_to(file)
    (default / "linked").symlink_to(model, target_is_directory=True)
    (default / "broken").symlink_to(model.parent / "nowhere")
    refused = []
    for choice in ("none", "../grounding-dino/linked", str(model), ""):
        try:
            folders.find_model(folders.GROUNDING_DINO, choice)
        except ValueError as error:
            refused.append(str(error))
    return {
        "before": before,
        "after": folders.list_models(folders.GROUNDING_DINO),
        "paths": folder_paths.get_folder_paths(folders.GROUNDING_DINO),
        "extensions": sorted(folder_paths.folder_names_and_paths[folders.GROUNDING_DINO][1]),
        "found": str(folders.find_model(folders.GROUNDING_DINO, "linked")),
        "refused": refused,
    }


def schema() -> dict:
    described = {}
    for node in (detection.LoadGroundingDino, detection.DetectObjects):
        info = node.GET_NODE_INFO_V1()
        described[info["name"]] = {
            "display_name": info["display_name"],
            "inputs": list(info["input"]["required"]),
            "outputs": info["output"],
            "model": info["input"]["required"].get("model", [None, {}])[1].get("options"),
            "silent": [one.id for one in (*node.GET_SCHEMA().inputs, *node.GET_SCHEMA().outputs) if not one.tooltip],
        }
    return described


CHOICE = {"max_boxes": 0, "sort": "score", "index": -1, "min_area": 0.0, "max_area": 1.0, "labels": ""}


def detect(detector, images, box_threshold=0.3, prompt="car . red door", **choice):
    return detection.DetectObjects.execute(detector, images, prompt, box_threshold, 0.25, **{**CHOICE, **choice})


def outputs(detector, images) -> dict:
    frames, labels, count = detect(detector, images).args
    nothing = detect(detector, images, 1.0)
    chosen = detect(detector, images, index=0)
    messages = [detection.DetectObjects.validate_inputs(prompt=prompt) for prompt in (None, "car", "...")]
    shown, empty = detect(detector, images).ui.as_dict(), nothing.ui.as_dict()
    temporary = Path(folder_paths.get_temp_directory())
    files = [temporary / image["subfolder"] / image["filename"] for image in (*shown["images"], *empty["images"])]
    return {
        "frames": frames,
        "labels": labels,
        "count": count,
        "nothing": list(nothing.args),
        "chosen": [len(frame) for frame in chosen.args[0]],
        "messages": messages,
        "left": detect(detector, images, labels="giraffe").ui.as_dict()["text"],
        "texts": [shown.get("text"), empty.get("text")],
        "pictures": sum(file.is_file() for file in files),
    }


def through_core(detector, images) -> dict:
    """Core's DrawBBoxes and SAM3_Detect on the boxes as they are, one frame of them empty."""
    from comfy_extras.nodes_rtdetr import DrawBBoxes
    from comfy_extras.nodes_sam3 import SAM3_Detect

    frames = detect(detector, images).args[0]
    frames[1] = []
    drawn = DrawBBoxes.execute(frames, images).args[0]
    asked = []

    def segment(frame, box_inputs=None, mask_inputs=None, **rest):
        if box_inputs is not None:
            asked.append(box_inputs)
        return torch.ones(1, 1, 8, 8)

    sam = SimpleNamespace(forward_segment=segment)
    model = SimpleNamespace(model=SimpleNamespace(diffusion_model=sam, get_dtype=lambda: torch.float32))
    load, management.load_model_gpu = management.load_model_gpu, lambda model: None
    try:
        masks = SAM3_Detect.execute(model, images, bboxes=frames).args[0]
    finally:
        management.load_model_gpu = load
    return {"drawn": list(drawn.shape), "masks": list(masks.shape), "asked": len(asked), "boxes": sum(map(len, frames))}


def interrupted(detector, images) -> str:
    management.interrupt_current_processing(True)
    try:
        detect(detector, images)
    except management.InterruptProcessingException:
        return "stopped"
    finally:
        management.interrupt_current_processing(False)
    return "ran on"


def memory(detector, images) -> dict:
    patcher = detector.managed.patcher
    before = detect(detector, images).args[0]
    weights = sum(one.numel() * one.element_size() for one in detector.model.model.parameters())
    loaded = any(one.model is patcher for one in management.current_loaded_models)
    report = {"loaded": loaded, "size": patcher.model_size(), "weights": weights, "used": patcher.loaded_size()}
    patcher.partially_unload(patcher.offload_device, weights // 2)
    report["part"] = patcher.loaded_size()
    report["same after part"] = detect(detector, images).args[0] == before
    management.unload_all_models()
    report["listed after unload"] = any(one.model is patcher for one in management.current_loaded_models)
    report["used after unload"] = patcher.loaded_size()
    offload = patcher.offload_device
    tensors = [*detector.model.model.parameters(), *detector.model.model.buffers()]
    report["elsewhere"] = sum(one.device != offload for one in tensors)
    report["same after unload"] = detect(detector, images).args[0] == before
    return report
