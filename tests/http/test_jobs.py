"""Jobs: one at a time, told by stage, cancelled cleanly, and remembered."""
import concurrent.futures
import json
import os
import pathlib
import random
import signal
import subprocess
import threading
import unittest

from support import BIN, HANG, make_data, run, run_json, temp_folder
from test_admin import Operator, wait_for_work
from test_keys import bearer, wait_until

# On this corpus: seconds, to be interrupted; and about one, to be waited for.
LONG = {"retrain": True, "dim": 256, "gate_overlap": 0}
SHORT = {"retrain": True, "dim": 64, "gate_overlap": 0}


def write_corpus(path, count):
    rng = random.Random(7)
    words = ["".join(rng.choice("bcdfglmnprst") + rng.choice("aeiou") for _ in range(3))
             for _ in range(3000)]
    with open(path, "w", encoding="utf-8") as out:
        for i in range(count):
            text = " ".join(words[int(rng.random() ** 2 * 3000)] for _ in range(150))
            out.write(json.dumps({"_id": f"c{i}", "title": " ".join(rng.sample(words, 6)),
                                  "text": text + "."}) + "\n")


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Jobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = cls.enterClassContext(temp_folder())
        cls.corpus = cls.folder / "corpus.jsonl"
        write_corpus(cls.corpus, 2500)

    def setUp(self):
        self.folder = pathlib.Path(self.enterContext(temp_folder()))
        self.data = make_data(self.folder / "data")
        run("ingest", "--data", self.data, "-q", self.corpus)

    def generations(self):
        return [g["number"] for g in run_json("generations", "--data", self.data, "--json")]

    def begin(self, operator, body=None):
        answer = operator.ask("POST", "rebuild", json.dumps(body or LONG),
                              Content_Type="application/json")
        self.assertEqual(answer.status, 202, answer.body)
        return answer.json["id"]

    def runs(self, operator, number):
        """It has told its first stage: the process is at work."""
        return wait_until(lambda: (job := operator.job(number))["progress"] and job)

    def builder(self):
        return int((self.data / "build.lock").read_text())

    def test_of_a_hundred_simultaneous_rebuilds_one_runs(self):
        with Operator(self.data) as operator:
            gate = threading.Barrier(100)

            def rebuild(_):
                gate.wait(timeout=HANG)
                return operator.ask("POST", "rebuild", json.dumps(SHORT),
                                    Content_Type="application/json")
            with concurrent.futures.ThreadPoolExecutor(100) as pool:
                answers = list(pool.map(rebuild, range(100)))
            accepted = [a for a in answers if a.status == 202]
            refused = [a for a in answers if a.status == 409]
            self.assertEqual([len(accepted), len(refused)], [1, 99])
            where = accepted[0].headers["location"]
            self.assertEqual({a.headers["location"] for a in refused}, {where})
            self.assertEqual(operator.wait(accepted[0].json["id"])["state"], "succeeded")
            self.assertEqual(self.generations(), [2, 1])

    def test_progress_is_told_by_stage(self):
        with Operator(self.data) as operator:
            number = self.begin(operator, SHORT)
            stages, etas = [], []

            def look():
                job = operator.job(number)
                progress = job["progress"]
                if progress:
                    if progress["stage"] not in stages:
                        stages.append(progress["stage"])
                    if progress["total"]:
                        self.assertLessEqual(progress["done"], progress["total"])
                    etas.append(progress["eta_seconds"])
                return job["state"] in ("succeeded", "failed") and job
            job = wait_for_work(look)
            self.assertEqual(job["state"], "succeeded", job)
            self.assertGreater(len(stages), 2, stages)
            self.assertTrue(any(eta is not None for eta in etas), etas)
            self.assertEqual(job["result"]["generation"], 2)
            self.assertEqual(operator.served(2), True)
            text = operator.server.get("/metrics", **bearer(operator.secret)).body.decode()
            self.assertIn('medicus_jobs_running{kind="rebuild"} 0\n', text)
            self.assertIn('medicus_jobs_ended_total{kind="rebuild",state="succeeded"} 1\n', text)
            text = run("jobs", "--data", self.data).stdout.decode()
            self.assertIn(f"{number} rebuild succeeded", text)

    def test_a_cancelled_job_publishes_nothing(self):
        with Operator(self.data) as operator:
            number = self.begin(operator)
            self.runs(operator, number)
            self.assertEqual(operator.ask("DELETE", f"jobs/{number}").status, 202)
            job = operator.wait(number)
            self.assertEqual([job["state"], job["result"]], ["cancelled", None])
            self.assertEqual(self.generations(), [1])
            self.assertEqual(operator.ask("DELETE", f"jobs/{number}").status, 409)
            self.assertEqual(operator.ask("DELETE", "jobs/99").status, 404)
            self.assertNotIn("document", operator.ask("DELETE", "jobs/99").json["title"])
            self.assertEqual(operator.wait(self.begin(operator, {"lexical_only": True}))["state"],
                             "succeeded")

    def test_a_server_that_stops_ends_its_job(self):
        with Operator(self.data) as operator:
            number = self.begin(operator)
            self.runs(operator, number)
            pid = self.builder()
            self.assertEqual(operator.server.stop(signal.SIGTERM), 0)
            self.assertFalse(is_alive(pid))
        self.assertEqual(self.generations(), [1])
        with Operator(self.data) as operator:
            self.assertEqual(operator.job(number)["state"], "cancelled")
        run("check", "--data", self.data)

    def test_a_server_that_dies_loses_its_job_and_nothing_else(self):
        with Operator(self.data) as operator:
            number = self.begin(operator)
            self.runs(operator, number)
            pid = self.builder()
            operator.server.stop(signal.SIGKILL)
            wait_until(lambda: not is_alive(pid))
        with Operator(self.data) as operator:
            job = operator.job(number)
            self.assertEqual([job["state"], job["exit_status"]], ["lost", None])
            self.assertIn("server ended", job["error"])
            self.assertEqual(operator.do("update")["state"], "succeeded")
        run("check", "--data", self.data)

    def test_a_killed_process_is_a_failed_job(self):
        with Operator(self.data) as operator:
            number = self.begin(operator)
            self.runs(operator, number)
            os.kill(self.builder(), signal.SIGKILL)
            job = operator.wait(number)
            self.assertEqual([job["state"], job["exit_status"]], ["failed", 128 + signal.SIGKILL])
            self.assertIn("signal 9", job["error"])
            self.assertEqual(operator.search("asthma")["generation"], 1)

    def test_what_the_gate_keeps_back_says_why(self):
        with Operator(self.data) as operator:
            job = operator.do("rebuild", {"retrain": True, "dim": 8, "seed": 9, "gate_overlap": 1})
            self.assertEqual([job["state"], job["exit_status"]], ["failed", 11])
            self.assertRegex(job["error"], r"gate .*canary queries.* found again.* expected")
            self.assertEqual(self.generations(), [1])

    def test_a_build_that_was_started_elsewhere(self):
        with Operator(self.data) as operator, subprocess.Popen(
                [BIN, "build", "--data", str(self.data), "--retrain", "--dim", "256", "-q",
                 "--gate-overlap", "0"], stdout=subprocess.DEVNULL) as build:
            shown = wait_until(lambda: operator.ask("GET", "jobs").json["elsewhere"])
            self.assertEqual(shown["process"], build.pid)
            shown = wait_until(lambda: (now := operator.ask("GET", "jobs").json["elsewhere"])
                               and now["stage"] and now)
            self.assertGreater(shown["done"] + shown["total"], 0)
            self.assertEqual(run_json("info", "--data", self.data, "--json")["running"]["process"],
                             build.pid)
            self.assertIn(f"process {build.pid}", run("jobs", "--data", self.data).stdout.decode())
            answer = operator.ask("POST", "rebuild")
            self.assertEqual(answer.status, 409, answer.body)
            self.assertIn(str(build.pid), answer.json["detail"])
            build.send_signal(signal.SIGTERM)
            self.assertEqual(build.wait(timeout=HANG), 130)
            self.assertIsNone(operator.ask("GET", "jobs").json["elsewhere"])

    def test_a_repeated_request_gets_the_same_job(self):
        with Operator(self.data) as operator:
            first = operator.ask("POST", "update", Idempotency_Key="nightly-1")
            self.assertEqual(first.status, 202)
            operator.wait(first.json["id"])
            again = operator.ask("POST", "update", Idempotency_Key="nightly-1")
            self.assertEqual([again.status, again.json["id"]], [200, first.json["id"]])
            other = operator.ask("POST", "update", Idempotency_Key="nightly-2")
            self.assertEqual(other.status, 202)
            self.assertEqual(operator.ask("POST", "update", Idempotency_Key="a b").status, 400)
            operator.wait(other.json["id"])
        with Operator(self.data) as operator:
            again = operator.ask("POST", "update", Idempotency_Key="nightly-1")
            self.assertEqual(again.json["id"], first.json["id"])

    def test_documents_wait_their_turn_and_hold_no_search_thread(self):
        with Operator(self.data, "--threads", "2") as operator:
            def add(i):
                return operator.add(json.dumps({"_id": f"d{i}", "title": "D", "text": "Words."}))
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                adding = [pool.submit(add, i) for i in range(8)]
                for _ in range(20):
                    self.assertEqual(operator.search("asthma")["generation"], 1)
                answers = [a.result() for a in adding]
            self.assertEqual([a.status for a in answers], [200] * 8)
            self.assertEqual(sum(a.json["result"]["added"] for a in answers), 8)


if __name__ == "__main__":
    unittest.main()
