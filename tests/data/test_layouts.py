"""What is understood of layouts that other people's sets have, or why they are refused: the whole table."""

import pytest

from tests.data.layouts import LAYOUTS, Layout

HELD_OUT = (
    "there is no labelled test split, so the validation split is the test split, as ImageNet has it, and "
    "images to validate with are drawn from the training split"
)
DRAWN = "the test images are drawn, for want of a test split"
WHOLE = "of files called N-of-TOTAL each number must be there once, with the same total"

EXPECTED = {
    (
        "parquet: train-00000-of-00002.parquet 20, train-00001-of-00002.parquet 20, "
        "test-00000-of-00001.parquet 10"
    ): ("40 training, 10 test images, 2 classes (cat, dog); label column `label`",),
    "parquet: default/train/0000.parquet 20, default/test/0000.parquet 10": (
        "20 training, 10 test images, 2 classes (cat, dog); label column `label`",
    ),
    (
        "parquet: data/train-00000-of-00001-a09b74b3ef9c3b56.parquet 20, "
        "data/test-00000-of-00001-0a.parquet 10"
    ): ("20 training, 10 test images, 2 classes (cat, dog); label column `label`",),
    "parquet: plain_text/train-00000-of-00001.parquet 20, plain_text/test-00000-of-00001.parquet 10": (
        "20 training, 10 test images, 2 classes (cat, dog); label column `label`",
    ),
    "parquet: my_set.train.parquet 20, my_set.TEST.parquet 10": (
        "20 training, 10 test images, 2 classes (cat, dog); label column `label`",
    ),
    "parquet: train/0.parquet 20, testing/0.parquet 10": (
        "20 training, 10 test images, 2 classes (cat, dog); label column `label`",
    ),
    "parquet: Training.parquet 20, Evaluation.parquet 10": (
        "20 training, 10 test images, 2 classes (cat, dog); label column `label`",
    ),
    "parquet: train.parquet 20, dev.parquet 8, test.parquet 10": (
        "20 training, 8 validation, 10 test images, 2 classes (cat, dog); label column `label`",
    ),
    "parquet: train.parquet 20, validation.parquet 8": (
        "20 training, 8 test images, 2 classes (cat, dog); label column `label`",
        HELD_OUT,
    ),
    "parquet: trainset.parquet 20, testset.parquet 10": (
        "20 training, 10 test images, 2 classes (cat, dog); label column `label`",
    ),
    "parquet: testudo-train-00000.parquet 20, testudo-test-00000.parquet 10": (
        "20 training, 10 test images, 2 classes (cat, dog); label column `label`",
    ),
    "parquet: 0000.parquet 20, 0001.parquet 20": (
        f"32 training, 8 test images, 2 classes (cat, dog); label column `label`; {DRAWN}",
    ),
    "parquet: images.parquet 20, test.parquet 10": (
        "20 training, 10 test images, 2 classes (cat, dog); label column `label`",
    ),
    "parquet: test.parquet 10": (
        "refused: dataset parquet:SET: only test files found, no training data; --split NAME trains on one",
    ),
    "parquet: test.parquet 20 --split test": (
        f"16 training, 4 test images, 2 classes (cat, dog); label column `label`; split `test` to "
        f"train on; {DRAWN}",
    ),
    "parquet: train.parquet 20, extra.parquet 30, test.parquet 10": (
        "refused: dataset parquet:SET: extra.parquet of no split beside a training split; --split train "
        "leaves out what has no split, --split NAME trains on what is called so",
    ),
    "parquet: train.parquet 20, extra.parquet 30, test.parquet 10 --split train": (
        "20 training, 10 test images, 2 classes (cat, dog); label column `label`; split `train` to train on",
    ),
    "parquet: train.parquet 20, extra.parquet 30, test.parquet 10 --split extra": (
        "30 training, 10 test images, 2 classes (cat, dog); label column `label`; split `extra` to train on",
    ),
    (
        "parquet: train.parquet 20, .cache/old-train.parquet 20, __MACOSX/._train.parquet 20, "
        "_tmp/train.parquet 5"
    ): (f"16 training, 4 test images, 2 classes (cat, dog); label column `label`; {DRAWN}",),
    "parquet: train-00000-of-00003.parquet 20, train-00002-of-00003.parquet 20": (
        "refused: dataset parquet:SET: the train split is not whole: train-00000-of-00003.parquet, "
        f"train-00002-of-00003.parquet; {WHOLE}",
    ),
    "parquet: train-00000-of-00001.parquet 20, test-00001-of-00002.parquet 10": (
        "refused: dataset parquet:SET: the test split is not whole: test-00001-of-00002.parquet; " + WHOLE,
    ),
    "parquet: train-00000-of-00001.parquet 20, train-00001-of-00002.parquet 20": (
        "refused: dataset parquet:SET: the train split is not whole: train-00000-of-00001.parquet, "
        f"train-00001-of-00002.parquet; {WHOLE}",
    ),
    "parquet: data/train-00000-of-00001-a09b.parquet 20, data/train-00000-of-00001-77be.parquet 20": (
        "refused: dataset parquet:SET: the train split is not whole: "
        "data/train-00000-of-00001-77be.parquet, data/train-00000-of-00001-a09b.parquet; " + WHOLE,
    ),
    "parquet: train-1-of-2.parquet 20, train-2-of-2.parquet 20": (
        f"32 training, 8 test images, 2 classes (cat, dog); label column `label`; {DRAWN}",
    ),
    "parquet: year=1/train-0-of-1.parquet 20, year=2/train-0-of-1.parquet 20": (
        f"32 training, 8 test images, 2 classes (cat, dog); label column `label`; {DRAWN}",
    ),
    "parquet: train-0-of-1.parquet 20, extra-0-of-1.parquet 30, test-0-of-1.parquet 10 --split extra": (
        "30 training, 10 test images, 2 classes (cat, dog); label column `label`; split `extra` to train on",
    ),
    "parquet: full/train/0000.parquet 40, mini/train/0000.parquet 20": (
        "refused: dataset parquet:SET holds 2 configurations: full, mini; --config NAME takes one of them",
    ),
    "parquet: full/train/0000.parquet 40, mini/train/0000.parquet 20 --config mini": (
        f"16 training, 4 test images, 2 classes (cat, dog); label column `label`; "
        f"configuration `mini`; {DRAWN}",
    ),
    "parquet: train_clean.parquet 20, train_noisy.parquet 20, test.parquet 10": (
        "refused: dataset parquet:SET holds 2 configurations: clean, noisy; --config NAME takes one of them",
    ),
    "parquet: train_clean.parquet 20, train_noisy.parquet 30, test.parquet 10 --config noisy": (
        "30 training, 10 test images, 2 classes (cat, dog); label column `label`; configuration `noisy`",
    ),
    "parquet: dev/train-0.parquet 20, dev/test-0.parquet 10": (
        "refused: dev/test-0 names two splits, test and validation; give the folder that is no split as "
        "--config NAME, or as part of the set's path",
    ),
    "parquet: dev/train-0.parquet 20, dev/test-0.parquet 10 --config dev": (
        "20 training, 10 test images, 2 classes (cat, dog); label column `label`; configuration `dev`",
    ),
    "parquet: train_v1.parquet 20, train_v2.parquet 20": (
        "refused: dataset parquet:SET holds 2 configurations: v1, v2; --config NAME takes one of them",
    ),
    "parquet: train-3f9ac1.parquet 20, train-77be0d.parquet 20, test-aabbcc.parquet 10": (
        "40 training, 10 test images, 2 classes (cat, dog); label column `label`",
    ),
    "parquet: mytrain.parquet 20, mytest.parquet 10": (
        "refused: dataset parquet:SET: mytest, mytrain may be splits, whose names are told where signs "
        "are around them, as in my_train",
    ),
    "parquet: train_val.parquet 20, test.parquet 10": (
        "refused: train_val names two splits, train and validation; give the folder that is no split as "
        "--config NAME, or as part of the set's path",
    ),
    "parquet: train/clean/0.parquet 20, train/noisy/0.parquet 20": (
        "refused: dataset parquet:SET holds 2 configurations: clean, noisy; --config NAME takes one of them",
    ),
    "folder: train/cat 20, train/dog 20, test/cat 10, test/dog 10": (
        "40 training, 20 test images, 2 classes (cat, dog)",
    ),
    "folder: Train/cat 20, Train/dog 20, Valid/cat 8, Valid/dog 8, Test/cat 10, Test/dog 10": (
        "40 training, 16 validation, 20 test images, 2 classes (cat, dog)",
    ),
    "folder: train/cat 20, train/dog 20, val/cat 8, val/dog 8": (
        "40 training, 16 test images, 2 classes (cat, dog)",
        HELD_OUT,
    ),
    "folder: training/cat 20, training/dog 20, dev/cat 8, dev/dog 8, eval/cat 10, eval/dog 10": (
        "40 training, 16 validation, 20 test images, 2 classes (cat, dog)",
    ),
    "folder: train_set/cat 20, train_set/dog 20, test_set/cat 10, test_set/dog 10": (
        "40 training, 20 test images, 2 classes (cat, dog)",
    ),
    "folder: seg_train/cat 20, seg_train/dog 20, seg_test/cat 10, seg_test/dog 10": (
        "40 training, 20 test images, 2 classes (cat, dog)",
    ),
    (
        "folder: seg_train/seg_train/cat 20, seg_train/seg_train/dog 20, seg_test/seg_test/cat 9, "
        "seg_test/seg_test/dog 9, seg_pred/seg_pred 7"
    ): (
        "40 training, 18 test images, 2 classes (cat, dog)",
        "folder seg_pred is left out, since it holds no folder for each class",
    ),
    (
        "folder: set/train/cat 20, set/train/dog 20, set/test/cat 9, set/test/dog 9, "
        "__MACOSX/set/train/cat 9, set/.DS_Store.png 1, set/train/.hidden 4"
    ): ("40 training, 18 test images, 2 classes (cat, dog)",),
    "folder: images/cat 20, images/dog 20": (f"32 training, 8 test images, 2 classes (cat, dog); {DRAWN}",),
    "folder: c0 20, c1 20, c2 20, c3 20, c4 20, c5 20, c6 20, c7 20, c8 20, c9 20": (
        f"160 training, 40 test images, 10 classes (c0, ..., c9); {DRAWN}",
    ),
    "folder: train/valid 20, train/invalid 20": (
        f"32 training, 8 test images, 2 classes (invalid, valid); {DRAWN}",
    ),
    "folder: cat/2019 10, cat/2020 10, dog/2019 20": (
        f"32 training, 8 test images, 2 classes (cat, dog); {DRAWN}",
        "images in folders below the classes (2, as cat/2019) are of the class above",
    ),
    "folder: train/cat 20, train/dog 20, val/cat 8, val/dog 8, test 9": (
        "40 training, 16 test images, 2 classes (cat, dog)",
        "folder test is left out, since it holds no folder for each class",
        HELD_OUT,
    ),
    "folder: train/cat 20, train/dog 20, test/unknown 9": (
        f"32 training, 8 test images, 2 classes (cat, dog); {DRAWN}",
        "the test split is left out, since SET/test holds no folder for each class",
    ),
    "folder: train/cat 20, train/dog 20, train/dog/labels.csv 1, docs 0, unlabeled 30": (
        f"32 training, 8 test images, 2 classes (cat, dog); {DRAWN}",
        "folder unlabeled is left out, since it holds no folder for each class",
        "left out: 1 below SET/train that are no images (.csv)",
    ),
    "folder: a/b/train/cat 20, a/b/train/dog 20, a/b/test/cat 9, a/b/test/dog 9": (
        "40 training, 18 test images, 2 classes (cat, dog)",
    ),
    "folder: train/test 20, train/control 20, test/test 9, test/control 9": (
        "40 training, 18 test images, 2 classes (control, test)",
    ),
    "folder: train/n01/images 20, train/n02/images 20, val/images 8": (
        f"32 training, 8 test images, 2 classes (n01, n02); {DRAWN}",
        "the validation split is left out, since SET/val holds no folder for each class",
    ),
    "folder: mytrain/cat 20, mytrain/dog 20, mytest/cat 9, mytest/dog 9": (
        "refused: dataset folder:SET: mytest, mytrain may be splits, whose names are told where signs "
        "are around them, as in my_train",
    ),
    "folder: trainA 20, trainB 20, testA 9, testB 9": (
        "refused: dataset folder:SET: testA, testB, trainA, trainB may be a split or a class, since "
        "images lie in it without a folder for each class; put the classes below a folder train, or "
        "leave it out",
    ),
    "folder: cat 20, dog 1": (
        "refused: folder:SET cannot be split by label: class 'dog' has 1 of the 21 images, but at least "
        "3 are needed",
    ),
    "folder: train/cat 20, train/dog 20, val/cat 8, val/dog 8, dev/cat 8, dev/dog 8": (
        "refused: dataset folder:SET: dev, val are folders of the same split; --split NAME trains on one"
        " of the folders, and classes called as splits belong below a folder train",
    ),
    "folder: bus 20, train 20": (f"32 training, 8 test images, 2 classes (bus, train); {DRAWN}",),
    "folder: bullet_train 20, car 20": (
        f"32 training, 8 test images, 2 classes (bullet_train, car); {DRAWN}",
    ),
    "folder: cat 20, dog 20, test 9": (
        "refused: dataset folder:SET: test may be a split or a class, since images lie in it without a "
        "folder for each class; put the classes below a folder train, or leave it out",
    ),
    "folder: train_images 20, test_images 9": (
        "refused: dataset folder:SET: test_images, train_images may be a split or a class, since images "
        "lie in it without a folder for each class; put the classes below a folder train, or leave it "
        "out",
    ),
    "folder: train 20, test 9": (
        "refused: dataset folder:SET: test may be a split or a class, since images lie in it without a "
        "folder for each class; put the classes below a folder train, or leave it out",
    ),
    "folder: train/cat 20, train/dog 20, extra/cat 30, extra/dog 30, test/cat 10, test/dog 10": (
        "refused: dataset folder:SET: train, test are called as splits but extra not; --split NAME "
        "trains on one of the folders, and classes called as splits belong below a folder train",
    ),
    (
        "folder: train/cat 20, train/dog 20, extra/cat 30, extra/dog 30, test/cat 10, test/dog 10 "
        "--split extra"
    ): ("60 training, 20 test images, 2 classes (cat, dog); split `extra` to train on",),
    "folder: train2014/cat 20, train2014/dog 20, train2017/cat 30, train2017/dog 30": (
        "refused: dataset folder:SET: train2014, train2017 are folders of the same split; --split NAME "
        "trains on one of the folders, and classes called as splits belong below a folder train",
    ),
    "folder: test/cat 20, test/dog 20, val/cat 20, val/dog 20": (
        "refused: dataset folder:SET: only val, test found, no training data; --split NAME trains on one"
        " of the folders, and classes called as splits belong below a folder train",
    ),
    "folder: images/cat 20, images/dog 20, test/cat 10, test/dog 10": (
        "refused: dataset folder:SET: test are called as splits but images not; --split NAME trains on "
        "one of the folders, and classes called as splits belong below a folder train",
    ),
    "folder: cat/train 20, cat/test 9, dog/train 20, dog/test 9": (
        "refused: dataset folder:SET: class folder cat holds a folder called as a split: SET/cat/test",
    ),
    "folder: a/train/cat 20, a/train/dog 20, b/train/cat 20, b/train/dog 20": (
        "refused: dataset folder:SET: a, b hold folders of the same names, cat, dog, so nobody can tell "
        "which of both are the classes; give one of them, as folder:SET/a, or one folder for each class "
        "without others in it",
    ),
    ("folder: train/cat 20, train/dog 20, train/val/cat 8, train/val/dog 8, test/cat 9, test/dog 9"): (
        "refused: dataset folder:SET: class folder val holds a folder called as another class: "
        "SET/train/val/cat",
    ),
    "folder: set/daisy 20, set/rose 20, set/set/daisy 20, set/set/rose 20": (
        "refused: dataset folder:SET: class folder set holds a folder called as another class: "
        "SET/set/set/daisy",
    ),
    "folder: cat/cat 20, dog/dog 20, dog/cat 0": (
        f"32 training, 8 test images, 2 classes (cat, dog); {DRAWN}",
    ),
    "folder: train/cat 20, train/dog 20, test/cat 9, test/cow 9": (
        "refused: dataset folder:SET: SET/test has a class 'cow' that is not among the 2 classes in "
        "SET/train",
    ),
    "folder: train/cat 20, train/dog 20, train/cow 0": (
        "refused: class folder SET/train/cow has no image file (.jpg, .jpeg, .jpe, .jfif, .png, .ppm, "
        ".pgm, .pnm and 7 more)",
    ),
    "folder: train/cat 20, test/cat 9": (
        "refused: dataset folder:SET: expected a folder for each class in SET/train but found 'cat' alone",
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_layout_is_understood_in_a_line_or_refused_in_one(layout: Layout) -> None:
    assert layout.said().splitlines() == list(EXPECTED[str(layout)])


def test_no_expectation_is_left_over() -> None:
    assert set(EXPECTED) == {str(layout) for layout in LAYOUTS}
