"""Configuration: flags over environment over file; what is printed, checked and reloaded; the audit
log, and that nothing else holds query text."""
import json
import os
import re
import resource
import signal
import stat
import subprocess
import threading
import time
import unittest

from support import BIN, HANG, ROOT, Server, WithServer, make_data, run, temp_folder

EXAMPLE = ROOT / "deploy/medicus.conf.example"


def settings(text):
    """name -> (value or None, origin) of --print-config's output"""
    found = re.findall(r"^# from: (.*)\n(?:# (\S+) =|(\S+) = (.*))$", text, re.M)
    return {unset or name: (None if unset else value, origin)
            for origin, unset, name, value in found}


def print_config(*args, env=None):
    return settings(run("serve", "--print-config", *args,
                        env={"MEDICUS_CONFIG": "", **(env or {})}).stdout.decode())


def wait_for_line(server, words):
    """Reads the server's log until a line has the words."""
    for line in server.process.stderr:
        server.log.append(line)
        if words in line:
            return line
    raise AssertionError(f"no such line: {words}: {server.log}")


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = self.enterContext(temp_folder())
        self.path = self.folder / "medicus.conf"

    def refused(self, text, *words, args=()):
        self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        result = run("serve", "--data", self.folder, "--config", self.path, "--print-config", *args,
                     ok=False)
        self.assertEqual(result.returncode, 2, (text, result.stdout))
        for word in (str(self.path), *words):
            self.assertIn(word, result.stderr.decode(), text)

    def test_a_flag_wins_over_the_environment_and_that_over_the_file(self):
        self.path.write_text("# comment\n\n idle_ms=1000\nqueue-depth = 7\r\nlisten =\n"
                             "log-level = warn\naccess-log = yes\nlog-format=json\n")
        env = {"MEDICUS_CONFIG": str(self.path), "MEDICUS_IDLE_MS": "2000",
               "MEDICUS_LOG_LEVEL": "error", "MEDICUS_LISTEN": ""}
        got = print_config("--data", "d", "--idle-ms", "3000", env=env)
        file = f"{self.path}, line "
        self.assertEqual(got["idle-ms"], ("3000", "flag"))
        self.assertEqual(got["log-level"], ("error", "environment variable MEDICUS_LOG_LEVEL"))
        self.assertEqual(got["queue-depth"], ("7", file + "4"))
        self.assertEqual(got["access-log"], ("true", file + "7"))
        self.assertEqual(got["listen"], ("127.0.0.1:8080", "default"))
        self.assertEqual(got["public-url"], (None, "default"))
        other = self.folder / "other.conf"
        other.write_text("queue-depth = 8\n")
        got = print_config("--data", "d", "--config", other, env=env)
        self.assertEqual(got["queue-depth"][0], "8")

    def test_what_is_printed_is_a_file_that_says_the_same(self):
        args = ("--data", "d", "--rate-limit", "5/s", "--threads", "3", "--access-log",
                "--authority-weight", "0.25", "--public-url", "https://example.org/a b#c")
        text = run("serve", "--print-config", *args, env={"MEDICUS_CONFIG": ""}).stdout
        self.path.write_bytes(text)
        first = settings(text.decode())
        second = print_config("--config", self.path)
        self.assertGreater(len(first), 20)
        self.assertEqual({k: v for k, (v, _) in first.items()},
                         {k: v for k, (v, _) in second.items()})

    def test_mistakes_are_named_with_their_line(self):
        self.refused("quiet = true\nlisen = x\n", "line 2", 'did you mean "listen"')
        self.refused("zzzzzz = x\n", "line 1", "--print-config")
        self.refused("config = x\n", "line 1", "unknown")
        self.refused("help = true\n", "line 1", "unknown")
        self.refused("print-config = true\n", "line 1", "unknown")
        self.refused("listen\n", "line 1", "name = value")
        self.refused("\n\n= 3\n", "line 3")
        self.refused("a b = 3\n", "line 1")
        self.refused("idle-ms = 1000\nidle_ms = 2000\n", "line 2", "line 1 already")
        self.refused("idle-ms = soon\n", "line 1", "--idle-ms")
        self.refused("idle-ms = 1\n", "line 1", "100")
        self.refused("access-log = maybe\n", "line 1", "true or false")
        self.refused(b"listen = a\x00b\n", "line 1", "control")
        self.refused(b"listen = \xff\n", "line 1", "UTF-8")
        self.path.write_bytes(b"a = b\n" * (1 << 18))
        self.assertEqual(run("serve", "--config", self.path, ok=False).returncode, 10)
        result = run("serve", "--config", self.folder / "none.conf", "--print-config", ok=False)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn(b"none.conf", result.stderr)

    def test_other_commands_read_it_and_leave_what_is_not_theirs(self):
        self.path.write_text(f"data = {self.folder}\nlisten = 127.0.0.1:1\nrate-limit = 3/s\n")
        env = {"MEDICUS_CONFIG": str(self.path)}
        run("key", "add", "agents", "-q", env=env)
        self.assertTrue((self.folder / "keys").exists())
        self.assertIn(b"127.0.0.1:1", run("health", env=env, ok=False).stderr)
        self.assertEqual(run("version", env=env).returncode, 0)

    def test_credentials_of_the_service_manager(self):
        (self.folder / "tls-key").write_text("k")
        got = print_config("--data", "d", env={"CREDENTIALS_DIRECTORY": str(self.folder)})
        self.assertEqual(got["tls-key"], (str(self.folder / "tls-key"),
                                          "credential of the service manager"))
        self.assertEqual(got["tls-cert"][0], None)
        got = print_config("--data", "d", "--tls-key", "x",
                           env={"CREDENTIALS_DIRECTORY": str(self.folder)})
        self.assertEqual(got["tls-key"], ("x", "flag"))

    def test_check_config_finds_what_would_fail_later(self):
        data = self.folder / "data"
        run("key", "--data", data, "add", "agents", "-q")
        good = ("serve", "--check-config", "--data", data)
        env = {"MEDICUS_CONFIG": ""}
        self.assertIn(b"ok", run(*good, env=env).stdout)
        open_key = self.folder / "key.pem"
        open_key.write_text("x")
        for flags, words in ((("--rate-limit", "x"), "--rate-limit"),
                             (("--log-level", "loud"), "--log-level"),
                             (("--listen", "nowhere"), "HOST:PORT"),
                             (("--tls-cert", "a"), "go together"),
                             (("--tls-cert", "a", "--tls-key", "b"), "a"),
                             (("--audit-query-text",), "--audit-log"),
                             (("--audit-log", self.folder / "no/where"), "audit log"),
                             (("--data", self.folder / "nothing"), "data folder")):
            result = run(*good, *flags, env=env, ok=False)
            self.assertNotEqual(result.returncode, 0, flags)
            self.assertIn(words, result.stderr.decode(), flags)
        (data / "keys").write_text("x")
        result = run(*good, env=env, ok=False)
        self.assertEqual(result.returncode, 6)
        (data / "keys").unlink()
        result = run(*good, "--listen", "0.0.0.0:0", env=env, ok=False)
        self.assertIn(b"--allow-public", result.stderr)

    def test_the_example_has_every_setting_with_its_default(self):
        text = EXAMPLE.read_text()
        entries = re.findall(r"^#?([a-z][a-z-]*) = ?(.*)$", text, re.M)
        defaults = {k: v or "" for k, (v, _) in print_config(env={
            "CREDENTIALS_DIRECTORY": ""}).items()}
        self.assertEqual(len(entries), len({name for name, _ in entries}))
        self.assertEqual({name for name, _ in entries}, set(defaults))
        shown = {name: value for name, value in entries
                 if defaults[name] and not re.search(rf"^{name} = ", text, re.M)}
        self.assertEqual(shown, {name: defaults[name] for name in shown})
        # As it is, and with every setting that has a value switched on.
        self.path.write_text(text.replace("/var/lib/medicus", str(self.folder)))
        run("serve", "--check-config", "--wait", "--config", self.path)
        full = re.sub(r"^#([a-z][a-z-]* = \S)", r"\1", self.path.read_text(), flags=re.M)
        self.path.write_text(full)
        self.assertGreater(len(print_config("--config", self.path)), 20)


