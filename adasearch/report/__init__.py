"""Results as one self-contained HTML page."""

from typing import TYPE_CHECKING

from adasearch.lazy import lazily

if TYPE_CHECKING:
    from adasearch.report.page import report

__all__ = ["report"]

__getattr__ = lazily(__name__, {"report": "adasearch.report.page"})
