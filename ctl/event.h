/* Events and initial records of a watch, as lines for a person or as JSON. */
#ifndef IMD_CTL_EVENT_H
#define IMD_CTL_EVENT_H

#include "ctl.h"
#include "table.h"

/* Prints an event as a line: the local time, and what happened to what. `plan` (may be NULL) is
 * a table of plan_columns that knows more of the tasks of `plan_graph` than their events tell;
 * tasks of other graphs are shown with their graph's id. */
void event_print(const struct ctl *ctl, const struct line *event, const struct table *plan,
	const char *plan_graph);

/* Prints a record as it is when a watch begins: a line without a time. */
void record_line_print(const struct ctl *ctl, const struct line *record);

/* "failed" of "task-failed": what happened; and whether it happened to a `subject` ("task"). */
const char *event_verb(const struct line *event);
bool event_is_of(const struct line *event, const char *subject);

#endif
