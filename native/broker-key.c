/*
 * broker-key: asks the broker daemon for one key and prints it with a newline.
 *
 * Claude Code waits for this program, so it does one thing quickly: one HTTP request over one Unix socket, no stdio,
 * no allocation, one deadline over everything. It prints a whole key and exits 0, or prints nothing on stdout, one
 * line on stderr, and exits with a code of sysexits(3). It never reads stdin: the client's never delivers anything.
 * If no daemon answers it sees to it that one is started: start-daemon.c.
 *
 * In the order of this file: time and output; where the daemon is; what is asked; what is answered; main.
 */
#ifdef __linux__
#define _GNU_SOURCE /* struct ucred, SOCK_NONBLOCK */
#endif
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "start-daemon.h"

#ifndef BROKER_VERSION
#error "pass the package's version: -DBROKER_VERSION='\"1.2.3\"'"
#endif

enum {
    DEADLINE_MS = 9500, /* the client warns its user at 10 s */
#ifdef __APPLE__
    REFUSED_TRIES = 40, /* see src/client/transport.ts */
#else
    REFUSED_TRIES = 1,
#endif
    FIRST_PAUSE_MS = 5, /* before a cut-off request is asked again; doubled up to the longest */
    LONGEST_PAUSE_MS = 250,
    RESTART_MS = 2000, /* a daemon that ended in order may be back by then */
    REQUEST_ROOM = 1024,
    SESSION_START = 8,
    INTERVAL_ROOM = 65, /* the client reads a number at the beginning */
    HEAD_LIMIT = 16384,
    BODY_LIMIT = 65536, /* of the formats that carry more than one value */
    SOCKET_PATH_LIMIT = sizeof(((struct sockaddr_un *)0)->sun_path) - 1
};

#define USAGE "usage: broker-key [--format raw|headers|json|aws|proxy] [--rejected] [NAME]"

/* ---- time and output ---------------------------------------------------------------------------------------- */

static int64_t deadline;

static int remaining_ms(void)
{
    int64_t left = deadline - now_ms();
    return left > 0 ? (int)left : 0;
}

/* False once the deadline has passed. Trouble with the descriptor counts as ready: the call that follows names it. */
static bool wait_for(int fd, short events)
{
    struct pollfd waiting = {.fd = fd, .events = events};
    int ready;
    do ready = poll(&waiting, 1, remaining_ms());
    while (ready < 0 && errno == EINTR);
    return ready != 0;
}

/* At most PIPE_BUF at a time, which never blocks a pipe that poll(2) calls writable. */
static bool write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        if (!wait_for(fd, POLLOUT)) {
            errno = ETIMEDOUT;
            return false;
        }
        ssize_t written = write(fd, bytes, length < PIPE_BUF ? length : PIPE_BUF);
        if (written < 0 && errno != EINTR && errno != EAGAIN) return false;
        if (written > 0) {
            bytes += written;
            length -= (size_t)written;
        }
    }
    return true;
}

/* The only place that ever holds a key; one byte more for the newline that is printed after it. */
static struct {
    size_t length;
    char bytes[HEAD_LIMIT + BODY_LIMIT + 1];
} reply;

static void wipe_reply(void)
{
    memset(reply.bytes, 0, reply.length + 1);
    __asm__ volatile("" : : "r"(reply.bytes) : "memory"); /* or the compiler drops a memset whose result is not read */
    reply.length = 0;
}

static _Noreturn void finish(int code)
{
    wipe_reply();
    _exit(code);
}

/* Says one line on stderr and exits. */
static _Noreturn void fail(int code, const char *const parts[])
{
    char line[LINE_LIMIT + 1];
    write_all(STDERR_FILENO, line, one_line(line, "broker-key: ", parts));
    finish(code);
}

#define FAIL(code, ...) fail(code, PARTS(__VA_ARGS__))

static _Noreturn void print(const char *bytes, size_t length)
{
    if (!write_all(STDOUT_FILENO, bytes, length))
        FAIL(EX_IOERR, "could not write to stdout: ", strerror(errno), "; give it a reader or a file with room");
    finish(EX_OK);
}

/* ---- where the daemon is ------------------------------------------------------------------------------------ */

/* Why the first place that exists is not trusted: printed if no other place answers. */
static char refusal[LINE_LIMIT];

