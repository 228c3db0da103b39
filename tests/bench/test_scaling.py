"""The model of training on more machines, against a simulation of the messages."""

import numpy as np
import pytest

import scaling

COSTS = scaling.Costs((0.9, 0.9, 1.0, 1.2, 1.7, 3.0, 5.5, 11.0), 0.03, 463_160)
SIZES = (2, 3, 5, 8, 16, 64, 100, 256, 1024)
MODELS = ((scaling.gather, scaling.simulated_gather), (scaling.ring, scaling.simulated_ring))


@pytest.mark.parametrize("link", scaling.LINKS, ids=lambda link: link.name)
@pytest.mark.parametrize("ranks", SIZES)
def test_model_and_simulation_agree(link, ranks):
    """Where all begin at once."""
    for model, simulated in MODELS:
        assert model(COSTS, link, ranks) == pytest.approx(simulated(COSTS, link, np.zeros(ranks)))


@pytest.mark.parametrize("link", scaling.LINKS, ids=lambda link: link.name)
@pytest.mark.parametrize("ranks", SIZES)
def test_ranks_that_begin_late_are_waited_for(link, ranks):
    """The model adds the exchange to the slowest rank's time: a bound, which is near."""
    ready = 10 + np.random.default_rng(0).normal(0, 0.5, ranks)
    for model, simulated in MODELS:
        bound = ready.max() + model(COSTS, link, ranks)
        assert 0.9 * bound < simulated(COSTS, link, ready) <= bound * (1 + 1e-9)


def test_one_rank_sends_nothing():
    for cost in (scaling.gather, scaling.ring):
        assert cost(COSTS, scaling.LINKS[0], 1) == 0


def test_computing_goes_between_what_was_measured():
    assert scaling.compute(COSTS, 16) == 1.7
    assert scaling.compute(COSTS, 24) == pytest.approx((1.7 + 3.0) / 2)
    assert scaling.compute(COSTS, 0.5) == 0.9


def test_the_tables_are_of_the_figures_on_record():
    want = (scaling.RECORD.parent / "scaling.md").read_text()
    assert scaling.tables(scaling.measured()) == want
