/* Text, numbers, variables and time, as both parts of the helper use them. */
#ifndef BROKER_TEXT_H
#define BROKER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_LIMIT = 400, /* of a line on stderr, newline included */
       PATH_ROOM = 512,
       UNKNOWN = -1 };

#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Puts the parts one after another into a buffer of `room` bytes, terminated; what does not fit is left off. */
size_t join(char *buffer, size_t room, const char *const parts[]);

struct digits {
    char text[21];
};

char *decimal(uint64_t number, struct digits *digits);

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Digits and nothing else, at most 15 so that it is exact in JavaScript too; UNKNOWN otherwise. */
int64_t whole_number(const char *at, size_t length);

/* An empty variable counts as unset, as it does for the daemon. */
const char *variable(const char *name);

/* Of the monotonic clock. */
int64_t now_ms(void);

#endif
