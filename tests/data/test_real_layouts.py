"""Layouts as the Hugging Face Hub, Kaggle and archives have them: the images of each split, or why none."""

import pytest

from tests.data.layouts import parquet, plain

PARQUET = {
    "data/train-00000-of-00002 data/train-00001-of-00002 data/test-00000-of-00001": "40 training, 20 test",
    (
        "data/train-00000-of-00001 data/validation-00000-of-00001 data/test-00000-of-00001"
    ): "20 training, 20 validation, 20 test",
    "en/train/0000 en/test/0000": "20 training, 20 test",
    "default/partial-train/0000 default/partial-test/0000": "20 training, 20 test",
    "default/train/0000 default/train/0001 default/test/0000": "40 training, 20 test",
    "plain_text/train/0000 plain_text/test/0000": "20 training, 20 test",
    "cifar10/train-00000-of-00001 cifar10/test-00000-of-00001": "20 training, 20 test",
    "fine/train-00000-of-00001 coarse/train-00000-of-00001": "refused: configurations",
    "data/trainset data/valset data/testset": "20 training, 20 validation, 20 test",
    "Train Val Test": "20 training, 20 validation, 20 test",
    "TRAIN TEST": "20 training, 20 test",
    "train-00000 train-00001 valid-00000": "40 training, 20 test",
    "train_images test_images": "20 training, 20 test",
    "images/train-0 images/test-0": "20 training, 20 test",
    "train_data valid_data test_data": "20 training, 20 validation, 20 test",
    "dataset_train dataset_test": "20 training, 20 test",
    "x_train x_test": "20 training, 20 test",
    "mnist.train mnist.test": "20 training, 20 test",
    "train/part.0 train/part.1": "32 training, 8 test",
    "training-batch-1 training-batch-2 test-batch": "40 training, 20 test",
    "shard_0 shard_1": "32 training, 8 test",
    "part.0 part.1 part.2": "48 training, 12 test",
    "output": "16 training, 4 test",
    "unsupervised train test": "refused: no split beside a training split",
    "train unlabeled test": "refused: no split beside a training split",
    "train extra test": "refused: no split beside a training split",
    "train holdout": "refused: no split beside a training split",
    "train query gallery": "refused: no split beside a training split",
    "fold0 fold1": "refused: configurations",
    "cv/fold0 cv/fold1": "refused: configurations",
    "dev test": "refused: only",
    "train-sample train": "refused: configurations",
    "train/sample train/full": "refused: configurations",
    "sample/train full/train": "refused: configurations",
    "train_small": "16 training, 4 test",
    "mini_train mini_test full_train full_test": "refused: configurations",
    "train_2023-01-01 train_2023-01-02": "32 training, 8 test",
    "2023-01-01 2023-01-02": "32 training, 8 test",
    "train-1-of-2 train-2-of-2": "32 training, 8 test",
    "train-00001-of-00002 train-00002-of-00002": "32 training, 8 test",
    "train/00000 train/00001 validation/00000": "40 training, 20 test",
    "0000 train/0000": "refused: no split beside a training split",
    "refs/convert/parquet/default/train/0000": "16 training, 4 test",
    "data/train/data-00000-of-00001": "16 training, 4 test",
    "train/data-00000-of-00002 train/data-00001-of-00002 test/data-00000-of-00001": "40 training, 20 test",
    "augmented/train original/train": "refused: configurations",
    "train_aug train": "refused: configurations",
    "test/train": "refused: names two splits",
    "evaluate train": "refused: no split beside a training split",
    "evals train": "refused: no split beside a training split",
    "trainval test": "20 training, 20 test",
    "train+val test": "refused: names two splits",
    "pretrain finetune": "refused: configurations",
    "retrain": "16 training, 4 test",
    "train_test": "refused: names two splits",
    "valid1 train": "20 training, 20 test",
    "val1 val2 train": "20 training, 40 test",
    "validation_matched validation_mismatched train": "refused: configurations",
    "train_clean_100 train_clean_360 train_other_500 test_clean test_other": "refused: configurations",
    "train.clean.100 train.clean.360": "refused: configurations",
    "labels_train images_train": "refused: configurations",
}

