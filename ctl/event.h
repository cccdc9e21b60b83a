/* Events and initial records of a watch, as lines for a person or as JSON. */
#ifndef IMD_CTL_EVENT_H
#define IMD_CTL_EVENT_H

#include "ctl.h"
#include "table.h"

/* Prints an event as a line: the local time, and what happened to what. `plan` (may be NULL) is
 * a table of plan_columns that knows more of the tasks of the event's graph than the event tells;
 * tasks of other graphs than `usual_graph` are shown with their graph's id. */
void event_print(const struct ctl *ctl, const struct line *event, const struct table *plan,
	const char *usual_graph);

/* Prints the GRAPH record of a graph that has ended as the event of its end would be. */
void graph_end_print(const struct ctl *ctl, const struct line *graph);
/* The same of a TASK record: of a task that has begun, and of one that has ended. */
void task_start_print(const struct ctl *ctl, const struct line *task, const char *usual_graph);
void task_end_print(const struct ctl *ctl, const struct line *task, const char *usual_graph);

/* Prints a record as it is when a watch begins: a line without a time. */
void record_line_print(const struct ctl *ctl, const struct line *record);

/* "failed" of "task-failed": what happened; and whether it happened to a `subject` ("task"). */
const char *event_verb(const struct line *event);
bool event_is_of(const struct line *event, const char *subject);

#endif
