"""The operators' routes: documents in and out, update, generations, snapshots, and who may."""
import gzip
import json
import os
import socket
import time
import unittest

from support import HANG, SAMPLE, Server, make_data, run, run_json, temp_folder
from test_keys import add_key, bearer, wait_until

PUBMED = SAMPLE / "pubmed/cardiology.xml"
ENDED = ("succeeded", "failed", "cancelled", "lost")
ADMIN = "/v1/admin/"


def wait_for_work(condition):
    """As wait_until, for work that takes seconds of computing, at low priority."""
    end = time.monotonic() + 4 * HANG
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError("it did not happen")
        time.sleep(0.05)
    return value


class Operator:
    """A server and a key of the scope admin."""
    secrets = {}  # data folder -> key

    def __init__(self, data, *flags):
        self.data = data
        if data not in Operator.secrets:
            Operator.secrets[data] = add_key(data, "operator", "--scope", "admin,search")
        self.secret = Operator.secrets[data]
        self.server = Server(data, *flags)

    def __enter__(self):
        self.server.__enter__()
        return self

    def __exit__(self, *args):
        return self.server.__exit__(*args)

    def ask(self, method, target, body=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.server.request(method, ADMIN + target, body=body,
                                   headers={**bearer(self.secret), **headers})

    def add(self, body, query="", **headers):
        return self.ask("POST", "documents" + query, body, **headers)

    def job(self, number):
        return self.ask("GET", f"jobs/{number}").json

    def wait(self, number):
        return wait_for_work(lambda: (job := self.job(number))["state"] in ENDED and job)

    def do(self, what, body=None):
        """A job from its beginning to its end."""
        headers = {"Content_Type": "application/json"} if body is not None else {}
        answer = self.ask("POST", what, None if body is None else json.dumps(body), **headers)
        assert answer.status == 202, answer.body
        assert answer.headers["location"] == f"/v1/admin/jobs/{answer.json['id']}"
        return self.wait(answer.json["id"])

    def search(self, query):
        return self.server.get("/v1/search?limit=50&q=" + query, **bearer(self.secret)).json

    def found(self, query):
        return [hit["document_id"] if "document_id" in hit else hit["id"].split("~")[0]
                for hit in self.search(query)["results"]]

    def served(self, number):
        return wait_until(lambda: self.search("asthma")["generation"] == number)


def spool_of(data):
    return list((data / "spool").iterdir()) if (data / "spool").exists() else []


class Admin(unittest.TestCase):
    flags = ()

    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(temp_folder())
        cls.data = make_data(cls.folder / "data")
        cls.operator = cls.enterClassContext(
            Operator(cls.data, "--admin-body-bytes", str(64 << 20), "--request-bytes", "65536",
                     "--snapshot-dir", str(cls.folder)))

    def problem(self, answer, name, status):
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.json["type"], "/problems/" + name)

    def test_a_key_of_the_scope_is_needed_always(self):
        searcher = add_key(self.data, "searcher", "--scope", "search")
        for method, target in (("POST", "documents"), ("DELETE", "documents/doc:x"),
                               ("POST", "update"), ("POST", "rebuild"), ("GET", "jobs"),
                               ("GET", "jobs/1"), ("DELETE", "jobs/1"), ("GET", "generations"),
                               ("POST", "generations/1/activate"), ("POST", "snapshot")):
            server = self.operator.server
            self.problem(server.request(method, ADMIN + target), "unauthorized", 401)
            answer = wait_until(lambda m=method, t=target: (
                a := server.request(m, ADMIN + t, headers=bearer(searcher))).status != 401 and a)
            self.problem(answer, "insufficient-scope", 403)
        with temp_folder() as folder:
            data = make_data(folder / "open")
            with Server(data) as server:  # no keys at all: search is open on loopback, this is not
                self.assertEqual(server.search("asthma").status, 200)
                self.problem(server.request("POST", ADMIN + "rebuild"), "unauthorized", 401)

    def test_documents_of_every_format(self):
        o = self.operator
        answer = o.add(json.dumps({"_id": "tea", "title": "Tea", "text": "Tea and asthma."}))
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.json["result"]["added"], 1)
        self.assertEqual(answer.json["state"], "succeeded")
        answer = o.add(PUBMED.read_bytes(), Content_Type="application/xml")
        self.assertEqual(answer.json["result"]["added"], 0)
        self.assertGreater(answer.json["result"]["unchanged"], 5)
        answer = o.add(gzip.compress(PUBMED.read_bytes()), Content_Type="application/gzip")
        self.assertGreater(answer.json["result"]["unchanged"], 5)
        text = (SAMPLE / "guidelines/bronchiolitis-in-infants.md").read_text()
        text = text.split("---", 2)[2] if text.startswith("---") else text
        answer = o.add(text, "?name=wheezing-2026.md", Content_Type="text/markdown")
        self.assertEqual(answer.json["result"]["added"], 1)
        answer = o.add("\n".join(json.dumps({"_id": f"n{i}", "title": "N", "text": "Words."})
                                 for i in range(20)) + "\n{broken\n", "?async&source=guideline")
        self.assertEqual(answer.status, 202)
        job = o.wait(answer.json["id"])
        self.assertEqual([job["result"]["added"], job["result"]["skipped"]], [20, 1])
        self.assertEqual([p["line"] for p in job["result"]["problems"]], [21])
        job = o.do("update")
        self.assertEqual(job["result"]["added"], 22)
        o.served(job["result"]["generation"])
        self.assertIn("doc:tea", o.found("tea+asthma"))
        self.assertTrue([i for i in o.found("bronchiolitis") if "wheezing" in i])
        self.assertEqual(spool_of(self.data), [])

    def test_what_is_not_a_document(self):
        o = self.operator
        self.problem(o.add(b""), "invalid-documents", 422)
        self.problem(o.add(bytes(range(256)) * 10), "invalid-documents", 422)
        self.problem(o.add("{broken\n{broken\n"), "invalid-documents", 422)
        self.problem(o.add("x", "?name=../../etc/passwd"), "invalid-parameter", 400)
        self.problem(o.add("x", "?name=.hidden"), "invalid-parameter", 400)
        self.problem(o.add("x", "?source=medline"), "invalid-parameter", 400)
        self.problem(o.add("x", "?names=a"), "unknown-parameter", 400)
        self.problem(o.add("x", Content_Encoding="gzip"), "unsupported-media-type", 415)
        self.assertEqual(spool_of(self.data), [])

    def test_a_deleted_document_leaves_the_index_with_the_next_update(self):
        o = self.operator
        o.add(json.dumps({"_id": "a/b", "title": "Gone soon", "text": "Ephemeral asthma words."}))
        first = o.do("update")["result"]["generation"]
        o.served(first)
        self.assertIn("doc:a/b", o.found("ephemeral"))
        answer = o.ask("DELETE", "documents/doc:a%2Fb")
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json["result"], {"deleted": 1, "not_found": 0})
        self.problem(o.ask("DELETE", "documents/doc:a%2Fb"), "not-found", 404)
        self.problem(o.ask("DELETE", "documents/--help"), "not-found", 404)
        self.problem(o.ask("DELETE", "documents/doc:x?all=1"), "unknown-parameter", 400)
        o.served(o.do("update")["result"]["generation"])
        self.assertNotIn("doc:a/b", o.found("ephemeral"))

    def resident(self, field):
        with open(f"/proc/{self.operator.server.process.pid}/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith(field)) << 10

    def test_large_bodies_are_not_held_in_memory(self):
        line = json.dumps({"_id": "big", "title": "Big", "text": "word " * 200000}) + "\n"
        before = self.resident("VmRSS")
        with open(f"/proc/{self.operator.server.process.pid}/clear_refs", "w",
                  encoding="ascii") as reset:
            reset.write("5")  # the peak begins anew
        answer = self.operator.add(iter([line.encode()] * 40), "?async")
        self.assertEqual(answer.status, 202, answer.body)
        self.assertLess(self.resident("VmHWM") - before, 24 << 20)
        job = self.operator.wait(answer.json["id"])
        self.assertEqual(job["result"]["records"], 40)

    def test_too_large_is_refused_and_nothing_stays(self):
        for body, in (("x" * (65 << 20),), (iter([b"x" * (1 << 20)] * 66),)):
            try:
                self.problem(self.operator.add(body), "payload-too-large", 413)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the server hung up before the client had sent everything
        # Elsewhere the ordinary limit holds.
        self.problem(self.operator.ask("POST", "rebuild", "x" * 70000,
                                       Content_Type="application/json"), "payload-too-large", 413)
        wait_until(lambda: spool_of(self.data) == [])

    def test_a_client_that_hangs_up_leaves_nothing(self):
        server = self.operator.server
        with socket.create_connection(("127.0.0.1", server.port), timeout=HANG) as sock:
            sock.sendall((f"POST {ADMIN}documents HTTP/1.1\r\nHost: a\r\n"
                          f"Authorization: Bearer {self.operator.secret}\r\n"
                          "Content-Length: 1000000\r\n\r\n").encode() + b"x" * 5000)
            wait_until(lambda: spool_of(self.data))
        wait_until(lambda: spool_of(self.data) == [])

    def test_generations_and_rolling_back(self):
        o = self.operator
        job = o.do("rebuild", {"keep": 5})
        newest = job["result"]["generation"]
        listed = o.ask("GET", "generations").json["generations"]
        self.assertEqual(listed, run_json("generations", "--data", self.data, "--json"))
        older = next(g["number"] for g in listed if not g["current"])
        answer = o.ask("POST", f"generations/{older}/activate")
        self.assertEqual(answer.json, {"current": older, "before": newest})
        o.served(older)
        o.ask("POST", f"generations/{newest}/activate")
        o.served(newest)
        self.problem(o.ask("POST", "generations/999/activate"), "not-found", 404)
        self.problem(o.ask("POST", "generations/x/activate"), "not-found", 404)
        self.problem(o.ask("POST", f"generations/{newest}/activate", '{"a":1}',
                           Content_Type="application/json"), "unknown-parameter", 400)
        manifest = self.data / f"generations/{older}/MANIFEST"
        content = manifest.read_bytes()
        manifest.write_bytes(content.replace(b"segments", b"segmentz", 1))
        self.problem(o.ask("POST", f"generations/{older}/activate"), "damaged-data", 500)
        manifest.write_bytes(content)
        self.assertEqual(o.search("asthma")["generation"], newest)

    def test_snapshots_go_where_the_operator_said(self):
        job = self.operator.do("snapshot")
        self.assertEqual(job["state"], "succeeded", job)
        made = job["result"]["destination"]
        self.assertEqual(os.path.dirname(made), str(self.folder))
        with temp_folder() as folder:
            run("restore", "--data", folder / "r", made)
            run("check", "--data", folder / "r")
        self.problem(self.operator.ask("POST", "snapshot", '{"path":"/tmp/x"}',
                                       Content_Type="application/json"), "unknown-parameter", 400)
        with temp_folder() as folder, Operator(make_data(folder / "d")) as other:
            self.problem(other.ask("POST", "snapshot"), "not-implemented", 501)

    def test_parameters_of_a_rebuild(self):
        for body in ('{"retrain":1}', '{"what":true}', "[]", '{"gate_overlap":2}',
                     '{"memory":"1X"}', '{"memory":1}', '{"dim":-1}'):
            self.problem(self.operator.ask("POST", "rebuild", body,
                                           Content_Type="application/json"),
                         "invalid-parameter", 400)
        self.problem(self.operator.ask("POST", "rebuild", "{", Content_Type="application/json"),
                     "invalid-json", 400)
        self.problem(self.operator.ask("POST", "rebuild", "a=b", Content_Type="text/plain"),
                     "unsupported-media-type", 415)
        job = self.operator.do("rebuild", {"retrain": True, "dim": 16, "seed": 3,
                                           "gate_overlap": 0, "keep": 5})
        self.assertEqual(job["state"], "succeeded", job)
        self.assertTrue(job["result"]["encoder_trained"])


if __name__ == "__main__":
    unittest.main()
