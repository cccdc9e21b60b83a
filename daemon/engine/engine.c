/* A turn: take in what the driver told, let time pass, plan and start what is due, commit; when that
 * is durable answer, publish, act. It is repeated while there is more to do and time left.
 *
 * Batches: one fills with what the core does now, one is with the store. While one is with
 * the store the other goes on filling, unless somebody waits to read: then nothing new is taken in until
 * all is durable and the readers have had their turn. One that has become durable is answered, published
 * and acted upon when the next one is with the store, so that the store is not kept waiting for that.
 *
 * When a commit fails, nothing of it or of what was filled since ever happened: their requests get the
 * error, their events are retracted, and the core is loaded from the store again. What the driver has
 * done meanwhile is found out by inspecting, as after a restart. Nothing more is taken from the driver
 * until the next try, a second later or with the next request. Where there is nothing to commit by then,
 * the store is asked whether it would.
 *
 * When the core cannot be loaded again either, the state is lost until it can be: an empty core stands in
 * for it, which nothing is read from or told; every request and every reader gets the error, and the
 * load is tried again every second. */
#include "engine.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "act.h"
#include "admission.h"
#include "batches.h"
#include "errands.h"
#include "load_state.h"
#include "proto/mem.h"
#include "reports.h"
#include "requests.h"

enum {
	TURN_MAX_MS = 5,        /* how long a turn may keep the loop */
	BATCH_CHANGES = 8192,   /* that make a batch full while another one is with the store */
	RUN_BUDGET = 1024,      /* tasks that start between two commits */
	REPORT_BUDGET = 1024,   /* reports taken in between two commits */
	REPORT_AHEAD = 4,       /* reports whose nodes are fetched meanwhile */
	STORAGE_RETRY_MS = 1000,
	STARVED_RETRY_MS = 100,
};

struct engine {
	struct store *store;
	struct driver *driver;
	struct engine_host host;
	struct core core;          /* its config outlives it, for the next load */
	struct batches batches;
	struct engine_requests queued;  /* submitted while readers waited */
	struct engine_requests readers;
	struct errands errands;
	struct reports reports;
	struct now now;
	uint64_t committed_seq;
	struct core_counters counters; /* of what is durable */
	int64_t armed_ms;
	int64_t resume_ms;         /* after a failed commit or load: when to try again; 0: it works */
	bool probing;              /* the store tries whether it works; */
	uint64_t probed_at;        /* so many commits had failed then */
	bool lost;                 /* the last load failed, */
	struct error lost_error;   /* for this reason */
	bool turning;
	bool woken;
	bool reading;              /* readers are having their turn */
	bool more;                 /* the core has more to start */
	bool starved;              /* something waits for memory */
	struct engine_stats stats;
};

static void engine_wake(struct engine *engine)
{
	if (engine->woken || engine->turning)
		return;
	engine->woken = true;
	engine->host.wake(engine->host.arg);
}

static void wake(void *arg)
{
	engine_wake(arg);
}

struct now engine_now(const struct engine *engine)
{
	struct now now;

	engine->host.now(engine->host.arg, &now);
	return now;
}

static void read_clock(struct engine *engine)
{
	engine->now = engine_now(engine);
}

/* Requests. */

/* Whether the filling batch has nothing to store and nothing to tell. */
static bool filling_clean(const struct engine *engine)
{
	return engine->batches.filling->update.change_count == 0 &&
		engine->host.last_seq(engine->host.arg) ==
			(engine->batches.flying ? engine->batches.flying->seq : engine->committed_seq);
}

static bool filling_idle(const struct engine *engine)
{
	return filling_clean(engine) && engine->batches.filling->update.action_count == 0 &&
		TAILQ_EMPTY(&engine->batches.filling->requests);
}

/* So that no commit takes long, and watchers have their turn between two of them. */
static bool filling_full(const struct engine *engine)
{
	return engine->batches.flying && engine->batches.filling->update.change_count >= BATCH_CHANGES;
}

bool engine_clean(const struct engine *engine)
{
	return !engine->lost && !engine->batches.flying && engine->batches.durable_count == 0 &&
		filling_clean(engine);
}

const struct error *engine_lost(const struct engine *engine)
{
	return engine->lost ? &engine->lost_error : NULL;
}

bool engine_has_memory(struct engine *engine, uint32_t clients)
{
	return admit_clients(&engine->batches, &engine->core, clients);
}

/* Returns whether it was taken in, or refused. If there may soon be the memory for it, it is to wait. */
static bool step_request(struct engine *engine, struct engine_request *request)
{
	struct batches *batches = &engine->batches;
	struct batch_needs before = batches->filling->needs;

	request->event.now = engine->now;
	request->failed = admit(batches, &engine->core, &request->event, &request->error) < 0;
	if (request->failed && admission_may_wait(batches)) {
		engine->starved = true;
		return false;
	}
	engine->stats.events++;
	if (!request->failed)
		request->failed = core_step(&engine->core, &request->event, &batches->filling->update,
					  &request->error) < 0;
	if (request->failed) /* it has changed nothing, so it needs nothing */
		batches->filling->needs = before;
	requests_add(&batches->filling->requests, request);
	return true;
}

