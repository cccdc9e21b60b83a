/* The lines that tell of specs, nodes, graphs, tasks and events, written without printf. */
#ifndef IMD_SERVER_RECORDS_H
#define IMD_SERVER_RECORDS_H

#include <stdbool.h>

#include "core/core.h"
#include "proto/buf.h"
#include "proto/verbs.h"

/* Each appends one line. `group` is the group's name, given apart because a previewed graph may
 * have a group that does not exist yet. */
void records_spec(struct buf *buf, const char *group, const struct spec *spec);
void records_node(struct buf *buf, const struct core *core, const struct node *node);
void records_graph(struct buf *buf, const char *group, const struct graph *graph);
/* A barrier of a large group has a line of megabytes, so it is made in goes: appends the record, or
 * as much of it as brings the buffer to `limit` bytes. Returns whether it is whole; if not, the
 * next call goes on at *place, which is zero to begin with. */
struct record_place {
	uint32_t prereq; /* the next prerequisite */
	bool open;       /* the line has been begun */
};
bool records_task(struct buf *buf, const struct graph *graph, uint32_t number,
	struct record_place *place, size_t limit);
void records_stat(struct buf *buf, const char *name, uint64_t value);
void records_stat_text(struct buf *buf, const char *name, const char *value);
void records_command(struct buf *buf, enum verb verb);

/* The line of an event. */
void records_event(struct buf *buf, uint64_t seq, const struct notice *notice);

#endif
