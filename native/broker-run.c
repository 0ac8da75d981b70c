/*
 * broker-run: `broker run`. The helper beside it, broker-key, prints each key into a pipe; then it becomes the program, so that
 * nothing stands between that and the terminal, its signals, its streams and whoever waits for it. Nothing of what it inherits is
 * touched here, and a daemon that is started is one of the helper's, no child of the program.
 *
 * In the order of this file: output; the words; the program; the keys; its environment; main.
 */
#ifdef __linux__
#define _GNU_SOURCE /* environ, F_DUPFD_CLOEXEC, realpath */
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
extern char **environ;
#endif

#include "text.h"

#ifndef BROKER_VERSION
#error "pass the package's version: -DBROKER_VERSION='\"1.2.3\"'"
#endif

enum {
    CANNOT_RUN = 126,
    NOT_FOUND = 127, /* as shells have them, POSIX.1 "Exit Status for Commands" */
    MOST_VARIABLES = 32,
    LONGEST_VARIABLE = 128,
    ANSWER_ROOM = KEY_LIMIT + 1 + LINE_LIMIT, /* a key; then, if there is anything to say of it, a space and that; a newline */
    ENTRY_ROOM = LONGEST_VARIABLE + 1 + ANSWER_ROOM
};

struct run {
    size_t count;
    struct wanted {
        char variable[LONGEST_VARIABLE + 1];
        const char *credential; /* NULL: the default one */
    } wanted[MOST_VARIABLES];
    char **command;
    bool quiet;
};

#define RUN_USAGE "[--env NAME[=CREDENTIAL]]... [--quiet] [--] CMD [ARGS...]"

/* ---- output ------------------------------------------------------------------------------------------------- */

/* NAME=KEY of each variable; all that ever holds a key. */
static char (*entries)[ENTRY_ROOM];
static size_t entries_size;

static void say(const char *const parts[])
{
    char line[LINE_LIMIT + 1];
    (void)!write(STDERR_FILENO, line, one_line(line, "broker run: ", parts));
}

static _Noreturn void fail(int code, const char *const parts[])
{
    if (entries_size > 0) memset(entries, 0, entries_size);
    say(parts);
    _exit(code);
}

#define FAIL(code, ...) fail(code, PARTS(__VA_ARGS__))

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

static void add_variable(struct run *run, const char *word)
{
    struct wanted *wanted = &run->wanted[run->count];
    struct digits most;
    if (word == NULL) FAIL(EX_USAGE, "--env takes NAME=CREDENTIAL, not nothing");
    const char *equals = strchr(word, '=');
    size_t length = equals == NULL ? strlen(word) : (size_t)(equals - word);
    if (run->count == MOST_VARIABLES) FAIL(EX_USAGE, "at most ", decimal(MOST_VARIABLES, &most), " variables can hold keys");
    join(wanted->variable, length < LONGEST_VARIABLE ? length + 1 : LONGEST_VARIABLE + 1, PARTS(word));
    wanted->credential = equals == NULL ? NULL : equals + 1;
    if (length > LONGEST_VARIABLE || !is_variable(wanted->variable))
        FAIL(EX_USAGE, "a variable's name is letters, digits and underscores, not a digit first, at most 128; "
                     "write --env NAME=CREDENTIAL; what was given is not shown"); /* some people give the key */
    if (steers_programs(wanted->variable))
        FAIL(EX_USAGE, wanted->variable, " is read by the system and not by a program for its key; name the variable that it reads");
    for (size_t i = 0; i < run->count; i++)
        if (strcmp(run->wanted[i].variable, wanted->variable) == 0)
            FAIL(EX_USAGE, "--env names ", wanted->variable, " twice; leave one of them out");
    if (wanted->credential != NULL && !is_name(wanted->credential))
        FAIL(EX_USAGE, wanted->variable, "= is followed by the name of a credential, never by a key; ",
             NAME_RULE "what was given is not shown");
    run->count++;
}

static void read_words(char **arguments, struct run *run)
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
            add_variable(run, *at + 6);
        } else if (strcmp(*at, "--env") == 0) {
            add_variable(run, at[1]);
            at++;
        } else {
            FAIL(EX_USAGE, "there is no option ", *at, "; broker run " RUN_USAGE);
        }
    }
    if (*at == NULL) FAIL(EX_USAGE, "no program is named; broker run " RUN_USAGE);
    run->command = at;
    if (run->count == 0) add_variable(run, "ANTHROPIC_API_KEY");
}

/* ---- the program -------------------------------------------------------------------------------------------- */

static _Noreturn void cannot_run(const char *name, int error)
{
    FAIL(error == ENOENT ? NOT_FOUND : CANNOT_RUN, "cannot run ", name, ": ", strerror(error),
         error == ENOENT ? "; check its name and PATH" : "; check what it is and its mode");
}

/* 0, or the errno value that running it would end with. */
static int look_at(const char *path)
{
    struct stat status;
    if (stat(path, &status) != 0) return errno == ENOTDIR ? ENOENT : errno;
    if (S_ISDIR(status.st_mode)) return EISDIR;
    return access(path, X_OK) == 0 ? 0 : errno;
}

