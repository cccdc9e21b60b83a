/* The service manager: the socket that it hands over, and what it wants to hear. Everything here does
 * nothing where imd was not started by one.
 *
 * Nothing here ever waits for the manager. What it does not take at once is kept and told later, in this
 * order: the watchdog, the last reload, ready, the last status, stopping. Of each there is one at most; what
 * is newer takes its place. */
#ifndef IMD_NOTIFY_H
#define IMD_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/error.h"

/* The socket that was handed over, or -1 for none. An error where there is more than one, or where
 * it is not a Unix stream socket that listens. */
int notify_listen_fd(int *ret_fd, struct error *error);

enum { NOTIFY_STATUS_SIZE = 256 }; /* bytes of a status, its NUL counted; what is longer is cut */

/* Called where something is left to tell: notify_flush is to be called after so long. */
typedef void notify_later_fn(void *arg, int delay_ms);

/* Looks for the manager, and takes its name out of the environment: it is not meant for children. There is no
 * manager before. */
void notify_open(notify_later_fn *later, void *arg);
/* Tries once more to tell what is left. */
void notify_flush(void);

/* Whether somebody reads the status, so that it is worth putting together. */
bool notify_wanted(void);
/* The state is loaded and the socket listens. */
void notify_ready(void);
/* The settings are read again; notify_ready when that is done. */
void notify_reloading(void);
/* imd is about to end: what else would be told behind this is not, but for the watchdog's sign. */
void notify_stopping(void);
/* A line that says how things are. */
void notify_status(const char *text);

/* How often the watchdog wants to hear from the loop, in microseconds; 0: not at all. */
uint64_t notify_watchdog_us(void);
void notify_watchdog(void);

#endif
