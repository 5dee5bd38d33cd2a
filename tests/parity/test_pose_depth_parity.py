"""Joints and depth against transformers' own processors, models and post-processing on the same weights."""

import numpy as np
import pytest
import torch
from support import seeded_pose_depth as seeded
from support.detectors import photo

transformers = pytest.importorskip("transformers")
pytest.importorskip("scipy")
pytest.importorskip("torchvision")

from imageine.nodes.algorithms import depth_anything, vitpose  # noqa: E402

PHOTOS = ["astronaut", "chelsea", "coffee"]
# x, y, width, height in shares of the picture: portrait, landscape, over two edges, whole, tiny.
BOXES = [
    (0.2, 0.1, 0.4, 0.85),
    (0.05, 0.4, 0.9, 0.3),
    (-0.2, 0.6, 0.6, 0.7),
    (0.0, 0.0, 1.0, 1.0),
    (0.5, 0.5, 0.02, 0.03),
]


pytestmark = pytest.mark.usefixtures("one_thread")


def bytes_of(image):
    return image[0].mul(255).round().to(torch.uint8).numpy()


def boxes_in(image):
    height, width = image.shape[1:3]
    sides = np.array([width, height, width, height])
    return [(np.array(box) * sides).tolist() for box in BOXES]


def as_bounding_boxes(boxes):
    return [dict(zip(("x", "y", "width", "height"), box, strict=True)) for box in boxes]


@pytest.fixture(scope="module", params=["vitpose", "random vitpose"])
def pose(request):
    """Our model, transformers' and its processor, of one folder."""
    folder = seeded.template(request.param)
    model = transformers.VitPoseForPoseEstimation.from_pretrained(folder, local_files_only=True).eval()
    processor = transformers.VitPoseImageProcessor.from_pretrained(folder, local_files_only=True)
    return vitpose.load(folder), model, processor


@pytest.mark.parametrize("name", PHOTOS)
def test_crops_are_those_of_transformers(pose, name, figures):
    ours, _, processor = pose
    image = photo(name)
    boxes = boxes_in(image)
    given = processor(images=bytes_of(image), boxes=[boxes], return_tensors="pt")["pixel_values"]
    regions = [vitpose.crop_region(box, ours.size) for box in as_bounding_boxes(boxes)]
    crops = np.stack([vitpose.crop(bytes_of(image), *region, ours.size) for region in regions])
    levels = (given * torch.tensor(processor.image_std).view(1, 3, 1, 1)) + torch.tensor(processor.image_mean).view(
        1, 3, 1, 1
    )
    differ = np.abs(crops - levels.mul(255).round().movedim(1, -1).numpy())
    figures(f"ViTPose crops against transformers, {name}: {int((differ > 0).sum())} of {differ.size} levels differ")
    assert differ.max() <= 1 and (differ > 0).mean() < 1e-4


@pytest.mark.parametrize("name", PHOTOS)
def test_joints_are_those_of_transformers(pose, name, table, request):
    ours, model, processor = pose
    image = photo(name)
    boxes = boxes_in(image)
    inputs = processor(images=bytes_of(image), boxes=[boxes], return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    (expected,) = processor.post_process_pose_estimation(outputs, boxes=[boxes])
    (found,) = vitpose.find_people(ours, image, as_bounding_boxes(boxes))
    assert len(found) == len(expected) == len(BOXES)
    furthest = 0.0
    for one, other, box in zip(found, expected, boxes, strict=True):
        seen = other["scores"].numpy() > 0
        assert np.allclose(one.scores[seen], other["scores"][seen], atol=1e-3)
        apart = np.abs(one.points - other["keypoints"].numpy())[seen] / max(box[2:])
        furthest = max(furthest, float(apart.max()))
    table("Pose: joints, as shares of the person's box", f"{request.node.callspec.params['pose']}, {name}", furthest)
    assert furthest < 1e-3


def test_decoding_is_that_of_transformers(pose, table, request):
    _, _, processor = pose
    generator = torch.Generator().manual_seed(5)
    heatmaps = torch.randn(4, 17, 64, 48, generator=generator).mul(0.05)
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    for person in range(4):
        for joint in range(17):
            x, y = torch.rand(2, generator=generator) * torch.tensor([47.0, 63.0])
            heatmaps[person, joint] += torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8)
    outputs = transformers.models.vitpose.modeling_vitpose.VitPoseEstimatorOutput(heatmaps=heatmaps)
    # A box whose crop is exactly the heatmap, pixel on pixel.
    boxes = [[[0.0, 0.0, 47 / 1.25, 47 / 1.25 / 0.75]]] * 4
    expected = processor.post_process_pose_estimation(outputs, boxes=boxes)
    peaks, scores = vitpose.decode(heatmaps.numpy())
    centre, extent = vitpose.crop_region(as_bounding_boxes(boxes[0])[0], (256, 192))
    points = peaks * (extent / np.array([47, 63], dtype=np.float32)) + centre - extent / 2
    apart = max(float(np.abs(points[at] - expected[at][0]["keypoints"].numpy()).max()) for at in range(4))
    table("Pose: peaks of the heatmaps, in their pixels", request.node.callspec.params["pose"], apart)
    assert apart < 1e-3
    assert np.array_equal(scores, np.stack([one[0]["scores"].numpy() for one in expected]))


