/* The records of a reply, collected and printed: as a table, as JSON, or the first column alone. */
#ifndef IMD_CTL_LISTING_H
#define IMD_CTL_LISTING_H

#include "ctl.h"
#include "table.h"

struct listing {
	const struct ctl *ctl;
	struct table table; /* filled unless JSON is asked for */
	struct buf json;    /* else the records so far, comma between them */
};

void listing_init(struct listing *listing, const struct ctl *ctl, const struct column *columns,
	size_t column_count);
void listing_fini(struct listing *listing);
/* For struct reply_handler; arg is the listing. */
void listing_add(void *arg, const struct line *record);
/* Prints all, once the reply has ended well: half a JSON array would help nobody. */
void listing_print(const struct listing *listing);

/* Prints one record, a key a line. */
void record_print(const struct ctl *ctl, const struct line *record);

#endif
