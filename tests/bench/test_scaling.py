"""The model of training on more machines, against a simulation of the messages."""

import numpy as np
import pytest

import scaling

COSTS = scaling.Costs(iteration_ms=1.0, image_ms=0.08, add_ms=0.03, gradient_bytes=463_160)
SIZES = (2, 3, 5, 8, 16, 64, 100, 256, 1024)


@pytest.mark.parametrize("link", scaling.LINKS, ids=lambda link: link.name)
@pytest.mark.parametrize("ranks", SIZES)
def test_model_and_simulation_agree(link, ranks):
    assert scaling.gather(COSTS, link, ranks) == pytest.approx(
        scaling.simulated_gather(COSTS, link, ranks)
    )
    assert scaling.ring(COSTS, link, ranks) == pytest.approx(
        scaling.simulated_ring(COSTS, link, ranks)
    )


@pytest.mark.parametrize("ranks", SIZES)
def test_ranks_that_begin_late_are_waited_for(ranks):
    """The model adds the exchange to the slowest rank's time, which is a bound from above."""
    link = scaling.LINKS[0]
    ready = 10 + np.random.default_rng(0).normal(0, 0.5, ranks)
    for model, simulated in (
        (scaling.gather, scaling.simulated_gather),
        (scaling.ring, scaling.simulated_ring),
    ):
        time = simulated(COSTS, link, ranks, ready)
        assert ready.max() < time <= ready.max() + model(COSTS, link, ranks) + 1e-9


def test_one_rank_sends_nothing():
    for cost in (scaling.gather, scaling.ring):
        assert cost(COSTS, scaling.LINKS[0], 1) == 0


def test_the_tables_are_of_the_figures_on_record():
    want = (scaling.RECORD.parent / "scaling.md").read_text()
    assert scaling.tables(scaling.measured()) == want
