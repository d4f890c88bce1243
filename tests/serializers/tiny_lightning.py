"""A Lightning module of an importable module."""

from __future__ import annotations

import lightning.pytorch as lightning
import torch
from torch import nn


class Regression(lightning.LightningModule):
    """A linear regression that keeps its arguments as Lightning recommends."""

    def __init__(self, width: int, rate: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.linear = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Of shape (n_samples, 1)."""
        return self.linear(x)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        """The mean squared error of a batch."""
        inputs, labels = batch
        loss = ((self(inputs) - labels) ** 2).mean()
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Gradient descent."""
        return torch.optim.SGD(self.parameters(), self.hparams["rate"])
