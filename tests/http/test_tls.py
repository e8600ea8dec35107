"""TLS: versions, certificates and their renewal, clients that stall, and everything that holds
without TLS."""
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from support import BIN, HANG, Server, make_data, run, temp_folder
from test_config import wait_for_line


def make_certificate(folder, name, kind=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", key, "-out",
                    cert, "-days", "2", "-subj", f"/CN={name}", "-addext",
                    "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
    key.chmod(0o600)
    return cert, key


class SecureServer(Server):
    """A server that speaks TLS, and clients that trust its certificate alone."""

    def __init__(self, data, cert, key, *flags):
        super().__init__(data, "--tls-cert", str(cert), "--tls-key", str(key), *flags)
        self.trust(cert)

    def trust(self, cert):
        self.context = ssl.create_default_context(cafile=str(cert))

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)
        line = wait_for_line(self, "listening on")
        self.port = int(re.search(r"https://127\.0\.0\.1:(\d+)$", line.strip()).group(1))
        return self

    def connection(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=HANG,
                                           context=self.context)

    def socket(self):
        raw = socket.create_connection(("127.0.0.1", self.port), timeout=HANG)
        return self.context.wrap_socket(raw, server_hostname="localhost")


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = make_data(cls.enterClassContext(temp_folder()))
        cls.folder = cls.enterClassContext(temp_folder())
        cls.cert, cls.key = make_certificate(cls.folder, "localhost")
        cls.server = cls.enterClassContext(SecureServer(cls.data, cls.cert, cls.key))

    def test_everything_works_as_without(self):
        answer = self.server.search("asthma")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.json["results"])
        c = self.server.connection()
        for size in (10, 100000, 1000000):  # one connection, bodies of several records
            body = json.dumps({"query": "asthma", "limit": 1}) + " " * size
            c.request("POST", "/v1/search", body=body,
                      headers={"Content-Type": "application/json"})
            answer = c.getresponse()
            self.assertEqual((answer.status, len(json.loads(answer.read())["results"])), (200, 1))
        c.close()
        big = self.server.get("/v1/search?q=asthma&limit=1000&response_format=detailed")
        self.assertGreater(len(big.body), 50000)
        curl = subprocess.run(["curl", "-sS", "--cacert", str(self.cert),
                               f"https://localhost:{self.server.port}/livez"], check=True,
                              capture_output=True, timeout=HANG).stdout
        self.assertEqual(json.loads(curl)["status"], "ok")

    def test_versions(self):
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"),
                              (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            self.server.context.minimum_version = self.server.context.maximum_version = version
            with self.server.socket() as s:
                self.assertEqual(s.version(), name)
        self.server.trust(self.cert)
        old = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{self.server.port}",
                              "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"], stdin=subprocess.DEVNULL,
                             capture_output=True, timeout=HANG, check=False)
        self.assertNotEqual(old.returncode, 0)
        self.assertIn(b"no peer certificate available", old.stdout)

    def test_requests_that_arrive_in_one_record_are_all_answered(self):
        request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with self.server.socket() as s:
            s.sendall(request * 20)
            got = b""
            while got.count(b'{"status":"ok"}') < 20:
                piece = s.recv(65536)
                self.assertTrue(piece, got)
                got += piece
        self.assertEqual(got.count(b"HTTP/1.1 200"), 20)

    def test_who_stalls_in_the_handshake_is_sent_away_and_stops_nobody(self):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = self.server.context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with self.assertRaises(ssl.SSLWantReadError):
            client.do_handshake()
        hello = outgoing.read()
        with SecureServer(self.data, self.cert, self.key, "--header-deadline-ms", "3000") as server:
            stalled = []
            for count in (0, 1, 5, 100):
                s = socket.create_connection(("127.0.0.1", server.port), timeout=HANG)
                s.sendall(hello[:count])
                stalled.append(s)
            self.assertEqual(server.get("/livez").status, 200)
            with server.socket() as s:  # and who stalls in the request
                s.sendall(b"GET /livez HT")
                self.assertEqual(s.recv(4096), b"")
            for s in stalled:
                received = b"x"
                while received:
                    received = s.recv(4096)
                    self.assertNotIn(b"HTTP/1.1", received)
                s.close()

    def test_what_is_no_tls_is_no_request(self):
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG) as s:
            s.sendall(b"GET /v1/search?q=asthma HTTP/1.1\r\nHost: localhost\r\n\r\n")
            received = b""
            while True:
                try:
                    piece = s.recv(4096)
                except ConnectionResetError:
                    break
                if not piece:
                    break
                received += piece
        self.assertNotIn(b"results", received)
        self.assertNotIn(b"HTTP/1.1 200", received)

    def test_many_clients_at_once(self):
        failures = []

        def ask():
            try:
                for _ in range(5):
                    if self.server.get("/v1/search?q=asthma").status != 200:
                        failures.append("status")
            except Exception as e:
                failures.append(e)
        threads = [threading.Thread(target=ask) for _ in range(20)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(HANG)
        self.assertEqual(failures, [])

    def test_health_asks_over_tls(self):
        at = f"127.0.0.1:{self.server.port}"
        self.assertEqual(run("health", "--listen", at, "--tls-cert", self.cert).stdout, b"ready\n")
        self.assertEqual(run("health", "--listen", at, ok=False).returncode, 9)


class Certificates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = make_data(cls.enterClassContext(temp_folder()))

    def setUp(self):
        self.folder = self.enterContext(temp_folder())
        self.cert, self.key = make_certificate(self.folder, "one")

    def test_a_renewed_certificate_is_shown_after_sighup_and_nobody_notices(self):
        with SecureServer(self.data, self.cert, self.key) as server:
            kept = server.connection()
            kept.request("GET", "/livez")
            kept.getresponse().read()
            two = make_certificate(self.folder, "two", ("rsa:2048",))
            os.replace(two[0], self.cert)
            os.replace(two[1], self.key)
            server.process.send_signal(signal.SIGHUP)
            wait_for_line(server, "the certificate")
            with self.assertRaises(ssl.SSLError):
                server.connection().request("GET", "/livez")
            kept.request("GET", "/livez")
            self.assertEqual(kept.getresponse().read(), b'{"status":"ok"}\n')
            kept.close()
            server.trust(self.cert)
            self.assertEqual(server.get("/livez").status, 200)
            # A key that does not fit changes nothing.
            make_certificate(self.folder, "three")
            os.replace(self.folder / "three.key", self.key)
            server.process.send_signal(signal.SIGHUP)
            line = wait_for_line(server, "what was in force before stays")
            self.assertIn("does not belong", line)
            self.assertEqual(server.get("/livez").status, 200)

    def test_what_is_wrong_is_found_at_the_start(self):
        other = make_certificate(self.folder, "other")
        locked = self.folder / "locked.key"
        subprocess.run(["openssl", "pkcs8", "-topk8", "-in", self.key, "-out", locked, "-passout",
                        "pass:x"], check=True, capture_output=True)
        locked.chmod(0o600)
        loose = self.folder / "loose.key"
        loose.write_bytes(self.key.read_bytes())
        loose.chmod(0o644)
        for cert, key, status, words in (
                (self.cert, other[1], 3, "does not belong"), (self.cert, locked, 3, "unencrypted"),
                (self.cert, loose, 8, "chmod"), (self.key, self.key, 3, "certificates"),
                (self.cert, self.cert, 8, "chmod"), (self.folder / "none", self.key, 4, "none"),
                (self.cert, self.folder / "none", 4, "none")):
            result = run("serve", "--data", self.data, "--listen", "127.0.0.1:0", "--tls-cert",
                         cert, "--tls-key", key, ok=False)
            self.assertEqual(result.returncode, status, (cert, key, result.stderr))
            self.assertIn(words, result.stderr.decode())
        result = run("serve", "--data", self.data, "--tls-cert", self.cert, ok=False)
        self.assertEqual(result.returncode, 2)

    def test_a_stop_under_load_answers_what_was_accepted(self):
        with SecureServer(self.data, self.cert, self.key) as server:
            failures, answered = [], []
            begun = threading.Event()

            def ask():
                c = server.connection()
                try:
                    while True:
                        c.request("GET", "/v1/search?q=asthma")
                        r = c.getresponse()
                        r.read()
                        answered.append(r.status)
                        begun.set()
                        if r.getheader("Connection") == "close":
                            return
                except OSError as e:
                    failures.append(e)
            threads = [threading.Thread(target=ask) for _ in range(4)]
            for t in threads:
                t.start()
            begun.wait(HANG)
            self.assertEqual(server.stop(), 0)
            for t in threads:
                t.join(HANG)
        self.assertEqual(set(answered), {200})


if __name__ == "__main__":
    unittest.main()
