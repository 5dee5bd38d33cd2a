"""The samplings in which ComfyUI's nodes are compared with diffusers: the jobs, their pictures and their models."""

from pathlib import Path

from support import seeded_controlnet, seeded_ip_adapter, seeded_lora

HEIGHT, WIDTH = 64, 96  # small, for time, and not square, so that no two sides can be confused
NEGATIVE = "deformed, distorted, low quality, blurry"
ADAPTERS = ("standard", "plus", "full")
LORA = "style.safetensors"
WHOLE = (0.0, 1.0)


def controls(pose: float = 0.0, depth: float = 0.0, pose_range=WHOLE, depth_range=WHOLE) -> dict:
    """Settings of Apply Controls: strengths, 0 for off, and the parts of the sampling in which they act."""
    settings = {}
    for kind, strength, (start, end) in (("pose", pose, pose_range), ("depth", depth, depth_range)):
        settings |= {f"use_{kind}": bool(strength), f"{kind}_strength": strength}
        settings |= {f"{kind}_start": start, f"{kind}_end": end}
    return settings


def adapter(kind: str, weight: float, images: int = 1, masked: bool = False, **inputs) -> dict:
    """One Apply IP-Adapter: how many references it gets, whether it gets the region as mask, its other inputs."""
    return {"model": f"{kind}.safetensors", "weight": weight, "images": images, "masked": masked} | inputs


def case(*adapters: dict, **options) -> dict:
    return COMMON | {"adapters": adapters} | options


def plain(job: dict) -> dict:
    """``job`` with nothing but the inpainting."""
    return job | {"adapters": (), "controls": controls(), "lora": 0.0}


COMMON = {
    "positive": "a navy suit",
    "negative": NEGATIVE,
    "guidance": 7.5,
    "seed": 1234,
    "sampler": "euler",
    "scheduler": "normal",
    "steps": 10,
    "frames": 1,
    "lora": 0.0,
    "adapters": (),
    "controls": controls(),
}
KARRAS = {"sampler": "dpmpp_2m", "scheduler": "karras"}
PLUS = adapter("plus", 1.0)

# A range of the noise schedule covers the same steps in both where "normal" spaces them evenly: of ten, 0.2 to 0.7
# are steps 2 to 6, for ComfyUI since step i is at i/9, for diffusers as it counts.
CASES = {
    "Inpainting: euler, normal": COMMON,
    "Inpainting: dpmpp_2m, karras, 25 steps": case(**KARRAS, steps=25),
    "Inpainting: a batch of 2": case(frames=2),
    "ControlNet: pose 1": case(controls=controls(pose=1.0)),
    "ControlNet: pose 0.35": case(controls=controls(pose=0.35)),
    "ControlNet: depth 1, dpmpp_2m, karras": case(**KARRAS, controls=controls(depth=1.0)),
    "ControlNet: pose 1 from 0.2 to 0.7": case(controls=controls(1.0, pose_range=(0.2, 0.7))),
    "Two ControlNets: pose 1, depth 0.35": case(controls=controls(1.0, 0.35)),
    "Two ControlNets: pose 1 to 0.7, depth 0.35 from 0.2": case(controls=controls(1.0, 0.35, (0.0, 0.7), (0.2, 1.0))),
    **{
        f"IP-Adapter: {kind} {weight:g}{', masked' if masked else ''}": case(adapter(kind, weight, masked=masked))
        for kind in ADAPTERS[:2]
        for weight in (0.0, 0.5, 1.0)
        for masked in (False, True)
    },
    "IP-Adapter: full-face 1": case(adapter("full", 1.0)),
    "IP-Adapter: plus 1, two references": case(adapter("plus", 1.0, images=2)),
    "IP-Adapter: plus 1 from 0.2 to 0.7": case(adapter("plus", 1.0, start_percent=0.2, end_percent=0.7)),
    "IP-Adapter: plus 1, dpmpp_2m, karras": case(PLUS, **KARRAS),
    "IP-Adapter: plus 1, guidance 1": case(PLUS, guidance=1.0),
    "IP-Adapter: plus 1, a batch of 2": case(PLUS, frames=2),
    "IP-Adapter: standard 1, masked, a batch of 2": case(adapter("standard", 1.0, masked=True), frames=2),
    "Two IP-Adapters: standard 0.5, masked, and plus 1": case(adapter("standard", 0.5, masked=True), PLUS),
    "IP-Adapter and ControlNets: plus 1, pose 1": case(PLUS, controls=controls(1.0)),
    "IP-Adapter and ControlNets: standard 0.5, pose 1, depth 0.35": case(
        adapter("standard", 0.5), controls=controls(1.0, 0.35)
    ),
    "LoRA: 1": case(lora=1.0),
    "LoRA and IP-Adapter: 0.7, plus 1": case(PLUS, lora=0.7),
}


def acts(job: dict) -> bool:
    """Whether anything but the inpainting is to act."""
    return any(one["weight"] for one in job["adapters"]) or job != plain(job) | {"adapters": job["adapters"]}


def pictures(photos: dict[str, Path]) -> dict:
    """Crops of real photos, which stand in for maps too; masks are aligned to latent pixels: both sides reduce alike.

    pixels [2,H,W,3]; pose_map, depth_map [1,H,W,3]; references [2,300,300,3]; mask (what is painted) and region
    (where masked adapters act) [1,H,W].
    """
    import numpy as np
    import torch
    from PIL import Image

    boxes = {"astronaut": (40, 0, 424, 256), "chelsea": (30, 20, 414, 276), "coffee": (120, 80, 504, 336)}

    def picture(name: str, size: tuple[int, int] = (WIDTH, HEIGHT)) -> torch.Tensor:
        with Image.open(photos[name]) as photo:
            part = photo.crop(boxes[name]).resize(size, Image.Resampling.LANCZOS)
        return torch.from_numpy(np.asarray(part, dtype=np.float32) / 255)[None]

    mask, region = torch.zeros(2, 1, HEIGHT, WIDTH)
    mask[:, 16:56, 24:80] = 1.0
    region[:, 8:40, 16:] = 1.0
    found = {
        "pixels": torch.cat([picture("astronaut"), picture("coffee")]),
        "pose_map": picture("chelsea"),
        "depth_map": picture("coffee"),
        "references": torch.cat([picture("chelsea", (300, 300)), picture("coffee", (300, 300))]),
        "mask": mask,
        "region": region,
    }
    return {name: tensor.contiguous() for name, tensor in found.items()}


def models_folder(root: Path, seeded: Path) -> Path:
    """``seeded`` (a models folder) with ControlNets, IP-Adapters and a LoRA for its checkpoint beside it."""
    folder = seeded_controlnet.models_folder(root, seeded)
    for kind in ADAPTERS:
        parts = seeded_ip_adapter.nested(seeded_ip_adapter.widths("lite"), kind)
        seeded_ip_adapter.save(folder / "ipadapter" / f"{kind}.safetensors", parts)
    seeded_lora.save(folder / "loras" / LORA)
    return folder
