"""A language model trains as in a plain loop, is measured by sequence, and its data split without overlap."""

import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from adasearch.data.spec import DataSpec
from adasearch.data.text.sequences import SequenceBatches, Sequences, TextData
from adasearch.errors import InputError
from adasearch.networks.language import build_language_model
from adasearch.records import IntervalRecord, Limits, Signals
from adasearch.schedulers import BatchSizeScheduler
from adasearch.schedulers.constant import Constant
from adasearch.signal_sets import MEAN_GRADIENT, NOISE, PER_STEP
from adasearch.tasks.language import Language
from adasearch.tasks.registry import load_data
from adasearch.training.config import Hyperparameters, TrainConfig
from adasearch.training.loop import train
from tests.training.test_loop import Recipe, without_times

LENGTH = 16
LIMITS = Limits(smallest=2, largest=64)
HYPER = Hyperparameters(
    batch_size=6, lr=0.003, optimizer="adamw", beta2=0.95, weight_decay=0.1, max_grad_norm=1.0
)
TINY = "tests.tasks.test_language:tiny"


def tiny(vocabulary: int, sequence_length: int) -> nn.Module:
    """Return a network that costs next to nothing: each token tells the next."""
    assert sequence_length == LENGTH
    return nn.Sequential(nn.Embedding(vocabulary, 8), nn.Linear(8, vocabulary))


@pytest.fixture(scope="module")
def text() -> TextData:
    """Return 60 sequences to train on, 20 to validate with."""
    draw = np.random.default_rng(1)
    line = np.cumsum(draw.integers(3, size=2000)) % 50

    def split(start: int, count: int) -> Sequences:
        tokens = line[start : start + count * LENGTH + 1].astype(np.uint8)
        return Sequences(blocks=(tokens,), length=LENGTH, size=len(tokens))

    return TextData(
        train=split(0, 60),
        val=split(1000, 20),
        test=split(1500, 20),
        vocabulary=50,
        sequence_length=LENGTH,
        fingerprint="x",
    )


