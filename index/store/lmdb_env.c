/* The adapter to LMDB (Howard Chu); see lmdb_env.h for the rules it keeps.
 *
 * Locks: registry_mutex guards the list of open environments and their reference counts; env->mutex
 * guards txn_count. Order: registry_mutex, then env->mutex. Neither is held while waiting for
 * LMDB's writer lock. */
#include "index/store/lmdb_env.h"

#include "common/fs.h"
#include "common/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define LOCK_FILE_BYTES                                                                            \
    ((off_t)(MED_ENV_READERS + 4) * 64) /* what LMDB makes of its reader slots, rounded up */
#define FILE_MODE 0640
/* A file may end this much before its last page: pages that were taken and given back within one
 * transaction are never written. Commits extend the file, so the gap only shows after a crash in
 * between. */
#define SHORT_FILE_BYTES_MAX ((uint64_t)1 << 20)
#define MAP_BYTES_MIN ((uint64_t)1 << 20)
#define GROW_WAIT_MS 5000

struct med_env {
    struct med_env *next;
    MDB_env *mdb;
    MDB_dbi dbi[MED_ENV_TABLES_MAX];
    bool duplicates[MED_ENV_TABLES_MAX];
    unsigned table_count;
    bool read_only;
    uint64_t room_bytes;
    dev_t dev; /* with ino and pid: which folder this is, for sharing */
    ino_t ino;
    pid_t pid;
    unsigned references;
    pthread_mutex_t mutex;
    unsigned txn_count;
    _Atomic bool
        cramped; /* the map cannot grow: write transactions start without the room they should have
                  */
    _Atomic bool broken; /* LMDB lost its map while growing */
    char path[];
};

struct med_txn {
    struct med_env *env;
    MDB_txn *mdb;
    bool write, paused;
    uint64_t bytes_put;
    MDB_cursor *cursors[MED_ENV_TABLES_MAX];
    /* The largest key of each table once the transaction has written there: larger ones are
     * appended. */
    size_t last_len[MED_ENV_TABLES_MAX];
    bool last_known[MED_ENV_TABLES_MAX];
    char last[MED_ENV_TABLES_MAX][MED_ENV_KEY_BYTES_MAX];
};

struct med_cursor {
    MDB_cursor *mdb;
    const struct med_env *env;
};

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct med_env *registry;

static MDB_val val_of(struct med_str s)
{
    return (MDB_val){.mv_size = s.len, .mv_data = (void *)s.ptr};
}

static struct med_str str_of(MDB_val v)
{
    return (struct med_str){.ptr = v.mv_data, .len = v.mv_size};
}

static uint64_t file_bytes(const struct med_env *env)
{
    int fd;
    struct stat st;
    if (mdb_env_get_fd(env->mdb, &fd) != 0 || fstat(fd, &st) != 0) return 0;
    return (uint64_t)st.st_size;
}

/* LMDB reports a short write, which is how a full disk first shows, as EIO. */
static bool looks_full(const struct med_env *env, uint64_t bytes)
{
    struct statvfs vfs;
    uint64_t want = bytes + ((uint64_t)1 << 20);
    if (statvfs(env->path, &vfs) == 0 && (uint64_t)vfs.f_bavail * vfs.f_frsize < want) return true;
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           file_bytes(env) + want > limit.rlim_cur;
}

