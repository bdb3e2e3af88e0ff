"""Swin's shifted windows as torchvision has them: padded first, and not shifted where one window holds the grid."""

from __future__ import annotations

import torch
from timm.models.swin_transformer import SwinTransformerBlock, window_partition, window_reverse
from torch import Tensor, nn
from torch.nn import functional


class PaddedFirst(nn.Module):
    """A block of timm's with its own weights and names, in torchvision's order of padding and shifting.

    timm shifts, then pads, and shifts wherever the grid that it was built for had more than one window. torchvision
    pads, then shifts, and not at all along a side that one window covers. They differ on grids that the window does not
    divide and on small ones: on local crops, of 96 pixels at window 7.
    """

    def __init__(self, block: SwinTransformerBlock) -> None:
        super().__init__()
        self.norm1, self.attn, self.drop_path1 = block.norm1, block.attn, block.drop_path1
        self.norm2, self.mlp, self.drop_path2 = block.norm2, block.mlp, block.drop_path2
        self.window, self.shift = block.window_size, block.target_shift_size

    def forward(self, cells: Tensor) -> Tensor:
        """[B, H, W, D] from the same."""
        cells = cells + self.drop_path1(self._attend(self.norm1(cells)))
        batch, height, width, _ = cells.shape
        flat = cells.reshape(batch, height * width, -1)
        return (flat + self.drop_path2(self.mlp(self.norm2(flat)))).reshape(cells.shape)

    def _attend(self, cells: Tensor) -> Tensor:
        height, width, channels = cells.shape[1:]
        down, right = ((-side) % window for side, window in zip((height, width), self.window, strict=True))
        padded = functional.pad(cells, (0, 0, 0, right, 0, down))
        sides = padded.shape[1:3]
        pairs = zip(sides, self.window, self.shift, strict=True)
        shift = [0 if side <= window else by for side, window, by in pairs]
        rolled = torch.roll(padded, [-by for by in shift], (1, 2))
        windows = window_partition(rolled, self.window).flatten(1, 2)
        mask = self._mask(sides, shift, cells) if any(shift) else None
        attended = self.attn(windows, mask=mask).view(-1, *self.window, channels)
        rolled = window_reverse(attended, self.window, *sides)
        return torch.roll(rolled, shift, (1, 2))[:, :height, :width].contiguous()

    def _mask(self, sides: torch.Size, shift: list[int], like: Tensor) -> Tensor:
        """What is added to the logits [windows, cells, cells]: -100 between cells that a shift brought together."""
        regions = []
        for side, window, by in zip(sides, self.window, shift, strict=True):
            place = torch.arange(side, device=like.device)
            regions.append((place >= side - window).long() + (place >= side - by).long() if by else 0 * place)
        numbers = (3 * regions[0][:, None] + regions[1]).view(1, *sides, 1)
        cells = window_partition(numbers, self.window).flatten(1)
        return (cells[:, None] != cells[:, :, None]).to(like.dtype) * -100.0
