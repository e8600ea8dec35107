"""A server's life: start, slow clients, overload, new generations, damage, stop."""
import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import random
import re
import resource
import select
import shutil
import signal
import socket
import threading
import time
import unittest

from support import HANG, Answer, Server, WithServer, make_data, run, run_json, temp_folder

SOAK = bool(os.environ.get("MEDICUS_SOAK"))
EXTRA = (b'{"_id": "extra", "title": "Quokkapentin for lumbago", '
         b'"text": "A trial of quokkapentin in lumbago."}\n')


def add_generation(data, document=EXTRA):
    run("ingest", "--data", data, "--quiet", "-", stdin=document)
    return json.loads(run("build", "--data", data, "--json").stdout)["generation"]


def wait_for(condition, what):
    end = time.monotonic() + HANG
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited in vain for " + what)
        time.sleep(0.05)


class Start(unittest.TestCase):
    def serve(self, data, *flags):
        return run("serve", "--data", data, "--listen", "127.0.0.1:0", *flags, ok=False)

    def test_without_a_data_folder(self):
        result = self.serve("/nonexistent/medicus")
        self.assertEqual(result.returncode, 4)
        self.assertIn(b"medicus ingest", result.stderr)

    def test_without_an_index(self):
        with temp_folder() as data:
            run("ingest", "--data", data, "-", stdin=EXTRA)
            result = self.serve(data)
            self.assertEqual(result.returncode, 5)
            self.assertIn(b"medicus build", result.stderr)

    def test_port_in_use(self):
        with temp_folder() as data, Server(make_data(data)) as server:
            result = run("serve", "--data", data, "--listen", f"127.0.0.1:{server.port}", ok=False)
            self.assertEqual(result.returncode, 9)
            self.assertIn(b"in use", result.stderr)

    def test_addresses(self):
        with temp_folder() as data:
            make_data(data)
            for address in ("0.0.0.0:0", "[::]:0"):
                result = run("serve", "--data", data, "--listen", address, ok=False)
                self.assertEqual(result.returncode, 2, address)
                self.assertIn(b"--allow-public", result.stderr)
            for address in ("nonsense", "127.0.0.1:99999", "127.0.0.1:", "no.such.host.invalid:1"):
                result = run("serve", "--data", data, "--listen", address, ok=False)
                self.assertEqual(result.returncode, 2, address)

    def test_damage_is_found_before_the_first_answer(self):
        with temp_folder() as data:
            make_data(data)
            files = [p for p in pathlib.Path(data).rglob("*") if p.is_file() and (
                "segments" in p.parts or "encoders" in p.parts or "generations" in p.parts)]
            self.assertGreater(len(files), 5)
            for path in files:
                if not path.stat().st_size:
                    continue
                content = path.read_bytes()
                spoiled = bytearray(content)
                spoiled[len(spoiled) // 2] ^= 0x10
                path.write_bytes(spoiled)
                for command in ("serve", "check", "search"):
                    last = {"serve": ["--listen", "127.0.0.1:0"], "check": [], "search": ["a"]}
                    result = run(command, "--data", data, *last[command], ok=False)
                    self.assertEqual(result.returncode, 6, (command, path, result.stderr))
                    self.assertTrue(result.stderr.startswith(b"medicus: "), result.stderr)
                path.write_bytes(content[:-1])
                result = run("check", "--data", data, ok=False)
                self.assertEqual(result.returncode, 6, (path, result.stderr))
                path.write_bytes(content)
            run("check", "--data", data)

    def test_waiting_for_the_first_index(self):
        with temp_folder() as folder, Server(folder / "data", "--wait") as server:
            self.assertEqual(server.get("/readyz").status, 503)
            health = run("health", "--listen", f"127.0.0.1:{server.port}", ok=False)
            self.assertEqual(health.returncode, 9)
            make_data(folder / "data")
            wait_for(lambda: server.get("/readyz").status == 200, "the first index")
            self.assertEqual(server.search("asthma").status, 200)


class SlowClients(WithServer):
    flags = ("--header-deadline-ms", "700", "--body-deadline-ms", "700", "--idle-ms", "700")

    def dribble(self, begin, piece):
        """Sends a byte again and again; returns what the server said before it hung up."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG) as sock:
            sock.sendall(begin)
            sock.settimeout(0.1)
            end = time.monotonic() + HANG
            while time.monotonic() < end:
                try:
                    sock.sendall(piece)
                    data = sock.recv(4096)
                    return data
                except socket.timeout:
                    continue
                except ConnectionError:
                    return b""
        raise AssertionError("a slow client was never cut off")

    def test_slow_header(self):
        self.assertIn(b" 408 ", self.dribble(b"GET /livez HTTP/1.1\r\nHost: a\r\nX: ", b"a"))

    def test_slow_request_line(self):
        self.assertIn(b" 408 ", self.dribble(b"GET /", b"a"))

    def test_slow_body(self):
        head = (b"POST /v1/search HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100000\r\n\r\n")
        self.assertIn(b" 408 ", self.dribble(head, b" "))

    def test_silence_and_idleness(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG) as sock:
            sock.recv(4096)
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG) as sock:
            sock.sendall(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
            data = b""
            while piece := sock.recv(4096):
                data += piece
            self.assertEqual(data.count(b"HTTP/1.1 "), 1)

    def test_they_do_not_stop_others(self):
        sockets = [socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG)
                   for _ in range(200)]
        for sock in sockets:
            sock.sendall(b"GET /livez HT")
        self.assertEqual(self.server.search("asthma").status, 200)
        for sock in sockets:
            sock.close()


class TwoThousandSlowClients(WithServer):
    flags = ("--header-deadline-ms", "300000", "--body-deadline-ms", "300000")

    def test_they_do_not_stop_others(self):
        """Bytes trickle on 2,000 connections; in between others get the same answers as before."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        if hard < 2200:
            self.skipTest(f"only {hard} files may be open here")
        want = [r["id"] for r in self.server.search("asthma").json["results"]]
        with contextlib.ExitStack() as stack:
            slow = []
            for i in range(2000):
                sock = socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG)
                slow.append(stack.enter_context(sock))
                sock.sendall((b"GET /livez HTTP/1.1\r\nHost: a\r\nX: ",
                              b"POST /v1/search HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n"
                              b"Content-Type: application/json\r\n\r\n{")[i % 2])
            self.assertGreaterEqual(self.server.get("/readyz?verbose").json["connections"], 2000)
            for turn in range(10):
                for sock in slow[turn::10]:
                    sock.sendall(b" ")
                answer = self.server.search("asthma")
                self.assertEqual((answer.status, [r["id"] for r in answer.json["results"]]),
                                 (200, want))
            self.assertGreaterEqual(self.server.get("/readyz?verbose").json["connections"], 2000)
        self.assertEqual(self.server.get("/livez").status, 200)


