/*
 * The daemon, started by the first helper that finds none, as users of ssh-agent and gpg-agent expect.
 *
 * `broker service install`, `broker setup` and the like have left STATE/launch, which says how: see src/service/unmanaged.ts.
 * The helper that holds the lock of the state folder starts the daemon and hands the lock down to it, so that there is
 * one daemon however many helpers there are; the kernel frees the lock however its holder ends. Where a service is installed, the
 * service manager is asked instead.
 *
 * In the order of this file: the state folder; the launch file; what the last daemon said; starting a process; the service;
 * the daemon.
 */
#ifdef __linux__
#define _GNU_SOURCE /* close_range's number, F_DUPFD_CLOEXEC */
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h> /* rename */
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "start-daemon.h"

#ifdef __APPLE__
#include <uuid/uuid.h>
#define st_ctim st_ctimespec
#endif

enum { LAUNCH_ROOM = 8192,
       REFUSAL_ROOM = 8192,
       WORDS = 24, /* of a command or an environment */
       MOST_STARTS = 10, /* by one helper, of daemons that somebody killed */
       REFUSED_S = 10, /* how long a daemon that ended without a word is not started again */
       LONGEST_REFUSED_S = 3600, /* a longer one was written before the clock was set back */
       LOCK_FD = 3, /* the daemon gets it as BROKER_LOCK_FD */
       ERROR_FD = 4,
       TELL_MS = 1000, /* how long the helper that started a daemon has to tell how that ended */
       ELSEWHERE_MS = 1500 /* how long to wait for a daemon that listens elsewhere */ };

static bool cannot(char why[LINE_LIMIT], const char *const parts[])
{
    join(why, LINE_LIMIT, parts);
    return false;
}

#define CANNOT(...) cannot(why, PARTS("broker is not running; ", __VA_ARGS__))

/* ---- the state folder --------------------------------------------------------------------------------------- */

bool find_state_folder(char folder[PATH_ROOM], char why[LINE_LIMIT])
{
    const char *home = variable("HOME"), *given = variable("BROKER_STATE_DIR"), *xdg = variable("XDG_STATE_HOME");
    struct stat status;
    if (home == NULL || home[0] != '/' || stat(home, &status) != 0)
        return CANNOT("it starts automatically only where HOME is a folder; start it with `broker daemon`");
    if (status.st_uid != geteuid() || getuid() != geteuid())
        return CANNOT("it is not started, because HOME, ", home, ", is another user's; set it to your own");
    if (given != NULL && given[0] != '/') return CANNOT("BROKER_STATE_DIR is not an absolute path: ", given);
    size_t length = given != NULL ? join(folder, PATH_ROOM, PARTS(given))
                    : xdg != NULL && xdg[0] == '/' ? join(folder, PATH_ROOM, PARTS(xdg, "/broker"))
                                                   : join(folder, PATH_ROOM, PARTS(home, "/.local/state/broker"));
    if (length + 128 >= PATH_ROOM) return CANNOT("the path of its state folder is too long: ", folder);
    return true;
}

