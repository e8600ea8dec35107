#include "tests/crash/crash.h"

#include <poll.h>

struct med_err crash_err;

int crash_rounds(int few, int many)
{
    const char *soak = getenv("MEDICUS_SOAK");
    return soak && *soak && strcmp(soak, "0") != 0 ? many : few;
}

void crash_prefer_memory(void)
{
    if (access("/dev/shm", W_OK) == 0) CHECK(setenv("TMPDIR", "/dev/shm", 0) == 0, "setenv");
}

void crash_acknowledge(int pipe, uint64_t number)
{
    CHECK(write(pipe, &number, sizeof number) == sizeof number, "%s", strerror(errno));
}

uint64_t crash_kill_while(
    void (*work)(void *ctx, int pipe), void *ctx, struct med_rng *rng, uint64_t most_us)
{
    int ends[2];
    CHECK(pipe(ends) == 0, "%s", strerror(errno));
    pid_t pid = fork();
    CHECK(pid >= 0, "%s", strerror(errno));
    if (pid == 0) {
        close(ends[0]);
        work(ctx, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    /* Mostly in the middle of its work, sometimes before the first number. */
    if (med_rng_below(rng, 8) > 0)
        poll(&(struct pollfd){.fd = ends[0], .events = POLLIN}, 1, 20000);
    usleep((useconds_t)med_rng_below(rng, most_us));
    CHECK(kill(pid, SIGKILL) == 0, "%s", strerror(errno));
    int status;
    CHECK(waitpid(pid, &status, 0) == pid, "%s", strerror(errno));
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) == 0, "the child failed before it was killed");
    uint64_t last = 0, number;
    while (read(ends[0], &number, sizeof number) == sizeof number) last = number;
    close(ends[0]);
    return last;
}

int crash_in_child(void (*work)(void *ctx), void *ctx)
{
    pid_t pid = fork();
    CHECK(pid >= 0, "%s", strerror(errno));
    if (pid == 0) {
        work(ctx);
        _exit(0);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid, "%s", strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
