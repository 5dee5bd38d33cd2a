"""Apply Controls inside ComfyUI: its control tensors, from seeded ControlNets, beside those of core's own node."""

import logging

import comfy.model_management
import comfy.model_sampling
import comfy.utils
import folder_paths
import torch
from imageine.nodes.controls import ApplyControls, read_controls

import nodes

SIZE, CELLS = 128, 16  # pixels of a picture, cells of its latent
STARTS = {"pose_start": 0.0, "pose_end": 1.0, "depth_start": 0.0, "depth_end": 1.0}
DEFAULTS = {"use_pose": True, "pose_strength": 1.0, "use_depth": True, "depth_strength": 1.0, **STARTS}


class Sampling(comfy.model_sampling.ModelSamplingDiscrete, comfy.model_sampling.EPS):
    """Stable Diffusion's; also the model that has it, as far as a ControlNet looks."""

    @property
    def model_sampling(self):
        return self


def main(pose: str, depth: str) -> dict:
    """``pose`` and ``depth`` are file names of ControlNets for the lite UNet; returns what the test asserts."""
    torch.set_num_threads(1)
    warnings: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warnings.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    with torch.inference_mode():
        nets = tuple(nodes.ControlNetLoader().load_controlnet(name)[0] for name in (pose, depth))
        return {
            "loading": {"warnings": list(warnings), **loading(nets[0], pose)},
            "schema": schema(),
            "core": like_core(nets),
            "region": region(nets),
            "soft region": soft_region(nets[0]),
            "batches": batches(nets[0]),
            "sizes": sizes(nets[0]),
            "range": time_range(nets[0]),
            "refused": refused(nets[0]),
            "memory": memory(nets),
        }


def loading(net, name: str) -> dict:
    file = comfy.utils.load_torch_file(folder_paths.get_full_path("controlnet", name))
    module = net.control_model.state_dict()
    return {
        "type": type(net).__name__,
        "same names": set(file) == set(module),
        "same shapes": all(file[key].shape == module[key].shape for key in file),
    }


def schema() -> dict:
    info = ApplyControls.GET_NODE_INFO_V1()
    options = {key: entry[1] for group in info["input"].values() for key, entry in group.items()}
    return {
        "display_name": info["display_name"],
        "category": info["category"],
        "inputs": list(options),
        "outputs": list(info["output"]),
        "lazy": [key for key, entry in options.items() if entry.get("lazy")],
        "advanced": [key for key, entry in options.items() if entry.get("advanced")],
        "silent": [key for key, entry in options.items() if not (entry.get("tooltip") and entry.get("display_name"))]
        + [tip for tip in info["output_tooltips"] if not tip],
        "described": bool(info["description"] and info["search_aliases"]),
    }


def picture(seed: int, count: int = 1, height: int = SIZE, width: int = SIZE) -> torch.Tensor:
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(seed))


def text(seed: int, **options) -> list:
    return [[torch.randn(1, 77, 768, generator=torch.Generator().manual_seed(seed)), options]]


def apply(nets, pose_map=None, depth_map=None, **settings):
    sockets = {"pose_control_net": nets[0], "pose_map": pose_map, "depth_control_net": nets[-1]}
    values = DEFAULTS | {"use_depth": depth_map is not None} | sockets | {"depth_map": depth_map} | settings
    return ApplyControls.execute(text(1), text(2), **values).args


def tensors(control, batch: int = 1, sigma: float = 5.0, chunks: int = 1) -> list[torch.Tensor] | None:
    """What ``control`` adds to the UNet's features: the skips' tensors, then the middle block's."""
    comfy.model_management.load_models_gpu(control.get_models())
    control.cleanup()
    sampling = Sampling()
    control.pre_run(sampling, sampling.percent_to_sigma)
    noise = torch.randn(batch, 4, CELLS, CELLS, generator=torch.Generator().manual_seed(7)).repeat(chunks, 1, 1, 1)
    context = text(3)[0][0].repeat(batch * chunks, 1, 1)
    found = control.get_control(noise, torch.full((len(noise),), sigma), {"c_crossattn": context}, chunks, {})
    return None if found is None else [*found["output"], *found["middle"]]


def difference(first: list[torch.Tensor], second: list[torch.Tensor]) -> float:
    return max(float((one - two).abs().max()) for one, two in zip(first, second, strict=True))


def control_of(conditioning):
    return conditioning[0][1]["control"]


