"""Inpainting nodes: the masked part of a photo at the model's resolution, and back into the photo."""

from comfy_api.latest import io, ui

from .algorithms import crops

CropInfo = io.Custom("IMAGEINE_CROP")

_MAX_SIZE = 16384  # pixels; core's own limit for sizes
_PREVIEWED = 8  # crops shown on the node


class CropForInpaint(io.ComfyNode):
    """Photos and masks -> crops at the model's size, the masks to sample by, and what Stitch Inpaint needs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineCropForInpaint",
            has_intermediate_output=True,  # or a cached run shows no preview
            display_name="Crop for Inpaint",
            category="imageine/inpainting",
            description=(
                "Cuts the masked part out of each photo, with some surroundings, at the size the model works best "
                "at. Edit the crops, then put them back with Stitch Inpaint. An empty mask is fine: that photo "
                "passes through unchanged."
            ),
            search_aliases=["inpaint crop", "crop by mask", "crop and stitch", "masked only", "detailer", "zoom in"],
            inputs=_crop_inputs(),
            outputs=[
                CropInfo.Output(
                    "crop_info",
                    display_name="crop_info",
                    tooltip="For Stitch Inpaint: the photos and where to put back.",
                ),
                io.Image.Output(
                    "image", display_name="image", tooltip="The crops, all of one size: for InpaintModelConditioning."
                ),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="What the sampler repaints in each crop, in latent cells: for InpaintModelConditioning.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, image, mask, context, width, height, multiple, regions, max_regions, sample_grow, blend
    ) -> io.NodeOutput:
        info, images, sampled = crops.crop(
            image, mask, context, width, height, multiple, regions, max_regions, sample_grow, blend
        )
        shown = ui.PreviewImage(crops.preview(images[:_PREVIEWED], sampled[:_PREVIEWED]), cls=cls).as_dict()
        return io.NodeOutput(info, images, sampled, ui={**shown, "text": (_summary(info, images),)})


class StitchInpaint(io.ComfyNode):
    """Edited crops -> the photos with the edits blended in."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ImageineStitchInpaint",
            display_name="Stitch Inpaint",
            category="imageine/inpainting",
            description=(
                "Puts the edited crops of Crop for Inpaint back into their photos with a soft edge. Outside the "
                "mask not a single pixel changes."
            ),
            search_aliases=["inpaint stitch", "paste crop", "uncrop", "composite", "crop and stitch", "blend back"],
            inputs=[
                CropInfo.Input(
                    "crop_info", display_name="Crop Info", tooltip="From the Crop for Inpaint that made the crops."
                ),
                io.Image.Input(
                    "image",
                    display_name="Image",
                    tooltip="The edited crops, as many as were cut and in their order. Another size is fine, such as "
                    "after an upscaler.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The photos with the edits in them."),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="How much of the edit shows at each pixel of the photos; 0 where the photo is untouched.",
                ),
            ],
        )

    @classmethod
    def execute(cls, crop_info, image) -> io.NodeOutput:
        return io.NodeOutput(*crops.stitch(crop_info, image))


def _crop_inputs() -> list[io.Input]:
    size = {"default": 512, "min": 0, "max": _MAX_SIZE, "step": 8}
    return [
        io.Image.Input("image", display_name="Image", tooltip="The photos. Transparency is flattened on white."),
        io.Mask.Input(
            "mask",
            display_name="Mask",
            tooltip="What to repaint: one mask per photo or one for all, soft edges welcome. Another size is resized.",
        ),
        io.Float.Input(
            "context",
            display_name="Context",
            tooltip="How much of the surroundings the model sees: the sides of the masked area times this. More helps "
            "the edit fit in, less gives it more detail. At least 32 pixels all round are added.",
            default=1.5,
            min=1.0,
            max=10.0,
            step=0.1,
            round=0.01,
        ),
        io.Int.Input(
            "width",
            display_name="Width",
            tooltip="Width of the crops: what the model was made for (512 for SD 1.5, 1024 for SDXL). 0 follows the "
            "height; with both 0 the crop keeps the photo's own pixels.",
            **size,
        ),
        io.Int.Input(
            "height",
            display_name="Height",
            tooltip="Height of the crops. 0 follows the width; with both 0 the crop keeps the photo's own pixels.",
            **size,
        ),
        *_size_and_region_inputs(),
        *_edge_inputs(),
    ]


def _size_and_region_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "multiple",
            display_name="Multiple Of",
            tooltip="Crop sizes are rounded up to a multiple of this: 8 for SD 1.5 and SDXL, 16 for Flux, 64 for "
            "models that ask for it.",
            default=8,
            min=8,
            max=256,
            step=8,
            advanced=True,
        ),
        io.Combo.Input(
            "regions",
            options=["together", "each"],
            display_name="Regions",
            tooltip="together: one crop around all of a photo's mask. each: one crop for every separate part of it, "
            "all put back into the one photo; parts close to each other share a crop.",
            default="together",
            advanced=True,
        ),
        io.Int.Input(
            "max_regions",
            display_name="Max Regions",
            tooltip="The most crops per photo when regions is 'each'. The largest parts keep their own crop, smaller "
            "ones join the nearest of them.",
            default=8,
            min=1,
            max=256,
            advanced=True,
        ),
    ]


def _edge_inputs() -> list[io.Input]:
    return [
        io.Int.Input(
            "sample_grow",
            display_name="Sample Grow",
            tooltip="The sampler repaints at least this many of the photo's pixels around what is fully masked. Wider "
            "soft edges are sampled as they are. Changes only what is sampled, not how it is blended.",
            default=10,
            min=0,
            max=512,
            advanced=True,
        ),
        io.Int.Input(
            "blend",
            display_name="Blend",
            tooltip="Hard edges of the mask are blended over this many pixels outwards when the crop is put back. "
            "Softer edges stay as they are. Changes only what shows, not what is sampled.",
            default=10,
            min=0,
            max=512,
            advanced=True,
        ),
    ]


def _summary(info: crops.CropInfo, images) -> str:
    if not info.regions:
        return "The mask is empty: there is nothing to crop, and the photo will stay as it is."
    count, height, width = images.shape[:3]
    return f"{count} crop{'s' if count > 1 else ''} of {width} × {height}"
