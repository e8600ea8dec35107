"""What operators see: structured log lines, the caller's trace, metrics, alert rules, dashboard."""
import json
import pathlib
import re
import subprocess
import unittest

import yaml

from support import HANG, ROOT, TOOLS, WithServer

PROMTOOL = TOOLS / "debian/usr/bin/promtool"
RULES = ROOT / "deploy/prometheus"
DASHBOARD = ROOT / "deploy/prometheus/dashboard.json"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
# Of the server, the scrape itself and the machine's own exporter.
FOREIGN = {"up"}


def promtool(*arguments, stdin=None):
    result = subprocess.run([PROMTOOL, *map(str, arguments)], capture_output=True, input=stdin,
                            timeout=HANG, check=False)
    return result.returncode, (result.stdout + result.stderr).decode()


class Logs(WithServer):
    flags = ("--log-format", "json", "--access-log")

    def lines(self):
        return [json.loads(line) for line in self.server.log if '"access"' in line]

    def test_access_lines_are_structured_and_carry_the_trace(self):
        good = f"00-{TRACE}-00f067aa0ba902b7-01"
        self.server.get("/v1/search?q=asthma", traceparent=good, X_Request_ID="first")
        bad = (good.upper(), good[:-1], "ff" + good[2:], good + "-00", "", "x" * 55,
               f"00-{'0' * 32}-00f067aa0ba902b7-01")
        for value in bad:
            self.server.get("/v1/search?q=asthma", traceparent=value, X_Request_ID="second")
        self.server.get("/v1/search?q=asthma", traceparent="01" + good[2:] + "-more",
                        X_Request_ID="third")
        self.server.stop()
        by_id = {}
        for line in self.lines():
            by_id.setdefault(line["request_id"], []).append(line)
        first = by_id["first"][0]
        self.assertEqual((first["method"], first["route"], first["status"], first["trace_id"]),
                         ("GET", "search", 200, TRACE))
        self.assertGreater(first["duration_ms"], 0)
        self.assertGreater(first["bytes"], 0)
        self.assertEqual(len(by_id["second"]), len(bad))
        self.assertFalse(any("trace_id" in line for line in by_id["second"]))
        self.assertEqual(by_id["third"][0]["trace_id"], TRACE)
        self.assertNotIn("asthma", "".join(self.server.log))


class Metrics(WithServer):
    def names(self):
        text = self.server.get("/metrics").body.decode()
        return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line[0] != "#"}

    def test_the_set_of_series_is_constant(self):
        def series():
            text = self.server.get("/metrics").body.decode()
            return {line.rsplit(" ", 1)[0] for line in text.splitlines() if line[0] != "#"}
        before = series()
        for target in ("/v1/search?q=gout", "/v1/search?q=gout&limt=1", "/nowhere", "/v1/terms?q=x",
                       "/v1/documents/pmid:1", "/v1/documents/pmid:990000101/similar"):
            self.server.get(target)
        self.server.request("DELETE", "/v1/search")
        self.assertEqual(series(), before)

    def test_every_stage_of_a_search_is_timed(self):
        self.server.get("/v1/search?q=hyperuricaemia")
        text = self.server.get("/metrics").body.decode()
        for stage in ("queue", "parse", "analyse", "lexical", "dense", "fuse", "present", "render"):
            self.assertRegex(text, rf'stage_seconds_count{{stage="{stage}"}} [1-9]')

    @unittest.skipUnless(PROMTOOL.exists(), "promtool is not installed")
    def test_exposition_is_clean(self):
        code, said = promtool("check", "metrics", stdin=self.server.get("/metrics").body)
        self.assertEqual((code, said), (0, ""))

    def used(self, expression):
        words = set(re.findall(r"\b(medicus_\w+|process_\w+|up)\b", expression))
        return words - FOREIGN

    def test_rules_and_dashboard_use_metrics_that_exist(self):
        names = self.names()
        dashboard = json.loads(DASHBOARD.read_text())
        expressions = [t["expr"] for panel in dashboard["panels"] for t in panel.get("targets", [])]
        rules = yaml.safe_load((RULES / "alerts.yml").read_text())["groups"][0]["rules"]
        expressions += [rule["expr"] for rule in rules]
        self.assertGreater(len(expressions), 20)
        for expression in expressions:
            self.assertTrue(self.used(expression) or "up" in expression, expression)
            self.assertEqual(self.used(expression) - names, set(), expression)

    @unittest.skipUnless(PROMTOOL.exists(), "promtool is not installed")
    def test_dashboard_expressions_are_promql(self):
        dashboard = json.loads(DASHBOARD.read_text())
        expressions = [t["expr"].replace("$__rate_interval", "5m") for panel in
                       dashboard["panels"] for t in panel.get("targets", [])]
        rules = {"groups": [{"name": "panels", "rules": [
            {"record": f"panel:number_{i}", "expr": e} for i, e in enumerate(expressions)]}]}
        path = pathlib.Path(self.data) / "panels.yml"
        path.write_text(json.dumps(rules))
        code, said = promtool("check", "rules", path)
        self.assertEqual(code, 0, said)

    def test_panels_do_not_overlap_and_are_described(self):
        taken = set()
        for panel in json.loads(DASHBOARD.read_text())["panels"]:
            p = panel["gridPos"]
            cells = {(x, y) for x in range(p["x"], p["x"] + p["w"])
                     for y in range(p["y"], p["y"] + p["h"])}
            self.assertFalse(cells & taken, panel["title"])
            self.assertLessEqual(p["x"] + p["w"], 24)
            taken |= cells
            if panel["type"] != "row":
                self.assertTrue(panel["description"], panel["title"])

    @unittest.skipUnless(PROMTOOL.exists(), "promtool is not installed")
    def test_alerts_fire_when_they_should(self):
        code, said = promtool("check", "rules", RULES / "alerts.yml")
        self.assertEqual(code, 0, said)
        code, said = promtool("test", "rules", RULES / "alerts_test.yml")
        self.assertEqual(code, 0, said)
        rules = set(re.findall(r"- alert: (\w+)", (RULES / "alerts.yml").read_text()))
        tested = set(re.findall(r"alertname: (\w+)", (RULES / "alerts_test.yml").read_text()))
        self.assertEqual(rules, tested)


if __name__ == "__main__":
    unittest.main()
