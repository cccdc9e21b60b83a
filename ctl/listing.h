/* The records of a reply, collected and printed: as a table, as JSON, or the first column alone. That one is
 * for scripts and shells, so it has only what is valid by the rules of the protocol. */
#ifndef IMD_CTL_LISTING_H
#define IMD_CTL_LISTING_H

#include "ctl.h"
#include "table.h"

struct listing {
	const struct ctl *ctl;
	bool first;         /* only the first column is requested */
	struct table table; /* filled unless JSON or the first column is requested */
	struct buf text;    /* else the records as JSON, comma between them, or the first column, a value a line */
	uint64_t invalid;   /* values left out of the first column */
};

void listing_init(struct listing *listing, const struct ctl *ctl, const struct column *columns,
	size_t column_count);
void listing_fini(struct listing *listing);
/* For struct reply_handler; arg is the listing. */
void listing_add(void *arg, const struct line *record);
/* Prints all, once the reply has ended well: half a JSON array would help nobody. STATUS_OK, or
 * STATUS_FAILED with a message if values were left out. */
int listing_print(const struct listing *listing);

/* Prints one record, a key a line. */
void record_print(const struct ctl *ctl, const struct line *record);

#endif