static enum med_code fail(struct med_err *err, int rc, const char *path, const char *what)
{
    switch (rc) {
    case MDB_NOTFOUND: return MED_E_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return med_fail(err, MED_E_NO_SPACE,
            "no space left for %s (%s): nothing of this batch was stored and nothing stored before "
            "is lost; make room and repeat it",
            path, what);
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return med_fail(err, MED_E_NO_SPACE,
            "the map of %s is full (%s): nothing of this batch was stored; repeat it with smaller "
            "batches",
            path, what);
    case MDB_READERS_FULL:
        return med_fail(err, MED_E_BUSY,
            "all %d reader slots of %s are taken: close some readers and try again",
            MED_ENV_READERS, path);
    case MDB_PANIC:
        return med_fail(
            err, MED_E_IO, "%s had a failed write earlier: end this process and start again", path);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_BAD_TXN:
        return med_fail(err, MED_E_CORRUPT, "%s is damaged (%s: %s): restore it from a backup",
            path, what, mdb_strerror(rc));
    case MDB_VERSION_MISMATCH:
        return med_fail(err, MED_E_UNSUPPORTED, "%s was written by another version of LMDB", path);
    case MDB_BAD_VALSIZE:
        return med_fail(err, MED_E_INVALID, "a key of %s is too long or empty (%s)", path, what);
    default: break;
    }
    if (rc > 0) return med_fail_errno(err, rc, "%s: %s", path, what);
    return med_fail(err, MED_E_INTERNAL, "%s: %s: %s", path, what, mdb_strerror(rc));
}

/* A sparse lock file dies with SIGBUS when a reader touches it on a full disk. This must come
 * before LMDB opens the file: closing a second descriptor would drop the process's locks on it. */
static enum med_code allocate_lock_file(const char *dir, struct med_err *err)
{
    char path[MED_PATH_MAX];
    enum med_code code = med_path_join(path, dir, "lock.mdb", err);
    if (code != MED_OK) return code;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (fd < 0) return med_fail_errno(err, errno, "cannot open %s", path);
    struct stat st;
    int rc = fstat(fd, &st) == 0 ? 0 : errno;
    if (rc == 0 && (st.st_size < LOCK_FILE_BYTES || (off_t)st.st_blocks * 512 < st.st_size)) {
        rc = posix_fallocate(fd, 0, st.st_size > LOCK_FILE_BYTES ? st.st_size : LOCK_FILE_BYTES);
    }
    close(fd);
    return rc == 0 ? MED_OK : med_fail_errno(err, rc, "cannot allocate %s", path);
}

static int open_mdb(struct med_env *env, unsigned flags, uint64_t map_bytes)
{
    int rc = mdb_env_create(&env->mdb);
    if (rc != 0) return rc;
    rc = mdb_env_set_maxdbs(env->mdb, env->table_count);
    if (rc == 0) rc = mdb_env_set_maxreaders(env->mdb, MED_ENV_READERS);
    if (rc == 0) rc = mdb_env_set_mapsize(env->mdb, map_bytes);
    if (rc == 0) rc = mdb_env_open(env->mdb, env->path, flags, FILE_MODE);
    if (rc != 0) {
        mdb_env_close(env->mdb);
        env->mdb = NULL;
    }
    return rc;
}

/* What a limit on address space allows this process; the map takes a part of that at most. */
static uint64_t address_space_bytes(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return UINT64_MAX;
    return limit.rlim_cur;
}

/* Opens with the largest map that the system grants. */
static int open_largest(struct med_env *env, unsigned flags, uint64_t map_bytes)
{
    uint64_t most = address_space_bytes() / 4;
    if (map_bytes > most) map_bytes = most;
    int rc = open_mdb(env, flags, map_bytes);
    while (rc == ENOMEM && map_bytes / 2 >= MAP_BYTES_MIN) {
        map_bytes /= 2;
        rc = open_mdb(env, flags, map_bytes);
    }
    return rc;
}

static enum med_code open_tables(
    struct med_env *env, const struct med_env_options *options, struct med_err *err)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(env->mdb, NULL, env->read_only ? MDB_RDONLY : 0, &txn);
    for (unsigned i = 0; rc == 0 && i < options->table_count; i++) {
        unsigned flags = env->read_only ? 0 : MDB_CREATE;
        env->duplicates[i] = options->tables[i].duplicates;
        if (env->duplicates[i]) flags |= MDB_DUPSORT;
        rc = mdb_dbi_open(txn, options->tables[i].name, flags, &env->dbi[i]);
    }
    if (rc != 0) {
        if (txn) mdb_txn_abort(txn);
        if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE) {
            return med_fail(err, MED_E_CORRUPT,
                "%s lacks tables that belong there: is it the right folder?", env->path);
        }
        return fail(err, rc, env->path, "opening the tables");
    }
    rc = mdb_txn_commit(txn);
    return rc == 0 ? MED_OK : fail(err, rc, env->path, "opening the tables");
}