def config(architecture: str = "gpt", **changes: object) -> TrainConfig:
    base = TrainConfig(
        architecture=architecture,
        scale="nano",
        seed=3,
        hyperparameters=HYPER,
        budget=60,
        interval=20,
        evaluate_every=20,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def run(
    data: TextData, settings: TrainConfig, scheduler: BatchSizeScheduler | None = None
) -> list[IntervalRecord]:
    return list(train(settings, scheduler or Constant(), LIMITS, data))


@pytest.fixture
def _double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# --- a plain loop beside ours -----------------------------------------------------------------------


def plain_run(data: TextData, sizes: list[int]) -> tuple[list[float], float, float]:
    """Train as anybody would; return each step's loss, and the validation loss with its standard error."""
    torch.manual_seed(3)
    network = build_language_model("gpt", "nano", vocabulary=50, sequence_length=LENGTH)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=0.003, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1
    )
    order = SequenceBatches(data, 3).stream
    tokens, seen, losses = torch.from_numpy(data.train.blocks[0].astype(np.int64)), 0, []
    for size in sizes:
        rows = order.at(range(seen, seen + size)).tolist()
        inputs = torch.stack([tokens[row * LENGTH : (row + 1) * LENGTH] for row in rows])
        targets = torch.stack([tokens[row * LENGTH + 1 : (row + 1) * LENGTH + 1] for row in rows])
        for group in optimizer.param_groups:
            group["lr"] = 0.003 * 0.5 * (1 + math.cos(math.pi * seen / 60))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(network(inputs).reshape(-1, 50), targets.reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
        seen += size
    held_out = torch.from_numpy(data.val.blocks[0].astype(np.int64))
    with torch.no_grad():
        each = [
            nn.functional.cross_entropy(
                network(held_out[None, row * LENGTH : (row + 1) * LENGTH])[0],
                held_out[row * LENGTH + 1 : (row + 1) * LENGTH + 1],
            ).item()
            for row in range(20)
        ]
    return losses, float(np.mean(each)), float(np.std(each, ddof=1) / math.sqrt(20))


@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("passes", [None, 4])
def test_training_is_that_of_a_plain_loop(text: TextData, passes: int | None) -> None:
    sizes = [6, 6, 6, 6, 9, 9, 5, 5, 5, 5]
    recipe = Recipe(moves=((0, 9, 1.0), (1, 5, 1.0)))
    losses, val_loss, error = plain_run(text, sizes)
    records = run(text, config(device_batch=passes), recipe)
    found = [record.signals.train_loss for record in records]
    spans = [sizes[:4], sizes[4:6], sizes[6:]]
    means = []
    for span in spans:
        mine, losses = losses[: len(span)], losses[len(span) :]
        means.append(sum(size * loss for size, loss in zip(span, mine, strict=True)) / sum(span))
    assert found == pytest.approx(means, rel=1e-9)
    last = records[-1]
    assert last.signals.val_loss == last.val_error == pytest.approx(val_loss, rel=1e-9)
    assert last.val_error_se == pytest.approx(error, rel=1e-6)
    assert last.metrics["bits_per_byte"] == pytest.approx(val_loss / math.log(2), rel=1e-9)


@pytest.mark.usefixtures("_double")
def test_signals_are_those_of_the_gradients_of_single_sequences(text: TextData) -> None:
    settings = config(TINY, budget=20, interval=20, hyperparameters=replace(HYPER, batch_size=20, lr=1e-9))
    torch.manual_seed(3)
    network = build_language_model(TINY, "nano", vocabulary=50, sequence_length=LENGTH)
    rows = SequenceBatches(text, 3).stream.at(range(20)).numpy()
    gradients = []
    for row in rows:
        inputs, targets = text.train.take(np.array([row]))
        loss = nn.functional.cross_entropy(network(inputs)[0], targets[0])
        gradients.append(
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))])
        )
    own = torch.stack(gradients)
    mean = own.mean(dim=0)
    noise = ((own - mean) ** 2).sum() / 19
    for per_example in (False, True):
        needs = PER_STEP | MEAN_GRADIENT | NOISE
        (record,) = run(text, replace(settings, per_example=per_example), Recipe(needs=needs))
        signals: Signals = record.signals
        assert signals.grad_norm == pytest.approx(float(mean.norm()), rel=1e-9)
        assert signals.grad_component_variance == pytest.approx(float(mean.var(correction=0)), rel=1e-9)
        if per_example:
            assert signals.grad_noise == pytest.approx(float(noise), rel=1e-9)
        else:  # of two halves, as the definition says
            halves = own[:10].mean(dim=0) - own[10:].mean(dim=0)
            assert signals.grad_noise == pytest.approx(float(5 * halves.square().sum()), rel=1e-9)


@pytest.mark.parametrize("form", ["gpt", "gpt_rms", "gpt_rotary", "gpt_rms_rotary"])
def test_noise_by_example_goes_through_attention(text: TextData, form: str) -> None:
    settings = config(form, budget=12, interval=12)
    halves, own = (
        run(text, replace(settings, per_example=each), Recipe(needs=NOISE))[0].signals
        for each in (False, True)
    )
    assert own.grad_noise is not None
    assert halves.grad_noise is not None
    assert 0.2 < own.grad_noise / halves.grad_noise < 5
    assert own.batch_grad_sq_norm == pytest.approx(halves.batch_grad_sq_norm, rel=0.2)


@pytest.mark.parametrize("form", ["gpt", "gpt_rms_rotary"])
def test_no_token_sees_those_behind_it(form: str) -> None:
    network = build_language_model(form, "nano", vocabulary=50, sequence_length=LENGTH)
    tokens = torch.randint(50, (3, LENGTH))
    other = tokens.clone()
    other[:, 9:] = torch.randint(50, (3, LENGTH - 9))
    assert torch.equal(network(tokens)[:, :9], network(other)[:, :9])
    assert not torch.equal(network(tokens)[:, 9:], network(other)[:, 9:])


def test_rotary_attention_goes_by_distance_alone() -> None:
    network = build_language_model("gpt_rotary", "nano", vocabulary=50, sequence_length=LENGTH)
    first = network.get_submodule("blocks.0.attention.turns")
    query, key = torch.randn(2, 1, 1, 1, 32).unbind()
    turned = [first(each.expand(1, 1, LENGTH, 32)) for each in (query, key)]
    products = turned[0][0, 0] @ turned[1][0, 0].T
    for distance in range(LENGTH):
        along = products.diagonal(-distance)
        assert torch.allclose(along, along[:1].expand_as(along), atol=1e-4)


