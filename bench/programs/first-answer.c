/*
 * first-answer SOCKET COMMAND [ARGUMENT...]          from the start of a server to the end of its first answer
 * first-answer --activate HELPER SOCKET COMMAND ...  from the start of the helper to the end of its output, with a
 *                                                    server that is started, as systemd does it, by its connection
 *
 * Prints nanoseconds and the server's resident size in kB. The server is told to end, and waited for.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { GIVE_UP_MS = 20000, PAUSE_NS = 300000 };

static const char REQUEST[] = "GET /v1/credentials/_default/key HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\r\n";

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    return address;
}

/* Whether a whole good answer came. */
static int ask(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[4096];
    size_t length = 0;
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) == 0 &&
        send(fd, REQUEST, sizeof REQUEST - 1, MSG_NOSIGNAL) == sizeof REQUEST - 1) {
        ssize_t got;
        while (length < sizeof answer && (got = read(fd, answer + length, sizeof answer - length)) > 0)
            length += (size_t)got;
    }
    close(fd);
    return length > 12 && memcmp(answer + 9, "200", 3) == 0;
}

static long resident_kb(pid_t pid)
{
    char path[64], line[256];
    long kb = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) sscanf(line, "VmRSS: %ld", &kb);
    if (file != NULL) fclose(file);
    return kb;
}

static pid_t start(char *argv[], int listening)
{
    pid_t child = fork();
    if (child != 0) return child;
    if (listening >= 0) {
        char pid[16];
        snprintf(pid, sizeof pid, "%d", getpid());
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        dup2(listening, 3);
        fcntl(3, F_SETFD, 0); /* it may have been 3 already */
    }
    int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, STDOUT_FILENO);
    execvp(argv[0], argv);
    _exit(127);
}

static void end(pid_t server)
{
    kill(server, SIGTERM);
    waitpid(server, NULL, 0);
}

static int finish(int64_t started, int64_t answered, pid_t server)
{
    long kb = resident_kb(server);
    end(server);
    printf("%lld %ld\n", (long long)(answered - started), kb);
    return 0;
}

static int time_start(const char *path, char *argv[])
{
    struct sockaddr_un address = address_of(path);
    int64_t started = now_ns();
    pid_t server = start(argv, -1);
    while (!ask(&address)) {
        if (now_ns() - started > GIVE_UP_MS * 1000000LL || waitpid(server, NULL, WNOHANG) != 0) {
            end(server);
            return 75;
        }
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    return finish(started, now_ns(), server);
}

static int time_activation(const char *helper, const char *path, char *argv[])
{
    struct sockaddr_un address = address_of(path);
    int out[2], listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    unlink(path);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) != 0 || listen(listening, 128) != 0) return 71;
    if (pipe2(out, O_CLOEXEC) != 0) return 71;
    int64_t started = now_ns();
    pid_t client = fork();
    if (client == 0) {
        dup2(out[1], STDOUT_FILENO);
        execl(helper, helper, (char *)NULL);
        _exit(127);
    }
    close(out[1]);
    poll(&(struct pollfd){.fd = listening, .events = POLLIN}, 1, GIVE_UP_MS);
    pid_t server = start(argv, listening);
    char key[32768];
    ssize_t got, length = 0;
    while ((got = read(out[0], key, sizeof key)) > 0) length += got;
    int64_t answered = now_ns();
    waitpid(client, NULL, 0);
    if (length == 0) {
        end(server);
        return 75;
    }
    return finish(started, answered, server);
}

int main(int argc, char *argv[])
{
    umask(077);
    if (argc > 4 && strcmp(argv[1], "--activate") == 0) return time_activation(argv[2], argv[3], argv + 4);
    return argc > 2 ? time_start(argv[1], argv + 2) : 64;
}
