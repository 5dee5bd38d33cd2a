"""The same boxes on the oldest transformers supported, on the first of the 5 series, and on the installed one.

The others, with the tokenizers and huggingface_hub they need, are installed once into a folder of the cache.
"""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from support.detectors import photo, template

pytest.importorskip("transformers")

# What each needs beside what the installed one needs.
OTHERS = {
    "4.50.3": ("tokenizers>=0.21,<0.22", "huggingface_hub>=0.26,<1"),
    "5.0.0": ("tokenizers>=0.22,<0.23", "huggingface_hub>=1.3,<2", "httpx", "httpcore", "h11", "anyio", "sniffio"),
}
PROMPTS = (
    "car",
    "person . red door",
    "a small cat, cup; a wooden table",
    " . ".join(f"red {'o' * n}" for n in range(1, 90)),
)
_NO_INDEX = (
    "No matching distribution",
    "Could not find a version",
    "ConnectionError",
    "NewConnectionError",
    "Max retries",
)


def install(release: str) -> Path:
    """A folder to put first on PYTHONPATH."""
    from imageine.runner.demo import seeded

    target = seeded.cache_folder() / f"transformers-{release}-py{sys.version_info.major}{sys.version_info.minor}"
    if (target / "complete").is_file():
        return target
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", str(target)]
    packages = (f"transformers=={release}", *OTHERS[release])
    done = subprocess.run([*command, *packages], capture_output=True, text=True, timeout=600)
    if done.returncode and any(sign in done.stderr for sign in _NO_INDEX):
        reason = done.stderr.strip().splitlines()[-1]
        pytest.skip(f"pip cannot reach a package index with transformers {release}: {reason}")
    assert done.returncode == 0, done.stderr
    (target / "complete").touch()
    return target


def detect(folder: Path, first_on_path: Path | None) -> dict:
    script = Path(__file__).with_name("detect_with_path.py")
    path = [str(first_on_path) if first_on_path else None, os.environ.get("PYTHONPATH")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))}
    command = [sys.executable, str(script), str(template()), str(folder / "images.npy"), str(folder / "result.json")]
    done = subprocess.run([*command, *PROMPTS], capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("installed")
    np.save(folder / "images.npy", np.concatenate([photo("astronaut")[:, :300, :451], photo("chelsea")]))
    return folder, detect(folder, None)


@pytest.mark.parametrize("release", OTHERS)
def test_another_transformers_finds_the_same_boxes(release, installed, figures):
    folder, new = installed
    old = detect(folder, install(release))
    assert old["version"] == release and new["version"] == version("transformers")
    assert len(old["frames"]) == len(new["frames"]) == len(PROMPTS)
    furthest = count = 0
    for old_frame, new_frame in zip(sum(old["frames"], []), sum(new["frames"], []), strict=True):
        assert [one["label"] for one in old_frame] == [one["label"] for one in new_frame]
        for one, other in zip(old_frame, new_frame, strict=True):
            furthest = max(furthest, *(abs(one[side] - other[side]) for side in ("x", "y", "width", "height")))
            assert abs(one["score"] - other["score"]) < 1e-3
            count += 1
    versions = f"transformers {release} and {new['version']}"
    figures(f"Grounding DINO, {versions}: {count} boxes, at most {furthest:.2g} px apart")
    assert count > 10 and furthest <= 1.0
