"""Frozen: golden artifacts name these classes."""

from __future__ import annotations

import torch
from torch import nn


class Net(nn.Module):
    """Keeps its arguments; has a non-persistent buffer and batch statistics."""

    def __init__(self, width: int, hidden: int = 3):
        super().__init__()
        self.width = width
        self.hidden = hidden
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.BatchNorm1d(hidden))
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

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.apply_factor = factor.__mul__

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of shape (n_samples, 2)."""
        return self.linear(x) * self.apply_factor(1.0)
