"""Raw bytes on sockets: what no honest client sends must not crash, hang or be misread."""
import io
import re
import socket
import struct
import unittest

from support import HANG, WithServer, check_contract, json_test_suite, parse_answer

HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b" HTTP/1.1\r\n" + HOST + b"\r\n"
BODY = b'{"query":"asthma"}'
GET = b"GET /livez HTTP/1.1\r\n"
POST = b"POST /v1/search HTTP/1.1\r\n" + HOST + JSON

# name, bytes, statuses that are right; None: closing without an answer is right too
MALFORMED = [
    ("empty line only", b"\r\n\r\n", (400, 408, None)),
    ("garbage", b"\x00\x01\x02\x03\r\n\r\n", (400, 408, None)),
    ("TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n" * 2, (400, None)),
    ("no version", b"GET /livez\r\n\r\n", (400, 505, None)),
    ("HTTP/0.9", b"GET /livez HTTP/0.9\r\n" + HOST + b"\r\n", (400, 505, None)),
    ("HTTP/2.0", b"GET /livez HTTP/2.0\r\n" + HOST + b"\r\n", (400, 505, None)),
    ("HTTP/1.1x", b"GET /livez HTTP/1.1x\r\n" + HOST + b"\r\n", (400, 505, None)),
    ("HTTP2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 501, 505, None)),
    ("lower-case method", b"get /livez" + END, (400, 501)),
    ("method with odd bytes", b"G(T /livez" + END, (400,)),
    ("two spaces", b"GET  /livez" + END, (400,)),
    ("space in target", b"GET /li vez" + END, (400, None)),
    ("tab in target", b"GET /li\tvez" + END, (400,)),
    ("NUL in target", b"GET /livez\x00evil" + END, (400, None)),
    ("raw high bytes in target", b"GET /v1/search?q=\xc3\xa9" + END, (400,)),
    ("encoded NUL", b"GET /v1/search?q=a%00b" + END, (400,)),
    ("encoded control", b"GET /v1/documents/a%0ab" + END, (400,)),
    ("bad percent", b"GET /v1/search?q=%zz" + END, (400,)),
    ("half percent", b"GET /v1/search?q=%4" + END, (400,)),
    ("lonely percent", b"GET /v1/search?q=%" + END, (400,)),
    ("fragment", b"GET /livez#x" + END, (400,)),
    ("backslash", b"GET /..\\..\\etc" + END, (400,)),
    ("dot segments", b"GET /v1/../../etc/passwd" + END, (400,)),
    ("no slash", b"GET livez" + END, (400,)),
    ("asterisk", b"GET *" + END, (400,)),
    ("authority form", b"CONNECT example.org:443" + END, (400, 405)),
    ("other scheme", b"GET ftp://example.org/livez" + END, (400,)),
    ("long target", b"GET /" + b"a" * 20000 + END, (414,)),
    ("very long target", b"GET /" + b"a" * 200000 + END, (414, None)),
    ("long header", GET + HOST + b"X: " + b"a" * 200000 + b"\r\n\r\n", (431, None)),
    ("many headers", GET + HOST + b"X: y\r\n" * 100 + b"\r\n", (431,)),
    ("no Host", GET + b"\r\n", (400,)),
    ("two Hosts", GET + HOST + b"Host: other\r\n\r\n", (400,)),
    ("two equal Hosts", GET + HOST + HOST + b"\r\n", (400,)),
    ("empty Host", GET + b"Host:\r\n\r\n", (400,)),
    ("odd Host", GET + b"Host: a/b\r\n\r\n", (400,)),
    ("space before colon", GET + b"Host : localhost\r\n\r\n", (400, None)),
    ("no colon", GET + HOST + b"NoColonHere\r\n\r\n", (400, None)),
    ("empty name", GET + b": value\r\n" + HOST + b"\r\n", (400, None)),
    ("folded line", GET + HOST + b"X: a\r\n b\r\n\r\n", (400,)),
    ("folded length", POST + b"Content-Length: 1\r\n 8\r\n\r\n" + BODY, (400, None)),
    ("NUL in value", GET + HOST + b"X: a\x00b\r\nY: z\r\n\r\n", (400, None)),
    ("NUL in the last value", GET + HOST + b"X: a\x00b\r\n\r\n", (400, None)),
    ("control in value", GET + HOST + b"X: a\x01b\r\n\r\n", (400,)),
    ("bare CR in value", GET + HOST + b"X: a\rb\r\n\r\n", (400,)),
    ("CL and TE", POST + b"Content-Length: 18\r\n" + CHUNKED + b"\r\n" + BODY, (400,)),
    ("TE and CL", POST + CHUNKED + b"Content-Length: 18\r\n\r\n0\r\n\r\n", (400,)),
    ("two lengths", POST + b"Content-Length: 18\r\nContent-Length: 5\r\n\r\n" + BODY, (400,)),
    ("two equal lengths", POST + b"Content-Length: 18\r\n" * 2 + b"\r\n" + BODY, (400,)),
    ("list of lengths", POST + b"Content-Length: 18, 18\r\n\r\n" + BODY, (400,)),
    ("negative length", POST + b"Content-Length: -1\r\n\r\n" + BODY, (400,)),
    ("plus length", POST + b"Content-Length: +18\r\n\r\n" + BODY, (400,)),
    ("hex length", POST + b"Content-Length: 0x12\r\n\r\n" + BODY, (400,)),
    ("huge length", POST + b"Content-Length: 99999999999999999999999\r\n\r\n", (400, 413)),
    ("large length", POST + b"Content-Length: 9999999999\r\n\r\n", (413,)),
    ("TE twice", POST + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n", (400,)),
    ("TE identity", POST + b"Transfer-Encoding: identity\r\n\r\n", (400, 501)),
    ("TE gzip, chunked", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", (400, 501)),
    ("TE xchunked", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", (400, 501)),
    ("TE in HTTP/1.0", b"POST /v1/search HTTP/1.0\r\n" + JSON +
     CHUNKED + b"\r\n0\r\n\r\n", (400,)),
    ("bad chunk size", POST + CHUNKED + b"\r\nzz\r\n", (400, None)),
    ("huge chunk size", POST + CHUNKED + b"\r\nffffffffffffffffff\r\n", (400, 413, None)),
    ("negative chunk size", POST + CHUNKED + b"\r\n-1\r\n", (400, None)),
    ("two content types", POST + JSON + b"Content-Length: 18\r\n\r\n" + BODY, (400,)),
    ("unknown expectation", POST + b"Expect: x\r\nContent-Length: 18\r\n\r\n" + BODY, (417,)),
    ("empty body", POST + b"Content-Length: 0\r\n\r\n", (400,)),
]


def read_all(sock):
    data = b""
    try:
        while True:
            piece = sock.recv(65536)
            if not piece:
                return data
            data += piece
    except ConnectionError:
        return data


def answers(data):
    """How many there are. libmicrohttpd 0.9.75 writes the header of its own errors twice."""
    heads = re.findall(rb"HTTP/1\.1 \d+[^\r]*\r\n", data)
    return 1 if b"<html>" in data else len(heads)


class Malformed(WithServer):
    # What never becomes a request, and connections that could be kept, end soon.
    flags = ("--header-deadline-ms", "2000", "--body-deadline-ms", "2000", "--idle-ms", "300")

    def raw(self, data, half_close=False):
        """Sends the bytes and returns everything that comes back until the server closes."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG) as sock:
            try:
                sock.sendall(data)
                if half_close:
                    sock.shutdown(socket.SHUT_WR)
            except ConnectionError:
                pass
            return read_all(sock)

    def test_each_is_refused_and_the_server_lives(self):
        self.assertGreaterEqual(len(MALFORMED), 34)
        self.problems = 0
        for name, data, statuses in MALFORMED:
            with self.subTest(name):
                answer = self.raw(data)
                status = int(answer.split(b" ")[1]) if answer.startswith(b"HTTP/") else None
                self.assertIn(status, statuses, answer[:200])
                self.problems += self.is_declared(data, answer)
                self.assertEqual(answers(answer), 1 if status else 0, answer)
                self.assertEqual(self.server.get("/livez").status, 200)

        self.assertGreater(self.problems, 34)

    def is_declared(self, sent, answer):
        """Whether it is a problem; then it must be one that the specification declares."""
        parsed = parse_answer(answer)
        if not parsed or parsed.headers.get("content-type") != "application/problem+json":
            return False
        method, target = (sent.split(b" ") + [b""])[:2]
        target = target.decode("latin-1")
        target = target if target.startswith("/") else "/nowhere"
        check_contract(self.server, method.decode("latin-1"), target, parsed)
        return True

    def test_nothing_behind_a_refused_request_is_served(self):
        """Request smuggling: the bytes after bad framing must not be taken for a request."""
        inner = b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n"
        for framing in (b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
                        b"Content-Length: 0\r\nContent-Length: 43\r\n",
                        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"):
            answer = self.raw(POST + framing + b"\r\n" + b"0\r\n\r\n" + inner)
            self.assertEqual(answers(answer), 1, answer)
            self.assertNotIn(b"ready", answer)

    def test_absolute_form_is_served(self):
        answer = self.raw(b"GET http://example.org/livez" + END)
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)

    def test_http_1_0_and_pipelining(self):
        answer = self.raw(b"GET /livez HTTP/1.0\r\n\r\n")
        self.assertIn(b"200 OK", answer.split(b"\r\n")[0])
        answer = self.raw((GET + HOST + b"\r\n") * 5)
        self.assertEqual(answer.count(b"200 OK"), 5)

    def test_every_prefix_of_a_request_is_survived(self):
        request = POST + b"Content-Length: 18\r\n\r\n" + BODY
        for end in range(0, len(request), 9):
            self.raw(request[:end], half_close=True)
        self.assertEqual(self.server.get("/livez").status, 200)

    def test_clients_that_hang_up_are_survived(self):
        request = POST + b"Content-Length: 18\r\n\r\n" + BODY
        for _ in range(50):
            sock = socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG)
            sock.sendall(request)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.assertEqual(self.server.get("/livez").status, 200)

    def test_one_byte_at_a_time(self):
        request = POST + b"Content-Length: 18\r\nConnection: close\r\n\r\n" + BODY
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=HANG) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for i in range(len(request)):
                sock.sendall(request[i:i + 1])
            self.assertTrue(read_all(sock).startswith(b"HTTP/1.1 200"))


class JsonBodies(WithServer):
    """nst/JSONTestSuite: what must be refused is refused, what must be accepted is parsed."""

    def test_json_test_suite(self):
        c = self.server.connection()
        cases = json_test_suite()
        if not cases:
            self.skipTest("JSONTestSuite is not here; set MEDICUS_SHARED to the folder that has it")
        for name, data in cases:
            with self.subTest(name):
                answer = self.server.request("POST", "/v1/search", body=data, connection=c,
                                             headers={"Content-Type": "application/json"})
                kind = answer.json["type"].removeprefix("/problems/")
                if name.startswith("n_"):
                    self.assertEqual((answer.status, kind), (400, "invalid-json"), name)
                elif name.startswith("y_") and kind == "invalid-json":
                    # Stricter than RFC 8259 on purpose: see common/json.h.
                    self.assertRegex(name, "duplicated_key|null_escape|escaped_null|nul", name)
                else:
                    self.assertEqual(answer.status, 400, name)
        c.close()

    def test_depth_and_size(self):
        for body in (b"[" * 100000, b'{"a":' * 50000, b'{"query":"a","filters":' * 200):
            answer = self.server.post("/v1/search", io.BytesIO(body).getvalue())
            self.problem(answer, "invalid-json", 400)


if __name__ == "__main__":
    unittest.main()