/* That place is /tmp/broker-UID and another user made it: the daemon has gone on to the next place, or will. */
static bool place_is_taken;

/* The last time that the daemon was looked for, a socket was there and nothing listened on it: its daemon was killed. */
static bool is_deserted;

#define REFUSE(...) do { if (refusal[0] == '\0') join(refusal, sizeof refusal, PARTS(__VA_ARGS__)); } while (0)

/* The user that socket, folder and server have to belong to. */
static uid_t accepted_uid(void)
{
    const char *given = variable("BROKER_SERVER_UID");
    if (given == NULL) return geteuid();
    int64_t uid = whole_number(given, strlen(given));
    if (variable("BROKER_SOCKET") == NULL)
        FAIL(EX_CONFIG, "BROKER_SERVER_UID is valid only together with BROKER_SOCKET; set both or neither");
    if (uid == UNKNOWN || uid >= UINT32_MAX) FAIL(EX_CONFIG, "BROKER_SERVER_UID must be a user's number, not ", given);
    return (uid_t)uid;
}

enum { GIVEN, RUNTIME_DIR, RUN_USER, USER_TEMP, TMP, STATE, PLACES };

/* Writes the path of this place; false where it does not apply. The daemon binds the first of them that can be. */
static bool place(int which, char path[PATH_ROOM])
{
    const char *given = variable("BROKER_SOCKET"), *runtime_dir = variable("XDG_RUNTIME_DIR");
    struct digits uid, limit;
    struct stat status;
    size_t length;
    if ((given != NULL) != (which == GIVEN)) return false;
    if (which == GIVEN) {
        if (given[0] != '/') FAIL(EX_CONFIG, "BROKER_SOCKET must be an absolute path, not ", given);
        length = join(path, PATH_ROOM, PARTS(given));
    } else if (which == RUNTIME_DIR) {
        if (runtime_dir == NULL || runtime_dir[0] != '/' || lstat(runtime_dir, &status) != 0) return false;
        if (!S_ISDIR(status.st_mode) || status.st_uid != geteuid()) return false;
        length = join(path, PATH_ROOM, PARTS(runtime_dir, "/broker/broker.sock"));
    } else if (which == RUN_USER) {
        length = join(path, PATH_ROOM, PARTS("/run/user/", decimal(geteuid(), &uid), "/broker/broker.sock"));
    } else if (which == USER_TEMP) {
#ifdef __APPLE__
        char folder[PATH_ROOM];
        size_t size = confstr(_CS_DARWIN_USER_TEMP_DIR, folder, sizeof folder);
        if (size <= 1 || size > sizeof folder) return false;
        length = join(path, PATH_ROOM, PARTS(folder, "broker/broker.sock"));
#else
        return false;
#endif
    } else if (which == TMP) {
        length = join(path, PATH_ROOM, PARTS("/tmp/broker-", decimal(geteuid(), &uid), "/broker.sock"));
    } else {
        char state[PATH_ROOM], why[LINE_LIMIT];
        if (!find_state_folder(state, why) || is_shared_by_machines(state)) return false;
        length = join(path, PATH_ROOM, PARTS(state, "/broker.sock"));
        if (length > SOCKET_PATH_LIMIT) return false;
    }
    if (length > SOCKET_PATH_LIMIT)
        FAIL(EX_CONFIG, "a socket's path has room for ", decimal(SOCKET_PATH_LIMIT, &limit),
             " bytes; set BROKER_SOCKET to something shorter than ", path);
    return true;
}

