/* A place in the events of imd: the number of an event, and the incarnation of the state that has given it. Two
 * incarnations give the same numbers to different events, so that a number alone says little after a restore. On the
 * wire a daemon says "seq=40 incarnation=ID", and a client that comes back says "since=40@ID". */
#ifndef IMD_PROTO_POSITION_H
#define IMD_PROTO_POSITION_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"
#include "id.h"

struct position {
	uint64_t seq;
	struct id incarnation; /* zero: not known, as of a client or a daemon that knows no incarnations */
};

bool position_has_incarnation(const struct position *position);
/* Appends " seq=N incarnation=ID", or " seq=N". */
void position_add_keys(struct buf *buf, const struct position *position);
/* Appends "N@ID", or "N": what arg_position reads (args.h). */
void position_add(struct buf *buf, const struct position *position);

#endif