/* Opened without following a link; UNKNOWN if it is not there, or `why` says what is wrong with it. */
static int open_private(const char *path, int flags, mode_t type, char why[LINE_LIMIT])
{
    struct stat status;
    int fd = open(path, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return UNKNOWN;
    if (fd < 0)
        CANNOT("it cannot be started: ", path, ": ", strerror(errno));
    else if (fstat(fd, &status) != 0 || (status.st_mode & S_IFMT) != type || status.st_uid != geteuid())
        CANNOT("it is not started, because ", path, " is not yours; look at who made it and remove it");
    else if ((status.st_mode & 077) != 0)
        CANNOT("it is not started, because others can reach ", path, "; run `chmod go= '", path, "'`");
    else
        return fd;
    if (fd >= 0) close(fd);
    return UNKNOWN;
}

bool is_shared_by_machines(const char *state)
{
    char hosts[PATH_ROOM];
    struct stat status;
    join(hosts, PATH_ROOM, PARTS(state, "/hosts"));
    return lstat(hosts, &status) == 0 && S_ISDIR(status.st_mode);
}

/* In a home that machines share over the network each has a folder of its own: see src/config/paths.ts. */
static void find_own_folder(const char *state, char own[PATH_ROOM])
{
    char machine[128] = "";
    if (!is_shared_by_machines(state)) {
        join(own, PATH_ROOM, PARTS(state));
        return;
    }
#ifdef __APPLE__
    uuid_t id;
    struct timespec wait = {1, 0};
    if (gethostuuid(id, &wait) == 0) {
        const char *digits = "0123456789abcdef";
        for (size_t i = 0; i < sizeof id; i++) {
            machine[2 * i] = digits[id[i] >> 4];
            machine[2 * i + 1] = digits[id[i] & 15];
        }
        join(own, PATH_ROOM, PARTS(state, "/hosts/", machine));
        mkdir(own, 0700);
        return;
    }
#endif
    int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? 0 : read(fd, machine, sizeof machine - 1);
    if (fd >= 0) close(fd);
    if (length < 32) gethostname(machine, sizeof machine - 1);
    else machine[32] = '\0';
    for (char *c = machine; *c != '\0'; c++)
        if (*c == '/') *c = '_';
    join(own, PATH_ROOM, PARTS(state, "/hosts/", machine));
    mkdir(own, 0700);
}

/* ---- the launch file ---------------------------------------------------------------------------------------- */

struct launch {
    char text[LAUNCH_ROOM];
    char *run[WORDS + 1];         /* the daemon: program and arguments */
    char *environment[WORDS + 1]; /* NAME=VALUE, as it was when the daemon was installed */
    char *service[WORDS + 1];     /* what asks the service manager to start the service */
    bool off, systemd;
};

static bool add_word(char *words[WORDS + 1], char *word)
{
    size_t count = 0;
    while (words[count] != NULL) count++;
    if (count == WORDS) return false;
    words[count] = word;
    return true;
}

/* One `KEY VALUE` a line; unknown keys, of later versions, are ignored. */
static bool parse_line(struct launch *launch, char *line)
{
    char *value = strchr(line, ' ');
    if (value == NULL) return line[0] == '\0';
    *value++ = '\0';
    if (strcmp(line, "run") == 0) return add_word(launch->run, value);
    if (strcmp(line, "env") == 0) return strchr(value, '=') != NULL && add_word(launch->environment, value);
    if (strcmp(line, "service") == 0) return add_word(launch->service, value);
    if (strcmp(line, "manager") == 0) launch->systemd = strcmp(value, "systemd") == 0;
    if (strcmp(line, "autostart") == 0) launch->off = strcmp(value, "off") == 0;
    return true;
}

static bool parse_launch(struct launch *launch, size_t length)
{
    static const char first[] = "broker-launch 1\n";
    char *at = launch->text, *end = at + length, *newline;
    if (length < sizeof first || memcmp(at, first, sizeof first - 1) != 0 || end[-1] != '\n') return false;
    if (memchr(at, '\0', length) != NULL) return false;
    for (at += sizeof first - 1; at < end; at = newline + 1) {
        newline = memchr(at, '\n', (size_t)(end - at));
        *newline = '\0';
        if (!parse_line(launch, at)) return false;
    }
    return launch->run[0] != NULL && launch->run[0][0] == '/' &&
           (launch->service[0] == NULL || launch->service[0][0] == '/');
}

/* The descriptor, which also is the lock of the helper that asks the service manager; UNKNOWN, silently if there is no file. */
static int read_launch(const char *state, struct launch *launch, char why[LINE_LIMIT])
{
    char path[PATH_ROOM];
    int folder = open_private(state, O_RDONLY | O_DIRECTORY, S_IFDIR, why);
    if (folder >= 0) close(folder);
    join(path, PATH_ROOM, PARTS(state, "/launch"));
    int fd = folder < 0 ? UNKNOWN : open_private(path, O_RDONLY, S_IFREG, why);
    if (fd < 0) return UNKNOWN;
    ssize_t length = read(fd, launch->text, sizeof launch->text);
    if (length > 0 && (size_t)length < sizeof launch->text && parse_launch(launch, (size_t)length)) return fd;
    CANNOT(path, " cannot be understood; run `broker service install` again");
    close(fd);
    return UNKNOWN;
}

/* ---- what the last daemon said ------------------------------------------------------------------------------ */

/*
 * STATE/refusal: why the last daemon did not start, and what it had read, so that every helper that asks is told without
 * starting another. A daemon writes it (src/daemon/refusal.ts); for one that ended without a word, the helper that
 * started it.
 *
 *   broker-refusal 1
 *   exit 78
 *   until SECONDS            of the epoch
 *   saw IDENTITY PATH        any number of them: not valid once one of them is another
 *   line TEXT                what is wrong and what to do
 */

enum { IDENTITY_ROOM = 96 };

/* Changes whenever a file or folder, or who may change it, may have changed; as identityOf in src/platform/files.ts. */
static void identity_of(const char *path, char identity[IDENTITY_ROOM])
{
    struct stat status;
    struct digits d[4];
    if (stat(path, &status) != 0) {
        join(identity, IDENTITY_ROOM, PARTS("-"));
        return;
    }
    uint64_t changed = (uint64_t)status.st_ctim.tv_sec * 1000000000 + (uint64_t)status.st_ctim.tv_nsec;
    join(identity, IDENTITY_ROOM,
         PARTS(decimal((uint64_t)status.st_dev, &d[0]), ":", decimal(status.st_ino, &d[1]), ":",
               decimal((uint64_t)status.st_size, &d[2]), ":", decimal(changed, &d[3])));
}

static bool is_unchanged(char *seen)
{
    char identity[IDENTITY_ROOM], *path = strchr(seen, ' ');
    if (path == NULL) return false;
    *path++ = '\0';
    identity_of(path, identity);
    return strcmp(identity, seen) == 0;
}

/* The exit code of what is still so, with the words in `why`; 0, and `why` empty, if nothing is known. */
static int refused_before(const char *own, char why[LINE_LIMIT])
{
    static const char first[] = "broker-refusal 1\n";
    char text[REFUSAL_ROOM], path[PATH_ROOM], *newline;
    int64_t code = UNKNOWN, until = UNKNOWN, now = time(NULL);
    bool unchanged = true;
    join(path, PATH_ROOM, PARTS(own, "/refusal"));
    int fd = open_private(path, O_RDONLY, S_IFREG, why);
    ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    text[length > 0 ? length : 0] = why[0] = '\0';
    if (strncmp(text, first, sizeof first - 1) != 0) return 0;
    for (char *at = text + sizeof first - 1; unchanged && (newline = strchr(at, '\n')) != NULL; at = newline + 1) {
        *newline = '\0';
        if (strncmp(at, "exit ", 5) == 0) code = whole_number(at + 5, strlen(at + 5));
        else if (strncmp(at, "until ", 6) == 0) until = whole_number(at + 6, strlen(at + 6));
        else if (strncmp(at, "saw ", 4) == 0) unchanged = is_unchanged(at + 4);
        else if (strncmp(at, "line ", 5) == 0) join(why, LINE_LIMIT, PARTS(at + 5));
    }
    if (unchanged && code > 0 && code <= 255 && now < until && until <= now + LONGEST_REFUSED_S && why[0] != '\0')
        return (int)code;
    why[0] = '\0';
    return 0;
}

/* Called with the lock held, so that nobody else writes. What cannot be written is told to this helper alone. */
static void leave_refusal(const char *own, const struct launch *launch, int code, const char *why)
{
    char text[REFUSAL_ROOM], path[PATH_ROOM], fresh[PATH_ROOM], identity[IDENTITY_ROOM];
    struct digits exit_code, until;
    size_t length = join(text, sizeof text, PARTS("broker-refusal 1\nexit ", decimal((uint64_t)code, &exit_code), "\nuntil ",
                                                  decimal((uint64_t)time(NULL) + REFUSED_S, &until), "\nline ", why, "\n"));
    for (size_t i = 0; launch->run[i] != NULL; i++) {
        if (launch->run[i][0] != '/') continue;
        identity_of(launch->run[i], identity);
        length += join(text + length, sizeof text - length, PARTS("saw ", identity, " ", launch->run[i], "\n"));
    }
    join(path, PATH_ROOM, PARTS(own, "/refusal"));
    join(fresh, PATH_ROOM, PARTS(own, "/refusal.new"));
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) return;
    bool written = write(fd, text, length) == (ssize_t)length;
    close(fd);
    if (!written || rename(fresh, path) != 0) unlink(fresh);
}