FOLDERS = {
    "train/cat 20, train/dog 20, test/cat 5, test/dog 5": "40 training, 10 test",
    "Training/cat 20, Training/dog 20, Validation/cat 5, Validation/dog 5": "40 training, 10 test",
    "Training/cat 20, Training/dog 20, Testing/cat 5, Testing/dog 5": "40 training, 10 test",
    "TRAIN/cat 20, TRAIN/dog 20, TEST/cat 5, TEST/dog 5": "40 training, 10 test",
    "trainset/cat 20, trainset/dog 20, testset/cat 5, testset/dog 5": "40 training, 10 test",
    "train_images/cat 20, train_images/dog 20, test_images/cat 5, test_images/dog 5": "40 training, 10 test",
    "train/cat 20, train/dog 20, test 7": "32 training, 8 test",
    "train/cat 20, train/dog 20, test/test 7": "32 training, 8 test",
    "train/cat 20, train/dog 20, test/images 7": "32 training, 8 test",
    "images/train/cat 20, images/train/dog 20, images/val/cat 5, images/val/dog 5": "40 training, 10 test",
    (
        "images/train/cat 20, images/train/dog 20, images/test/cat 5, "
        "images/test/dog 5, images/val/cat 5, images/val/dog 5"
    ): "40 training, 10 validation, 10 test",
    "data/train/cat 20, data/train/dog 20, data/test/cat 5, data/test/dog 5": "40 training, 10 test",
    (
        "dataset/training_set/cat 20, dataset/training_set/dog 20, "
        "dataset/test_set/cat 5, dataset/test_set/dog 5"
    ): "40 training, 10 test",
    (
        "training_set/training_set/cat 20, training_set/training_set/dog 20, "
        "test_set/test_set/cat 5, test_set/test_set/dog 5"
    ): "40 training, 10 test",
    "train/cat 20, train/dog 20, valid1/cat 5, valid1/dog 5": "40 training, 10 test",
    (
        "train/cat 20, train/dog 20, valid1/cat 5, valid1/dog 5, valid2/cat 5, valid2/dog 5"
    ): "refused: are folders of the same split",
    (
        "train1/cat 20, train1/dog 20, train2/cat 20, train2/dog 20, test/cat 5, test/dog 5"
    ): "refused: are folders of the same split",
    "train 20, test 20, valid 20": "refused: may be a split or a class",
    "train/test 20, train/cat 20": "32 training, 8 test, 2 classes (cat, test)",
    "test/train 20, test/cat 20": "refused: only",
    "cat 20, dog 20, __MACOSX/cat 20, .ipynb_checkpoints 3": "32 training, 8 test",
    "cat 20, dog 20, lost+found 1": "32 training, 8 test",
    "cat 20, dog 20, empty 0": "refused: has no image file",
    "cat 20, dog 20, cat/desktop.ini 1": "32 training, 8 test",
    "only 20": "refused: expected a folder for each class",
    "train/only 20, test/only 5": "refused: expected a folder for each class",
    "cat 20, dog 20, readme.txt 1": "32 training, 8 test",
    "train/cat 20, train/dog 20, test/cat 5, test/dog 5, sample 4": "40 training, 10 test",
    (
        "train/cat 20, train/dog 20, test/cat 5, test/dog 5, sample/cat 4, sample/dog 4"
    ): "refused: are called as splits but",
    (
        "train/cat 20, train/dog 20, test/cat 5, test/dog 5, train_small/cat 4, train_small/dog 4"
    ): "refused: are folders of the same split",
    "train/cat 20, train/dog 20, train_labels.csv 1": "32 training, 8 test",
    (
        "train/cat 20, train/dog 20, test/cat 5, test/dog 5, augmented/cat 20, augmented/dog 20"
    ): "refused: are called as splits but",
    (
        "original/cat 20, original/dog 20, augmented/cat 20, augmented/dog 20"
    ): "refused: hold folders of the same names",
    "raw/cat 20, raw/dog 20, processed/cat 20, processed/dog 20": "refused: hold folders of the same names",
    "v1/cat 20, v1/dog 20, v2/cat 20, v2/dog 20": "refused: hold folders of the same names",
    (
        "train/cat 20, train/dog 20, dev/cat 5, dev/dog 5, test/cat 5, test/dog 5"
    ): "40 training, 10 validation, 10 test",
    "train/cat 20, train/dog 20, holdout/cat 5, holdout/dog 5": "refused: are called as splits but",
    "train/cat 20, train/dog 20, eval/cat 5, eval/dog 5": "40 training, 10 test",
    (
        "train/cat 20, train/dog 20, query/cat 5, query/dog 5, gallery/cat 5, gallery/dog 5"
    ): "refused: are called as splits but",
    "support/cat 20, support/dog 20, query/cat 20, query/dog 20": "refused: hold folders of the same names",
    "train/cat 20, train/dog 20, test/cat 5, test/dog 5, unlabeled 20": "40 training, 10 test",
    "train/cat 20, train/dog 20, test/cat 5, test/dog 5, unlabeled/unlabeled 20": "40 training, 10 test",
    (
        "train/cat 20, train/dog 20, unsupervised/cat 20, unsupervised/dog 20"
    ): "refused: are called as splits but",
    (
        "train/cat 20, train/dog 20, train/unknown 20, test/cat 5, test/dog 5"
    ): "60 training, 10 test, 3 classes (cat, ..., unknown)",
    "n01440764 20, n01443537 20": "32 training, 8 test, 2 classes (n01440764, n01443537)",
    "0 20, 1 20, 2 20": "48 training, 12 test, 3 classes (0, ..., 2)",
    (
        "101_ObjectCategories/a 20, 101_ObjectCategories/b 20, Annotations/a.mat 1"
    ): "32 training, 8 test, 2 classes (a, b)",
    "train/cat/2019 20, train/dog/2019 20, val/cat 5, val/dog 5": "40 training, 10 test",
    "train/a/x 20, train/b/y 20, val/a/x 5, val/b/y 5": "40 training, 10 test, 2 classes (a, b)",
    "images/test/cat 5, images/test/dog 5": "refused: only",
    "testA 9, trainA 9, testB 9, trainB 9": "refused: may be a split or a class",
    "good 20, bad 20, test 5": "refused: may be a split or a class",
    "positive 20, negative 20, validation_set 5": "refused: may be a split or a class",
    "dev board 20, cat 20": "32 training, 8 test, 2 classes (cat, dev board)",
    "evaluation board 20, cat 20": "32 training, 8 test, 2 classes (cat, evaluation board)",
    "train station 20, bus station 20": "32 training, 8 test, 2 classes (bus station, train station)",
    "test tube 20, beaker 20": "32 training, 8 test, 2 classes (beaker, test tube)",
    "Test 20, Control 20": "refused: may be a split or a class",
    "train 20, plane 20, bus 20": "48 training, 12 test, 3 classes (bus, ..., train)",
    "train/Cat 20, train/Dog 20, test/cat 5, test/dog 5": "refused: has a class",
    "train/cat 20, train/dog 20, test/dog 5": "40 training, 5 test",
    "train/cat 20, train/dog 20, test/cat 5, test/dog 0": "40 training, 5 test",
    "cat/cat1 20, cat/cat2 20, dog/dog1 20": "48 training, 12 test",
    "cat 20, cat/more 20, dog 20": "48 training, 12 test",
    "a/train/cat 20, a/train/dog 20, a/test/cat 5, a/test/dog 5, b/readme.md 1": "40 training, 10 test",
    (
        "a/train/cat 20, a/train/dog 20, a/test/cat 5, a/test/dog 5, "
        "b/train/cat 20, b/train/dog 20, b/test/cat 5, b/test/dog 5"
    ): "refused: holds a folder called as a split",
    "crops 20, full 20": "32 training, 8 test, 2 classes (crops, full)",
    "frames/cat 20, frames/dog 20, videos/x.mp4 1": "32 training, 8 test",
    "left/cat 20, left/dog 20, right/cat 20, right/dog 20": "refused: hold folders of the same names",
    "train/0 20, train/1 20, test/0 5, test/1 5": "40 training, 10 test, 2 classes (0, 1)",
    "class_train/cat 20, class_train/dog 20": "32 training, 8 test",
    (
        "thumbnails/cat 20, thumbnails/dog 20, images/cat 20, images/dog 20"
    ): "refused: hold folders of the same names",
    "cat 20, dog 20, Cat 20": "48 training, 12 test, 3 classes (Cat, ..., dog)",
}


def agrees(said: str, expected: str) -> bool:
    """Tell whether what is said begins with the counts, or refuses in one line for the reason."""
    if expected.startswith("refused: "):
        return (
            said.startswith("refused: ") and expected.removeprefix("refused: ") in said and "\n" not in said
        )
    return said.startswith(
        (f"{expected} images, 2 classes (cat, dog)", expected.replace(" test, ", " test images, "))
    )


@pytest.mark.parametrize(("files", "expected"), PARQUET.items())
def test_a_parquet_set_is_right_or_refused(files: str, expected: str) -> None:
    said = parquet({f"{name}.parquet": 20 for name in files.split()}).said()
    assert agrees(said, expected), said


@pytest.mark.parametrize(("files", "expected"), FOLDERS.items())
def test_a_folder_is_right_or_refused(files: str, expected: str) -> None:
    said = plain(
        {name: int(count) for name, count in (each.rsplit(" ", 1) for each in files.split(", "))}
    ).said()
    assert agrees(said, expected), said
