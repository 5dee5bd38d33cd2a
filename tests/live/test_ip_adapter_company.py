"""Apply IP-Adapter together with LoRA, areas, a second pass, other samplers and narrow data types."""

import json

import pytest
from support import comfyui, sampling_cases, seeded_ip_adapter

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module", params=list(comfyui.comfyui_dirs()))
def report(request, seeded_models, tmp_path_factory):
    from imageine.runner.demo import seeded
    from safetensors.torch import save_file

    base = tmp_path_factory.mktemp("base")
    models = sampling_cases.models_folder(base, seeded_models)
    save_file(seeded_ip_adapter.vision(), base / "vision.safetensors")
    configuration = json.dumps(seeded_ip_adapter.VISION)
    arguments = (seeded.CHECKPOINT.name, base / "vision.safetensors", configuration, sampling_cases.LORA)
    folder = comfyui.comfyui_dirs()[request.param]
    return comfyui.run_inside(folder, "ip_adapter_company", *arguments, base=base, models=models)


def test_a_lora_and_an_adapter_act_together_in_either_order(report):
    lora = report["lora"]
    assert lora["either order"] < 1e-5 and lora["the model as before"] == 0
    assert lora["from the LoRA alone"] > 1e-2 and lora["from the adapter alone"] > 1e-2
    first, second, plain = lora["weights patched"]
    assert first == second > plain == 0 and lora["attentions"] == 4


def test_masks_follow_where_a_prompt_has_an_area(report):
    """The mask covers the picture; a conditioning with an area sees a part of it."""
    areas = report["areas"]
    assert areas["effect on the right"] > 1e-2
    for place in ("left is that of everywhere", "right is the plain one", "two adapters, left", "two adapters, right"):
        assert areas[place] < 1e-4, place


def test_masks_follow_into_a_larger_second_pass(report):
    second = report["second pass"]
    assert second["white mask"] < 1e-4 and second["half mask"] > 1e-3 and second["effect"] > 1e-2


@pytest.mark.parametrize("name", ["euler_ancestral", "uni_pc", "lcm", "dpmpp_2m_sde", "dpmpp_3m_sde"])
def test_any_sampler(name, report):
    found = report["samplers"][name]
    assert found["finite"] and found["effect"] > 1e-2
    assert found["same again"] == 0 and found["empty mask"] < 1e-4


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
def test_narrow_data_types(name, report, figures):
    """The effect is rounded about as much as the UNet rounds without it: both runs of a difference have that error."""
    found = report["types"][name]
    error, without = found["error of the effect"], found["error of the plain one"]
    figures(f"IP-Adapter in a {name} UNet: its effect is {error:.1%} from float32's, the UNet without it {without:.1%}")
    assert found["queries"] == sorted(["torch.float32", f"torch.{name}"])
    assert found["finite"] and error < 0.25 and error < 3 * without


def test_nothing_waits_for_the_device_in_a_step(report):
    """A whole forward pass on tensors without values; that a careless patch is caught shows that the check works."""
    said = report["no synchronisation"]
    assert said["plain"] == said["masked"] == "meta [2, 4, 8, 12]"
    assert "meta" in said["spy"] and "Error" in said["spy"]