/* ---- starting a process ------------------------------------------------------------------------------------- */

static void close_from(unsigned first)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
#endif
    struct rlimit limit;
    unsigned end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 65536 ? (unsigned)limit.rlim_cur : 65536;
    for (unsigned fd = first; fd < end; fd++) close((int)fd);
}

/* Runs in the child: a session of its own, nothing of ours but the lock. */
static _Noreturn void become(char *const command[], char *const environment[], int lock, int error_pipe)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    umask(077);
    int null = open("/dev/null", O_RDWR);
    if (null < 0 || chdir("/") != 0) goto failed;
    /* Out of the way first: any of these may have one of the numbers that they are to get. */
    null = fcntl(null, F_DUPFD, 16);
    lock = fcntl(lock, F_DUPFD, 16);
    error_pipe = fcntl(error_pipe, F_DUPFD, 16);
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (dup2(null, fd) < 0) goto failed;
    if (dup2(lock, LOCK_FD) < 0 || dup2(error_pipe, ERROR_FD) < 0) goto failed;
    error_pipe = ERROR_FD;
    fcntl(ERROR_FD, F_SETFD, FD_CLOEXEC);
    close_from(ERROR_FD + 1);
    execve(command[0], command, environment);
failed:;
    int error = errno;
    (void)!write(error_pipe, &error, sizeof error);
    _exit(127);
}

