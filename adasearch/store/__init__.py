"""Results as Parquet, and one live search per study."""

from typing import TYPE_CHECKING

from adasearch.lazy import lazily

if TYPE_CHECKING:
    from adasearch.store.store import Store

__all__ = ["Store"]

__getattr__ = lazily(__name__, {"Store": "adasearch.store.store"})
