/* What memory the work of the engine may take, so that it begins only if that is available, and so that there always is
 * enough to shrink groups and to cancel graphs.
 *
 * Most of the core cannot go back in the middle of a step: its allocations must not fail. So the engine holds a
 * reserve (proto/mem.h), and before it accepts an event it makes sure that the reserve covers what the event may take.
 * If it does not, a request is refused with ERR_INTERNAL, and reports of drivers and timers are deferred. The
 * figures are upper bounds, from the sizes of the structs; those of a group are for the worst case in which all
 * of its nodes are in flight:
 *
 *   now     a plan, its graph, changes and actions: is allocated in the step
 *   later   rows, the plan as it is stored, SQLite's copy of it, reports: follows until the changes are durable and
 *           the driver has been asked; it must not be given to other events meanwhile
 *   kept    what is held while nothing is under way: the worst step of every group, one graph more than there is now,
 *           the growth of tables until all planned nodes live, and a base for all that is small
 *
 * An UPDATE that makes a group smaller without raising its max-surge, KILL, MARK and CANCEL are accepted if their own
 * needs are covered, and they are less than what was kept. All other UPDATEs are accepted only if as much as is to be
 * kept after them is available, too. So what is accepted can be undone. Carrying out what was accepted takes no more
 * than was kept for it, and loading it takes less: a restart under the same limit succeeds.
 *
 * All figures are found in O(1) of what the core counts. */
#ifndef IMD_ENGINE_NEEDS_H
#define IMD_ENGINE_NEEDS_H

#include "core/core.h"

struct needs {
	size_t now;
	size_t later;
	size_t after; /* must also be held, so that the event may be undone; 0: it may use what is kept for that */
};

/* What is small and does not follow from the state: requests and replies, NEEDS_BASE_CLIENTS clients with a request
 * each, a thousand tasks that start and reports that are accepted, and a growing step of every table in SQLite. */
enum { NEEDS_BASE = 24 << 20, NEEDS_BASE_CLIENTS = 1000 };

size_t needs_kept(const struct core *core);
struct needs needs_of(const struct core *core, const struct core_event *event);
/* Of so many connected clients, besides NEEDS_BASE. */
size_t needs_of_clients(uint32_t clients);
/* The most that all events of a pass but UPDATEs may take together. */
struct needs needs_most(const struct core *core);

#endif
