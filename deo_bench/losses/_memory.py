"""What a loss remembers before anyone knows how wide it will be."""

from __future__ import annotations

import torch
from torch import Tensor

from deo_bench.errors import UserError
from deo_bench.losses._prototypes import Growing


class Memory(Growing):
    """A tensor that is empty until `keep` gives it a value and with it a shape.

    A loss is built before the width of its inputs is known, so the width is no option of it: the first `after_step`
    tells. Saved and loaded like any buffer, in whatever shape it had; device and kind of number are the module's.
    """

    kept: Tensor

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.register_buffer("kept", torch.empty(0, dtype=dtype))

    @property
    def is_empty(self) -> bool:
        """Whether nothing was kept yet."""
        return self.kept.numel() == 0

    @torch.no_grad()
    def keep(self, value: Tensor) -> None:
        """Take a copy of a value of any shape in the place of what was kept."""
        self.kept = value.detach().to(self.kept, copy=True)

    def rows(self, like: Tensor, what: str) -> Tensor:
        """The rows kept [n, D], none at first, in the type of a tensor [..., D]; another D is a UserError of `what`."""
        if self.is_empty:
            return like.new_empty(0, like.shape[-1])
        if self.kept.shape[-1] != like.shape[-1]:
            raise UserError(
                f"{what}: it remembers vectors {self.kept.shape[-1]} wide and was given some {like.shape[-1]} wide; "
                "a loss with a memory serves one place and one teacher, so give each a term of its own"
            )
        return self.kept.to(like)
