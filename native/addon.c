/*
 * What the daemon needs of the kernel and Node has no API for: the peer of a Unix socket, the process that started it, a
 * clock that counts sleep, a lock that is freed when its holder ends, and sd_notify(3).
 *
 * Plain Node-API, so one binary serves every Node from 22 on. Every function checks its arguments, throws a JavaScript
 * Error with an errno name as its `code`, and never keeps a value after it returns.
 */
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#else
#include <mach/mach_time.h>
#endif

#ifdef __GLIBC__
/* musl loads what was linked against glibc, and does not have this one. */
extern int malloc_trim(size_t) __attribute__((weak));
#endif

enum { NOTIFY_TIMEOUT_MS = 500 /* the event loop is blocked meanwhile */ };

/* bootTimeMs(): milliseconds since boot, time asleep included; os.uptime() has only hundredths of a second. */
static napi_value boot_time_ms(napi_env env, napi_callback_info info)
{
    napi_value result = NULL;
    (void)info;
#ifdef __linux__
    struct timespec now;
    if (clock_gettime(CLOCK_BOOTTIME, &now) != 0) return throw_errno(env, "CLOCK_BOOTTIME", errno);
    double milliseconds = (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
#else
    mach_timebase_info_data_t base;
    if (mach_timebase_info(&base) != 0) return throw_error(env, "ERR_SYSTEM", "mach_timebase_info failed");
    double milliseconds = (double)mach_continuous_time() * base.numer / base.denom / 1e6;
#endif
    napi_create_double(env, milliseconds, &result);
    return result;
}

/* flock(fd): true if the exclusive lock is ours, false if another process holds it. Never waits. */
static napi_value try_lock(napi_env env, napi_callback_info info)
{
    napi_value argument;
    int fd;
    if (!read_arguments(env, info, 1, &argument) || !read_whole(env, argument, &fd)) return NULL;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return boolean(env, false);
        if (errno != EINTR) return throw_errno(env, "flock", errno);
    }
    return boolean(env, true);
}

/* trimHeap(): gives the C library's free memory back to the kernel, which glibc hardly ever does on its own. */
static napi_value trim_heap(napi_env env, napi_callback_info info)
{
    (void)info;
#ifdef __GLIBC__
    return boolean(env, malloc_trim != NULL && malloc_trim(0) != 0);
#else
    return boolean(env, false);
#endif
}

/*
 * releaseProgram(): unmaps the pages of Node's own code, 30 MB of which a start leaves resident. They stay in the page cache,
 * and each comes back when it is run again. Only what is mapped from the file: with --use-largepages code lies in anonymous
 * memory, which would be lost. Returns how many bytes are mapped.
 */
static napi_value release_program(napi_env env, napi_callback_info info)
{
    double released = 0;
    napi_value result = NULL;
    (void)info;
#ifdef __linux__
    char program[PATH_MAX], line[PATH_MAX + 128];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program);
    FILE *maps = length > 0 && length < (ssize_t)sizeof program ? fopen("/proc/self/maps", "re") : NULL;
    while (maps != NULL && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to, inode;
        char mode[5];
        int at = 0;
        if (sscanf(line, "%lx-%lx %4s %*s %*s %lu %n", &from, &to, mode, &inode, &at) != 4) continue;
        if (inode == 0 || strcmp(mode, "r-xp") != 0 || at == 0) continue;
        if (strncmp(line + at, program, (size_t)length) != 0 || line[at + length] != '\n') continue;
        if (madvise((void *)from, to - from, MADV_DONTNEED) == 0) released += (double)(to - from);
    }
    if (maps != NULL) fclose(maps);
#endif
    napi_create_double(env, released, &result);
    return result;
}

/* setNonDumpable(): true where other processes of this user can no longer read this one's memory; false on macOS. */
static napi_value set_non_dumpable(napi_env env, napi_callback_info info)
{
    (void)info;
#ifdef __linux__
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return throw_errno(env, "PR_SET_DUMPABLE", errno);
    return boolean(env, true);
#else
    return boolean(env, false);
#endif
}

static napi_value set_core_limit_zero(napi_env env, napi_callback_info info)
{
    struct rlimit none = {0, 0};
    (void)info;
    if (setrlimit(RLIMIT_CORE, &none) != 0) return throw_errno(env, "RLIMIT_CORE", errno);
    return NULL;
}

static void do_nothing(int signal_number)
{
    (void)signal_number;
}

/*
 * ignoreRealTimeSignals(): Node has no names for them, and each ends a process that does not handle it. A handler and not
 * SIG_IGN, which programs that are started from here would inherit.
 */
static napi_value ignore_real_time_signals(napi_env env, napi_callback_info info)
{
    (void)info;
    (void)env;
#ifdef SIGRTMIN
    struct sigaction nothing = {.sa_handler = do_nothing, .sa_flags = SA_RESTART}, now;
    for (int each = SIGRTMIN; each <= SIGRTMAX; each++)
        if (sigaction(each, NULL, &now) == 0 && now.sa_handler == SIG_DFL) sigaction(each, &nothing, NULL);
#else
    (void)do_nothing;
#endif
    return NULL;
}

/* fileLimit(): how many descriptors this process may have open, which Node raised to the hard limit when it started. */
static napi_value file_limit(napi_env env, napi_callback_info info)
{
    struct rlimit limit;
    (void)info;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return throw_errno(env, "RLIMIT_NOFILE", errno);
    return number(env, limit.rlim_cur == RLIM_INFINITY ? INT32_MAX : (double)limit.rlim_cur);
}

