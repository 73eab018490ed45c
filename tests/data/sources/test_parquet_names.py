"""Configurations and parts of Parquet sets, told by names alone: parts are one set, configurations never."""

import pytest

from adasearch.data.sources.parquet_files import files_by_split
from adasearch.data.spec import Selection
from adasearch.errors import InputError

UUID = "c9a646f3-1f5b-4b0a-9c3d-0123456789ab"

PARTS = [
    "0000 0001 0002",
    "a b c",
    "train1 train2",
    "train_1 train_2 test_1",
    "train.0 train.1",
    "train-images-0 train-images-1",
    "train-part-0 train-part-7",
    "00000-of-00002 00001-of-00002",
    "data_batch_1 data_batch_2 test_batch",
    "train-3f9ac1 train-77be0d test-aabbcc",
    f"part-00000-{UUID}-c000.snappy part-00003-{UUID}-c000.snappy",
    f"part-00000-{UUID}.c000 part-00000-{UUID}.c001 part-00002-{UUID}.c000",
    "0/0 0/1 1/0 1/1",
    "train/000/0 train/000/1 train/001/0 test/000/0",
    "train/0/0 train/0/1 train/1/2 train/1/3",
    "train/part-0/a train/part-1/a",
    "shard0/train shard1/train shard0/test",
    "train/2024/0 train/2024/1",
    "year=2023/train year=2024/train",
    "label=cat/0 label=cat/1 label=dog/0",
    "split=train/0 split=test/0",
    "data/train-00000-of-00001 test",
    "default/partial-train/0000 default/partial-train/0001",
    "cifar10/train cifar10/test",
]


@pytest.mark.parametrize("names", PARTS)
def test_parts_of_one_set_are_one(names: str) -> None:
    paths = [f"{name}.parquet" for name in names.split()]
    found, notes = files_by_split(paths, Selection(), "SET")
    assert sorted(path for of in found.values() for path in of) == sorted(paths)
    assert {split for split, of in found.items() for path in of if "test" in path} <= {"test"}
    assert notes == []


CONFIGURATIONS = {
    "train/clean train/noisy": "clean noisy",
    "train/clean/0 train/noisy/0": "clean noisy",
    "clean/train noisy/test": "clean noisy",
    "small large": "large small",
    "0/train 0/test 1/train 1/test": "0 1",
    "2023/train 2024/train": "2023 2024",
    "fold0/train fold1/train": "fold0 fold1",
    "fold_0/train fold_1/train": "fold_0 fold_1",
    "fold=0/train fold=1/train": "fold=0 fold=1",
    "config=a/train config=b/train": "config=a config=b",
    "train_fold0 train_fold1": "fold0 fold1",
    "train_seed_0 train_seed_1": "seed-0 seed-1",
    "train_1k train_10k": "10k 1k",
    "train_100 train_1000": "100 1000",
    "train_224 train_384": "224 384",
    "train_32x32 train_64x64": "32x32 64x64",
    "train2014 train2017": "2014 2017",
    "2014train 2017train": "2014 2017",
    "train2014/0000 train2014/0001 train2017/0000": "2014 2017",
    "train/2019/0 train/2020/0": "2019 2020",
    "0000 0002": "0000 0002",
    "train_1 train_01": "01 1",
    "a c": "a c",
    "train_a train_b": "a b",
    "trainA trainB": "a b",
    "train_face train_cafe": "cafe face",
    "train_decade train_facade": "decade facade",
    "train_fa2024 train_fa2025": "fa2024 fa2025",
    "abc123/train def456/train": "abc123 def456",
    "deadbeef/train facade00/train": "deadbeef facade00",
    "data1/train data2/train": "data1 data2",
    "data/en/train data/fr/train": "en fr",
    "v1.0/train v2.0/train": "v1.0 v2.0",
    "train train_balanced": ". balanced",
    "default/train/0000 default/partial-train/0000": "default default/partial",
    "train/images/0 train/masks/0": "images masks",
}


@pytest.mark.parametrize(("names", "configs"), CONFIGURATIONS.items())
def test_configurations_are_refused_with_the_list_and_one_is_taken_by_its_name(
    names: str, configs: str
) -> None:
    paths = [f"{name}.parquet" for name in names.split()]
    known = configs.split()
    with pytest.raises(InputError) as caught:
        files_by_split(paths, Selection(), "SET")
    assert f"SET holds {len(known)} configurations: {', '.join(known)}; --config NAME" in str(caught.value)
    if "noisy/test" in names:
        return
    taken = [
        sorted(
            path for of in files_by_split(paths, Selection(config=config), "SET")[0].values() for path in of
        )
        for config in known
    ]
    assert sorted(path for of in taken for path in of) == sorted(paths)


@pytest.mark.parametrize(
    "names", ["data/train train", "train/0000 train-00000-of-00001", "train train_1", "train train(1)"]
)
def test_files_of_one_split_that_are_neither_parts_nor_configurations_are_refused(names: str) -> None:
    paths = [f"{name}.parquet" for name in names.split()]
    with pytest.raises(InputError, match="are of one split, but not called as parts of it or as config"):
        files_by_split(paths, Selection(), "SET")


def test_parts_of_a_configuration_are_taken_by_its_name() -> None:
    paths = [f"train_{name}.parquet" for name in ("0", "1", "hard_0", "hard_1")]
    found, _ = files_by_split(paths, Selection(config="hard"), "SET")
    assert found["train"] == paths[2:]


def test_splits_with_other_words_are_said() -> None:
    found, notes = files_by_split(["train_60k.parquet", "test_10k.parquet"], Selection(), "SET")
    assert (found["train"], found["test"]) == (["train_60k.parquet"], ["test_10k.parquet"])
    assert notes == ["the train split is `60k`; the test split is `10k`"]


def test_a_configuration_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(InputError) as caught:
        files_by_split(["full/train.parquet", "mini/train.parquet"], Selection(config="ful"), "SET")
    assert str(caught.value) == ("unknown configuration of SET 'ful'; did you mean 'full'? known: full, mini")
    with pytest.raises(InputError, match="unknown configuration of SET 'x'; known: none"):
        files_by_split(["train.parquet", "test.parquet"], Selection(config="x"), "SET")
