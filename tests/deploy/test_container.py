"""The Dockerfile, built for real over a bare Debian made here, run with a read-only root as nobody.

No image is fetched: debian:12-slim is a minimal debootstrap, kept in MEDICUS_TOOLS for next time.
"""
import json
import os
import shutil
import subprocess
import unittest

from support import ROOT, SAMPLE, TOOLS, temp_folder

MINUTES = 20 * 60
BASE = TOOLS / "bookworm.tar"
NEEDS = ("debootstrap", "buildah", "unshare", "chroot")
# The image's root read-only, /data from outside, no other file system.
ENTER = """
set -e
mount --bind "$1" "$1"
mount --bind "$2" "$1/data"
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
mount -t tmpfs tmpfs "$1/tmp"
mount -o remount,bind,ro "$1"
root=$1
shift 2
exec chroot --userspec=10001:10001 "$root" /usr/bin/env -i PATH=/usr/bin:/bin "$@"
"""


def must(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False,
                            timeout=MINUTES)
    if result.returncode != 0:
        raise AssertionError(f"{command}: {result.stdout[-3000:]}{result.stderr[-3000:]}")
    return result.stdout


def make_base(folder):
    if not BASE.exists():
        must("debootstrap", "--variant=minbase", "bookworm", folder / "base")
        TOOLS.mkdir(parents=True, exist_ok=True)
        must("tar", "-C", folder / "base", "-cf", str(BASE) + ".new", ".")
        os.replace(str(BASE) + ".new", BASE)
        shutil.rmtree(folder / "base")


@unittest.skipUnless(os.geteuid() == 0 and all(map(shutil.which, NEEDS)),
                     "needs root, debootstrap and buildah")
class Container(unittest.TestCase):
    def test_builds_and_runs_read_only_as_nobody(self):
        with temp_folder() as folder:
            make_base(folder)
            buildah = ("buildah", "--root", folder / "storage", "--runroot", folder / "run",
                       "--storage-driver", "vfs")
            try:  # nothing of ours yet: where this fails (inside a chroot), nothing can be built
                must("unshare", "--mount", "true")
                scratch = must(*buildah, "from", "scratch").strip()
                must(*buildah, "add", "--quiet", scratch, BASE, "/")
                must(*buildah, "commit", "--quiet", scratch, "docker.io/library/debian:12-slim")
            except AssertionError as error:
                self.skipTest(f"containers cannot be made here: {str(error)[-200:]}")
            must(*buildah, "build", "--isolation", "chroot", "--pull-never", "--layers=false",
                 "--format", "docker", "-f", ROOT / "deploy/Dockerfile", "--ignorefile",
                 ROOT / "deploy/Dockerfile.dockerignore", "-t", "medicus", ROOT)
            image = json.loads(must(*buildah, "inspect", "--type", "image", "medicus"))
            config = image["Docker"]["config"]
            self.assertEqual(config["User"], "10001:10001")
            self.assertEqual(config["Healthcheck"]["Test"], ["CMD", "/usr/bin/medicus", "health"])
            container = must(*buildah, "from", "--pull-never", "medicus").strip()
            self.walk(folder, must(*buildah, "mount", container).strip(), config)

    def walk(self, folder, root, config):
        data = folder / "data"
        data.mkdir(mode=0o700)
        os.chown(data, 10001, 10001)
        os.makedirs(root + "/sample", exist_ok=True)
        shutil.copytree(SAMPLE, root + "/sample", dirs_exist_ok=True)

        def command(*words):
            environment = [*config["Env"], "MEDICUS_LISTEN=127.0.0.1:18479"]
            return ["unshare", "--mount", "sh", "-c", ENTER, "sh", root, str(data), *environment,
                    *config["Entrypoint"], *words]
        must(*command("ingest", "--quiet", "/sample/pubmed", "/sample/guidelines"))
        must(*command("build", "--quiet"))
        server = subprocess.Popen(command(*config["Cmd"]), stderr=subprocess.PIPE, text=True)
        try:
            for line in server.stderr:
                if "listening on" in line:
                    break
            self.assertEqual(must(*command("health")), "ready\n")
        finally:
            server.terminate()
            server.communicate(timeout=MINUTES)
        self.assertEqual(server.returncode, 0)
        with self.assertRaisesRegex(AssertionError, "Read-only file system|Permission denied"):
            must(*command("ingest", "--data", "/elsewhere", "/sample/pubmed"))


if __name__ == "__main__":
    unittest.main()
