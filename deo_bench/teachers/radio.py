"""RADIO: NVIDIA's vision transformers distilled from several teachers at once, run by a checkout of their own code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from deo_bench.bands import BAND_SETS
from deo_bench.declarations import Count, Positive
from deo_bench.errors import MissingInput, UserError
from deo_bench.features import Features
from deo_bench.levels import level_number, named_levels
from deo_bench.normalisation import Normalisation
from deo_bench.teachers import Teacher, teacher, without_gradients
from deo_bench.teachers._hubconf import built, redraw
from deo_bench.teachers._timm import fitted
from deo_bench.weights import fetch

ENTRIES = {
    "radio_v25_b": {
        "summary": "RADIOv2.5 ViT-B/16: distilled from DFN CLIP, SigLIP, DINOv2, SAM.",
        "weights": "hub:nvidia/RADIO",
        "filename": "radio-v2.5-b_half.pth.tar",
        "licence": "NVIDIA Source Code License (non-commercial)",
        "licence_url": "https://github.com/NVlabs/RADIO/blob/main/LICENSE",
        "trained_on": ["DataComp-1B"],
    },
    "radio_v25_l": {
        "summary": "RADIOv2.5 ViT-L/16: distilled from DFN CLIP, SigLIP, DINOv2, SAM.",
        "weights": "hub:nvidia/RADIO",
        "filename": "radio-v2.5-l_half.pth.tar",
        "licence": "NVIDIA Source Code License (non-commercial)",
        "licence_url": "https://github.com/NVlabs/RADIO/blob/main/LICENSE",
        "trained_on": ["DataComp-1B"],
    },
    "radio_v25_h": {
        "summary": "RADIOv2.5 ViT-H/16: distilled from DFN CLIP, SigLIP, DINOv2, SAM and Florence-2.",
        "weights": "hub:nvidia/RADIO",
        "filename": "radio_v2.5-h.pth.tar",
        "licence": "NVIDIA Source Code License (non-commercial)",
        "licence_url": "https://github.com/NVlabs/RADIO/blob/main/LICENSE",
        "trained_on": ["DataComp-1B"],
    },
    "radio_v25_g": {
        "summary": "RADIOv2.5 ViT-g/14: distilled from DFN CLIP, SigLIP, DINOv2, SAM.",
        "weights": "hub:nvidia/RADIO",
        "filename": "radio_v2.5-g.pth.tar",
        "licence": "NVIDIA Source Code License (non-commercial)",
        "licence_url": "https://github.com/NVlabs/RADIO/blob/main/LICENSE",
        "trained_on": ["DataComp-1B"],
    },
    "cradio_v2_g": {
        "summary": "C-RADIOv2 ViT-g: distilled on data chosen for commercial use.",
        "weights": "hub:nvidia/C-RADIOv2-g",
        "filename": "c-radio_v2-g_half.pth.tar",
        "licence": "NVIDIA Open Model License",
        "licence_url": "https://developer.download.nvidia.com/licenses/nvidia-open-model-license-agreement-june-2024.pdf",
        "trained_on": ["unknown"],
    },
    "cradio_v3_b": {
        "summary": "C-RADIOv3 ViT-B/16: distilled on data chosen for commercial use.",
        "weights": "hub:nvidia/C-RADIOv3-B",
        "filename": "c-radio_v3-b_half.pth.tar",
        "licence": "NVIDIA Open Model License",
        "licence_url": "https://developer.download.nvidia.com/licenses/nvidia-open-model-license-agreement-june-2024.pdf",
        "trained_on": ["unknown"],
    },
    "cradio_v3_l": {
        "summary": "C-RADIOv3 ViT-L/16: distilled on data chosen for commercial use.",
        "weights": "hub:nvidia/C-RADIOv3-L",
        "filename": "c-radio-v3_l_half.pth.tar",
        "licence": "NVIDIA Open Model License",
        "licence_url": "https://developer.download.nvidia.com/licenses/nvidia-open-model-license-agreement-june-2024.pdf",
        "trained_on": ["unknown"],
    },
    "cradio_v3_h": {
        "summary": "C-RADIOv3 ViT-H/16: distilled on data chosen for commercial use.",
        "weights": "hub:nvidia/C-RADIOv3-H",
        "filename": "c-radio_v3-h_half.pth.tar",
        "licence": "NVIDIA Open Model License",
        "licence_url": "https://developer.download.nvidia.com/licenses/nvidia-open-model-license-agreement-june-2024.pdf",
        "trained_on": ["unknown"],
    },
    "cradio_v3_g": {
        "summary": "C-RADIOv3 ViT-g: distilled on data chosen for commercial use.",
        "weights": "hub:nvidia/C-RADIOv3-g",
        "filename": "c-radio_v3-g_half.pth.tar",
        "licence": "NVIDIA Open Model License",
        "licence_url": "https://developer.download.nvidia.com/licenses/nvidia-open-model-license-agreement-june-2024.pdf",
        "trained_on": ["unknown"],
    },
    "cradio_v4_so400m": {
        "summary": "C-RADIOv4 ViT-SO400M: distilled from SigLIP2-g, DINOv3-7B and SAM3.",
        "weights": "hub:nvidia/C-RADIOv4-SO400M",
        "filename": "c-radio_v4-so400m_half.pth.tar",
        "licence": "NVIDIA Open Model License",
        "licence_url": "https://developer.download.nvidia.com/licenses/nvidia-open-model-license-agreement-june-2024.pdf",
        "trained_on": ["unknown"],
    },
    "cradio_v4_h": {
        "summary": "C-RADIOv4 ViT-H/16: distilled from SigLIP2-g, DINOv3-7B and SAM3.",
        "weights": "hub:nvidia/C-RADIOv4-H",
        "filename": "c-radio_v4-h_half.pth.tar",
        "licence": "NVIDIA Open Model License",
        "licence_url": "https://developer.download.nvidia.com/licenses/nvidia-open-model-license-agreement-june-2024.pdf",
        "trained_on": ["unknown"],
    },
}


@teacher(
    ENTRIES,
    paper="https://arxiv.org/abs/2412.07679",
    gated=False,
    code="https://github.com/NVlabs/RADIO",
    requires={"checkout": "hubconf.py"},
)
class Radio(Teacher):
    """A frozen RADIO (Ranzinger et al., 2024; Heinrich et al., 2025), through the user's own checkout of its code.

    checkout: a folder with NVlabs/RADIO (git clone), without which nothing is built. Its `hubconf.py` is run, by
    torch.hub, so it has to be trusted, and its licence is NVIDIA's; what it imports (timm, einops) has to be
    installed. A run is named by the checksum of the weights and of the checkout's Python files; the commit is not
    looked at. file: the weights instead of the hub's or torch.hub's cache; a file that would run code is not handed
    on.

    RGB as shown on a screen, from 0 to 1 (reflectance `white` is 1); the network normalises it itself. Pooled: `cls`
    (default), its whole summary, several class tokens in a row (three in RADIOv2.5: 2304 numbers for ViT-B), or the
    one that `summary` counts from 0; `mean`, of the cells. Levels: `late` is the final grid; where the checkout has
    `forward_intermediates`, others are block numbers from 0 (early at half of the depth, mid at three quarters;
    `levels` overrides the three, `block_N` names any), with the final norm where it has one if `normed`.

    Images of any size: brought to a multiple of the network's step, after the shortest side was brought to `size`.
    Without its weights (the untrained control) the file is still read, for the architecture is written in it.
    """

    def __init__(
        self,
        name: str,
        load: bool = True,
        *,
        checkout: Path | None = None,
        file: Path | None = None,
        summary: int | None = None,
        size: Count | None = None,
        white: Positive = 0.3,
        normed: bool = True,
        levels: list[int] | None = None,
    ) -> None:
        super().__init__()
        who, entry = f"teacher {name}", ENTRIES[name]
        if checkout is None:
            raise MissingInput(
                f"{who}: its architecture is no code of this project",
                "set checkout = a folder with https://github.com/NVlabs/RADIO",
            )
        self.name, self.size, self.normed = name, size, normed
        self.band_sets = {"rgb": BAND_SETS["rgb"]}
        self.normalisations = {"rgb": Normalisation("display", (0.0,) * 3, (1.0,) * 3, white)}
        self.model = built(who, Path(checkout), fetch(who, entry, file))
        if not load:
            redraw(self.model)
        self.freeze()
        self._declare(summary, levels)

    @torch.no_grad()
    def _declare(self, summary: int | None, levels: Sequence[int] | None) -> None:
        """Widths, step, summaries and levels, as one small image shows them."""
        self.patch, self.step = int(self.model.patch_size), int(self.model.min_resolution_step)
        whole, cells = self.model(torch.zeros(1, 3, self.step, self.step))
        idxs = getattr(self.model, "summary_idxs", None)
        count = 1 if idxs is None else len(idxs)
        if summary is not None and not 0 <= summary < count:
            raise UserError(f"summary: {self.name} has {count} of them, so 0 to {count - 1}, got {summary}")
        width = whole.shape[1] // count
        self.part = slice(None) if summary is None else slice(summary * width, (summary + 1) * width)
        self.pooled_dims = {"cls": whole[:, self.part].shape[1], "mean": int(cells.shape[-1])}
        self.default = "cls"
        blocks = getattr(self.model.model, "blocks", None)
        self.blocks = range(0 if blocks is None or not hasattr(self.model, "forward_intermediates") else len(blocks))
        if self.blocks:
            depth = len(self.blocks)
            self.levels = named_levels(levels, [depth // 2 - 1, 3 * depth // 4 - 1, depth - 1], self.blocks)
        elif levels is None:
            self.levels = {"late": 0}
        else:
            raise UserError(
                f"levels: the checkout has no forward_intermediates for {self.name}, so late is the only one"
            )

    @without_gradients
    def extract(self, pixels: Tensor, sees: str, levels: tuple[str, ...]) -> Features:
        """The summary, the mean of the cells, and the maps of the levels wanted."""
        numbers = {level: self._block(level) for level in levels}
        pixels = fitted(pixels, self.step, self.size)
        summary, cells = self.model(pixels)
        rows, columns = (side // self.patch for side in pixels.shape[-2:])
        last = self._last
        maps = {last: cells.transpose(1, 2).unflatten(2, (rows, columns))}
        others = sorted(set(numbers.values()) - {last})
        if others:
            maps |= zip(others, self._earlier(pixels, others), strict=True)
        pooled = {"cls": summary[:, self.part], "mean": cells.mean(1)}
        return Features(pooled, {level: maps[number] for level, number in numbers.items()}, self.default)

    def map_width(self, level: str) -> int:
        """The width of the cells, at every block."""
        self._block(level)
        return self.pooled_dims["mean"]

    def stride(self, level: str) -> int:
        """The patch, at every block."""
        self._block(level)
        return self.patch

    @property
    def _last(self) -> int:
        return self.blocks[-1] if self.blocks else 0

    def _earlier(self, pixels: Tensor, blocks: list[int]) -> list[Tensor]:
        found: list[Tensor] = self.model.forward_intermediates(
            pixels, indices=blocks, norm=self.normed, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        return found

    def _block(self, level: str) -> int:
        number = level_number(level, self.levels, "block", self.blocks)
        if number is None:
            raise self.no_level(level)
        return number
