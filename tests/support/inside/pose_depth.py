"""The pose and depth nodes inside ComfyUI, alone, through its executor, and with core's own pose and depth nodes."""

import asyncio
import gc
import weakref
from pathlib import Path
from types import SimpleNamespace

import comfy.model_management as management
import execution
import folder_paths
import numpy as np
import torch
from comfy_extras import nodes_sdpose
from comfy_extras.nodes_depth_anything_3 import DA3Render
from imageine.nodes import depth, folders, pose

import nodes

HEIGHT, WIDTH = 240, 320
PEOPLE = [
    [
        {"x": 20.0, "y": 10.0, "width": 120.0, "height": 220.0, "label": "person", "score": 0.9},
        {"x": 220.0, "y": 60.0, "width": 140.0, "height": 250.0, "label": "woman", "score": 0.6},
    ],
    [],
    [{"x": 60.0, "y": 5.0, "width": 150.0, "height": 230.0, "label": "person", "score": 0.8}],
]
ALL = (depth.LoadDepthAnything, depth.MapDepth, pose.LoadVitPose, pose.MapPose, pose.DrawPose)


def main(pose_model: str, depth_model: str, extra: str) -> dict:
    """The models' folders, and an empty folder; returns what the test asserts."""
    torch.set_num_threads(1)
    listed = install(Path(pose_model), Path(depth_model), Path(extra))
    images = torch.rand(3, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))
    estimator = depth.LoadDepthAnything.execute("tiny")[0]
    finder = pose.LoadVitPose.execute("tiny")[0]
    with torch.inference_mode():
        report = {"listed": listed, "schema": schema()} | measure(estimator, finder, images)
    report["graph"] = graph(images)
    gone = [weakref.ref(one.model.model) for one in (estimator, finder)]
    del estimator, finder
    gc.collect()
    management.cleanup_models()
    return report | {"alive": sum(one() is not None for one in gone)}


def measure(estimator, finder, images) -> dict:
    def maps():
        return estimator.depth_maps(images, False)

    def joints():
        people = finder.find_people(images, PEOPLE)
        return torch.from_numpy(np.concatenate([one.points for frame in people for one in frame]))

    return {
        "depth": depths(estimator, images),
        "pose": poses(finder, images),
        "core": with_core(finder, images),
        "depth memory": memory(estimator.managed.patcher, maps),
        "pose memory": memory(finder.managed.patcher, joints),
        "interrupt": [interrupted(maps), interrupted(joints)],
    }


def install(pose_model: Path, depth_model: Path, extra: Path) -> dict:
    """Each model under its default folder and under an extra path; what is listed."""
    for name, model in ((folders.POSE, pose_model), (folders.DEPTH_ANYTHING, depth_model)):
        (extra / name).mkdir()
        (extra / name / "elsewhere").symlink_to(model, target_is_directory=True)
        folder_paths.add_model_folder_path(name, str(extra / name))
        default = Path(folder_paths.models_dir) / name
        default.mkdir(parents=True, exist_ok=True)
        (default / "tiny").symlink_to(model, target_is_directory=True)
    folders.register()
    missing = []
    for load in (depth.LoadDepthAnything, pose.LoadVitPose):
        try:
            load.execute("none")
        except ValueError as error:
            missing.append(str(error))
    return {
        "depth": folders.list_models(folders.DEPTH_ANYTHING),
        "pose": folders.list_models(folders.POSE),
        "missing": missing,
    }


def schema() -> dict:
    found = {}
    for one in ALL:
        info = one.GET_NODE_INFO_V1()
        nodes.NODE_CLASS_MAPPINGS[info["name"]] = one
        options = {key: entry for group in info["input"].values() for key, entry in group.items()}
        found[info["name"]] = {
            "display_name": info["display_name"],
            "inputs": info["input_order"].get("required", []),
            "optional": info["input_order"].get("optional", []),
            "outputs": list(info["output"]),
            "shown": [key for key, entry in options.items() if not entry[1].get("advanced")],
        }
    return found