/* True if `path` is there, of this type, not a link, and closed to all but `owner`. */
static bool is_private(const char *path, mode_t type, uid_t owner)
{
    bool folder = type == S_IFDIR, given = variable("BROKER_SOCKET") != NULL;
    /* Only of what has a name of ours is it known that it may go: a path that was given may lead to /tmp or to a file of yours. */
    const char *elsewhere = "; set BROKER_SOCKET to a path in a folder of your own";
    struct stat status;
    if (lstat(path, &status) != 0) {
        if (errno != ENOENT && errno != ENOTDIR) REFUSE("cannot look at ", path, ": ", strerror(errno));
        return false;
    }
    if (S_ISLNK(status.st_mode))
        REFUSE(path, " is a symbolic link, which could lead anywhere; run `rm '", path, "'` and restart the broker");
    else if (given && (status.st_mode & S_IFMT) != type)
        REFUSE(path, folder ? " is not a folder" : " is not a socket", elsewhere);
    else if ((status.st_mode & S_IFMT) != type)
        REFUSE(path, folder ? " is not a folder" : " is not a socket", "; run `mv '", path, "' '", path,
               ".old'` and restart the broker");
    else if (given && status.st_uid != owner)
        REFUSE(path, " belongs to another user and is not trusted", elsewhere);
    else if (status.st_uid != owner)
        REFUSE(path, " belongs to another user and is not trusted; run `sudo rm -r '", path, "'`, restart the broker");
    else if ((status.st_mode & S_ISVTX) != 0)
        REFUSE("others can reach ", path, elsewhere);
    else if ((status.st_mode & 077) != 0)
        REFUSE("others can reach ", path, "; run `chmod ", folder ? "700 '" : "600 '", path, "'`");
    else
        return true;
    return false;
}

static bool peer_uid(int fd, uid_t *uid)
{
#ifdef SO_PEERCRED
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    *uid = peer.uid;
    return true;
#else
    gid_t gid;
    return getpeereid(fd, uid, &gid) == 0;
#endif
}

static int open_socket(void)
{
#ifdef SOCK_CLOEXEC
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
#else
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd >= 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, O_NONBLOCK);
    }
#endif
    if (fd >= 0 && fd <= STDERR_FILENO) { /* the caller closed it: an error line must not go to the daemon */
        int low = fd;
        fd = fcntl(low, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
        close(low);
    }
    if (fd < 0) FAIL(EX_UNAVAILABLE, "cannot open a socket: ", strerror(errno));
    return fd;
}

static void pause_ms(int duration)
{
    int left = remaining_ms();
    poll(NULL, 0, duration < left ? duration : left);
}

/* 0, or the errno value that says why not. */
static int connect_within_deadline(int fd, const struct sockaddr_un *address)
{
    while (connect(fd, (const struct sockaddr *)address, sizeof *address) != 0) {
        int error = errno;
        socklen_t size = sizeof error;
        if (error == EINPROGRESS) {
            if (!wait_for(fd, POLLOUT)) return ETIMEDOUT;
            return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
        }
        if (error != EAGAIN) return error;
        if (remaining_ms() == 0) return ETIMEDOUT; /* the queue of connections has been full all the time */
        pause_ms(FIRST_PAUSE_MS);
    }
    return 0;
}

/* A connection to a server of the right user, or UNKNOWN. */
static int connect_to(char path[PATH_ROOM], uid_t owner)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uid_t uid = (uid_t)UNKNOWN;
    memcpy(address.sun_path, path, strlen(path));
    char *end = strrchr(path, '/');
    while (end > path && end[-1] == '/') end--; /* lstat follows a link before a slash */
    path[end == path ? 1 : end - path] = '\0';
    if (!is_private(path, S_IFDIR, owner) || !is_private(address.sun_path, S_IFSOCK, owner)) return UNKNOWN;
    int fd = open_socket();
    int error = connect_within_deadline(fd, &address);
    /* A daemon that starts has bound it and is about to listen; on macOS a full queue refuses as well. */
    for (int tries = REFUSED_TRIES; error == ECONNREFUSED && tries > 0; tries--) {
        pause_ms(FIRST_PAUSE_MS);
        error = connect_within_deadline(fd, &address);
    }
    if (error == ETIMEDOUT) FAIL(EX_TEMPFAIL, "the daemon took no connection within 9.5 s; see `broker status`");
    if (error == 0 && peer_uid(fd, &uid) && uid == owner) return fd;
    if (error == 0)
        REFUSE("the server at ", address.sun_path, " runs as another user and was not asked; stop it");
    else if (error == ECONNREFUSED)
        is_deserted = true;
    else if (error != ENOENT)
        REFUSE("cannot connect to ", address.sun_path, ": ", strerror(error));
    close(fd);
    return UNKNOWN;
}

static int connect_to_daemon(void)
{
    char path[PATH_ROOM];
    struct stat status;
    uid_t owner = accepted_uid();
    is_deserted = false;
    for (int which = 0; which < PLACES; which++) {
        bool refused_before = refusal[0] != '\0';
        if (!place(which, path)) continue;
        if (which == STATE && lstat(path, &status) != 0) continue; /* whoever can reach the folder, nobody uses it for this */
        int fd = connect_to(path, owner);
        if (fd >= 0) return fd;
        /* connect_to leaves the folder in `path`. */
        if (which == TMP && !refused_before && refusal[0] != '\0')
            place_is_taken = lstat(path, &status) == 0 && status.st_uid != owner;
    }
    return UNKNOWN;
}

