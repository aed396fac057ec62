/*
 * A disk that loses what was not synchronised, for processes that run with this library preloaded.
 *
 * Before anything below LOSSY_DIR is changed, how to undo the change is appended to the file LOSSY_LOG; fsync and
 * fdatasync clear what is noted for their file, and fsync of a directory what is noted for the names in it. Who ends
 * the process with SIGKILL may then undo a random part of what is still noted, as a machine without power does:
 * chaos/lossy.py.
 *
 *   LOSSY_DIR                 absolute path of the directory whose disk this is
 *   LOSSY_LOG                 where to note; outside of LOSSY_DIR, appended to
 *   LOSSY_KEEP                a directory on the file system of LOSSY_DIR, outside of it: what was unlinked or
 *                             replaced stays here
 *   LOSSY_FSYNC_MICROSECONDS  how long fsync takes; a power cut falls into it as it would on a real disk
 *   LOSSY_IGNORE_FSYNC        when set, nothing is ever cleared: a disk that lies about fsync
 *
 * A change that cannot be noted is not made: it fails with the error of noting. SQLite's "-shm" files are memory and
 * not noted. Directories that are made stay made, and what mmap changes is not seen; nothing below LOSSY_DIR relies on
 * either. No descriptor of a file below LOSSY_DIR is opened and closed in here: that would drop the process's POSIX
 * locks on it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* Kinds of records; chaos/lossy.py reads them. */
enum kind { WRITTEN = 'W', TRUNCATED = 'T', SYNCHRONISED = 'S', CREATED = 'C', UNLINKED = 'U', RENAMED = 'R' };

/* One record: this, then `path`, `other` and `bytes`, in the byte order of the machine, where the reader runs too. */
struct head {
    uint32_t magic;
    uint32_t kind;
    uint64_t file;     /* inode: of the file, or of the directory whose names changed */
    int64_t offset;    /* WRITTEN and TRUNCATED: where `bytes` were */
    int64_t size;      /* WRITTEN and TRUNCATED: of the whole file before */
    uint32_t path;     /* bytes */
    uint32_t other;    /* bytes; RENAMED: the new name */
    uint32_t bytes;    /* bytes; UNLINKED and RENAMED: the name under which what was there is kept */
    uint32_t length;   /* WRITTEN: bytes that were to be written */
};
#define MAGIC 0x4c4f5353u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static char directory[PATH_MAX];
static size_t directory_length;
static char keep[PATH_MAX];
static int log_descriptor = -1;
static int ignores_fsync;
static useconds_t fsync_time;
static unsigned long kept;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fallocate)(int, off_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_renameat)(int, const char *, int, const char *);

static void fail(const char *what) {
    fprintf(stderr, "lossydisk: %s: %s\n", what, strerror(errno));
    abort();
}

static void *next(const char *name) {
    void *function = dlsym(RTLD_NEXT, name);
    if (function == NULL) fail(name);
    return function;
}

static void start(void) {
    real_open = next("open64");
    real_openat = next("openat64");
    real_write = next("write");
    real_pwrite = next("pwrite64");
    real_writev = next("writev");
    real_pwritev = next("pwritev64");
    real_ftruncate = next("ftruncate64");
    real_fallocate = next("posix_fallocate64");
    real_fsync = next("fsync");
    real_fdatasync = next("fdatasync");
    real_unlinkat = next("unlinkat");
    real_renameat = next("renameat");
    const char *name = getenv("LOSSY_DIR"), *log = getenv("LOSSY_LOG"), *kept_in = getenv("LOSSY_KEEP");
    if (name == NULL || log == NULL || kept_in == NULL) return;
    if (realpath(name, directory) == NULL) fail(name);
    directory_length = strlen(directory);
    snprintf(keep, sizeof keep, "%s", kept_in);
    ignores_fsync = getenv("LOSSY_IGNORE_FSYNC") != NULL;
    const char *time = getenv("LOSSY_FSYNC_MICROSECONDS");
    if (time != NULL) fsync_time = strtoul(time, NULL, 10);
    log_descriptor = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log_descriptor < 0) fail(log);
}

