/*
 * What the daemon needs of the kernel and Node has no API for: who is at the other end of a Unix socket, which process
 * started it, a clock that counts sleep, a lock that dies with its holder, and a word to the service manager.
 *
 * Plain Node-API, so one binary serves every Node from 22 on. Every function checks its arguments, throws a JavaScript
 * Error with an errno name as its `code`, and never keeps a value after it returns.
 */
#ifdef __linux__
#define _GNU_SOURCE /* struct ucred */
#endif
#define NAPI_VERSION 8
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <node_api.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/syscall.h>
#else
#include <libproc.h>
#include <mach/mach_time.h>
#include <sys/sysctl.h>
#include <sys/ucred.h>
#endif

enum {
    ARGUMENTS_SHOWN = 3, /* program, script, first word: enough to know a process by */
    COMMAND_LINE_LIMIT = 8192,
    NOTIFY_TIMEOUT_MS = 500 /* the event loop stands still meanwhile */
};

/* ---- arguments, results and errors -------------------------------------------------------------------------- */

static napi_value throw_error(napi_env env, const char *code, const char *message)
{
    bool pending = false;
    if (napi_is_exception_pending(env, &pending) == napi_ok && !pending) napi_throw_error(env, code, message);
    return NULL;
}

static napi_value throw_errno(napi_env env, const char *call, int error)
{
    char message[200];
    const char *code = error == EBADF ? "EBADF" : error == ENOTSOCK ? "ENOTSOCK" : error == EINVAL ? "EINVAL"
                       : error == ENOENT ? "ENOENT" : error == ECONNREFUSED ? "ECONNREFUSED"
                       : error == EACCES ? "EACCES" : error == EPERM ? "EPERM" : error == EAGAIN ? "EAGAIN"
                       : error == ENOTCONN ? "ENOTCONN" : "ERR_SYSTEM";
    snprintf(message, sizeof message, "%s: %s", call, strerror(error));
    return throw_error(env, code, message);
}

/* Fetches exactly `wanted` arguments; false with an exception thrown if there are fewer. */
static bool read_arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *arguments)
{
    size_t count = wanted;
    if (napi_get_cb_info(env, info, &count, arguments, NULL, NULL) == napi_ok && count >= wanted) return true;
    throw_error(env, "ERR_MISSING_ARGS", "an argument is missing");
    return false;
}

/* A descriptor or a process id: a whole number from 0 to INT_MAX. */
static bool read_whole(napi_env env, napi_value value, int *whole)
{
    double number = -1;
    if (napi_get_value_double(env, value, &number) == napi_ok && number >= 0 && number <= INT_MAX
        && number == (double)(int)number) {
        *whole = (int)number;
        return true;
    }
    throw_error(env, "ERR_INVALID_ARG_VALUE", "a descriptor or process id must be a whole number from 0 on");
    return false;
}

static void set_number(napi_env env, napi_value object, const char *name, double number)
{
    napi_value value;
    if (napi_create_double(env, number, &value) == napi_ok) napi_set_named_property(env, object, name, value);
}

static void set_text(napi_env env, napi_value object, const char *name, const char *text)
{
    napi_value value;
    if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok)
        napi_set_named_property(env, object, name, value);
}

static napi_value boolean(napi_env env, bool truth)
{
    napi_value value = NULL;
    napi_get_boolean(env, truth, &value);
    return value;
}

/* ---- the other end of a socket ------------------------------------------------------------------------------ */

/* An Int32Array of `wanted` numbers; false with an exception thrown for anything else. */
static bool read_numbers(napi_env env, napi_value value, size_t wanted, int32_t **numbers)
{
    napi_typedarray_type type;
    size_t length;
    if (napi_get_typedarray_info(env, value, &type, &length, (void **)numbers, NULL, NULL) == napi_ok
        && type == napi_int32_array && length >= wanted) return true;
    throw_error(env, "ERR_INVALID_ARG_VALUE", "expected an Int32Array that is long enough");
    return false;
}

#ifdef __linux__
#ifndef SO_PEERPIDFD /* Linux 6.5 */
#define SO_PEERPIDFD 77
#endif

/* PIDFD_GET_INFO, Linux 6.13: the first fields of struct pidfd_info, whose size is part of the request's number. */
struct pidfd_info_v0 {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid, exit_code;
};
enum { PIDFD_INFO_WITH_PIDS = 1 };

