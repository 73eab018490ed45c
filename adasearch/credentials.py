"""Secrets have no place in the name of a results folder, which is shown, handed on and kept in shells."""

import re

__all__ = ["redacted"]

_USER = re.compile(r"(://)[^\s@/:]*:(?!\d+/)[^\s@]*@")  # not a port; an unquoted secret may hold slashes
_QUERY = re.compile(
    r"(?i)([?&][^=&\s]*(?:key|secret|token|password|credential|signature)[^=&\s]*=)[^&\s'\"]+"
)


def redacted(text: str) -> str:
    """Return a text with the credentials in its URIs made unreadable.

    >>> redacted("s3://KEY:SECRET@bucket/x?secret_key=SECRET&region=eu and hdfs://host:8020/a@b")
    's3://***@bucket/x?secret_key=***&region=eu and hdfs://host:8020/a@b'
    """
    return _QUERY.sub(r"\1***", _USER.sub(r"\1***@", text))