def test_run_goes_on_from_a_checkpoint_bit_for_bit(text: TextData, tmp_path: Path) -> None:
    from adasearch.training.checkpoint import Checkpoints

    recipe = Recipe(needs=PER_STEP | NOISE, moves=((0, 12, 1.0),))
    (tmp_path / "study" / "checkpoints").mkdir(parents=True)
    folder = str(tmp_path / "study" / "checkpoints" / "trial")
    whole = run(text, config(), recipe)
    cut = train(config(), recipe, LIMITS, text, checkpoints=Checkpoints(folder, every=1))
    first = [next(cut), next(cut)]
    del cut
    rest = list(train(config(), recipe, LIMITS, text, checkpoints=Checkpoints(folder, every=1, stored=2)))
    plain = [replace(each, checkpoint_seconds=None) for each in (*first[:2], *rest)]
    assert without_times(plain) == without_times(whole)


def test_made_up_data_and_blank_passes_fit_the_network() -> None:
    task = Language(vocabulary=50, sequence_length=LENGTH)
    inputs, targets = task.blank(3, torch.device("cpu"))
    network = task.network("gpt", "nano")
    assert network(inputs).shape == (3, LENGTH, 50)
    assert targets.shape == (3, LENGTH)
    made = task.made_up(12, 4)
    inputs, targets = made.val.take(np.arange(4))
    assert task.loss(network(inputs), targets).item() == pytest.approx(4 * math.log(50), rel=0.1)
    assert (len(made.train), len(made.val), int(made.train.blocks[0].max()) < 50) == (12, 4, True)


# --- data --------------------------------------------------------------------------------------------


def spec(source: str, **changes: object) -> DataSpec:
    return replace(DataSpec(source=source, sequence_length=LENGTH), **changes)  # type: ignore[arg-type]


def load(source: str, **changes: object) -> TextData:
    found = load_data(spec(source, **changes), include_test=True)
    assert isinstance(found, TextData)
    return found


def words(split: Sequences) -> set[bytes]:
    return set(b"".join(block.tobytes() for block in split.blocks).replace(b"\0", b" ").split())


def test_documents_are_split_whole_and_without_overlap(tmp_path: Path) -> None:
    for number in range(60):
        text = " ".join(f"d{number}w{word}" for word in range(20 + number % 7))
        (tmp_path / f"{number}.txt").write_text(text)
    data = load(f"text:{tmp_path}")
    assert data.test is not None
    parts = [words(each) for each in (data.train, data.val, data.test)]
    everything = {f"d{n}w{w}".encode() for n in range(60) for w in range(20 + n % 7)}
    assert parts[0] | parts[1] | parts[2] == everything
    assert sum(map(len, parts)) == len(everything)
    documents = [{word.split(b"w")[0] for word in part} for part in parts]
    assert not documents[0] & documents[1]
    assert not documents[0] & documents[2]
    assert not documents[1] & documents[2]
    assert 0.04 < data.val.tokens / sum(s.tokens for s in (data.train, data.val, data.test)) < 0.08
    again, other = load(f"text:{tmp_path}"), load(f"text:{tmp_path}", seed=1)
    assert words(again.val) == parts[1]
    assert words(other.val) != parts[1]
    assert again.fingerprint == data.fingerprint == other.fingerprint


