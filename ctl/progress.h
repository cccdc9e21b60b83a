/* What has been shown of the tasks of a graph: where events were lost its records tell the rest, and
 * nothing is shown twice. */
#ifndef IMD_CTL_PROGRESS_H
#define IMD_CTL_PROGRESS_H

#include "ctl.h"

struct task_progress;

/* Zeroed, it is of a graph of which nothing has been shown. */
struct progress {
	struct task_progress *tasks; /* by number */
	size_t task_count;
	bool ended;                  /* the end of the graph was shown, */
	bool end_told;               /* and by its record */
};

void progress_fini(struct progress *progress);
/* Whether this event of the graph tells what has not been shown; the caller then shows it. */
bool progress_advance(struct progress *progress, const struct line *event);
/* The same of the end that its record tells. */
bool progress_end(struct progress *progress);
/* Prints what a TASK record tells that has not been shown: as the lines of the events that were lost
 * or, as JSON, the record itself. */
void progress_catch_up(struct progress *progress, const struct ctl *ctl, const struct line *task,
	const char *usual_graph);

#endif