void engine_submit(struct engine *engine, struct engine_request *request)
{
	if (engine->lost || engine->reading || !TAILQ_EMPTY(&engine->readers) ||
		!TAILQ_EMPTY(&engine->queued)) {
		requests_add(&engine->queued, request);
	} else {
		read_clock(engine);
		if (!step_request(engine, request))
			requests_add(&engine->queued, request);
	}
	engine_wake(engine);
}

void engine_wait(struct engine *engine, struct engine_request *request)
{
	request->failed = false;
	requests_add(&engine->readers, request);
	engine_wake(engine);
}

struct store_copy *engine_copy_begin(struct engine *engine, struct error *error)
{
	return engine->store->ops->copy_begin(engine->store, error);
}

void engine_copy_read(struct engine *engine, struct store_copy *copy, struct engine_request *request)
{
	errands_read(&engine->errands, copy, request);
}

void engine_copy_end(struct engine *engine, struct store_copy *copy)
{
	engine->store->ops->copy_end(copy);
}

void engine_fetch(struct engine *engine, const struct graph *graph, struct engine_request *request)
{
	errands_fetch(&engine->errands, graph, request);
}

void engine_forget(struct engine *engine, struct engine_request *request)
{
	errands_forget(&engine->errands, request);
	if (request->list)
		requests_remove(request);
}

/* Commits. */

static void batch_durable(struct engine *engine, struct batch *batch)
{
	engine->committed_seq = batch->seq;
	engine->counters = batch->counters;
	batches_add_durable(&engine->batches, batch);
}

static void batch_answer(struct engine *engine, struct batch *batch)
{
	engine->host.publish(engine->host.arg, batch->seq);
	requests_answer(&batch->requests, NULL);
	act(&engine->core, engine->driver, &batch->update);
}

/* Who is answered may submit, but nothing is committed meanwhile. */
static void answer_durable(struct engine *engine)
{
	struct batch *batch;

	while ((batch = batches_first_durable(&engine->batches)) != NULL) {
		batch_answer(engine, batch);
		batches_drop_durable(&engine->batches);
	}
}

static int load(struct engine *engine, struct store_history *ret_history, struct error *error)
{
	return load_state(engine->store, &engine->host, &engine->batches, &engine->core, &engine->now, ret_history, error);
}

/* What the load has left half done is thrown away. */
static void lose(struct engine *engine, const struct error *why)
{
	engine->lost = true;
	error_set(&engine->lost_error, ERR_STORAGE, "the state cannot be read just now: %s", why->text);
	core_fini(&engine->core);
	core_init(&engine->core, &engine->core.config);
	batches_clear(&engine->batches);
	reports_close(&engine->reports);
	engine->resume_ms = engine->now.mono_ms + STORAGE_RETRY_MS;
	engine->host.storage(engine->host.arg, &engine->lost_error);
}

/* In place of a core that is not, or may not be, what is stored. */
static void load_again(struct engine *engine)
{
	struct error error;
	struct store_history history;

	core_fini(&engine->core);
	if (load(engine, &history, &error) < 0) {
		lose(engine, &error);
		return;
	}
	if (history.event_seq != engine->committed_seq) {
		error_set(&error, ERR_STORAGE, "it ends with event %" PRIu64 "; it should end with event %" PRIu64,
			history.event_seq, engine->committed_seq);
		lose(engine, &error);
		return;
	}
	engine->core.counters = engine->counters;
	engine->lost = false;
	engine->more = true;
	reports_open(&engine->reports);
}

static void storage_works(struct engine *engine)
{
	if (engine->resume_ms == 0)
		return;
	engine->resume_ms = 0;
	engine->host.storage(engine->host.arg, NULL);
}

static void roll_back(struct engine *engine, struct batch *flown, const struct error *failed)
{
	engine->host.retract(engine->host.arg, engine->committed_seq);
	batches_clear(&engine->batches);
	load_again(engine);
	engine->resume_ms = engine->now.mono_ms + STORAGE_RETRY_MS;
	requests_move(&engine->batches.filling->requests, &flown->requests);
	requests_answer(&flown->requests, failed);
}

