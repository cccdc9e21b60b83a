/* The service manager: the socket that it hands over, and what it wants to hear. Everything here does
 * nothing where imd was not started by one. */
#ifndef IMD_NOTIFY_H
#define IMD_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/error.h"

/* The socket that was handed over, or -1 for none. An error where there is more than one, or where
 * it is not a Unix stream socket that listens. */
int notify_listen_fd(int *ret_fd, struct error *error);

/* Whether somebody reads the status, so that it is worth putting together. */
bool notify_wanted(void);
/* The state is loaded and the socket listens. */
void notify_ready(void);
/* The settings are read again; notify_ready when that is done. */
void notify_reloading(void);
/* imd is about to end. */
void notify_stopping(void);
/* A line that says how things are. */
void notify_status(const char *text);

/* How often the watchdog wants to hear from the loop, in microseconds; 0: not at all. */
uint64_t notify_watchdog_us(void);
void notify_watchdog(void);

#endif
