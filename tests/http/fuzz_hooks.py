"""Loaded by Schemathesis (schemathesis.toml)."""
import urllib.parse

import schemathesis

# libmicrohttpd itself refuses headers that do not fit its memory, with a text of its own that has
# no type (api-spec/errors.md). Below that the server answers; test_malformed.py goes above.
TARGET_BYTES_MAX = 40000


@schemathesis.hook
def filter_case(context, case):
    parts = [str(v) for v in (*(case.path_parameters or {}).values(), *(case.query or {}).values(),
                              *(case.headers or {}).values())]
    return sum(len(urllib.parse.quote(part)) for part in parts) < TARGET_BYTES_MAX


@schemathesis.serializer("application/jsonl", "application/xml", "text/markdown")
def as_text(context, value):
    return str(value).encode()