class Burst(WithServer):
    def test_hundreds_of_connections_that_speak_at_once(self):
        """libmicrohttpd's own event loop hangs when exactly 128 events arrive together."""
        for count in (127, 128, 129, 256, 512):
            sockets = [socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG)
                       for _ in range(count)]
            for path in (b"/livez", b"/v1/search?q=asthma", b"/livez"):
                for sock in sockets:
                    sock.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
                for sock in sockets:
                    data = sock.recv(1 << 16)
                    head, _, body = data.partition(b"\r\n\r\n")
                    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                    while len(body) < length:
                        body += sock.recv(1 << 16)
                    self.assertIn(head.split()[1], (b"200", b"503"))
            for sock in sockets:
                sock.close()


class Crowd(WithServer):
    flags = ("--threads", "1", "--queue-depth", "1", "--connections", "64")

    def test_a_full_queue_says_try_again(self):
        def one(_):
            answer = self.server.search("treatment", limit=1000, group_by="none",
                                        response_format="detailed")
            if answer.status == 503:
                self.problem(answer, "overloaded", 503)
                self.assertEqual(answer.headers["retry-after"], "1")
            return answer.status
        seen = set()
        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            for _ in range(50):
                seen |= set(pool.map(one, range(64)))
                self.assertLessEqual(seen, {200, 503})
                if seen == {200, 503}:
                    break
        self.assertEqual(seen, {200, 503})
        self.assertEqual(self.server.get("/readyz").status, 200)

    def test_too_many_connections_are_refused_not_left_waiting(self):
        sockets = [socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG)
                   for _ in range(80)]
        refused = select.select(sockets, [], [], HANG)[0]
        self.assertTrue(refused)
        for sock in refused:
            data = sock.recv(4096)
            self.assertTrue(data == b"" or data.startswith(b"HTTP/1.1 503"), data)
        for sock in sockets:
            sock.close()
        wait_for(lambda: self.alive(), "room for connections")

    def alive(self):
        try:
            return self.server.get("/livez").status == 200
        except (ConnectionError, http.client.HTTPException):
            return False


