"""medicus backup and restore: while others write, interrupted, damaged."""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import unittest

from support import BIN, HANG, SAMPLE, Server, make_data, run, run_json, temp_folder

QUERIES = ["heart failure", "asthma reliever in children", "metformin vitamin B12"]


def records(path, name, count):
    with open(path, "w", encoding="utf-8") as out:
        for i in range(count):
            out.write(json.dumps({"_id": f"{name}-{i}", "title": f"Report {i} of {name}",
                                  "text": f"Words of {name} number {i}. " * 20}) + "\n")


def answers(data):
    found = [run_json("search", "--data", data, "--json", q) for q in QUERIES]
    return [[(hit["id"], hit["score"]) for hit in answer["results"]] for answer in found]


class Backup(unittest.TestCase):
    def setUp(self):
        self.stack = temp_folder()
        self.folder = self.stack.__enter__()
        self.addCleanup(self.stack.__exit__, None, None, None)
        self.data = make_data(self.folder / "data")

    def restore(self, source, ok=True, stdin=None):
        target = self.folder / "restored"
        return target, run("restore", "--data", target, source, ok=ok, stdin=stdin)

    def test_folder_archive_and_stream_answer_as_before(self):
        run("vocab", "--data", self.data, "add", "-", stdin=b"D1\tasthma\tbronchial asthma|\n")
        run("retractions", "--data", self.data, "add", "-", stdin=b"pmid:990000804\n")
        run("build", "--data", self.data, "-q")
        before = answers(self.data)
        made = run_json("backup", "--data", self.data, "--json", self.folder / "b")
        self.assertEqual(made["generation"], 2)
        run("backup", "--data", self.data, self.folder / "b.tar")
        stream = run("backup", "--data", self.data, "-").stdout
        self.assertFalse(list((pathlib.Path(self.data) / "spool").iterdir()))
        for source, stdin in ((self.folder / "b", None), (self.folder / "b.tar", None),
                              ("-", stream)):
            target, result = self.restore(source, stdin=stdin)
            self.assertIn(b"generation 2", result.stdout)
            run("check", "--data", target)
            self.assertEqual(answers(target), before)
            info = run_json("info", "--data", target, "--json")
            self.assertIsNone(info["advice"], "the copy is as new as its generation")
            self.assertEqual(run("retractions", "--data", target, "list").stdout,
                             run("retractions", "--data", self.data, "list").stdout)
            # It is a data folder like any other: it takes documents and builds.
            run("ingest", "--data", target, "-q", SAMPLE / "evidence.jsonl", ok=False)
            run("build", "--data", target, "-q")
            shutil.rmtree(target)

    def test_before_the_first_build(self):
        data = self.folder / "young"
        run("ingest", "--data", data, "-q", SAMPLE / "guidelines")
        run("backup", "--data", data, self.folder / "b")
        target, _ = self.restore(self.folder / "b")
        run("build", "--data", target, "-q")

    def test_what_is_in_the_way_stays(self):
        (self.folder / "b").mkdir()
        (self.folder / "b/mine").write_text("mine")
        result = run("backup", "--data", self.data, self.folder / "b", ok=False)
        self.assertEqual(result.returncode, 9, result.stderr)
        run("backup", "--data", self.data, self.folder / "c")
        target = self.folder / "b"
        result = run("restore", "--data", target, self.folder / "c", ok=False)
        self.assertEqual(result.returncode, 9, result.stderr)
        self.assertEqual((self.folder / "b/mine").read_text(), "mine")
        result = run("restore", "--data", self.folder / "d", self.folder / "b", ok=False)
        self.assertEqual(result.returncode, 4, result.stderr)

    def test_keys_come_along_unless_they_are_left_out(self):
        keys = pathlib.Path(self.data) / "keys"
        if not keys.exists():
            keys.write_text("{}")
        run("backup", "--data", self.data, self.folder / "b")
        self.assertEqual((self.folder / "b/keys").read_bytes(), keys.read_bytes())
        self.assertEqual((self.folder / "b/keys").stat().st_mode & 0o777, 0o600)
        run("backup", "--data", self.data, "--without-keys", self.folder / "c")
        self.assertFalse((self.folder / "c/keys").exists())

    def test_while_serving_ingesting_and_building(self):
        batch = self.folder / "batch.jsonl"
        stop = self.folder / "stop"
        script = ('i=0; while [ ! -e "$STOP" ]; do i=$((i+1)); '
                  'sed "s/-/-$i-/" "$BATCH" > "$BATCH.$i.jsonl"; '
                  '"$BIN" ingest --data "$DATA" -q "$BATCH.$i.jsonl" >/dev/null || exit 1; '
                  '"$BIN" build --data "$DATA" -q --gate-overlap 0 >/dev/null || exit 1; done')
        records(batch, "w", 60)
        env = {**os.environ, "BIN": BIN, "DATA": str(self.data), "BATCH": str(batch),
               "STOP": str(stop)}
        with Server(self.data) as server, subprocess.Popen(["sh", "-c", script], env=env) as writer:
            try:
                for i in range(4):
                    # Each shows a later state; every one is consistent in itself.
                    backup = self.folder / f"b{i}"
                    made = run_json("backup", "--data", self.data, "--json", backup)
                    target, _ = self.restore(backup)
                    run("check", "--data", target)
                    shown = run_json("search", "--data", target, "--json", "asthma")
                    self.assertEqual(shown["generation"], made["generation"])
                    shutil.rmtree(target)
                    self.assertEqual(server.search("asthma").status, 200)
            finally:
                stop.touch()
                self.assertEqual(writer.wait(timeout=HANG), 0)

    def test_every_damaged_file_is_found(self):
        backup = self.folder / "b"
        run("backup", "--data", self.data, backup)
        rng = random.Random(int(os.environ.get("MEDICUS_SEED", "1")))
        for path in sorted(p for p in backup.rglob("*") if p.is_file()):
            content = path.read_bytes()
            spoiled = bytearray(content)
            spoiled[rng.randrange(len(spoiled))] ^= 1 << rng.randrange(8)
            for damaged in (bytes(spoiled), content[:-1], None):
                path.unlink()
                if damaged is not None:
                    path.write_bytes(damaged)
                target, result = self.restore(backup, ok=False)
                self.assertIn(result.returncode, (3, 4, 6), (path, damaged is None, result.stderr))
                self.assertEqual(run("check", "--data", target, ok=False).returncode,
                                 9 if target.exists() else 4)
                path.write_bytes(content)
                shutil.rmtree(target, ignore_errors=True)
        self.restore(backup)

    def test_a_damaged_archive_is_found(self):
        archive = self.folder / "b.tar"
        run("backup", "--data", self.data, archive)
        content = archive.read_bytes()
        rng = random.Random(int(os.environ.get("MEDICUS_SEED", "1")))
        for _ in range(4):
            cut = content[:rng.randrange(len(content) - 20000)]
            target, result = self.restore("-", ok=False, stdin=cut)
            self.assertNotEqual(result.returncode, 0)
            self.assertEqual(run("check", "--data", target, ok=False).returncode, 9)
            # The same folder can be used again.
        target, _ = self.restore(archive)
        run("check", "--data", target)

    def kill_during(self, *args):
        """Ends the program by SIGKILL once it has begun to write; False: it was faster."""
        target = pathlib.Path(args[-1] if args[0] == "backup" else args[2])
        with subprocess.Popen([BIN, *map(str, args)], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as child:
            end = time.monotonic() + HANG
            while child.poll() is None and time.monotonic() < end:
                if target.exists() and any(target.iterdir()):
                    child.send_signal(signal.SIGKILL)
                    break
                time.sleep(0.0005)
            return child.wait(timeout=HANG) == -signal.SIGKILL

    def test_what_a_kill_leaves_is_no_backup_and_no_data_folder(self):
        killed = 0
        for i in range(4):
            backup = self.folder / f"b{i}"
            if self.kill_during("backup", "--data", self.data, backup) and \
                    not (backup / "BACKUP").exists():
                killed += 1
                target, result = self.restore(backup, ok=False)
                self.assertEqual(result.returncode, 4, result.stderr)
                shutil.rmtree(target, ignore_errors=True)
        whole = self.folder / "whole"
        run("backup", "--data", self.data, whole)
        for i in range(4):
            target = self.folder / f"t{i}"
            if self.kill_during("restore", "--data", target, whole) and \
                    (target / "RESTORING").exists():
                killed += 1
                for command in ("check", "build", "info"):
                    result = run(command, "--data", target, ok=False)
                    self.assertEqual(result.returncode, 9, (command, result.stderr))
            # Whatever the kill left, the same command finishes the work.
            if not (target / "CURRENT").exists() or (target / "RESTORING").exists():
                run("restore", "--data", target, whole)
            run("check", "--data", target)
        self.assertGreater(killed, 0, "no kill came in time")


if __name__ == "__main__":
    unittest.main()
