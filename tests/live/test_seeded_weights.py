"""The seeded checkpoint has the names and shapes of the real one, as far as ComfyUI's own modules tell."""

from support import comfyui as comfyui_support


def test_layouts_are_those_of_comfyuis_modules(comfyui_dir, tmp_path):
    report = comfyui_support.run_inside(comfyui_dir, "layouts", base=tmp_path)
    assert set(report) == {"taesd", "kl", "clip_text", "unet lite", "unet one", "unet full"}
    assert {name: names for name, names in report.items() if names} == {}