static int is_below(const char *path) {
    if (log_descriptor < 0 || strncmp(path, directory, directory_length) != 0) return 0;
    if (path[directory_length] != '/' && path[directory_length] != 0) return 0;
    size_t length = strlen(path);
    return length < 4 || strcmp(path + length - 4, "-shm") != 0;
}

/* Whether a descriptor is a file or directory below the directory; its path and state if it is. */
static int is_ours(int descriptor, char path[PATH_MAX], struct stat *status) {
    pthread_once(&once, start);
    if (log_descriptor < 0 || descriptor == log_descriptor) return 0;
    int saved = errno;
    int found = 0;
    if (fstat(descriptor, status) == 0 && (S_ISREG(status->st_mode) || S_ISDIR(status->st_mode))) {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
        ssize_t length = readlink(link, path, PATH_MAX - 1);
        if (length > 0) {
            path[length] = 0;
            found = is_below(path);
        }
    }
    errno = saved;
    return found;
}

/* The absolute path of a name, with its directory resolved; 0 when it is not below the directory. */
static int resolve(int at, const char *name, char path[PATH_MAX], uint64_t *parent) {
    pthread_once(&once, start);
    if (log_descriptor < 0 || name == NULL) return 0;
    int saved = errno, found = 0;
    char joined[PATH_MAX], folder[PATH_MAX];
    if (name[0] == '/') {
        snprintf(joined, sizeof joined, "%s", name);
    } else {
        char link[64];
        ssize_t length;
        if (at == AT_FDCWD) snprintf(link, sizeof link, "/proc/self/cwd");
        else snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        length = readlink(link, folder, sizeof folder - 1);
        if (length <= 0) goto done;
        folder[length] = 0;
        if ((size_t)snprintf(joined, sizeof joined, "%s/%s", folder, name) >= sizeof joined) goto done;
    }
    char *slash = strrchr(joined, '/');
    if (slash == NULL || slash[1] == 0) goto done;
    *slash = 0;
    if (realpath(slash == joined ? "/" : joined, folder) == NULL) goto done;
    if ((size_t)snprintf(path, PATH_MAX, "%s/%s", folder, slash + 1) >= PATH_MAX) goto done;
    struct stat status;
    if (is_below(path) && stat(folder, &status) == 0) {
        *parent = status.st_ino;
        found = 1;
    }
done:
    errno = saved;
    return found;
}

/* Appends one record; -1 with errno when that fails. The caller holds the lock. */
static int note(enum kind kind, uint64_t file, const char *path, const char *other, int64_t offset, int64_t size,
                const void *bytes, size_t count, size_t length) {
    struct head head = {.magic = MAGIC, .kind = kind, .file = file, .offset = offset, .size = size,
                        .path = strlen(path), .other = other ? strlen(other) : 0, .bytes = count, .length = length};
    struct iovec parts[] = {{&head, sizeof head}, {(void *)path, head.path}, {(void *)other, head.other},
                            {(void *)bytes, count}};
    ssize_t total = sizeof head + head.path + head.other + count;
    off_t before = lseek(log_descriptor, 0, SEEK_END);
    ssize_t done = real_writev(log_descriptor, parts, 4);
    if (done == total) return 0;
    int error = done < 0 ? errno : ENOSPC;
    if (done > 0 && real_ftruncate(log_descriptor, before) != 0) fail("the log");
    errno = error;
    return -1;
}

/* Notes the `length` bytes at `offset` before they change. */
static int note_bytes(enum kind kind, int descriptor, const char *path, const struct stat *status, off_t offset,
                      off_t length) {
    off_t there = status->st_size - offset;
    if (there < 0) there = 0;
    if (there > length) there = length;
    char *old = malloc(there ? there : 1);
    if (old == NULL) return -1;
    off_t done = 0;
    while (done < there) {
        ssize_t count = pread(descriptor, old + done, there - done, offset + done);
        if (count <= 0) {
            free(old);
            if (count == 0) errno = EIO;
            return -1;
        }
        done += count;
    }
    int result = note(kind, status->st_ino, path, NULL, offset, status->st_size, old, there, length);
    free(old);
    return result;
}