static enum med_code check_length(const struct med_env *env, struct med_err *err)
{
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(env->mdb, &info);
    mdb_env_stat(env->mdb, &stat);
    uint64_t want = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
    uint64_t have = file_bytes(env);
    if (have + SHORT_FILE_BYTES_MAX >= want) return MED_OK;
    return med_fail(err, MED_E_CORRUPT,
        "%s/data.mdb is cut off (%llu of %llu bytes): restore it from a backup", env->path,
        (unsigned long long)have, (unsigned long long)want);
}

/* The folder's own entries must survive power loss before the first commit is acknowledged. */
static enum med_code sync_new_folder(const char *dir, struct med_err *err)
{
    const struct med_fs *fs = med_fs_posix();
    enum med_code code = fs->ops->sync_dir(fs, dir, err);
    if (code != MED_OK) return code;
    char parent[MED_PATH_MAX];
    code = med_path_join(parent, dir, "..", err);
    return code == MED_OK ? fs->ops->sync_dir(fs, parent, err) : code;
}

static bool has_data_file(const char *dir)
{
    char path[MED_PATH_MAX];
    return med_path_join(path, dir, "data.mdb", NULL) == MED_OK && med_path_exists(path);
}

static enum med_code open_new(
    struct med_env *env, const struct med_env_options *options, struct med_err *err)
{
    bool fresh = !has_data_file(env->path);
    if (fresh && env->read_only) {
        return med_fail(err, MED_E_NOT_FOUND, "there is no database in %s", env->path);
    }
    unsigned flags = MDB_NOTLS | (env->read_only ? MDB_RDONLY : 0);
    enum med_code code = allocate_lock_file(env->path, err);
    if (code != MED_OK) {
        if (!env->read_only || code == MED_E_NO_SPACE) return code;
        flags |= MDB_NOLOCK; /* a replica on a read-only folder: nobody writes there */
    }
    int rc = open_largest(env, flags, options->map_bytes);
    if (rc != 0) return fail(err, rc, env->path, "opening");
    code = check_length(env, err);
    if (code != MED_OK) return code;
    if (!(flags & MDB_NOLOCK))
        mdb_reader_check(env->mdb, NULL); /* frees the slots of dead processes */
    code = open_tables(env, options, err);
    if (code == MED_OK && fresh) code = sync_new_folder(env->path, err);
    return code;
}

static void free_env(struct med_env *env)
{
    if (env->mdb) mdb_env_close(env->mdb);
    pthread_mutex_destroy(&env->mutex);
    med_free(env);
}

static struct med_env *find_open(const struct stat *st)
{
    for (struct med_env *env = registry; env; env = env->next) {
        /* What a forked child inherited is not its own: LMDB environments do not survive fork. */
        if (env->dev == st->st_dev && env->ino == st->st_ino && env->pid == getpid()) return env;
    }
    return NULL;
}

static enum med_code open_or_share(const char *dir, const struct med_env_options *options,
    struct med_env **ret_env, struct med_err *err)
{
    struct stat st;
    if (stat(dir, &st) != 0) return med_fail_errno(err, errno, "cannot open the folder %s", dir);
    struct med_env *env = find_open(&st);
    if (env) {
        if (env->read_only && !options->read_only) {
            return med_fail(err, MED_E_CONFLICT,
                "%s is open for reading in this process: close it before opening it for writing",
                dir);
        }
        env->references++;
        *ret_env = env;
        return MED_OK;
    }
    size_t len = strlen(dir);
    env = med_calloc(1, sizeof *env + len + 1);
    if (!env) return med_fail(err, MED_E_NOMEM, "out of memory");
    memcpy(env->path, dir, len);
    pthread_mutex_init(&env->mutex, NULL);
    env->table_count = options->table_count;
    env->read_only = options->read_only;
    env->room_bytes = options->room_bytes;
    env->dev = st.st_dev;
    env->ino = st.st_ino;
    env->pid = getpid();
    env->references = 1;
    enum med_code code = open_new(env, options, err);
    if (code != MED_OK) {
        free_env(env);
        return code;
    }
    env->next = registry;
    registry = env;
    *ret_env = env;
    return MED_OK;
}