@pytest.mark.parametrize("seed", range(5))
def test_documents_of_any_length_leave_no_split_without_a_sequence(tmp_path: Path, seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(1, 300, size=40)
    for number, length in enumerate(lengths):
        (tmp_path / f"{number}.txt").write_text("a" * int(length))
    for length in (8, 64, 250):
        data = load(f"text:{tmp_path}", seed=seed, sequence_length=length)
        assert data.test is not None
        parts = (data.train, data.val, data.test)
        assert min(map(len, parts)) >= 1
        assert sum(part.tokens for part in parts) == int(lengths.sum()) + 40


def test_file_of_tokens_that_changed_has_another_fingerprint(tmp_path: Path, cache_dir: Path) -> None:
    tokens = (np.arange(400) + 20_000).astype("<u2")
    tokens.tofile(tmp_path / "a.bin")
    first, again = (load(f"tokens:{tmp_path / 'a.bin'}").fingerprint for _ in range(2))
    assert list(cache_dir.rglob("*.json"))
    tokens[7] += 1
    tokens.tofile(tmp_path / "a.bin")
    assert first == again != load(f"tokens:{tmp_path / 'a.bin'}").fingerprint


def test_one_text_is_split_in_contiguous_blocks(tmp_path: Path) -> None:
    whole = bytes(np.random.default_rng(0).integers(97, 122, size=5000, dtype=np.uint8))
    (tmp_path / "a.txt").write_bytes(whole)
    data = load(f"text:{tmp_path / 'a.txt'}")
    assert data.test is not None
    parts = [each.blocks[0].tobytes() for each in (data.train, data.val, data.test)]
    assert b"".join(parts) == whole + b"\0"
    assert [len(part) for part in parts] == [4501, 250, 250]


def test_names_tell_the_splits_of_text(tmp_path: Path) -> None:
    for split, text in (("train", "a" * 400), ("val", "b" * 90), ("test", "c" * 80)):
        (tmp_path / split).mkdir()
        (tmp_path / split / "x.md").write_text(text)
    (tmp_path / "README").write_text("z" * 50)
    data = load(f"text:{tmp_path}")
    assert data.test is not None
    found = [set(each.blocks[0].tobytes()) - {0} for each in (data.train, data.val, data.test)]
    assert found == [{97}, {98}, {99}]


def test_an_epoch_sees_each_training_sequence_once(text: TextData) -> None:
    batches = SequenceBatches(text, seed=5)
    seen = []
    for offset, size in ((0, 7), (7, 40), (47, 13)):
        for parts in (range(2), range(2, 3)):  # of two workers' shares
            for inputs, targets in batches.chunks(offset, 0, size, 3, parts):
                assert torch.equal(inputs[:, 1:], targets[:, :-1])
                seen += [tuple(row) for row in inputs.tolist()]
    inputs, _ = text.train.take(np.arange(60))
    assert sorted(seen) == sorted(tuple(row) for row in inputs.tolist())


@pytest.mark.parametrize("kind", ["flat16", "flat32", "modded", "llama", "npy"])
def test_token_files_are_read_as_others_write_them(tmp_path: Path, kind: str) -> None:
    tokens = np.random.default_rng(2).integers(50_000, size=4000)
    tokens[1234] = 50_256
    path = tmp_path / ("a.npy" if kind == "npy" else "a.bin")
    header = np.zeros(256, dtype="<i4")
    header[1:3] = 1, len(tokens)
    if kind == "flat16":  # nanoGPT: np.array(ids, dtype=np.uint16).tofile(...)
        tokens.astype("<u2").tofile(path)
    elif kind == "flat32":  # OLMo: a memory map of uint32
        tokens.astype("<u4").tofile(path)
    elif kind == "modded":
        header[0] = 20240520
        path.write_bytes(header.tobytes() + tokens.astype("<u2").tobytes())
    elif kind == "llama":
        header[0] = 20240801
        path.write_bytes(header.tobytes() + tokens.astype("<u4").tobytes())
    else:
        np.save(path, tokens.astype(np.uint16))
    data = load(f"tokens:{path}")
    assert data.test is not None
    assert data.vocabulary == 50_257
    parts = [np.concatenate(each.blocks) for each in (data.train, data.val, data.test)]
    assert np.concatenate(parts).tolist() == tokens.tolist()
    assert isinstance(data.train.blocks[0], np.memmap)
    assert data.val.size is None


def test_shards_of_tokens_are_one_line_and_names_tell_their_splits(tmp_path: Path) -> None:
    for name, start in (
        ("fineweb_train_000001", 0),
        ("fineweb_train_000002", 100),
        ("fineweb_val_000000", 900),
    ):
        (np.arange(start, start + 100) + 20_000).astype("<u2").tofile(tmp_path / f"{name}.bin")
    data = load(f"tokens:{tmp_path}", sequence_length=10)
    assert data.test is not None
    assert np.concatenate(data.val.blocks).tolist() == list(range(20_900, 21_000))
    assert np.concatenate([*data.train.blocks, *data.test.blocks]).tolist() == list(range(20_000, 20_200))
    assert [len(block) for block in data.train.blocks] == [100, 89]
    inputs, targets = data.train.take(np.array([0, 8, 9]))  # no sequence reaches over a file's end
    assert inputs[:, 0].tolist() == [20_000, 20_080, 20_100]
    assert (targets - inputs == 1).all()


def test_subset_is_drawn_and_keeps_something_to_validate_with() -> None:
    for subset, held_out in ((300, 75), (400, 96)):  # a quarter, and what is enough
        data = load("python_source", sequence_length=128, subset=subset)
        assert data.test is not None
        assert (len(data.train), len(data.val), len(data.test)) == (subset, held_out, subset)
        assert data.vocabulary == 256


@pytest.mark.parametrize(
    ("files", "source", "changes", "says"),
    [
        ({}, "text:{}", {}, "no text in 0 files"),
        ({"a": b"\0\1", "b": b" \n"}, "text:{}", {}, "no text in 2 files"),
        ({}, "text:{}/none", {}, "no such file or folder, and no file of that pattern"),
        ({"a.txt": b"abc" * 90}, "text:{}", {"sequence_length": 300}, "--sequence-length 300 is longer than"),
        ({"a.txt": b"abc" * 900}, "text:{}", {"subset": 10**6}, "--subset must lie between 1 and 15"),
        ({"a.bin": b"abc"}, "tokens:{}/a.bin", {}, "3 bytes are no whole number of tokens of 2 or 4 bytes"),
        ({"a.bin": b""}, "tokens:{}/a.bin", {}, "0 bytes are no whole number of tokens"),
        ({"a.txt": b"ab"}, "tokens:{}", {}, "no such files (in a folder those ending in .bin"),
        ({"t.json": b"{}", "a.txt": b"a"}, "text:{}", {"tokenizer": "{}/none.json"}, "No such file"),
    ],
)
def test_data_that_do_not_do_are_refused_in_one_line(
    tmp_path: Path, files: dict[str, bytes], source: str, changes: dict[str, object], says: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    told = {
        name: value.format(tmp_path) if isinstance(value, str) else value for name, value in changes.items()
    }
    with pytest.raises(InputError) as raised:
        load(source.format(tmp_path), **told)
    assert says in str(raised.value)
    assert "\n" not in str(raised.value)


def test_header_that_tells_of_other_tokens_is_refused(tmp_path: Path) -> None:
    header = np.zeros(256, dtype="<i4")
    header[:3] = 20240520, 1, 99
    (tmp_path / "a.bin").write_bytes(header.tobytes() + bytes(150))
    with pytest.raises(InputError, match="its header tells of 99 tokens but 75 follow"):
        load(f"tokens:{tmp_path / 'a.bin'}")


def write_texts(path: Path, texts: list[str | None], **columns: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"text": texts, **columns}), path)


