/* Fuzzing, two programs from one file (README.md says how to run them):
 *
 *   fuzz_main TARGET [--runs N] [--seconds N] [--seeds PATH]... [--write DIR] [PATH]...
 *       runs every file of the PATHs as it is, then N changed ones. --write DIR writes what it
 *       starts from into a folder, for libFuzzer. Any compiler. The seed is
 *       printed and comes from MEDICUS_SEED. An input that breaks something is written to the file
 *       crash-TARGET-HASH in MEDICUS_FUZZ_OUT (default: the working folder).
 *   with MEDICUS_LIBFUZZER defined: clang's libFuzzer, the target is named by MEDICUS_FUZZ_TARGET.
 */
#include "tests/fuzz/targets.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/hash.h"
#include "common/limits.h"
#include "index/ingest/ingest.h"
#include "tests/fuzz/mutate.h"
#include "tests/support/support.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef MEDICUS_LIBFUZZER

int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *ptr, size_t len)
{
    static const struct fuzz_target *target;
    if (!target) {
        const char *name = getenv("MEDICUS_FUZZ_TARGET");
        target = name ? fuzz_target_find(name) : NULL;
        if (!target) {
            fprintf(stderr, "MEDICUS_FUZZ_TARGET names no target\n");
            exit(2);
        }
    }
    target->run((struct med_str){(const char *)ptr, len});
    return 0;
}

#else

#define BYTES_MAX ((size_t)32 * MED_KIB)
#define HANG_S 60 /* under sanitizers, on a busy machine */

static const struct fuzz_target *target;
static struct med_str current; /* what runs now, for the report of a crash */
static struct fuzz_pool kept, seeds;

/* Given by the sanitizers' run-time. */
void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

/* Async-signal-safe, as far as the file matters. */
static void keep_input(void)
{
    static bool done;
    if (done || !target) return;
    done = true;
    const char *dir = getenv("MEDICUS_FUZZ_OUT");
    char path[MED_PATH_MAX];
    snprintf(path, sizeof path, "%s/crash-%s-%016llx", dir ? dir : ".", target->name,
        (unsigned long long)med_hash64(current.ptr, current.len));
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0644);
    if (fd < 0 || write(fd, current.ptr, current.len) != (ssize_t)current.len)
        fprintf(stderr, "cannot write %s\n", path);
    else
        fprintf(stderr, "the input (%zu bytes) is in %s\n", current.len, path);
}

static void on_signal(int number)
{
    if (number == SIGALRM) fprintf(stderr, "an input took more than %d s\n", HANG_S);
    keep_input();
    signal(number, SIG_DFL);
    raise(number);
}

static void run_one(struct med_str bytes)
{
    current = bytes;
    alarm(HANG_S);
    target->run(bytes);
    alarm(0);
}

/* ---- files ---- */

static void read_into(struct fuzz_pool *pool, const char *path)
{
    struct med_buf buf;
    struct med_err err;
    med_buf_init(&buf, 64 * MED_MIB);
    med_buf_puts(&buf, "");
    if (med_read_file(path, &buf, &err) == MED_OK)
        fuzz_pool_add(pool, buf.data ? buf.data : "", buf.len);
    else
        fprintf(stderr, "%s\n", err.text);
    med_buf_free(&buf);
}

static int on_kept(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)ftw;
    if (type == FTW_F) read_into(&kept, path);
    return 0;
}

/* Files of a format that the target reads, or what it makes of them. */
static int on_seed(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)ftw;
    if (type != FTW_F) return 0;
    struct fuzz_pool one = {0};
    read_into(&one, path);
    for (size_t i = 0; i < one.count; i++) {
        struct med_str bytes = one.items[i];
        unsigned format = 1u << med_format_detect(bytes.ptr, bytes.len);
        if (!(target->formats & format)) continue;
        if (target->seeds)
            target->seeds(&seeds, bytes);
        else
            fuzz_pool_add(&seeds, bytes.ptr, bytes.len);
    }
    fuzz_pool_free(&one);
    return 0;
}

