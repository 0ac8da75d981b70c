#ifdef __linux__
#define _GNU_SOURCE /* clock_gettime */
#endif
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

size_t join(char *buffer, size_t room, const char *const parts[])
{
    size_t length = 0;
    for (; *parts != NULL; parts++)
        for (const char *c = *parts; *c != '\0' && length + 1 < room; c++) buffer[length++] = *c;
    buffer[length] = '\0';
    return length;
}

size_t one_line(char line[LINE_LIMIT + 1], const char *program, const char *const parts[])
{
    size_t start = join(line, LINE_LIMIT, PARTS(program));
    size_t length = start + join(line + start, LINE_LIMIT - start, parts);
    while (line[length - 1] == ' ' || line[length - 1] == '\n' || line[length - 1] == '\r') length--;
    for (size_t i = 0; i < length; i++)
        if (line[i] < ' ' || line[i] > '~') line[i] = line[i] == '\n' || line[i] == '\r' ? ' ' : '?';
    line[length] = '\n';
    line[length + 1] = '\0';
    return length + 1;
}

bool is_name(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < length && i <= NAME_LIMIT; i++) {
        bool letter = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z');
        if (!letter && !is_digit(name[i]) && (i == 0 || strchr("._-", name[i]) == NULL)) return false;
    }
    return length > 0 && length <= NAME_LIMIT;
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
