/*
 * stopwatch ROUNDS { -- [<FILE] COMMAND [ARGUMENT...] }...
 *
 * Runs every command once per round, each round in another order, and prints per run: command's index, nanoseconds
 * from before the fork to the end of its output, largest resident size in kB, exit status. stdin is an open socket that
 * never says anything, as Claude Code hands it to its helper, or FILE. Small and static, because a child's largest size
 * counts from the fork.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS = 64 };

extern char **environ;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t seed = 88172645463325252u;

static uint64_t chance(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static void shuffle(int order[], int count)
{
    for (int i = count - 1; i > 0; i--) {
        int j = (int)(chance() % (uint64_t)(i + 1));
        int kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}

static void run(int index, char *const command[], int silence)
{
    const char *const input = command[0][0] == '<' ? command[0] + 1 : NULL;
    char *const *const argv = input == NULL ? command : command + 1;
    int out[2];
    if (pipe2(out, O_CLOEXEC) != 0) exit(71);
    const int in = input == NULL ? silence : open(input, O_RDONLY | O_CLOEXEC);
    int64_t start = now_ns();
    pid_t child = vfork();
    if (child == 0) {
        dup2(in, STDIN_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execve(argv[0], argv, environ);
        _exit(127);
    }
    close(out[1]);
    char sink[4096];
    while (read(out[0], sink, sizeof sink) > 0) {}
    int64_t end = now_ns();
    int status;
    struct rusage usage;
    wait4(child, &status, 0, &usage);
    close(out[0]);
    if (input != NULL) close(in);
    printf("%d %lld %ld %d\n", index, (long long)(end - start), usage.ru_maxrss,
           WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

int main(int argc, char *argv[])
{
    static char **commands[COMMANDS];
    int order[COMMANDS];
    int count = 0;
    for (int i = 2; i < argc && count < COMMANDS; i++) {
        if (strcmp(argv[i], "--") != 0) continue;
        argv[i] = NULL;
        order[count] = count;
        commands[count++] = argv + i + 1;
    }
    int silence[2];
    if (argc < 4 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, silence) != 0) return 64;
    for (int round = atoi(argv[1]); round > 0; round--) {
        shuffle(order, count);
        for (int i = 0; i < count; i++) run(order[i], commands[order[i]], silence[0]);
        fflush(stdout);
    }
    return 0;
}