def like_core(nets) -> dict:
    """Both controls, against two of core's ControlNetApplyAdvanced one after the other."""
    maps = (picture(1), picture(2))
    positive, negative = apply(nets, *maps, pose_strength=0.8, depth_strength=0.35, depth_end=0.9)
    core = (text(1), text(2))
    for net, hint, strength, end in zip(nets, maps, (0.8, 0.35), (1.0, 0.9), strict=True):
        core = nodes.ControlNetApplyAdvanced().apply_controlnet(*core, net, hint, strength, 0.0, end)
    ours, theirs = control_of(positive), control_of(core[0])
    rest = [{key for key in one[0][1] if key != "control"} for one in (positive, core[0])]
    one = tensors(ours)
    earlier = apply(nets, maps[0])
    return {
        "difference": difference(one, tensors(theirs)),
        "size": max(float(tensor.abs().max()) for tensor in one),
        "shared": ours is control_of(negative),
        "chain": [type(ours).__name__, type(ours.previous_controlnet).__name__, ours.previous_controlnet is not None],
        "same keys": rest[0] == rest[1] and positive[0][1]["control_apply_to_uncond"] is False,
        "given is untouched": nets[0].cond_hint_original is None and nets[0].previous_controlnet is None,
        "off is the input": off_is_the_input(nets),
        "chained outside": chained_outside(nets, earlier),
    }


def off_is_the_input(nets) -> bool:
    positive, negative = text(1), text(2)
    settings = DEFAULTS | {"use_pose": False, "depth_strength": 0.0}
    out = ApplyControls.execute(positive, negative, **settings).args
    blank = ApplyControls.execute(positive, negative, **DEFAULTS, region=torch.zeros(1, 8, 8)).args
    return all(one is other for result in (out, blank) for one, other in zip(result, (positive, negative), strict=True))


def chained_outside(nets, earlier) -> bool:
    """A control that another node has put there stays, before ours."""
    before = control_of(earlier[0])
    values = DEFAULTS | {"use_pose": False, "depth_control_net": nets[1], "depth_map": picture(2)}
    positive, negative = ApplyControls.execute(*earlier, **values).args
    return control_of(positive).previous_controlnet is before and control_of(negative) is control_of(positive)


