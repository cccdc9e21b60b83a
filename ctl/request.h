/* Requests as imctl makes them from its command line. */
#ifndef IMD_CTL_REQUEST_H
#define IMD_CTL_REQUEST_H

#include "ctl.h"

/* Each appends to the line that is being made; request_end appends the LF. */
void request_begin(struct buf *buf, enum verb verb);
void request_arg(struct buf *buf, const char *text);
void request_option(struct buf *buf, const char *key, const char *value);
void request_end(struct buf *buf);

/* Appends the whole request of a command: the verb, the command line's arguments, and those of its
 * options that the verb takes. */
void request_add(struct buf *buf, const struct ctl *ctl, enum verb verb);

/* How often the same is asked where imd ends each time before it answers. */
enum { REQUEST_TRIES = 3 };

/* A request of this verb has ended with `status`: where that is STATUS_UNREACHABLE, on a connection that
 * kept how it ended (`resumes`), and asking again does no harm, connects again; that is what a restart of
 * imd takes. Who changes something asks again only where nothing was begun. `tries` counts from 0.
 * STATUS_OK: it is to be asked again. Otherwise the exit status, and the message has been printed. */
int request_again(struct ctl *ctl, enum verb verb, int status, int *tries);

/* Connects, sends the request of the command line with this verb, and reads the reply; again as
 * request_again has it. */
int request_run(struct ctl *ctl, enum verb verb, const struct reply_handler *handler,
	const struct line **ret_ok);

/* Sends the UPDATE of the command line on the open connection, and reads the reply. Where the connection
 * ends before the reply does it is unknown whether imd took it: that is said, and STATUS_FAILED. Where imd
 * says that it ends, and so that nothing was begun, nothing is printed, and STATUS_UNREACHABLE. */
int request_update(struct ctl *ctl, const struct reply_handler *handler, const struct line **ret_ok,
	bool *ret_unknown);

#endif
