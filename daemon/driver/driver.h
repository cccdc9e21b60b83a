/* The driver port: what really starts and stops nodes.
 *
 * Every call returns at once and is answered by exactly one report; reports may come from within
 * the call. Calls are idempotent by node id. A driver works on one thing per node at a time:
 *   start    answered by done(OP_START): OK, the node runs (where it ran already and is not healthy,
 *            a health report follows); FAILED, nothing of it is left
 *   cancel   of a start under way: no report of its own; the start is answered CANCELLED (nothing is
 *            left), or OK or FAILED where it was too late. Where nothing is under way: as CANCELLED
 *   stop     answered by done(OP_STOP): OK, it is gone (also when it was not there); FAILED
 *   kill     takes the place of whatever is under way, which is not answered any more; answered by
 *            done(OP_KILL): OK, it is gone
 *   inspect  answered by inspected(): absent, running, unhealthy, or busy where something is under
 *            way that will be answered */
#ifndef IMD_DRIVER_DRIVER_H
#define IMD_DRIVER_DRIVER_H

#include "core/core.h"

struct driver_node {
	struct id id;
	const char *group;
	uint32_t slot;
	uint64_t version;
};

/* What a driver tells; the text says why, NULL where there is nothing to say. */
struct driver_reports {
	void (*done)(void *arg, const struct id *id, enum node_op op, enum core_result result,
		const char *text);
	void (*health)(void *arg, const struct id *id, bool healthy, const char *text);
	void (*exited)(void *arg, const struct id *id, const char *text);
	void (*inspected)(void *arg, const struct id *id, enum core_found found);
	void *arg;
};

struct driver {
	const struct driver_ops *ops;
	struct driver_reports reports; /* set by the engine before the first call */
};

struct driver_ops {
	const char *name;
	void (*start)(struct driver *driver, const struct driver_node *node);
	void (*stop)(struct driver *driver, const struct driver_node *node);
	void (*cancel)(struct driver *driver, const struct driver_node *node);
	void (*kill)(struct driver *driver, const struct driver_node *node);
	void (*inspect)(struct driver *driver, const struct driver_node *node);
	void (*free)(struct driver *driver);
};

#endif
