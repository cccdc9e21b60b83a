/* The listening socket: its file and the lock beside it, and accepting, also when descriptors run
 * out. */
#ifndef IMD_SERVER_LISTENER_H
#define IMD_SERVER_LISTENER_H

#include <event2/event.h>
#include <stdbool.h>

#include "proto/error.h"

struct listener_host {
	/* Takes over a connection, which is non-blocking and closed on exec. */
	void (*accepted)(void *arg, int fd);
	/* The same where there is no descriptor for it: it is to be told so, and closed at once. */
	void (*no_room)(void *arg, int fd);
};

struct listener {
	int fd;
	int lock_fd;          /* holds the lock on the path, -1: none (a socket handed in) */
	int reserve_fd;       /* given up for a moment to shed a client when there is no other */
	char *path;           /* owned; NULL: the file is not ours to remove */
	struct event *event;  /* a client waits */
	struct event *again;  /* the pause after running out of descriptors is over */
	bool pausing;         /* no client could be accepted since; it is logged but once */
	const struct listener_host *host;
	void *arg;
};

/* Listens at the path, or on the socket handed in where listen_fd is not -1. Accepts nothing before
 * listener_start. After an error there is nothing to release. */
int listener_init(struct listener *listener, const char *path, unsigned mode, int listen_fd,
	struct error *error);
/* The host is not copied. */
int listener_set_up(struct listener *listener, struct event_base *base,
	const struct listener_host *host, void *arg);
void listener_start(struct listener *listener);
/* Ends accepting, and removes the socket file if it is the listener's own; the lock on its path stays. Who
 * waits to be accepted on a socket that was handed in goes on waiting. */
void listener_close(struct listener *listener);
/* The same, and releases everything. */
void listener_fini(struct listener *listener);

#endif
