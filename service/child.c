#include "service/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGS_MAX 32

/* dup2 of a descriptor onto itself would leave it to be closed at exec: none of ours is below 4 in
 * practice, but nothing else makes sure of that. */
static int hand_over(posix_spawn_file_actions_t *actions, int fd, int target, int flags)
{
    if (fd >= 0) return posix_spawn_file_actions_adddup2(actions, fd, target);
    return posix_spawn_file_actions_addopen(actions, target, "/dev/null", flags, 0);
}

static int prepare(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes,
    const struct child_files *files)
{
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int failed = hand_over(actions, -1, STDIN_FILENO, O_RDONLY);
    if (!failed) failed = hand_over(actions, files->out, STDOUT_FILENO, O_WRONLY);
    if (!failed) failed = hand_over(actions, files->err, STDERR_FILENO, O_WRONLY);
    if (!failed) failed = hand_over(actions, files->progress, CHILD_PROGRESS_FD, O_WRONLY);
    if (!failed) failed = posix_spawn_file_actions_addclosefrom_np(actions, CHILD_PROGRESS_FD + 1);
    if (!failed) failed = posix_spawnattr_setsigmask(attributes, &none);
    if (!failed) failed = posix_spawnattr_setsigdefault(attributes, &all);
    if (!failed)
        failed =
            posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    return failed;
}

enum med_code child_start(
    const char *const *args, const struct child_files *files, pid_t *ret_pid, struct med_err *err)
{
    char name[] = "medicus";
    char *argv[ARGS_MAX] = {name};
    size_t count = 1;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    for (; *args; args++) {
        if (count == ARGS_MAX - 1) return med_fail(err, MED_E_INTERNAL, "too many arguments");
        argv[count++] = (char *)(uintptr_t)*args; /* posix_spawn does not write there */
    }
    if (posix_spawn_file_actions_init(&actions) != 0)
        return med_fail(err, MED_E_NOMEM, "out of memory for a process");
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return med_fail(err, MED_E_NOMEM, "out of memory for a process");
    }
    pid_t pid;
    int failed = prepare(&actions, &attributes, files);
    if (!failed) failed = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (failed) return med_fail_errno(err, failed, "cannot start a process");
    *ret_pid = pid;
    return MED_OK;
}

int child_wait(pid_t pid)
{
    int status = 0;
    pid_t got;
    do got = waitpid(pid, &status, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0) return 70;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
