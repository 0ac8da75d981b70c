/*
 * `broker run`: the program that is named replaces the helper, so that nothing stands between it and the terminal, its signals, its
 * streams and whoever waits for it. Nothing of what it inherits is touched here; the process that asks for the keys is another one.
 *
 * In the order of this file: the words; which variables may hold a key; the program; its environment.
 */
#ifdef __linux__
#define _GNU_SOURCE /* environ */
#endif
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __APPLE__
extern char **environ;
#endif

enum { CANNOT_RUN = 126, NOT_FOUND = 127 /* as shells have them, POSIX.1 "Exit Status for Commands" */ };

static bool wrong(char why[LINE_LIMIT], const char *const parts[])
{
    join(why, LINE_LIMIT, parts);
    return false;
}

#define WRONG(...) wrong(why, PARTS(__VA_ARGS__))

/* ---- the words ---------------------------------------------------------------------------------------------- */

static bool is_variable(const char *name)
{
    for (size_t i = 0; name[i] != '\0'; i++) {
        bool letter = (name[i] >= 'a' && name[i] <= 'z') || (name[i] >= 'A' && name[i] <= 'Z') || name[i] == '_';
        if (!letter && (i == 0 || !is_digit(name[i]))) return false;
    }
    return name[0] != '\0';
}

/* These say where programs, libraries and options come from: the loader, a shell or Node prints a value that makes no sense there. */
static bool steers_programs(const char *name)
{
    static const char *const names[] = {"PATH", "HOME", "SHELL", "IFS", "ENV", "BASH_ENV", "GLIBC_TUNABLES", "NODE_OPTIONS", NULL};
    static const char *const starts[] = {"LD_", "DYLD_", "BROKER_", NULL};
    for (size_t i = 0; names[i] != NULL; i++)
        if (strcmp(name, names[i]) == 0) return true;
    for (size_t i = 0; starts[i] != NULL; i++)
        if (strncmp(name, starts[i], strlen(starts[i])) == 0) return true;
    return false;
}

static bool add_variable(struct run *run, const char *word, char why[LINE_LIMIT])
{
    struct wanted *wanted = &run->wanted[run->count];
    struct digits most;
    if (word == NULL) return WRONG("--env takes NAME=CREDENTIAL, not nothing");
    const char *equals = strchr(word, '=');
    size_t length = equals == NULL ? strlen(word) : (size_t)(equals - word);
    if (run->count == MOST_VARIABLES) return WRONG("at most ", decimal(MOST_VARIABLES, &most), " variables can hold keys");
    join(wanted->variable, length < LONGEST_VARIABLE ? length + 1 : LONGEST_VARIABLE + 1, PARTS(word));
    wanted->credential = equals == NULL ? NULL : equals + 1;
    if (length > LONGEST_VARIABLE || !is_variable(wanted->variable))
        return WRONG("a variable's name is letters, digits and underscores, not a digit first, at most 128; "
                     "write --env NAME=CREDENTIAL; what was given is not shown"); /* some people give the key */
    if (steers_programs(wanted->variable))
        return WRONG(wanted->variable, " is read by the system and not by a program for its key; name the variable that it reads");
    for (size_t i = 0; i < run->count; i++)
        if (strcmp(run->wanted[i].variable, wanted->variable) == 0)
            return WRONG("--env names ", wanted->variable, " twice; leave one of them out");
    run->count++;
    return true;
}

bool read_run(char **arguments, struct run *run, char why[LINE_LIMIT])
{
    char **at = arguments;
    run->count = 0;
    run->quiet = false;
    for (; *at != NULL && (*at)[0] == '-'; at++) {
        if (strcmp(*at, "--") == 0) {
            at++;
            break;
        }
        if (strcmp(*at, "--quiet") == 0) {
            run->quiet = true;
        } else if (strncmp(*at, "--env=", 6) == 0) {
            if (!add_variable(run, *at + 6, why)) return false;
        } else if (strcmp(*at, "--env") == 0) {
            if (!add_variable(run, at[1], why)) return false;
            at++;
        } else {
            return WRONG("there is no option ", *at, "; broker run " RUN_USAGE);
        }
    }
    if (*at == NULL) return WRONG("no program is named; broker run " RUN_USAGE);
    run->command = at;
    return run->count > 0 || add_variable(run, "ANTHROPIC_API_KEY", why);
}

/* ---- the program -------------------------------------------------------------------------------------------- */

static int exit_code(const char *name, int error, char why[LINE_LIMIT])
{
    join(why, LINE_LIMIT, PARTS("cannot run ", name, ": ", strerror(error),
                                error == ENOENT ? "; check its name and PATH" : "; check what it is and its mode"));
    return error == ENOENT ? NOT_FOUND : CANNOT_RUN;
}

/* 0, or the errno value that running it would end with. */
static int look_at(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) return errno == ENOTDIR ? ENOENT : errno;
    if (S_ISDIR(status.st_mode)) return EISDIR;
    return access(path, X_OK) == 0 ? 0 : errno;
}

int find_program(const char *name, char path[PATH_MAX], char why[LINE_LIMIT])
{
    const char *folder = getenv("PATH");
    int error = ENOENT;
    size_t name_length = strlen(name);
    if (name_length == 0) return exit_code("\"\"", ENOENT, why);
    if (name_length >= PATH_MAX) return exit_code("it", ENAMETOOLONG, why);
    if (strchr(name, '/') != NULL) {
        join(path, PATH_MAX, PARTS(name));
        error = look_at(path);
        return error == 0 ? 0 : exit_code(name, error, why);
    }
    if (folder == NULL) folder = "/usr/local/bin:/usr/bin:/bin";
    for (;; folder++) {
        size_t length = strcspn(folder, ":");
        if (length + 1 + name_length < PATH_MAX) {
            /* An empty one is the current folder. */
            join(path, length + 1, PARTS(folder));
            join(path + length, PATH_MAX - length, PARTS(length == 0 ? "./" : "/", name));
            int found = look_at(path);
            if (found == 0) return 0;
            if (found == EACCES) error = EACCES;
        }
        folder += length;
        if (*folder == '\0') return exit_code(name, error, why);
    }
}

/* ---- its environment ---------------------------------------------------------------------------------------- */

static bool is_wanted(const struct run *run, const char *entry)
{
    for (size_t i = 0; i < run->count; i++) {
        size_t length = strlen(run->wanted[i].variable);
        if (strncmp(entry, run->wanted[i].variable, length) == 0 && entry[length] == '=') return true;
    }
    return false;
}

int become_program(const struct run *run, char *path, char (*entries)[ENTRY_ROOM], char why[LINE_LIMIT])
{
    size_t inherited = 0, count = 0, words = 0;
    while (environ[inherited] != NULL) inherited++;
    while (run->command[words] != NULL) words++;
    char *environment[inherited + run->count + 1];
    char *script[words + 2];
    for (size_t i = 0; i < inherited; i++)
        if (!is_wanted(run, environ[i])) environment[count++] = environ[i];
    for (size_t i = 0; i < run->count; i++) environment[count++] = entries[i];
    environment[count] = NULL;
    execve(path, run->command, environment);
    if (errno == ENOEXEC) {
        /* A script without a first line: shells, and execvp(3), give it to sh. */
        script[0] = (char[]){"sh"};
        script[1] = path;
        for (size_t i = 1; i <= words; i++) script[i + 1] = run->command[i];
        execve("/bin/sh", script, environment);
    }
    return exit_code(run->command[0], errno, why);
}