/*
 * The child, or 0 and errno. `lock` becomes descriptor 3 of it; `handed_over`: and is closed here before the child goes on, so
 * that a helper that is stopped at this very moment does not keep the lock of a daemon that has ended.
 */
static pid_t start_process(char *const command[], char *const environment[], int lock, bool handed_over)
{
    int ends[2], go_on[2], error = 0;
    if (pipe(ends) != 0 || pipe(go_on) != 0) return 0; /* the helper ends with this, and its descriptors with it */
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    signal(SIGCHLD, SIG_DFL); /* inherited as ignored, it would hide how the child ended */
    pid_t child = fork();
    if (child == 0) {
        close(go_on[1]);
        (void)!read(go_on[0], &error, sizeof error);
        become(command, environment, lock, ends[1]);
    }
    int fork_error = errno;
    if (handed_over) close(lock);
    close(go_on[0]);
    close(go_on[1]);
    close(ends[1]);
    /* Ends when the child has become the command, or says why it could not. */
    while (child > 0 && read(ends[0], &error, sizeof error) < 0 && errno == EINTR) continue;
    close(ends[0]);
    errno = child < 0 ? fork_error : error;
    return child > 0 && error == 0 ? child : 0;
}

struct environment {
    char *words[WORDS * 2 + 1];
    size_t count;
    char text[LAUNCH_ROOM];
    size_t used;
};

