"""The service unit, what the server tells the service manager, manual page and completions."""
import os
import re
import shutil
import socket
import subprocess
import unittest

from support import HANG, ROOT, Server, make_data, run, temp_folder

UNIT = ROOT / "deploy/systemd/medicus.service"
UNITS = sorted(UNIT.parent.iterdir())
SHELLS = {"bash": ["bash", "-n"], "zsh": ["zsh", "-n"], "fish": ["fish", "-n"]}


def commands():
    """Names of all commands, from --help."""
    text = run("--help").stdout.decode().split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in text.splitlines()]


def options(command):
    text = run(command, "--help").stdout.decode().split("environment variable):\n")[1]
    return re.findall(r"^\s+(?:-\w, )?--([\w-]+)", text.split("\n\n")[0], re.M)


class Manual(unittest.TestCase):
    def test_names_every_command_and_option(self):
        page = run("manual").stdout.decode().replace("\\-", "-")
        for command in commands():
            section = page.split(f'.SS "medicus {command}', 1)[1].split("\n.SS ", 1)[0]
            for option in options(command):
                self.assertIn(f"--{option}\\fR", section, command)

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_is_well_formed(self):
        result = subprocess.run(["mandoc", "-Tlint", "-Wwarning"], input=run("manual").stdout,
                                capture_output=True, timeout=HANG, check=False)
        self.assertEqual((result.returncode, result.stdout), (0, b""))


class Completion(unittest.TestCase):
    def test_every_shell_accepts_its_script(self):
        for shell, check in SHELLS.items():
            script = run("completion", shell).stdout
            for command in commands():
                self.assertIn(command.encode(), script)
            if not shutil.which(shell):
                print(f"skipped: {shell} is not installed")
                continue
            with temp_folder() as folder:
                (folder / "script").write_bytes(script)
                result = subprocess.run([*check, folder / "script"], capture_output=True,
                                        timeout=HANG, check=False)
            self.assertEqual((result.returncode, result.stderr), (0, b""), shell)

    def test_bash_completes_commands_and_options(self):
        def completed(*words):
            script = run("completion", "bash").stdout.decode() + (
                f"\nCOMP_WORDS=({' '.join(words)})\nCOMP_CWORD={len(words) - 1}\n_medicus\n"
                "printf '%s\\n' \"${COMPREPLY[@]}\"\n")
            return subprocess.run(["bash", "-c", script], capture_output=True, text=True,
                                  timeout=HANG, check=True).stdout.split()
        self.assertEqual(completed("medicus", "sea"), ["search"])
        self.assertIn("--authority-weight", completed("medicus", "search", "--au"))

    def test_an_unknown_shell_is_refused(self):
        result = run("completion", "tcsh", ok=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn(b"fish", result.stderr)


class Notify(unittest.TestCase):
    def test_the_service_manager_is_told(self):
        with temp_folder() as folder:
            make_data(folder / "data")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
                heard.bind(str(folder / "notify"))
                heard.settimeout(HANG)
                os.environ["NOTIFY_SOCKET"] = str(folder / "notify")
                try:
                    with Server(folder / "data") as server:
                        self.assertIn(b"READY=1", heard.recv(4096))
                        while heard.recv(4096) != b"WATCHDOG=1":
                            pass
                        self.assertEqual(server.stop(), 0)
                        while heard.recv(4096) != b"STOPPING=1":
                            pass
                finally:
                    del os.environ["NOTIFY_SOCKET"]


class Unit(unittest.TestCase):
    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_exposure(self):
        for unit in UNITS:
            if unit.suffix != ".service":
                continue
            result = subprocess.run(
                ["systemd-analyze", "security", "--offline=true", "--threshold=20", unit],
                capture_output=True, text=True, timeout=HANG, check=False)
            self.assertEqual(result.returncode, 0, result.stdout[-200:])

    @unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
    def test_units_are_well_formed(self):
        with temp_folder() as folder:
            for unit in UNITS:
                # Neither the program nor its manual page needs to be installed for this.
                text = re.sub(r"^Documentation=.*\n", "", unit.read_text(), flags=re.M)
                (folder / unit.name).write_text(text.replace("/usr/bin/medicus", "/bin/true"))
            result = subprocess.run(["systemd-analyze", "verify", *folder.iterdir()], text=True,
                                    capture_output=True, timeout=HANG, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_commands_are_ones_that_the_program_has(self):
        for unit in UNITS:
            for line in re.findall(r"/usr/bin/medicus (.*)", unit.read_text()):
                command = line.split()[0]
                for option in re.findall(r"--([\w-]+)", line):
                    self.assertIn(option, options(command), unit.name)

    @unittest.skipUnless(shutil.which("strace") and shutil.which("systemd-analyze"),
                         "strace or systemd-analyze is not installed")
    def test_the_system_call_filter_allows_what_the_server_does(self):
        def named(group):
            text = subprocess.run(["systemd-analyze", "syscall-filter", group], text=True,
                                  capture_output=True, timeout=HANG, check=True).stdout
            calls = set()
            for line in text.splitlines()[1:]:
                word = line.strip()
                if word.startswith("@"):
                    calls |= named(word)
                elif word and not word.startswith("#"):
                    calls.add(word)
            return calls

        allowed = set()
        for line in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.M):
            words = line.lstrip("~").split()
            calls = set().union(*(named(w) if w[0] == "@" else {w} for w in words))
            allowed = allowed - calls if line[0] == "~" else allowed | calls
        with temp_folder() as folder:
            make_data(folder / "data")
            trace = folder / "trace"
            server = Server(folder / "data")
            server.command = ["strace", "-f", "-qq", "-o", str(trace), *server.command]
            with server:
                self.assertEqual(server.search("asthma").status, 200)
                subprocess.run(["pkill", "-TERM", "-P", str(server.process.pid)], check=True)
                server.process.wait(timeout=HANG)
            used = set(re.findall(r"^\d+\s+(\w+)\(", trace.read_text(), re.M))
        self.assertIn("accept4", used)
        self.assertEqual(used - allowed, set())


if __name__ == "__main__":
    unittest.main()