/* sdNotify(address, message): one datagram to $NOTIFY_SOCKET, sd_notify(3); a leading @ is the abstract name space. */
static napi_value notify(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_usec = NOTIFY_TIMEOUT_MS * 1000};
    char message[4096];
    size_t path_length, length;
    if (!read_arguments(env, info, 2, arguments)) return NULL;
    if (!read_text(env, arguments[0], address.sun_path, sizeof address.sun_path, &path_length)) return NULL;
    if (!read_text(env, arguments[1], message, sizeof message, &length)) return NULL;
    if (address.sun_path[0] != '/' && address.sun_path[0] != '@')
        return throw_error(env, "EINVAL", "a notify socket's address starts with / or @");
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0) return throw_errno(env, "socket", errno);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    ssize_t sent = sendto(fd, message, length, 0, (const struct sockaddr *)&address, size);
    int error = errno;
    close(fd);
    return sent < 0 ? throw_errno(env, "sendto", error) : NULL;
}

/*
 * listenOn(path, backlog): the descriptor of a Unix socket that listens at this very path. Node's own server removes
 * whatever lies at the path when it is closed, a successor's socket included, unless it is given a descriptor. The
 * caller's umask decides the mode.
 */
static napi_value listen_on(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length;
    int backlog;
    if (!read_arguments(env, info, 2, arguments) || !read_whole(env, arguments[1], &backlog)) return NULL;
    if (!read_text(env, arguments[0], address.sun_path, sizeof address.sun_path, &length)) return NULL;
#ifdef SOCK_CLOEXEC
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#else
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0) fcntl(fd, F_SETFD, FD_CLOEXEC);
#endif
    if (fd < 0) return throw_errno(env, "socket", errno);
    if (bind(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        if (listen(fd, backlog) == 0) return number(env, fd);
        int error = errno;
        unlink(address.sun_path);
        close(fd);
        return throw_errno(env, "listen", error);
    }
    int error = errno;
    close(fd);
    return throw_errno(env, "bind", error);
}

/* socketPair(into): two ends of a connection, which are closed in programs that are started from here. */
static napi_value socket_pair(napi_env env, napi_callback_info info)
{
    napi_value argument;
    int32_t *into;
    int ends[2];
    if (!read_arguments(env, info, 1, &argument) || !read_numbers(env, argument, 2, &into)) return NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return throw_errno(env, "socketpair", errno);
    for (int i = 0; i < 2; i++) {
        fcntl(ends[i], F_SETFD, FD_CLOEXEC);
        into[i] = ends[i];
    }
    return NULL;
}

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS; Node ignores SIGPIPE */
#endif

/* A connection's descriptor and the bytes to read into or to send. */
static bool read_transfer(napi_env env, napi_callback_info info, int *fd, void **bytes, size_t *length)
{
    napi_value arguments[2];
    return read_arguments(env, info, 2, arguments) && read_whole(env, arguments[0], fd) && read_bytes(env, arguments[1], bytes, length);
}

/*
 * receiveNow(fd, into): how many bytes were there. Never waits. 0: none, or the connection has ended or failed, which whoever
 * reads on finds out.
 */
static napi_value receive_now(napi_env env, napi_callback_info info)
{
    void *bytes;
    size_t room;
    int fd;
    if (!read_transfer(env, info, &fd, &bytes, &room)) return NULL;
    ssize_t got = recv(fd, bytes, room, MSG_DONTWAIT);
    return number(env, got < 0 ? 0 : (double)got);
}

/* sendNow(fd, bytes): how many of them the kernel took. Never waits. 0: none, or the connection failed. */
static napi_value send_now(napi_env env, napi_callback_info info)
{
    void *bytes;
    size_t length;
    int fd;
    if (!read_transfer(env, info, &fd, &bytes, &length)) return NULL;
    ssize_t sent = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
    return number(env, sent < 0 ? 0 : (double)sent);
}

NAPI_MODULE_INIT()
{
    static const struct {
        const char *name;
        napi_callback function;
    } offered[] = {
        {"peerCredentials", peer_credentials}, {"processParent", process_parent}, {"processInfo", process_info},
        {"parentPid", parent_pid}, {"processGroup", process_group}, {"openProcess", open_process_fd},
        {"peerProcess", peer_process_fd}, {"hasExited", has_exited}, {"bootTimeMs", boot_time_ms}, {"awakeTimeMs", awake_time_ms}, {"userTempFolder", user_temp_folder},
        {"isOnNetwork", is_on_network}, {"machineId", machine_id},
        {"forbidKeychainDialogues", forbid_keychain_dialogues}, {"flock", try_lock},
        {"trimHeap", trim_heap}, {"releaseProgram", release_program}, {"setNonDumpable", set_non_dumpable},
        {"setCoreLimitZero", set_core_limit_zero}, {"ignoreRealTimeSignals", ignore_real_time_signals},
        {"fileLimit", file_limit}, {"sdNotify", notify}, {"listenOn", listen_on}, {"socketPair", socket_pair},
        {"whenReadable", when_readable}, {"receiveNow", receive_now}, {"sendNow", send_now},
    };
    for (size_t i = 0; i < sizeof offered / sizeof offered[0]; i++) {
        napi_value function;
        if (napi_create_function(env, offered[i].name, NAPI_AUTO_LENGTH, offered[i].function, NULL, &function)
                != napi_ok
            || napi_set_named_property(env, exports, offered[i].name, function) != napi_ok) return NULL;
    }
    return exports;
}