static void set(struct environment *environment, const char *name, const char *value)
{
    size_t prefix = strlen(name), needed = prefix + strlen(value) + 2;
    for (size_t i = 0; i < environment->count; i++)
        if (strncmp(environment->words[i], name, prefix) == 0 && environment->words[i][prefix] == '=') return;
    if (environment->count == WORDS * 2 || needed > sizeof environment->text - environment->used) return;
    char *word = environment->text + environment->used;
    join(word, needed, PARTS(name, "=", value));
    environment->words[environment->count++] = word;
    environment->used += needed;
}

/*
 * Only variables that identify the user and the places; the first value set for a name counts. A project's VAULT_ADDR,
 * NODE_OPTIONS or keys must not get into a daemon that serves every project.
 */
static void set_allowed(struct environment *environment)
{
    static const char *const allowed[] = {"HOME", "USER", "LOGNAME", "LANG", "TZ", "XDG_RUNTIME_DIR",
                                          "DBUS_SESSION_BUS_ADDRESS", "BROKER_SOCKET", NULL};
    for (size_t i = 0; allowed[i] != NULL; i++)
        if (variable(allowed[i]) != NULL) set(environment, allowed[i], variable(allowed[i]));
    set(environment, "PATH", "/usr/local/bin:/usr/bin:/bin");
}

