"""A ComfyUI extension for benchmarks/faults.py: a node whose every run is on record, and that waits or dies when told.

It is told by files in the server's base directory: while ``hold`` is there a run waits, with ``die`` it ends the
worker, which a ComfyUI survives without a word; only with ``keep`` may ComfyUI keep its result instead of running it
again. Starts and ends are lines of ``runs.log``, which outlive a kill -9.
"""

import json
import threading
from pathlib import Path

import comfy.model_management
import folder_paths

BASE = Path(folder_paths.get_output_directory()).parent


class RecordedJob:
    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",), "number": ("INT", {"default": 0, "min": 0, "max": 1_000_000})}}

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "run"
    CATEGORY = "benchmarks"

    @classmethod
    def IS_CHANGED(cls, **inputs):
        return 0.0 if (BASE / "keep").exists() else float("nan")  # which is not equal to itself

    def run(self, images, number):
        note("start", number)
        if (BASE / "die").exists():
            raise SystemExit  # no Exception: nothing in the worker's loop catches it
        while (BASE / "hold").exists():
            comfy.model_management.throw_exception_if_processing_interrupted()
            threading.Event().wait(0.02)
        note("end", number)
        return (images,)


def note(what: str, number: int) -> None:
    with (BASE / "runs.log").open("a", encoding="utf-8") as file:
        file.write(json.dumps([what, number]) + "\n")


NODE_CLASS_MAPPINGS = {"RecordedJob": RecordedJob}
