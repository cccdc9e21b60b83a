/* The driver port: what really starts and stops nodes.
 *
 * Every call returns at once; its report may come from within the call. Only the ID identifies a node, and a
 * driver works on one thing per node at a time.
 *
 * Every call is answered, whatever state the node is in, and from that state. The daemon may have lost an answer
 * that was given before, because it could not store it: it then asks again, or asks for something else. So:
 *   - The last start, cancel, stop or kill of a node is answered by exactly one report. What was called before it
 *     and is not answered yet will not be: a call that repeats what is under way joins it, and any other one takes
 *     its place.
 *   - Every inspect is answered by exactly one report, and changes nothing.
 *   - Reports come in the order in which things happen. What inspected() says holds when it is reported.
 *
 * The answers, by the state that a call finds the node in. What is gone is absent, whatever it was before:
 *
 *             absent         starting        running           stopping           being killed
 *   start     begins a       joins           START OK          START OK or        like stopping
 *             start:                         at once           FAILED: the stop
 *             START OK or                                      is taken back, or
 *             FAILED                                           what is gone is
 *                                                              started again
 *   cancel    START          START           START OK          START CANCELLED    START CANCELLED
 *             CANCELLED      CANCELLED; OK   at once           once it is gone;
 *             at once        or FAILED if                      OK if the stop
 *                            it is too late                    fails
 *   stop      STOP OK        ends it:        begins a stop:    joins              STOP OK once
 *             at once        STOP OK or      STOP OK or                           it is gone
 *                            FAILED          FAILED
 *   kill      KILL OK        KILL OK or FAILED: begins a kill, or joins one
 *             at once
 *   inspect   absent         busy            running or        busy               busy
 *                                            unhealthy
 *
 * START OK: the node runs; if it is unhealthy, a health report follows. START FAILED and CANCELLED: nothing of it is
 * left. STOP and KILL OK: it is gone. STOP and KILL FAILED: it is there, and runs. Busy: something is under way that
 * will be answered, also to a daemon that has started since.
 *
 * What happens by itself: a running node becomes unhealthy or healthy, health(); it ends, exited(). If it ends while
 * something is under way, the answer to that is the only report.
 *
 * tests/unit/test_driver_contract.c checks all of this, for every driver. */
#ifndef IMD_DRIVER_DRIVER_H
#define IMD_DRIVER_DRIVER_H

#include "core/core.h"

struct driver_node {
	struct id id;
	const char *group;
	uint32_t slot;
	uint64_t version;
};

/* What a driver reports. A cancel is answered as OP_START. The text says why, NULL if there is nothing to say. */
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
