"""What the crops of a recipe are, as data; no torch here, so that planning stays light."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from deo_bench.declarations import Count, Fraction, NonNegative, Number, Positive


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, int | float) and not isinstance(value, bool) else value


PerView = Annotated[tuple[Fraction, ...], BeforeValidator(_as_list), Field(min_length=1)]
"""Probabilities a view, global views first; the last one holds for the views that remain, so a single one for all."""


class Crops(BaseModel):
    """So many square crops: their size in pixels, and the range of their share of the image's area."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Count
    size: Count
    scale: tuple[Fraction, Fraction]

    @model_validator(mode="after")
    def _check(self) -> Crops:
        low, high = self.scale
        if not 0 < low <= high:
            raise ValueError(f"scale goes from low to high with 0 < low <= high <= 1, not {[low, high]}")
        return self


class Views(BaseModel):
    """The crops of each image and what is done to them; `global` views come first, then `local` ones.

    Flips and boxes are the same for every band. The photometric operations act on red, green and blue only, brought to
    display range for them, reflectance over a fixed white and clipped, then brought back; they are off unless a recipe
    switches them on. `rgb_range = "max"` divides by the crop's own joint maximum instead, always, and leaves it at
    that.

    flip, jitter, grayscale: probabilities; blur, solarise: probabilities a view (threshold 0.5); brightness, contrast,
    saturation, hue: strengths of the jitter, as torchvision's; blur_sigma: range in pixels of the crop; interpolation:
    with antialiasing; fine: the share of the images whose red, green and blue come from a co-registered finer image
    throughout, where the data carry one; rgb: the probability that a view of an image shows its red, green and blue
    alone where a term looks at any other band set (TerraFM's random modality): its tokens are then those of the RGB
    stem, for the student and for teachers that follow it. For a student that is fed `rgb` and other band sets.

    DEO's values are two global crops of 224 pixels and scale [0.4, 1], eight or ten local ones of 96 and [0.05, 0.4],
    bicubic, `rgb_range = "max"`, flip 0.5, jitter 0.8 with the strengths below, grayscale 0.2, blur [1, 0.1, 0.5],
    solarise [0, 0.2, 0] (`DataAugmentationDINOMS` of its code).
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    global_: Crops = Field(default=Crops(count=2, size=224, scale=(0.4, 1.0)), alias="global")
    local: Crops | None = None
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    flip: Fraction = 0.5
    rgb_range: Literal["white", "max"] = "white"
    fine: Fraction = 0.0
    rgb: Fraction = 0.0
    jitter: Fraction = 0.0
    brightness: NonNegative = 0.4
    contrast: NonNegative = 0.4
    saturation: NonNegative = 0.2
    hue: Annotated[Number, Field(ge=0, le=0.5)] = 0.1
    grayscale: Fraction = 0.0
    blur: PerView = (0.0,)
    blur_sigma: tuple[Positive, Positive] = (0.1, 2.0)
    solarise: PerView = (0.0,)
    mask: Fraction = 0.5
    mask_ratio: tuple[Fraction, Fraction] = (0.1, 0.5)

    @model_validator(mode="after")
    def _check(self) -> Views:
        for name in ("blur", "solarise"):
            if len(getattr(self, name)) > self.num_views:
                raise ValueError(f"{name} has {len(getattr(self, name))} probabilities for {self.num_views} views")
        if self.blur_sigma[0] > self.blur_sigma[1]:
            raise ValueError(f"blur_sigma goes from low to high, not {list(self.blur_sigma)}")
        return self

    @property
    def num_views(self) -> int:
        """How many crops there are of each image."""
        return self.global_.count + (self.local.count if self.local else 0)

    @property
    def is_photometric(self) -> bool:
        """Whether anything can happen to the colours."""
        return max(self.jitter, self.grayscale, *self.blur, *self.solarise) > 0

    def crops(self) -> list[tuple[str, int, Crops]]:
        """The views in order: group ("global" or "local"), number within the group, and its crops."""
        groups = [("global", self.global_), *([("local", self.local)] if self.local else [])]
        return [(group, number, crops) for group, crops in groups for number in range(crops.count)]


def of_view(probabilities: tuple[float, ...], view: int) -> float:
    """A view's own probability, or the last one."""
    return probabilities[min(view, len(probabilities) - 1)]
