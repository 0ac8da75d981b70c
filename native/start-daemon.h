/* How the daemon is started by the first helper that finds none. */
#ifndef BROKER_START_DAEMON_H
#define BROKER_START_DAEMON_H

#include "text.h"

/* Where the helper looks for the daemon. */
struct search {
    int (*connect)(void);             /* a connection to a daemon that answers, or UNKNOWN */
    bool (*includes)(const char *path); /* whether a socket at this path is looked at */
};

/* By the rules of src/config/paths.ts; false where HOME is not set or another user's (sudo, su). */
bool find_state_folder(char folder[PATH_ROOM], char why[LINE_LIMIT]);

/* Whether the state folder is on the network: then no socket lies in it. */
bool is_shared_by_machines(const char *state);

/*
 * No daemon answered: makes sure that one helper starts a daemon. To be called again, after looking for the daemon once
 * more, until one answers. `*connection` is what looking once more under the lock found.
 *
 * 0 while there is something to wait for. Else the exit code, and in `why` the reason and what to do, in LINE_LIMIT bytes at
 * most; `why` is empty where no helper is to start a daemon.
 */
int start_daemon(const struct search *search, int *connection, char why[LINE_LIMIT]);

/* A daemon was connected to: if this helper started it, it needs it no longer. */
void daemon_answers(void);

#endif
