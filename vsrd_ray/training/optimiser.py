"""Optimisers, schedules of the learning rate, and averaged weights."""

import copy

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, MultiStepLR, OneCycleLR

from vsrd_ray.errors import InputError
from vsrd_ray.training.settings import Optimisation


def make_optimiser(model: nn.Module, settings: Optimisation) -> Optimizer:
    """The optimiser of all parameters of a model that need gradients.

    Raises:
        InputError: there are none.
    """
    parameters = [one for one in model.parameters() if one.requires_grad]
    if not parameters:
        raise InputError("there is nothing to train: no parameter of the network needs gradients")
    kind = torch.optim.Adam if settings.optimiser == "adam" else torch.optim.AdamW
    return kind(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def make_scheduler(optimiser: Optimizer, settings: Optimisation) -> LRScheduler:
    """The schedule, which moves by one with every step."""
    if settings.schedule == "one_cycle":
        return OneCycleLR(optimiser, settings.learning_rate, total_steps=settings.steps, cycle_momentum=False)
    if settings.schedule == "steps":
        return MultiStepLR(optimiser, list(settings.milestones), gamma=settings.drop)
    return ConstantLR(optimiser, factor=1.0, total_iters=1)


class Averaged:
    """The exponential moving average of a model's weights: each step, `decay` of it stays. Buffers are the newest."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self._decay = copy.deepcopy(model).requires_grad_(False), decay

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """A step has been made."""
        for mean, one in zip(self.model.parameters(), model.parameters(), strict=True):
            mean.lerp_(one.detach(), 1 - self._decay)
        for mean, one in zip(self.model.buffers(), model.buffers(), strict=True):
            mean.copy_(one)
