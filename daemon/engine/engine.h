/* The engine: one turn after another. Events go into the core at once; at the end of a pass of the
 * event loop their changes are committed together, and once that is durable the answers go out, the
 * events are published and the driver is set to work.
 *
 * It knows no event loop: its host tells the time, wakes it and takes what it has to tell. */
#ifndef IMD_ENGINE_ENGINE_H
#define IMD_ENGINE_ENGINE_H

#include "core/core.h"
#include "driver/driver.h"
#include "latency.h"
#include "store/store.h"

struct engine;

struct engine_host {
	void (*now)(void *arg, struct now *ret_now);
	/* The monotonic clock in microseconds, to measure by. */
	int64_t (*mono_us)(void *arg);
	/* Have engine_turn called once more, after what else this pass of the loop has to do. */
	void (*wake)(void *arg);
	/* Have engine_turn called at this monotonic time; INT64_MAX: not for a deadline. */
	void (*arm)(void *arg, int64_t deadline_ms);
	/* Something happened: give it the next event number and keep it, unseen. */
	void (*notice)(void *arg, const struct notice *notice);
	/* The number of the last event noticed. */
	uint64_t (*last_seq)(void *arg);
	/* All events up to this number are durable and may be seen. */
	void (*publish)(void *arg, uint64_t seq);
	/* All events after this number never happened. */
	void (*retract)(void *arg, uint64_t seq);
	/* The store failed to commit or to load (error), or works again (NULL). For the log and the status
	 * line. */
	void (*storage)(void *arg, const struct error *error);
	void *arg;
};

/* Something that waits for the engine. The owner keeps it alive until done was called or
 * engine_forget; done may submit or wait anew, also with the same struct. */
struct engine_request {
	/* failed: NULL, or why not. With ERR_STORAGE nothing was changed. */
	void (*done)(struct engine_request *request, const struct error *failed);
	struct core_event event; /* filled in by who submits, all but its time; its strings must last until
	                          * done is called, or engine_forget */
	struct graph *fetched;   /* engine_fetch: the graph; done takes it over, and sets it NULL */
	const void *data;        /* engine_copy_read: the piece, valid until the next call for this copy, */
	size_t len;              /* and its length; 0 at the end of the copy */
	/* The rest is the engine's. */
	struct errand *errand;   /* that the store is on for it, NULL: none */
	TAILQ_ENTRY(engine_request) entry;
	struct engine_requests *list; /* that it is in, NULL: none */
	struct error error;
	bool failed;
};
TAILQ_HEAD(engine_requests, engine_request);

/* The engine takes the store and the driver over, also where it fails. Loads what is stored. */
struct engine *engine_new(const struct core_config *config, struct store *store,
	struct driver *driver, const struct engine_host *host, struct store_history *ret_history,
	struct error *error);
void engine_free(struct engine *engine);

/* Carries a change out. done is called from a later turn, when it is durable or has failed; never from
 * within. */
void engine_submit(struct engine *engine, struct engine_request *request);
/* Whether all that the core knows is durable, so that a read may be answered at once. */
bool engine_clean(const struct engine *engine);
/* Why the state cannot be read just now: after a failed commit it could not be loaded again, which is
 * tried every second. NULL: it can be. Until then whoever submits or waits gets this error. */
const struct error *engine_lost(const struct engine *engine);
/* Whether there is memory for so many clients besides what is under way. It is asked before another one is let in, with
 * the number that there would be. */
bool engine_has_memory(struct engine *engine, uint32_t clients);
/* Calls done at a moment when engine_clean is true; never from within. With an error, ERR_STORAGE, where
 * the state is lost: engine_clean is false then, and there is nothing to read. */
void engine_wait(struct engine *engine, struct engine_request *request);
/* Begins a copy of the state, which is the caller's until engine_copy_end. NULL with ERR_CONFLICT if there is another
 * copy or the state is not in a file. */
struct store_copy *engine_copy_begin(struct engine *engine, struct error *error);
/* Reads the next piece of a copy; the first call makes it, of what is stored at some moment of this call. done
 * finds the piece in the request, or gets an error, after which the copy can only be ended; it is never called from
 * within. */
void engine_copy_read(struct engine *engine, struct store_copy *copy, struct engine_request *request);
/* Ends a copy at any time and frees it. A request that waits for it is forgotten first. */
void engine_copy_end(struct engine *engine, struct store_copy *copy);
/* Reads an ended graph, which has no tasks in memory, with its tasks. ERR_GONE where it is not kept any
 * more, ERR_STORAGE where the state is lost meanwhile. done is never called from within. */
void engine_fetch(struct engine *engine, const struct graph *graph, struct engine_request *request);
/* The owner goes: done will not be called. What was submitted is carried out all the same, unless
 * it had not begun. */
void engine_forget(struct engine *engine, struct engine_request *request);

/* Does what is due, for a bounded time. Returns nothing: it wakes or arms its host for the rest. */
void engine_turn(struct engine *engine);

/* The state, to be read while engine_clean is true. core_configure may be called for it at any time outside
 * of a turn, and holds also when the state is loaded again. */
struct core *engine_core(struct engine *engine);

/* The time, by its host's clocks. */
struct now engine_now(const struct engine *engine);

struct engine_stats {
	uint64_t commits;        /* that succeeded */
	uint64_t commits_failed;
	struct latency latency;  /* of those that succeeded: from the hand-over until all is durable */
	uint64_t turns;
	uint64_t events;         /* core events taken in */
};
const struct engine_stats *engine_stats(const struct engine *engine);

#endif