class IdleConnections(WithServer):
    """A connection that is closed as idle can meet the next request: that one is answered whole, or
    was not begun and may be sent again."""
    flags = ("--idle-ms", "100")
    CALLERS = 40

    def answered(self):
        """By the server's own count."""
        found = re.search(rb'^medicus_http_requests_total\{route="terms",status="200"\} (\d+)$',
                          self.server.get("/metrics").body, re.M)
        return int(found.group(1))

    def meet(self, number):
        """Two requests with a pause that ends at about the time at which the server closes."""
        rng = random.Random(number)
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG) as sock:
            for pause in (0, rng.uniform(0.08, 0.35)):
                time.sleep(pause)
                data = b""
                try:
                    sock.sendall(b"GET /v1/terms?q=asthma HTTP/1.1\r\nHost: a\r\n\r\n")
                    while b"\r\n\r\n" not in data or len(data) < self.whole(data):
                        piece = sock.recv(1 << 16)
                        if not piece:
                            break
                        data += piece
                except ConnectionError:
                    pass
                if not data:
                    self.assertGreater(pause, 0)
                    return 1, 1
                self.assertEqual(len(data), self.whole(data))
        return 2, 0

    @staticmethod
    def whole(data):
        head = data.partition(b"\r\n\r\n")[0]
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        return len(head) + 4 + int(length.group(1))

    def test_a_request_that_meets_the_end_of_its_connection_was_not_begun(self):
        before, answers, closed = self.answered(), 0, 0
        with concurrent.futures.ThreadPoolExecutor(self.CALLERS) as pool:
            for turn in range(40):
                numbers = range(turn * self.CALLERS, (turn + 1) * self.CALLERS)
                for answered, gone in pool.map(self.meet, numbers):
                    answers += answered
                    closed += gone
                if turn >= 4 and closed and answers > closed + len(numbers):
                    break
        self.assertGreater(closed, 0)
        self.assertEqual(self.answered() - before, answers)


class Overload(WithServer):
    """More than can be answered, for as long as it takes until that is noticed."""
    flags = ("--threads", "1", "--queue-ms", "1", "--queue-depth", "64", "--cache-bytes", "0")
    CALLERS = 24
    # A search that takes a while, so that callers who wait for their answers are too many.
    PATH = "/v1/search?limit=1000&group_by=none&response_format=detailed&q="
    WORDS = ("treatment", "asthma", "heart", "patients", "risk", "therapy")

    def metric(self, name):
        found = re.search(rf"^{name} (\S+)$".encode(), self.server.get("/metrics").body, re.M)
        return float(found.group(1))

    def refused_so_far(self):
        return self.metric("medicus_queue_refused_total")

    def test_what_is_let_in_is_answered_rightly_and_the_rest_is_refused_at_once(self):
        want = {word: self.server.get(self.PATH + word).body for word in self.WORDS}
        before, stop = self.refused_so_far(), threading.Event()

        def caller(number):
            """One connection, kept; each answer belongs to its question."""
            right = refused = 0
            connection = self.server.connection()
            for turn in itertools.count(number):
                if stop.is_set():
                    connection.close()
                    return right, refused
                word = self.WORDS[turn % len(self.WORDS)]
                if turn % 8:  # HEAD costs the server a search, and this process nothing
                    connection.request("HEAD" if turn % 8 > 1 else "GET", self.PATH + word)
                else:  # refused before the body is looked at, which the connection survives
                    body = {"q": word, "limit": 1000, "group_by": "none",
                            "response_format": "detailed"}
                    connection.request("POST", "/v1/search", json.dumps(body),
                                       {"Content-Type": "application/json"})
                r = connection.getresponse()
                answer = Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
                self.assertNotEqual(answer.headers.get("connection"), "close")
                if answer.status == 200:
                    self.assertEqual(answer.headers["content-length"], str(len(want[word])))
                    if turn % 8 < 2:
                        self.assertEqual(answer.body, want[word])
                    right += 1
                elif turn % 8 > 1:
                    self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "1"))
                    refused += 1
                else:
                    self.problem(answer, "overloaded", 503)
                    self.assertEqual(answer.headers["retry-after"], "1")
                    refused += 1
        with concurrent.futures.ThreadPoolExecutor(self.CALLERS) as pool:
            callers = [pool.submit(caller, n) for n in range(self.CALLERS)]
            try:
                wait_for(lambda: self.refused_so_far() > before + 200, "overload")
                self.assertEqual(self.metric("medicus_overload"), 1)
                self.assertGreater(self.metric("medicus_queue_served_seconds"), 0)
                # What needs no search is answered all the same.
                self.assertEqual(self.server.get("/readyz").status, 200)
            finally:
                stop.set()
            right, refused = map(sum, zip(*[c.result() for c in callers]))
        self.assertGreater(right, 0)
        self.assertEqual(self.refused_so_far() - before, refused)
        wait_for(lambda: self.server.get(self.PATH + "asthma").body == want["asthma"] and
                 self.metric("medicus_overload") == 0, "the end of the overload")


