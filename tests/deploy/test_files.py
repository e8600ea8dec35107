"""The container, cluster and proxy files: linted, and their commands are ones the program has."""
import contextlib
import http.client
import os
import re
import shutil
import signal
import ssl
import subprocess
import time
import unittest

import yaml

from support import HANG, ROOT, Server, TOOLS, make_data, run, temp_folder

DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "k8s").glob("*.yaml"))
NGINX = TOOLS / "debian/usr/sbin/nginx"


def tool(name):
    """A program of the tools' virtual environment, or None."""
    path = TOOLS / "venv/bin" / name
    return path if path.exists() else None


def check(*command, **kwargs):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=HANG,
                            check=False, **kwargs)
    if result.returncode != 0:
        raise AssertionError(f"{command}: {result.stdout}{result.stderr}")
    return result.stdout


def objects():
    return [(path.name, thing) for path in MANIFESTS
            for thing in yaml.safe_load_all(path.read_text())]


def pods():
    """(name, pod specification) of everything that runs."""
    return [(thing["metadata"]["name"], thing["spec"]["template"]["spec"])
            for _, thing in objects() if "template" in thing.get("spec", {})]


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]


def check_command(words):
    """The words after `medicus` name a command, and options that it has."""
    text = run(words[0], "--help").stdout.decode()
    for word in words[1:]:
        if word.startswith("--"):
            assert re.search(rf"{word}\b", text), f"medicus {words[0]} has no {word}"


class Containers(unittest.TestCase):
    @unittest.skipUnless(tool("hadolint"), "hadolint is not installed")
    def test_dockerfile_is_clean(self):
        check(tool("hadolint"), DEPLOY / "Dockerfile")

    def test_health_is_asked_by_the_program_and_nobody_is_root(self):
        text = (DEPLOY / "Dockerfile").read_text()
        self.assertIn('CMD ["/usr/bin/medicus", "health"]', text)
        self.assertRegex(text.split("FROM")[-1], r"(?m)^USER [1-9]")

    @unittest.skipUnless(tool("podman-compose"), "podman-compose is not installed")
    def test_compose_file(self):
        service = yaml.safe_load(check(tool("podman-compose"), "-f", DEPLOY / "compose.yaml",
                                       "config"))["services"]["medicus"]
        self.assertTrue(service["read_only"])
        self.assertEqual(service["cap_drop"], ["ALL"])
        self.assertTrue(all(port.startswith("127.0.0.1:") for port in service["ports"]))
        check_command(service["command"])

    def test_packages_of_the_run_time_are_those_that_are_linked(self):
        binary = os.environ["MEDICUS_BIN"]
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", check("readelf", "-d", binary))
        paths = dict(re.findall(r"(\S+) => (\S+)", check("ldd", binary)))
        owners = set()
        for name in needed:
            if re.match(r"lib(c|m|gcc_s|asan|ubsan)\.so|ld-linux", name):
                continue
            # dpkg knows a file under /lib or under /usr/lib, as its package has it.
            where = os.path.realpath(paths[name]).removeprefix("/usr")
            owners.add(check("dpkg", "-S", "*" + where).split(":")[0])
        listed = set(check("bash", "-c", f". {DEPLOY}/packages.sh; echo ${{packages_run[*]}}")
                     .split())
        self.assertEqual(owners - listed, set())
        self.assertEqual(listed - owners, set())


