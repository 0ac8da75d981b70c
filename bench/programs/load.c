/*
 * load SOCKET|PORT PATH CLIENTS CONNECTIONS MILLISECONDS keep|close named|nameless PACE_US INTERVAL_MS [HEADER]
 *
 * PORT is of 127.0.0.1; HEADER is one more line of each request.
 *
 * CLIENTS processes, each with a child that stands for its helper and keeps CONNECTIONS / CLIENTS connections busy, so
 * that the daemon sees distinct clients and not one. `close` makes a connection per request, as the helper does; `keep`
 * one for all. A PACE_US above 0 lets each connection rest so long between two requests. Says what the real helper
 * says; `nameless` leaves out what it says of itself. A client that asks again within INTERVAL_MS is early for the
 * broker; 0: never.
 *
 * Prints: answers, failures, microseconds that it took, then latency in microseconds at 50, 90, 99 and 99.9 % and the
 * largest. Latency is from before connect(2) (or the request) to the last byte.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 4 << 20, REPLY = 8192, PER_PROCESS = 1024 };

struct connection {
    int fd;
    int64_t started;
    size_t length;
    char reply[REPLY];
};

/* Shared between all processes; every one takes the next free slots. */
static struct shared {
    uint32_t samples;
    uint32_t failures;
    uint32_t ready;
    uint32_t go;
    uint32_t ns[SAMPLES];
} *shared;

static union {
    struct sockaddr any;
    struct sockaddr_un local;
    struct sockaddr_in net;
} address;
static socklen_t address_length;
static char request[512];
static size_t request_length;
static int keeps, named;

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void fail(void)
{
    __atomic_fetch_add(&shared->failures, 1, __ATOMIC_RELAXED);
}

static void note(int64_t ns)
{
    uint32_t slot = __atomic_fetch_add(&shared->samples, 1, __ATOMIC_RELAXED);
    if (slot < SAMPLES) shared->ns[slot] = ns > UINT32_MAX ? UINT32_MAX : (uint32_t)ns;
}

static void send_request(struct connection *c, int events)
{
    c->started = now_ns();
    c->length = 0;
    if (c->fd < 0) {
        c->fd = socket(address.any.sa_family, SOCK_STREAM, 0);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (connect(c->fd, &address.any, address_length) != 0) fail();
        epoll_ctl(events, EPOLL_CTL_ADD, c->fd, &event);
    }
    if (send(c->fd, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) fail();
}

/* Whether the whole answer is there. */
static int is_whole(struct connection *c)
{
    c->reply[c->length] = '\0';
    const char *body = strstr(c->reply, "\r\n\r\n");
    const char *length = strcasestr(c->reply, "\r\ncontent-length:");
    return body != NULL && length != NULL && c->length >= (size_t)(body + 4 - c->reply) + strtoul(length + 17, NULL, 10);
}

/* Whether this exchange is over. */
static int receive(struct connection *c)
{
    ssize_t got = recv(c->fd, c->reply + c->length, REPLY - 1 - c->length, 0);
    if (got <= 0) {
        fail();
        close(c->fd);
        c->fd = -1;
        return 1;
    }
    c->length += (size_t)got;
    if (!is_whole(c)) return 0;
    note(now_ns() - c->started);
    if (memcmp(c->reply + 9, "200", 3) != 0) fail();
    if (!keeps) {
        close(c->fd);
        c->fd = -1;
    }
    return 1;
}

static void generate(int connections, int64_t duration_ns, int pace_us)
{
    size_t written = strlen(request);
    if (named)
        snprintf(request + written, sizeof request - written,
                 "Broker-Client-Hints: pid=%d, ppid=%d, stdin=socket, stdout=pipe, entrypoint=cli\r\n", getpid(), getppid());
    strcat(request, "\r\n");
    request_length = strlen(request);
    struct connection *all = calloc((size_t)connections, sizeof *all);
    int events = epoll_create1(0);
    __atomic_fetch_add(&shared->ready, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST) == 0) usleep(1000);
    if (pace_us > 0) usleep((useconds_t)((uint64_t)getpid() * 7919 % (uint64_t)pace_us));
    int64_t end = now_ns() + duration_ns;
    for (int i = 0; i < connections; i++) {
        all[i].fd = -1;
        send_request(&all[i], events);
    }
    for (int busy = connections; busy > 0;) {
        struct epoll_event came[64];
        int count = epoll_wait(events, came, 64, 5000);
        if (count == 0) exit(1);
        for (int i = 0; i < count; i++) {
            struct connection *c = came[i].data.ptr;
            if (!receive(c)) continue;
            if (pace_us > 0) usleep((useconds_t)pace_us);
            if (now_ns() < end) send_request(c, events);
            else busy--;
        }
    }
    exit(0);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double at(double share, uint32_t count)
{
    uint32_t index = (uint32_t)(share * count);
    return count == 0 ? 0 : shared->ns[index < count ? index : count - 1] / 1000.0;
}

int main(int argc, char *argv[])
{
    if (argc != 10 && argc != 11) return 64;
    int clients = atoi(argv[3]), connections = atoi(argv[4]), pace_us = atoi(argv[8]);
    if (connections / clients > PER_PROCESS) return 64;
    keeps = strcmp(argv[6], "keep") == 0;
    named = strcmp(argv[7], "named") == 0;
    if (strchr(argv[1], '/') == NULL) {
        address.net = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
                                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        address_length = sizeof address.net;
    } else {
        address.local.sun_family = AF_UNIX;
        strncpy(address.local.sun_path, argv[1], sizeof address.local.sun_path - 1);
        address_length = sizeof address.local;
    }
    snprintf(request, sizeof request,
             "GET %s HTTP/1.1\r\nHost: broker\r\nAccept: text/plain\r\nConnection: %s\r\n"
             "User-Agent: broker-key/bench\r\nBroker-Client-Interval-Ms: %d\r\n%s%s",
             argv[2], keeps ? "keep-alive" : "close", atoi(argv[9]), argc == 11 ? argv[10] : "",
             argc == 11 ? "\r\n" : "");
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED) return 71;
    for (int i = 0; i < clients; i++) {
        if (fork() != 0) continue;
        if (fork() == 0) generate(connections / clients, atoi(argv[5]) * 1000000LL, pace_us);
        int status;
        wait(&status);
        _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
    }
    while (__atomic_load_n(&shared->ready, __ATOMIC_SEQ_CST) < (uint32_t)clients) usleep(1000);
    int64_t started = now_ns();
    __atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
    for (int status; wait(&status) > 0;)
        if (status != 0) fail();
    int64_t took = now_ns() - started;
    uint32_t count = shared->samples < SAMPLES ? shared->samples : SAMPLES;
    qsort(shared->ns, count, sizeof *shared->ns, compare);
    printf("%u %u %lld %.1f %.1f %.1f %.1f %.1f\n", shared->samples, shared->failures, (long long)(took / 1000),
           at(0.5, count), at(0.9, count), at(0.99, count), at(0.999, count), at(1, count));
    return 0;
}
