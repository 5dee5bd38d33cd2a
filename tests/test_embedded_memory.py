"""The embedded engine's memory: what is offloaded when, that it changes no picture, and torch.compile."""

import pytest
from imageine.runner import edit
from imageine.runner.engines import connection, embedded
from imageine.runner.engines.embedded import compiling, memory
from imageine.runner.errors import InputError, ModelError
from PIL import Image

pytestmark = pytest.mark.skipif(bool(embedded.missing_packages()), reason="needs the extra [embedded]")
GIB = 1 << 30
QUICK = {"width": 64, "height": 64, "blend": 0, "feather": 0, "grow": 0}
TINY_UNET = {
    "sample_size": 8,
    "in_channels": 9,
    "out_channels": 4,
    "block_out_channels": (32,),
    "down_block_types": ("CrossAttnDownBlock2D",),
    "up_block_types": ("CrossAttnUpBlock2D",),
    "layers_per_block": 1,
    "cross_attention_dim": 16,
    "norm_num_groups": 8,
}


@pytest.fixture
def parts():
    """A checkpoint of tiny networks, the same each time."""
    import torch
    from diffusers import AutoencoderTiny, UNet2DConditionModel
    from imageine.runner.engines.embedded.checkpoints import Checkpoint

    torch.manual_seed(0)
    vae = AutoencoderTiny(encoder_block_out_channels=(8,) * 4, decoder_block_out_channels=(8,) * 4, scaling_factor=1.0)
    return Checkpoint(UNet2DConditionModel(**TINY_UNET).eval(), vae.eval(), None, None)


@pytest.fixture
def tight(parts, monkeypatch):
    """(a pipeline, a function that makes the memory of a device with so many bytes free, what is told)."""
    import torch
    from imageine.runner.engines.embedded import sampling
    from imageine.runner.engines.embedded.checkpoints import SCHEDULER

    told = []

    def make(free: int, device: str = "meta") -> memory.Memory:
        """On torch's device without data networks can be seen to go there, though they compute nothing."""
        monkeypatch.setattr(memory, "free_memory", lambda device: free)
        monkeypatch.setattr(memory, "_SHARED", ())
        return memory.Memory(torch.device(device), tell=told.append)

    return sampling.build_pipeline(parts, sampling.schedulers()["euler"].from_config(SCHEDULER)), make, told


def sample(parts, offload: str):
    import torch
    from imageine.runner.engines.embedded import sampling

    noise = torch.Generator().manual_seed(1)
    mask = torch.zeros(1, 64, 64)
    mask[:, 16:48, 16:48] = 1
    words, pixels = torch.randn(1, 77, 16, generator=noise), torch.rand(1, 64, 64, 3, generator=noise)
    sides = [
        sampling.Conditioning(words, pixels=pixels, mask=mask),
        sampling.Conditioning(torch.zeros_like(words)),
    ]
    settings = sampling.Settings(1, 2, 7.5, "euler", "normal")
    return sampling.sample(
        parts, *sides, (), settings, memory.Memory(torch.device("cpu"), offload), lambda step, steps: None
    )


# --- what is chosen ---


