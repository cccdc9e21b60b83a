/* The loop of the simulation, its clocks and the host of the engine. */
#include "sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/mem.h"

enum {
	STEPS_MAX = 200000,     /* more than this is a livelock */
	CLOCK_READS_MAX = 20000, /* the same, within one turn */
	QUIET_MS = 24 * 3600 * 1000,
};

/* Chance. */

uint64_t sim_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

uint32_t sim_below(struct sim *sim, uint32_t limit)
{
	return limit ? (uint32_t)(sim_random(&sim->random) % limit) : 0;
}

bool sim_chance(struct sim *sim, uint32_t percent)
{
	return sim_below(sim, 100) < percent;
}

/* Telling. */

const char *sim_id(const struct id *id)
{
	static char texts[4][ID_TEXT_LEN + 1];
	static unsigned turn;
	char *text = texts[turn++ % 4];

	id_format_z(id, text);
	text[8] = '\0';
	return text;
}

void sim_fail(const struct sim *sim, const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	if (sim->about)
		fprintf(stderr, "%s: ", sim->about);
	fprintf(stderr, "sim: seed %llu, step %llu, at %lld ms: ", (unsigned long long)sim->seed,
		(unsigned long long)sim->steps, (long long)sim->mono_ms);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	exit(1);
}

void sim_say(const struct sim *sim, const char *format, ...)
{
	va_list arguments;

	if (!sim->verbose)
		return;
	printf("%6llu %8lld ms  ", (unsigned long long)sim->steps, (long long)sim->mono_ms);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

/* FNV-1a */
void sim_trace(struct sim *sim, const void *data, size_t len)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < len; i++)
		sim->trace = (sim->trace ^ bytes[i]) * 0x100000001b3;
}

/* Time. */

int64_t sim_wall_us(const struct sim *sim)
{
	return sim->wall_us + sim->mono_ms * 1000;
}

uint32_t sim_later(struct sim *sim, int64_t delay_ms, enum queue_kind kind, uint32_t a)
{
	return timers_add(&sim->queue, (struct timer){.deadline_ms = sim->mono_ms + delay_ms,
		.kind = kind, .a = a});
}

void sim_cancel(struct sim *sim, uint32_t *timer)
{
	if (*timer != TIMER_NONE)
		timers_cancel(&sim->queue, *timer);
	*timer = TIMER_NONE;
}

/* The host. */

static void host_now(void *arg, struct now *ret_now)
{
	struct sim *sim = arg;

	if (++sim->clock_reads > CLOCK_READS_MAX)
		sim_fail(sim, "a turn does not end");
	if (sim->config.slow_clock && sim_chance(sim, 20))
		sim->mono_ms += sim_below(sim, 4);
	*ret_now = (struct now){.mono_ms = sim->mono_ms, .wall_us = sim_wall_us(sim)};
}

static int64_t host_mono_us(void *arg)
{
	const struct sim *sim = arg;

	return sim->mono_ms * 1000;
}

static void host_wake(void *arg)
{
	struct sim *sim = arg;

	if (sim->turn_timer == TIMER_NONE)
		sim->turn_timer = sim_later(sim, sim_chance(sim, 20), QUEUE_TURN, 0);
}

static void host_arm(void *arg, int64_t deadline_ms)
{
	struct sim *sim = arg;
	int64_t delay_ms = deadline_ms - sim->mono_ms;

	sim_cancel(sim, &sim->deadline_timer);
	if (deadline_ms != INT64_MAX)
		sim->deadline_timer = sim_later(sim, delay_ms > 0 ? delay_ms : 0, QUEUE_DEADLINE, 0);
}

static void host_notice(void *arg, const struct notice *notice)
{
	model_notice(arg, notice);
}

static uint64_t host_last_seq(void *arg)
{
	const struct sim *sim = arg;

	return sim->event_seq;
}

static void host_publish(void *arg, uint64_t seq)
{
	struct sim *sim = arg;

	if (sim->dying)
		return;
	if (seq > sim->storage.rows.event_seq)
		sim_fail(sim, "event %llu is published, but only those up to %llu are durable",
			(unsigned long long)seq, (unsigned long long)sim->storage.rows.event_seq);
	if (seq < sim->published || seq > sim->event_seq)
		sim_fail(sim, "events up to %llu are published after %llu", (unsigned long long)seq,
			(unsigned long long)sim->published);
	model_publish(sim, seq);
}

static void host_retract(void *arg, uint64_t seq)
{
	struct sim *sim = arg;

	if (!sim->dying && seq != sim->storage.rows.event_seq)
		sim_fail(sim, "events after %llu are retracted, those up to %llu are durable",
			(unsigned long long)seq, (unsigned long long)sim->storage.rows.event_seq);
	model_retract(sim, seq);
}

static void host_storage(void *arg, const struct error *error)
{
	struct sim *sim = arg;

	sim->storage.told_failed = error != NULL;
	sim_say(sim, "storage: %s", error ? error->text : "works again");
}

