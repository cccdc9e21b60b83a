/* What the driver has told and the core has not yet been told: a queue. */
#ifndef IMD_ENGINE_REPORTS_H
#define IMD_ENGINE_REPORTS_H

#include "core/core.h"
#include "driver/driver.h"

struct report {
	enum core_event_kind kind; /* CORE_DONE, CORE_HEALTH, CORE_EXITED or CORE_INSPECTED */
	struct id id;
	enum node_op op;
	enum core_result result;
	enum core_found found;
	bool healthy;
	char *text;                /* owned; NULL: nothing to say */
};

struct reports {
	struct report *ring;
	size_t head, count, capacity;
	bool closed;              /* what is reported is dropped */
	void (*wake)(void *arg);  /* there is a report */
	void *arg;
};

void reports_init(struct reports *reports, void (*wake)(void *arg), void *arg);
/* For the driver, to report by. */
struct driver_reports reports_driver(struct reports *reports);
/* While the state is lost there is nobody to report to; the inspections after the load ask again. Drops what is queued,
 * and what is reported until reports_open. */
void reports_close(struct reports *reports);
void reports_open(struct reports *reports);

void reports_fini(struct reports *reports);
/* Takes a copy of the text, cut to the length of an error (LIMIT_ERROR_TEXT). Without memory for it, the report goes
 * without its text. */
void reports_push(struct reports *reports, const struct report *report, const char *text);
/* The first one as an event of the core, which borrows its text until reports_pop. */
bool reports_first(const struct reports *reports, struct core_event *ret_event);
/* The id that the report `ahead` places behind the first is about, NULL: there is none. */
const struct id *reports_id(const struct reports *reports, size_t ahead);
void reports_pop(struct reports *reports);

#endif
