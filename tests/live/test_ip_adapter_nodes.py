"""Load IP-Adapter, Encode Reference and Apply IP-Adapter inside every ComfyUI at hand."""

import json

import pytest
from support import comfyui, seeded_ip_adapter

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module", params=list(comfyui.comfyui_dirs()))
def report(request, seeded_models, tmp_path_factory):
    from imageine.runner.demo import seeded
    from safetensors.torch import save_file

    base, models = tmp_path_factory.mktemp("base"), tmp_path_factory.mktemp("models")
    extra = tmp_path_factory.mktemp("extra")
    (models / "checkpoints").symlink_to(seeded_models / "checkpoints", target_is_directory=True)
    ours = base / "models" / "ipadapter"
    channels = seeded_ip_adapter.widths("lite")
    seeded_ip_adapter.save(ours / "standard.safetensors", seeded_ip_adapter.nested(channels))
    plus = seeded_ip_adapter.nested(channels, "plus")
    seeded_ip_adapter.save(ours / "plus.safetensors", plus)
    seeded_ip_adapter.save(extra / "plus.bin", plus)
    seeded_ip_adapter.save(extra / "sdxl.safetensors", seeded_ip_adapter.nested([64] * 70, token=2048))
    face = {"image_proj": {"proj.0.weight": torch.zeros(4, 512), "proj.2.weight": torch.zeros(4, 4)}}
    face |= {"ip_adapter": {f"1.to_{part}_ip.weight": torch.zeros(4, 768) for part in "kv"}}
    seeded_ip_adapter.save(ours / "faceid.safetensors", face)
    save_file({"lora.weight": torch.zeros(1)}, ours / "something else.safetensors")
    save_file(seeded_ip_adapter.vision(), base / "vision.safetensors")
    wider = seeded_ip_adapter.VISION | {"projection_dim": 1280, "hidden_size": 96}
    configurations = [json.dumps(one) for one in (seeded_ip_adapter.VISION, wider)]
    arguments = (seeded.CHECKPOINT.name, base / "vision.safetensors", *configurations, extra)
    return comfyui.run_inside(comfyui.comfyui_dirs()[request.param], "ip_adapter", *arguments, base=base, models=models)


def test_default_and_extra_folders_are_both_listed(report):
    listed = ["faceid", "plus", "sdxl", "something else", "standard"]
    assert sorted(report["listed"]) == sorted([*(f"{name}.safetensors" for name in listed), "plus.bin"])


def test_a_weight_edited_on_a_cached_chain_leaves_exactly_the_adapters_present(report, figures):
    seen = report["cache"]["seen"]
    assert [one["weights"] for one in seen] == [[[1, 2]], [[1, 3]], [[1, 4]], [[0.5, 4]], [[0.5]], [], [[1, 2]]]
    assert [one["attentions"] for one in seen] == [4, 4, 4, 4, 4, 0, 4]
    assert report["cache"]["original"] == {"attentions": 0, "weights": []}
    figures("IP-Adapter weights of a chain of two, edited 2, 3, 4 on a cached upstream: two adapters each time")


def test_the_cache_runs_each_loader_once(report):
    assert sorted(report["cache"]["ran"][0]) == ["image", "model", "vision"]


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("no reference", ["no reference", "Encode Reference"]),
        ("no encoder", ["Load CLIP Vision"]),
        ("wrong encoder", ["does not fit", "width 48", "CLIP ViT-bigG (width 1280)"]),
        ("wrong encoder, plus", ["does not fit", "width 64", "width 96"]),
        ("other base", ["for SDXL (70", "model is SD 1.5 (4", "Load IP-Adapter"]),
        ("start after end", ["Start (0.6)", "End (0.4)"]),
        ("embeds of another kind", ["plus", "Encode Reference"]),
        ("blocks that are not there", ["style", "linear"]),
        ("not an adapter", ["something else.safetensors", "no image_proj"]),
        ("face id", ["FaceID", "plus-face"]),
        ("no such file", ["../standard.safetensors", "Found there"]),
        ("validation", ["Start (0.5)", "End (0.5)"]),
    ],
)
def test_wrong_inputs_are_named_with_the_next_step(case, words, report):
    assert [word for word in words if word not in report["refused"].get(case, "nothing")] == []


def test_references_and_masks_of_any_size_and_batch(report):
    changed = report["accepted"]["changed"]
    assert all(finite and effect > 1e-3 for finite, effect in changed.values()), changed
    assert report["accepted"]["references"] == 3


def test_nothing_happens_where_nothing_should(report):
    accepted = report["accepted"]
    assert accepted["zero weight is the model"] and accepted["empty mask"] < 1e-5
    assert accepted["lazy"] == [[], ["ip_adapter", "image"]]


def test_conditionings_in_any_order_and_number(report):
    """Regional prompts together in one batch, or one by one, give the same; so does guidance 1, which has one."""
    apart, effect = report["accepted"]["two regions"]
    assert effect > 1e-3 and apart < 1e-4 * effect
    assert report["accepted"]["guidance 1"] > 1e-3


def test_weights_come_and_go_with_the_model(report):
    memory = report["memory"]
    assert memory["asked"] and memory["loaded with the model"] and memory["used"] and memory["same after unload"]
    assert not memory["listed after unload"] and memory["used after unload"] == 0
    assert not memory["alive"]
