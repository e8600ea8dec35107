"""MCP: every revision's handshake, tools, resources and mistakes, over HTTP and over stdio."""
import copy
import json
import os
import random
import subprocess
import unittest

from support import BIN, HANG, ROOT, Server, WithServer, make_data, run, temp_folder, validate
from test_lifecycle import add_generation, wait_for

SPEC = json.loads((ROOT / "api-spec/mcp-tools.json").read_text())
LEGACY = ("2025-03-26", "2025-06-18", "2025-11-25")
MODERN = "2026-07-28"
META = {"io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"}}
CAPABILITIES = {"tools": {}, "resources": {}, "prompts": {}, "completions": {}}
PROMPTS = [{k: v for k, v in p.items() if k != "text"} for p in SPEC["prompts"]]
PARSE, REQUEST, METHOD, PARAMS, MISMATCH, VERSION = (-32700, -32600, -32601, -32602, -32020, -32022)


def message(method, params=None, number=1):
    return {"jsonrpc": "2.0", "id": number, "method": method,
            **({} if params is None else {"params": params})}


def modern(method, params=None, number=1, meta=None):
    return message(method, {**(params or {}), "_meta": META if meta is None else meta}, number)


def headers_of(value):
    """What the modern revision repeats of a request in its header."""
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": value["method"]}
    name = value["params"].get("name") or value["params"].get("uri")
    return {**headers, "Mcp-Name": name} if isinstance(name, str) else headers


def schema_of(tool):
    return next(t for t in SPEC["tools"] if t["name"] == tool)["outputSchema"]


class Http(WithServer):
    def send(self, value, status=200, **headers):
        answer = self.server.post("/mcp", value, Accept="application/json, text/event-stream",
                                  **headers)
        self.assertEqual(answer.status, status, answer.body)
        return answer

    def error(self, value, code, status=200, **headers):
        answer = self.send(value, status, **headers).json
        self.assertEqual(answer["jsonrpc"], "2.0")
        self.assertEqual(answer["error"]["code"], code, answer)
        self.assertTrue(answer["error"]["message"])
        return answer

    def result(self, value, **headers):
        answer = self.send(value, **headers).json
        self.assertEqual(answer["id"], value["id"])
        return answer["result"]

    def ask(self, method, params=None):
        """A request of the modern revision."""
        value = modern(method, params)
        return self.result(value, **headers_of(value))

    def call(self, tool, arguments):
        result = self.ask("tools/call", {"name": tool, "arguments": arguments})
        self.assertEqual([c["type"] for c in result["content"]], ["text"])
        if result["isError"]:
            return result["content"][0]["text"]
        self.assertEqual(json.loads(result["content"][0]["text"]), result["structuredContent"])
        validate(result["structuredContent"], schema_of(tool), {})
        return result["structuredContent"]


