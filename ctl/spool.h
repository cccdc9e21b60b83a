/* Output that is held back until the reply that it is made from has ended well: half of it would help
 * nobody. A reply too large for that is printed as it comes. */
#ifndef IMD_CTL_SPOOL_H
#define IMD_CTL_SPOOL_H

#include <stdbool.h>

#include "proto/buf.h"

enum { SPOOL_MAX = 16 << 20 }; /* bytes that are held back */

/* Zeroed, it is empty. */
struct spool {
	struct buf text; /* what is not printed yet; callers append their output it here */
	bool flows;      /* some has been printed, */
	bool in_line;    /* and not up to the end of a line */
};

void spool_fini(struct spool *spool);
/* Called after each piece of output. STATUS_OK, or the exit status if it had to print and could not. */
int spool_settle(struct spool *spool);
/* Prints the rest: the reply has ended well. */
int spool_end(struct spool *spool);
/* Drops the rest: it has not. A line that was printed in part is ended, for another may follow. */
void spool_cut(struct spool *spool);

#endif
