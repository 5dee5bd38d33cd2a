"""Models, disk and permissions, in real folders: files of gigabytes are sparse ones."""

import json
import os
import shutil
import struct
import tempfile
from collections import namedtuple
from pathlib import Path

import pytest
from imageine.runner import models
from imageine.runner.doctor import storage
from support.told_server import ToldServer

Usage = namedtuple("Usage", "total used free")


def put_files(root: Path, pipeline: str, size: int | None = None) -> None:
    """Files of the right names for the default models of ``pipeline``; of the right size too, unless given one."""
    for model in models.select([pipeline]):
        for file in model.files:
            put_file(root / file.target, file.size or 10 if size is None else size)


def put_file(path: Path, size: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size)


def put_safetensors(path: Path, values: int, cut: int = 0) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [values], "data_offsets": [0, 4 * values]}}).encode()
    path.write_bytes((struct.pack("<Q", len(header)) + header + bytes(4 * values))[: -cut or None])


def check(found: storage.Models, name: str):
    checks = [*storage.check_models(found), *storage.check_disk(found), *storage.check_writing(found)]
    return next(entry for entry in checks if entry.name == name)


@pytest.fixture
def found(site, comfyui):
    """What is in the ComfyUI's folders; look at it after they are filled."""
    return storage.Models(site(comfyui=comfyui))


def test_nothing_is_there(found, comfyui):
    first = check(found, "models-simple")
    assert first.status == "problem" and "sd15-inpainting" in first.found
    assert first.next == f'imageine models pull simple --comfyui "{comfyui}"'
    assert check(found, "models-complex").status == "warning"
    assert {entry["state"] for entry in first.details["models"]} == {"missing"}


def test_all_of_a_pipeline_is_there(found, comfyui):
    put_files(comfyui / "models", "simple")
    first = check(found, "models-simple")
    assert first.status == "ok" and "--verify" in first.found
    assert "named above" not in check(found, "models-complex").found


def test_models_in_extra_model_paths(site, comfyui, tmp_path):
    put_files(tmp_path / "shared", "simple")
    folders = sorted({model.folder for model in models.select(["simple"])})
    lines = "".join(f"  {name}: {name}\n" for name in folders)
    (comfyui / "extra_model_paths.yaml").write_text(f"shared:\n  base_path: {tmp_path / 'shared'}\n{lines}")
    assert check(storage.Models(site(comfyui=comfyui)), "models-simple").status == "ok"


def test_a_file_that_is_cut_off(found, comfyui):
    put_files(comfyui / "models", "simple")
    path = comfyui / "models" / weights("simple")
    put_safetensors(path, 100, cut=8)
    first = check(found, "models-simple")
    assert first.status == "problem" and f"{path} is cut off" in first.found and "--overwrite" in first.next


@pytest.mark.parametrize("content", [b"", b"1234", struct.pack("<Q", 1 << 60), struct.pack("<Q", 2) + b"[]"])
def test_a_file_that_is_no_safetensors(found, comfyui, content):
    put_files(comfyui / "models", "simple")
    (comfyui / "models" / weights("simple")).write_bytes(content)
    assert check(found, "models-simple").status == "problem"


def test_another_edition_may_be_meant(found, comfyui):
    put_files(comfyui / "models", "simple")
    put_safetensors(comfyui / "models" / weights("simple"), 100)
    first = check(found, "models-simple")
    assert first.status == "warning" and "another edition" in first.found


def test_verify_hashes(site, comfyui):
    put_files(comfyui / "models", "simple", size=0)
    small = min((model for model in models.load_manifest() if model.default), key=lambda model: model.size)
    for file in small.files:
        put_file(comfyui / "models" / file.target, file.size)
    told = []
    verified = storage.Models(site(comfyui=comfyui), verify=True, tell=told.append)
    finding = verified.find(small)
    assert finding.state == "corrupt" and "checksum" in finding.broken
    assert any(small.id in text for text in told)
    assert storage.Models(site(comfyui=comfyui)).find(small).state == "unverified"


def test_a_broken_alternative_is_a_warning(found, comfyui):
    optional = next(model for model in models.load_manifest() if not model.default)
    for file in optional.files:
        put_file(comfyui / "models" / file.target, 3)
    entry = check(found, "models-optional")
    assert entry.status == "warning" and optional.id in entry.found


def test_without_a_comfyui(site):
    assert {entry.status for entry in storage.check_models(storage.Models(site()))} == {"skipped"}


def test_models_of_the_engine_without_comfyui(site, with_engine, comfyui, tmp_path, monkeypatch):
    monkeypatch.setenv("IMAGEINE_MODELS", str(tmp_path / "own"))
    first = check(storage.Models(site()), "models-simple")
    assert first.status == "problem" and first.next == "imageine models pull simple"
    assert check(storage.Models(site()), "write-models").details["path"].startswith(str(tmp_path / "own"))
    put_files(tmp_path / "own", "simple")
    assert check(storage.Models(site()), "models-simple").status == "ok"
    monkeypatch.setenv("COMFYUI_DIR", str(comfyui))  # asked for by name, it shares the models of a ComfyUI
    assert site("embedded").folders.root == comfyui / "models"