/* The daemon comes and goes. */

void sim_boot(struct sim *sim)
{
	const struct engine_host host = {host_now, host_mono_us, host_wake, host_arm, host_notice,
		host_last_seq, host_publish, host_retract, host_storage, sim};
	struct error error = {0};
	struct store_history history;

	sim_say(sim, "boot");
	sim->dying = sim->storage.told_failed = false;
	sim->event_seq = sim->published = sim->storage.rows.event_seq;
	losses_boot(sim);
	sim->driver = world_driver_new(sim);
	sim->engine = engine_new(&sim->config.core, storage_store_new(sim), sim->driver, &host, &history,
		&error);
	if (!sim->engine)
		sim_fail(sim, "the stored state cannot be loaded: %s", error.text);
	if (history.event_seq != sim->storage.rows.event_seq)
		sim_fail(sim, "the event sequence was lost");
	if (!id_equal(&history.incarnation, &sim->storage.rows.incarnation))
		sim_fail(sim, "the incarnation was lost");
	sim->last_compared = UINT64_MAX;
	sim->loaded = true;
}

void sim_crash(struct sim *sim)
{
	sim_say(sim, "crash");
	sim->crashes++;
	request_drop_all(sim);
	engine_free(sim->engine);
	sim->engine = NULL;
	sim_cancel(sim, &sim->turn_timer);
	sim_cancel(sim, &sim->deadline_timer);
	storage_lose(sim);
	world_forget_inspections(sim);
	/* What is durable did happen, told or not. */
	model_publish(sim, sim->storage.rows.event_seq);
	model_retract(sim, sim->storage.rows.event_seq);
	sim_later(sim, sim_chance(sim, 50) ? 0 : sim_below(sim, 5000), QUEUE_RESTART, 0);
}

bool sim_dies(struct sim *sim)
{
	if (!sim->dying && sim->happenings_left > 0 && sim->config.die_within_millionths > 0)
		sim->dying = sim_below(sim, 1000000) < sim->config.die_within_millionths;
	return sim->dying;
}

static void do_turn(struct sim *sim, uint32_t *timer)
{
	*timer = TIMER_NONE;
	engine_turn(sim->engine);
}

static void do_one(struct sim *sim, const struct timer *timer)
{
	switch ((enum queue_kind)timer->kind) {
	case QUEUE_TURN:
		do_turn(sim, &sim->turn_timer);
		break;
	case QUEUE_DEADLINE:
		do_turn(sim, &sim->deadline_timer);
		break;
	case QUEUE_COMMIT:
		storage_timer(sim);
		break;
	case QUEUE_PROBE:
		storage_probe_timer(sim);
		break;
	case QUEUE_INSPECT:
		world_inspect_timer(sim, timer->a);
		break;
	case QUEUE_WORLD:
		world_timer(sim, timer->a);
		break;
	case QUEUE_HAPPENING:
		happen(sim);
		break;
	case QUEUE_RESTART:
		sim_boot(sim);
		break;
	case QUEUE_STORE_MENDS:
		sim->storage.failing = false;
		break;
	case QUEUE_LOADS_MEND:
		sim->storage.unreadable = false;
		break;
	case QUEUE_WORLD_MENDS:
		sim->world.flaky_percent = 0;
		break;
	}
}

bool sim_step_before(struct sim *sim, int64_t limit_ms)
{
	struct timer timer;

	if (!timers_pop(&sim->queue, limit_ms, &timer))
		return false;
	if (++sim->steps > STEPS_MAX)
		sim_fail(sim, "it does not come to rest");
	if (timer.deadline_ms > sim->mono_ms)
		sim->mono_ms = timer.deadline_ms;
	sim->clock_reads = 0;
	do_one(sim, &timer);
	if (sim->dying && sim->engine)
		sim_crash(sim);
	check_step(sim);
	return true;
}

bool sim_step(struct sim *sim)
{
	return sim_step_before(sim, INT64_MAX - 1);
}

void sim_settle(struct sim *sim)
{
	while (sim_step_before(sim, sim->mono_ms + QUIET_MS))
		;
}

static void sim_mend(struct sim *sim)
{
	sim->storage.failing = sim->storage.unreadable = false;
	sim->world.flaky_percent = 0;
	for (uint32_t v = 0; v <= VERSION_MAX; v++)
		sim->world.bad[v] = false;
}

void sim_restart_idle(struct sim *sim)
{
	const struct world before = sim->world;
	uint64_t events = sim->event_seq;

	sim_crash(sim);
	sim_settle(sim);
	check_rest(sim, true);
	if (sim->world.starts != before.starts || sim->world.stops != before.stops ||
		sim->world.kills != before.kills || sim->event_seq != events)
		sim_fail(sim, "a restart at rest was not idle");
}

