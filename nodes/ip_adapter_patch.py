"""IP-Adapter inside ComfyUI's UNets: find the cross-attentions, fit an adapter to them, patch a clone."""

import re

import torch
from comfy.ldm.modules.attention import optimized_attention
from comfy.patcher_extension import WrappersMP

from .algorithms.ip_adapter import BASES, IPAdapter
from .algorithms.ip_attention import Influence, Place, Window
from .managed_model import ManagedModel

_ATTENTION = re.compile(r"(?:(input|output)_blocks\.(\d+)\.\d+|middle_block\.\d+)\.transformer_blocks\.(\d+)\.attn2$")
_WINDOWS = "imageine_windows"  # in the transformer options: what each conditioning shows of the picture, by its id
_FILE_ORDER = ("input", "output", "middle")


def cross_attentions(model) -> dict[Place, torch.nn.Module]:
    """The UNet's cross-attentions of ``model`` (a ModelPatcher) in the order of IP-Adapter files; maybe none."""
    found = {}
    for name, module in model.get_model_object("diffusion_model").named_modules():
        match = _ATTENTION.search(name)
        if match:
            block, number, layer = match.groups()
            found[Place(block or "middle", int(number or 0), int(layer))] = module
    return dict(sorted(found.items(), key=lambda item: (_FILE_ORDER.index(item[0].block), *item[0][1:])))


def check_model(adapter: IPAdapter, attentions: dict[Place, torch.nn.Module]) -> None:
    """Make sure that ``adapter`` was made for a UNet with these attentions; raises ``ValueError`` if not."""
    if not attentions:
        raise ValueError(
            "The model has no cross-attention of the Stable Diffusion kind, so an IP-Adapter has nowhere to act. "
            "IP-Adapters exist for SD 1.5 and SDXL: connect a checkpoint of either."
        )
    if [one.heads * one.dim_head for one in attentions.values()] == adapter.widths:
        return
    width = next(iter(attentions.values())).to_k.in_features
    model = BASES.get(width, f"a model with text of width {width}")
    raise ValueError(
        f"The IP-Adapter does not fit the model: the adapter is for {adapter.layout.base} "
        f"({len(adapter.widths)} cross-attentions), the model is {model} ({len(attentions)} cross-attentions). "
        f"Choose an adapter for {model} in Load IP-Adapter."
    )


class AttentionPatch:
    """Replaces cross-attention ``index`` of a UNet: its own attention, or what stood in for it before, plus influences.

    Clones of a model share their patches, so none is ever changed: adding an influence makes a new patch. ComfyUI
    asks ``models`` what to load beside the UNet, and tells by ``to`` where the UNet goes.
    """

    def __init__(self, index: int, influences: tuple[tuple[Influence, ManagedModel], ...], before=None):
        self.index = index
        self.influences = influences
        self.before = before

    def __call__(self, query, key, value, extra_options) -> torch.Tensor:
        def attend(*tensors: torch.Tensor) -> torch.Tensor:
            precision = extra_options.get("attn_precision")
            heads = extra_options["n_heads"]
            return optimized_attention(*tensors, heads, attn_precision=precision, transformer_options=extra_options)

        out = self.before(query, key, value, extra_options) if self.before else attend(query, key, value)
        sides, sigmas = extra_options["cond_or_uncond"], extra_options.get("sigmas")
        grid = _grid(extra_options, query.shape[1])
        known = extra_options.get(_WINDOWS, {})
        windows = [known.get(one) for one in extra_options["uuids"]] if known else ()
        for influence, _ in self.influences:
            term = influence.term(self.index, query, sides, sigmas, grid, attend, windows)
            if term is not None:
                out = out + term
        return out

    def models(self) -> list:
        ours = [managed.patcher for _, managed in self.influences]
        return ours + (self.before.models() if hasattr(self.before, "models") else [])

    def to(self, target) -> "AttentionPatch":
        """``target`` is a device or a data type; the latter is taken from the query in every call."""
        if isinstance(target, torch.device):
            for influence, _ in self.influences:
                influence.to(target)
        if not hasattr(self.before, "to"):
            return self
        moved = self.before.to(target)
        return self if moved is self.before else AttentionPatch(self.index, self.influences, moved)

    def cleanup(self) -> None:
        if hasattr(self.before, "cleanup"):
            self.before.cleanup()


def patched(model, influence: Influence, managed: ManagedModel, places: list[Place]):
    """A clone of ``model`` in which ``influence`` acts beside what acted before; ``model`` stays as it is."""
    clone = model.clone()
    for index, place in enumerate(places):
        if not influence.strengths[index]:
            continue
        replaced = clone.model_options["transformer_options"].get("patches_replace", {}).get("attn2", {})
        before = replaced.get(tuple(place), replaced.get((place.block, place.number)))
        added = ((influence, managed),)
        if isinstance(before, AttentionPatch):
            patch = AttentionPatch(index, before.influences + added, before.before)
        else:
            patch = AttentionPatch(index, added, before)
        clone.set_model_attn2_replace(patch, place.block, place.number, place.layer)
    if influence.mask is not None and not clone.get_wrappers(WrappersMP.CALC_COND_BATCH, _WINDOWS):
        clone.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, _WINDOWS, _note_windows)
    return clone


def _note_windows(executor, model, conds, x_in, timestep, model_options):
    """Tell the patches which conditionings are computed on an area of the picture alone: their masks cover it all."""
    height, width = x_in.shape[-2:]
    windows = {}
    for one in (one for side in conds for one in side or () if len(one.get("area", ())) == 4):
        rows, columns, top, left = one["area"]
        bottom, right = min(top + rows, height), min(left + columns, width)
        windows[one["uuid"]] = Window(top / height, left / width, bottom / height, right / width)
    if windows:
        options = model_options.get("transformer_options", {}) | {_WINDOWS: windows}
        model_options = model_options | {"transformer_options": options}
    return executor(model, conds, x_in, timestep, model_options)


def _grid(extra_options: dict, count: int) -> tuple[int, int]:
    """Height and width of ``count`` queries: the block's own, else a grid of the latent's proportions."""
    height, width = (extra_options.get("activations_shape") or extra_options["original_shape"])[-2:]
    if height * width == count:
        return height, width
    rows = max(1, round((count * height / width) ** 0.5))
    while count % rows:
        rows -= 1
    return rows, count // rows