/* Whether a child has ended, and how; a signal counts as 128 and its number, as shells have it. */
static bool has_ended(pid_t child, int *code)
{
    int status;
    if (waitpid(child, &status, WNOHANG) != child) return false;
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

/* ---- the service -------------------------------------------------------------------------------------------- */

/* A home may be mounted into a container, where the service manager of the installation does not run. */
static bool service_manager_runs(const struct launch *launch)
{
    char path[PATH_ROOM];
    struct digits uid;
    struct stat status;
    if (launch->service[0] == NULL || access(launch->service[0], X_OK) != 0) return false;
    if (!launch->systemd) return true;
    const char *runtime = variable("XDG_RUNTIME_DIR");
    if (runtime != NULL) join(path, PATH_ROOM, PARTS(runtime, "/systemd/private"));
    else join(path, PATH_ROOM, PARTS("/run/user/", decimal(geteuid(), &uid), "/systemd/private"));
    return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

/*
 * launchd's agents are there only while their user is logged in at the screen: launchctl says 112 or 125 where there is
 * no such session, 113 where the agent is not loaded in it, 37 if it runs already.
 */
static bool is_out_of_reach(const struct launch *launch, int code)
{
    return !launch->systemd && (code == 112 || code == 113 || code == 125);
}

/* Asks the service manager, once, unless another helper is at it. `unmanaged`: there is none that could start it. */
static bool start_service(struct launch *launch, int launch_fd, bool *unmanaged, char why[LINE_LIMIT])
{
    static pid_t child;
    static int ended = -1;
    struct digits digits;
    int code;
    if (child > 0) {
        if (ended < 0 && !has_ended(child, &ended)) return true;
        code = ended;
        if (code == 0 || (!launch->systemd && code == 37)) return true;
        *unmanaged = is_out_of_reach(launch, code);
        if (*unmanaged) return false;
        return CANNOT("its service could not be started (exit ", decimal((uint64_t)code, &digits),
                      "); see `broker service status` and `broker service logs`");
    }
    if (flock(launch_fd, LOCK_EX | LOCK_NB) != 0) return true;
    struct environment environment = {.count = 0};
    char runtime[64];
    set_allowed(&environment);
    join(runtime, sizeof runtime, PARTS("/run/user/", decimal(geteuid(), &digits)));
    set(&environment, "XDG_RUNTIME_DIR", runtime);
    child = start_process(launch->service, environment.words, launch_fd, false);
    if (child > 0) return true;
    return CANNOT("cannot run ", launch->service[0], ": ", strerror(errno), "; run `broker service start`");
}

/* ---- the daemon --------------------------------------------------------------------------------------------- */

/* A daemon writes its socket into the lock once it is bound (src/platform/state-lock.ts): its path, or NULL. */
static char *find_socket(int lock)
{
    static const char label[] = "\"socket\":\"";
    static char text[1024];
    ssize_t length = pread(lock, text, sizeof text - 1, 0);
    text[length > 0 ? length : 0] = '\0';
    char *path = text; /* strstr(3) of musl is a thirtieth of the whole program */
    while (*path != '\0' && strncmp(path, label, sizeof label - 1) != 0) path++;
    char *end = *path == '\0' ? NULL : strchr(path += sizeof label - 1, '"');
    if (end == NULL) return NULL;
    *end = '\0';
    return path;
}

/* The lock is held. By a daemon that has been listening for a while, where we never look? */
static bool listens_elsewhere(const struct search *search, int lock, char why[LINE_LIMIT])
{
    static int64_t since;
    const char *path = find_socket(lock);
    if (path == NULL || search->includes(path)) return false;
    if (since == 0) since = now_ms();
    if (now_ms() - since < ELSEWHERE_MS) return false;
    return !cannot(why, PARTS("the broker listens at ", path, ", where broker-key does not look; set BROKER_SOCKET to that "
                              "path, or stop the broker with `broker service stop`"));
}

static pid_t run_daemon(struct launch *launch, const char *state, int lock)
{
    struct environment environment = {.count = 0};
    struct digits descriptor;
    for (size_t i = 0; launch->environment[i] != NULL; i++) {
        char *value = strchr(launch->environment[i], '=');
        *value++ = '\0';
        set(&environment, launch->environment[i], value);
    }
    set_allowed(&environment);
    set(&environment, "BROKER_STATE_DIR", state);
    set(&environment, "BROKER_LOCK_FD", decimal(LOCK_FD, &descriptor));
    set(&environment, "BROKER_STARTED_BY", "helper");
    return start_process(launch->run, environment.words, lock, true);
}

/* Of the launch file, locked while the daemon that this helper started neither answers nor has ended. */
static int starting = UNKNOWN;

void daemon_answers(void)
{
    if (starting >= 0) close(starting);
    starting = UNKNOWN;
}

/* Not by a fault of its own: somebody, or the machine that has no memory left, ended it. */
static bool was_killed(int code)
{
    code -= 128;
    return code == SIGKILL || code == SIGTERM || code == SIGINT || code == SIGHUP;
}

/* The package was removed. Without its Node alone it is `broker service install` that helps. */
static bool is_gone(const struct launch *launch, char why[LINE_LIMIT])
{
    struct stat status;
    for (size_t i = 1; launch->run[0] != NULL && launch->run[i] != NULL; i++)
        if (launch->run[i][0] == '/' && stat(launch->run[i], &status) != 0 && (errno == ENOENT || errno == ENOTDIR))
            return !cannot(why, PARTS("broker is not installed any more: ", launch->run[i],
                                      " is gone; install it again (npm install -g apikey-broker), then run: broker service install"));
    return false;
}

/*
 * 0 if another may be started: this one served and was stopped, made room for a new version (75), or somebody killed it.
 * Else the exit code for everybody, and why. The launch file is still locked, so that nobody starts another before it is told.
 */
static int how_it_ended(int code, int lock, const struct launch *launch, const char *own, char why[LINE_LIMIT])
{
    struct digits digits;
    if (starting < 0 || find_socket(lock) != NULL || code == EX_TEMPFAIL || was_killed(code)) return 0;
    int refused = refused_before(own, why);
    if (refused != 0) return refused;
    if (is_gone(launch, why)) return EX_UNAVAILABLE;
    CANNOT("it was started and ended at once (exit ", decimal((uint64_t)code, &digits), "); run `broker daemon` to see why");
    refused = code == EX_CONFIG || code == EX_NOPERM ? code : EX_UNAVAILABLE;
    leave_refusal(own, launch, refused, why);
    return refused;
}

/* Whether this helper is the one that starts a daemon: another one may not have told yet how its own, never bound, ended. */
static bool may_start(int launch_fd, int lock)
{
    static int64_t since;
    bool ours = flock(launch_fd, LOCK_EX | LOCK_NB) == 0;
    if (since == 0) since = now_ms();
    /* It may be stopped, with the program that it was run by. */
    if (!ours && find_socket(lock) == NULL && now_ms() - since < TELL_MS) return false;
    starting = fcntl(launch_fd, F_DUPFD_CLOEXEC, ERROR_FD);
    return true;
}

/* The helper that gets the lock starts the daemon; the others wait for it, and take over if that one is killed. */
static int start_directly(struct launch *launch, int launch_fd, const char *state, const char *own,
                          const struct search *search, int *connection, char why[LINE_LIMIT])
{
    static pid_t child;
    static int starts;
    char path[PATH_ROOM];
    int code = 0;
    if (child > 0 && !has_ended(child, &code)) return 0;
    join(path, PATH_ROOM, PARTS(own, "/lock"));
    int lock = open_private(path, O_RDWR | O_CREAT, S_IFREG, why);
    if (lock < 0) {
        if (why[0] == '\0') CANNOT("cannot make ", path);
        return EX_UNAVAILABLE;
    }
    if (child > 0) {
        child = 0;
        code = how_it_ended(code, lock, launch, own, why);
        daemon_answers(); /* or will: it is looked for again before another is started */
    } else if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        if (listens_elsewhere(search, lock, why)) code = EX_UNAVAILABLE;
    } else if ((*connection = search->connect()) >= 0) {
        /* Another helper started one that bound its socket between our looking and our locking. */
    } else if ((code = refused_before(own, why)) != 0) {
        /* Or one that has ended in the meantime. */
    } else if (starts == MOST_STARTS) {
        CANNOT("it was killed ten times; run `broker daemon`");
        code = EX_UNAVAILABLE;
    } else if (may_start(launch_fd, lock)) {
        starts++;
        (void)!ftruncate(lock, 0); /* its content describes a daemon that is gone */
        child = run_daemon(launch, state, lock);
        lock = UNKNOWN;
        if (child == 0) {
            CANNOT("cannot run ", launch->run[0], ": ", strerror(errno), "; run `broker service install`");
            code = EX_UNAVAILABLE;
        }
    }
    if (lock >= 0) close(lock);
    return code;
}

int start_daemon(const struct search *search, int *connection, char why[LINE_LIMIT])
{
    static struct launch launch;
    char state[PATH_ROOM], own[PATH_ROOM], stopped[PATH_ROOM];
    struct stat status;
    why[0] = '\0';
    const char *off = variable("BROKER_NO_AUTOSTART");
    if ((off != NULL && strcmp(off, "0") != 0) || variable("BROKER_SERVER_UID") != NULL) return EX_UNAVAILABLE;
    if (variable("HOME") == NULL || !find_state_folder(state, why)) return EX_UNAVAILABLE;
    memset(&launch, 0, sizeof launch);
    int launch_fd = read_launch(state, &launch, why);
    if (launch_fd < 0) return EX_UNAVAILABLE;
    bool unmanaged = false;
    int code = EX_UNAVAILABLE;
    find_own_folder(state, own);
    join(stopped, PATH_ROOM, PARTS(state, "/stopped"));
    if (is_gone(&launch, why)) {
        /* However it would have been started. */
    } else if (launch.off) {
        /* Nothing to say but that it does not run. */
    } else if (lstat(stopped, &status) == 0) {
        CANNOT("it was stopped with `broker service stop`; start it with `broker service start`");
    } else if ((code = refused_before(own, why)) == 0) {
        if (!service_manager_runs(&launch)) unmanaged = true;
        else if (!start_service(&launch, launch_fd, &unmanaged, why)) code = EX_UNAVAILABLE;
        if (unmanaged) code = start_directly(&launch, launch_fd, state, own, search, connection, why);
    }
    close(launch_fd);
    return code;
}