@pytest.mark.parametrize(
    ("free", "chosen"),
    [(8 * GIB, "none"), (4 * GIB, "none"), (3 * GIB, "model"), (2 * GIB, "sequential"), (0, "sequential")],
)
def test_the_least_offload_that_fits(free, chosen):
    assert memory.choose(free, everything=2 * GIB, at_once=3 * GIB // 2, working=GIB) == chosen


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_a_device_in_main_memory_offloads_nothing(device, monkeypatch):
    import torch

    monkeypatch.setattr(memory, "free_memory", lambda device: pytest.fail("it does not matter"))
    chosen = memory.Memory(torch.device(device))
    assert chosen.offload == "none" and not chosen._decides


def test_all_of_it_stays_where_there_is_room(tight):
    pipeline, make, told = tight
    chosen = make(8 * GIB)
    with chosen.running(pipeline, 64 * 64):
        assert chosen.offload == "none"
    assert pipeline.unet.device.type == pipeline.vae.device.type == "meta"
    assert not told


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_it_makes_room_and_says_so(tight, offload):
    pipeline, make, told = tight
    networks = memory.size(pipeline.unet) + memory.size(pipeline.vae)
    working = 64 * 64 * memory._NUMBERS_PER_PIXEL * 4 + memory._SPARE
    chosen = make(working + {"model": networks - 1, "sequential": memory.size(pipeline.unet) - 1}[offload], "cpu")
    with chosen.running(pipeline, 64 * 64):
        assert chosen.offload == offload
        assert all(hasattr(network, "_hf_hook") for network in (pipeline.unet, pipeline.vae))
    assert pipeline.unet.device.type == pipeline.vae.device.type == "cpu"
    assert not any(hasattr(network, "_hf_hook") for network in pipeline.unet.modules())
    assert len(told) == 1 and f"offload '{offload}'" in told[0]


def test_networks_of_an_earlier_job_go_first(tight, parts):
    import torch

    pipeline, make, _ = tight
    chosen = make(8 * GIB)
    other = torch.nn.Linear(2, 2)
    with chosen.holding(other):
        assert other.weight.device.type == "meta"
    other.to_empty(device="cpu")  # back from where there is no data
    with chosen.running(pipeline, 64 * 64):
        assert list(chosen._resident.values()) == [pipeline.vae, pipeline.unet]


def test_an_unknown_offload_is_refused():
    for attempt in (embedded.EmbeddedClient, lambda **options: embedded.check_options(compile=False, **options)):
        with pytest.raises(InputError) as caught:
            attempt(offload="disk")
        assert caught.value.code == "option_invalid" and "sequential" in caught.value.hint


# --- what it changes: nothing ---


@pytest.fixture(scope="module")
def plain(seeded_models):
    return painted(seeded_models, "none")


def painted(models, offload: str) -> bytes:
    mask = Image.new("L", (96, 64))
    mask.paste(255, (20, 20, 60, 50))
    photo = Image.linear_gradient("L").resize((96, 64)).convert("RGB")
    with embedded.EmbeddedClient(models, device="cpu", offload=offload) as client:
        options = {"client": client, "mask": mask, "seed": 1, "steps": 2, "settings": QUICK}
        pictures = {edit(photo, "blue car", **options).image.tobytes() for _ in range(2)}
    assert len(pictures) == 1
    return pictures.pop()


@pytest.mark.parametrize("offload", ["model", "sequential"])
def test_the_picture_is_the_same(seeded_models, plain, offload):
    assert painted(seeded_models, offload) == plain


def test_layers_leave_one_by_one(parts):
    """While "sequential" samples, no weight stays in its network."""
    import torch

    seen = []
    chosen = memory.Memory(torch.device("cpu"), "sequential")
    with chosen.holding(parts.vae), torch.no_grad():
        seen += [{tensor.device.type for tensor in parts.vae.parameters()}]
        parts.vae.encode(torch.zeros(1, 3, 64, 64))
        seen += [{tensor.device.type for tensor in parts.vae.parameters()}]
    assert seen == [{"meta"}, {"meta"}]
    assert {tensor.device.type for tensor in parts.vae.parameters()} == {"cpu"}


def test_an_interrupted_sampling_leaves_no_hooks(parts):
    import torch
    from imageine.runner.engines.embedded import sampling
    from imageine.runner.engines.embedded.checkpoints import SCHEDULER

    chosen = memory.Memory(torch.device("cpu"), "sequential")
    pipeline = sampling.build_pipeline(parts, sampling.schedulers()["euler"].from_config(SCHEDULER))
    with pytest.raises(KeyboardInterrupt), chosen.running(pipeline, 64 * 64):
        assert parts.unet.device.type == "meta"
        raise KeyboardInterrupt
    assert {tensor.device.type for tensor in parts.unet.parameters()} == {"cpu"}


def test_options_reach_the_engine(seeded_models, monkeypatch):
    monkeypatch.setenv("IMAGEINE_MODELS", str(seeded_models))
    with connection.connect("embedded", embedded={"offload": "sequential"}) as client:
        assert client._studio.memory.offload == "sequential"


# --- torch.compile ---


def test_a_compiled_unet_gives_the_same(parts, one_thread):
    import torch

    compiling.require_compiler(torch.device("cpu"))
    plain = sample(parts, "none")
    parts.unet.compile()
    assert torch.allclose(sample(parts, "model"), plain, rtol=1e-3, atol=1e-3)
    assert parts.unet._compiled_call_impl is not None


def test_a_client_compiles_the_unet(seeded_models):
    with embedded.EmbeddedClient(seeded_models, device="cpu", compile=True) as client:
        checkpoint = client._studio.checkpoint("sd-v1-5-inpainting.safetensors")
        assert checkpoint.unet._compiled_call_impl is not None


def test_without_a_compiler_it_says_what_to_do(monkeypatch, tmp_path):
    import torch

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ModelError) as caught:
        embedded.EmbeddedClient(tmp_path, device="cpu", compile=True)
    assert caught.value.code == "engine_missing"
    assert "g++" in caught.value.message and "apt install g++" in caught.value.hint and "--compile" in caught.value.hint
    monkeypatch.setenv("CXX", "my-compiler")
    with pytest.raises(ModelError, match="my-compiler"):
        compiling.require_compiler(torch.device("cpu"))
    monkeypatch.setattr(compiling.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="Triton"):
        compiling.require_compiler(torch.device("cuda"))


def test_what_the_compiler_raises_comes_with_the_way_out():
    from torch._dynamo.exc import InternalTorchDynamoError

    assert embedded._hint(InternalTorchDynamoError("g++ failed")) == compiling.WITHOUT
    assert "sequential" in embedded._hint(RuntimeError("CUDA out of memory"))
    assert embedded._hint(RuntimeError("shapes differ")) == ""


def test_compiling_layers_that_move_one_by_one_is_refused():
    with pytest.raises(InputError, match="sequential"):
        embedded.EmbeddedClient(offload="sequential", compile=True)