static void commit_done(void *arg, const struct error *error)
{
	struct engine *engine = arg;
	struct batch *batch = engine->batches.flying;

	engine->batches.flying = NULL;
	if (error) {
		engine->reading = true; /* what is submitted now has not failed: it is queued */
		answer_durable(engine);
		engine->reading = false;
		engine->stats.commits_failed++;
		engine->host.storage(engine->host.arg, error);
		roll_back(engine, batch, error);
	} else {
		engine->stats.commits++;
		latency_add(&engine->stats.latency, engine->host.mono_us(engine->host.arg) - batch->handed_us);
		storage_works(engine);
		batch_durable(engine, batch);
	}
	engine_wake(engine);
}

/* The outcome does not count if a commit has failed meanwhile. The store is probed again then: that may have been
 * due already while this probe was under way, and nothing else would bring it about. */
static void probe_done(void *arg, const struct error *error)
{
	struct engine *engine = arg;
	bool counts = engine->probed_at == engine->stats.commits_failed;

	engine->probing = false;
	if (engine->resume_ms == 0 || engine->lost)
		return;
	if (counts && error) {
		read_clock(engine);
		engine->resume_ms = engine->now.mono_ms + STORAGE_RETRY_MS;
		engine->host.storage(engine->host.arg, error);
	} else if (counts) {
		storage_works(engine);
	}
	engine_wake(engine);
}

static void probe(struct engine *engine)
{
	if (engine->probing)
		return;
	engine->probing = true;
	engine->probed_at = engine->stats.commits_failed;
	engine->store->ops->probe(engine->store, probe_done, engine);
}

static void commit(struct engine *engine)
{
	struct batch *batch = batches_close(&engine->batches);
	const struct update *update = &batch->update;

	batch->seq = engine->host.last_seq(engine->host.arg);
	batch->counters = engine->core.counters;
	if (update->change_count == 0 && batch->seq == engine->committed_seq) {
		batch_durable(engine, batch);
		if (engine->resume_ms && engine->resume_ms <= engine->now.mono_ms)
			probe(engine);
		return;
	}
	engine->batches.flying = batch;
	core_changes_taken(&engine->core, update);
	batch->handed_us = engine->host.mono_us(engine->host.arg);
	engine->store->ops->commit(engine->store, &engine->core, update->changes, update->change_count, batch->seq,
		commit_done, engine);
}

/* Turns. */

/* What nobody asked for waits if there is no memory for it. Returns whether it was taken in. */
static bool step_internal(struct engine *engine, struct core_event *event)
{
	event->now = engine->now;
	if (admit(&engine->batches, &engine->core, event, NULL) < 0) {
		engine->starved = true;
		return false;
	}
	engine->stats.events++;
	core_step(&engine->core, event, &engine->batches.filling->update, NULL);
	return true;
}

static void take_reports(struct engine *engine)
{
	struct core_event event;

	for (int i = 0; i < REPORT_BUDGET && reports_first(&engine->reports, &event); i++) {
		const struct id *ahead = reports_id(&engine->reports, REPORT_AHEAD);

		if (ahead)
			core_prefetch(&engine->core, ahead);
		if (!step_internal(engine, &event))
			return;
		reports_pop(&engine->reports);
	}
}

static void take_queued(struct engine *engine)
{
	struct engine_request *request;

	while ((request = TAILQ_FIRST(&engine->queued)) != NULL) {
		requests_remove(request);
		if (step_request(engine, request))
			continue;
		requests_add_first(&engine->queued, request);
		return;
	}
}

/* While it is paused only what was requested is tried, even if nobody waits for it any more. */
static bool may_commit(const struct engine *engine)
{
	return engine->resume_ms <= engine->now.mono_ms || !filling_clean(engine) ||
		!TAILQ_EMPTY(&engine->batches.filling->requests);
}

/* Before every commit, so that what a step makes due (a new plan) is stored together with it. */
static void run(struct engine *engine)
{
	uint32_t budget = admit_small(&engine->batches) ? RUN_BUDGET : 0;

	engine->starved = engine->starved || budget == 0;
	engine->more = core_run(&engine->core, &engine->now, budget, &engine->batches.filling->update);
}

static void take_in(struct engine *engine)
{
	struct core_event tick = {.kind = CORE_TICK};

	engine->starved = false;
	take_queued(engine);
	if (!may_commit(engine))
		return;
	take_reports(engine);
	if (core_deadline(&engine->core) <= engine->now.mono_ms)
		step_internal(engine, &tick);
	run(engine);
}

/* Whether another round has something to do. While the store is at work and somebody waits to
 * read, nothing is taken in. */
static bool can_go_on(const struct engine *engine)
{
	bool reading = !TAILQ_EMPTY(&engine->readers);
	bool paused = engine->resume_ms > engine->now.mono_ms;

	if (engine->batches.durable_count > 0)
		return true;
	if (engine->lost)
		return !paused || reading || !TAILQ_EMPTY(&engine->queued);
	if (reading && engine_clean(engine))
		return true;
	if (!engine->batches.flying && !filling_idle(engine))
		return may_commit(engine);
	if (reading || engine->starved || filling_full(engine))
		return false;
	return !TAILQ_EMPTY(&engine->queued) ||
		(!paused && (engine->reports.count > 0 || engine->more));
}

