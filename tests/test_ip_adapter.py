"""IP-Adapter files, references and what they add to an attention, without ComfyUI."""

import dataclasses

import pytest
from support import seeded_ip_adapter

torch = pytest.importorskip("torch")

from imageine.nodes.algorithms import ip_adapter, ip_attention, ip_references  # noqa: E402

WIDTHS = [8, 16]
SD15 = [
    *[ip_attention.Place("input", number, 0) for number in (1, 2, 4, 5, 7, 8)],
    *[ip_attention.Place("output", number, 0) for number in range(3, 12)],
    ip_attention.Place("middle", 0, 0),
]


def attend(query, keys, values):
    """One head."""
    return torch.nn.functional.scaled_dot_product_attention(query, keys, values)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def load(kind: str = "standard", token: int = 768) -> ip_adapter.IPAdapter:
    return ip_adapter.from_state(seeded_ip_adapter.nested(WIDTHS, kind, token))


@pytest.mark.parametrize("token", [768, 2048])
@pytest.mark.parametrize(("kind", "count"), [("standard", 4), ("plus", 16), ("full", 257)])
def test_layout_and_dimensions_come_from_the_tensors(kind, count, token):
    adapter = load(kind, token)
    width = seeded_ip_adapter.POOLED if kind == "standard" else seeded_ip_adapter.HIDDEN
    assert adapter.layout == ip_adapter.Layout(kind, width, token) and adapter.widths == WIDTHS
    assert adapter.layout.base == {768: "SD 1.5", 2048: "SDXL"}[token]
    shape = (3, width) if kind == "standard" else (3, 257, width)
    assert adapter.tokens(noise(*shape)).shape == (3, count, token)


def test_both_file_forms_hold_the_same_adapter():
    parts = seeded_ip_adapter.nested(WIDTHS, "plus")
    flat = ip_adapter.from_state(seeded_ip_adapter.flat(parts)).state_dict()
    alias = {"image_proj": parts["image_proj"], "adapter_modules": parts["ip_adapter"]}
    for state in (parts, alias):
        found = ip_adapter.from_state(state).state_dict()
        assert found.keys() == flat.keys() and all(torch.equal(found[name], flat[name]) for name in flat)


def test_layers_are_ordered_by_number_not_by_name():
    parts = seeded_ip_adapter.nested([8 * count for count in range(1, 12)])
    assert ip_adapter.from_state(parts).widths == [8 * count for count in range(1, 12)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda parts: {}, "not an IP-Adapter"),
        (lambda parts: {"lora_up.weight": torch.zeros(1)}, "lora_up.weight"),
        (lambda parts: {"image_proj": parts["image_proj"]}, "no ip_adapter"),
        (lambda parts: parts | {"image_proj": {"latents": torch.zeros(1, 4, 8)}}, "do not fit together"),
        (lambda parts: parts | {"image_proj": {"proj.2.weight": torch.zeros(4, 4)}}, "FaceID"),
        (lambda parts: parts | {"ip_adapter": {"1.to_k_ip.weight": torch.zeros(8, 768)}}, "1.to_v_ip.weight"),
    ],
)
def test_other_files_are_refused(change, words):
    with pytest.raises(ValueError, match=words) as refused:
        ip_adapter.from_state(change(seeded_ip_adapter.nested(WIDTHS)), "my.safetensors")
    assert "my.safetensors" in str(refused.value)


@pytest.mark.parametrize(
    ("layout", "width", "words"),
    [
        (ip_adapter.Layout("standard", 1024, 768), 1280, ("CLIP ViT-H", "CLIP ViT-bigG", "models/image_encoder")),
        (ip_adapter.Layout("standard", 1280, 2048), 1024, ("CLIP ViT-bigG", "CLIP ViT-H", "sdxl_models")),
        (ip_adapter.Layout("plus", 1280, 768), 1664, ("CLIP ViT-H", "CLIP ViT-bigG", "models/image_encoder")),
        (ip_adapter.Layout("plus", 1280, 2048), 1024, ("CLIP ViT-H", "CLIP ViT-L", "models/image_encoder")),
        (ip_adapter.Layout("full", 1280, 768), 1536, ("CLIP ViT-H", "another image encoder", "clip_vision")),
    ],
)
def test_a_wrong_encoder_is_named_with_the_right_one(layout, width, words):
    ip_references.check_encoder(layout, layout.embed_width)
    with pytest.raises(ValueError, match="does not fit") as refused:
        ip_references.check_encoder(layout, width)
    assert [word for word in words if word not in str(refused.value)] == []


def test_references_combine():
    adapter = load()
    one, two = (ip_references.collect(noise(1, 48, seed=seed), torch.zeros(1, 48), 1.0 + seed) for seed in (0, 2))
    both = one + two
    concat, negative = ip_references.tokens(adapter, both, "concat")
    assert concat.shape == negative.shape == (1, 8, 768)
    first, unconditioned = ip_references.tokens(adapter, one, "average")
    assert torch.allclose(concat[:, :4], first, atol=1e-5)
    assert torch.allclose(negative, unconditioned.repeat(1, 2, 1), atol=1e-5)
    mean = (both.items[0].positive + both.items[1].positive) / 2
    average, _ = ip_references.tokens(adapter, both, "average")
    assert torch.allclose(average, adapter.tokens(mean[None]), atol=1e-5)
    weighted, _ = ip_references.tokens(adapter, both, "weighted average")
    mixed = (both.items[0].positive + 3 * both.items[1].positive) / 4
    assert torch.allclose(weighted, adapter.tokens(mixed[None]), atol=1e-5)
    assert len(one.items) == 1, "joining leaves the parts as they were"