enum med_code med_env_open(const char *dir, const struct med_env_options *options,
    struct med_env **ret_env, struct med_err *err)
{
    assert(options->table_count > 0 && options->table_count <= MED_ENV_TABLES_MAX);
    enum med_code code = options->read_only ? MED_OK : med_fs_mkdir_all(med_fs_posix(), dir, err);
    if (code != MED_OK) return code;
    pthread_mutex_lock(&registry_mutex);
    code = open_or_share(dir, options, ret_env, err);
    pthread_mutex_unlock(&registry_mutex);
    return code;
}

void med_env_close(struct med_env **env_ptr)
{
    struct med_env *env = *env_ptr;
    *env_ptr = NULL;
    if (!env) return;
    pthread_mutex_lock(&registry_mutex);
    if (--env->references == 0) {
        struct med_env **link = &registry;
        while (*link != env) link = &(*link)->next;
        *link = env->next;
        assert(env->txn_count == 0);
        free_env(env);
    }
    pthread_mutex_unlock(&registry_mutex);
}

enum med_code med_env_copy(struct med_env *env, const char *dir, struct med_err *err)
{
    int rc = mdb_env_copy2(env->mdb, dir, MDB_CP_COMPACT);
    return rc == 0 ? MED_OK : fail(err, rc, dir, "copying the database");
}

const char *med_env_path(const struct med_env *env)
{
    return env->path;
}

bool med_env_is_replaced(const struct med_env *env)
{
    struct stat st;
    return stat(env->path, &st) == 0 && (st.st_dev != env->dev || st.st_ino != env->ino);
}

enum med_code med_env_exchange(const struct med_env *env, const char *dir, struct med_err *err)
{
    char parent[MED_PATH_MAX];
    const struct med_fs *fs = med_fs_posix();
    enum med_code code = med_path_join(parent, dir, "..", err);
    if (code != MED_OK) return code;
    if (renameat2(AT_FDCWD, dir, AT_FDCWD, env->path, RENAME_EXCHANGE) != 0) {
        if (errno != EINVAL && errno != ENOSYS)
            return med_fail_errno(err, errno, "cannot put %s in place of %s", dir, env->path);
        return med_fail(err, MED_E_UNSUPPORTED,
            "the file system of %s cannot exchange two folders, as ext4, XFS, Btrfs and tmpfs can",
            env->path);
    }
    return fs->ops->sync_dir(fs, parent, err);
}

uint64_t med_env_map_bytes(struct med_env *env)
{
    MDB_envinfo info;
    mdb_env_info(env->mdb, &info);
    return info.me_mapsize;
}

/* --- transactions --- */

/* Bytes that the map should have before a write transaction starts. */
static uint64_t map_bytes_wanted(const struct med_env *env)
{
    MDB_envinfo info;
    MDB_stat stat;
    mdb_env_info(env->mdb, &info);
    mdb_env_stat(env->mdb, &stat);
    return 2 * ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize + env->room_bytes;
}

/* LMDB gives its old map up before it asks for the new one, and does not survive a refusal: ask
 * first. */
