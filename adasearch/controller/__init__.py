"""An adaptive batch size for a loop of one's own, without Ray."""

from typing import TYPE_CHECKING

from adasearch.lazy import lazily

if TYPE_CHECKING:
    from adasearch.controller.controller import BatchSizeController

__all__ = ["BatchSizeController"]

__getattr__ = lazily(__name__, {"BatchSizeController": "adasearch.controller.controller"})
