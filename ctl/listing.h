/* The records of a reply, printed as a table, as JSON, or as the first column alone. That one is for scripts
 * and shells, so it has only what is valid by the rules of the protocol. However many records come, memory
 * is bounded: see table.h and spool.h. */
#ifndef IMD_CTL_LISTING_H
#define IMD_CTL_LISTING_H

#include "ctl.h"
#include "spool.h"
#include "table.h"

struct listing {
	const struct ctl *ctl;
	bool first;         /* only the first column is requested */
	struct table table; /* used unless JSON or the first column is requested */
	struct spool spool; /* else the records as JSON, comma between them, or the first column, a value a line */
	struct buf opening; /* what comes before the first record as JSON */
	bool opened;        /* it has been printed */
	uint64_t invalid;   /* values left out of the first column */
};

void listing_init(struct listing *listing, const struct ctl *ctl, const struct column *columns,
	size_t column_count);
void listing_fini(struct listing *listing);
/* For struct reply_handler; arg is the listing. */
int listing_add(void *arg, const struct line *record);
/* Prints the rest, once the reply has ended well; `closing` is what comes after the last record as JSON.
 * STATUS_OK, or an exit status with a message if it cannot be printed or values were left out. */
int listing_end(struct listing *listing, const char *closing);

/* Prints one record, a key a line. */
void record_print(const struct ctl *ctl, const struct line *record);

#endif