def depths(estimator, images) -> dict:
    found = depth.MapDepth.execute(estimator, images)
    inverted = depth.MapDepth.execute(estimator, images, True)[0]
    sizes = [(1, 1, 3), (8, 6000, 3), (6000, 9, 4), (30, 40, 1)]
    odd = [depth.MapDepth.execute(estimator, torch.rand(1, *size))[0] for size in sizes]
    flat = depth.MapDepth.execute(estimator, torch.full((1, 1, 1, 3), 0.5))[0]
    return {
        "shape": list(found[0].shape),
        "type": str(found[0].dtype),
        "range": [[float(one.amin()), float(one.amax())] for one in found[0]],
        "inverted": float((found[0] + inverted - 1).abs().amax()),
        "odd": [list(one.shape) for one in odd],
        "finite": all(bool(one.isfinite().all()) for one in (*odd, flat)),
        "flat": float(flat.amax()),
        "pictures": len(found.ui.as_dict()["images"]),
    }


def poses(finder, images) -> dict:
    some = pose.MapPose.execute(finder, images, bboxes=PEOPLE)
    whole = pose.MapPose.execute(finder, images)
    nobody = pose.MapPose.execute(finder, images, bboxes=[])
    one = pose.MapPose.execute(finder, images, bboxes=PEOPLE, max_people=1)
    women = pose.MapPose.execute(finder, images, bboxes=PEOPLE, labels="woman")
    unsure = pose.MapPose.execute(finder, images, 1.0, bboxes=PEOPLE, line_width=2.0)
    runs = {"some": some, "whole": whole, "nobody": nobody, "one": one, "women": women, "unsure": unsure}
    return {
        name: {
            "shape": list(run[0].shape),
            "type": str(run[0].dtype),
            "drawn": run[0].flatten(1).any(1).tolist(),
            "people": [len(frame["people"]) for frame in run[1]],
            "canvas": sorted({(frame["canvas_width"], frame["canvas_height"]) for frame in run[1]}),
            "count": run[2],
            "text": list(run.ui.as_dict()["text"]),
        }
        for name, run in runs.items()
    }


def overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    one, other = (picture.amax(-1) > 0 for picture in (one, other))
    return float((one & other).sum() / (one | other).sum())


def with_core(finder, images) -> dict:
    """Core's drawing of our keypoints, our drawing of core's, both beside the other's own; Depth Anything 3's map."""
    ours = pose.MapPose.execute(finder, images, bboxes=PEOPLE)
    drawn = core_drawing(ours[1])
    nothing = core_drawing(pose.MapPose.execute(finder, images, bboxes=[])[1])
    generator = np.random.default_rng(0)
    size = np.array([512, 640])
    points = [[generator.random((133, 2)) * size for _ in range(count)] for count in (2, 0)]
    scores = [[generator.random(133) for _ in frame] for frame in points]
    theirs = nodes_sdpose._to_openpose_frames(points, scores, 640, 512)
    redrawn = pose.DrawPose.execute(theirs)[0]
    bodies = [pose.DrawPose.execute(theirs, hands=False, face=False)[0][0], core_drawing(theirs, False)[0]]
    faces = nodes_sdpose.SDPoseFaceBBoxes.execute(theirs, 1.5, True)[0]
    render = {"output": "depth", "normalization": "min_max", "apply_sky_clip": False}
    far = torch.rand(2, HEIGHT, WIDTH)
    map3 = DA3Render.execute({"depth": far, "image": images, "mode": "mono"}, render)[0]
    return {
        "ours drawn by core": [list(drawn.shape), [overlap(drawn[at], ours[0][at]) for at in (0, 2)]],
        "nobody drawn by core": [list(nothing.shape), bool(nothing.any())],
        "core drawn by us": [list(redrawn.shape), overlap(*bodies), bool(redrawn[1].any())],
        "hands and face drawn by us": overlap(redrawn[0], core_drawing(theirs)[0]),
        "face boxes": [len(frame) for frame in faces],
        "depth 3": [str(map3.dtype), list(map3.shape), float(map3.amin()), float(map3.amax())],
        "depth 3 near is white": bool(map3[0].amax(-1).flatten().argmax() == far[0].flatten().argmin()),
    }


