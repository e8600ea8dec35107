"""What benchmarks measure of other processes, and how they keep it: seconds, processor time,
anonymous memory, files; results/NAME.json, which report.py makes RESULTS.md of."""

import datetime
import json
import os
import pathlib
import subprocess
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results"
MIB = 1 << 20
SAMPLE_SECONDS = .02
INSTRUCTIONS = (("avx512_vnni", "AVX-512 (VNNI)"), ("avx512f", "AVX-512"), ("avx2", "AVX2"))


def machine():
    flags = pathlib.Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    name = next((name for flag, name in INSTRUCTIONS if flag in flags), "baseline x86-64")
    return f"{os.cpu_count()} cores with {name}"


def load():
    return float(pathlib.Path("/proc/loadavg").read_text(encoding="ascii").split()[0])


def anonymous(pid):
    """Bytes of the process's own memory (RssAnon): pages of mapped files are the kernel's to take
    back. 0 when it has ended."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines()
                 if line.startswith("RssAnon:")), 0)


class Peak(threading.Thread):
    """The most anonymous memory that a process had, looked at every 20 ms; of a build also by
    stage, when its progress file is known."""

    def __init__(self, pid, progress=None):
        super().__init__(daemon=True)
        self.pid, self.progress, self.bytes, self.stages = pid, progress, 0, {}
        self.over = threading.Event()
        self.start()

    def stage(self):
        try:
            progress = json.loads(pathlib.Path(self.progress).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return progress["stage"] if progress["pid"] == self.pid else None

    def run(self):
        while not self.over.wait(SAMPLE_SECONDS):
            now = anonymous(self.pid)
            self.bytes = max(self.bytes, now)
            stage = self.stage() if self.progress else None
            if stage:
                self.stages[stage] = max(self.stages.get(stage, 0), now)

    def stop(self):
        self.over.set()
        self.join()
        return self.bytes


def run(command, progress=None, **environment):
    """Runs a command to its end: seconds, processor seconds and peaks of memory, and its output."""
    begin, load_before = time.monotonic(), load()
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE,
                               env={**os.environ, **environment})
    peak = Peak(process.pid, progress)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begin
    process.stdout.close()
    if process.returncode != 0:
        raise SystemExit(f"{pathlib.Path(command[0]).name} {command[1]} ended with status "
                         f"{process.returncode}")
    return {"seconds": seconds, "processor_seconds": usage.ru_utime + usage.ru_stime,
            "anonymous_peak": peak.stop(), "anonymous_by_stage": peak.stages,
            "resident_peak": usage.ru_maxrss * 1024, "load_before": load_before}, output


def files_below(folder):
    return sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())


def disk(folder):
    """name -> bytes that the files of that name take on the disk"""
    sizes = {}
    for path in files_below(folder):
        sizes[path.name] = sizes.get(path.name, 0) + path.lstat().st_blocks * 512
    return sizes


def forget_pages(folder):
    """Takes the files out of the page cache, as after a start of the machine."""
    for path in files_below(folder):
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_pages(folder):
    for path in files_below(folder):
        with open(path, "rb") as stream:
            while stream.read(8 * MIB):
                pass


def rounded(value):
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def keep(name, result):
    RESULTS.mkdir(exist_ok=True)
    result = rounded({"date": datetime.date.today().isoformat(), "machine": machine(), **result})
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
