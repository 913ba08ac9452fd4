"""Residual networks (He et al., CVPR 2016) of 18 and 50 layers, with the parameter names that torchvision uses.

Shapes: V images, C channels, H x W pixels.
"""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location
from vsrd_ray.training.checkpoints import read_torch_file
from vsrd_ray.training.settings import Backbone, Norm

_DEPTHS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}
_GROUPS = 16  # of channels that are normalised together; fewer where a group would have less than four
_MEAN, _STD = 0.45, 0.225  # of colours in [0, 1]

NormLayer = Callable[[int], nn.Module]


class FrozenNorm(nn.BatchNorm2d):
    """Batch norm whose statistics stay as they were loaded, so that an image does not depend on those beside it."""

    def train(self, mode: bool = True) -> "FrozenNorm":
        """Stays in evaluation mode."""
        del mode
        return super().train(False)


def norm_layer(norm: Norm) -> NormLayer:
    """What normalises a number of channels; see `vsrd_ray.training.settings.Norm`."""
    return {
        "batch": nn.BatchNorm2d,
        "frozen": FrozenNorm,
        "group": lambda channels: nn.GroupNorm(min(_GROUPS, channels // 4), channels),
    }[norm]


class BasicBlock(nn.Module):
    """Two convolutions of 3 x 3, and what came in."""

    expansion = 1

    def __init__(self, channels: int, width: int, stride: int, norm: NormLayer) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = norm(width)
        self.downsample = _shortcut(channels, width, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        """[V, C, H, W] to [V, C', H / stride, W / stride]."""
        inner = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(inner)) + (x if self.downsample is None else self.downsample(x))).relu()


class Bottleneck(nn.Module):
    """A convolution of 3 x 3 between two of 1 x 1, and what came in; the stride is that of the middle one."""

    expansion = 4

    def __init__(self, channels: int, width: int, stride: int, norm: NormLayer) -> None:
        super().__init__()
        wide = width * self.expansion
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = norm(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = norm(width)
        self.conv3 = nn.Conv2d(width, wide, 1, bias=False)
        self.bn3 = norm(wide)
        self.downsample = _shortcut(channels, wide, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        """[V, C, H, W] to [V, C', H / stride, W / stride]."""
        inner = self.bn1(self.conv1(x)).relu()
        inner = self.bn2(self.conv2(inner)).relu()
        return (self.bn3(self.conv3(inner)) + (x if self.downsample is None else self.downsample(x))).relu()


class ResNet(nn.Module):
    """The features of five resolutions of an image, or of fewer where its last stages are left out."""

    def __init__(self, name: Backbone, norm: Norm, width: int = 64, *, stages: int = 4) -> None:
        super().__init__()
        self.name = name
        block, make = (BasicBlock if name == "resnet18" else Bottleneck), norm_layer(norm)
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = make(width)
        channels = width
        self.channels = [channels]
        for index, depth in enumerate(_DEPTHS[name][:stages]):
            blocks: list[nn.Module] = []
            for place in range(depth):
                stride = 2 if index and not place else 1
                blocks.append(block(channels, width << index, stride, make))
                channels = (width << index) * block.expansion
            self.add_module(f"layer{index + 1}", nn.Sequential(*blocks))
            self.channels.append(channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(
        self,
        images: Tensor,  # [V, 3, H, W], colours in [-1, 1]
    ) -> list[Tensor]:
        """Features [V, C, H / 2^(i + 1), W / 2^(i + 1)], i = 0 ... stages: after the first ReLU, and of each stage."""
        x = ((images / 2 + 0.5) - _MEAN) / _STD
        features = [self.bn1(self.conv1(x)).relu()]
        x = nn.functional.max_pool2d(features[0], 3, 2, 1)
        for index in range(len(self.channels) - 1):
            x = self.get_submodule(f"layer{index + 1}")(x)
            features.append(x)
        return features


def _shortcut(channels: int, wide: int, stride: int, norm: NormLayer) -> nn.Module | None:
    if stride == 1 and channels == wide:
        return None
    return nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), norm(wide))


def load_backbone(backbone: ResNet, file: Location) -> None:
    """Take a classifier's weights under torchvision's names, without its last layer `fc` and stages that are left out.

    Raises:
        InputError: no such file, one that is damaged or holds code, or weights of another network.
    """
    loaded = read_torch_file(file)
    state = loaded.get("model", loaded) if isinstance(loaded, Mapping) else {}
    absent = ("fc.", *(f"layer{number}." for number in range(len(backbone.channels), len(_DEPTHS["resnet18"]) + 1)))
    try:
        backbone.load_state_dict({name: value for name, value in state.items() if not name.startswith(absent)})
    except (RuntimeError, AttributeError):
        raise InputError(
            f"{file}: not the weights of torchvision's {backbone.name} with batch norm: give those, with network.width "
            "64 and network.norm batch or frozen"
        ) from None
