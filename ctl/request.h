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

/* Connects, sends the request of the command line with this verb, and reads the reply. */
int request_run(struct ctl *ctl, enum verb verb, const struct reply_handler *handler,
	const struct line **ret_ok);

/* Sends the UPDATE of the command line on the open connection, and reads the reply. It is never sent
 * twice: where the connection ends before the reply does, that is said, and STATUS_UNREACHABLE. */
int request_update(struct ctl *ctl, const struct reply_handler *handler, const struct line **ret_ok);

#endif
