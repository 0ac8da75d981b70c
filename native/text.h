/* Text, numbers, names, variables and time, as both parts of the helper and broker-run use them. */
#ifndef BROKER_TEXT_H
#define BROKER_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINE_LIMIT = 400, /* of a line on stderr, newline included */
       PATH_ROOM = 512,
       NAME_LIMIT = 64,
       KEY_LIMIT = 16384, /* what Claude Code accepts */
       UNKNOWN = -1 };

#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Puts the parts one after another into a buffer of `room` bytes, terminated; what does not fit is left off. */
size_t join(char *buffer, size_t room, const char *const parts[]);

/* One line of printable ASCII, whatever bytes a path, an argument or an answer has. Returns its length, newline included. */
size_t one_line(char line[LINE_LIMIT + 1], const char *program, const char *const parts[]);

/* Of a credential. */
bool is_name(const char *name);

#define NAME_RULE "a credential's name is 1 to 64 letters, digits, dots, dashes and underscores, a letter or digit first; "

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