static bool is_our_place(const char *path)
{
    char ours[PATH_ROOM];
    for (int which = 0; which < PLACES; which++)
        if (place(which, ours) && strcmp(ours, path) == 0) return true;
    return false;
}

/* Without a configuration no daemon starts. True, too, where nobody can tell. */
static bool is_set_up(void)
{
    const char *given = variable("BROKER_CONFIG"), *xdg = variable("XDG_CONFIG_HOME"), *home = variable("HOME");
    char path[PATH_ROOM];
    struct stat status;
    if (given != NULL && given[0] != '/') FAIL(EX_CONFIG, "BROKER_CONFIG must be an absolute path, not ", given);
    if (given == NULL && (xdg == NULL || xdg[0] != '/')) {
        if (home == NULL) return true;
        join(path, sizeof path, PARTS(home, "/.config/broker/config.toml"));
    } else join(path, sizeof path, PARTS(given == NULL ? xdg : given, given == NULL ? "/broker/config.toml" : ""));
    return lstat(path, &status) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* `why`: why no daemon is started; empty where no helper is to start one. */
static _Noreturn void no_daemon(int code, const char *why)
{
    char path[PATH_ROOM];
    int which = 0;
    if (why[0] != '\0') FAIL(code, why);
    if (refusal[0] != '\0') FAIL(EX_NOPERM, refusal);
    while (!place(which, path)) which++; /* ends: the last one applies if the first does not */
    if (is_set_up())
        FAIL(EX_UNAVAILABLE, "broker is not running: nothing answers at ", path,
             "; start it with `broker daemon`, or install it with `broker service install`");
    FAIL(EX_UNAVAILABLE, "broker is not set up: nothing answers at ", path, " and there is no configuration; run `broker setup`",
         which == GIVEN ? ", or start the daemon that BROKER_SOCKET leads to" : "");
}

/* ---- the request -------------------------------------------------------------------------------------------- */

static const char *const FORMATS[] = {"raw", "headers", "json", "aws", "proxy", "env" /* broker-run's */, NULL};

struct question {
    const char *name;   /* NULL: the default credential */
    const char *format; /* one of FORMATS */
    bool rejected;      /* the caller says that its key was refused */
};

static const char *known_format(const char *word)
{
    for (size_t i = 0; word != NULL && FORMATS[i] != NULL; i++)
        if (strcmp(word, FORMATS[i]) == 0) return FORMATS[i];
    FAIL(EX_USAGE, "--format takes raw, headers, json, aws or proxy, not ", word == NULL ? "nothing" : word);
}

static struct question read_arguments(int count, char **arguments)
{
    static const char help[] = USAGE "\n\n"
        "Prints the key of the credential NAME, or of the default one.\n\n"
        "  --format FORMAT  raw (the key), headers, json, aws or proxy (for other helpers)\n"
        "  --rejected       the key was refused: have the provider asked for a newer one\n"
        "  --version        print the version\n"
        "  --help           print this\n\n"
        "Exit codes: 0 printed, 64 usage, 65 not a key, 69 unavailable, 74 stdout, 75 try again, 77 refused,\n"
        "78 configuration. The socket: $BROKER_SOCKET, else broker/broker.sock in $XDG_RUNTIME_DIR or\n"
        "/run/user/UID, else /tmp/broker-UID/broker.sock, else STATE/broker.sock. An installed daemon is started if\n"
        "none runs, unless BROKER_NO_AUTOSTART is set.\n";
    static const char version[] = "broker-key " BROKER_VERSION "\n";
    struct question question = {NULL, FORMATS[0], false};
    bool options = true;
    for (int i = 1; i < count; i++) {
        const char *word = arguments[i];
        if (!options || word[0] != '-' || word[1] == '\0') {
            if (question.name != NULL) FAIL(EX_USAGE, "one NAME at most; " USAGE);
            if (!is_name(word))
                FAIL(EX_USAGE, NAME_RULE "this is not one: ", word);
            question.name = word;
        } else if (strcmp(word, "--") == 0) options = false;
        else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) print(help, sizeof help - 1);
        else if (strcmp(word, "--rejected") == 0) question.rejected = true;
        else if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) print(version, sizeof version - 1);
        else if (strncmp(word, "--format=", 9) == 0) question.format = known_format(word + 9);
        else if (strcmp(word, "--format") == 0) question.format = known_format(++i < count ? arguments[i] : NULL);
        else FAIL(EX_USAGE, USAGE "; there is no option ", word);
    }
    return question;
}