/* Random things happen; then nothing fails any more, and everything must come to its end. */
void sim_run(struct sim *sim)
{
	sim_boot(sim);
	sim->happenings_left = sim->config.happenings;
	sim_later(sim, 0, QUEUE_HAPPENING, 0);
	while (sim->happenings_left > 0)
		sim_step(sim);
	sim_mend(sim);
	/* A commit that is to fail may be under way, and what is lost is loaded only when its time comes. */
	while (!sim->engine || sim->storage.done || sim->storage.lost)
		sim_step(sim);
	if (sim_chance(sim, 50)) {
		sim_settle(sim);
		check_rest(sim, false);
	}
	for (uint32_t i = engine_core(sim->engine)->group_count; i-- > 0;) {
		struct sim_request *request = request_new(sim);

		struct core_event *event = request_update(request,
			engine_core(sim->engine)->groups[i]->name, sim_below(sim, 8),
			1 + sim_below(sim, VERSION_MAX));

		/* Who was found unhealthy before min-ready is over has failed, and nothing may any more. */
		event->update.policy.min_ready_ms = 0;
		request_submit(request);
	}
	sim_settle(sim);
	check_rest(sim, true);
	if (sim_chance(sim, 10))
		sim_restart_idle(sim);
}

/* Beginning and end. */

static void new_id(void *arg, struct id *ret_id)
{
	struct sim *sim = arg;
	uint64_t half[2] = {sim_random(&sim->id_random), sim_random(&sim->id_random)};

	memcpy(ret_id->bytes, half, sizeof half);
}

void sim_config_calm(struct sim_config *config)
{
	*config = (struct sim_config){.groups = 1, .op_instant_percent = 100,
		.commit_instant_percent = 100};
	core_config_default(&config->core);
}

void sim_core_random(struct core_config *core, struct sim *random)
{
	core->max_groups = 2 + sim_below(random, 3);
	core->keep_graphs = sim_below(random, 5);
	core->keep_tasks = sim_below(random, 80);
	core->keep_specs = 1 + sim_below(random, 4);
	core->keep_nodes = sim_below(random, 7);
	core->retries = sim_below(random, 4);
	core->retry_delay_ms = 1 + sim_below(random, 1000);
	core->retry_max_ms = 1000 + sim_below(random, 4000);
	core->heal_delay_ms = 1 + sim_below(random, 3000);
	core->heal_max_ms = 3000 + sim_below(random, 10000);
	core->heal_reset_ms = 1 + sim_below(random, 20000);
}

void sim_config_random(struct sim_config *config, uint64_t seed)
{
	static const uint32_t delays_ms[] = {0, 5, 500, 6000};
	struct sim random = {.random = seed * 2 + 1};

	sim_config_calm(config);
	sim_core_random(&config->core, &random);
	config->core.seed = seed;
	config->groups = 1 + sim_below(&random, GROUP_NAMES);
	config->op_delay_max_ms = delays_ms[sim_below(&random, 4)];
	config->op_instant_percent = sim_below(&random, 4) * 15;
	config->commit_delay_max_ms = delays_ms[sim_below(&random, 4)] / 4;
	config->commit_instant_percent = sim_below(&random, 4) * 30;
	config->happenings = 50 + sim_below(&random, 100);
	config->gap_max_ms = sim_chance(&random, 50) ? 200 : 6000;
	config->crash_weight = sim_chance(&random, 50) ? 0 : 1 + sim_below(&random, 6);
	config->health_weight = sim_chance(&random, 70) ? 11 : 100;
	config->die_within_millionths = config->crash_weight ? 2000 : 0;
	config->unreadable_percent = sim_below(&random, 4) * 10;
	config->slow_clock = sim_chance(&random, 20);
	config->wall_jumps = sim_chance(&random, 50);
	config->gives_back = sim_chance(&random, 50);
	config->configure_weight = sim_chance(&random, 50) ? 0 : 1 + sim_below(&random, 10);
}

void sim_init(struct sim *sim, uint64_t seed, const struct sim_config *config)
{
	*sim = (struct sim){.seed = seed, .random = seed, .jump_random = ~seed,
		.id_random = seed ^ 0x5555555555555555, .config = *config,
		.mono_ms = 1000, .wall_us = 1700000000000000, .turn_timer = TIMER_NONE,
		.deadline_timer = TIMER_NONE, .commit_timer = TIMER_NONE,
		.probe_timer = TIMER_NONE};
	sim->config.core.new_id = new_id;
	sim->config.core.new_id_arg = sim;
	new_id(sim, &sim->storage.rows.incarnation);
	timers_init(&sim->queue);
	TAILQ_INIT(&sim->requests);
}

void sim_fini(struct sim *sim)
{
	request_drop_all(sim);
	engine_free(sim->engine);
	storage_fini(&sim->storage);
	model_fini(&sim->model);
	promises_fini(&sim->promises);
	floor_fini(sim);
	free(sim->noticed.items);
	timers_fini(&sim->queue);
}
