"""Every batch-size scheduler by name, and how to build one from parameters.

To add a method: one file here, one line in ``SCHEDULERS``, one YAML in ``search_spaces/schedulers``, one
table test. What several methods share is a wrapper (:mod:`~adasearch.schedulers.cooldown`,
:mod:`~adasearch.schedulers.grow_only`) or a field (:mod:`~adasearch.schedulers.coupling`).

Left out, since they could not be offered honestly:

* Critical batch size by branched runs (Merrill et al., arXiv 2505.23971): its signal is a set of further
  trainings from a checkpoint, which no interval of one run can give.
* Raising the batch as the full gradient's norm falls (Umeda and Iiduka, arXiv 2508.05302): factors, spacing
  of the levels and the estimate of the norm are not known to us.
* AdaBatchGrad (Ostroukhov et al., arXiv 2402.05264): an optimiser with a step size of its own; its batch
  tests are those of ``norm_test``.
* The norm test for local SGD (Lau et al., arXiv 2406.13936): workers here average at every step.
* Noise scales in another norm (Naganuma et al., arXiv 2602.03001) or of normalisation layers alone (Gray et
  al., arXiv 2411.00999): signals that are not measured here, and rules not known to us.
* DYNAMIX (arXiv 2510.08522): a policy learned by reinforcement; without its weights there is no rule.
* Batches by gradient angle (Xu et al., ACL 2020): it decides while a step's gradient is accumulated, not
  between intervals.
* Enlarging for a gain in throughput in reinforcement learning (arXiv 2608.29296): it needs the number of
  samples to a target, which is known only afterwards; ``goodput`` models that loss instead.
* LEGW and AdaScale change the learning rate, not the batch: the one is a warm-up, the other a ``coupling``.

A switch late in training (arXiv 2602.14208) is a ``ramp`` with one step.
"""

from adasearch.schedulers.base import BatchSizeScheduler
from adasearch.schedulers.contract import decide
from adasearch.schedulers.registry import SCHEDULERS, make_scheduler, scheduler_class

__all__ = ["SCHEDULERS", "BatchSizeScheduler", "decide", "make_scheduler", "scheduler_class"]