/* What a standard stream is connected to, without reading from it. */
static const char *stream_kind(int fd)
{
    struct stat status, null;
    if (fstat(fd, &status) != 0) return "closed";
    if (S_ISSOCK(status.st_mode)) return "socket";
    if (S_ISFIFO(status.st_mode)) return "pipe";
    if (S_ISREG(status.st_mode)) return "file";
    if (!S_ISCHR(status.st_mode)) return "other";
    if (stat("/dev/null", &null) == 0 && null.st_rdev == status.st_rdev) return "null";
    return isatty(fd) ? "tty" : "other";
}

static bool is_word(const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!(word[i] >= 'a' && word[i] <= 'z') && !is_digit(word[i]) && word[i] != '-') return false;
    return true;
}

/* CLAUDE_CODE_ENTRYPOINT, if it is a word that fits into a header. */
static const char *entrypoint(void)
{
    const char *word = variable("CLAUDE_CODE_ENTRYPOINT");
    return word != NULL && strlen(word) <= 32 && is_word(word, strlen(word)) ? word : NULL;
}

/* The first part of the session's UUID: enough to tell a client's session from the one that started the client. */
static const char *session(char start[SESSION_START + 1])
{
    const char *id = variable("CLAUDE_CODE_SESSION_ID");
    if (id == NULL || strlen(id) < SESSION_START || !is_word(id, SESSION_START)) return NULL;
    memcpy(start, id, SESSION_START);
    start[SESSION_START] = '\0';
    return start;
}

/* The client's interval as it is written, which the daemon reads: what of it fits into a header. */
static const char *interval(char kept[INTERVAL_ROOM])
{
    const char *text = variable("CLAUDE_CODE_API_KEY_HELPER_TTL_MS");
    size_t length = 0;
    if (text == NULL) return NULL;
    while (*text == ' ' || (*text >= '\t' && *text <= '\r')) text++;
    for (; length < INTERVAL_ROOM - 1 && text[length] >= ' ' && text[length] <= '~'; length++) kept[length] = text[length];
    kept[length] = '\0';
    return length == 0 ? NULL : kept;
}

static size_t write_request(char request[REQUEST_ROOM], const struct question *question)
{
    char start[SESSION_START + 1], written[INTERVAL_ROOM];
    const char *kept = interval(written), *from = entrypoint(), *within = session(start);
    const char *context = variable("CLAUDE_HELPER_CONTEXT");
    bool rejected = question->rejected || (context != NULL && strcmp(context, "mid-session-refresh") == 0);
    bool raw = question->format == FORMATS[0];
    struct digits pid, ppid;
    return join(request, REQUEST_ROOM, PARTS(
        "GET /v1/credentials/", question->name == NULL ? "_default" : question->name, "/key",
        raw ? "" : "?format=", raw ? "" : question->format, " HTTP/1.1\r\n"
        "Host: broker\r\n"
        "Accept: text/plain\r\n"
        "Connection: close\r\n"
        "User-Agent: broker-key/" BROKER_VERSION "\r\n",
        kept == NULL ? "" : "Broker-Client-Interval-Ms: ", kept == NULL ? "" : kept, kept == NULL ? "" : "\r\n",
        "Broker-Client-Hints: pid=", decimal((uint64_t)getpid(), &pid), ", ppid=", decimal((uint64_t)getppid(), &ppid),
        ", stdin=", stream_kind(STDIN_FILENO), ", stdout=", stream_kind(STDOUT_FILENO),
        from == NULL ? "" : ", entrypoint=", from == NULL ? "" : from,
        within == NULL ? "" : ", session=", within == NULL ? "" : within,
        variable("CLAUDE_CODE_MCP_SERVER_NAME") == NULL ? "" : ", purpose=mcp",
        variable("CLAUDECODE") == NULL ? "" : ", agent=1", rejected ? ", rejected=1" : "", "\r\n\r\n"));
}

