/* A disk that fails on command, and one that remembers: loaded before the C library (LD_PRELOAD), it stands between a
 * program and the system calls for files, of Python and of SQLite alike.
 *
 * It touches only what lies in one folder. `failing_arm` has the n-th such call fail, and more after it if asked to;
 * `failing_record` writes down every change, so that somebody can work out what a loss of power would have left.
 *
 * The one idea: calls are counted, not named, so a test needs to know nothing of how a store does its work to make each
 * of its steps fail.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, SYNC = 4, RENAME = 8, TRUNCATE = 16, UNLINK = 32, READ = 64, CLOSE = 128 };
#define MOST_REFUSED 64

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static char folder[PATH_MAX];
static size_t folder_length;
static int kinds, fault, is_short, is_armed;
static long first, last, count, hit;
static int hit_kind;
static ino_t refused[MOST_REFUSED];
static int refusals;
static long repeats;
static int record = -1;

#define NEXT(type, name) ((type)dlsym(RTLD_NEXT, name))

/* -- what a test says and asks ------------------------------------------------------------------------------------- */

/* From the n-th call on (from 1), `times` calls fail with `error`. `half`: if the n-th writes, it writes half of it, and
 * those after it fail. */
void failing_arm(const char *where, int which, long n, int error, long times, int half) {
    pthread_mutex_lock(&turn);
    snprintf(folder, sizeof folder, "%s", where);
    folder_length = strlen(folder);
    kinds = which, first = n, last = n + times - 1, fault = error, is_short = half;
    count = hit = repeats = 0, hit_kind = 0, refusals = 0, is_armed = 1;
    pthread_mutex_unlock(&turn);
}

void failing_disarm(void) { first = last = 0; }
long failing_count(void) { return count; }
long failing_hits(void) { return hit; }
int failing_kind(void) { return hit_kind; }
/* How often a file was synced again that had once refused to be. */
long failing_repeats(void) { return repeats; }

/* Write every change from now on into a file. */
void failing_record(const char *where, int fd) {
    snprintf(folder, sizeof folder, "%s", where);
    folder_length = strlen(folder);
    record = fd, is_armed = 1;
}

static void put(const void *data, size_t size) {
    const char *rest = data;
    while (size > 0) {
        long done = syscall(SYS_write, record, rest, size);
        if (done <= 0) return;
        rest += done, size -= (size_t)done;
    }
}

static void tell(const void *data, size_t size, const char *form, ...) {
    char line[2 * PATH_MAX];
    va_list values;
    va_start(values, form);
    int length = vsnprintf(line, sizeof line, form, values);
    va_end(values);
    pthread_mutex_lock(&turn);
    put(line, (size_t)length);
    if (size > 0) put(data, size);
    pthread_mutex_unlock(&turn);
}

/* Write a word of the program's own among the changes. */
void failing_note(const char *word) {
    if (record >= 0) tell(NULL, 0, "A %s\n", word);
}

/* -- which calls are ours ------------------------------------------------------------------------------------------ */

static int is_inside(const char *path) {
    return strncmp(path, folder, folder_length) == 0 && (path[folder_length] == '/' || path[folder_length] == '\0');
}

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = syscall(SYS_readlink, link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = '\0';
    return is_inside(path);
}

static int is_ours(int fd) {
    char path[PATH_MAX];
    return is_armed && fd != record && path_of(fd, path);
}

static int is_our_path(const char *path) { return is_armed && path != NULL && is_inside(path); }

static ino_t inode(int fd) {
    struct stat about;
    return fstat(fd, &about) == 0 ? about.st_ino : 0;
}

/* 0: do it. 1: fail, errno is set. 2: do half of it. */
static int verdict(int kind) {
    int said = 0;
    pthread_mutex_lock(&turn);
    if (kinds & kind) {
        count++;
        if (first > 0 && count >= first && count <= last + (is_short ? 1 : 0)) {
            if (hit++ == 0) hit_kind = kind;
            said = is_short && count == first && kind == WRITE ? 2 : 1;
        }
    }
    pthread_mutex_unlock(&turn);
    if (said == 1) errno = fault;
    return said;
}

/* Another file may get the number of one that is gone. */
static void forget(ino_t file) {
    pthread_mutex_lock(&turn);
    for (int place = 0; place < refusals; place++)
        if (refused[place] == file) refused[place] = 0;
    pthread_mutex_unlock(&turn);
}

