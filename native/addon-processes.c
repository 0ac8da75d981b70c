/* Who is at the other end of a Unix socket, and which process started it. */
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/ioctl.h>
#include <sys/syscall.h>
#else
#include <libproc.h>
#include <sys/sysctl.h>
#include <sys/ucred.h>
#include <sys/un.h>
#endif

enum {
    ARGUMENTS_SHOWN = 3, /* program, script, first word: enough to know a process by */
    COMMAND_LINE_LIMIT = 8192
};

/* ---- the other end of a socket ------------------------------------------------------------------------------ */

#ifdef __linux__
#ifndef SO_PEERPIDFD /* Linux 6.5 */
#define SO_PEERPIDFD 77
#endif

/* A descriptor of the very process that connected, whatever has its pid by now; -1 where the kernel gives none. */
static int peer_process(int fd)
{
    socklen_t size = sizeof fd;
    int process;
    return getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &process, &size) == 0 ? process : -1;
}

/* PIDFD_GET_INFO, Linux 6.13: the first fields of struct pidfd_info, whose size is part of the request's number. */
struct pidfd_info_v0 {
    uint64_t mask, cgroup;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid, exit_code;
};
enum { PIDFD_INFO_WITH_PIDS = 1 };

/* The parent of the peer without reading /proc, which for a process just started is most of an answer's system time.
 * 0: the kernel does not support this. */
static int peer_parent(int fd)
{
    struct pidfd_info_v0 info = {.mask = PIDFD_INFO_WITH_PIDS};
    int process = peer_process(fd);
    if (process < 0) return 0;
    int failed = ioctl(process, _IOWR(0xFF, 11, struct pidfd_info_v0), &info);
    close(process);
    return failed || (info.mask & PIDFD_INFO_WITH_PIDS) == 0 ? 0 : (int)info.ppid;
}
#else
static int peer_process(int fd)
{
    (void)fd;
    return -1;
}
#endif

/*
 * peerCredentials(fd, into): pid, uid and gid as they were when the peer connected, or began to listen, and its parent's
 * pid or 0. Called for every connection, so it fills an array: making an object takes three times as long as the system call.
 */
napi_value peer_credentials(napi_env env, napi_callback_info info)
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
    /* A pid of 0 alone is a process of a PID namespace that is not ours. */
    if (size != sizeof peer || (peer.pid == 0 && peer.uid == (uid_t)-1))
        return throw_error(env, "ENOTCONN", "SO_PEERCRED: no client is connected");
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
    char start_time[48]; /* with the pid it names one process and never another */
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

/* proc(5): `pid (name) state ppid …`, parsed as far as that, because most callers need no more. 0 if there is no such process. */
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

/* The executable's path; fails for processes of other users and for those that are not dumpable. */
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
    memset(buffer, 0, size); /* the environment follows the words */
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
napi_value process_parent(napi_env env, napi_callback_info info)
{
    struct process process;
    napi_value result = NULL;
    int pid;
    find_process(env, info, &pid, &process, &result);
    return result;
}

/* processInfo(pid): the same with name, executable (absent where it may not be read) and argv. */
napi_value process_info(napi_env env, napi_callback_info info)
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

/* parentPid(pid): 0 if there is no such process or it is hidden from us. */
napi_value parent_pid(napi_env env, napi_callback_info info)
{
    napi_value argument;
    int pid;
    if (!read_arguments(env, info, 1, &argument) || !read_whole(env, argument, &pid)) return NULL;
    return number(env, read_parent(pid));
}

/* processGroup(pid): 0 if there is no such process. */
napi_value process_group(napi_env env, napi_callback_info info)
{
    napi_value argument;
    int pid;
    if (!read_arguments(env, info, 1, &argument) || !read_whole(env, argument, &pid)) return NULL;
    pid_t group = getpgid(pid);
    return number(env, group < 0 ? 0 : group);
}

/* openProcess(pid): a descriptor of this very process and no later one of its pid, or -1. To be closed. */
napi_value open_process_fd(napi_env env, napi_callback_info info)
{
    napi_value argument;
    int pid;
    if (!read_arguments(env, info, 1, &argument) || !read_whole(env, argument, &pid)) return NULL;
    return number(env, open_process(pid));
}

/* peerProcess(fd): a descriptor of the process that connected this socket, or -1. To be closed. */
napi_value peer_process_fd(napi_env env, napi_callback_info info)
{
    napi_value argument;
    int fd;
    if (!read_arguments(env, info, 1, &argument) || !read_whole(env, argument, &fd)) return NULL;
    return number(env, peer_process(fd));
}

/* hasExited(fd): whether the process that `openProcess` or `peerProcess` gave this descriptor for is gone. */
napi_value has_exited(napi_env env, napi_callback_info info)
{
    napi_value argument;
    struct pollfd process = {.events = POLLIN};
    if (!read_arguments(env, info, 1, &argument) || !read_whole(env, argument, &process.fd)) return NULL;
    return boolean(env, poll(&process, 1, 0) != 0);
}
