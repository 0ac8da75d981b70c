/*
 * The helper between a connection that says anything and its client: whatever comes, it prints one whole key and exits 0, or
 * nothing on stdout, one line on stderr, and exits with a code of sysexits(3). For libFuzzer with ASan and UBSan: run.ts.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static jmp_buf end;
static struct {
    size_t out, lines;
    int code;
} seen;

static void require(int condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static _Noreturn void fuzz_exit(int code)
{
    seen.code = code;
    longjmp(end, 1);
}

static ssize_t fuzz_write(int fd, const void *bytes, size_t size)
{
    const char *text = bytes;
    if (fd == STDOUT_FILENO) {
        require(size >= 2 && text[size - 1] == '\n', "a key and a newline");
        for (size_t i = 0; i + 1 < size; i++) require(text[i] >= ' ' && text[i] <= '~', "a key of printable ASCII");
        seen.out += size;
        return (ssize_t)size;
    }
    if (fd != STDERR_FILENO) return write(fd, bytes, size);
    require(size >= 2 && size <= 401 && memchr(text, '\n', size) == text + size - 1, "one line of at most 400 characters");
    for (size_t i = 0; i + 1 < size; i++) require(text[i] >= ' ' && text[i] <= '~', "a line of printable ASCII");
    seen.lines++;
    return (ssize_t)size;
}

#define main broker_key_main
#define _exit fuzz_exit
#define write fuzz_write
#include "../broker-key.c"
#undef write

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char request[] = "GET /v1/credentials/a/key HTTP/1.1\r\n\r\n";
    struct question question = {.format = FORMATS[0]};
    struct head head;
    int ends[2], repeat = 0;
    if (size < 1 || size > 100000 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) return 0;
    signal(SIGPIPE, SIG_IGN);
    deadline = now_ms() + 5000;
    /* The first byte: which format was asked for. */
    question.format = FORMATS[data[0] % 6];
    require(write(ends[1], data + 1, size - 1) == (ssize_t)(size - 1), "room for the reply");
    close(ends[1]);
    memset(&seen, 0, sizeof seen);
    if (setjmp(end) == 0) {
        if (exchange(ends[0], request, sizeof request - 1, &head)) deliver(&head, &question);
        repeat = 1;
    }
    close(ends[0]);
    wipe_reply();
    if (repeat) require(seen.out == 0 && seen.lines == 0, "nothing is said before the request is repeated");
    else if (seen.code == 0) require(seen.out > 0 && seen.lines == 0, "a key and no words");
    else require(seen.out == 0 && seen.lines == 1 && seen.code > 0 && seen.code < 256, "one line and an exit code");
    return 0;
}
