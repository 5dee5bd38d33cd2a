"""Route Edit inside ComfyUI: what it asks for, what it says, and a checkpoint's CLIP as its text encoder."""

import comfy.sd
import numpy as np
import torch
from imageine.nodes import routing

TEXTS = ["make the car blue", "put her in a red dress", "a long wish " * 200]
UNSURE = "qwerty zxcvb"


class Detector:
    """Finds what it was told to, and counts how often it looked."""

    def __init__(self, labels: list[str]):
        self.labels = labels
        self.asked: list[str] = []

    def detect(self, images, prompt, box_threshold, text_threshold):
        self.asked.append(prompt)
        return [[{"label": label} for label in self.labels] for _ in images]


def main(checkpoint: str) -> dict:
    torch.set_num_threads(1)
    with torch.inference_mode():
        _, clip, *_ = comfy.sd.load_checkpoint_guess_config(checkpoint, output_vae=False, output_clip=True)
        report = {"clip": encode(clip), "lazy": lazy()}
        report["found"] = {name: looked(labels) for name, labels in (("person", ["person"]), ("nobody", []))}
        return report


def encode(clip) -> dict:
    """Several texts at once against core's own pooled output of each alone."""
    rows = routing.ClipEncoder(clip).encode(TEXTS)
    short = TEXTS[:2]  # of a long text core has more than one section
    pooled = [clip.encode_from_tokens(clip.tokenize(text), return_pooled=True)[1][0].float().cpu() for text in short]
    wanted = [(vector / vector.norm()).numpy() for vector in pooled]
    return {
        "shape": list(rows.shape),
        "type": str(rows.dtype),
        "lengths": np.linalg.norm(rows, axis=1).tolist(),
        "difference": float(max(np.abs(row - other).max() for row, other in zip(rows, wanted, strict=False))),
        "apart": float(rows[0] @ rows[1]),
    }


def lazy() -> dict:
    """What a run still asks for, by wish and by what is connected (None: connected, not there yet)."""

    def ask(prompt, **inputs):
        return routing.RouteEdit.check_lazy_status(prompt=prompt, use_reference=True, override="auto", edit=1, **inputs)

    everything = {"image": None, "reference": None, "detector": None, "clip": None}
    return {
        "sure": ask("make the car blue", **everything),
        "unsure": ask(UNSURE, **everything),
        "clothes": ask("put her in a red dress", **everything),
        "clothes, image there": ask("put her in a red dress", **(everything | {"image": torch.zeros(1, 8, 8, 3)})),
        "clothes, no detector": ask("put her in a red dress", image=None, reference=None),
        "whole": ask("make it winter", **everything),
    }


def looked(labels: list[str]) -> dict:
    detector = Detector(labels)
    routing.RouteEdit.hidden = None
    image = torch.zeros(2, 32, 32, 3)
    out = routing.RouteEdit.execute("put her in a red dress", True, "auto", 1, 0.3, image=image, detector=detector)
    return {
        "asked": detector.asked,
        "outputs": list(out.args),
        "text": out.ui.as_dict()["text"],
        "pictures": len(out.ui.as_dict()["images"]),
    }
