"""A ComfyUI models folder for Complex Edit: seeded weights under the names that the shipped workflow uses."""

from pathlib import Path

from support import seeded_controlnet, seeded_pose_depth

POSE_MODEL = "vitpose-base-simple"
DEPTH_MODEL = "Depth-Anything-V2-Small-hf"


def models_folder(root: Path, seeded: Path) -> Path:
    """``seeded`` (Simple Edit's) with ControlNets, a pose and a depth model beside it, in ``root``; returns it."""
    folder = seeded_controlnet.models_folder(root, seeded)
    seeded_pose_depth.vitpose(folder / "pose" / POSE_MODEL)
    seeded_pose_depth.depth_anything(folder / "depth-anything" / DEPTH_MODEL)
    return folder