def test_texts_of_parquet_files_are_documents_of_the_splits_that_names_tell(tmp_path: Path) -> None:
    write_texts(tmp_path / "train-00000-of-00002.parquet", ["ab" * 90, None, "ab"], url=["x", "y", "z"])
    write_texts(tmp_path / "train-00001-of-00002.parquet", ["ba" * 90])
    write_texts(tmp_path / "validation-00000-of-00001.parquet", ["cd" * 40])
    write_texts(tmp_path / "test-00000-of-00001.parquet", ["éf" * 40])
    data = load(f"parquet:{tmp_path}")
    assert data.test is not None
    found = [each.blocks[0].tobytes() for each in (data.train, data.val, data.test)]
    assert found == [
        b"%b\0ab\0%b\0" % (b"ab" * 90, b"ba" * 90),
        b"cd" * 40 + b"\0",
        "éf".encode() * 40 + b"\0",
    ]


def test_parquet_files_without_one_column_of_text_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["a"], "body": ["b"]}), tmp_path / "a.parquet")
    with pytest.raises(
        InputError, match="has the columns title, body of text; the one to train on is called"
    ):
        load(f"parquet:{tmp_path}")
    pq.write_table(pa.table({"n": [1]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="has no column of text"):
        load(f"parquet:{tmp_path}")
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(InputError, match="is damaged or no Parquet file"):
        load(f"parquet:{tmp_path}")


# --- tokenizers --------------------------------------------------------------------------------------


def write_tokenizer(path: Path) -> list[str]:
    """Write a tokenizer of words, and return its vocabulary in order."""
    tokenizers = pytest.importorskip("tokenizers")
    words = ["<unk>", "<|endoftext|>", *(f"w{number}" for number in range(30))]
    model = tokenizers.models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>")
    made = tokenizers.Tokenizer(model)
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(path))
    return words


def test_tokenizer_makes_the_tokens_and_ends_each_document(tmp_path: Path) -> None:
    words = write_tokenizer(tmp_path / "words.json")
    (tmp_path / "text").mkdir()
    rows = [" ".join(f"w{(row + step) % 30}" for step in range(40)) for row in range(2)]
    for name, row in zip(("train.txt", "val.txt"), rows, strict=True):
        (tmp_path / "text" / name).write_text(row)
    data = load(f"text:{tmp_path / 'text'}", tokenizer=str(tmp_path / "words.json"), sequence_length=8)
    assert data.vocabulary == len(words) == 32
    assert [words[each] for each in data.val.blocks[0]] == [*rows[1].split(), "<|endoftext|>"]
    assert data.val.size == len(rows[1])
    assert data.train.blocks[0].dtype == np.uint16
    found = Language(vocabulary=32, sequence_length=8).evaluation(data, "val", (2.0, 4.5, 0.5))
    assert found.metrics["bits_per_byte"] == pytest.approx(2.0 / math.log(2) * 41 / len(rows[1]))
    assert found.objective_se == pytest.approx(math.sqrt(0.5 * 5 / 4 / 5))


def test_tokens_are_made_once_and_anew_where_the_cache_is_damaged(tmp_path: Path, cache_dir: Path) -> None:
    write_tokenizer(tmp_path / "words.json")
    (tmp_path / "a.txt").write_text("w1 w2 w3 " * 200)
    told = {"tokenizer": str(tmp_path / "words.json"), "sequence_length": 8}
    first, again = (load(f"text:{tmp_path / 'a.txt'}", **told) for _ in range(2))
    (kept,) = cache_dir.rglob("tokens.npy")
    assert isinstance(again.train.blocks[0], np.memmap)
    kept.write_bytes(kept.read_bytes()[:-100])
    other = load(f"text:{tmp_path / 'a.txt'}", **told)
    assert first.fingerprint == again.fingerprint == other.fingerprint
    assert len(np.load(kept)) == 601


def test_tokens_beyond_a_tokenizers_vocabulary_are_refused(tmp_path: Path) -> None:
    write_tokenizer(tmp_path / "words.json")
    np.full(400, 32, dtype="<u2").tofile(tmp_path / "a.bin")
    with pytest.raises(InputError, match=r"a.bin has token 32, but the tokenizer knows 32"):
        load(f"tokens:{tmp_path / 'a.bin'}", tokenizer=str(tmp_path / "words.json"))


def test_file_that_is_no_tokenizer_is_refused_in_one_line(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    (tmp_path / "words.json").write_text("{}")
    (tmp_path / "a.txt").write_text("a b " * 300)
    with pytest.raises(InputError, match=r"must be a JSON file of the tokenizers library \("):
        load(f"text:{tmp_path}", tokenizer=str(tmp_path / "words.json"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ({"a": 0}, r"words\.json does not fit the text \(.*Missing \[UNK\] token"),
        ({}, r"words\.json knows no token"),
    ],
)
def test_tokenizer_that_does_not_fit_the_text_is_refused_in_one_line(
    words: dict[str, int], says: str, tmp_path: Path
) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "words.json"))
    (tmp_path / "a.txt").write_text("a b " * 300)
    with pytest.raises(InputError, match=says) as caught:
        load(f"text:{tmp_path / 'a.txt'}", tokenizer=str(tmp_path / "words.json"))
    assert "\n" not in str(caught.value)


def test_vocabulary_reaches_to_the_highest_token_whatever_its_gaps(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 3, "b": 70}, unk_token="a"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.save(str(tmp_path / "words.json"))
    (tmp_path / "a.txt").write_text("a b " * 300)
    data = load(
        f"text:{tmp_path / 'a.txt'}", tokenizer=str(tmp_path / "words.json"), sequence_length=8, subset=None
    )
    assert data.vocabulary == 71
    assert int(data.train.blocks[0].max()) == 70


def test_without_the_library_a_tokenizer_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    (tmp_path / "words.json").write_text("{}")
    (tmp_path / "a.txt").write_text("a b " * 300)
    with pytest.raises(InputError, match=r"pip install 'adasearch\[language\]'"):
        load(f"text:{tmp_path}", tokenizer=str(tmp_path / "words.json"))
