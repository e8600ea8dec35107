"""The contract: openapi.yaml as the server serves it, held against every answer of the tests.

Schemas are JSON Schema 2020-12, validated in full (jsonschema). The specification leaves objects
open, because clients must bear new keys; here they are closed, because a key that nobody declared
is a mistake.
"""
import atexit
import copy
import datetime
import json
import os
import pathlib
import re
import sys
import urllib.parse

import jsonschema

# Fields of HTTP itself, which the specification does not list at each answer.
GENERAL_HEADERS = {"access-control-allow-origin", "access-control-expose-headers",
                   "cache-control", "connection", "content-encoding", "content-length",
                   "content-type", "date", "vary", "x-content-type-options"}

FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def is_date_time(value):
    return not isinstance(value, str) or datetime.datetime.fromisoformat(value).tzinfo is not None


@FORMATS.checks("uri-reference", raises=ValueError)
def is_uri_reference(value):
    if isinstance(value, str):
        urllib.parse.urlsplit(value)
    return not isinstance(value, str) or not re.search(r"[\s<>\"{}|\\^`]", value)


def walk(node):
    """Every object of a JSON document."""
    if isinstance(node, dict):
        yield node
        node = node.values()
    if not isinstance(node, str) and hasattr(node, "__iter__"):
        for child in node:
            if isinstance(child, (dict, list)):
                yield from walk(child)


def close(spec):
    """Objects that list their properties may have no others. Parts of an allOf stay open, the whole
    is closed."""
    parts = [part for node in walk(spec) for part in node.get("allOf", [])]
    shared = {part.get("$ref") for part in parts}
    schemas = spec.get("components", {}).get("schemas", {})
    leave = {id(part) for part in parts}
    leave |= {id(schemas[name]) for name in schemas if "#/components/schemas/" + name in shared}
    for node in walk(spec):
        listed = isinstance(node.get("properties"), dict) or isinstance(node.get("allOf"), list)
        decided = "additionalProperties" in node or "unevaluatedProperties" in node
        if not listed or decided or id(node) in leave:
            continue
        node["unevaluatedProperties" if "allOf" in node else "additionalProperties"] = False
    return spec


def validate(value, schema, whole=None, where="$"):
    """One value against one schema whose objects are closed; its $refs point into whole."""
    document = close(copy.deepcopy({**schema, "components": (whole or {}).get("components", {})}))
    fail_on(validator_of(document), value, where)


def validator_of(schema):
    return jsonschema.Draft202012Validator(schema, format_checker=FORMATS)


def fail_on(validator, value, where):
    error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    if error is not None:
        raise AssertionError(f"{where}: {error.json_path}: {error.message:.300}")


class Contract:
    def __init__(self, spec):
        self.spec = spec
        self.closed = close(copy.deepcopy(spec))
        self.validators = {}
        # The most literal pattern first: what has more behind an {id} is the more special route.
        paths = sorted(spec["paths"], key=lambda p: (p.count("{"), -len(p)))
        self.patterns = [(re.compile(re.sub(r"\\\{\w+\\\}", ".+", re.escape(p)) + r"\Z"), p)
                         for p in paths]

    def follow(self, node):
        while "$ref" in node:
            target = self.closed
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def path_of(self, target):
        path = urllib.parse.urlsplit(target).path
        return next((name for pattern, name in self.patterns if pattern.match(path)), None)

    def validate(self, value, schema, where):
        """schema belongs to the closed specification; validators are kept by its identity."""
        if id(schema) not in self.validators:
            whole = {**schema, "components": self.closed["components"]}
            self.validators[id(schema)] = validator_of(whole)
        fail_on(self.validators[id(schema)], value, where)

    def check(self, method, target, answer):
        """answer has status, headers (names in lower case) and body. Raises AssertionError."""
        path = self.path_of(target)
        item = self.closed["paths"].get(path, {})
        where = f"{method} {path} answered {answer.status}"
        kind = answer.headers.get("content-type", "").split(";")[0].strip()
        self.check_problem(kind, answer, method, where)
        operation = item.get(method.lower()) if method.isupper() else None
        if method == "HEAD" and not operation:
            operation = item.get("get")  # which every GET answers, declared or not
        if method == "OPTIONS" and answer.status == 204:
            assert "allow" in answer.headers and not answer.body, where
            return
        if operation is None:
            # Not in the specification, so it must not work; 405 stands at the operations that do.
            assert answer.status >= 400, f"{where}, though this is not declared"
            if answer.status == 405:
                for name in item:
                    note(name, path, 405)
                assert "allow" in answer.headers, where
            return
        note(method.lower(), path, answer.status)
        declared = operation["responses"].get(str(answer.status))
        assert declared, f"{where}, which is not declared: {answer.body[:200]}"
        declared = self.follow(declared)
        self.check_headers(declared.get("headers", {}), answer, where)
        if method == "HEAD":
            assert not answer.body, where
            return
        content = declared.get("content", {})
        if not answer.body:
            assert not content or "text/plain" in content, f"{where} without a body"
            return
        assert kind in content, f"{where} with {kind}, which is not declared"
        if "x-lines" in content[kind]:
            for line in answer.body.splitlines():
                self.validate(json.loads(line), content[kind]["x-lines"], where)
        elif "json" in kind and "schema" in content[kind]:
            self.validate(json.loads(answer.body), content[kind]["schema"], where)

    def check_problem(self, kind, answer, method, where):
        if answer.status >= 400 and method != "HEAD":
            assert answer.body, f"{where} without a body"
        if kind != "application/problem+json" or not answer.body:
            return
        value = json.loads(answer.body)
        schemas = self.closed["components"]["schemas"]
        self.validate(value, schemas["Problem"], where)
        self.validate(value["type"].removeprefix("/problems/"), schemas["ProblemName"], where)
        assert value["status"] == answer.status, where
        assert value.get("request_id") == answer.headers.get("x-request-id"), where

    def check_headers(self, declared, answer, where):
        known = {name.lower(): self.follow(header) for name, header in declared.items()}
        # On every answer where a rate limit applies, as the specification's introduction says.
        headers = self.closed["components"]["headers"]
        known |= {"ratelimit": headers["RateLimit"], "ratelimit-policy": headers["RateLimitPolicy"]}
        for name, value in answer.headers.items():
            if name in GENERAL_HEADERS:
                continue
            assert name in known, f"{where} with the header {name}, which is not declared"
            schema = known[name]["schema"]
            kind = self.follow(schema).get("type")
            if kind == "integer" and re.fullmatch(r"-?\d+", value):
                value = int(value)
            self.validate(value, schema, f"{where}, header {name}")
        for name, header in known.items():
            assert not header.get("required") or name in answer.headers, f"{where} without {name}"


# --- what was provoked, for tests/http/test_coverage.py ---

LOG = os.environ.get("MEDICUS_CONTRACT_LOG")
noted = set()


def note(method, path, status):
    noted.add((method, path, status))


def write_log():
    folder = pathlib.Path(LOG)
    folder.mkdir(parents=True, exist_ok=True)
    name = pathlib.Path(sys.argv[0]).stem + ".json"
    (folder / name).write_text(json.dumps(sorted(noted)), encoding="ascii")


if LOG:
    atexit.register(write_log)
