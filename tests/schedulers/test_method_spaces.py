"""Every method has a search space: it starts at the method's defaults, and no point of it is refused."""

import random
from collections.abc import Mapping

import optuna
import pytest

from adasearch.schedulers import SCHEDULERS, make_scheduler
from adasearch.spaces.space import load_space, space_names


def fields(values: Mapping[str, object]) -> dict[str, object]:
    """Return the scheduler's own fields; what a threshold is a quantile of only a profile says."""
    own = {name: value for name, value in values.items() if name.startswith("scheduler/")}
    return {name.removeprefix("scheduler/"): value for name, value in own.items()}


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_space_starts_at_the_defaults(name: str) -> None:
    space = load_space("schedulers", name)
    assert space.scheduler == name
    assert make_scheduler(name, fields({**space.fixed(), **space.first()})) == SCHEDULERS[name]()


@pytest.mark.parametrize("name", space_names("schedulers"))
def test_no_point_of_a_space_is_refused(name: str) -> None:
    space = load_space("schedulers", name)
    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(seed=random.Random(name).randrange(100))
    )
    for _ in range(50):
        point = study.ask(space.distributions()).params
        make_scheduler(space.scheduler or "", fields({**space.fixed(), **point}))  # must not raise


def test_text_fields_can_be_set() -> None:
    space = load_space("schedulers", "ramp").with_fixed("points", "64@50000, 128@200000")
    assert space.fixed()["scheduler/points"] == "64@50000, 128@200000"
