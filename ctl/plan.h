/* The plan that UPDATE and PLAN answer with: a graph and its tasks. */
#ifndef IMD_CTL_PLAN_H
#define IMD_CTL_PLAN_H

#include <jansson.h>

#include "listing.h"

struct plan {
	const struct ctl *ctl;
	struct listing tasks;  /* columns: plan_columns */
	bool seen;             /* its record */
	char *id;              /* of the graph; NULL before its record */
	uint64_t revision;
	uint64_t task_count;
	char *min_available;   /* as the daemon wrote them; NULL where it did not */
	char *max_live;
};

void plan_init(struct plan *plan, const struct ctl *ctl);
void plan_fini(struct plan *plan);
/* For struct reply_handler: takes the GRAPH and its TASKs; arg is the plan. */
int plan_add(void *arg, const struct line *record);
/* Takes the bounds from the OK line. */
void plan_end(struct plan *plan, const struct line *ok);
/* The reply has not ended well: ends what was printed of it. */
void plan_cut(struct plan *plan);
/* Prints what of it has not been printed yet, unless --quiet. STATUS_OK, or an exit status. */
int plan_print(struct plan *plan);

#endif