/* What a reader submits is taken in after the others have read. */
static void answer_readers(struct engine *engine)
{
	if (!engine_clean(engine))
		return;
	engine->reading = true;
	requests_answer(&engine->readers, NULL);
	engine->reading = false;
}

/* Returns whether the state is there again; while it is not, whoever asks is told. */
static bool find_again(struct engine *engine)
{
	if (engine->resume_ms <= engine->now.mono_ms)
		load_again(engine);
	if (!engine->lost)
		return true;
	requests_answer(&engine->queued, &engine->lost_error);
	requests_answer(&engine->readers, &engine->lost_error);
	return false;
}

/* What has filled meanwhile goes to the store first. */
static void go_on_from_durable(struct engine *engine)
{
	if (engine->batches.durable_count == 0)
		return;
	if (!engine->batches.flying && !filling_idle(engine) && may_commit(engine)) {
		run(engine);
		commit(engine);
	}
	answer_durable(engine);
}

static void round_once(struct engine *engine)
{
	bool held;

	go_on_from_durable(engine);
	if (engine->lost && !find_again(engine))
		return;
	answer_readers(engine); /* before anything new is taken in: they have waited for this */
	held = filling_full(engine) ||
		(!TAILQ_EMPTY(&engine->readers) && !engine_clean(engine));
	if (!held)
		take_in(engine);
	else if (!engine->batches.flying)
		run(engine);
	if (!engine->batches.flying && may_commit(engine))
		commit(engine);
	answer_durable(engine);
	answer_readers(engine);
}

static void arm(struct engine *engine)
{
	int64_t deadline_ms;

	if (engine->lost || engine->resume_ms > engine->now.mono_ms)
		deadline_ms = engine->resume_ms;
	else if (filling_full(engine) || (!TAILQ_EMPTY(&engine->readers) && !engine_clean(engine)))
		deadline_ms = INT64_MAX; /* nothing is taken in until the commit is done, which wakes */
	else if (engine->starved)
		deadline_ms = engine->now.mono_ms + STARVED_RETRY_MS;
	else
		deadline_ms = core_deadline(&engine->core);
	if (deadline_ms == engine->armed_ms)
		return;
	engine->armed_ms = deadline_ms;
	engine->host.arm(engine->host.arg, deadline_ms);
}

void engine_turn(struct engine *engine)
{
	int64_t begun_ms;

	assert(!engine->turning);
	engine->woken = false;
	engine->turning = true;
	engine->stats.turns++;
	read_clock(engine);
	begun_ms = engine->now.mono_ms;
	if (engine->armed_ms <= begun_ms)
		engine->armed_ms = INT64_MAX; /* it is gone, even if what was due has to wait */
	errands_answer(&engine->errands, engine_lost(engine));
	do {
		round_once(engine);
		read_clock(engine);
	} while (can_go_on(engine) && engine->now.mono_ms - begun_ms < TURN_MAX_MS);
	engine->turning = false;
	admission_keep(&engine->batches, &engine->core);
	if (can_go_on(engine))
		engine_wake(engine);
	arm(engine);
}

struct core *engine_core(struct engine *engine)
{
	return &engine->core;
}

const struct engine_stats *engine_stats(const struct engine *engine)
{
	return &engine->stats;
}

struct engine *engine_new(const struct core_config *config, struct store *store,
	struct driver *driver, const struct engine_host *host, struct store_history *ret_history,
	struct error *error)
{
	struct engine *engine = mem_zalloc(1, sizeof *engine);

	engine->core.config = *config;
	engine->core.config.tasks_stored = store->ops->fetch != NULL;
	engine->store = store;
	engine->driver = driver;
	engine->host = *host;
	engine->armed_ms = INT64_MAX;
	reports_init(&engine->reports, wake, engine);
	driver->reports = reports_driver(&engine->reports);
	batches_init(&engine->batches, host->notice, host->arg);
	TAILQ_INIT(&engine->queued);
	TAILQ_INIT(&engine->readers);
	errands_init(&engine->errands, store, wake, engine);
	if (load(engine, ret_history, error) < 0 || admission_begin(&engine->batches, &engine->core, error) < 0) {
		engine_free(engine);
		return NULL;
	}
	engine->committed_seq = ret_history->event_seq;
	engine->more = true;
	engine_wake(engine);
	return engine;
}

void engine_free(struct engine *engine)
{
	if (!engine)
		return;
	engine->driver->ops->free(engine->driver);
	engine->store->ops->free(engine->store);
	errands_fini(&engine->errands);
	core_fini(&engine->core);
	batches_fini(&engine->batches);
	reports_fini(&engine->reports);
	mem_reserve_trim(0);
	free(engine);
}
