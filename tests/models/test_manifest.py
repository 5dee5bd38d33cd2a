"""The model manifest, where models are looked for, and what is said of those that are there."""

import json
import re
from pathlib import Path

import pytest
from imageine.runner import models
from imageine.runner.errors import ModelError
from imageine.runner.workflow import Workflow
from rich.filesize import decimal
from support.hub import FILES, SIZE, WEIGHTS, pull

# --- the manifest ---


def test_manifest_pins_every_file():
    """By its checksum, or by the commit it is in; safetensors, never a pickle; no two files in one place."""
    manifest = models.load_manifest()
    targets = [file.target for model in manifest for file in model.files]
    assert len(set(targets)) == len(targets) and len({model.id for model in manifest}) == len(manifest)
    for model in manifest:
        assert model.licence.url.startswith("https://") and model.pipelines
        commit = re.fullmatch("[0-9a-f]{40}", model.revision)
        assert commit or model.revision == "main"
        for file in model.files:
            assert file.target.startswith(f"{model.folder}/") and ".." not in file.target
            assert file.target.endswith((".safetensors", ".json", ".txt"))
            known = file.size is not None and file.sha256 is not None
            assert known or (commit and file.target.endswith(".json"))
            if known:
                assert file.size > 0 and re.fullmatch("[0-9a-f]{64}", file.sha256)


def test_simple_pipeline_is_what_the_shipped_graph_names():
    targets = {file.target for model in models.select(["simple"]) for file in model.files}
    assert {
        "checkpoints/sd-v1-5-inpainting.safetensors",
        "grounding-dino/grounding-dino-tiny/config.json",
        "grounding-dino/grounding-dino-tiny/tokenizer.json",
        "sams/sam2.1-hiera-tiny/config.json",
    } <= targets
    assert len(models.select(["simple"])) == 3


@pytest.mark.parametrize(
    ("title", "pipeline"),
    [
        ("Simple Edit", "simple"),
        ("Simple Edit with Reference", "reference"),
        ("Complex Edit", "complex"),
        ("Virtual Try-On", "complex"),
        ("Replace Object", "complex"),
        ("Restyle Room", "complex"),
        ("Auto Edit", "complex"),
    ],
)
def test_one_pull_brings_all_that_a_workflow_names(title, pipeline):
    targets = [file.target for model in models.select([pipeline]) for file in model.files]
    used = Workflow.load(title).models
    assert len(used) >= 3
    assert not [path for path in used if not any(target == path or target.startswith(f"{path}/") for target in targets)]


def test_the_models_page_agrees_with_the_manifest():
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    rows = {row.split("|")[1].split()[0]: row for row in page.splitlines() if row.startswith("| ") and "](" in row}
    for model in models.load_manifest():
        row = rows.pop(model.id)
        assert f"](https://huggingface.co/{model.repo})" in row and decimal(model.size) in row
        assert model.licence.name in row and model.role in row and ("(optional)" in row) != model.default
        target = model.files[0].target
        assert (target if len(model.files) == 1 else target.rsplit("/", 1)[0] + "/") in row
    assert not rows
    for pipeline in ("simple", "reference", "complex"):
        size = decimal(sum(model.size for model in models.select([pipeline])))
        assert re.search(rf"models pull {pipeline} .*\({re.escape(size)}\)", page)


def test_select_by_id_pipeline_and_all():
    base = models.select(["grounding-dino-base", "grounding-dino-base"])
    assert [model.id for model in base] == ["grounding-dino-base"]
    assert models.select(["all"]) == list(models.load_manifest())
    with pytest.raises(ModelError) as error:
        models.select(["simple", "grounding-dino-tin"])
    assert error.value.code == "model_unknown" and "grounding-dino-tiny" in error.value.hint


# --- where models are ---


def make_comfyui(path: Path, extra: str = "") -> Path:
    path.mkdir(parents=True)
    (path / "main.py").touch()
    if extra:
        (path / "extra_model_paths.yaml").write_text(extra)
    return path


def test_extra_model_paths(tmp_path, monkeypatch):
    """is_default paths are searched first and get new files; the others are searched last; base_path is optional."""
    monkeypatch.setenv("MODEL_DISK", str(tmp_path / "disk"))
    comfyui = make_comfyui(
        tmp_path / "ComfyUI",
        "a:\n  base_path: $MODEL_DISK/a\n  is_default: true\n  sams: |\n    one/\n    two/\n"
        "b:\n  sams: ../b/sams\n  checkpoints: ../b/checkpoints\nempty:\n",
    )
    folders = models.models_dirs(comfyui=comfyui)
    disk = tmp_path / "disk" / "a"
    assert folders.paths("sams") == [disk / "two", disk / "one", comfyui / "models/sams", tmp_path / "b/sams"]
    assert folders.paths("checkpoints") == [comfyui / "models/checkpoints", tmp_path / "b/checkpoints"]
    assert folders.paths("loras") == [comfyui / "models/loras"]