/* The parent of the peer, without a walk through /proc, which for a process just born is most of an answer's system time.
 * 0: the kernel cannot say it like this. */
static int peer_parent(int fd)
{
    struct pidfd_info_v0 info = {.mask = PIDFD_INFO_WITH_PIDS};
    socklen_t size = sizeof fd;
    int process;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &process, &size) != 0) return 0;
    int failed = ioctl(process, _IOWR(0xFF, 11, struct pidfd_info_v0), &info);
    close(process);
    return failed || (info.mask & PIDFD_INFO_WITH_PIDS) == 0 ? 0 : (int)info.ppid;
}
#endif

/*
 * peerCredentials(fd, into): pid, uid and gid as they were when the peer connected, or began to listen, and its parent's
 * pid or 0. Asked for every connection, and making an object takes three times as long as asking the kernel.
 */
static napi_value peer_credentials(napi_env env, napi_callback_info info)
{
    napi_value arguments[2];
    int32_t *into;
    int fd;
    if (!read_arguments(env, info, 2, arguments) || !read_whole(env, arguments[0], &fd)
        || !read_numbers(env, arguments[1], 4, &into)) return NULL;
    into[3] = 0;
#ifdef __linux__
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return throw_errno(env, "SO_PEERCRED", errno);
    if (size != sizeof peer || peer.pid == 0) return throw_error(env, "ENOTCONN", "SO_PEERCRED: nobody is connected");
    into[0] = peer.pid, into[1] = (int32_t)peer.uid, into[2] = (int32_t)peer.gid, into[3] = peer_parent(fd);
#else
    struct xucred peer;
    socklen_t size = sizeof peer, pid_size;
    pid_t process;
    pid_size = sizeof process;
    if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERCRED, &peer, &size) != 0) return throw_errno(env, "LOCAL_PEERCRED", errno);
    if (peer.cr_version != XUCRED_VERSION) return throw_error(env, "EINVAL", "LOCAL_PEERCRED: unknown version");
    if (getsockopt(fd, SOL_LOCAL, LOCAL_PEERPID, &process, &pid_size) != 0)
        return throw_errno(env, "LOCAL_PEERPID", errno);
    into[0] = process, into[1] = (int32_t)peer.cr_uid;
    into[2] = peer.cr_ngroups > 0 ? (int32_t)peer.cr_groups[0] : -1;
#endif
    return NULL;
}

/* ---- processes ---------------------------------------------------------------------------------------------- */

struct process {
    int parent;
    int group;
    char start_time[48]; /* with the pid it names one process for ever */
    char name[256];      /* as the kernel shortens it */
};

#ifdef __linux__

/* Reads a file of /proc/PID, which comes whole with one read(2); the length, or -1 if the process is gone or hidden. */
static ssize_t read_proc(int pid, const char *file, char *buffer, size_t room)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t length = read(fd, buffer, room - 1);
    close(fd);
    buffer[length < 0 ? 0 : length] = '\0';
    return length;
}

/* proc(5): `pid (name) state ppid …`, read as far as that: most questions are this one. 0 if there is no such process. */
static int read_parent(int pid)
{
    char stat[512];
    if (read_proc(pid, "stat", stat, sizeof stat) <= 0) return 0;
    const char *at = strrchr(stat, ')');
    return at == NULL || strlen(at) < 5 ? 0 : atoi(at + 4);
}

/* proc(5): `pid (name) state ppid pgrp …`, the start in clock ticks since boot as field 22; the name may hold anything. */
static bool read_process(int pid, struct process *process)
{
    char stat[1024];
    unsigned long long start;
    if (read_proc(pid, "stat", stat, sizeof stat) <= 0) return false;
    char *open_bracket = strchr(stat, '('), *close_bracket = strrchr(stat, ')');
    if (open_bracket == NULL || close_bracket == NULL || close_bracket < open_bracket) return false;
    if (sscanf(close_bracket + 1,
               " %*c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
               &process->parent, &process->group, &start) != 3) return false;
    *close_bracket = '\0';
    snprintf(process->name, sizeof process->name, "%s", open_bracket + 1);
    snprintf(process->start_time, sizeof process->start_time, "%llu", start);
    return true;
}