static bool address_space_has(uint64_t bytes)
{
    void *probe =
        mmap(NULL, (size_t)bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (probe == MAP_FAILED) return false;
    munmap(probe, (size_t)bytes);
    return true;
}

/* Grows the map to `bytes` or what there is address space for. With env->mutex held and no
 * transaction in this process. */
static int grow_now(struct med_env *env, uint64_t bytes)
{
    uint64_t now = med_env_map_bytes(env), most = address_space_bytes() / 2;
    if (bytes > most) bytes = most;
    if (bytes <= now || !address_space_has(bytes - now)) {
        env->cramped = true;
        return 0;
    }
    int rc = mdb_env_set_mapsize(env->mdb, bytes);
    env->broken = rc != 0;
    return rc;
}

/* Waits for a moment without transactions in this process. */
static enum med_code grow_map(struct med_env *env, uint64_t bytes, struct med_err *err)
{
    for (unsigned waited_ms = 0;; waited_ms += 10) {
        pthread_mutex_lock(&env->mutex);
        bool idle = env->txn_count == 0;
        int rc = idle ? grow_now(env, bytes) : 0;
        pthread_mutex_unlock(&env->mutex);
        if (idle) return rc == 0 ? MED_OK : fail(err, rc, env->path, "growing the map");
        if (waited_ms >= GROW_WAIT_MS) {
            return med_fail(err, MED_E_BUSY,
                "the map of %s must grow, which waits for this process's open snapshots: close "
                "them "
                "and try again",
                env->path);
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
}

static void count_txn(struct med_env *env, int change)
{
    pthread_mutex_lock(&env->mutex);
    assert(change > 0 || env->txn_count > 0);
    env->txn_count += (unsigned)change;
    pthread_mutex_unlock(&env->mutex);
}

/* One attempt. MED_E_LIMIT: the map must grow first, because another process has grown it or
 * because it lacks room for a writer. */
static enum med_code try_begin(
    struct med_env *env, bool write, MDB_txn **ret_txn, struct med_err *err)
{
    count_txn(env, 1);
    MDB_txn *txn;
    unsigned flags = write ? 0 : MDB_RDONLY;
    int rc = env->broken ? MDB_PANIC : mdb_txn_begin(env->mdb, NULL, flags, &txn);
    if (rc == MDB_READERS_FULL) {
        mdb_reader_check(env->mdb, NULL);
        rc = mdb_txn_begin(env->mdb, NULL, flags, &txn);
    }
    bool room = !write || env->cramped || med_env_map_bytes(env) >= map_bytes_wanted(env);
    if (rc == 0 && room) {
        *ret_txn = txn;
        return MED_OK;
    }
    if (rc == 0) mdb_txn_abort(txn);
    count_txn(env, -1);
    if (rc == MDB_MAP_RESIZED && env->cramped) {
        return med_fail(
            err, MED_E_NOMEM, "%s has outgrown this process's limit on address space", env->path);
    }
    return rc == 0 || rc == MDB_MAP_RESIZED ? MED_E_LIMIT
                                            : fail(err, rc, env->path, "beginning a transaction");
}

enum med_code med_txn_begin(
    struct med_env *env, bool write, struct med_txn **ret_txn, struct med_err *err)
{
    if (write && env->read_only) {
        return med_fail(err, MED_E_PERMISSION, "%s is open for reading only", env->path);
    }
    struct med_txn *txn = med_calloc(1, sizeof *txn);
    if (!txn) return med_fail(err, MED_E_NOMEM, "out of memory for a transaction");
    txn->env = env;
    txn->write = write;
    enum med_code code = try_begin(env, write, &txn->mdb, err);
    while (code == MED_E_LIMIT) {
        uint64_t doubled = 2 * med_env_map_bytes(env), wanted = map_bytes_wanted(env);
        code = grow_map(env, doubled > wanted ? doubled : wanted, err);
        if (code == MED_OK) code = try_begin(env, write, &txn->mdb, err);
    }
    if (code == MED_OK && write && med_env_is_replaced(env)) {
        mdb_txn_abort(txn->mdb);
        count_txn(env, -1);
        code = med_fail(err, MED_E_BUSY,
            "%s was written anew by a purge meanwhile: what was stored is there; start again for "
            "the rest",
            env->path);
    }
    if (code != MED_OK) {
        med_free(txn);
        return code;
    }
    *ret_txn = txn;
    return MED_OK;
}

static void close_cursors(struct med_txn *txn)
{
    for (unsigned i = 0; i < txn->env->table_count; i++) {
        if (txn->cursors[i]) mdb_cursor_close(txn->cursors[i]);
        txn->cursors[i] = NULL;
    }
}

/* Keeps the promise behind SHORT_FILE_BYTES_MAX. fallocate never shrinks, whatever other processes
 * do meanwhile. */
static void extend_file(struct med_env *env)
{
    MDB_envinfo info;
    MDB_stat stat;
    int fd;
    mdb_env_info(env->mdb, &info);
    mdb_env_stat(env->mdb, &stat);
    uint64_t want = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
    uint64_t have = file_bytes(env);
    if (have >= want || mdb_env_get_fd(env->mdb, &fd) != 0) return;
    int rc = fallocate(fd, 0, (off_t)have, (off_t)(want - have));
    (void)rc; /* on a full disk the next commit tries again */
}

enum med_code med_txn_commit(struct med_txn **txn_ptr, struct med_err *err)
{
    struct med_txn *txn = *txn_ptr;
    struct med_env *env = txn->env;
    *txn_ptr = NULL;
    close_cursors(txn);
    int rc = mdb_txn_commit(txn->mdb);
    if (rc == EIO && looks_full(env, txn->bytes_put)) rc = ENOSPC;
    if (rc == 0 && txn->write) extend_file(env);
    count_txn(env, -1);
    med_free(txn);
    return rc == 0 ? MED_OK : fail(err, rc, env->path, "committing");
}

void med_txn_abort(struct med_txn **txn_ptr)
{
    struct med_txn *txn = *txn_ptr;
    *txn_ptr = NULL;
    if (!txn) return;
    close_cursors(txn);
    mdb_txn_abort(txn->mdb);
    if (!txn->paused) count_txn(txn->env, -1);
    med_free(txn);
}

void med_txn_pause(struct med_txn *txn)
{
    assert(!txn->write && !txn->paused);
    mdb_txn_reset(txn->mdb);
    txn->paused = true;
    count_txn(txn->env, -1);
}

enum med_code med_txn_resume(struct med_txn *txn, struct med_err *err)
{
    struct med_env *env = txn->env;
    assert(txn->paused);
    count_txn(env, 1);
    int rc = env->broken ? MDB_PANIC : mdb_txn_renew(txn->mdb);
    if (rc != 0) {
        count_txn(env, -1);
        return fail(err, rc, env->path, "resuming a transaction");
    }
    txn->paused = false;
    for (unsigned i = 0; rc == 0 && i < env->table_count; i++)
        if (txn->cursors[i]) rc = mdb_cursor_renew(txn->mdb, txn->cursors[i]);
    return rc == 0 ? MED_OK : fail(err, rc, env->path, "resuming a cursor");
}

uint64_t med_txn_id(const struct med_txn *txn)
{
    return mdb_txn_id(txn->mdb);
}

uint64_t med_txn_count(struct med_txn *txn, unsigned table)
{
    MDB_stat stat;
    return mdb_stat(txn->mdb, txn->env->dbi[table], &stat) == 0 ? stat.ms_entries : 0;
}

/* One cursor per table and transaction: neighbouring keys are then found without a walk from the
 * root. */
static int cursor_of(struct med_txn *txn, unsigned table, MDB_cursor **ret_cursor)
{
    assert(table < txn->env->table_count);
    if (!txn->cursors[table]) {
        int rc = mdb_cursor_open(txn->mdb, txn->env->dbi[table], &txn->cursors[table]);
        if (rc != 0) return rc;
    }
    *ret_cursor = txn->cursors[table];
    return 0;
}

enum med_code med_txn_get(struct med_txn *txn, unsigned table, struct med_str key,
    struct med_str *ret_value, struct med_err *err)
{
    MDB_cursor *cursor;
    MDB_val k = val_of(key), v;
    int rc = cursor_of(txn, table, &cursor);
    if (rc == 0) rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_KEY);
    if (rc != 0) return fail(err, rc, txn->env->path, "reading");
    *ret_value = str_of(v);
    return MED_OK;
}

static int learn_last(struct med_txn *txn, unsigned table, MDB_cursor *cursor)
{
    MDB_val k, v;
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
    if (rc == 0) {
        txn->last_len[table] = k.mv_size;
        memcpy(txn->last[table], k.mv_data, k.mv_size);
    }
    txn->last_known[table] = rc == 0 || rc == MDB_NOTFOUND;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int put(struct med_txn *txn, unsigned table, struct med_str key, struct med_str value)
{
    MDB_cursor *cursor;
    if (key.len == 0 || key.len > MED_ENV_KEY_BYTES_MAX) return MDB_BAD_VALSIZE;
    int rc = cursor_of(txn, table, &cursor);
    if (rc != 0) return rc;
    MDB_val k = val_of(key), v = val_of(value);
    if (txn->env->duplicates[table]) {
        rc = mdb_cursor_put(cursor, &k, &v, MDB_NODUPDATA);
        return rc == MDB_KEYEXIST ? 0 : rc;
    }
    if (!txn->last_known[table]) {
        rc = learn_last(txn, table, cursor);
        if (rc != 0) return rc;
    }
    struct med_str last = {.ptr = txn->last[table], .len = txn->last_len[table]};
    bool append = med_str_cmp(key, last) > 0;
    rc = mdb_cursor_put(cursor, &k, &v, append ? MDB_APPEND : 0);
    if (rc == 0 && append) {
        txn->last_len[table] = key.len;
        memcpy(txn->last[table], key.ptr, key.len);
    }
    return rc;
}

enum med_code med_txn_put(struct med_txn *txn, unsigned table, struct med_str key,
    struct med_str value, struct med_err *err)
{
    int rc = put(txn, table, key, value);
    if (rc == EIO && looks_full(txn->env, txn->bytes_put))
        rc = ENOSPC; /* large transactions spill pages early */
    if (rc != 0) return fail(err, rc, txn->env->path, "writing");
    txn->bytes_put += key.len + value.len;
    return MED_OK;
}

enum med_code med_txn_delete(struct med_txn *txn, unsigned table, struct med_str key,
    struct med_str value, struct med_err *err)
{
    MDB_val k = val_of(key), v = val_of(value);
    int rc = mdb_del(txn->mdb, txn->env->dbi[table], &k, value.len > 0 ? &v : NULL);
    return rc == 0 || rc == MDB_NOTFOUND ? MED_OK : fail(err, rc, txn->env->path, "deleting");
}

/* --- cursors --- */

enum med_code med_cursor_open(
    struct med_txn *txn, unsigned table, struct med_cursor **ret_cursor, struct med_err *err)
{
    assert(table < txn->env->table_count);
    struct med_cursor *cursor = med_calloc(1, sizeof *cursor);
    if (!cursor) return med_fail(err, MED_E_NOMEM, "out of memory for a cursor");
    cursor->env = txn->env;
    int rc = mdb_cursor_open(txn->mdb, txn->env->dbi[table], &cursor->mdb);
    if (rc != 0) {
        med_free(cursor);
        return fail(err, rc, txn->env->path, "opening a cursor");
    }
    *ret_cursor = cursor;
    return MED_OK;
}

void med_cursor_close(struct med_cursor **cursor)
{
    if (!*cursor) return;
    mdb_cursor_close((*cursor)->mdb);
    med_free(*cursor);
    *cursor = NULL;
}

enum med_code med_cursor_move(struct med_cursor *cursor, enum med_move move, struct med_str *key,
    struct med_str *ret_value, struct med_err *err)
{
    static const MDB_cursor_op ops[] = {
        [MED_MOVE_FIRST] = MDB_FIRST,
        [MED_MOVE_LAST] = MDB_LAST,
        [MED_MOVE_NEXT] = MDB_NEXT,
        [MED_MOVE_PREV] = MDB_PREV,
        [MED_MOVE_SEEK] = MDB_SET_RANGE,
        [MED_MOVE_EXACT] = MDB_SET_KEY,
        [MED_MOVE_NEXT_DUPLICATE] = MDB_NEXT_DUP,
    };
    MDB_val k = val_of(*key), v;
    int rc = mdb_cursor_get(cursor->mdb, &k, &v, ops[move]);
    if (rc != 0) return fail(err, rc, cursor->env->path, "reading");
    *key = str_of(k);
    *ret_value = str_of(v);
    return MED_OK;
}
