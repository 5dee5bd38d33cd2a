"""Pose as a control: Load ViTPose, Map Pose, Draw Pose."""

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io

from . import folders
from .algorithms import boxes, pose_drawing, vitpose
from .detection import BoxPreview
from .managed_model import ManagedModel

PoseModelType = io.Custom("IMAGEINE_VITPOSE")
PoseKeypointType = io.Custom("POSE_KEYPOINT")

_ACTIVATIONS = 1024**3  # bytes: 16 people in ViTPose huge, with reserve


class PoseEstimator:
    """A ViTPose whose weights ComfyUI manages: what travels on the IMAGEINE_VITPOSE socket."""

    def __init__(self, model: vitpose.VitPose):
        self.model = model
        self.managed = ManagedModel(model.model)

    def find_people(self, images: torch.Tensor, bboxes) -> list[list[vitpose.Person]]:
        """See ``vitpose.find_people``. Ticks the progress bar, stops on an interrupt after each image."""
        device = self.managed.load(_ACTIVATIONS)
        progress = comfy.utils.ProgressBar(len(images))

        def on_image() -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            progress.update(1)

        return vitpose.find_people(self.model, images, bboxes, device=device, on_image=on_image)


class LoadVitPose(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineLoadViTPose",
            display_name="Load ViTPose",
            category="imageine/pose",
            description="Loads a ViTPose model, which finds the joints of people, from models/pose.",
            search_aliases=["vitpose", "pose model", "pose estimation model", "openpose", "dwpose"],
            inputs=[folders.model_input(folders.POSE, "complex")],
            outputs=[PoseModelType.Output("pose_model", display_name="pose_model", tooltip="For Map Pose.")],
        )

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        return io.NodeOutput(PoseEstimator(vitpose.load(folders.find_model(folders.POSE, model))))


class MapPose(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineMapPose",
            has_intermediate_output=True,  # or a cached run shows no preview
            display_name="Map Pose",
            category="imageine/pose",
            description="Finds the joints of the people in the boxes and draws them as OpenPose skeletons, as the pose "
            "ControlNets expect them. Finding nobody is an answer: a black map.",
            search_aliases=["pose map", "openpose", "dwpose", "skeleton", "pose preprocessor", "controlnet pose"],
            inputs=[
                PoseModelType.Input("pose_model", display_name="Pose Model", tooltip="From Load ViTPose."),
                io.Image.Input("image", display_name="Image", tooltip="One image or a batch; each gets its own map."),
                io.BoundingBox.Input(
                    "bboxes", display_name="People", optional=True, force_input=True,
                    tooltip="The people's boxes, from Detect Objects with the prompt person, RT-DETR or SAM 3. Not "
                    "linked: one person who fills the image.",
                ),
                _threshold_input(),
                _width_input(),
                *_people_inputs(),
            ],
            outputs=[
                io.Image.Output(
                    "pose_map", display_name="pose_map",
                    tooltip="One picture per image, at the image's size: skeletons on black.",
                ),
                PoseKeypointType.Output(
                    "keypoints", display_name="keypoints",
                    tooltip="One frame per image with the joints of its people, as core's SDPose nodes have them.",
                ),
                io.Int.Output("count", display_name="count", tooltip="Number of people in all images together."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, pose_model: PoseEstimator, image: torch.Tensor, score_threshold: float = 0.3, bboxes=None,
        line_width: float = 1.0, max_people: int = 0, labels: str = "",
    ) -> io.NodeOutput:  # fmt: skip
        height, width = image.shape[1:3]
        if bboxes is not None:
            selection = boxes.Selection(max_boxes=max_people, labels=labels)
            bboxes = [selection.apply(frame, width, height) for frame in boxes.as_frames(bboxes, len(image))]
        keypoints, used = [], []
        for people in pose_model.find_people(image, bboxes):
            drawn = [(pose_drawing.openpose_person(one.points, one.scores), one.box) for one in people]
            drawn = [(person, box) for person, box in drawn if pose_drawing.is_visible(person, score_threshold)]
            keypoints.append(pose_drawing.frame([person for person, _ in drawn], width, height))
            used.append([box for _, box in drawn])
        maps = pose_drawing.draw(keypoints, pose_drawing.Style(score_threshold, line_width))
        maps = maps.to(comfy.model_management.intermediate_device())
        return io.NodeOutput(maps, keypoints, sum(map(len, used)), ui=PosePreview(maps, used, cls))


class DrawPose(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineDrawPose",
            has_intermediate_output=True,  # or a cached run shows no preview
            display_name="Draw Pose",
            category="imageine/pose",
            description="Draws keypoints as OpenPose skeletons on black, with lines that grow with the picture: those "
            "of Map Pose, and of core's SDPose with hands and face.",
            search_aliases=["openpose", "skeleton", "draw keypoints", "sdpose", "pose map"],
            inputs=[
                PoseKeypointType.Input(
                    "keypoints", display_name="Keypoints", tooltip="From Map Pose or SDPose Keypoint Extractor."
                ),
                _threshold_input(),
                _width_input(),
                io.Boolean.Input(
                    "hands", display_name="Hands", default=True, advanced=True,
                    tooltip="Draw fingers where the keypoints have them. Map Pose finds none.",
                ),
                io.Boolean.Input(
                    "face", display_name="Face", default=True, advanced=True,
                    tooltip="Draw the face's outline as dots where the keypoints have it. Map Pose finds none.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "pose_map", display_name="pose_map", tooltip="One picture per frame, at the size of its canvas."
                )
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, keypoints, score_threshold: float = 0.3, line_width: float = 1.0, hands: bool = True, face: bool = True
    ) -> io.NodeOutput:
        style = pose_drawing.Style(score_threshold, line_width, hands, face)
        maps = pose_drawing.draw(keypoints, style).to(comfy.model_management.intermediate_device())
        return io.NodeOutput(maps, ui=BoxPreview(maps, [[] for _ in maps], "", cls))


class PosePreview(BoxPreview):
    """Pose maps with the boxes of those who were found, and how many they are as text."""

    def __init__(self, maps: torch.Tensor, frames: list[list[dict]], cls: type[io.ComfyNode]):
        super().__init__(maps, frames, "Nobody found", cls)
        count, empty = sum(map(len, frames)), sum(not frame for frame in frames)
        people = "1 person" if count == 1 else f"{count} people"
        self.message = "Nobody found" if not count else f"{people} found"
        if count and empty:
            self.message += f", nobody in {empty} of {len(frames)} images"


def _threshold_input() -> io.Input:
    return io.Float.Input(
        "score_threshold", display_name="Score Threshold", default=0.3, min=0.0, max=1.0, step=0.01,
        display_mode=io.NumberDisplay.slider,
        tooltip="Draw joints with a score of at least this. Lower draws more of a person who is partly hidden.",
    )  # fmt: skip


def _width_input() -> io.Input:
    return io.Float.Input(
        "line_width", display_name="Line Width", default=1.0, min=0.25, max=4.0, step=0.05, advanced=True,
        tooltip="1 is what the pose ControlNets were trained on: limbs 8 pixels wide where the shorter edge is 512.",
    )  # fmt: skip


def _people_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "max_people", display_name="Max People", default=0, min=0, max=1000, advanced=True,
            tooltip="Keep this many people per image, those whose boxes have the best scores. 0 keeps all.",
        ),
        io.String.Input(
            "labels", display_name="Labels", default="", advanced=True,
            tooltip="Use only boxes whose label contains one of these words, separated by commas: \"person\" "
            "where the boxes also hold other things. Empty uses all.",
        ),
    ]  # fmt: skip