def core_drawing(keypoints, all_parts: bool = True) -> torch.Tensor:
    options = (True, all_parts, all_parts, False, 4, 3, 0.3, True)
    return nodes_sdpose.SDPoseDrawKeypoints.execute(keypoints, *options)[0]


def memory(patcher, compute) -> dict:
    first = compute()
    loaded = any(one.model is patcher for one in management.current_loaded_models)
    management.unload_all_models()
    offload = management.unet_offload_device()
    tensors = [*patcher.model.parameters(), *patcher.model.buffers()]
    return {
        "loaded": loaded,
        "after unload": sum(one.model is patcher for one in management.current_loaded_models),
        "elsewhere": sum(one.device != offload for one in tensors),
        "same again": bool(torch.equal(first, compute())),
    }


def interrupted(compute) -> str:
    management.interrupt_current_processing(True)
    try:
        compute()
    except management.InterruptProcessingException:
        return "stopped"
    finally:
        management.interrupt_current_processing(False)
    return "went on"


class Images:
    RETURN_TYPES, FUNCTION, value = ("IMAGE",), "run", None

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": {}}

    def run(self):
        return (Images.value,)


class Sink:
    """An output node that keeps what arrives."""

    RETURN_TYPES, FUNCTION, OUTPUT_NODE = (), "run", True
    kept: dict = {}

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802
        return {"required": dict.fromkeys(("depth", "pose", "redrawn", "core"), ("IMAGE",))}

    def run(self, **values):
        Sink.kept = values
        return ()


def graph(images: torch.Tensor) -> dict:
    """Everything linked as an artist would, validated and executed as the server does."""
    Images.value = images
    nodes.NODE_CLASS_MAPPINGS |= {"Images": Images, "Sink": Sink}
    nodes.NODE_CLASS_MAPPINGS["SDPoseDrawKeypoints"] = nodes_sdpose.SDPoseDrawKeypoints
    draw = {"draw_body": True, "draw_hands": True, "draw_face": True, "draw_feet": False, "stick_width": 4}
    draw |= {"face_point_size": 3, "score_threshold": 0.3, "draw_head": True}
    line = {"score_threshold": 0.3, "line_width": 1.0}
    many = {"max_people": 0, "labels": ""}
    flow = {
        "images": ("Images", {}),
        "depth model": ("ImageineLoadDepthAnything", {"model": "tiny"}),
        "pose model": ("ImageineLoadViTPose", {"model": "elsewhere"}),
        "depth": ("ImageineMapDepth", {"depth_model": ["depth model", 0], "image": ["images", 0], "invert": False}),
        "pose": ("ImageineMapPose", {"pose_model": ["pose model", 0], "image": ["images", 0], **line, **many}),
        "redrawn": ("ImageineDrawPose", {"keypoints": ["pose", 1], **line, "hands": True, "face": True}),
        "core": ("SDPoseDrawKeypoints", {"keypoints": ["pose", 1], **draw}),
        "sink": ("Sink", {name: [name, 0] for name in ("depth", "pose", "redrawn", "core")}),
    }
    prompt = {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in flow.items()}
    valid, error, outputs, node_errors = asyncio.run(execution.validate_prompt("one", prompt, None))
    if not valid:
        return {"refused": str(error) + str(node_errors)}
    server = SimpleNamespace(client_id=None, last_node_id=None, send_sync=lambda *args: None)
    executor = execution.PromptExecutor(server, execution.CacheType.CLASSIC, {"ram": 0, "ram_inactive": 0, "lru": 0})
    executor.execute(prompt, "one", {}, outputs)
    failures = [data["exception_message"] for event, data in executor.status_messages if event == "execution_error"]
    kept = Sink.kept
    return {
        "failures": failures,
        "shapes": {name: list(value.shape) for name, value in kept.items()},
        "same": bool(kept) and bool(torch.equal(kept["pose"], kept["redrawn"])),
    }
