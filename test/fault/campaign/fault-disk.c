/*
 * Loaded before libc (LD_PRELOAD): a disk that goes wrong under the files of one folder. $FAULT_DISK names a folder; while it
 * holds a file `eio`, writes and syncs fail with EIO, `eio-read`: reads; `enospc`: writes fail with ENOSPC; `slow`: each takes
 * 5 ms more. $FAULT_UNDER is the folder that is befallen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int is_on(const char *fault)
{
    const char *folder = getenv("FAULT_DISK");
    char path[PATH_MAX];
    if (folder == NULL)
        return 0;
    snprintf(path, sizeof path, "%s/%s", folder, fault);
    int before = errno, on = access(path, F_OK) == 0;
    errno = before;
    return on;
}

static int is_meant(int fd)
{
    const char *under = getenv("FAULT_UNDER");
    char link[64], path[PATH_MAX];
    if (under == NULL)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = '\0';
    return strncmp(path, under, strlen(under)) == 0;
}

/* 0, or what errno has to be. */
static int fault(int fd, int is_read)
{
    if (!is_meant(fd))
        return 0;
    if (is_on("slow"))
        usleep(5000);
    if (is_read)
        return is_on("eio-read") ? EIO : 0;
    return is_on("eio") ? EIO : is_on("enospc") ? ENOSPC : 0;
}

#define WRAP(result, name, parameters, arguments, is_read)                                                                                 \
    result name parameters                                                                                                                 \
    {                                                                                                                                      \
        static result(*next) parameters;                                                                                                   \
        if (next == NULL)                                                                                                                  \
            *(void **)&next = dlsym(RTLD_NEXT, #name);                                                                                     \
        int flaw = fault(fd, is_read);                                                                                                     \
        if (flaw != 0) {                                                                                                                   \
            errno = flaw;                                                                                                                  \
            return -1;                                                                                                                     \
        }                                                                                                                                  \
        return next arguments;                                                                                                             \
    }

WRAP(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size), 0)
WRAP(ssize_t, pwrite, (int fd, const void *bytes, size_t size, off_t at), (fd, bytes, size, at), 0)
WRAP(ssize_t, pwrite64, (int fd, const void *bytes, size_t size, off64_t at), (fd, bytes, size, at), 0)
WRAP(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), 0)
WRAP(ssize_t, read, (int fd, void *bytes, size_t size), (fd, bytes, size), 1)
WRAP(ssize_t, pread, (int fd, void *bytes, size_t size, off_t at), (fd, bytes, size, at), 1)
WRAP(ssize_t, pread64, (int fd, void *bytes, size_t size, off64_t at), (fd, bytes, size, at), 1)
WRAP(int, fsync, (int fd), (fd), 0)
WRAP(int, fdatasync, (int fd), (fd), 0)
WRAP(int, ftruncate, (int fd, off_t size), (fd, size), 0)
WRAP(int, ftruncate64, (int fd, off64_t size), (fd, size), 0)
