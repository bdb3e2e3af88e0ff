"""DEO's training step written down once more, straight from FACTS 1.3 to 1.6 and from nothing of the project.

Everything in float64, as functions of a flat dictionary of tensors; gradients by autograd of these lines alone. Loops
and plain sums stand where the product is batched, so that a mistake has to be made twice to go unseen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

State = dict[str, Tensor]
Trunk = Callable[[State, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Pixels of a stem to the pooled vector [B, D] and the raw maps of mid and late [B, D, h, w]."""

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
MEAN_DN = (1184.382, 1120.771, 1136.260, 1263.739, 1645.403, 1846.870, 1762.595, 1972.624, 1732.164, 1247.919)
STD_DN = (650.284, 712.125, 965.231, 948.982, 1108.067, 1258.364, 1233.149, 1364.387, 1310.370, 1087.602)
MEAN_RGB, STD_RGB = (0.4182007, 0.4214799, 0.3991276), (0.2877428, 0.2754177, 0.2764018)  # red, green, blue


def normalised(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """`normalize_hr` (1.3): ten bands, and red, green, blue, of crops whose colours are in [0, 1] already."""
    bands = {band: pixels[:, at] for at, band in enumerate(BANDS)}
    colour = {"B04": 0, "B03": 1, "B02": 2}
    scaled = []
    for at, band in enumerate(BANDS):
        if band in colour:
            scaled.append((bands[band] - MEAN_RGB[colour[band]]) / STD_RGB[colour[band]])
        else:
            scaled.append((bands[band] - MEAN_DN[at]) / STD_DN[at])
    ten = torch.stack(scaled, 1)
    return ten, torch.stack([ten[:, BANDS.index(band)] for band in ("B04", "B03", "B02")], 1)


def layer_norm(state: State, name: str, values: Tensor, eps: float) -> Tensor:
    centred = values - values.mean(-1, keepdim=True)
    spread = (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    return centred / spread * state[f"{name}.weight"] + state[f"{name}.bias"]


def linear(state: State, name: str, values: Tensor) -> Tensor:
    bias = state.get(f"{name}.bias")
    product = values @ state[f"{name}.weight"].T
    return product if bias is None else product + bias


def gelu(values: Tensor) -> Tensor:
    return values / 2 * (1 + torch.erf(values / math.sqrt(2)))


def patches(state: State, name: str, pixels: Tensor, patch: int) -> Tensor:
    """A convolution whose kernel is its stride, as a product with each patch: [B, h, w, D]."""
    batch, bands, height, width = pixels.shape
    cut = pixels.reshape(batch, bands, height // patch, patch, width // patch, patch)
    cut = cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, height // patch, width // patch, -1)
    return cut @ state[f"{name}.weight"].flatten(1).T + state[f"{name}.bias"]


def attention(state: State, name: str, tokens: Tensor, heads: int, added: Tensor | None = None) -> Tensor:
    """Multi-head self-attention over [B, n, D]; added: to the logits, [heads, n, n] or [B, heads, n, n]."""
    batch, count, width = tokens.shape
    query, key, value = (
        part.reshape(batch, count, heads, width // heads).transpose(1, 2)
        for part in linear(state, f"{name}.qkv", tokens).chunk(3, -1)
    )
    logits = query @ key.transpose(2, 3) / math.sqrt(width // heads)
    weights = (logits if added is None else logits + added).softmax(-1)
    return linear(state, f"{name}.proj", (weights @ value).transpose(1, 2).reshape(batch, count, width))


def mlp(state: State, name: str, tokens: Tensor) -> Tensor:
    return linear(state, f"{name}.fc2", gelu(linear(state, f"{name}.fc1", tokens)))


@dataclass(frozen=True)
class Vit:
    """A plain vision transformer: class token, learned positions of the cells, pre-norm blocks (1.4)."""

    patch: int
    depth: int
    heads: int
    side: int
    mid: int
    late: int

    def __call__(self, state: State, pixels: Tensor, stem: str) -> tuple[Tensor, Tensor, Tensor]:
        cells = patches(state, f"stem.project.{stem}", pixels, self.patch)
        batch, rows, columns, width = cells.shape
        grid = state["positions"].reshape(1, self.side, self.side, width).permute(0, 3, 1, 2)
        if rows != self.side:
            grid = F.interpolate(grid, (rows, columns), mode="bicubic", antialias=True)
        cells = cells + grid.permute(0, 2, 3, 1)
        tokens = torch.cat([state["class_token"].expand(batch, 1, width), cells.reshape(batch, -1, width)], 1)
        kept = {}
        for number in range(self.depth):
            name = f"blocks.{number}"
            tokens = tokens + attention(
                state, f"{name}.attn", layer_norm(state, f"{name}.norm1", tokens, 1e-6), self.heads
            )
            tokens = tokens + mlp(state, f"{name}.mlp", layer_norm(state, f"{name}.norm2", tokens, 1e-6))
            kept[number] = tokens[:, 1:].transpose(1, 2).reshape(batch, width, rows, columns)
        return layer_norm(state, "norm", tokens, 1e-6)[:, 0], kept[self.mid], kept[self.late]


@dataclass(frozen=True)
class Swin:
    """torchvision's Swin without its patch embedding, behind stems with a norm of their own (1.4)."""

    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    patch: int = 4

    def __call__(self, state: State, pixels: Tensor, stem: str) -> tuple[Tensor, Tensor, Tensor]:
        cells = patches(state, f"stem.project.{stem}", pixels, self.patch)
        cells = layer_norm(state, f"stem.norm.{stem}", cells, 1e-5)
        stages = []
        for stage, depth in enumerate(self.depths):
            if stage:
                cells = self._merged(state, f"stages.{stage}.downsample", cells)
            for block in range(depth):
                cells = self._block(state, f"stages.{stage}.blocks.{block}", cells, self.heads[stage], block % 2 == 1)
            stages.append(cells)
        pooled = layer_norm(state, "norm", cells, 1e-5).mean((1, 2))
        return pooled, stages[2].permute(0, 3, 1, 2), stages[3].permute(0, 3, 1, 2)

    def _merged(self, state: State, name: str, cells: Tensor) -> Tensor:
        four = [cells[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return linear(state, f"{name}.reduction", layer_norm(state, f"{name}.norm", torch.cat(four, -1), 1e-5))

    def _block(self, state: State, name: str, cells: Tensor, heads: int, shifted: bool) -> Tensor:
        attended = self._windows(state, f"{name}.attn", layer_norm(state, f"{name}.norm1", cells, 1e-5), heads, shifted)
        cells = cells + attended
        return cells + mlp(state, f"{name}.mlp", layer_norm(state, f"{name}.norm2", cells, 1e-5))

    def _windows(self, state: State, name: str, cells: Tensor, heads: int, shifted: bool) -> Tensor:
        """Window by window: padded with zeros, rolled by half a window unless one window holds the grid."""
        size = self.window
        height, width = cells.shape[1:3]
        tall, wide = -(-height // size) * size, -(-width // size) * size
        padded = F.pad(cells, (0, 0, 0, wide - width, 0, tall - height))
        shift = size // 2 if shifted else 0
        down, right = (shift if tall > size else 0), (shift if wide > size else 0)
        rolled = padded.roll((-down, -right), (1, 2))
        # Where a cell stood before rolling: cells of one window attend to each other only where they were neighbours.
        row_wrapped = (torch.arange(tall) + down) >= tall
        column_wrapped = (torch.arange(wide) + right) >= wide
        out = torch.zeros_like(rolled)
        for top in range(0, tall, size):
            for left in range(0, wide, size):
                part = rolled[:, top : top + size, left : left + size].reshape(len(cells), size * size, -1)
                side = 2 * row_wrapped[top : top + size, None] + column_wrapped[None, left : left + size]
                apart = side.reshape(-1, 1) != side.reshape(1, -1)
                added = self._bias(state, name, heads) - 100.0 * apart.double()
                done = attention(state, name, part, heads, added)
                block = done.reshape(len(cells), size, size, -1)
                out = torch.cat([out[:, :, :left], _patched(out, block, top, left), out[:, :, left + size :]], 2)
        return out.roll((down, right), (1, 2))[:, :height, :width]

    def _bias(self, state: State, name: str, heads: int) -> Tensor:
        """Relative position bias [heads, n, n] from its table of (2 w - 1)^2 rows."""
        size = self.window
        table = state[f"{name}.relative_position_bias_table"]
        place = [(row, column) for row in range(size) for column in range(size)]
        index = [[(a - c + size - 1) * (2 * size - 1) + b - d + size - 1 for c, d in place] for a, b in place]
        return table[torch.tensor(index)].permute(2, 0, 1)


def _patched(out: Tensor, block: Tensor, top: int, left: int) -> Tensor:
    size = block.shape[1]
    column = out[:, :, left : left + size]
    return torch.cat([column[:, :top], block, column[:, top + size :]], 1)


def head(state: State, name: str, values: Tensor) -> Tensor:
    """Linear, GELU, Linear, GELU, Linear, then unit length (1.4); the last axis holds the channels."""
    for layer in (0, 2, 4):
        values = linear(state, f"{name}.layers.{layer}", values)
        values = gelu(values) if layer < 4 else values
    return values / values.norm(dim=-1, keepdim=True)


def cosine(a: Tensor, b: Tensor, dim: int) -> Tensor:
    return (a * b).sum(dim) / (a.norm(dim=dim) * b.norm(dim=dim))


def compression(student: list[Tensor], teacher: list[Tensor]) -> Tensor:
    """Comp (1.5): the mean cosine over all pairs of a global teacher view and another student view."""
    total, terms = torch.zeros((), dtype=torch.float64), 0
    for i, target in enumerate(teacher):
        for j, view in enumerate(student):
            if i != j:
                total, terms = total + cosine(view, target, 1).mean(), terms + 1
    assert terms == 2 * len(student) - 2
    return total / terms


def expansion(student: list[Tensor], teacher: list[Tensor], eps: float, devices: int) -> Tensor:
    """Expa (1.5), `expa_type` 1, `reduce_cov` 0: on each device by itself, its gradients averaged over devices."""
    batch, width = student[0].shape
    each = batch // devices
    gamma = (width + devices * each) / (width * devices * each)
    rates = []
    for view in (0, 1):
        for device in range(devices):
            rows = slice(device * each, (device + 1) * each)
            w = (student[view][rows] + teacher[view][rows]) / 2
            matrix = torch.eye(width, dtype=torch.float64) + width / (each * devices * eps) * (w.T @ w)
            rates.append(gamma * torch.linalg.slogdet(matrix).logabsdet / 2)
    return torch.stack(rates).mean()


def scheduled(start: float, end: float, step: int, steps: int, warmup: int = 0) -> float:
    """Cosine after a linear rise from 0 that includes both ends (1.6)."""
    if step < warmup:
        return start * step / (warmup - 1)
    return end + (start - end) / 2 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))


@dataclass
class ByHand:
    """The run between steps: weights as leaves, their moving averages, AdamW's moments."""

    trunk: Vit | Swin
    student: State
    heads: State
    frozen: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    steps: int
    warmup: int
    lr: float
    devices: int
    clip: float
    by_tensor: bool = True
    eps: float = 0.05
    step: int = 0
    gradients: State = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ema = {name: value.clone() for name, value in (self.student | self._views_head()).items()}
        self.first = {name: torch.zeros_like(value) for name, value in self._all().items()}
        self.second = {name: torch.zeros_like(value) for name, value in self._all().items()}

    def _all(self) -> State:
        return self.student | self.heads

    def _views_head(self) -> State:
        return {name: value for name, value in self.heads.items() if name.startswith("views.")}

    def losses(self, near: Tensor, far: Tensor) -> dict[str, Tensor]:
        """Comp, Expa, C_cls, C_mid and C_late of global crops [2 B, 10, H, W] and local ones [L B, 10, h, w]."""
        batch = len(near) // 2
        ten_near, rgb_near = normalised(near)
        ten_far, rgb_far = normalised(far)
        seen = {}
        for stem, pair in {"s2_10": (ten_near, ten_far), "rgb": (rgb_near, rgb_far)}.items():
            seen[stem] = [self.trunk(self.student, pixels, stem) for pixels in pair]
        pooled = {stem: torch.cat([near[0], far[0]]).split(batch) for stem, (near, far) in seen.items()}
        views = [head(self.heads, "views", view) for view in pooled["s2_10"]]
        with torch.no_grad():
            own = self.trunk(self.ema, ten_near, "s2_10")[0]
            targets = [head(self.ema, "views", view) for view in own.split(batch)]
            cls, *maps = self.frozen(rgb_near)
        optical = [head(self.heads, "optical", view) for view in pooled["rgb"]]
        found = {
            "compress": compression(views, targets),
            "expand": expansion(views, targets, self.eps, self.devices),
            "optical": compression(optical, list(cls.split(batch))),
        }
        for name, mine, theirs in zip(("optical_mid", "optical_late"), seen["rgb"][0][1:], maps, strict=True):
            cells = head(self.heads, name, mine.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
            if cells.shape[-2:] != theirs.shape[-2:]:
                cells = F.interpolate(cells, theirs.shape[-2:], mode="bilinear", align_corners=False)
            found[name] = cosine(cells, theirs, 1).mean()
        return found

    def advance(self, near: Tensor, far: Tensor) -> tuple[dict[str, float], float]:
        """One step: loss and gradients, clipping, AdamW, moving average; the parts and the whole loss."""
        for value in self._all().values():
            value.requires_grad_(True)
            value.grad = None
        parts = self.losses(near, far)
        spectral = -parts["compress"] - parts["expand"]
        optical = -(parts["optical"] + (parts["optical_mid"] + parts["optical_late"]) / 2) / 2
        (spectral + optical).backward()
        with torch.no_grad():
            self._clip()
            self._adamw()
            self._follow()
        self.step += 1
        return {name: value.item() for name, value in parts.items()}, (spectral + optical).item()

    def _clip(self) -> None:
        self.gradients = {name: value.grad.clone() for name, value in self._all().items() if value.grad is not None}
        whole = torch.stack([gradient.square().sum() for gradient in self.gradients.values()]).sum().sqrt()
        for gradient in self.gradients.values():
            norm = gradient.norm() if self.by_tensor else whole
            gradient.mul_(min(1.0, self.clip / (float(norm) + 1e-6)))

    def _adamw(self) -> None:
        lr = scheduled(self.lr, 1e-6, self.step, self.steps, self.warmup)
        decay = scheduled(0.04, 0.4, self.step, self.steps)
        for name, gradient in self.gradients.items():
            value = self._all()[name].detach()
            if value.ndim > 1 and not name.endswith(".bias"):
                value.mul_(1 - lr * decay)
            self.first[name] = 0.9 * self.first[name] + 0.1 * gradient
            self.second[name] = 0.999 * self.second[name] + 0.001 * gradient.square()
            mean = self.first[name] / (1 - 0.9 ** (self.step + 1))
            spread = (self.second[name] / (1 - 0.999 ** (self.step + 1))).sqrt()
            value.sub_(lr * mean / (spread + 1e-8))

    def _follow(self) -> None:
        momentum = scheduled(0.996, 1.0, self.step, self.steps)
        for name, value in (self.student | self._views_head()).items():
            self.ema[name] = momentum * self.ema[name] + (1 - momentum) * value.detach()