class Reloading(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = make_data(cls.enterClassContext(temp_folder()))

    def setUp(self):
        self.folder = self.enterContext(temp_folder())
        self.path = self.folder / "medicus.conf"

    def server(self, text, *flags):
        self.path.write_text(text)
        return Server(self.data, "--config", str(self.path), *flags)

    def hang_up(self, server, text, words="reload: read"):
        self.path.write_text(text)
        server.process.send_signal(signal.SIGHUP)
        return wait_for_line(server, words)

    def test_what_can_change_changes_and_the_rest_is_told(self):
        with self.server("idle-ms = 5000\n") as server:
            self.assertNotIn("ratelimit", server.search("asthma").headers)
            self.hang_up(server, "idle-ms = 6000\nrate-limit = 100/h\naccess-log = true\n"
                                 "allow-origin = https://a.example\n")
            log = "".join(server.log)
            self.assertIn("rate-limit is now 100/h\n", log)
            self.assertIn("idle-ms is now 6000; this takes effect at the next start", log)
            answer = server.search("asthma")
            self.assertIn("q=100;w=3600", answer.headers["ratelimit-policy"])
            wait_for_line(server, "access: GET search 200")
            origin = {"Origin": "https://a.example", "Content-Type": "application/json"}
            answer = server.request("POST", "/mcp", body=b"{}", headers=origin)
            self.assertNotEqual(answer.status, 403)
            self.hang_up(server, "idle-ms = 6000\n")
            answer = server.request("POST", "/mcp", body=b"{}", headers=origin)
            self.assertEqual(answer.status, 403)
            self.assertNotIn("ratelimit", server.search("asthma").headers)

    def test_a_broken_file_keeps_everything_and_says_so(self):
        with self.server("rate-limit = 100/h\n") as server:
            for text, words in (("rate-limit = 5/h\nnonsense\n", "line 2"),
                                ("rate-limit = 5/h\nlog-level = loud\n", "--log-level"),
                                (f"rate-limit = 5/h\naudit-log = {self.folder}/no/where\n",
                                 "audit log")):
                line = self.hang_up(server, text, "what was in force before stays")
                self.assertIn(words, line)
                self.assertIn("q=100;", server.search("a").headers["ratelimit-policy"])
                self.assertIn(b"medicus_reload_failed 1\n", server.get("/metrics").body)
            self.hang_up(server, "rate-limit = 7/h\n")
            self.assertIn("q=7;", server.search("a").headers["ratelimit-policy"])
            self.assertIn(b"medicus_reload_failed 0\n", server.get("/metrics").body)

    def test_no_request_is_dropped_by_reloads(self):
        failures, counts = [], [0] * 4
        stop = threading.Event()

        def search(server, number):
            c = server.connection()
            while not stop.is_set():
                try:
                    c.request("GET", f"/v1/search?q=asthma&limit={number + 1}")
                    answer = c.getresponse()
                    body = answer.read()
                    if answer.status != 200 or len(json.loads(body)["results"]) != number + 1:
                        failures.append((answer.status, body))
                except OSError as e:
                    failures.append(e)
                    return
                counts[number] += 1

        with self.server("") as server:
            threads = [threading.Thread(target=search, args=(server, n)) for n in range(4)]
            for t in threads:
                t.start()
            for turn in range(20):
                log = self.folder / f"audit{turn % 2}"
                self.hang_up(server, f"audit-log = {log}\nrate-limit = {100000 + turn}/s\n"
                                     f"allow-origin = https://{turn}.example\n")
            stop.set()
            for t in threads:
                t.join(HANG)
        self.assertEqual(failures, [])
        self.assertGreater(min(counts), 0)


class Audit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = make_data(cls.enterClassContext(temp_folder()))

    def setUp(self):
        self.folder = self.enterContext(temp_folder())
        self.log = self.folder / "audit.jsonl"
        (self.data / "keys").unlink(missing_ok=True)

    def lines(self):
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def test_who_asked_and_what_was_answered(self):
        secret = run("key", "--data", self.data, "add", "agents", "-q").stdout.decode().strip()
        key = {"Authorization": "Bearer " + secret}
        with Server(self.data, "--audit-log", str(self.log)) as server:
            self.assertEqual(stat.S_IMODE(self.log.stat().st_mode), 0o600)
            results = server.get("/v1/search?q=asthma", **key).json["results"]
            first = results[0]["id"]
            server.get("/livez")
            server.get("/metrics", **key)
            server.get("/v1/documents/" + first, **key)
            server.post("/v1/fetch", {"ids": ["pmid:1", first]}, **key)
            similar = server.get(f"/v1/documents/{first}/similar", **key).json["results"]
            exported = server.get("/v1/export?q=asthma&format=ids", **key).body.decode().split()
            call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {
                "name": "search", "arguments": {"query": "asthma"}}}
            server.post("/mcp", call, **key)
            call["params"] = {"name": "fetch", "arguments": {"id": first}}
            server.post("/mcp", call, **key)
            tavily = server.post("/compat/tavily/search", {"query": "asthma"}, **key).json
            server.get("/compat/jina/" + first, **key)
            refused = server.get("/v1/search?q=asthma", X_Request_ID="mine")
            server.get("/v1/search?q=asthma&limt=1", **key)
        got = self.lines()
        self.assertEqual([(g["route"], g["status"]) for g in got][:6], [
            ("search", 200), ("document", 200), ("fetch", 200), ("similar", 200),
            ("export", 200), ("mcp", 200)])
        self.assertEqual([g["status"] for g in got[-2:]], [401, 400])
        self.assertEqual(got[0]["ids"], [r["id"] for r in results])
        self.assertEqual(got[1]["ids"], [first])
        self.assertEqual(got[2]["ids"], [first])
        self.assertEqual(got[3]["ids"], [r["id"] for r in similar])
        self.assertEqual(got[4]["ids"], exported)
        self.assertEqual(len(got[5]["ids"]), len(set(got[5]["ids"])))
        self.assertEqual(got[5]["ids"][0].split("~")[0], first.split("~")[0])
        self.assertEqual(got[6]["ids"], [first])
        self.assertEqual(len(got[7]["ids"]), len(tavily["results"]))
        self.assertEqual(got[8]["ids"], [first.split("~")[0]])
        self.assertEqual(got[0]["key"]["name"], "agents")
        self.assertRegex(got[0]["key"]["id"], "^[0-9a-f]{8}$")
        self.assertRegex(got[0]["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual((got[0]["address"], got[0]["method"]), ("127.0.0.1", "GET"))
        self.assertEqual((got[-2]["key"], got[-2]["ids"], got[-2]["request_id"]),
                         (None, [], "mine"))
        self.assertEqual(refused.status, 401)
        text = self.log.read_text() + "".join(server.log)
        self.assertNotIn("asthma", re.sub('"guideline:[^"]*"', "", text))
        self.assertNotIn(secret, text)

    def test_query_text_only_when_asked_for_and_never_a_secret(self):
        secret = run("key", "--data", self.data, "add", "agents", "-q").stdout.decode().strip()
        key = {"Authorization": "Bearer " + secret}
        with Server(self.data, "--audit-log", str(self.log), "--audit-query-text",
                    "--access-log", "--log-level", "debug") as server:
            server.get("/v1/search?q=zebrafish", **key)
            server.post("/v1/search", {"query": "xylophone"}, **key)
            server.post("/compat/tavily/search", {"query": "quagga", "api_key": secret})
            server.get("/v1/search?q=" + secret, **key)
            metrics = server.get("/metrics", **key).body.decode()
            server.stop()
        got = self.lines()
        self.assertEqual(got[0]["target"], "/v1/search?q=zebrafish")
        self.assertEqual(json.loads(got[1]["body"]), {"query": "xylophone"})
        self.assertEqual(json.loads(got[2]["body"]),
                         {"query": "quagga", "api_key": "medicus_" + "*" * 72})
        self.assertNotIn(secret[8:], self.log.read_text())
        # Nothing else of what the server left behind holds it.
        others = metrics + "".join(server.log)
        for folder, _, names in os.walk(self.data):
            for name in names:
                with open(os.path.join(folder, name), "rb") as f:
                    others += f.read().decode("latin-1")
        for word in ("zebrafish", "xylophone", "quagga", secret[8:]):
            self.assertNotIn(word, others)

    def test_who_deleted_what(self):
        secret = run("key", "--data", self.data, "add", "ops", "--scope", "admin",
                     "-q").stdout.decode().strip()
        key = {"Authorization": "Bearer " + secret}
        with Server(self.data, "--audit-log", str(self.log)) as server:
            body = json.dumps({"_id": "x", "title": "Short lived", "text": "Some words."})
            headers = {**key, "Content-Type": "application/x-ndjson"}
            self.assertEqual(server.request("POST", "/v1/admin/documents", body=body,
                                            headers=headers).status, 200)
            for status in (200, 404):
                answer = server.request("DELETE", "/v1/admin/documents/doc:x", headers=key)
                self.assertEqual(answer.status, status, answer.body)
        self.assertEqual([(g["key"]["name"], g["route"], g["status"], g["ids"])
                          for g in self.lines()][1:],
                         [("ops", "admin_document", 200, ["doc:x"]),
                          ("ops", "admin_document", 404, [])])

    def test_logrotate_moves_it_away(self):
        with Server(self.data, "--audit-log", str(self.log)) as server:
            server.search("asthma")
            self.log.rename(self.folder / "audit.1")
            server.search("asthma")
            server.process.send_signal(signal.SIGHUP)
            wait_for_line(server, "opened the audit log")
            server.search("asthma")
        self.assertEqual(len((self.folder / "audit.1").read_text().splitlines()), 2)
        self.assertEqual(len(self.lines()), 1)

    def test_a_full_disk_loses_lines_and_no_answer(self):
        limit = 4096  # bytes that a file may have
        server = Server(self.data, "--audit-log", str(self.log))
        real = subprocess.Popen

        def limited(*args, **kwargs):
            return real(*args, **kwargs, preexec_fn=lambda: resource.setrlimit(
                resource.RLIMIT_FSIZE, (limit, limit)))
        subprocess.Popen = limited
        try:
            server.__enter__()
        finally:
            subprocess.Popen = real
        with_room = 0
        try:
            for _ in range(60):
                self.assertEqual(server.search("asthma").status, 200)
            text = server.get("/metrics").body.decode()
            lost = int(float(re.search(r"^medicus_audit_failures_total (\S+)$", text,
                                       re.M).group(1)))
            with_room = sum(line.endswith("}") for line in self.log.read_text().split("\n"))
        finally:
            server.__exit__()
        self.assertGreater(lost, 0)
        self.assertEqual(lost + with_room, 60)
        self.assertEqual(sum("audit log cannot be written" in line for line in server.log), 1)


if __name__ == "__main__":
    unittest.main()
