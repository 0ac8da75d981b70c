/* What the helper's two files share: text, time, output (broker-key.c) and how a daemon is started (start-daemon.c). */
#ifndef BROKER_KEY_H
#define BROKER_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_LIMIT = 400, /* of what is said on stderr, newline included */
       PATH_ROOM = 512,
       UNKNOWN = -1 };

#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Puts the parts one after another into a buffer of `room` bytes, terminated; what does not fit is left off. */
size_t join(char *buffer, size_t room, const char *const parts[]);

struct digits {
    char text[21];
};

char *decimal(uint64_t number, struct digits *digits);

/* An empty variable counts as unset, as it does for the daemon. */
const char *variable(const char *name);

int64_t now_ms(void);

/* Says one line on stderr and exits. */
_Noreturn void fail(int code, const char *const parts[]);

#define FAIL(code, ...) fail(code, PARTS(__VA_ARGS__))

/* Whether one of the places that the helper looks in is this one. */
bool is_our_place(const char *path);

/*
 * Nobody answered: sees to it that a daemon is being started, by whoever is first. To be called again, after looking
 * for the daemon once more, until somebody answers. `*connection` is what looking once more under the lock found.
 *
 * False if none can be started: then `why` says so and what to do, in LINE_LIMIT bytes at most.
 */
bool start_daemon(int (*connect_to_daemon)(void), int *connection, char why[LINE_LIMIT]);

#endif
