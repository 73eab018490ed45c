"""What a flag may be set to, where more than one place knows it: the command line, checks, annotations.

Each is written once; ``typing.get_args`` gives its values.
"""

from typing import Literal

__all__ = [
    "BranchCoupling",
    "Catalogue",
    "Clock",
    "Controls",
    "Evaluator",
    "Format",
    "Isolation",
    "Precision",
    "ProfileKind",
    "Sampler",
    "Scale",
    "ScheduleForm",
    "Stopper",
    "Task",
    "TrackerName",
]

Scale = Literal["nano", "full"]
Precision = Literal["float32", "tf32", "bfloat16", "float16"]
Clock = Literal["measured", "modelled"]
Sampler = Literal["tpe", "random", "grid"]
Stopper = Literal["halving", "none"]
TrackerName = Literal["tensorboard", "mlflow", "wandb"]
Task = Literal["images", "language", "own"]
Isolation = Literal["pooled", "fresh"]
Controls = Literal["none", "reference", "matched", "all"]
ScheduleForm = Literal["rule", "ramp", "megatron", "olmo", "lightning", "hf", "json"]
ProfileKind = Literal["stability", "speed", "critical"]
BranchCoupling = Literal["linear", "sqrt"]
Evaluator = Literal["fanova", "ped-anova"]
Format = Literal["text", "markdown", "csv", "json"]
Catalogue = Literal["architectures", "schedulers", "datasets", "spaces", "experiments", "studies", "failures"]