/* Where a shell would find it. */
static void find_program(const char *name, char path[PATH_MAX])
{
    const char *folder = getenv("PATH");
    int error = ENOENT;
    size_t name_length = strlen(name);
    if (name_length == 0) cannot_run("\"\"", ENOENT);
    if (name_length >= PATH_MAX) cannot_run("it", ENAMETOOLONG);
    if (strchr(name, '/') != NULL) {
        join(path, PATH_MAX, PARTS(name));
        error = look_at(path);
        if (error != 0) cannot_run(name, error);
        return;
    }
    if (folder == NULL) folder = "/usr/local/bin:/usr/bin:/bin";
    for (;; folder++) {
        size_t length = strcspn(folder, ":");
        if (length + 1 + name_length < PATH_MAX) {
            /* An empty one is the current folder. */
            join(path, length + 1, PARTS(folder));
            join(path + length, PATH_MAX - length, PARTS(length == 0 ? "./" : "/", name));
            int found = look_at(path);
            if (found == 0) return;
            if (found == EACCES) error = EACCES;
        }
        folder += length;
        if (*folder == '\0') cannot_run(name, error);
    }
}

/* ---- the keys ----------------------------------------------------------------------------------------------- */

/* Beside this program, wherever links lead to it. */
static void find_helper(char path[PATH_MAX])
{
#ifdef __APPLE__
    char own[PATH_MAX];
    uint32_t room = sizeof own;
    if (_NSGetExecutablePath(own, &room) != 0) own[0] = '\0';
#else
    static const char own[] = "/proc/self/exe";
#endif
    if (realpath(own, path) == NULL) FAIL(EX_UNAVAILABLE, "cannot find its own folder, where broker-key is: ", strerror(errno));
    char *name = strrchr(path, '/') + 1;
    join(name, (size_t)(path + PATH_MAX - name), PARTS("broker-key"));
}

static _Noreturn void become_helper(char *helper, const char *credential, int out)
{
    char *words[] = {helper, "--format", "env", (char *)credential, NULL};
    /* Out of the way first: where a standard stream is closed, the pipe has its number. */
    int aside = fcntl(out, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(out);
    if (aside >= 0 && dup2(aside, STDOUT_FILENO) >= 0) execve(helper, words, environ);
    FAIL(EX_UNAVAILABLE, "cannot run ", helper, ": ", strerror(errno), "; install broker again");
}

/* Returns the length of what the helper printed. If it ended otherwise than well, it has said why, and this ends as it did. */
static size_t ask_helper(char *helper, const char *credential, char answer[ANSWER_ROOM])
{
    int ends[2], status = 0;
    size_t length = 0;
    ssize_t got;
    if (pipe(ends) != 0) FAIL(EX_OSERR, "cannot make a pipe: ", strerror(errno));
    pid_t child = fork();
    if (child < 0) FAIL(EX_OSERR, "cannot start a process: ", strerror(errno));
    if (child == 0) {
        close(ends[0]);
        become_helper(helper, credential, ends[1]);
    }
    close(ends[1]);
    while ((got = read(ends[0], answer + length, ANSWER_ROOM - length)) > 0 || (got < 0 && errno == EINTR))
        if (got > 0) length += (size_t)got;
    close(ends[0]);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
    if (!WIFSIGNALED(status) && WEXITSTATUS(status) == EX_OK) return length;
    memset(entries, 0, entries_size);
    _exit(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

static void fetch(const struct wanted *wanted, char *helper, char entry[ENTRY_ROOM], bool quiet)
{
    char *answer = entry + join(entry, ENTRY_ROOM, PARTS(wanted->variable, "="));
    size_t length = ask_helper(helper, wanted->credential, answer), key = 0;
    if (length > 0) answer[length - 1] = '\0'; /* the newline */
    if (length > 0) key = strcspn(answer, " ");
    if (key == 0 || key > KEY_LIMIT)
        FAIL(EX_DATAERR, "the daemon's answer is not a key (printable ASCII without spaces, at most 16384 characters); "
             "see the credential's `field` in the configuration");
    if (answer[key] == '\0') return;
    answer[key] = '\0';
    if (!quiet) say(PARTS(wanted->variable, ": ", answer + key + 1));
}

static void fetch_all(const struct run *run)
{
    char helper[PATH_MAX];
    struct sigaction usual = {.sa_handler = SIG_DFL}, inherited;
    find_helper(helper);
    entries_size = run->count * ENTRY_ROOM;
    entries = mmap(NULL, entries_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0);
    if (entries == MAP_FAILED) {
        entries_size = 0;
        FAIL(EX_OSERR, "no memory for the keys: ", strerror(errno));
    }
#ifdef MADV_DONTDUMP
    madvise(entries, entries_size, MADV_DONTDUMP);
#endif
    sigaction(SIGCHLD, &usual, &inherited); /* ignored, it would hide how the helper ended */
    for (size_t i = 0; i < run->count; i++) fetch(&run->wanted[i], helper, entries[i], run->quiet);
    sigaction(SIGCHLD, &inherited, NULL);
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

static _Noreturn void become_program(const struct run *run, char *path)
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
    cannot_run(run->command[0], errno);
}

/* ---- main --------------------------------------------------------------------------------------------------- */

int main(int count, char **arguments)
{
    static const char version[] = "broker-run " BROKER_VERSION "\n";
    struct run run;
    char path[PATH_MAX];
    if (count == 2 && strcmp(arguments[1], "--version") == 0)
        return write(STDOUT_FILENO, version, sizeof version - 1) == sizeof version - 1 ? EX_OK : EX_IOERR;
    read_words(arguments + (count > 0), &run);
    find_program(run.command[0], path); /* before a key is asked for */
    fetch_all(&run);
    become_program(&run, path);
}
