"""Pulling models over real HTTP with the real huggingface_hub, from a hub on this machine that can misbehave."""

import shutil
import threading
from collections import namedtuple
from pathlib import Path

import pytest
from imageine.runner import models
from imageine.runner.errors import ModelError
from support.hub import FILES, SIZE, WEIGHTS, Trouble, pull, sha256

Usage = namedtuple("Usage", "total used free")


def files_below(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def interrupt_at(hub, model, folders, share: float) -> None:
    """Pull ``model`` and press Ctrl-C once ``share`` of all bytes are there."""

    def press(progress):
        if progress.overall > share * progress.overall_total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(hub, [model], folders, on_progress=press)


@pytest.mark.parametrize("pinned", [True, False], ids=["pinned", "hub's checksums"])
def test_full_pull_then_nothing_left_to_do(hub, folders, pinned):
    model = hub.model("sam", FILES, pinned=pinned)
    seen = []
    [found] = pull(hub, [model], folders, on_progress=seen.append)
    assert found.state == models.PRESENT
    installed = {f"sams/sam/{name}" for name in FILES}
    assert files_below(folders.root) - {"sams/.imageine.lock"} == installed | {"sams/.imageine.json"}
    assert all((found.path / name).read_bytes() == content for name, content in FILES.items())
    downloads = [progress for progress in seen if progress.phase == "download"]
    assert downloads[-1].overall == downloads[-1].overall_total == sum(map(len, FILES.values()))
    assert [progress.overall for progress in downloads] == sorted(progress.overall for progress in downloads)

    asked = len(hub.requests)
    assert pull(hub, [model], folders)[0].state == models.PRESENT
    assert len(hub.requests) == asked
    assert models.verify([model], folders)[0].state == models.PRESENT


def test_cut_connections_are_resumed_within_one_pull(hub, folders):
    """As many cuts as there are attempts: each brought bytes, so that the count begins anew."""
    hub.troubles["model.safetensors"] = Trouble("cut", times=2, value=1_200_000)
    [found] = pull(hub, [hub.model("sam", FILES)], folders, attempts=2)
    assert found.state == models.PRESENT and (found.path / "model.safetensors").read_bytes() == WEIGHTS
    ranges = [request.range for request in hub.gets() if request.path.endswith("model.safetensors")]
    assert ranges[0] is None and all(ranges[1:]) and len(ranges) == 3


def test_interrupted_pull_resumes_in_the_next(hub, folders):
    model = hub.model("sam", FILES)
    interrupt_at(hub, model, folders, 0.6)
    assert models.status(model, folders).state == models.INCOMPLETE
    assert not (folders.root / "sams" / "sam").exists()

    sent = hub.bytes_sent()
    [found] = pull(hub, [model], folders)
    assert found.state == models.PRESENT and (found.path / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.bytes_sent() - sent < 0.5 * SIZE
    assert not list(folders.root.rglob("*.partial")) and not (folders.root / "sams/.imageine-partial").exists()


def test_server_that_ignores_ranges_starts_again(hub, folders):
    model = hub.model("sam", FILES)
    interrupt_at(hub, model, folders, 0.6)
    hub.troubles["model.safetensors"] = Trouble("no_range", times=-1)
    [found] = pull(hub, [model], folders)
    assert (found.path / "model.safetensors").read_bytes() == WEIGHTS


def test_spoilt_partial_file_is_fetched_again(hub, folders):
    """What an earlier run left has the right length and wrong bytes: noticed, deleted, fetched from the start."""
    model = hub.model("sam", FILES)
    interrupt_at(hub, model, folders, 0.6)
    [partial] = folders.root.rglob("*model.safetensors.*.partial")
    partial.write_bytes(b"\0" * partial.stat().st_size)
    [found] = pull(hub, [model], folders)
    assert (found.path / "model.safetensors").read_bytes() == WEIGHTS


def test_partial_longer_than_the_file_is_fetched_again(hub, folders):
    model = hub.model("sam", FILES)
    interrupt_at(hub, model, folders, 0.6)
    [partial] = folders.root.rglob("*model.safetensors.*.partial")
    partial.write_bytes(WEIGHTS + b"more")
    [found] = pull(hub, [model], folders)
    assert (found.path / "model.safetensors").read_bytes() == WEIGHTS


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_overloaded_hub_is_asked_again(hub, folders, status):
    hub.troubles["model.safetensors"] = Trouble("status", times=2, value=status)
    assert pull(hub, [hub.model("sam", FILES)], folders)[0].state == models.PRESENT


def test_retries_end(hub, folders):
    hub.troubles["model.safetensors"] = Trouble("cut", times=-1, value=0)
    with pytest.raises(ModelError, match="could not be fetched") as error:
        pull(hub, [hub.model("sam", FILES)], folders, attempts=3)
    assert error.value.code == "model_offline"
    assert len([r for r in hub.gets() if r.path.endswith("model.safetensors")]) == 3


def test_wrong_bytes_are_deleted_and_said(hub, folders):
    """The small files are right and stay staged, but the model's folder never appears half made."""
    hub.troubles["model.safetensors"] = Trouble("wrong_bytes", times=-1)
    model = hub.model("sam", FILES)
    with pytest.raises(ModelError, match="It was deleted") as error:
        pull(hub, [model], folders)
    assert error.value.code == "model_corrupt" and sha256(WEIGHTS) in error.value.message
    assert not (folders.root / "sams" / "sam").exists()
    assert not list(folders.root.rglob("model.safetensors*.partial"))

    hub.troubles.clear()
    assert pull(hub, [model], folders)[0].state == models.PRESENT


def test_wrong_small_file_is_caught_by_its_git_id(hub, folders):
    hub.troubles["config.json"] = Trouble("wrong_bytes", times=-1)
    with pytest.raises(ModelError, match="git id"):
        pull(hub, [hub.model("sam", FILES, pinned=False)], folders)


def test_disk_space_is_checked_for_all_models_before_the_first_byte(hub, folders, monkeypatch):
    first, second = hub.model("one", FILES), hub.model("two", {**FILES, "model.safetensors": WEIGHTS[::-1]})
    free = (64 << 20) + SIZE + SIZE // 2
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, free))
    with pytest.raises(ModelError, match="GB are free") as error:
        pull(hub, [first, second], folders)
    assert error.value.code == "model_disk_full" and error.value.details["needed"] > 2 * SIZE
    assert hub.bytes_sent() == 0 and not folders.root.exists()
    assert pull(hub, [first], folders)[0].state == models.PRESENT


