#ifdef __linux__
#define _GNU_SOURCE /* clock_gettime */
#endif
#include "text.h"

#include <stdlib.h>
#include <time.h>

size_t join(char *buffer, size_t room, const char *const parts[])
{
    size_t length = 0;
    for (; *parts != NULL; parts++)
        for (const char *c = *parts; *c != '\0' && length + 1 < room; c++) buffer[length++] = *c;
    buffer[length] = '\0';
    return length;
}

char *decimal(uint64_t number, struct digits *digits)
{
    char *at = digits->text + sizeof digits->text - 1;
    *at = '\0';
    do *--at = (char)('0' + number % 10);
    while (number /= 10);
    return at;
}

int64_t whole_number(const char *at, size_t length)
{
    int64_t number = 0;
    if (length == 0 || length > 15) return UNKNOWN;
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(at[i])) return UNKNOWN;
        number = number * 10 + (at[i] - '0');
    }
    return number;
}

const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