def test_weights_that_sum_to_nothing_are_refused():
    none = ip_references.collect(noise(2, 48), torch.zeros(1, 48), 0.0)
    with pytest.raises(ValueError, match="sum to 0"):
        ip_references.tokens(load(), none, "weighted average")


def test_embeds_of_another_kind_are_refused():
    with pytest.raises(ValueError, match="Encode Reference"):
        ip_references.check(load("plus").layout, ip_references.collect(noise(1, 64), noise(1, 64)))


def test_strengths_by_type():
    def by_place(weight_type: str) -> dict:
        return dict(zip(SD15, ip_attention.strengths(2.0, weight_type, SD15, 768), strict=True))

    assert set(by_place("linear").values()) == {2.0}
    ease = by_place("ease in")
    assert ease[SD15[0]] == 2.0 and ease["output", 11, 0] == pytest.approx(0.1)
    assert ease["input", 8, 0] > ease["middle", 0, 0] > ease["output", 3, 0]
    assert by_place("ease out")[SD15[0]] == pytest.approx(0.1) and by_place("ease out")["output", 11, 0] == 2.0
    style = {place for place, value in by_place("style").items() if value}
    composition = {place for place, value in by_place("composition").items() if value}
    assert style == {("output", 3, 0), ("output", 4, 0), ("output", 5, 0)}
    assert composition == {("input", 7, 0), ("input", 8, 0), ("middle", 0, 0)}
    assert {place for place, value in by_place("style and composition").items() if value} == style | composition
    with pytest.raises(ValueError, match="Choose linear"):
        ip_attention.strengths(1.0, "style", SD15[:2], 768)
    with pytest.raises(ValueError, match="No weight type"):
        ip_attention.strengths(1.0, "loud", SD15, 768)


@pytest.fixture
def influence():
    adapter = load()
    return ip_attention.Influence(adapter, noise(1, 4, 768, seed=1), noise(1, 4, 768, seed=2), (0.5, 0.0))


def expected(influence, query: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    keys, values = (layer[0](tokens) for layer in (influence.adapter.keys, influence.adapter.values))
    return 0.5 * attend(query, keys.expand(len(query), -1, -1), values.expand(len(query), -1, -1))


@pytest.mark.parametrize("sides", [[0], [1], [1, 0], [0, 1], [0, 0, 1], [2, 0]])
def test_every_chunk_gets_the_tokens_of_its_side(sides, influence):
    query = noise(2 * len(sides), 12, 8)
    found = influence.term(0, query, sides, None, (3, 4), attend)
    for chunk, mine, side in zip(query.split(2), found.split(2), sides, strict=True):
        tokens = influence.negative if side else influence.positive
        assert torch.allclose(mine, expected(influence, chunk, tokens), atol=1e-5)


def test_a_mask_stays_where_it_lies_when_a_chunk_shows_a_part_of_the_picture(influence):
    mask = torch.zeros(1, 64, 96)
    mask[:, 32:, 48:] = 1.0
    masked = dataclasses.replace(influence, mask=mask)
    query = noise(3, 12, 8)
    windows = [ip_attention.Window(0.5, 0.5, 1.0, 1.0), ip_attention.Window(0.0, 0.5, 0.5, 1.0), None]
    inside, outside, whole = masked.term(0, query, [0, 0, 0], None, (3, 4), attend, windows).split(1)
    unmasked = influence.term(0, query, [0, 0, 0], None, (3, 4), attend)
    assert torch.allclose(inside, unmasked[:1]) and not outside.any()
    assert torch.equal(whole, masked.term(0, query[2:], [0], None, (3, 4), attend))
    pixel = ip_attention.Window(0.1, 0.1, 0.101, 0.101).cut(mask)
    assert pixel.shape == (1, 1, 1)


def test_no_strength_is_no_work(influence):
    def fail(*tensors):
        raise AssertionError("computed for nothing")

    assert influence.term(1, noise(1, 12, 16), [0], None, (3, 4), fail) is None


@pytest.mark.parametrize(("sigma", "acts"), [(9.0, False), (8.0, True), (5.0, True), (2.0, True), (1.9, False)])
def test_the_range_of_noise_levels(sigma, acts, influence):
    influence.always, influence.sigma_start, influence.sigma_end = False, 8.0, 2.0
    found = influence.term(0, noise(2, 12, 8), [1, 0], torch.tensor([sigma]), (3, 4), attend)
    assert bool(found.any()) == acts


@pytest.mark.parametrize("count", [1, 2, 5])
def test_masks_of_any_number_act_where_they_are_white(count, influence):
    plain = influence.term(0, noise(6, 12, 8), [1, 0], None, (3, 4), attend)
    mask = torch.zeros(count, 48, 64)
    mask[-1, :, 32:] = 1.0  # the right half, of the last mask alone
    influence.mask = mask
    masked = influence.term(0, noise(6, 12, 8), [1, 0], None, (3, 4), attend).unflatten(1, (3, 4))
    whole = plain.unflatten(1, (3, 4))
    for index in range(6):
        used = (index % 3) % count == count - 1
        assert not masked[index, :, :2].any()
        assert bool(masked[index].any()) == used
        if used:
            assert torch.allclose(masked[index, :, 2:], whole[index, :, 2:], atol=1e-5)


def test_half_precision_queries_and_weights_left_in_another_type(influence):
    found = influence.term(0, noise(2, 12, 8).bfloat16(), [1, 0], None, (3, 4), attend)
    assert found.dtype == torch.bfloat16 and torch.isfinite(found).all()


def test_copies_are_let_go(influence):
    influence.term(0, noise(2, 12, 8), [1, 0], None, (3, 4), attend)
    assert influence._copies
    influence.to(torch.device("meta"))
    assert not influence._copies
