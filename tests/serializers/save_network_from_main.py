"""The spec's first example: a network whose class lives in __main__."""

import sys
from pathlib import Path

import torch.nn as nn
from conftest import save


class SimpleModel(nn.Module):
    """As in the spec."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(10, 2)

    def forward(self, x):
        """Two numbers a row."""
        return self.linear(x)


model = SimpleModel()
nn.init.constant_(model.linear.weight, 0.5)
nn.init.zeros_(model.linear.bias)
save(model, Path(sys.argv[1]))