static off_t position(int descriptor, const struct stat *status) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags >= 0 && (flags & O_APPEND) ? status->st_size : lseek(descriptor, 0, SEEK_CUR);
}

static off_t length_of(const struct iovec *parts, int count) {
    off_t length = 0;
    for (int index = 0; index < count; index++) length += parts[index].iov_len;
    return length;
}

/* CHANGE is made once it is noted; it is an expression that may use `status`. */
#define NOTED(TYPE, KIND, DESCRIPTOR, OFFSET, LENGTH, CHANGE)                                     \
    char path[PATH_MAX];                                                                     \
    struct stat status;                                                                      \
    if (!is_ours(DESCRIPTOR, path, &status)) return CHANGE;                                  \
    pthread_mutex_lock(&lock);                                                               \
    TYPE result = -1;                                                                        \
    if (fstat(DESCRIPTOR, &status) == 0 && note_bytes(KIND, DESCRIPTOR, path, &status, OFFSET, LENGTH) == 0) \
        result = CHANGE;                                                                     \
    int error = errno;                                                                       \
    pthread_mutex_unlock(&lock);                                                             \
    errno = error;                                                                           \
    return result

ssize_t write(int descriptor, const void *bytes, size_t count) {
    NOTED(ssize_t, WRITTEN, descriptor, position(descriptor, &status), (off_t)count,
          real_write(descriptor, bytes, count));
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t count, off64_t offset) {
    NOTED(ssize_t, WRITTEN, descriptor, offset, (off_t)count, real_pwrite(descriptor, bytes, count, offset));
}

ssize_t pwrite(int descriptor, const void *bytes, size_t count, off_t offset) {
    return pwrite64(descriptor, bytes, count, offset);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    NOTED(ssize_t, WRITTEN, descriptor, position(descriptor, &status), length_of(parts, count),
          real_writev(descriptor, parts, count));
}

ssize_t pwritev64(int descriptor, const struct iovec *parts, int count, off64_t offset) {
    NOTED(ssize_t, WRITTEN, descriptor, offset, length_of(parts, count),
          real_pwritev(descriptor, parts, count, offset));
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset) {
    return pwritev64(descriptor, parts, count, offset);
}

int ftruncate64(int descriptor, off64_t length) {
    NOTED(int, TRUNCATED, descriptor, length, status.st_size, real_ftruncate(descriptor, length));
}

int ftruncate(int descriptor, off_t length) { return ftruncate64(descriptor, length); }

/* Only grows a file, so that its old size is all there is to note. Answers an error and does not set errno. */
int posix_fallocate64(int descriptor, off64_t offset, off64_t length) {
    NOTED(int, TRUNCATED, descriptor, status.st_size, 0, real_fallocate(descriptor, offset, length));
}

int posix_fallocate(int descriptor, off_t offset, off_t length) {
    return posix_fallocate64(descriptor, offset, length);
}

/* What this would do cannot be noted; callers that are told so go another way. */
int fallocate64(int descriptor, int mode, off64_t offset, off64_t length) {
    (void)descriptor, (void)mode, (void)offset, (void)length;
    errno = EOPNOTSUPP;
    return -1;
}

int fallocate(int descriptor, int mode, off_t offset, off_t length) {
    return fallocate64(descriptor, mode, offset, length);
}