def region(nets) -> dict:
    """Left half only. Outside: the tensors of no control; inside: those without a region."""
    mask = torch.zeros(1, SIZE, SIZE)
    mask[:, :, : SIZE // 2] = 1
    maps = (picture(1), picture(2))
    whole, masked = (apply(nets, *maps, **option)[0] for option in ({}, {"region": mask}))
    whole, masked = tensors(control_of(whole)), tensors(control_of(masked))
    halves = [tensor.shape[-1] // 2 for tensor in masked]
    # A control without a region stays whole beneath one that has one.
    values = DEFAULTS | {"use_pose": False, "depth_control_net": nets[1], "depth_map": maps[1], "region": mask}
    earlier = apply(nets, maps[0])
    mixed = tensors(control_of(ApplyControls.execute(*earlier, **values).args[0]))
    alone = tensors(control_of(earlier[0]))
    return {
        "outside": max(float(one[..., half:].abs().max()) for one, half in zip(masked, halves, strict=True)),
        "inside": difference(
            *([one[..., :half] for one, half in zip(tensors_, halves, strict=True)] for tensors_ in (whole, masked))
        ),
        "strength of it": max(float(one[..., half:].abs().max()) for one, half in zip(whole, halves, strict=True)),
        "beneath": difference(
            *([one[..., half:] for one, half in zip(tensors_, halves, strict=True)] for tensors_ in (alone, mixed))
        ),
        "added": difference(mixed, alone),
    }


def soft_region(net) -> dict:
    """A region of 0.5 halves the control; a cell half covered gets half; one frame each for a batch."""
    whole = tensors(control_of(apply((net,), picture(1))[0]))
    half = tensors(control_of(apply((net,), picture(1), region=torch.full((1, 64, 64), 0.5))[0]))
    strip = torch.zeros(1, SIZE, SIZE)
    strip[:, :, :4] = 1  # half of the first cell
    edge = tensors(control_of(apply((net,), picture(1), region=strip)[0]))
    frames = torch.stack([torch.ones(64, 64), torch.zeros(64, 64)])
    two = tensors(control_of(apply((net,), picture(1), region=frames)[0]), batch=2, chunks=2)
    return {
        "half": difference(half, [0.5 * one for one in whole]),
        "edge": difference([edge[0][..., :1]], [0.5 * whole[0][..., :1]]),
        "second frame": max(float(one[index].abs().max()) for one in two for index in (1, 3)),
        "first frame": min(float(one[index].abs().max()) for one in two for index in (0, 2)),
    }


def batches(net) -> dict:
    maps = picture(5, count=3)
    three = tensors(control_of(apply((net,), maps)[0]), batch=3, chunks=2)
    reference = [tensors(control_of(apply((net,), maps[index : index + 1])[0]), batch=3) for index in range(3)]
    picked = [[one[index] for one in reference[index % 3]] for index in range(3)] * 2
    return {
        "each its own": max(difference([one[index] for one in three], picked[index % 3]) for index in range(6)),
        "they differ": difference([one[:1] for one in reference[0]], [one[:1] for one in reference[1]]),
        "chunks": len(three[0]),
    }


def sizes(net) -> dict:
    hint = picture(1)
    same = tensors(control_of(apply((net,), hint)[0]))
    double = hint.repeat_interleave(2, 1).repeat_interleave(2, 2)
    wide = torch.cat([picture(8), hint, picture(9)], dim=2)  # core takes the middle
    grey, clear = hint[..., :1], torch.cat([hint, torch.ones(1, SIZE, SIZE, 1)], -1)
    return {
        "twice the size": difference(same, tensors(control_of(apply((net,), double)[0]))),
        "three times as wide": difference(same, tensors(control_of(apply((net,), wide)[0]))),
        "opaque rgba": difference(same, tensors(control_of(apply((net,), clear)[0]))),
        "grey": tensors(control_of(apply((net,), grey)[0])) is not None,
    }


def time_range(net) -> dict:
    """From 0.2 to 0.5 of the sampling, with and without a region."""
    sampling = Sampling()
    found = {}
    for name, option in {"plain": {}, "region": {"region": torch.ones(1, 8, 8)}}.items():
        control = control_of(apply((net,), picture(1), pose_start=0.2, pose_end=0.5, **option)[0])
        sigmas = {percent: float(sampling.percent_to_sigma(percent)) for percent in (0.1, 0.3, 0.6)}
        found[name] = {percent: tensors(control, sigma=sigma) is not None for percent, sigma in sigmas.items()}
    return found


def refused(net) -> dict:
    hint = picture(1)
    cases = {
        "start after end": {"pose_start": 0.6, "pose_end": 0.4},
        "start is end": {"pose_start": 0.5, "pose_end": 0.5},
        "no map": {"pose_map": None},
        "no net": {"pose_control_net": None},
        "neither": {"pose_map": None, "pose_control_net": None},
        "too strong": {"pose_strength": 11.0},
        "counts": {"pose_map": picture(1, count=3), "use_depth": True, "depth_map": picture(2, count=2)},
        "region count": {"pose_map": picture(1, count=3), "region": torch.ones(2, 8, 8)},
        "region shape": {"region": torch.ones(2, 8, 8, 3)},
        "needs a VAE": {"pose_control_net": latent_net(net)},
    }
    said = {}
    for name, options in cases.items():
        try:
            apply((net,), **({"pose_map": hint} | options))
        except ValueError as error:
            said[name] = str(error)
    unused = [control.on for control in read_controls(DEFAULTS | {"use_pose": False, "pose_start": 0.9, "pose_end": 0})]
    return {"said": said, "an off control is not checked": unused == [False, True], "tokens": tokens(net)}


def latent_net(net):
    needy = net.copy()
    needy.latent_format = object()
    return needy


def tokens(net) -> str:
    """A region on a ControlNet whose tensors have no height and width."""
    control = control_of(apply((net,), picture(1), region=torch.ones(1, 8, 8))[0])
    control.inner.get_control = lambda *arguments: {"input": [], "middle": [], "output": [torch.ones(1, 64, 32)]}
    try:
        control.get_control(torch.zeros(1, 4, CELLS, CELLS), None, None, 1, {})
    except ValueError as error:
        return str(error)
    return ""


def memory(nets) -> dict:
    """What core asks a control for; with a region the answers are those without."""
    plain, masked = (
        control_of(apply(nets, picture(1), picture(2), **option)[0]) for option in ({}, {"region": torch.ones(1, 8, 8)})
    )
    first = tensors(masked)
    masked.cleanup()
    twin = masked.copy().set_previous_controlnet(masked.previous_controlnet.copy())
    clone = masked.deepclone_multigpu(torch.device("cpu"), autoregister=True)
    return {
        "same models": plain.get_models() == [one for one in masked.get_models() if one in plain.get_models()],
        "models": len(masked.previous_controlnet.get_models()),
        "needs": masked.inference_memory_requirements(torch.float32)
        == plain.inference_memory_requirements(torch.float32),
        "hooks": masked.get_extra_hooks() == plain.get_extra_hooks() == [],
        "cleaned": masked.inner.cond_hint is None and not masked._resized,
        "a copy is the same": difference(first, tensors(twin)),
        "a clone is another": clone.inner.control_model is not masked.inner.control_model
        and masked.multigpu_clones == {torch.device("cpu"): clone}
        and torch.equal(clone.region, masked.region),
    }