def test_disk_that_fills_up_meanwhile(hub, folders, monkeypatch):
    model = hub.model("sam", FILES)
    real = Path.open

    def full(self, mode="r", *args, **kwargs):
        if self.suffix == ".partial" and mode in ("ab", "wb") and "model" in self.name:
            raise OSError(28, "No space left on device")
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(ModelError) as error:
        pull(hub, [model], folders)
    assert error.value.code == "model_disk_full"
    monkeypatch.undo()


def test_unwritable_folder(hub, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "sams").write_text("a file where the folder should be")
    with pytest.raises(ModelError) as error:
        pull(hub, [hub.model("sam", FILES)], models.models_dirs(tmp_path / "models"))
    assert error.value.code == "model_unwritable"


def test_a_copy_in_huggingface_hubs_cache_is_used(hub, folders, tmp_path):
    model = hub.model("sam", FILES)
    snapshot = tmp_path / "hub-cache" / "models--someone--sam" / "snapshots" / model.revision
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(WEIGHTS)
    [found] = pull(hub, [model], folders)
    assert (found.path / "model.safetensors").read_bytes() == WEIGHTS and hub.bytes_sent() < 1000
    assert (snapshot / "model.safetensors").exists()


def test_a_spoilt_copy_in_the_cache_is_not(hub, folders, tmp_path):
    model = hub.model("sam", FILES)
    snapshot = tmp_path / "hub-cache" / "models--someone--sam" / "snapshots" / model.revision
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").write_bytes(b"\0" * SIZE)
    [found] = pull(hub, [model], folders)
    assert (found.path / "model.safetensors").read_bytes() == WEIGHTS


def test_one_models_failure_does_not_keep_the_others(hub, folders):
    bad, good = hub.model("bad", FILES), hub.model("good", FILES)
    del hub.files[bad.repo, "vocab.txt"]
    with pytest.raises(ModelError):
        pull(hub, [bad, good], folders)
    assert models.status(good, folders).state == models.PRESENT
    assert models.status(bad, folders).state == models.MISSING


def test_two_pulls_at_once_download_once(hub, folders):
    model = hub.model("sam", FILES)
    together = threading.Barrier(2)
    results = []

    def one():
        together.wait()
        results.append(pull(hub, [model], folders)[0].state)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [models.PRESENT] * 2
    assert hub.bytes_sent() == sum(map(len, FILES.values()))
