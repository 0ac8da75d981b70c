/* How the helper becomes a program that has keys in its environment: `broker run`. */
#ifndef BROKER_RUN_H
#define BROKER_RUN_H

#include "text.h"

#include <limits.h>

enum { MOST_VARIABLES = 32,
       LONGEST_VARIABLE = 128,
       ENTRY_ROOM = LONGEST_VARIABLE + 16384 + 2 /* NAME=KEY and its end */ };

struct wanted {
    char variable[LONGEST_VARIABLE + 1];
    const char *credential; /* NULL: the default one */
};

struct run {
    size_t count;
    struct wanted wanted[MOST_VARIABLES];
    char **command;
    bool quiet;
};

#define RUN_USAGE "[--env NAME[=CREDENTIAL]]... [--quiet] [--] CMD [ARGS...]"

/* What follows `run`, up to a NULL. False: `why` says what is wrong with it. */
bool read_run(char **arguments, struct run *run, char why[LINE_LIMIT]);

/* Where a shell would find the program. 0, or the exit code that a shell has for it (126, 127), and `why`. */
int find_program(const char *name, char path[PATH_MAX], char why[LINE_LIMIT]);

/* Returns only if the program cannot be run: as `find_program`. */
int become_program(const struct run *run, char *path, char (*entries)[ENTRY_ROOM], char why[LINE_LIMIT]);

#endif
