import click

from vsrd_ray.cli import main
from vsrd_ray.labelers.vsrd.config import GroupingSettings, MaskSettings
from vsrd_ray.labels.boxes.criteria import MAX_RANGE, MIN_MASK_AREA


def test_what_is_labelled_is_what_is_asked_for():
    assert GroupingSettings().min_area == MaskSettings().min_target_area == MIN_MASK_AREA == 128


def test_the_command_asks_for_what_evaluation_asks_for():
    context = click.Context(main, **main.context_settings)  # click keeps the help option made for the first one
    command = main.get_command(context, "evaluate")
    assert command is not None
    (option,) = [option for option in command.get_params(context) if option.name == "max_range"]
    assert option.default == MAX_RANGE == 40.0
