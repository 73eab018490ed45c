"""Where runs are shown beside the results folder: TensorBoard, MLflow, Weights & Biases; one file each.

``--log NAME`` of the command line and ``log=`` of the Python interface write here from the stored records, in
the process that drives the runs. A loop of one's own gives its controller a :class:`RunLog`.
"""

from typing import TYPE_CHECKING

from adasearch.lazy import lazily

if TYPE_CHECKING:
    from adasearch.trackers.run_log import RunLog

__all__ = ["RunLog"]

__getattr__ = lazily(__name__, {"RunLog": "adasearch.trackers.run_log"})