class Protocol(Http):
    def test_each_legacy_revision_shakes_hands(self):
        for revision in LEGACY:
            hello = self.result(message("initialize", {
                "protocolVersion": revision, "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"}}))
            self.assertEqual(hello["protocolVersion"], revision)
            self.assertEqual(hello["capabilities"], CAPABILITIES)
            self.assertEqual(hello["serverInfo"]["name"], "medicus")
            self.assertEqual(hello["instructions"], SPEC["instructions"])
            self.assertNotIn("resultType", hello)
            version = {"MCP-Protocol-Version": revision}
            answer = self.send({"jsonrpc": "2.0", "method": "notifications/initialized"}, 202,
                               **version)
            self.assertEqual(answer.body, b"")
            self.assertNotIn("mcp-session-id", answer.headers)
            self.assertEqual(self.result(message("ping"), **version), {})
            self.assertEqual(self.result(message("tools/list"), **version),
                             {"tools": SPEC["tools"]})
            self.assertEqual(self.result(message("resources/list", {}), **version),
                             {"resources": SPEC["resources"]})
            self.assertEqual(self.result(message("prompts/list"), **version),
                             {"prompts": PROMPTS})
            found = self.result(message("tools/call", {
                "name": "search", "arguments": {"query": "asthma"}}), **version)
            self.assertTrue(found["structuredContent"]["results"])

    def test_an_unknown_revision_is_answered_with_the_newest_handshake(self):
        for revision in ("2024-11-05", "2099-01-01", MODERN, ""):
            hello = self.result(message("initialize", {"protocolVersion": revision}))
            self.assertEqual(hello["protocolVersion"], LEGACY[-1])

    def test_the_modern_revision_needs_no_handshake(self):
        found = self.ask("server/discover")
        self.assertEqual(found["supportedVersions"], [MODERN, *reversed(LEGACY)])
        self.assertEqual(found["capabilities"], CAPABILITIES)
        self.assertEqual(found["instructions"], SPEC["instructions"])
        for method, key, items in (("server/discover", "supportedVersions", None),
                                   ("tools/list", "tools", SPEC["tools"]),
                                   ("resources/list", "resources", SPEC["resources"]),
                                   ("prompts/list", "prompts", PROMPTS),
                                   ("resources/templates/list", "resourceTemplates",
                                    SPEC["resourceTemplates"])):
            result = self.ask(method)
            self.assertEqual(result["resultType"], "complete")
            self.assertGreaterEqual(result["ttlMs"], 0)
            self.assertEqual(result["cacheScope"], "public")
            server = result["_meta"]["io.modelcontextprotocol/serverInfo"]
            self.assertEqual(server["name"], "medicus")
            if items is not None:
                self.assertEqual(result[key], items)
        self.assertEqual(self.ask("tools/call", {"name": "search", "arguments": {"query": "gout"}})
                         ["resultType"], "complete")

    def test_what_the_modern_revision_removed_is_not_there(self):
        for method in ("initialize", "ping", "logging/setLevel", "resources/subscribe",
                       "subscriptions/listen", "tasks/get", "nonsense", ""):
            value = modern(method, {"protocolVersion": MODERN}, "a")
            self.assertEqual(self.error(value, METHOD, 404, **headers_of(value))["id"], "a")
            if method not in ("initialize", "ping"):
                self.error(message(method), METHOD)

    def test_modern_requests_bring_their_metadata(self):
        def without(key):
            return {k: v for k, v in META.items() if not k.endswith(key)}
        key = "io.modelcontextprotocol/"
        for meta in ({}, without("Version"), without("Capabilities"),
                     {**META, key + "protocolVersion": 1}, {**META, key + "clientInfo": "me"},
                     {**META, key + "clientCapabilities": []}):
            value = modern("tools/list", meta=meta)
            self.error(value, PARAMS, 400, **headers_of(value))
        for params in (None, {}, {"_meta": 5}):
            self.error(message("server/discover", params), PARAMS, 400,
                       **{"MCP-Protocol-Version": MODERN, "Mcp-Method": "server/discover"})
            self.error(message("server/discover", params), PARAMS, 400)
        value = modern("tools/list", meta=without("clientInfo"))
        self.result(value, **headers_of(value))

    def test_headers_must_say_what_the_body_says(self):
        listing = modern("tools/list")
        calling = modern("tools/call", {"name": "search", "arguments": {"query": "gout"}})
        reading = modern("resources/read", {"uri": "medicus://document/pmid:990000101"})
        for value in (listing, calling, reading):
            good = headers_of(value)
            self.result(value, **good)
            self.result(value, **{k.upper(): v for k, v in good.items()})
            for name in good:
                missing = {k: v for k, v in good.items() if k != name}
                self.error(value, MISMATCH, 400, **missing)
                for other in ("x", good[name].upper() + "x", "=?base64?@@@@?=", ""):
                    self.error(value, MISMATCH, 400, **{**good, name: other})
        good = headers_of(calling)
        self.result(calling, **{**good, "Mcp-Name": "=?base64?c2VhcmNo?="})
        self.error(calling, MISMATCH, 400, **{**good, "Mcp-Name": "=?base64?ZmV0Y2g=?="})
        self.error(calling, MISMATCH, 400, **{**good, "MCP-Protocol-Version": LEGACY[0]})

    def test_a_header_sent_twice_is_refused(self):
        body = json.dumps(modern("tools/list"))
        c = self.server.connection()
        c.putrequest("POST", "/mcp")
        for name, value in (("Content-Type", "application/json"), ("Mcp-Method", "tools/call"),
                            ("Mcp-Method", "tools/list"), ("MCP-Protocol-Version", MODERN),
                            ("Content-Length", str(len(body)))):
            c.putheader(name, value)
        c.endheaders(body.encode())
        r = c.getresponse()
        self.assertEqual((r.status, json.loads(r.read())["error"]["code"]), (400, MISMATCH))
        c.close()

    def test_unsupported_revisions_name_the_supported_ones(self):
        meta = {**META, "io.modelcontextprotocol/protocolVersion": "1900-01-01"}
        for value in (modern("tools/list", meta=meta), message("tools/list")):
            answer = self.error(value, VERSION, 400, **{"MCP-Protocol-Version": "1900-01-01",
                                                        "Mcp-Method": "tools/list"})
            self.assertEqual(answer["error"]["data"],
                             {"supported": [MODERN, *reversed(LEGACY)], "requested": "1900-01-01"})

    def test_malformed_messages(self):
        for body in ("", "{", "nonsense", '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
                     b'{"jsonrpc":"2.0","method":"\xff"}', "[" * 100000):
            answer = self.error(body, PARSE, 400)
            self.assertIsNone(answer["id"])
            self.assertNotIn("id", self.error(body, PARSE, 400,
                                              **{"MCP-Protocol-Version": MODERN}))
        for value in (1, "a", None, True, {}, {"jsonrpc": "2.0"}, {"id": 1, "method": "ping"},
                      {**message("ping"), "jsonrpc": "1.0"}, {**message("ping"), "jsonrpc": 2},
                      {**message("ping"), "id": None}, {**message("ping"), "id": 1.5},
                      {**message("ping"), "id": [1]}, {**message("ping"), "id": True},
                      {**message("ping"), "method": 5}, {**message("ping"), "method": None}):
            self.error(json.dumps(value), REQUEST, 400)
        for params in ([], "a", 1, None, True):
            self.error({**message("ping"), "params": params}, PARAMS)

    def test_ids_come_back_as_they_were(self):
        for number in (0, -1, 2 ** 53, "", "a\"b\u00e9\n"):
            self.assertEqual(self.result(message("ping", number=number)), {})

    def test_notifications_and_answers_are_taken_silently(self):
        for value in ({"jsonrpc": "2.0", "method": "notifications/cancelled",
                       "params": {"requestId": 1}},
                      {"jsonrpc": "2.0", "method": "tools/list"},
                      {"jsonrpc": "2.0", "method": "nonsense"},
                      {"jsonrpc": "2.0", "id": 1, "result": {}},
                      {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": ""}}):
            self.assertEqual(self.send(value, 202).body, b"")

    def test_batches_belong_to_one_revision(self):
        batch = [message("ping", number=1), {"jsonrpc": "2.0", "method": "notifications/x"},
                 message("tools/call", {"name": "search", "arguments": {"query": "gout"}}, "s"),
                 message("nonsense", number=3), 5, message("initialize", {}, 4)]
        for headers in ({}, {"MCP-Protocol-Version": LEGACY[0]}):
            answers = self.send(batch, **headers).json
            self.assertEqual([a["id"] for a in answers], [1, "s", 3, None, 4])
            self.assertTrue(answers[1]["result"]["structuredContent"]["results"])
            self.assertEqual([a.get("error", {}).get("code") for a in answers],
                             [None, None, METHOD, REQUEST, REQUEST])
        self.assertEqual(self.send([batch[1]], 202).body, b"")
        self.assertEqual(self.send([modern("tools/list")]).json[0]["error"]["code"], REQUEST)
        for value in ([], [message("ping")] * 17):
            self.error(value, REQUEST, 400)
        for revision in (*LEGACY[1:], MODERN):
            self.error(batch, REQUEST, 400, **{"MCP-Protocol-Version": revision})

    def test_parameters_of_every_method(self):
        for params in ({}, {"protocolVersion": 5}, {"protocolVersion": None},
                       {"protocolVersion": LEGACY[0], "capabilities": []},
                       {"protocolVersion": LEGACY[0], "clientInfo": "me"}):
            self.error(message("initialize", params), PARAMS)
        for method in ("tools/list", "resources/list", "resources/templates/list", "prompts/list"):
            for cursor in ("x", 1, None):
                self.error(message(method, {"cursor": cursor}), PARAMS)
        for params in (None, {}, {"name": 1}, {"name": "nope"}, {"name": "Search"},
                       {"name": "search", "arguments": []},
                       {"name": "search", "arguments": "gout"},
                       {"name": "search", "arguments": None}):
            self.error(message("tools/call", params), PARAMS)
            value = modern("tools/call", params)
            self.error(value, PARAMS, 400, **headers_of(value))
        for params in (None, {}, {"name": 1}, {"name": "nope"}, {"name": "appraise_document"},
                       {"name": "appraise_document", "arguments": []},
                       {"name": "appraise_document", "arguments": {}},
                       {"name": "appraise_document", "arguments": {"id": 5}},
                       {"name": "appraise_document", "arguments": {"id": " "}},
                       {"name": "appraise_document", "arguments": {"id": "a", "b": "c"}}):
            self.error(message("prompts/get", params), PARAMS)
        prompt, topic = {"type": "ref/prompt", "name": "overview_of_topic"}, {"name": "topic"}
        for params in (None, {}, {"ref": prompt}, {"ref": prompt, "argument": topic},
                       {"ref": prompt, "argument": {**topic, "value": 5}},
                       {"ref": {"type": "ref/prompt"}, "argument": {**topic, "value": "a"}},
                       {"ref": {**prompt, "name": "nope"}, "argument": {**topic, "value": "a"}},
                       {"ref": {**prompt, "type": "ref/x"}, "argument": {**topic, "value": "a"}}):
            self.error(message("completion/complete", params), PARAMS)
        for params in (None, {}, {"uri": 1}, {"uri": ""}, {"uri": "medicus://document/"},
                       {"uri": "file:///etc/passwd"}, {"uri": "medicus://document/a%00b"},
                       {"uri": "medicus://document/%ff"}):
            self.error(message("resources/read", params), PARAMS)


class Prompts(Http):
    def test_a_prompt_carries_the_callers_words_and_nothing_else_changes(self):
        for prompt in SPEC["prompts"]:
            name = prompt["arguments"][0]["name"]
            for words in ("stopping beta-blockers?", '{id} "and" {question}\n\u00e9', "}{"):
                got = self.ask("prompts/get", {"name": prompt["name"], "arguments": {name: words}})
                self.assertEqual(got["description"], prompt["description"])
                self.assertEqual(got["messages"], [{"role": "user", "content": {
                    "type": "text", "text": prompt["text"].replace("{" + name + "}", words)}}])

    def test_a_topic_is_completed_from_the_vocabularies(self):
        def complete(ref, argument, value):
            return self.ask("completion/complete", {
                "ref": ref, "argument": {"name": argument, "value": value}})["completion"]
        topic = {"type": "ref/prompt", "name": "overview_of_topic"}
        self.assertEqual(complete(topic, "topic", "sodium-gl"),
                         {"values": ["sodium-glucose cotransporter 2"], "hasMore": False})
        for ref, argument, value in ((topic, "topic", ""), (topic, "topic", "zymurgy"),
                                     (topic, "other", "sodium"),
                                     ({**topic, "name": "appraise_document"}, "id", "pmid:99"),
                                     ({"type": "ref/resource",
                                       "uri": SPEC["resourceTemplates"][0]["uriTemplate"]},
                                      "id", "pmid:99")):
            self.assertEqual(complete(ref, argument, value), {"values": [], "hasMore": False})

    def test_the_library_describes_itself(self):
        content, = self.ask("resources/read", {"uri": "medicus://library"})["contents"]
        self.assertEqual(content["mimeType"], "application/json")
        library = json.loads(content["text"])
        index = json.loads(run("info", "--data", self.data, "--json").stdout)["index"]
        for key in ("documents", "passages", "generation", "index_date", "last_input"):
            self.assertEqual(library[key], index[key], key)


class Tools(Http):
    def test_what_search_finds_fetch_reads(self):
        found = self.call("search", {"query": "stopping beta-blockers", "limit": 3})
        self.assertEqual(len(found["results"]), 3)
        for result in found["results"]:
            passage = self.call("fetch", {"id": result["id"]})
            self.assertEqual((passage["id"], passage["title"], passage["url"]),
                             (result["id"], result["title"], result["url"]))
            validate(passage["metadata"], {"required": ["document_id", "truncated", "authors",
                                                        "flags", "sections", "links"]}, {})
            whole = self.call("fetch", {"id": passage["metadata"]["document_id"]})
            self.assertIn(passage["text"], whole["text"])
            self.assertEqual(whole["url"], result["url"])
            uri = "medicus://document/" + passage["metadata"]["document_id"]
            for spelling in (uri, uri.replace(":", "%3A").replace("%3A//", "://")):
                content = self.ask("resources/read", {"uri": spelling})["contents"]
                self.assertEqual((content[0]["uri"], content[0]["mimeType"]),
                                 (spelling, "text/markdown"))
                self.assertIn("# " + whole["title"], content[0]["text"])

    def test_pages_and_filters(self):
        ten = self.call("search", {"query": "treatment", "limit": 10})["results"]
        for tool, first in (("search", {"query": "treatment"}),
                            ("similar", {"id": "pmid:990000101"})):
            ten = self.call(tool, {**first, "limit": 10})["results"]
            page = self.call(tool, {**first, "limit": 4})
            after = self.call(tool, {**first, "limit": 6, "cursor": page["next_cursor"]})
            self.assertEqual([r["id"] for r in ten],
                             [r["id"] for r in page["results"] + after["results"]])
            self.assertIn("another request", self.call(tool, {
                **first, "filters": {"year": "2020"}, "cursor": page["next_cursor"]}))
        for filters, holds in (({"year": "2019..2021"}, lambda r: 2019 <= r["year"] <= 2021),
                               ({"source": ["guideline"]}, lambda r: r["source"] == "guideline"),
                               ({"evidence": ["randomized-trial"]},
                                lambda r: r["evidence"] == "randomized-trial"),
                               ({"retracted": "exclude"},
                                lambda r: "retracted" not in r["flags"]),
                               ({"retracted": "only"}, lambda r: "retracted" in r["flags"]),
                               ({"type": ["Randomized Controlled Trial"]}, lambda r: r),
                               ({"mesh": ["Humans", "Aged"], "language": ["English"]},
                                lambda r: r),
                               ({"has_abstract": True}, lambda r: r)):
            results = self.call("search", {"query": "treatment", "filters": filters})["results"]
            self.assertTrue(results and all(map(holds, results)), filters)
        years = [r["year"] for r in self.call("search", {"query": "treatment", "sort": "date"})
                 ["results"]]
        self.assertEqual(years, sorted(years, reverse=True))
        for mode in ("hybrid", "lexical", "dense"):
            self.assertEqual(self.call("search", {"query": "gout", "mode": mode})["mode"], mode)
        none = self.call("search", {"query": "zzzzqqq", "mode": "lexical"})
        self.assertEqual(none["results"], [])
        self.assertTrue(none["notices"])

    def test_every_declared_argument_works_and_no_other(self):
        examples = {"query": "gout", "limit": 1, "mode": "lexical",
                    "sort": "date", "expand": False, "authority_weight": 0.5,
                    "response_format": "detailed",
                    "filters": {"year": "2010..", "source": ["pubmed"], "evidence": ["trial"],
                                "type": ["Journal Article"], "mesh": ["Gout", "Aged"],
                                "journal": ["Gut"], "language": ["eng"],
                                "retracted": "exclude", "has_abstract": True},
                    "id": "pmid:990000101", "sections": ["abstract"], "max_tokens": 500,
                    "window": 1, "view": "outline", "start_byte": 1}
        for tool in SPEC["tools"]:
            properties = tool["inputSchema"]["properties"]
            required = {k: examples[k] for k in tool["inputSchema"]["required"]}
            for name in properties:
                if name == "cursor":
                    page = self.call(tool["name"], {**required, "limit": 1})
                    examples[name] = page["next_cursor"]
                if name != "filters":
                    answer = self.call(tool["name"], {**required, name: examples[name]})
                    self.assertIsInstance(answer, dict, name)
            filters = properties.get("filters", {}).get("properties", {})
            for name in filters:
                answer = self.call(tool["name"], {**required,
                                                  "filters": {name: examples["filters"][name]}})
                self.assertIsInstance(answer, dict, (tool["name"], name, answer))
            for name in set(examples["filters"]) - set(filters):
                if filters:
                    self.assertIn("unknown argument", self.call(tool["name"], {
                        **required, "filters": {name: examples["filters"][name]}}))
            self.assertIn("unknown argument", self.call(tool["name"], {**required, "foo": 1}))
            hints = tool["annotations"]
            self.assertEqual((hints["readOnlyHint"], hints["idempotentHint"],
                              hints["openWorldHint"]), (True, True, False))
        self.assertIn('"limit"', self.call("search", {"query": "gout", "limt": 3}))
        self.assertIn('"filters"', self.call("search", {"query": "gout", "year": "2019"}))
        filters = SPEC["tools"][0]["inputSchema"]["properties"]["filters"]["properties"]
        self.assertEqual(set(filters), set(examples["filters"]))
        for name in ("explain", "q", "group_by", "fusion"):
            self.assertIn("unknown argument", self.call("search", {"query": "gout", name: "x"}))

    def test_wrong_arguments_are_results_that_help(self):
        for arguments in ({}, {"query": ""}, {"query": "  "}, {"query": 5}, {"query": None},
                          {"query": "a" * 20000}, {"query": "a", "limit": 0},
                          {"query": "a", "limit": 51}, {"query": "a", "limit": "5"},
                          {"query": "a", "limit": 1.5}, {"query": "a", "offset": 1},
                          {"query": "a", "cursor": 1}, {"query": "a", "cursor": "x"},
                          {"query": "a", "max_tokens": 0}, {"query": "a", "max_tokens": 200001},
                          {"query": "a", "max_tokens": 1}, {"query": "a", "mode": "fast"},
                          {"query": "a", "mode": 1}, {"query": "a", "sort": "year"},
                          {"query": "a", "filters": {"mesh": []}},
                          {"query": "a", "filters": {"mesh": [1]}}, {"query": "a", "filters": []},
                          {"query": "a", "filters": {"year": "19"}},
                          {"query": "a", "filters": {"source": ["web"]}},
                          {"query": "a", "filters": {"evidence": 5}},
                          {"query": "a", "filters": {"retracted": "yes"}},
                          {"query": "a", "filters": {"retracted": True}},
                          {"query": "a", "filters": [5]}, {"query": "a", "expand": "yes"},
                          {"query": "a", "authority_weight": 2},
                          {"query": "a", "response_format": "long"},
                          {"query": "a", "filters": {"yaer": "2019"}},
                          {"query": "a", "filters": {"limit": 1}}):
            sentence = self.call("search", arguments)
            self.assertTrue(sentence.startswith("search: "), arguments)
            self.assertNotIn("?.", sentence)
        for arguments in ({}, {"id": ""}, {"id": 5}, {"id": None}, {"id": "nope"},
                          {"id": "pmid:1"}, {"id": "pmid:990000101~9999"}, {"id": "a" * 500},
                          {"id": "pmid:990000101", "max_tokens": 0},
                          {"id": "pmid:990000101", "max_tokens": "9"},
                          {"id": "pmid:990000101", "max_tokens": 200001},
                          {"id": "pmid:990000101", "sections": "abstract"},
                          {"id": "pmid:990000101", "sections": [1]},
                          {"id": "pmid:990000101", "sections": ["nope"]},
                          {"id": "pmid:990000101", "sections": ["a"] * 33}):
            sentence = self.call("fetch", arguments)
            self.assertTrue(sentence.startswith("fetch: "), arguments)
            self.assertTrue(sentence.endswith("."), sentence)

        for arguments in ({}, {"id": ""}, {"id": 5}, {"id": "pmid:1"}, {"id": "nope"},
                          {"id": "pmid:990000101", "limit": 51},
                          {"id": "pmid:990000101", "query": "a"},
                          {"id": "pmid:990000101", "year": "2019"},
                          {"id": "pmid:990000101", "filters": {"mesh": ["Gout"]}}):
            sentence = self.call("similar", arguments)
            self.assertTrue(sentence.startswith("similar: "), arguments)
        for arguments in ({}, {"query": ""}, {"query": 5}, {"query": "a", "limit": 0},
                          {"query": "a", "limit": 101}, {"query": "a", "limit": "5"},
                          {"q": "a"}):
            sentence = self.call("terms", arguments)
            self.assertTrue(sentence.startswith("terms: "), arguments)

    def test_similar_answers_as_rest_does(self):
        path = "/v1/documents/pmid%3A990000101/similar?limit=3&year=2019.."
        rest = self.server.get(path).json
        tool = self.call("similar", {"id": "pmid:990000101", "limit": 3,
                                     "filters": {"year": "2019.."}})
        self.assertEqual(tool, rest)
        self.assertEqual(len(tool["results"]), 3)
        self.assertNotIn("pmid:990000101", [r["id"].split("~")[0] for r in tool["results"]])
        for result in tool["results"]:
            self.assertEqual(self.call("fetch", {"id": result["id"]})["title"], result["title"])

    def test_terms_answers_as_rest_does(self):
        tool = self.call("terms", {"query": "SGLT2"})
        self.assertEqual(tool["terms"][0]["kind"], "abbreviation")
        self.assertIn("sodium-glucose", tool["terms"][0]["name"])
        self.assertEqual(tool, self.server.get("/v1/terms?q=SGLT2&limit=5").json)
        none = self.call("terms", {"query": "zymurgy", "limit": 1})
        self.assertEqual(none["terms"], [])
        self.assertTrue(none["notices"])

    def test_answers_are_short(self):
        """4 characters count as a token."""
        found = self.ask("tools/call", {"name": "search", "arguments": {"query": "treatment"}})
        self.assertEqual(len(found["structuredContent"]["results"]), 10)
        self.assertLess(len(found["content"][0]["text"]) / 4, 1500)
        tools = json.dumps(self.ask("tools/list")["tools"], separators=(",", ":"))
        self.assertLess(len(tools) / 4, 3000)

    def test_budgets_of_searches(self):
        for most in (400, 700, 1500):
            for shape in ("concise", "detailed"):
                result = self.ask("tools/call", {"name": "search", "arguments": {
                    "query": "treatment of asthma", "limit": 20, "max_tokens": most,
                    "response_format": shape}})
                text = result["content"][0]["text"]
                self.assertLessEqual(len(text.encode()) / 4, most)
                self.assertTrue(result["structuredContent"]["truncated"])
        arguments = {"query": "treatment", "limit": 50, "response_format": "detailed"}
        result = self.ask("tools/call", {"name": "search", "arguments": arguments})
        text = result["content"][0]["text"]
        self.assertLessEqual(len(text.encode()) / 4, 8000)
        self.assertGreater(len(text.encode()) / 4, 4000)

    def test_a_budget_cuts_and_says_where_to_go_on(self):
        guideline = "guideline:asthma-reliever-therapy"
        whole = self.call("fetch", {"id": guideline})
        for most in (400, 700):
            words, start = [], 0
            while True:
                result = self.ask("tools/call", {"name": "fetch", "arguments": {
                    "id": guideline, "max_tokens": most, "start_byte": start}})
                self.assertLessEqual(len(result["content"][0]["text"].encode()) / 4, most)
                answer = result["structuredContent"]
                words += answer["text"].split()
                if not answer["metadata"]["truncated"]:
                    break
                self.assertGreater(answer["metadata"]["next_start_byte"], start)
                start = answer["metadata"]["next_start_byte"]
            self.assertEqual(words, whole["text"].split())
        self.assertTrue(self.call("fetch", {"id": whole["id"], "sections": [
            whole["metadata"]["sections"][-1]]})["text"])
        needed = int(self.call("fetch", {"id": guideline, "max_tokens": 9}).split("at least ")[1]
                     .split(".")[0])
        self.assertTrue(self.call("fetch", {"id": guideline, "max_tokens": needed})["text"])

    def test_an_outline_and_the_neighbours_of_a_passage(self):
        guideline = "guideline:asthma-reliever-therapy"
        whole = self.call("fetch", {"id": guideline})
        outline = self.call("fetch", {"id": guideline, "view": "outline"})
        self.assertLess(len(outline["text"]), len(whole["text"]) / 3)
        for path in whole["metadata"]["sections"]:
            self.assertIn(path.split(" > ")[-1], outline["text"])
        self.assertIn("~2", outline["text"])
        texts = [self.call("fetch", {"id": f"{guideline}~{n}"})["text"] for n in (1, 2, 3)]
        three = self.call("fetch", {"id": f"{guideline}~2", "window": 1})
        self.assertTrue(three["text"].startswith(texts[0]))
        self.assertIn(texts[1], three["text"])
        self.assertTrue(three["text"].endswith(texts[2]))
        for wrong in ({"window": 21}, {"window": "1"}, {"view": "x"}, {"start_byte": 10 ** 7}):
            self.assertTrue(self.call("fetch", {"id": guideline, **wrong}).startswith("fetch: "))

    def test_resources_that_do_not_exist(self):
        uri = "medicus://document/pmid:1"
        answer = self.error(message("resources/read", {"uri": uri}), -32002)
        self.assertEqual(answer["error"]["data"], {"uri": uri})
        value = modern("resources/read", {"uri": uri})
        answer = self.error(value, PARAMS, 400, **headers_of(value))
        self.assertEqual(answer["error"]["data"], {"uri": uri})
        answer = self.error(message("resources/read", {"uri": "test://other"}), PARAMS)
        self.assertEqual(answer["error"]["data"], {"uri": "test://other"})

    def test_a_retracted_article_says_so(self):
        metadata = self.call("fetch", {"id": "pmid:990000804"})["metadata"]
        self.assertIn("retracted", metadata["flags"])
        self.assertIn("pmid:990000805", [link.get("id") for link in metadata["links"]])


class Transport(Http):
    flags = ("--allow-origin", "https://desk.example.org, https://other.example:8443")

    def test_methods(self):
        for method in ("GET", "HEAD", "DELETE", "PUT"):
            answer = self.server.request(method, "/mcp", headers={"Accept": "text/event-stream"})
            self.assertEqual(answer.status, 405)
            self.assertEqual(answer.headers["allow"], "POST, OPTIONS")

    def test_origins(self):
        ping = message("ping")
        for origin in ("http://localhost", "http://localhost:6274", "https://127.0.0.1:8080",
                       "http://[::1]:3000", "https://desk.example.org",
                       "https://other.example:8443"):
            self.send(ping, Origin=origin)
        for origin in ("https://example.org", "http://desk.example.org", "null", "",
                       "https://other.example", "http://localhost.example.org",
                       "http://127.0.0.1.example.org", "http://example.org:localhost",
                       "http://localhost@example.org", "ftp://localhost", "localhost"):
            error = self.error(ping, -32000, 403, Origin=origin)["error"]
            self.assertEqual(error["data"]["type"], "/problems/forbidden")
            self.problem(self.server.get("/mcp", Origin=origin), "forbidden", 403)

    def test_keys(self):
        with temp_folder() as folder:
            data = make_data(folder)
            key = run("key", "--data", data, "add", "k", "--quiet", "--rate", "2/h").stdout
            with Server(data) as server:
                for number, headers in ((1, {}), (2, {"Authorization": "Bearer nope"})):
                    answer = server.post("/mcp", message("ping"), **headers)
                    self.assertEqual(answer.status, 401)
                    self.assertIn("Bearer", answer.headers["www-authenticate"])
                    self.assertEqual(answer.json["error"]["code"], -32000)
                    self.assertIsNone(answer.json["id"])
                    self.assertRegex(answer.json["error"]["message"],
                                     "Authorization: Bearer KEY" if number == 1 else "not known")
                    self.assertEqual(answer.json["error"]["data"]["type"], "/problems/unauthorized")
                value = modern("tools/list")
                refused = server.post("/mcp", value, **headers_of(value))
                self.assertEqual((refused.status, "id" in refused.json), (401, False))
                self.problem(server.get("/mcp"), "unauthorized", 401)
                good = {"Authorization": "Bearer " + key.decode().strip()}
                statuses = [server.post("/mcp", message("ping"), **good) for _ in range(3)]
                self.assertEqual([a.status for a in statuses], [200, 200, 429])
                self.assertIn("retry-after", statuses[2].headers)
                self.assertEqual(statuses[2].json["error"]["data"]["type"],
                                 "/problems/rate-limited")

    def test_bodies(self):
        self.problem(self.server.post("/mcp", "a" * (1 << 20) + "a"), "payload-too-large", 413)
        answer = self.server.request("POST", "/mcp", body=json.dumps(message("ping")),
                                     headers={"Content-Type": "text/plain"})
        self.problem(answer, "unsupported-media-type", 415)
        self.problem(self.server.post("/mcp", message("ping"), Accept="text/event-stream"),
                     "not-acceptable", 406)
        self.assertEqual(self.send(message("ping")).headers["content-type"], "application/json")
        self.assertEqual(self.send(message("ping")).headers["cache-control"], "no-store")

    def test_metrics_and_logs(self):
        secret = "zebrafishsecret"
        self.call("search", {"query": secret})
        metrics = self.server.get("/metrics").body.decode()
        self.assertRegex(metrics, r'requests_total\{route="mcp",status="200"\} [1-9]')
        self.assertRegex(metrics, r'stage_seconds_count\{stage="lexical"\} [1-9]')
        self.assertNotIn(secret, metrics + "".join(self.server.log))

    def test_a_cursor_outlives_its_generation(self):
        with temp_folder() as folder:
            data = make_data(folder / "data")
            with Server(data) as server:
                def call(arguments):
                    result = server.post("/mcp", message("tools/call", {
                        "name": "search", "arguments": arguments})).json["result"]
                    return result.get("structuredContent") or result["content"][0]["text"]
                query = {"query": "asthma", "limit": 3}
                ten = call({**query, "limit": 6})["results"]
                first = call(query)
                number = add_generation(data)
                wait_for(lambda: call(query)["generation"] == number, "the swap")
                second = call({**query, "cursor": first["next_cursor"]})
                self.assertEqual((first["generation"], second["generation"]), (1, 1))
                self.assertEqual([r["id"] for r in first["results"] + second["results"]],
                                 [r["id"] for r in ten])
            with Server(data, "--cursor-seconds", "0") as server:
                self.assertIn("no longer served", call({**query, "cursor": first["next_cursor"]}))

    def test_without_an_index(self):
        with temp_folder() as empty, Server(empty / "later", "--wait") as server:
            def ask(value):
                return server.post("/mcp", value).json["result"]
            self.assertEqual(ask(message("tools/list"))["tools"], SPEC["tools"])
            self.assertEqual(server.post("/mcp", message("resources/read", {
                "uri": "medicus://library"})).json["error"]["code"], -32603)
            for tool, arguments in (("search", {"query": "a"}), ("fetch", {"id": "a"}),
                                    ("similar", {"id": "a"}), ("terms", {"query": "a"})):
                result = ask(message("tools/call", {"name": tool, "arguments": arguments}))
                self.assertTrue(result["isError"])
                self.assertIn("medicus build", result["content"][0]["text"])


class Stdio(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = temp_folder()
        cls.data = make_data(cls.folder.__enter__())

    @classmethod
    def tearDownClass(cls):
        cls.folder.__exit__(None, None, None)

    def talk(self, *lines, end=b"\n"):
        """Sends lines, closes stdin; the answers, one per line of stdout."""
        data = b"\n".join(v if isinstance(v, bytes) else json.dumps(v).encode() for v in lines)
        result = run("mcp", "--data", self.data, stdin=data + end)
        self.assertIn(b"serving generation", result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def test_a_session_of_each_revision(self):
        for revision in LEGACY:
            answers = self.talk(
                message("initialize", {"protocolVersion": revision}, 1),
                {"jsonrpc": "2.0", "method": "notifications/initialized"},
                message("ping", number=2), b"", b"   ",
                message("tools/call", {"name": "search", "arguments": {"query": "gout"}}, 3),
                [message("ping", number=4)], message("tools/list", number=5))
            self.assertEqual(answers[0]["result"]["protocolVersion"], revision)
            self.assertEqual([a.get("id") if isinstance(a, dict) else "batch" for a in answers],
                             [1, 2, 3, "batch" if revision == LEGACY[0] else None, 5])
            self.assertEqual(answers[-1]["result"]["tools"], SPEC["tools"])
        answers = self.talk(modern("server/discover"), modern("tools/list", number=2),
                            modern("ping", number=3), message("ping", number=4))
        self.assertEqual([a["id"] for a in answers], [1, 2, 3, 4])
        self.assertEqual(answers[1]["result"]["tools"], SPEC["tools"])
        self.assertEqual(answers[2]["error"]["code"], METHOD)
        self.assertEqual(answers[3]["result"], {})

    def test_search_then_fetch(self):
        found = self.talk(message("tools/call", {"name": "search",
                                                 "arguments": {"query": "asthma reliever"}}))
        first = found[0]["result"]["structuredContent"]["results"][0]
        read = self.talk(message("tools/call", {"name": "fetch",
                                                "arguments": {"id": first["id"]}}))
        self.assertEqual(read[0]["result"]["structuredContent"]["title"], first["title"])

    def test_bad_lines_do_not_end_it(self):
        answers = self.talk(b"nonsense", b'{"jsonrpc":', b"\xff\xfe", b"a" * (2 << 20), b"5",
                            message("ping", number="last"), end=b"")
        self.assertEqual([a.get("error", {}).get("code") for a in answers],
                         [PARSE, PARSE, PARSE, REQUEST, REQUEST, None])
        self.assertEqual(answers[-1], {"jsonrpc": "2.0", "id": "last", "result": {}})
        self.assertEqual(self.talk(b"", end=b""), [])
        self.assertEqual(self.talk(message("ping"), end=b"\r\n")[0]["result"], {})

    def test_answers_come_before_the_end(self):
        with subprocess.Popen([BIN, "mcp", "--data", str(self.data), "--quiet"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            for i in range(3):
                process.stdin.write(json.dumps(message("ping", number=i)).encode() + b"\n")
                process.stdin.flush()
                self.assertEqual(json.loads(process.stdout.readline())["id"], i)
            process.stdin.close()
            self.assertEqual(process.wait(HANG), 0)

    def test_mutated_messages_get_one_answer_each(self):
        """Valid requests with values replaced, removed and added at random places."""
        seed = int(os.environ.get("MEDICUS_SEED", "20261122"))
        print(f"MEDICUS_SEED={seed}")
        rng = random.Random(seed)
        values = (None, True, 0, -1, 1.5, 1e300, 2 ** 53, "", "a", "\u00e9" * 50, [], [[]], {},
                  {"a": {}}, "pmid:990000101", "search", MODERN, "9" * 300, ["x"] * 40)
        tools = (("search", {"query": "gout", "limit": 2, "filters": {"year": "2010..",
                                                                      "mesh": ["Gout"]}}),
                 ("fetch", {"id": "pmid:990000101", "sections": ["abstract"],
                            "max_tokens": 500, "window": 1, "view": "text", "start_byte": 0}),
                 ("similar", {"id": "pmid:990000101", "filters": {"retracted": "only"}}),
                 ("terms", {"query": "SGLT2", "limit": 1}))
        requests = [("tools/call", {"name": n, "arguments": a}) for n, a in tools] + [
            ("initialize", {"protocolVersion": LEGACY[1], "capabilities": {}}), ("ping", {}),
            ("server/discover", {}), ("tools/list", {}), ("prompts/list", {"cursor": "x"}),
            ("resources/read", {"uri": "medicus://document/pmid:990000101"}),
            ("prompts/get", {"name": "appraise_document", "arguments": {"id": "a"}}),
            ("completion/complete", {"ref": {"type": "ref/prompt", "name": "overview_of_topic"},
                                     "argument": {"name": "topic", "value": "s"}})]

        def some():
            return copy.deepcopy(rng.choice(values))

        def mutate(node):
            """Changes one place below the node."""
            while True:
                keys = list(node) if isinstance(node, dict) else list(range(len(node)))
                if not keys:
                    return
                key = rng.choice(keys)
                if isinstance(node[key], (dict, list)) and rng.random() < 0.7:
                    node = node[key]
                    continue
                what = rng.random()
                if what < 0.6:
                    node[key] = some()
                elif what < 0.8:
                    del node[key]
                elif isinstance(node, dict):
                    node[rng.choice(("x", "query", "_meta", "id"))] = some()
                return

        sent = []
        for number in range(3000):
            method, params = copy.deepcopy(rng.choice(requests))
            value = (modern if rng.random() < 0.5 else message)(method, params, number)
            value = copy.deepcopy(value)
            for _ in range(rng.randrange(3)):
                mutate(value)
            sent.append(value)
        answers = self.talk(*sent)
        expected = [v for v in sent if not ("id" not in v and v.get("jsonrpc") == "2.0" and
                                            isinstance(v.get("method"), str) and
                                            isinstance(v.get("params", {}), dict))]
        self.assertEqual(len(answers), len(expected))
        for value, answer in zip(expected, answers):
            self.assertEqual(answer["jsonrpc"], "2.0")
            self.assertEqual(("result" in answer) + ("error" in answer), 1, answer)
            if "result" in answer:
                self.assertEqual(answer["id"], value["id"])
                content = answer["result"].get("content")
                if content and not answer["result"]["isError"]:
                    name = value["params"]["name"]
                    validate(answer["result"]["structuredContent"], schema_of(name), {})
            else:
                self.assertIn(answer["error"]["code"],
                              (PARSE, REQUEST, METHOD, PARAMS, VERSION, -32002))
                self.assertTrue(answer["error"]["message"])

    def test_it_needs_a_data_folder_with_an_index(self):
        with temp_folder() as empty:
            self.assertEqual(run("mcp", ok=False, env={"MEDICUS_DATA": ""}).returncode, 2)
            self.assertEqual(run("mcp", "--data", self.data, "x", ok=False).returncode, 2)
            result = run("mcp", "--data", empty / "none", ok=False)
            self.assertIn(result.returncode, (4, 5))
            self.assertEqual(result.stdout, b"")


if __name__ == "__main__":
    unittest.main()
