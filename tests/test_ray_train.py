"""Ray Train's own loop with an adaptive batch size."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from ray import train
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer, prepare_data_loader, prepare_model
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from adasearch import BatchSizeController
from adasearch.errors import InputError
from tests.frameworks import Course, example, plain

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module", autouse=True)
def session() -> Iterator[None]:
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_two_workers_do_as_one_and_go_on_from_rays_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main = example("ray_train")["main"]
    main(tmp_path, 3)
    assert "epoch 3  batch  64" in capsys.readouterr().out
    result = main(tmp_path, 6)
    with result.checkpoint.as_directory() as folder:
        saved = torch.load(Path(folder, "saved.pt"), weights_only=True)
    rows = saved["controller"]["history"]
    sizes, losses = [row["batch_size"] for row in rows], [row["train_loss"] for row in rows]
    Course(sizes, losses, [*saved["model"].values()]).check(plain())


def test_loader_that_lost_its_batch_sampler_to_ray_is_refused(tmp_path: Path) -> None:
    def work(config: dict[str, Any]) -> None:
        data = TensorDataset(torch.randn(640, 4), torch.randint(2, (640,)))
        model = prepare_model(nn.Linear(4, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        controller = BatchSizeController(model, optimizer, data, "constant", batch_size=16)
        loader = prepare_data_loader(DataLoader(data, batch_sampler=controller.sampler))
        try:
            next(iter(controller.batches(loader)))
        except InputError as error:
            Path(config["folder"], f"{train.get_context().get_world_rank()}.txt").write_text(str(error))

    TorchTrainer(
        work,
        train_loop_config={"folder": str(tmp_path)},
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig(name="refused", storage_path=str(tmp_path)),
    ).fit()
    assert [Path(tmp_path, f"{rank}.txt").read_text() for rank in range(2)] == 2 * [
        "build the loader with batch_sampler=controller.sampler, and let no framework replace it: "
        "Ray Train takes add_dist_sampler=False, Lightning use_distributed_sampler=False"
    ]
