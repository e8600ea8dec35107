"""The Debian package: built by deploy/package.sh, clean for lintian, with everything in it."""
import shutil
import subprocess
import unittest

from support import ROOT, temp_folder

MINUTES = 15 * 60
INSIDE = ("/usr/bin/medicus", "/lib/systemd/system/medicus.service",
          "/lib/systemd/system/medicus-ingest.service", "/lib/systemd/system/medicus-backup.timer",
          "/etc/default/medicus",
          "/etc/medicus/medicus.conf",
          "/usr/share/man/man1/medicus.1.gz", "/usr/share/bash-completion/completions/medicus",
          "/usr/share/zsh/vendor-completions/_medicus",
          "/usr/share/fish/vendor_completions.d/medicus.fish")


@unittest.skipUnless(shutil.which("dh") and shutil.which("lintian"),
                     "debhelper or lintian is not installed")
class Package(unittest.TestCase):
    def test_is_built_whole_and_clean(self):
        with temp_folder() as folder:
            built = subprocess.run([ROOT / "deploy/package.sh", "--output", folder], check=False,
                                   capture_output=True, text=True, timeout=MINUTES)
            self.assertEqual(built.returncode, 0, built.stderr)
            package = next(folder.glob("medicus_*.deb"))
            listed = subprocess.run(["dpkg-deb", "-c", package], text=True, check=True,
                                    capture_output=True).stdout
            for path in INSIDE:
                self.assertIn(f" .{path}\n", listed)
            script = subprocess.run(["dpkg-deb", "-I", package, "postinst"], text=True, check=True,
                                    capture_output=True).stdout
            self.assertIn("deb-systemd-helper enable 'medicus.service'", script)
            self.assertNotIn("medicus-ingest", script)
            # A first upload to Debian would close a request for it; this package is not uploaded.
            lint = subprocess.run(["lintian", "--fail-on", "error,warning", "--suppress-tags",
                                   "initial-upload-closes-no-bugs", package], text=True,
                                  capture_output=True, check=False, timeout=MINUTES)
            self.assertEqual((lint.returncode, lint.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main()