def test_extra_model_paths_agree_with_comfyui(tmp_path):
    """The same order as ComfyUI's own reading of the file, taken from its code when a ComfyUI is at hand."""
    home = Path.home() / "comfy" / "ComfyUI"
    source = home / "utils" / "extra_config.py"
    if not source.is_file():
        pytest.skip("no ComfyUI at ~/comfy/ComfyUI to compare with")
    config = "a:\n  base_path: ~/x\n  is_default: true\n  sams: |\n    one/\n    two/\nb:\n  sams: /y/sams\n"
    comfyui = make_comfyui(tmp_path / "ComfyUI", config)
    table = {"sams": [str(comfyui / "models" / "sams")]}

    class FolderPaths:
        @staticmethod
        def add_model_folder_path(name, path, is_default):
            table[name].insert(0 if is_default else len(table[name]), path)

    code = source.read_text().replace("import folder_paths", "")
    space = {"folder_paths": FolderPaths}
    exec(compile(code, source, "exec"), space)
    space["load_extra_path_config"](str(comfyui / "extra_model_paths.yaml"))
    assert [str(path) for path in models.models_dirs(comfyui=comfyui).paths("sams")] == table["sams"]


def test_broken_extra_model_paths_is_one_clear_error(tmp_path):
    comfyui = make_comfyui(tmp_path / "ComfyUI", "a: [")
    with pytest.raises(ModelError, match="extra_model_paths.yaml cannot be read") as error:
        models.models_dirs(comfyui=comfyui)
    assert error.value.code == "option_invalid"


def test_portable_build_and_not_a_comfyui(tmp_path):
    make_comfyui(tmp_path / "portable" / "ComfyUI")
    assert models.models_dirs(comfyui=tmp_path / "portable").root == tmp_path / "portable/ComfyUI/models"
    with pytest.raises(ModelError, match="no main.py") as error:
        models.models_dirs(comfyui=tmp_path)
    assert error.value.code == "comfyui_missing"


def test_models_on_an_extra_path_are_found_and_completed_there(hub, tmp_path):
    comfyui = make_comfyui(tmp_path / "ComfyUI", "disk:\n  sams: ../disk\n")
    folders = models.models_dirs(comfyui=comfyui)
    model = hub.model("sam", FILES)
    (tmp_path / "disk" / "sam").mkdir(parents=True)
    (tmp_path / "disk" / "sam" / "vocab.txt").write_bytes(FILES["vocab.txt"])
    assert models.status(model, folders).state == models.INCOMPLETE
    [found] = pull(hub, [model], folders)
    assert found.state == models.PRESENT and found.path == tmp_path / "disk" / "sam"
    assert not (comfyui / "models").exists()


# --- what is there already ---


def test_another_edition_is_never_overwritten_unasked(hub, folders):
    model = hub.model("sam", FILES)
    path = folders.root / "sams" / "sam" / "model.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"somebody's own half-size edition")
    assert models.status(model, folders).state == models.WRONG_SIZE
    with pytest.raises(ModelError, match="left as it is") as error:
        pull(hub, [model], folders)
    assert "--overwrite" in error.value.hint and path.read_bytes().startswith(b"somebody")
    assert pull(hub, [model], folders, overwrite=True)[0].state == models.PRESENT
    assert path.read_bytes() == WEIGHTS


def test_an_empty_file_is_replaced(hub, folders):
    model = hub.model("sam", FILES)
    path = folders.root / "sams" / "sam" / "vocab.txt"
    path.parent.mkdir(parents=True)
    path.touch()
    assert models.status(model, folders).state == models.WRONG_SIZE
    assert pull(hub, [model], folders)[0].state == models.PRESENT


@pytest.mark.parametrize("pinned", [True, False])
def test_verify_finds_a_flipped_byte(hub, folders, pinned):
    model = hub.model("sam", FILES, pinned=pinned)
    [found] = pull(hub, [model], folders)
    weights = found.path / "model.safetensors"
    weights.write_bytes(WEIGHTS[:-1] + bytes([WEIGHTS[-1] ^ 1]))
    [after] = models.verify([model], folders)
    assert after.state == models.CORRUPT
    assert [entry.path for entry in after.files if entry.state == models.CORRUPT] == [weights]
    pull(hub, [model], folders, overwrite=True)
    if pinned:
        assert models.verify([model], folders)[0].state == models.PRESENT


def test_overwrite_hashes_what_was_verified_before(hub, folders):
    """A disk that flips a bit changes neither size nor time."""
    model = hub.model("sam", FILES)
    [found] = pull(hub, [model], folders)
    record = folders.root / "sams" / ".imageine.json"
    weights = found.path / "model.safetensors"
    weights.write_bytes(b"\0" * SIZE)
    content = json.loads(record.read_text())
    content["files"]["sam/model.safetensors"]["mtime_ns"] = weights.stat().st_mtime_ns
    record.write_text(json.dumps(content))
    assert models.status(model, folders).state == models.PRESENT
    pull(hub, [model], folders, overwrite=True)
    assert weights.read_bytes() == WEIGHTS


def test_verify_changes_nothing_and_needs_no_network(hub, folders):
    model = hub.model("sam", FILES)
    pull(hub, [model], folders)
    before = {path: path.read_bytes() for path in folders.root.rglob("*") if path.is_file()}
    asked = len(hub.requests)
    assert models.verify([model], folders)[0].state == models.PRESENT
    assert len(hub.requests) == asked
    assert {path: path.read_bytes() for path in folders.root.rglob("*") if path.is_file()} == before


def test_a_broken_record_only_costs_a_verification(hub, folders):
    model = hub.model("sam", FILES)
    pull(hub, [model], folders)
    (folders.root / "sams" / ".imageine.json").write_text("{")
    assert models.status(model, folders).state == models.UNVERIFIED
    assert models.verify([model], folders)[0].state == models.PRESENT
    assert models.status(model, folders).state == models.PRESENT
