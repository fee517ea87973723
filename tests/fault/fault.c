/* A disk that fails one sync. Loaded into a process under test with LD_PRELOAD.
 *
 * While the file LEASEHOLD_FAULT_FILE exists, it holds a number n: the n-th fsync or fdatasync from then on of a file
 * whose path begins with LEASEHOLD_FAULT_PREFIX fails with EIO, and the file goes away. Every other sync is the
 * kernel's. The failed sync is not carried out, and the next one would succeed: a process that goes on would have
 * lost what it was told to keep. LEASEHOLD_FAULT_CALL, if it is there, names the one of the two calls that counts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long left = 0;

static int is_ours(int fd, const char *name) {
    const char *prefix = getenv("LEASEHOLD_FAULT_PREFIX"), *only = getenv("LEASEHOLD_FAULT_CALL");
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (prefix == NULL || length < 0 || (only != NULL && strcmp(only, name) != 0)) {
        return 0;
    }
    path[length] = '\0';
    return strncmp(path, prefix, strlen(prefix)) == 0;
}

/* Whether this sync is the one to fail. Called under the lock. */
static int is_due(void) {
    const char *name = getenv("LEASEHOLD_FAULT_FILE");
    FILE *file = name == NULL ? NULL : fopen(name, "re");
    if (file == NULL) {
        return 0;
    }
    if (left == 0 && fscanf(file, "%ld", &left) != 1) {
        left = 0;
    }
    fclose(file);
    if (left == 0 || --left > 0) {
        return 0;
    }
    unlink(name);
    return 1;
}

static int sync_or_fail(int fd, long call, const char *name) {
    int fails = 0;
    if (is_ours(fd, name)) {
        pthread_mutex_lock(&lock);
        fails = is_due();
        pthread_mutex_unlock(&lock);
    }
    if (fails) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(call, fd);
}

int fsync(int fd) { return sync_or_fail(fd, SYS_fsync, "fsync"); }

int fdatasync(int fd) { return sync_or_fail(fd, SYS_fdatasync, "fdatasync"); }
