"""The same work on many sequences: here, one after the other, or wherever a caller has it spread to."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

from vsrd_ray.errors import InputError
from vsrd_ray.storage import Location

Result = TypeVar("Result")


class Task(NamedTuple):
    """One sequence of a run, against its truth. Processes in other folders find both places if they are absolute."""

    output: Location  # folder of a labelling run
    root: Location  # dataset with the truth of the sequence
    sequence: str
    criteria: Any  # what counts, as the kind of label has it


# What `itertools.starmap` does: the results of a function, which is given each task's parts, in the order of the tasks.
Spread = Callable[[Callable[..., Any], Sequence[Task]], Iterable[Any]]


@dataclass(frozen=True)
class _Problem:
    """Why the input of a task cannot be used, as a text for the user."""

    text: str


def results_of(
    work: Callable[[Location, Location, str, Any], Result], tasks: Sequence[Task], spread: Spread
) -> list[Result]:
    """The result of each task, in their order.

    Args:
        work: what is done for each, with its parts as arguments.
        tasks: the sequences.
        spread: how it is done for all.

    Raises:
        InputError: inputs of some tasks cannot be used: all that is wrong with them, each thing once.
    """
    outcomes = list(spread(partial(_attempt, work), tasks))
    problems = list(dict.fromkeys(outcome.text for outcome in outcomes if isinstance(outcome, _Problem)))
    if len(problems) > 1:
        listed = "; ".join(f"({number}) {text}" for number, text in enumerate(problems, start=1))
        raise InputError(f"{len(problems)} inputs cannot be used: {listed}")
    if problems:
        raise InputError(problems[0])
    return outcomes


def _attempt(work: Callable[..., Result], *task: Any) -> Result | _Problem:
    try:
        return work(*task)
    except InputError as error:
        return _Problem(str(error))
