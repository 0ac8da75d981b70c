/* How the daemon is started by the first helper that finds none. */
#ifndef BROKER_START_DAEMON_H
#define BROKER_START_DAEMON_H

#include "text.h"

/* Where the helper looks for the daemon. */
struct search {
    int (*connect)(void);             /* a connection to a daemon that answers, or UNKNOWN */
    bool (*includes)(const char *path); /* whether a socket at this path is looked at */
};

/*
 * No daemon answered: makes sure that one helper starts a daemon. To be called again, after looking for the daemon once
 * more, until one answers. `*connection` is what looking once more under the lock found.
 *
 * False if none can be started: then `why` says so and what to do, in LINE_LIMIT bytes at most.
 */
bool start_daemon(const struct search *search, int *connection, char why[LINE_LIMIT]);

#endif
