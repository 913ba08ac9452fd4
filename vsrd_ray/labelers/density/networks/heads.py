"""Heads: what a point's features say of the density there; the student's from one view, the teacher's from several.

Shapes: P points, V views, F features of a point in a view.
"""

import torch
from torch import Tensor, nn

_NEVER = -1e9  # the score of a view that does not see the point


class StudentHead(nn.Module):
    """A perceptron of one hidden layer on the first view."""

    def __init__(self, num_inputs: int, hidden: int) -> None:
        super().__init__()
        self.hidden, self.output = nn.Linear(num_inputs, hidden), nn.Linear(hidden, 1)
        _initialise(self)

    def forward(
        self,
        features: Tensor,  # [P, V, F]
    ) -> Tensor:
        """The density before softplus, [P]."""
        return self.output(self.hidden(features[:, 0]).relu())[:, 0]


class TeacherHead(nn.Module):
    """A perceptron on each view, whose outputs are fused by softmax over the views that see the point, and another."""

    def __init__(self, num_inputs: int, hidden: int, fused: int) -> None:
        super().__init__()
        self.view_hidden, self.view_output = nn.Linear(num_inputs, hidden), nn.Linear(hidden, fused + 1)
        self.fused_hidden, self.fused_output = nn.Linear(fused, fused), nn.Linear(fused, 1)
        _initialise(self)

    def forward(
        self,
        features: Tensor,  # [P, V, F]
        unseen: Tensor,  # [P, V] bool
    ) -> tuple[Tensor, Tensor]:
        """The density before softplus, [P], and the weights of the views, [P, V].

        Views that do not see a point have no weight; where none sees it, all have the same.
        """
        outputs = self.view_output(self.view_hidden(features).relu())
        weights = torch.softmax(outputs[..., 0].masked_fill(unseen, _NEVER), dim=-1)
        fused = torch.einsum("pv,pvf->pf", weights, outputs[..., 1:])
        return self.fused_output(self.fused_hidden(fused).relu())[:, 0], weights


def _initialise(head: nn.Module) -> None:
    for module in head.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            nn.init.zeros_(module.bias)