class Cluster(unittest.TestCase):
    @unittest.skipUnless(tool("kubernetes-validate"), "kubernetes-validate is not installed")
    def test_manifests_are_valid(self):
        for version in ("1.29", "1.33"):
            for path in MANIFESTS:
                check(tool("kubernetes-validate"), "-k", version, "--strict", path)

    def test_pods_are_restricted(self):
        for name, pod in pods():
            self.assertFalse(pod["automountServiceAccountToken"], name)
            self.assertTrue(pod["securityContext"]["runAsNonRoot"], name)
            self.assertEqual(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault")
            for container in containers(pod):
                security = container["securityContext"]
                self.assertFalse(security["allowPrivilegeEscalation"], name)
                self.assertTrue(security["readOnlyRootFilesystem"], name)
                self.assertEqual(security["capabilities"], {"drop": ["ALL"]}, name)
                self.assertIn("memory", container["resources"]["limits"], name)

    def test_commands_are_ones_that_the_program_has(self):
        seen = 0
        for _, pod in pods():
            for container in containers(pod):
                if "command" in container:
                    for line in re.findall(r"\bmedicus (\w+.*?)(?:&&|$)", container["args"][0],
                                           re.M):
                        check_command(line.split())
                        seen += 1
                else:
                    check_command(container["args"])
                    seen += 1
        self.assertGreaterEqual(seen, 5)

    def test_probes_volumes_and_claims_fit_together(self):
        claims = {t["metadata"]["name"] for _, t in objects() if t["kind"].endswith("Claim")}
        for name, pod in pods():
            volumes = {v["name"] for v in pod.get("volumes", [])} | {"data"}
            used = {v["persistentVolumeClaim"]["claimName"] for v in pod.get("volumes", [])
                    if "persistentVolumeClaim" in v}
            self.assertLessEqual(used, claims, name)
            for container in containers(pod):
                mounts = {m["name"] for m in container["volumeMounts"]}
                self.assertLessEqual(mounts, volumes, name)
            server = pod["containers"][0]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                self.assertIn(server[probe]["httpGet"]["path"], ("/livez", "/readyz"), name)

    def test_nothing_reaches_out(self):
        policies = [t for _, t in objects() if t["kind"] == "NetworkPolicy"]
        everyone = [p for p in policies if p["spec"]["podSelector"] == {}]
        self.assertTrue(any("Egress" in p["spec"]["policyTypes"] and not p["spec"].get("egress")
                            for p in everyone))
        self.assertFalse(any(p["spec"].get("egress") for p in policies))


class Nginx(unittest.TestCase):
    @contextlib.contextmanager
    def proxy(self, folder, upstream):
        """nginx with deploy/nginx.conf, on a port of its own, in front of a server."""
        port = 20000 + os.getpid() % 20000
        check("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
              "/CN=localhost", "-keyout", folder / "medicus.key", "-out", folder / "medicus.pem")
        site = (DEPLOY / "nginx.conf").read_text()
        for old, new in (("/etc/ssl/certs", folder), ("/etc/ssl/private", folder),
                         ("/var/log/nginx", folder), ("listen 443", f"listen 127.0.0.1:{port}"),
                         ("127.0.0.1:8080", f"127.0.0.1:{upstream}")):
            self.assertIn(str(old), site)
            site = site.replace(str(old), str(new))
        (folder / "site.conf").write_text(site)
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temp = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
        (folder / "nginx.conf").write_text(
            f"pid {folder}/pid;\nerror_log {folder}/error.log;\ndaemon off;\n"
            f"events {{}}\nhttp {{\n{temp}access_log off;\ninclude {folder}/site.conf;\n}}\n")
        command = [NGINX, "-p", folder, "-e", folder / "start.log", "-c", folder / "nginx.conf"]
        check(*command, "-t")
        (folder / "pid").unlink(missing_ok=True)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + HANG
            while not (folder / "pid").exists() and time.monotonic() < end:
                time.sleep(0.05)
            yield port
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=HANG)

    @unittest.skipUnless(NGINX.exists() and shutil.which("openssl"), "nginx is not installed")
    def test_in_front_of_the_server(self):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with temp_folder() as folder:
            folder.chmod(0o755)
            make_data(folder / "data")
            with Server(folder / "data") as server, self.proxy(folder, server.port) as port:
                def get(target):
                    c = http.client.HTTPSConnection("127.0.0.1", port, timeout=HANG,
                                                    context=context)
                    c.request("GET", target)
                    answer = c.getresponse()
                    body = answer.read()
                    c.close()
                    return answer.status, body
                status, body = get("/v1/search?q=asthma+reliever")
                self.assertEqual((status, body), (200, server.get(
                    "/v1/search?q=asthma+reliever").body))
                self.assertEqual(get("/v1/admin/jobs")[0], 404)
                self.assertEqual(get("/metrics")[0], 404)
            log = (folder / "medicus.log").read_text()
        self.assertIn("/v1/search 200", log)
        self.assertNotIn("asthma", log)


if __name__ == "__main__":
    unittest.main()
