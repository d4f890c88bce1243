"""Networks of an importable module, each awkward in its own way."""

from __future__ import annotations

import torch
from torch import nn


class Net(nn.Module):
    """Keeps its arguments; has a non-persistent buffer, dropout and batch norm."""

    def __init__(self, width: int, hidden: int = 3, shift: tuple[float, ...] = ()):
        super().__init__()
        self.width = width
        self.hidden = hidden
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.Dropout(0.5)
        )
        self.register_buffer("scale", torch.linspace(1, 2, hidden), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of shape (n_samples, hidden)."""
        return self.layers(x) * self.scale


class Tied(nn.Module):
    """Encoder and decoder share one parameter, and an LSTM holds lists of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(4, 4)
        self.decoder = nn.Linear(4, 4)
        self.decoder.weight = self.encoder.weight
        self.lstm = nn.LSTM(4, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of shape (n_samples, 2)."""
        return self.lstm(self.decoder(self.encoder(x)))[0]


class Forgetful(nn.Module):
    """Does not keep the argument that decides what it computes."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.apply_factor = factor.__mul__

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of shape (n_samples, 2)."""
        return self.linear(x) * self.apply_factor(1.0)


class Views(nn.Module):
    """Two parameters are different views of the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.rand(4, 2))
        self.b = nn.Parameter(self.a.data.t())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of shape (n_samples, 2)."""
        return x @ self.a + self.b.sum()


class Named(nn.Module):
    """Takes its inputs by name."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> dict[str, object]:
        """A dictionary with logits."""
        return {"loss": None, "logits": self.linear(torch.stack([left, right], -1))}
