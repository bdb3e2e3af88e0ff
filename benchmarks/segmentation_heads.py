"""Heads on frozen maps: an epoch on maps that are kept against one that encodes its images anew, in turns, a ratio."""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import timm
import torch
from torch import Tensor

from deo_bench.probes.maps import Logits, MapSource
from deo_bench.probes.segmentation import Segmentation

CLASSES = 7
HEADS = ("linear", "conv", "fpn", "upernet", "dpt")
Encode = Callable[[Tensor], list[Tensor]]


class Anew(MapSource):
    """Images [N, 3, H, W] that are encoded whenever they are asked for, as PANGAEA does in every epoch."""

    dates = 1

    def __init__(self, encode: Encode, images: Tensor, labels: Tensor) -> None:
        self.encode, self.images, self.labels = encode, images, labels
        self.size, self.device = (labels.shape[1], labels.shape[2]), images.device
        self.shapes = tuple((each.shape[1], each.shape[2], each.shape[3]) for each in encode(images[:1]))

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, places: np.ndarray, generator: torch.Generator | None = None) -> tuple[list[Tensor], Tensor]:
        """Maps of the images at these places, straight from the backbone."""
        rows = torch.as_tensor(places, device=self.device)
        return [each[:, None] for each in self.encode(self.images[rows])], self.labels[rows]

    def whole_labels(self, places: np.ndarray) -> Tensor:
        """Labels of the images at these places."""
        return self.labels[torch.as_tensor(places, device=self.device)]

    def predicted(self, logits: Logits) -> Iterator[np.ndarray]:
        """Nothing: it is training that is timed."""
        return iter(())


class Kept(Anew):
    """The same, encoded once and kept in half precision; `taken` says how many seconds that took."""

    def __init__(self, encode: Encode, images: Tensor, labels: Tensor, batch: int) -> None:
        super().__init__(encode, images, labels)
        began = time.perf_counter()
        found = [[each.half() for each in encode(images[at : at + batch])] for at in range(0, len(images), batch)]
        self.levels = [torch.cat(parts) for parts in zip(*found, strict=True)]
        settle(self.device)
        self.taken = time.perf_counter() - began

    def batch(self, places: np.ndarray, generator: torch.Generator | None = None) -> tuple[list[Tensor], Tensor]:
        """Maps of the images at these places, as they are kept."""
        rows = torch.as_tensor(places, device=self.device)
        return [each[rows][:, None].float() for each in self.levels], self.labels[rows]


def settle(device: torch.device) -> None:
    """Wait for what a device still has to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def encoder(name: str, size: int, device: torch.device) -> Encode:
    """A frozen vision transformer's blocks at a quarter, a half, three quarters and the whole of its depth."""
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, img_size=size, num_classes=0).eval().to(device)
    depth = len(model.blocks)
    places = [(quarter + 1) * depth // 4 - 1 for quarter in range(4)]

    @torch.no_grad()
    def encode(images: Tensor) -> list[Tensor]:
        found: list[Tensor] = model.forward_intermediates(images, indices=places, intermediates_only=True)
        return found

    return encode


def epoch(head: str, source: Anew, batch: int) -> float:
    """Seconds of one epoch of a head's training."""
    probe = Segmentation(head=head, epochs=1, batch=batch)  # type: ignore[arg-type]
    began = time.perf_counter()
    probe.predict_maps(source, source, source, CLASSES, 255, 0)
    settle(source.device)
    return time.perf_counter() - began


def main() -> None:
    """Measure each head in turns, and print the evidence in a line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="vit_base_patch16_224")
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--size", type=int, default=112, help="side of the images in pixels")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=80, help="for the ratio of a whole training")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=HEADS)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    encode = encoder(given.backbone, given.size, device)
    images = torch.randn(given.images, 3, given.size, given.size, device=device)
    labels = torch.randint(CLASSES, (given.images, given.size, given.size), device=device)
    anew, kept = Anew(encode, images, labels), Kept(encode, images, labels, given.batch)
    print(
        f"{given.backbone} at {given.size} px, {given.images} images in batches of {given.batch}, one pass of all "
        f"{kept.taken:.2f} s ({device}, {given.threads} threads, torch {torch.__version__}, timm {timm.__version__}); "
        f"medians of {given.rounds}"
    )
    for head in given.heads:
        taken: dict[str, list[float]] = {"anew": [], "kept": []}
        for turn in range(given.rounds + 1):
            for name, source in (("anew", anew), ("kept", kept)):
                seconds = epoch(head, source, given.batch)
                if turn:
                    taken[name].append(seconds)
        each, once = statistics.median(taken["anew"]), statistics.median(taken["kept"])
        whole = given.epochs * each / (kept.taken + given.epochs * once)
        print(
            f"{head}: an epoch anew {each:.2f} s, on kept maps {once:.2f} s, ratio "
            f"{each / once:.2f}; of {given.epochs} epochs and the pass {whole:.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
