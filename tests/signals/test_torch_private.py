"""What of PyTorch is used without being public: is it there, and does it do what we use it for?"""

import pytest
import torch
from torch import distributed as dist
from torch import nn

from adasearch.signals.per_example import BATCH_NORMS, DROPOUTS
from adasearch.signals.torch_private import add_each, added_each, buffers_of

GONE = "torch {} has no {} any more: see adasearch/signals/torch_private.py"


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (torch, "_foreach_add_"),
        (torch, "_foreach_add"),
        (nn.Module(), "_buffers"),
        (vars(dist)["GradBucket"], "buffer"),
        (vars(dist)["GradBucket"], "parameters"),
        (vars(dist)["GradBucket"], "gradients"),
    ],
)
def test_torch_still_has_it(owner: object, name: str) -> None:
    assert hasattr(owner, name), GONE.format(torch.__version__, name)


def test_each_term_is_added_to_its_total() -> None:
    totals, terms = [torch.ones(2), torch.ones(3, 2)], [torch.full((2,), 2.0), torch.full((3, 2), 4.0)]
    sums = added_each(totals, terms)
    assert [float(total.max()) for total in totals] == [1, 1]
    add_each(totals, terms)
    for found in (sums, totals):
        assert [each.unique().tolist() for each in found] == [[3], [5]]


def test_buffers_are_those_of_the_module_itself() -> None:
    norm = nn.BatchNorm1d(2)
    home = buffers_of(norm)
    assert list(home) == ["running_mean", "running_var", "num_batches_tracked"]
    home["running_mean"] = torch.full((2,), 7.0)
    assert norm.running_mean is home["running_mean"]
    assert list(buffers_of(nn.Sequential(norm))) == []


@pytest.mark.parametrize(
    ("module", "base", "ours"),
    [(nn.modules.batchnorm, "_BatchNorm", BATCH_NORMS), (nn.modules.dropout, "_DropoutNd", DROPOUTS)],
)
def test_public_classes_are_all_that_torch_has_of_a_kind(
    module: object, base: str, ours: tuple[type[nn.Module], ...]
) -> None:
    """New ones would have to be named in ``per_example``, too; torch keeps their common base to itself."""
    kind = getattr(module, base, None)
    assert kind is not None, f"torch {torch.__version__} has no {base} any more, so this test knows no kinds"
    every = {each for each in vars(module).values() if isinstance(each, type) and issubclass(each, kind)}
    assert every > {*ours}
    assert [each for each in every - {kind} if not issubclass(each, ours)] == []
