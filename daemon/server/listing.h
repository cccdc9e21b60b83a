/* Listings that are made as the socket drains: a cursor that goes on where it stopped. */
#ifndef IMD_SERVER_LISTING_H
#define IMD_SERVER_LISTING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/core.h"
#include "proto/buf.h"
#include "records.h"

/* What a listing has, in this order. */
enum listing_part {
	PART_SPECS,      /* the kept revisions of the groups */
	PART_GROUPS,     /* the current spec of every group, by name */
	PART_METRICS,    /* what METRICS tells of the groups */
	PART_NODES,      /* live nodes of the groups, by slot */
	PART_ENDED,      /* ended nodes of the groups, the oldest first */
	PART_GRAPHS,     /* graphs of the groups, the oldest first */
	PART_OPEN_TASKS, /* tasks of those graphs of the groups that have not ended */
	PART_GRAPH,      /* one graph */
	PART_TASKS,      /* the tasks of that graph */
	PART_COUNT
};

#define PARTS(part) (1u << (part))

/* How far a listing is. Things are found anew at each go, for they may be gone meanwhile. */
struct listing {
	unsigned parts;      /* those still to be made, a set of PARTS() */
	uint32_t group;      /* the index of the group it is at */
	uint32_t group_end;  /* one behind the last group; GROUPS_ALL: all there are */
	uint32_t group_first;
	uint32_t task;       /* the next task, */
	struct record_place place; /* and how far its record is */
	uint64_t at;         /* the next slot, revision, number, serial or metric; by name: 1 once begun */
	struct id graph;     /* of PART_GRAPH and PART_TASKS */
	struct graph *preview; /* takes the place of that graph; owned */
	char preview_group[LIMIT_GROUP_NAME + 1];
};

#define GROUPS_ALL UINT32_MAX

/* A listing of no parts. */
void listing_init(struct listing *listing);
/* Drops what it holds. */
void listing_fini(struct listing *listing);

/* Sets it to the parts of one group, or of every group where it is NULL. */
void listing_of_group(struct listing *listing, unsigned parts, const struct group *group);
/* Sets it to the parts of one graph. */
void listing_of_graph(struct listing *listing, unsigned parts, const struct id *graph);
/* Sets it to the parts of a preview, which it takes over. */
void listing_of_preview(struct listing *listing, unsigned parts, struct graph *preview,
	const char *group);

static inline bool listing_over(const struct listing *listing)
{
	return listing->parts == 0;
}

/* Where the listing stands within a line, whose thing is gone or for which there is no time any more:
 * ends the line, incomplete as it is. */
void listing_end_line(struct listing *listing, struct buf *buf);

/* The graph of a listing of one, NULL where it is gone or there is none. */
const struct graph *listing_graph(const struct listing *listing, const struct core *core);

enum { LISTING_VISITS = 10000 };

/* Appends records until the listing is over, the buffer has `limit` bytes, or it has passed over LISTING_VISITS entries
 * without a record, such as free slots. *ret_visits is how many. -1 with ERR_GONE if the graph that is listed is not
 * kept any more. */
int listing_go(struct listing *listing, const struct core *core, struct buf *buf, size_t limit,
	size_t *ret_visits, struct error *error);

#endif