/* The executable's path; fails for processes of others and for those that are not dumpable. */
static bool read_executable(int pid, char *path, size_t room)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/%d/exe", pid);
    ssize_t length = readlink(link, path, room - 1);
    if (length <= 0) return false;
    path[length] = '\0';
    return true;
}

/* The first words of the command line, each ended by a NUL; the length. */
static size_t read_command_line(int pid, char *words, size_t room)
{
    ssize_t length = read_proc(pid, "cmdline", words, room);
    return length > 0 ? (size_t)length : 0;
}

/* pidfd_open(2), Linux 5.3: readable when that very process has exited. -1 where the kernel has no such thing. */
static int open_process(int pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

#else

static int open_process(int pid)
{
    (void)pid;
    return -1;
}

static bool read_process(int pid, struct process *process)
{
    struct proc_bsdinfo facts;
    if (proc_pidinfo(pid, PROC_PIDTBSDINFO, 0, &facts, sizeof facts) != (int)sizeof facts) return false;
    process->parent = (int)facts.pbi_ppid;
    process->group = (int)facts.pbi_pgid;
    snprintf(process->start_time, sizeof process->start_time, "%llu.%06llu", (unsigned long long)facts.pbi_start_tvsec,
             (unsigned long long)facts.pbi_start_tvusec);
    snprintf(process->name, sizeof process->name, "%s", facts.pbi_name[0] != '\0' ? facts.pbi_name : facts.pbi_comm);
    return true;
}

static int read_parent(int pid)
{
    struct process process;
    return read_process(pid, &process) ? process.parent : 0;
}

static bool read_executable(int pid, char *path, size_t room)
{
    return proc_pidpath(pid, path, (uint32_t)room) > 0;
}

/* KERN_PROCARGS2: argc, the executable's path, NULs up to a boundary, then the words. */
static size_t read_command_line(int pid, char *words, size_t room)
{
    int name[] = {CTL_KERN, KERN_PROCARGS2, pid}, count;
    size_t size = 0, at = sizeof count, length = 0;
    char *buffer;
    if (sysctl(name, 3, NULL, &size, NULL, 0) != 0 || size <= sizeof count) return 0;
    if ((buffer = malloc(size)) == NULL) return 0;
    if (sysctl(name, 3, buffer, &size, NULL, 0) == 0 && size > sizeof count) {
        memcpy(&count, buffer, sizeof count);
        while (at < size && buffer[at] != '\0') at++;
        while (at < size && buffer[at] == '\0') at++;
        for (int word = 0; at < size && word < count && length < room - 1; at++) {
            words[length++] = buffer[at];
            if (buffer[at] == '\0') word++;
        }
    }
    memset(buffer, 0, size); /* the environment lies behind the words */
    free(buffer);
    words[length] = '\0';
    return length;
}

#endif

/* Reads the pid argument and the process; undefined in `*result` (true) or an exception (false) if there is none. */
static bool find_process(napi_env env, napi_callback_info info, int *pid, struct process *process, napi_value *result)
{
    napi_value argument;
    if (!read_arguments(env, info, 1, &argument) || !read_whole(env, argument, pid)) return false;
    if (!read_process(*pid, process)) {
        napi_get_undefined(env, result);
        return false;
    }
    if (napi_create_object(env, result) != napi_ok) return false;
    set_number(env, *result, "ppid", process->parent);
    set_number(env, *result, "processGroup", process->group);
    set_text(env, *result, "startTime", process->start_time);
    return true;
}

/* processParent(pid): {ppid, processGroup, startTime}, or undefined if there is no such process or it is hidden from us. */
static napi_value process_parent(napi_env env, napi_callback_info info)
{
    struct process process;
    napi_value result = NULL;
    int pid;
    find_process(env, info, &pid, &process, &result);
    return result;
}

/* processInfo(pid): the same with name, executable (absent where it may not be read) and argv. */
static napi_value process_info(napi_env env, napi_callback_info info)
{
    struct process process;
    napi_value result = NULL, list, word;
    char buffer[COMMAND_LINE_LIMIT];
    int pid;
    if (!find_process(env, info, &pid, &process, &result)) return result;
    set_text(env, result, "name", process.name);
    if (read_executable(pid, buffer, sizeof buffer)) set_text(env, result, "executable", buffer);
    if (napi_create_array(env, &list) != napi_ok) return NULL;
    size_t length = read_command_line(pid, buffer, sizeof buffer), at = 0;
    for (uint32_t index = 0; index < ARGUMENTS_SHOWN && at < length; index++) {
        if (napi_create_string_utf8(env, buffer + at, NAPI_AUTO_LENGTH, &word) != napi_ok) break;
        napi_set_element(env, list, index, word);
        at += strlen(buffer + at) + 1;
    }
    memset(buffer, 0, sizeof buffer); /* others put secrets on their command lines */
    napi_set_named_property(env, result, "argv", list);
    return result;
}

static napi_value number(napi_env env, double value)
{
    napi_value result = NULL;
    napi_create_double(env, value, &result);
    return result;
}

/* parentPid(pid): 0 if there is no such process or it is hidden from us. */
static napi_value parent_pid(napi_env env, napi_callback_info info)
{
    napi_value argument;
    int pid;
    if (!read_arguments(env, info, 1, &argument) || !read_whole(env, argument, &pid)) return NULL;
    return number(env, read_parent(pid));
}

/* processGroup(pid): 0 if there is no such process. */
static napi_value process_group(napi_env env, napi_callback_info info)
{
    napi_value argument;
    int pid;
    if (!read_arguments(env, info, 1, &argument) || !read_whole(env, argument, &pid)) return NULL;
    pid_t group = getpgid(pid);
    return number(env, group < 0 ? 0 : group);
}

/* openProcess(pid): a descriptor that stands for this very process and no later one of its pid, or -1. To be closed. */
static napi_value open_process_fd(napi_env env, napi_callback_info info)
{
    napi_value argument;
    int pid;
    if (!read_arguments(env, info, 1, &argument) || !read_whole(env, argument, &pid)) return NULL;
    return number(env, open_process(pid));
}

/* hasExited(fd): whether the process that `openProcess` gave this descriptor for is gone. */
static napi_value has_exited(napi_env env, napi_callback_info info)
{
    napi_value argument;
    struct pollfd process = {.events = POLLIN};
    if (!read_arguments(env, info, 1, &argument) || !read_whole(env, argument, &process.fd)) return NULL;
    return boolean(env, poll(&process, 1, 0) != 0);
}

/* ---- clock, lock, hardening, service manager ---------------------------------------------------------------- */

/* bootTimeMs(): milliseconds since boot with the time asleep, which os.uptime() gives in hundredths of a second. */
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

/* trimHeap(): gives the C library's free memory back to the kernel, which glibc by itself hardly ever does. */
static napi_value trim_heap(napi_env env, napi_callback_info info)
{
    (void)info;
#ifdef __GLIBC__
    return boolean(env, malloc_trim(0) != 0);
#else
    return boolean(env, false);
#endif
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

/* Text of 1 to `room` bytes; false with an exception thrown otherwise. */
static bool read_text(napi_env env, napi_value value, char *text, size_t room, size_t *length)
{
    size_t whole;
    if (napi_get_value_string_utf8(env, value, NULL, 0, &whole) == napi_ok && whole > 0 && whole < room
        && napi_get_value_string_utf8(env, value, text, room, length) == napi_ok) return true;
    throw_error(env, "ERR_INVALID_ARG_VALUE", "expected text that is neither empty nor too long");
    return false;
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

NAPI_MODULE_INIT()
{
    static const struct {
        const char *name;
        napi_callback function;
    } offered[] = {
        {"peerCredentials", peer_credentials}, {"processParent", process_parent}, {"processInfo", process_info},
        {"parentPid", parent_pid}, {"processGroup", process_group}, {"openProcess", open_process_fd}, {"hasExited", has_exited},
        {"bootTimeMs", boot_time_ms}, {"flock", try_lock}, {"trimHeap", trim_heap}, {"setNonDumpable", set_non_dumpable},
        {"setCoreLimitZero", set_core_limit_zero}, {"sdNotify", notify},
    };
    for (size_t i = 0; i < sizeof offered / sizeof offered[0]; i++) {
        napi_value function;
        if (napi_create_function(env, offered[i].name, NAPI_AUTO_LENGTH, offered[i].function, NULL, &function)
                != napi_ok
            || napi_set_named_property(env, exports, offered[i].name, function) != napi_ok) return NULL;
    }
    return exports;
}
