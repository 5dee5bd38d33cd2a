"""What the hub may answer before any byte: nothing, a refusal, a login page, another file; and who sees the token."""

import socket
from pathlib import Path

import huggingface_hub
import huggingface_hub.constants as hub_constants
import pytest
import requests
from imageine.runner import models
from imageine.runner.errors import ModelError
from support.hub import FILES, SIZE, WEIGHTS, pull


def test_hub_that_offers_another_file_is_refused_before_the_first_byte(hub, folders):
    model = hub.model("sam", FILES)
    hub.etags[model.repo, "model.safetensors"] = "0" * 64
    with pytest.raises(ModelError, match="not the file the manifest names") as error:
        pull(hub, [model], folders)
    assert error.value.code == "model_corrupt" and hub.bytes_sent() == 0


def closed_port() -> str:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def test_offline_is_one_error_per_file_with_address_and_path(hub, folders):
    model = hub.model("sam", FILES)
    with pytest.raises(ModelError) as error:
        models.pull([model], folders, endpoint=closed_port(), backoff=0.001)
    failures = error.value.details["failures"]
    assert error.value.code == "model_offline" and len(failures) == len(FILES)
    for failure, file in zip(failures, model.files, strict=True):
        assert failure["details"]["url"].endswith(f"/resolve/{model.revision}/{file.source}")
        assert failure["details"]["path"] == str(folders.root / file.target)
        assert failure["details"]["url"] in error.value.message and failure["details"]["path"] in error.value.message


def test_offline_switch(hub, folders, monkeypatch):
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE"):
        pull(hub, [hub.model("sam", {"config.json": b"{}"})], folders)


def test_what_is_put_by_hand_is_accepted_offline(hub, folders):
    model = hub.model("sam", FILES)
    for file in model.files:
        path = folders.root / file.target
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FILES[file.source])
    assert models.status(model, folders).state == models.UNVERIFIED
    assert models.pull([model], folders, endpoint=closed_port())[0].state == models.PRESENT


def test_file_that_is_not_on_the_hub(hub, folders):
    model = hub.model("sam", FILES)
    del hub.files[model.repo, "vocab.txt"]
    with pytest.raises(ModelError, match="no vocab.txt at this revision") as error:
        pull(hub, [model], folders)
    assert error.value.code == "model_offline" and hub.bytes_sent() == 0


def test_gated_model(hub, folders, monkeypatch):
    """Asked first; refused without a token and with a wrong one; HF_TOKEN opens it and never reaches the CDN."""
    model = hub.model("sam", FILES, gated=True)
    hub.gated[model.repo] = "hf_right"
    with pytest.raises(ModelError) as error:
        pull(hub, [model], folders, accept=lambda model: False)
    assert error.value.code == "model_gated" and not hub.requests

    for token in (None, "hf_wrong"):
        with pytest.raises(ModelError, match="Apache-2.0") as error:
            pull(hub, [model], folders, token=token, accept=lambda model: True)
        failures = error.value.details["failures"]
        assert error.value.code == "model_gated" and all("HF_TOKEN" in failure["hint"] for failure in failures)

    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert pull(hub, [model], folders, accept=lambda model: True)[0].state == models.PRESENT
    assert all(request.token is None for request in hub.requests if request.host == "localhost")
    assert all(request.status == 200 for request in hub.requests if request.host == "localhost")


def test_a_login_page_is_not_taken_for_the_model(hub, folders):
    hub.login_page = True
    with pytest.raises(ModelError, match="not a model hub"):
        pull(hub, [hub.model("sam", {"model.safetensors": WEIGHTS})], folders)


def test_endpoint_mirror_by_environment(hub, folders, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
    assert models.pull([hub.model("sam", FILES)], folders)[0].state == models.PRESENT
    assert hub.requests


def test_the_hubs_cdn_is_reached_by_redirect(hub, folders):
    """The local hub answers as the real one does, as far as requests and huggingface_hub can tell."""
    model = hub.model("sam", FILES)
    [weights] = [file for file in model.files if file.source == "model.safetensors"]
    metadata = huggingface_hub.get_hf_file_metadata(model.url(weights, hub.url))
    assert metadata.etag == weights.sha256 and metadata.size == SIZE and metadata.commit_hash == model.revision
    assert requests.get(model.url(weights, hub.url), timeout=10).content == WEIGHTS
    path = huggingface_hub.hf_hub_download(
        model.repo, "model.safetensors", revision=model.revision, endpoint=hub.url, local_dir=folders.root
    )
    assert Path(path).read_bytes() == WEIGHTS
