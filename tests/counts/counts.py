#!/usr/bin/env python3
"""Instructions of the hot loops, counted by callgrind and compared with counts.json.

    counts.py COUNT_LOOPS SAMPLE COUNTS.json --compiler "gcc 12" --buildtype release [--renew]

Counts do not depend on load, clock or cache, so that a few per cent are seen on any machine. They
do depend on the compiler: a release build of the recorded one is compared, everything else is
skipped with the reason. Valgrind hides AVX-512, so it is the AVX2 path that is counted. --renew
(tests/counts/renew.sh) writes the file anew. A loop that got cheaper by more than the tolerance
fails too: the file is then renewed with the change, so that the gain is kept.
"""
import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

TOLERANCE = 0.10
SKIP = 77
# LMDB reserves a terabyte of addresses where it may, which valgrind cannot give.
ADDRESS_SPACE = 64 << 30
# The test runner has freed memory filled, which would be counted.
ENVIRONMENT = dict(os.environ, OMP_NUM_THREADS="1", MALLOC_PERTURB_="0")
ENVIRONMENT.pop("MEDICUS_CPU", None)


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIP)


def limit_address_space():
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))


def count(program, sample):
    """-> (cpu path, {loop: instructions per operation})"""
    with tempfile.TemporaryDirectory(prefix="medicus-counts-") as folder:
        data, profile = os.path.join(folder, "data"), os.path.join(folder, "profile")
        os.mkdir(data)
        subprocess.run([program, "prepare", data, sample], check=True, env=ENVIRONMENT)
        run = subprocess.run(
            ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={profile}",
             "--toggle-collect=op_*", program, "run", data, sample],
            check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT,
            preexec_fn=limit_address_space)
        table = subprocess.run(
            ["callgrind_annotate", "--inclusive=yes", "--threshold=100", profile],
            check=True, stdout=subprocess.PIPE, text=True).stdout
    lines = [line.split() for line in run.stdout.splitlines()]
    cpu = next(value for name, value in lines if name == "cpu")
    counts = {}
    for name, repetitions in lines:
        if name == "cpu":
            continue
        found = re.search(rf"^\s*([\d,]+) .*:op_{name}(?:'\d+)?(?:\s|$)", table, re.MULTILINE)
        if not found:
            sys.exit(f"callgrind has not seen op_{name}")
        counts[name] = round(int(found.group(1).replace(",", "")) / int(repetitions))
    return cpu, counts


def compare(before, after):
    """Prints a table; -> sentences about what is out of tolerance"""
    complaints = []
    print(f"{'loop':18} {'recorded':>12} {'now':>12}")
    for name in sorted(set(before) | set(after)):
        if name not in before or name not in after:
            where = "counts.json" if name not in before else "count_loops.c"
            complaints.append(f"{name} is not in {where}")
            continue
        change = after[name] / before[name] - 1
        print(f"{name:18} {before[name]:12,} {after[name]:12,} {change:+8.1%}")
        if change > TOLERANCE:
            complaints.append(f"{name} costs {change:.1%} more instructions: "
                              f"{before[name]:,} before, {after[name]:,} now")
        elif change < -TOLERANCE:
            complaints.append(f"{name} costs {-change:.1%} less: keep it (tests/counts/renew.sh)")
    return complaints


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("sample")
    parser.add_argument("counts")
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--buildtype", required=True)
    parser.add_argument("--sanitize", default="none")
    parser.add_argument("--renew", action="store_true")
    options = parser.parse_args()
    with open(options.counts, encoding="utf-8") as file:
        recorded = json.load(file)
    if options.buildtype != "release" or options.sanitize != "none":
        skip("instructions are compared in release builds without sanitizers")
    if options.compiler != recorded.get("compiler") and not options.renew:
        skip(f"counted with {recorded.get('compiler')}, this is {options.compiler}")
    if not shutil.which("valgrind"):
        skip("valgrind is not installed")
    cpu, counts = count(options.program, options.sample)
    if options.renew:
        recorded = {"compiler": options.compiler, "cpu": cpu, "instructions": counts}
        with open(options.counts, "w", encoding="utf-8") as file:
            json.dump(recorded, file, indent=2, sort_keys=True)
            file.write("\n")
        print(json.dumps(counts, indent=2, sort_keys=True))
        return
    if cpu != recorded["cpu"]:
        skip(f"counted on the {recorded['cpu']} path, this processor has {cpu}")
    complaints = compare(recorded["instructions"], counts)
    if complaints:
        sys.exit("\n".join(complaints))


if __name__ == "__main__":
    main()