/* ---- the loop ---- */

struct plan {
    unsigned long long runs, seconds;
    const char *write_dir;
};

static void write_seeds(const char *dir)
{
    for (size_t i = 0; i < seeds.count; i++) {
        char path[MED_PATH_MAX];
        snprintf(path, sizeof path, "%s/seed-%s-%zu", dir, target->name, i);
        FILE *out = fopen(path, "wb");
        if (!out || fwrite(seeds.items[i].ptr, 1, seeds.items[i].len, out) != seeds.items[i].len)
            perror(path);
        if (out && fclose(out)) perror(path);
    }
}

static void run_all(const struct plan *plan)
{
    for (size_t i = 0; i < kept.count; i++) run_one(kept.items[i]);
    for (size_t i = 0; i < seeds.count; i++)
        if (seeds.items[i].len <= 16 * BYTES_MAX) run_one(seeds.items[i]);
    fprintf(stderr, "%s: %zu kept inputs, %zu seeds run\n", target->name, kept.count, seeds.count);
    for (size_t i = 0; i < kept.count; i++)
        fuzz_pool_add(&seeds, kept.items[i].ptr, kept.items[i].len);

    struct med_rng rng;
    struct med_buf buf;
    med_rng_seed(&rng, med_test_seed());
    med_buf_init(&buf, 4 * BYTES_MAX);
    unsigned long long n = 0;
    uint64_t end_ns = plan->seconds ? med_now_ns() + plan->seconds * 1000000000ull : UINT64_MAX;
    for (; n < plan->runs && med_now_ns() < end_ns; n++) {
        fuzz_mutate(&seeds, &rng, BYTES_MAX, &buf);
        run_one(med_buf_str(&buf));
    }
    med_buf_free(&buf);
    fprintf(stderr, "%s: %llu changed inputs run\n", target->name, n);
}

static int usage(void)
{
    fprintf(stderr, "Usage: fuzz_main TARGET [--runs N] [--seconds N] [--seeds PATH]... [PATH]...\n"
                    "Targets:");
    for (size_t i = 0; i < fuzz_target_count; i++) fprintf(stderr, " %s", fuzz_targets[i].name);
    fprintf(stderr, "\n");
    return 2;
}

int main(int argc, char **argv)
{
    target = argc > 1 ? fuzz_target_find(argv[1]) : NULL;
    if (!target) return usage();
    struct plan plan = {0};
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(keep_input);
    static const int signals[] = {SIGABRT, SIGALRM, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    size_t signal_count = __sanitizer_set_death_callback ? 2 : sizeof signals / sizeof *signals;
    for (size_t i = 0; i < signal_count; i++) signal(signals[i], on_signal);

    if (target->seeds) target->seeds(&seeds, (struct med_str){0});
    for (int i = 2; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--runs") == 0 || strcmp(argv[i], "--seconds") == 0) {
            bool seconds = argv[i][2] == 's';
            if (!med_str_to_u64(med_str_of(value), seconds ? &plan.seconds : &plan.runs))
                return usage();
            i++;
        } else if (strcmp(argv[i], "--seeds") == 0 && *value) {
            if (nftw(value, on_seed, 16, FTW_PHYS)) perror(value);
            i++;
        } else if (strcmp(argv[i], "--write") == 0 && *value) {
            plan.write_dir = value;
            i++;
        } else if (argv[i][0] == '-') {
            return usage();
        } else if (nftw(argv[i], on_kept, 16, FTW_PHYS)) {
            perror(argv[i]);
        }
    }
    if (plan.seconds && !plan.runs) plan.runs = UINT64_MAX;
    if (plan.write_dir) write_seeds(plan.write_dir);
    run_all(&plan);
    fuzz_pool_free(&kept);
    fuzz_pool_free(&seeds);
    return 0;
}

#endif