def test_an_unreadable_configuration_is_the_finding(site, comfyui):
    from imageine.runner.doctor.check import guarded

    (comfyui / "extra_model_paths.yaml").write_text("{broken")
    (entry,) = guarded("models", lambda: storage.check_models(storage.Models(site(comfyui=comfyui))))
    assert entry.status == "problem" and "extra_model_paths.yaml" in entry.found


# A server's models


def test_a_server_elsewhere_lists_names(site):
    """Without its folders here, names are all there is: file names with either slash."""
    with ToldServer() as server:
        first = check(storage.Models(site(server.url)), "models-simple")
        assert first.status == "problem" and first.next == "On the server's machine: imageine models pull simple"
        for model in models.select(["simple"]):
            names = [file.name.replace("/", "\\") for file in model.files if not file.name.endswith(".json")]
            server.told.setdefault(f"/models/{model.folder}", []).extend(names)
        first = check(storage.Models(site(server.url)), "models-simple")
        assert first.status == "ok" and "--verify" not in first.found


def test_a_server_of_this_machine_tells_its_folders(site, comfyui, tmp_path):
    root = tmp_path / "elsewhere" / "models"
    put_files(root, "simple")
    listed = {folder: [str(root / folder)] for folder in {"checkpoints", *(m.folder for m in models.select(["all"]))}}
    listed["custom_nodes"] = [str(comfyui / "custom_nodes")]
    with ToldServer(**{"internal/folder_paths": listed}) as server:
        found = storage.Models(site(server.url))
        assert check(found, "models-simple").status == "ok"
        assert check(found, "models-complex").next == f'imageine models pull complex --models-dir "{root}"'
        assert str(comfyui / "output") in check(found, "disk-output").found
        # A shared folder that is searched first for one kind of model is not the models folder.
        listed["checkpoints"].insert(0, str(tmp_path / "shared" / "checkpoints"))
        assert site(server.url).folders.root == root
        # An address of this machine that leads to another one, whose folders are not here.
        server.told["/internal/folder_paths"] = {"custom_nodes": ["/not/here"], "checkpoints": ["/not/here/either"]}
        assert site(server.url).folders is None


def test_the_servers_own_output_folder(site, comfyui, tmp_path):
    argv = ["main.py", "--output-directory", str(tmp_path / "pictures")]
    stats = {"system": {"comfyui_version": "0.33.0", "argv": argv}, "devices": []}
    with ToldServer(system_stats=stats) as server:
        assert check(storage.Models(site(server.url)), "write-output").details["path"] == str(tmp_path / "pictures")


# Disk and permissions


@pytest.mark.parametrize(
    ("free", "models_status", "output_status"),
    [(10**12, "ok", "ok"), (5 * 10**8, "problem", "warning"), (10**7, "problem", "problem")],
)
def test_free_space(found, monkeypatch, free, models_status, output_status):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**13, 0, free))
    entry = check(found, "disk-models")
    assert entry.status == models_status and entry.details["needed"] > 10**9
    assert bool(entry.next) == (models_status != "ok")
    entry = check(found, "disk-output")
    assert entry.status == output_status and bool(entry.next) == (output_status != "ok")


def test_space_for_the_first_pipeline_alone_is_a_warning(found, comfyui, monkeypatch):
    put_files(comfyui / "models", "simple")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**13, 0, 1000))
    assert check(found, "disk-models").status == "warning"


def test_folders_that_can_be_written(found, comfyui):
    before = sorted(comfyui.rglob("*"))
    assert check(found, "write-models").status == check(found, "write-output").status == "ok"
    assert sorted(comfyui.rglob("*")) == before


def test_folders_that_cannot_be_written(found, comfyui, tmp_path, monkeypatch):
    """A file where the folder should be refuses root as well."""
    shutil.rmtree(comfyui / "models")
    (comfyui / "models").touch()
    entry = check(found, "write-models")
    assert entry.status == "warning" and "cannot be written" in entry.found and entry.next
    monkeypatch.setattr(tempfile, "tempdir", str(comfyui / "models"))
    entry = check(found, "write-output")
    assert entry.status == "problem" and str(comfyui / "models") in entry.next


def test_a_models_folder_need_not_be_written_when_nothing_is_missing(found, comfyui):
    put_files(comfyui / "models", "all")
    names = [entry.name for entry in storage.check_writing(found)]
    assert names == ["write-output"]


def weights(pipeline: str) -> str:
    """The target of one safetensors file of ``pipeline``."""
    files = [file for model in models.select([pipeline]) for file in model.files]
    return next(file.target for file in files if file.target.endswith(".safetensors"))