static int synchronise(int descriptor, int (*real)(int)) {
    char path[PATH_MAX];
    struct stat status;
    if (!is_ours(descriptor, path, &status)) return real(descriptor);
    if (fsync_time > 0) usleep(fsync_time);
    pthread_mutex_lock(&lock);
    int result = real(descriptor);
    if (result == 0 && !ignores_fsync) result = note(SYNCHRONISED, status.st_ino, path, NULL, 0, 0, NULL, 0, 0);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int fsync(int descriptor) {
    pthread_once(&once, start);
    return synchronise(descriptor, real_fsync);
}

int fdatasync(int descriptor) {
    pthread_once(&once, start);
    return synchronise(descriptor, real_fdatasync);
}

/* Opening may make a file and may empty one; both are noted. Write-only becomes read-write: old bytes must be read. */
static int opened(int at, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    uint64_t parent;
    if ((flags & (O_DIRECTORY | O_PATH)) || !(flags & (O_CREAT | O_WRONLY | O_RDWR)) ||
        !resolve(at, name, path, &parent))
        return real_openat(at, name, flags, mode);
    if ((flags & O_ACCMODE) == O_WRONLY) flags = (flags & ~O_ACCMODE) | O_RDWR;
    pthread_mutex_lock(&lock);
    struct stat status;
    int was_there = stat(path, &status) == 0;
    int descriptor = -1;
    if (was_there || !(flags & O_CREAT) || note(CREATED, parent, path, NULL, 0, 0, NULL, 0, 0) == 0)
        descriptor = real_openat(at, name, flags & ~O_TRUNC, mode);
    if (descriptor >= 0 && (flags & O_TRUNC) && was_there && status.st_size > 0) {
        if (note_bytes(TRUNCATED, descriptor, path, &status, 0, status.st_size) != 0 ||
            real_ftruncate(descriptor, 0) != 0) {
            int error = errno;
            close(descriptor);
            errno = error;
            descriptor = -1;
        }
    }
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return descriptor;
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & (O_CREAT | __O_TMPFILE) ? (mode_t)va_arg(arguments, int) : 0;
}

int openat64(int at, const char *name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    pthread_once(&once, start);
    return opened(at, name, flags | O_LARGEFILE, mode);
}

int openat(int at, const char *name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    pthread_once(&once, start);
    return opened(at, name, flags, mode);
}

int open64(const char *name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    pthread_once(&once, start);
    return opened(AT_FDCWD, name, flags | O_LARGEFILE, mode);
}

int open(const char *name, int flags, ...) {
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    pthread_once(&once, start);
    return opened(AT_FDCWD, name, flags, mode);
}

/* Keeps another name for what stands under `path`; empty when nothing does. */
static int keep_name(const char *path, char kept_as[PATH_MAX]) {
    struct stat status;
    kept_as[0] = 0;
    if (lstat(path, &status) != 0 || !S_ISREG(status.st_mode)) return 0;
    if ((size_t)snprintf(kept_as, PATH_MAX, "%s/%d-%lu", keep, (int)getpid(), ++kept) >= PATH_MAX) return -1;
    return link(path, kept_as);
}

int unlinkat(int at, const char *name, int flags) {
    char path[PATH_MAX], kept_as[PATH_MAX];
    uint64_t parent;
    pthread_once(&once, start);
    if ((flags & AT_REMOVEDIR) || !resolve(at, name, path, &parent)) return real_unlinkat(at, name, flags);
    pthread_mutex_lock(&lock);
    int result = -1;
    if (keep_name(path, kept_as) == 0 &&
        (kept_as[0] == 0 || note(UNLINKED, parent, path, NULL, 0, 0, kept_as, strlen(kept_as), 0) == 0))
        result = real_unlinkat(at, name, flags);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }

int renameat(int from_at, const char *from, int to_at, const char *to) {
    char old_path[PATH_MAX], new_path[PATH_MAX], kept_as[PATH_MAX];
    uint64_t old_parent, new_parent;
    pthread_once(&once, start);
    if (!resolve(from_at, from, old_path, &old_parent) || !resolve(to_at, to, new_path, &new_parent))
        return real_renameat(from_at, from, to_at, to);
    pthread_mutex_lock(&lock);
    int result = -1;
    if (keep_name(new_path, kept_as) == 0 &&
        note(RENAMED, new_parent, old_path, new_path, 0, 0, kept_as, strlen(kept_as), 0) == 0)
        result = real_renameat(from_at, from, to_at, to);
    int error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int rename(const char *from, const char *to) { return renameat(AT_FDCWD, from, AT_FDCWD, to); }

int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    if (flags != 0) {
        errno = EINVAL;
        return -1;
    }
    return renameat(from_at, from, to_at, to);
}