class Generations(unittest.TestCase):
    def test_hot_swap_loses_no_request_and_mixes_nothing(self):
        with temp_folder() as data, Server(make_data(data)) as server:
            stop, failures, seen = threading.Event(), [], {}
            words = ("asthma", "quokkapentin lumbago", "retinal vein", "beta blockers")

            def load(number):
                c = server.connection()
                word = words[number % len(words)]
                while not stop.is_set():
                    try:
                        c.request("GET", "/v1/search?limit=20&response_format=detailed&q=" +
                                  word.replace(" ", "+"))
                        r = c.getresponse()
                        body = r.read()
                        if r.status != 200:
                            failures.append(body)
                            continue
                        generation = json.loads(body)["generation"]
                        seen.setdefault((word, generation), set()).add(body)
                    except (OSError, http.client.HTTPException) as e:
                        failures.append(repr(e))
                        c.close()
                c.close()
            threads = [threading.Thread(target=load, args=(i,)) for i in range(4)]
            for t in threads:
                t.start()
            try:
                for expected in (2, 3):
                    number = add_generation(data, EXTRA.replace(b"lumbago.", b"lumbago, again." if
                                                                expected == 3 else b"lumbago."))
                    self.assertEqual(number, expected)
                    wait_for(lambda n=number: server.get("/readyz?verbose").json["generation"] == n,
                             "the new generation")
                    time.sleep(0.2)
            finally:
                stop.set()
                for t in threads:
                    t.join()
            self.assertEqual(failures, [])
            # A generation gives one answer to one question, always.
            self.assertEqual({key: len(v) for key, v in seen.items() if len(v) != 1}, {})
            self.assertLessEqual({1, 2, 3}, {generation for _, generation in seen})
            found = json.loads(next(iter(seen["quokkapentin lumbago", 3])))["results"][0]
            self.assertEqual(found["document_id"], "doc:extra")
            self.assertEqual(server.get("/readyz?verbose").json["swaps"], 2)

    def test_a_damaged_new_generation_does_not_replace_the_old_one(self):
        with temp_folder() as folder:
            data, other = folder / "data", folder / "other"
            make_data(data)
            with Server(data) as server:
                before = server.search("asthma").body
                # Built elsewhere, damaged, then put in place: what a bad disk would do.
                shutil.copytree(data, other)
                add_generation(other)
                for name in ("segments", "encoders"):
                    for path in (other / name).glob("*/*"):
                        if not (data / path.relative_to(other)).exists():
                            spoiled = bytearray(path.read_bytes())
                            spoiled[-1] ^= 1
                            path.write_bytes(spoiled)
                for name in ("segments", "encoders", "generations"):
                    shutil.copytree(other / name, data / name, dirs_exist_ok=True)
                shutil.copy(other / "CURRENT", data / "CURRENT")
                wait_for(lambda: server.get("/readyz?verbose").json["failed_generation"],
                         "the failure to be noticed")
                verbose = server.get("/readyz?verbose").json
                self.assertEqual((verbose["status"], verbose["generation"]), ("ready", 1))
                self.assertEqual(verbose["failed_generation"]["generation"], 2)
                self.assertTrue(verbose["failed_generation"]["reason"])
                self.assertIn(b"\nmedicus_generation_failed 1\n", server.get("/metrics").body)
                self.assertEqual(server.search("asthma").body, before)
                # The operator repairs it: a fresh build is served.
                number = add_generation(data)
                wait_for(lambda: server.get("/readyz?verbose").json["generation"] == number,
                         "the repaired generation")
                self.assertIsNone(server.get("/readyz?verbose").json["failed_generation"])

    def test_a_corrupt_pointer_keeps_what_is_served(self):
        with temp_folder() as data, Server(make_data(data)) as server:
            current = data / "CURRENT"
            good = current.read_bytes()
            current.write_bytes(b"garbage\n")
            wait_for(lambda: server.get("/readyz?verbose").json["failed_generation"],
                     "the failure to be noticed")
            self.assertEqual(server.search("asthma").status, 200)
            current.write_bytes(good)
            wait_for(lambda: not server.get("/readyz?verbose").json["failed_generation"],
                     "the repair to be noticed")
            self.assertIn(b"\nmedicus_generation_failed 0\n", server.get("/metrics").body)

    def test_a_server_that_starts_on_a_damaged_generation_serves_the_one_before(self):
        with temp_folder() as data:
            make_data(data)
            before = run_json("search", "--data", data, "--json", "asthma")["results"]
            self.assertEqual(add_generation(data), 2)
            overlay = data / "generations/2/overlay"
            overlay.write_bytes(overlay.read_bytes()[:-1])
            with Server(data) as server:
                verbose = server.get("/readyz?verbose").json
                self.assertEqual((verbose["status"], verbose["generation"]), ("ready", 1))
                self.assertEqual(verbose["failed_generation"]["generation"], 2)
                self.assertIn("overlay", verbose["failed_generation"]["reason"])
                self.assertIn(b"\nmedicus_generation_failed 1\n", server.get("/metrics").body)
                self.assertEqual([r["id"] for r in server.search("asthma").json["results"]],
                                 [r["id"] for r in before])
                # A roll back makes it what the operator wants.
                run("generations", "--data", data, "activate", "1")
                wait_for(lambda: not server.get("/readyz?verbose").json["failed_generation"],
                         "the roll back to be noticed")

    def test_documents_ingested_while_serving_can_be_fetched(self):
        with temp_folder() as data, Server(make_data(data)) as server:
            self.assertEqual(server.get("/v1/documents/doc%3Aextra").status, 404)
            run("ingest", "--data", data, "--quiet", "-", stdin=EXTRA)
            self.assertEqual(server.get("/v1/documents/doc%3Aextra").status, 200)
            self.assertTrue(run_json("info", "--data", data, "--json")["advice"])


