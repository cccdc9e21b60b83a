#include "spool.h"

#include <stdio.h>

#include "ctl.h"
#include "out.h"

enum { PIECE = 64 * 1024 }; /* printed at a time once it flows */

void spool_fini(struct spool *spool)
{
	buf_fini(&spool->text);
	*spool = (struct spool){.flows = false};
}

static int print(struct spool *spool)
{
	if (spool->text.len > 0) {
		fwrite(spool->text.data, 1, spool->text.len, stdout);
		spool->in_line = spool->text.data[spool->text.len - 1] != '\n';
	}
	if (spool->text.capacity > 4 * PIECE)
		buf_fini(&spool->text);
	spool->text.len = 0;
	spool->flows = true;
	return out_check();
}

int spool_settle(struct spool *spool)
{
	return spool->text.len > (spool->flows ? PIECE : SPOOL_MAX) ? print(spool) : STATUS_OK;
}

int spool_end(struct spool *spool)
{
	return print(spool);
}

void spool_cut(struct spool *spool)
{
	if (spool->in_line)
		putchar('\n');
	spool_fini(spool);
}
