"""Every command of the runbook (deploy/README.md), run in order on the sample."""
import gzip
import hashlib
import os
import re
import shutil
import socket
import subprocess
import unittest

from support import BIN, HANG, ROOT, SAMPLE, temp_folder

RUNBOOK = ROOT / "deploy/README.md"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def lay_out(folder):
    """What an operator has before the first command: files of PubMed with checksums, guidelines."""
    for name, files in (("baseline", sorted((SAMPLE / "pubmed").glob("*.xml"))[:6]),
                        ("updatefiles", sorted((SAMPLE / "pubmed").glob("*.xml"))[6:])):
        target = folder / "srv/pubmed" / name
        target.mkdir(parents=True)
        start = 1 if name == "baseline" else 7
        for number, path in enumerate(files, start):
            packed = target / f"pubmed26n{number:04}.xml.gz"
            packed.write_bytes(gzip.compress(path.read_bytes()))
            digest = hashlib.md5(packed.read_bytes()).hexdigest()
            (target / (packed.name + ".md5")).write_text(f"MD5({packed.name})= {digest}\n")
    shutil.copytree(SAMPLE / "guidelines", folder / "srv/guidelines")
    (folder / "bin").mkdir()
    (folder / "bin/medicus").symlink_to(BIN)
    for name in ("var/lib", "var/log", "var/backups"):
        (folder / name).mkdir(parents=True)


@unittest.skipUnless(shutil.which("curl") and shutil.which("jq"), "curl or jq is not installed")
class Runbook(unittest.TestCase):
    def test_every_command_works(self):
        blocks = re.findall(r"^```sh\n(.*?)^```", RUNBOOK.read_text(), re.M | re.S)
        self.assertGreater(len(blocks), 12)
        with temp_folder() as folder:
            lay_out(folder)
            script = "set -euo pipefail\nset -m\ntrap 'jobs -p | xargs -r kill' EXIT\n"
            for number, block in enumerate(blocks):
                script += f"echo '== block {number}' >&2\n{block}"
            # The same paths and address, but this test's own.
            script = re.sub(r"(?<![\w.])/(srv|var)/", rf"{folder}/\1/", script)
            script = script.replace("127.0.0.1:8080", f"127.0.0.1:{(port := free_port())}")
            result = subprocess.run(
                ["bash", "-c", script], capture_output=True, text=True, timeout=HANG * 5,
                check=False, cwd=folder, stdin=subprocess.DEVNULL,
                env={**os.environ, "PATH": f"{folder}/bin:{os.environ['PATH']}",
                     "MEDICUS_LISTEN": f"127.0.0.1:{port}"})
            self.assertEqual(result.returncode, 0, result.stderr[-4000:])
            backups = sorted(p.name for p in (folder / "var/backups/medicus").iterdir())
            self.assertEqual((backups[-1], len(backups)), ("monday.tar", 2))
            listed = subprocess.run([BIN, "search", "--data", folder / "srv/elsewhere", "--json",
                                     "wash your hands"], capture_output=True, text=True,
                                    timeout=HANG, check=True).stdout
            self.assertIn("doc:house-rule-7", listed)
            found = subprocess.run([BIN, "search", "--data", folder / "var/lib/medicus", "--json",
                                    "wash your hands"], capture_output=True, text=True,
                                   timeout=HANG, check=True).stdout
            self.assertNotIn("doc:house-rule-7", found)


if __name__ == "__main__":
    unittest.main()