class Stop(unittest.TestCase):
    def test_accepted_requests_are_answered(self):
        """MEDICUS_SOAK=1: a hundred times, and within 5 s."""
        times = []
        with temp_folder() as data:
            make_data(data)
            for _ in range(50 if SOAK else 2):
                for number in (signal.SIGTERM, signal.SIGINT):
                    with Server(data) as server:
                        times.append(self.stop_under_load(server, number))
        if SOAK:
            print(f"{len(times)} stops under load, the longest {max(times):.3f} s")
            self.assertLess(max(times), 5)

    def stop_under_load(self, server, number):
        cut, refused, done = [], [], []
        request = (b"GET /v1/search?limit=1000&response_format=detailed&q=treatment HTTP/1.1\r\n"
                   b"Host: a\r\nConnection: close\r\n\r\n")

        def load():
            while True:
                data = b""
                try:
                    sock = socket.create_connection(("127.0.0.1", server.port), timeout=HANG)
                except OSError:
                    return
                with sock:
                    try:
                        sock.sendall(request)
                        while piece := sock.recv(1 << 20):
                            data += piece
                    except ConnectionError:
                        pass
                if not data:
                    refused.append(1)  # still in the kernel's queue when the port was closed
                    return
                head, _, body = data.partition(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                (done if len(body) == length and b" 200 " in head else cut).append(len(body))
        threads = [threading.Thread(target=load) for _ in range(8)]
        for t in threads:
            t.start()
        wait_for(lambda: len(done) > 20, "some answers")
        begin = time.monotonic()
        self.assertEqual(server.stop(number), 0)
        took = time.monotonic() - begin
        for t in threads:
            t.join()
        self.assertEqual(cut, [])
        self.assertLessEqual(len(refused), len(threads))
        return took

    def test_slow_clients_do_not_hold_it_up_for_ever(self):
        with temp_folder() as data, Server(make_data(data)) as server:
            sock = socket.create_connection(("127.0.0.1", server.port), timeout=HANG)
            sock.sendall(b"POST /v1/search HTTP/1.1\r\nHost: a\r\n"
                         b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
            self.assertEqual(server.stop(), 0)
            sock.close()

    def test_kept_connections_do_not_hold_it_up(self):
        with temp_folder() as data, Server(make_data(data)) as server:
            c = server.connection()
            server.request("GET", "/livez", connection=c)
            self.assertEqual(server.stop(), 0)
            c.close()



if __name__ == "__main__":
    unittest.main()