/* ---- the answer --------------------------------------------------------------------------------------------- */

#define NOT_HTTP "the server at the broker's socket does not answer in HTTP/1.1; stop it and start `broker daemon`"
#define CUT_OFF "the daemon's answer broke off; try again; if it happens again, see its log"

struct head {
    size_t length; /* status line, fields and the empty line */
    int status;
    int64_t body_length; /* UNKNOWN: up to the end of the connection */
    int64_t exit_code;
};

static int parse_status(const char *line, size_t length)
{
    bool known = length >= 12 && memcmp(line, "HTTP/1.", 7) == 0 && is_digit(line[7]) && line[8] == ' ';
    int64_t status = known && (length == 12 || line[12] == ' ') ? whole_number(line + 9, 3) : UNKNOWN;
    if (status < 100) FAIL(EX_UNAVAILABLE, NOT_HTTP);
    return (int)status;
}

/* The value of a field if it has this name (given in small letters), else NULL. */
static const char *field_value(const char *line, size_t length, const char *name, size_t *value_length)
{
    size_t at = strlen(name);
    if (length <= at || line[at] != ':') return NULL;
    for (size_t i = 0; i < at; i++)
        if ((line[i] >= 'A' && line[i] <= 'Z' ? line[i] | 0x20 : line[i]) != name[i]) return NULL;
    for (at++; at < length && (line[at] == ' ' || line[at] == '\t');) at++;
    while (length > at && (line[length - 1] == ' ' || line[length - 1] == '\t')) length--;
    *value_length = length - at;
    return line + at;
}

static void parse_field(struct head *head, const char *line, size_t length)
{
    size_t size;
    const char *value;
    if ((value = field_value(line, length, "content-length", &size)) != NULL) {
        int64_t body_length = whole_number(value, size);
        if (body_length == UNKNOWN || (head->body_length != UNKNOWN && head->body_length != body_length))
            FAIL(EX_UNAVAILABLE, NOT_HTTP);
        head->body_length = body_length;
    } else if ((value = field_value(line, length, "broker-exit-code", &size)) != NULL) {
        head->exit_code = whole_number(value, size);
    } else if (field_value(line, length, "transfer-encoding", &size) != NULL) {
        FAIL(EX_UNAVAILABLE, "the daemon's answer is chunked, which no broker daemon does; are versions mixed?");
    }
}

/* False while the head is not complete; the status is there as soon as its line is. */
static bool parse_head(struct head *head)
{
    const char *at = reply.bytes, *end = at + reply.length, *newline;
    *head = (struct head){.body_length = UNKNOWN, .exit_code = UNKNOWN};
    for (; (newline = memchr(at, '\n', (size_t)(end - at))) != NULL; at = newline + 1) {
        size_t length = (size_t)(newline - at);
        if (length > 0 && at[length - 1] == '\r') length--;
        if (at == reply.bytes) head->status = parse_status(at, length);
        else if (length > 0) parse_field(head, at, length);
        else {
            head->length = (size_t)(newline + 1 - reply.bytes);
            return true;
        }
    }
    if (memcmp(reply.bytes, "HTTP/1.", reply.length < 7 ? reply.length : 7) != 0) FAIL(EX_UNAVAILABLE, NOT_HTTP);
    return false;
}

/* Appends what was received to the reply. Returns its length, 0 at the end, a negative number if the connection was reset. */
static ssize_t receive(int fd)
{
    ssize_t count;
    do {
        if (!wait_for(fd, POLLIN))
            FAIL(EX_TEMPFAIL, "no answer within 9.5 s; the daemon goes on asking: try again, or see `broker status`");
        count = read(fd, reply.bytes + reply.length, sizeof reply.bytes - 1 - reply.length);
    } while (count < 0 && (errno == EINTR || errno == EAGAIN));
    if (count > 0) reply.length += (size_t)count;
    return count;
}