static const char *name_in(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* -- the calls ----------------------------------------------------------------------------------------------------- */

static int do_open(int dir, const char *path, int flags, mode_t mode) {
    if (dir != AT_FDCWD || !is_our_path(path)) return (int)syscall(SYS_openat, dir, path, flags, mode);
    if (verdict(OPEN)) return -1;
    int is_new = (flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK) != 0;
    int fd = (int)syscall(SYS_openat, dir, path, flags, mode);
    if (fd >= 0 && is_new) forget(inode(fd));
    if (fd >= 0 && record >= 0) {
        if (is_new) tell(NULL, 0, "C %s %lu\n", name_in(path), (unsigned long)inode(fd));
        else if (flags & O_TRUNC) tell(NULL, 0, "T %lu 0\n", (unsigned long)inode(fd));
    }
    return fd;
}

static mode_t mode_in(int flags, va_list values) { return flags & (O_CREAT | O_TMPFILE) ? va_arg(values, mode_t) : 0; }

#define OPENS(name)                                      \
    int name(const char *path, int flags, ...) {         \
        va_list values;                                  \
        va_start(values, flags);                         \
        mode_t mode = mode_in(flags, values);            \
        va_end(values);                                  \
        return do_open(AT_FDCWD, path, flags, mode);     \
    }
OPENS(open)
OPENS(open64)

#define OPENS_AT(name)                                   \
    int name(int dir, const char *path, int flags, ...) {\
        va_list values;                                  \
        va_start(values, flags);                         \
        mode_t mode = mode_in(flags, values);            \
        va_end(values);                                  \
        return do_open(dir, path, flags, mode);          \
    }
OPENS_AT(openat)
OPENS_AT(openat64)

static ssize_t wrote(int fd, const void *data, ssize_t size, off_t at) {
    if (size > 0 && record >= 0) {
        if (at < 0) at = lseek(fd, 0, SEEK_CUR) - size;
        tell(data, (size_t)size, "W %lu %ld %ld\n", (unsigned long)inode(fd), (long)at, (long)size);
    }
    return size;
}

ssize_t write(int fd, const void *data, size_t size) {
    if (!is_ours(fd)) return syscall(SYS_write, fd, data, size);
    int said = verdict(WRITE);
    if (said == 1) return -1;
    return wrote(fd, data, syscall(SYS_write, fd, data, said == 2 ? size / 2 : size), -1);
}

static ssize_t do_pwrite(int fd, const void *data, size_t size, off_t at) {
    if (!is_ours(fd)) return syscall(SYS_pwrite64, fd, data, size, at);
    int said = verdict(WRITE);
    if (said == 1) return -1;
    return wrote(fd, data, syscall(SYS_pwrite64, fd, data, said == 2 ? size / 2 : size, at), at);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return do_pwrite(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return do_pwrite(fd, data, size, at); }

ssize_t read(int fd, void *data, size_t size) {
    return is_ours(fd) && verdict(READ) ? -1 : syscall(SYS_read, fd, data, size);
}
static ssize_t do_pread(int fd, void *data, size_t size, off_t at) {
    return is_ours(fd) && verdict(READ) ? -1 : syscall(SYS_pread64, fd, data, size, at);
}
ssize_t pread(int fd, void *data, size_t size, off_t at) { return do_pread(fd, data, size, at); }
ssize_t pread64(int fd, void *data, size_t size, off_t at) { return do_pread(fd, data, size, at); }

/* What a file refused to write once may be gone, and the next sync says yes all the same. (After an interruption it is not;
 * and of a folder that is synced again, names have changed again.) */
static void note_sync(ino_t file, int is_refused) {
    pthread_mutex_lock(&turn);
    int was_refused = 0;
    for (int place = 0; place < refusals; place++) was_refused |= refused[place] == file;
    if (is_refused && fault != EINTR && !was_refused && refusals < MOST_REFUSED) refused[refusals++] = file;
    if (!is_refused && was_refused) repeats++;
    pthread_mutex_unlock(&turn);
}

static int do_sync(int fd, long number) {
    if (!is_ours(fd)) return (int)syscall(number, fd);
    struct stat about;
    if (fstat(fd, &about) != 0) return -1;
    int said = verdict(SYNC);
    if (S_ISREG(about.st_mode)) note_sync(about.st_ino, said);
    if (said) {
        errno = fault;
        return -1;
    }
    if (record >= 0) {
        if (S_ISDIR(about.st_mode)) tell(NULL, 0, "D\n");
        else tell(NULL, 0, "S %lu\n", (unsigned long)about.st_ino);
    }
    return 0; /* nobody pulls the plug here: what was written is with the system, and the disk may take its time */
}
int fsync(int fd) { return do_sync(fd, SYS_fsync); }
int fdatasync(int fd) { return do_sync(fd, SYS_fdatasync); }

static int do_truncate(int fd, off_t size) {
    if (!is_ours(fd)) return (int)syscall(SYS_ftruncate, fd, size);
    if (verdict(TRUNCATE)) return -1;
    int done = (int)syscall(SYS_ftruncate, fd, size);
    if (done == 0 && record >= 0) tell(NULL, 0, "T %lu %ld\n", (unsigned long)inode(fd), (long)size);
    return done;
}
int ftruncate(int fd, off_t size) { return do_truncate(fd, size); }
int ftruncate64(int fd, off_t size) { return do_truncate(fd, size); }

int rename(const char *before, const char *after) {
    if (!is_our_path(after)) return (int)syscall(SYS_renameat2, AT_FDCWD, before, AT_FDCWD, after, 0);
    if (verdict(RENAME)) return -1;
    int done = (int)syscall(SYS_renameat2, AT_FDCWD, before, AT_FDCWD, after, 0);
    if (done == 0 && record >= 0) tell(NULL, 0, "R %s %s\n", name_in(before), name_in(after));
    return done;
}

int unlink(const char *path) {
    if (!is_our_path(path)) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (verdict(UNLINK)) return -1;
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (done == 0 && record >= 0) tell(NULL, 0, "U %s\n", name_in(path));
    return done;
}

int close(int fd) {
    int said = is_ours(fd) ? verdict(CLOSE) : 0;
    int done = (int)syscall(SYS_close, fd);
    if (said) {
        errno = fault; /* it is closed all the same, as by Linux */
        return -1;
    }
    return done;
}