def test_a_vitpose_of_several_experts_uses_the_one_for_coco(tmp_path):
    folder = seeded.vitpose(tmp_path, random=True, experts=3)
    image = photo("chelsea")
    boxes = boxes_in(image)[:1]
    model = transformers.VitPoseForPoseEstimation.from_pretrained(folder, local_files_only=True).eval()
    processor = transformers.VitPoseImageProcessor.from_pretrained(folder, local_files_only=True)
    inputs = processor(images=bytes_of(image), boxes=[boxes], return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs, dataset_index=torch.tensor([0]))
    ((expected,),) = processor.post_process_pose_estimation(outputs, boxes=[boxes])
    ((found,),) = vitpose.find_people(vitpose.load(folder), image, as_bounding_boxes(boxes))
    assert np.allclose(found.scores, np.maximum(expected["scores"].numpy(), 0), atol=1e-4)


@pytest.fixture(scope="module")
def depth():
    folder = seeded.template("depth")
    model = transformers.DepthAnythingForDepthEstimation.from_pretrained(folder, local_files_only=True).eval()
    processor = transformers.DPTImageProcessor.from_pretrained(folder, local_files_only=True)
    return depth_anything.load(folder), model, processor


SIZES = [(400, 400), (123, 457), (457, 123), (1200, 900), (50, 60), (518, 518), (300, 1100), (1, 1), (37, 600)]


@pytest.mark.parametrize("size", SIZES)
def test_the_models_input_is_that_of_transformers(depth, size):
    ours, _, processor = depth
    image = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(0)).mul(255).round().div(255)
    given = processor(images=bytes_of(image), return_tensors="pt", input_data_format="channels_last")["pixel_values"]
    rows, columns = depth_anything.input_size(ours, *size)
    assert given.shape[2:] == (rows, columns)
    prepared = depth_anything.dataclasses.replace(ours.preprocessing, size={"height": rows, "width": columns})
    step = 1 / 255 / 0.224  # one level of an 8-bit picture; the newest processor is met exactly, those on PIL nearly
    assert (prepared.apply(image[0]) - given).abs().amax() <= step * 2.01


@pytest.mark.parametrize("name", PHOTOS)
def test_depth_is_that_of_transformers(depth, name, table):
    ours, model, processor = depth
    image = photo(name)
    inputs = processor(images=bytes_of(image), return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**inputs)
    (expected,) = processor.post_process_depth_estimation(outputs, target_sizes=[tuple(image.shape[1:3])])
    expected = expected["predicted_depth"]
    expected = (expected - expected.min()) / (expected.max() - expected.min())
    found = depth_anything.depth_maps(ours, image)
    assert found.shape == image.shape and torch.equal(found[..., 0], found[..., 2])
    apart = float((found[0, ..., 0] - expected).abs().amax())
    table("Depth: as shares of the range", name, apart)
    assert apart < 5e-3 and expected.std() > 0.05


def test_depth_is_that_of_transformers_pipeline(depth):
    from PIL import Image

    ours, model, processor = depth
    image = photo("chelsea")
    pipeline = transformers.pipeline("depth-estimation", model=model, image_processor=processor, device="cpu")
    picture = pipeline(Image.fromarray(bytes_of(image)))["depth"]
    found = depth_anything.depth_maps(ours, image)[0, ..., 0].mul(255)
    # Some releases divide by the largest value alone and truncate.
    expected = torch.from_numpy(np.array(picture)).float()
    expected = (expected - expected.min()) / (expected.max() - expected.min()) * 255
    assert (found - expected).abs().amax() < 3
