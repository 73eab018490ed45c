"""Hugging Face's Trainer with an adaptive batch size."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset

from adasearch import BatchSizeController, Limits
from adasearch.errors import InputError
from tests.frameworks import OPTIONS, SIZES, Course, course, digits, example, network, together
from tests.pages import block

pytest.importorskip("transformers", reason="pip install 'adasearch[transformers]'")

STEPS = -(-6 * 1797 // 32)


def with_linear_rate() -> Course:
    """Train in one process, without a framework, as the example does."""
    model, data = network(), digits()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    controller = BatchSizeController(
        model, optimizer, data, "adabatch", {"period": 2}, epochs=6, whole_batches=True, **OPTIONS
    )
    controller.curve(lambda held, steps: LambdaLR(held, lambda step: 1 - step / steps))
    loader = DataLoader(data, batch_sampler=controller.sampler)
    while controller.progress < 1:
        for inputs, labels in controller.batches(loader):
            controller.step(nn.functional.cross_entropy(model(inputs), labels))
            if controller.progress >= 1:
                break
    return course(controller, model)


def run(folder: str, processes: int, *, resume: bool = False, **options: Any) -> tuple[Course, list[float]]:
    trainer = example("hf_trainer")["main"](Path(folder), processes, resume, **options)
    rates = [row.lr for row in trainer.controller.history]
    return course(trainer.controller, trainer.model), rates


def cut_and_resumed(folder: str) -> tuple[Course, list[float]]:
    from transformers import TrainerCallback

    class Cut(TrainerCallback):  # type: ignore[misc, unused-ignore]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = state.global_step == 130

    found = example("hf_trainer")
    options = {"save_strategy": "steps", "save_steps": 65}  # in mid-epoch
    trainer = found["AdaptiveTrainer"]
    former = trainer.__init__

    def init(self: Any, *arguments: Any, **named: Any) -> None:
        former(self, *arguments, **named)
        self.add_callback(Cut())

    trainer.__init__ = init
    cut = found["main"](Path(folder), 2, **options)
    assert 2 < cut.controller.examples_seen / 1797 < 3
    return run(folder, 2, resume=True, **options)


def test_two_processes_do_as_a_plain_loop(tmp_path: Path) -> None:
    expected = with_linear_rate()
    assert expected.sizes == SIZES
    for found, rates in together(run, str(tmp_path), 2, folder=tmp_path):
        found.check(expected)
        assert rates == sorted(rates, reverse=True)


def test_two_processes_go_on_from_a_checkpoint_in_mid_epoch(tmp_path: Path) -> None:
    for found, _ in together(cut_and_resumed, str(tmp_path), folder=tmp_path):
        found.check(with_linear_rate())


class Words(Dataset[dict[str, torch.Tensor]]):
    """Sentences of chance."""

    def __init__(self) -> None:
        self.words = torch.randint(50, (640, 16), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.words[index], "labels": self.words[index]}


def language_model(folder: str, processes: int) -> Course:
    from transformers import GPT2Config, GPT2LMHeadModel, TrainingArguments

    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=50,
        n_positions=16,
        n_embd=32,
        n_layer=1,
        n_head=2,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config)
    args = TrainingArguments(
        output_dir=folder,
        num_train_epochs=3,
        per_device_train_batch_size=32 // processes,
        warmup_steps=5,
        learning_rate=1e-2,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
    )
    limits = Limits(smallest=32, largest=128, multiple_of=processes)
    adaptive = {"scheduler": "adabatch", "fields": {"period": 1}, "limits": limits}
    trainer = example("hf_trainer")["AdaptiveTrainer"](
        model=model, args=args, train_dataset=Words(), adaptive=adaptive
    )
    trainer.train()
    assert trainer.state.epoch == 3
    return course(trainer.controller, model)


def test_language_model_with_warm_up_and_clipping_is_the_same_in_two_processes(tmp_path: Path) -> None:
    """Its loss is a mean over the tokens of all processes, which the Trainer sees to."""
    expected = language_model(str(tmp_path), 1)
    assert expected.sizes == [32, 64, 128]
    for found in together(language_model, str(tmp_path), 2, folder=tmp_path):
        assert found.sizes == expected.sizes
        assert found.losses == pytest.approx(expected.losses, rel=1e-4)


def test_code_of_the_page_runs(tmp_path: Path) -> None:
    from transformers import TrainingArguments

    found = example("hf_trainer")
    args = TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=32,
        num_train_epochs=1,
        save_strategy="no",
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
    )
    names = {"model": found["Classifier"](), "data": found["Digits"](), "args": args}
    exec(block("ecosystem.md", "with transformers"), names)
    assert names["trainer"].controller.progress == 1


def test_max_steps_are_examples_at_the_first_batch_size(tmp_path: Path) -> None:
    found, _ = run(str(tmp_path), 1, max_steps=STEPS, save_strategy="no")
    found.check(with_linear_rate(), rel=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gradient_accumulation_steps": 2}, "needs gradient_accumulation_steps=1 but got"),
        ({"dataloader_drop_last": True}, "needs dataloader_drop_last=False but got"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        run(str(tmp_path), 1, **options)