/* False if the reply was cut off before a complete status line: then the request can be repeated. */
static bool exchange(int fd, const char *request, size_t length, struct head *head)
{
    wipe_reply();
    write_all(fd, request, length); /* a server that reads no further may still have answered */
    while (!parse_head(head)) {
        if (reply.length >= HEAD_LIMIT) break;
        if (receive(fd) > 0) continue;
        if (head->status == 0) return false;
        FAIL(EX_UNAVAILABLE, CUT_OFF);
    }
    if (head->length == 0 || head->length > HEAD_LIMIT) FAIL(EX_UNAVAILABLE, NOT_HTTP);
    for (;;) {
        int64_t have = (int64_t)(reply.length - head->length);
        if (have > BODY_LIMIT || head->body_length > BODY_LIMIT)
            FAIL(EX_DATAERR, "the daemon's answer is longer than any key; see `broker status`");
        if (head->body_length != UNKNOWN && have > head->body_length) FAIL(EX_UNAVAILABLE, NOT_HTTP);
        if (have == head->body_length) return true;
        ssize_t count = receive(fd);
        if (count > 0) continue;
        if (count < 0 || head->body_length != UNKNOWN) FAIL(EX_UNAVAILABLE, CUT_OFF);
        head->body_length = have;
    }
}

static int exit_code_of(const struct head *head)
{
    if (head->exit_code > 0 && head->exit_code <= 255) return (int)head->exit_code;
    switch (head->status) {
    case 400: return EX_USAGE;
    case 401: case 403: case 410: return EX_NOPERM;
    case 404: return EX_CONFIG;
    case 408: case 425: case 429: case 504: return EX_TEMPFAIL;
    case 500: return EX_SOFTWARE;
    default: return EX_UNAVAILABLE;
    }
}

static _Noreturn void deliver(const struct head *head, const struct question *question)
{
    char *body = reply.bytes + head->length;
    size_t length = (size_t)head->body_length;
    bool raw = question->format == FORMATS[0];
    bool fit = length > 0 && (!raw || length <= KEY_LIMIT);
    body[length] = '\0';
    if (head->status != 200) {
        if (!fit) body = "the daemon answered with an error and did not say which; see `broker status`";
        FAIL(exit_code_of(head), body);
    }
    for (size_t i = 0; fit && i < length; i++) fit = body[i] >= (raw ? '!' : ' ') && body[i] <= '~';
    if (!fit)
        FAIL(EX_DATAERR, "the daemon's answer is not something Claude Code accepts (printable ASCII without spaces, at "
             "most 16384 characters); see the credential's `field` in the configuration");
    body[length] = '\n';
    print(body, length + 1);
}

/* ---- main --------------------------------------------------------------------------------------------------- */

/* No key in a core file, no end by a signal when the reader has gone. */
static void harden(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
#ifdef __linux__
    prctl(PR_SET_DUMPABLE, 0);
#endif
    signal(SIGPIPE, SIG_IGN);
}

int main(int count, char **arguments)
{
    char request[REQUEST_ROOM], why[LINE_LIMIT];
    struct head head;
    int64_t cut_off_at = 0; /* when the last connection ended without an answer */
    static const struct search search = {connect_to_daemon, is_our_place};

    deadline = now_ms() + DEADLINE_MS;
    harden();
    struct question question = read_arguments(count, arguments);
    if (fcntl(STDOUT_FILENO, F_GETFD) < 0) FAIL(EX_IOERR, "stdout is closed, so there is nowhere to print the key");
    size_t length = write_request(request, &question);

    for (int pause = FIRST_PAUSE_MS; remaining_ms() > 0; pause = pause < LONGEST_PAUSE_MS ? pause * 2 : pause) {
        int fd = connect_to_daemon(), code = 0;
        if (fd < 0 && refusal[0] != '\0' && !place_is_taken && cut_off_at == 0) FAIL(EX_NOPERM, refusal);
        if (fd < 0) code = start_daemon(&search, &fd, why);
        /* A daemon that hung up a moment ago and took its socket away may be restarting. */
        bool restarts = cut_off_at != 0 && !is_deserted && now_ms() - cut_off_at < RESTART_MS;
        if (code != 0 && !(restarts && code == EX_UNAVAILABLE)) no_daemon(code, why);
        if (fd >= 0) {
            daemon_answers();
            if (exchange(fd, request, length, &head)) deliver(&head, &question);
            close(fd);
            cut_off_at = now_ms();
        }
        pause_ms(pause);
    }
    if (cut_off_at == 0) FAIL(EX_TEMPFAIL, "a daemon was started but did not answer within 9.5 s; see `broker status`");
    FAIL(EX_TEMPFAIL, "the daemon hung up on every try for 9.5 s; see its log, and try again");
}
