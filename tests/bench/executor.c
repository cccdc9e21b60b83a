/* The executor alone: the engine with the memory store and a driver that needs no time, in one
 * process and without a socket. Prints microseconds a task, or with -m bytes a node and a task.
 *
 * The host does what the daemon's does, but for a loop: it tells the time, and calls the engine as
 * long as there is something to do. What the driver has done it tells between two turns. Notices are
 * counted, or with -f also written as the event lines that a watcher would get. */
#include <getopt.h>
#include <limits.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "engine/engine.h"
#include "server/records.h"
#include "server/ring.h"

struct completion {
	struct id id;
	enum node_op op;
};

/* Answers in the order in which it was asked, when drain is called. */
struct instant_driver {
	struct driver driver;
	struct completion *queue; /* a ring; its capacity is a power of 2 */
	size_t head, count, capacity;
};

struct bench {
	struct engine *engine;
	struct instant_driver *driver;
	struct engine_request request;
	struct ring ring;
	bool format;
	bool woken;
	bool answered;
	bool ended;
	uint64_t seq;
	uint64_t random;
};

enum { KEEP_EVENTS = 100000, LANES = 100 };

static void driver_queue(struct driver *driver, const struct id *id, enum node_op op)
{
	struct instant_driver *self = (struct instant_driver *)driver;
	struct completion *place;

	if (self->count == self->capacity) {
		size_t capacity = self->capacity == 0 ? 1024 : self->capacity * 2;
		struct completion *queue = malloc(capacity * sizeof *queue);

		if (queue == NULL)
			bench_die("no memory");
		for (size_t i = 0; i < self->count; i++)
			queue[i] = self->queue[(self->head + i) & (self->capacity - 1)];
		free(self->queue);
		self->queue = queue;
		self->head = 0;
		self->capacity = capacity;
	}
	place = &self->queue[(self->head + self->count++) & (self->capacity - 1)];
	place->id = *id;
	place->op = op;
}

static void driver_start(struct driver *driver, const struct driver_node *node)
{
	driver_queue(driver, &node->id, OP_START);
}

static void driver_stop(struct driver *driver, const struct driver_node *node)
{
	driver_queue(driver, &node->id, OP_STOP);
}

static void driver_kill(struct driver *driver, const struct driver_node *node)
{
	driver_queue(driver, &node->id, OP_KILL);
}

static void driver_unasked(struct driver *driver, const struct driver_node *node)
{
	(void)driver;
	(void)node;
	bench_die("the driver was asked what no measurement needs");
}

static void driver_free(struct driver *driver)
{
	struct instant_driver *self = (struct instant_driver *)driver;

	free(self->queue);
	free(self);
}

static const struct driver_ops instant_ops = {
	.name = "instant",
	.start = driver_start,
	.stop = driver_stop,
	.cancel = driver_unasked,
	.kill = driver_kill,
	.inspect = driver_unasked,
	.free = driver_free,
};

/* Tells what was done up to now; what is asked meanwhile is told the next time. */
static void driver_drain(struct instant_driver *self)
{
	const struct driver_reports *reports = &self->driver.reports;

	for (size_t count = self->count; count > 0; count--) {
		struct completion completion = self->queue[self->head];

		self->head = (self->head + 1) & (self->capacity - 1);
		self->count--;
		reports->done(reports->arg, &completion.id, completion.op, RESULT_OK, NULL);
	}
}

static int64_t clock_us(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void host_now(void *arg, struct now *ret_now)
{
	(void)arg;
	ret_now->mono_ms = clock_us(CLOCK_MONOTONIC) / 1000;
	ret_now->wall_us = clock_us(CLOCK_REALTIME);
}

static int64_t host_mono_us(void *arg)
{
	(void)arg;
	return clock_us(CLOCK_MONOTONIC);
}

static void host_wake(void *arg)
{
	((struct bench *)arg)->woken = true;
}

static void host_arm(void *arg, int64_t deadline_ms)
{
	(void)arg;
	(void)deadline_ms;
}

static void notice_write(struct ring *ring, const struct notice *notice)
{
	struct ring_event event = {
		.graph = notice->graph == NULL ? RING_NO_GRAPH : notice->graph->serial,
		.group = notice->group->index,
		.kinds = 1,
	};

	records_event(ring_begin(ring), ring->last + 1, notice);
	ring_end(ring, &event);
}

static void host_notice(void *arg, const struct notice *notice)
{
	struct bench *bench = arg;

	bench->seq++;
	if (bench->format)
		notice_write(&bench->ring, notice);
	if (notice->type == EVENT_GRAPH_SUCCEEDED)
		bench->ended = true;
	if (notice->type == EVENT_GRAPH_FAILED || notice->type == EVENT_GRAPH_SUPERSEDED)
		bench_die("a graph did not succeed");
}

static uint64_t host_last_seq(void *arg)
{
	return ((struct bench *)arg)->seq;
}

static void host_publish(void *arg, uint64_t seq)
{
	struct bench *bench = arg;

	if (bench->format)
		ring_publish(&bench->ring, seq);
}

static void host_retract(void *arg, uint64_t seq)
{
	(void)arg;
	(void)seq;
	bench_die("the memory store failed");
}

static void host_storage(void *arg, const struct error *error)
{
	(void)arg;
	if (error != NULL)
		bench_die("%s", error->text);
}

/* Ids as random as any, and the same in every run. */
static void new_id(void *arg, struct id *ret_id)
{
	struct bench *bench = arg;

	for (unsigned i = 0; i < sizeof ret_id->bytes; i++) {
		bench->random ^= bench->random << 13;
		bench->random ^= bench->random >> 7;
		bench->random ^= bench->random << 17;
		ret_id->bytes[i] = (uint8_t)(bench->random >> 32);
	}
	ret_id->bytes[6] = (uint8_t)(0x40 | (ret_id->bytes[6] & 0x0f));
	ret_id->bytes[8] = (uint8_t)(0x80 | (ret_id->bytes[8] & 0x3f));
}

static void bench_init(struct bench *bench, bool format, bool keep)
{
	struct engine_host host = {
		.now = host_now, .mono_us = host_mono_us, .wake = host_wake, .arm = host_arm,
		.notice = host_notice, .last_seq = host_last_seq, .publish = host_publish, .retract = host_retract,
		.storage = host_storage, .arg = bench,
	};
	struct id_source ids = {.new_id = new_id, .arg = bench};
	struct store_history history;
	struct core_config config;
	struct error error;

	memset(bench, 0, sizeof *bench);
	bench->format = format;
	bench->random = 88172645463325252u;
	core_config_default(&config);
	config.new_id = new_id;
	config.new_id_arg = bench;
	if (!keep)
		config.keep_tasks = 0;
	bench->driver = calloc(1, sizeof *bench->driver);
	if (bench->driver == NULL)
		bench_die("no memory");
	bench->driver->driver.ops = &instant_ops;
	if (format)
		ring_init(&bench->ring, KEEP_EVENTS, 0);
	bench->engine = engine_new(&config, store_memory_new(&ids), &bench->driver->driver, &host,
		&history, &error);
	if (bench->engine == NULL)
		bench_die("%s", error.text);
	bench->seq = history.event_seq;
}

static void bench_fini(struct bench *bench)
{
	engine_free(bench->engine);
	if (bench->format)
		ring_fini(&bench->ring);
}

static void request_done(struct engine_request *request, const struct error *failed)
{
	struct bench *bench = (struct bench *)((char *)request - offsetof(struct bench, request));

	if (failed != NULL)
		bench_die("%s", failed->text);
	bench->answered = true;
}

static void update_submit(struct bench *bench, uint32_t size, uint64_t version,
	uint32_t unavailable)
{
	struct core_event *event = &bench->request.event;

	memset(&bench->request, 0, sizeof bench->request);
	bench->request.done = request_done;
	event->kind = CORE_UPDATE;
	event->update.group = "default";
	event->update.size = size;
	event->update.version = version;
	event->update.policy.max_unavailable.value = unavailable;
	strcpy(event->origin.user, "bench");
	bench->answered = bench->ended = false;
	engine_submit(bench->engine, &bench->request);
}

static void pass(struct bench *bench)
{
	if (!bench->woken && bench->driver->count == 0)
		bench_die("the engine waits, and nothing is under way");
	bench->woken = false;
	driver_drain(bench->driver);
	engine_turn(bench->engine);
}

static uint64_t cpu_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* From the request to the end of its graph, and to the last turn after that. Nothing here ever
 * waits, so the time is processor time, which others on the machine do not count into. */
static uint64_t update_run(struct bench *bench, uint32_t size, uint64_t version,
	uint32_t unavailable)
{
	uint64_t start_ns = cpu_now_ns();

	update_submit(bench, size, version, unavailable);
	while (!bench->answered || !bench->ended || bench->woken || bench->driver->count > 0)
		pass(bench);
	return cpu_now_ns() - start_ns;
}

static const struct group *group_default(const struct bench *bench)
{
	return core_group_find(engine_core(bench->engine), "default");
}

static uint32_t tasks_of_last(const struct bench *bench)
{
	return TAILQ_LAST(&group_default(bench)->graphs, graph_list)->task_count;
}

static void result_check(const struct bench *bench, uint32_t size, uint64_t version)
{
	const struct group *group = group_default(bench);
	struct core *core = engine_core(bench->engine);

	if (group->available != size || group->live != size)
		bench_die("%u nodes live and %u are available, not %u", group->live,
			group->available, size);
	for (uint32_t slot = 0; slot < size; slot++)
		if (node_at(&core->nodes, group_slot_node(group, slot))->version != version)
			bench_die("slot %u is not at version %llu", slot, (unsigned long long)version);
}

/* The time of one change of about so many tasks, in a daemon of its own. */
static double measure_once(uint32_t unavailable, uint32_t tasks, bool format, uint32_t *ret_tasks)
{
	struct bench bench;
	uint32_t size = unavailable == 0 ? tasks : tasks / 2;
	uint64_t ns, events;

	bench_init(&bench, format, true);
	ns = update_run(&bench, size, 1, 1);
	events = bench.seq;
	if (unavailable > 0) {
		ns = update_run(&bench, size, 2, unavailable);
		events = bench.seq - events;
	}
	result_check(&bench, size, unavailable == 0 ? 1 : 2);
	*ret_tasks = tasks_of_last(&bench);
	if (*ret_tasks < tasks || events < 2 * (uint64_t)tasks)
		bench_die("%u tasks and %llu events are too few", *ret_tasks,
			(unsigned long long)events);
	bench_fini(&bench);
	return (double)ns;
}

static int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* The kernel's supply of pages costs more than the work on them where memory is virtual twice. Warm
 * is without it: the allocator keeps all that it got, and a run before has got it. */
static void memory_warm(uint32_t unavailable, uint32_t tasks, bool format)
{
	uint32_t made;

	mallopt(M_MMAP_MAX, 0);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	measure_once(unavailable, tasks, format, &made);
}

static void measure_time(const char *name, uint32_t unavailable, uint32_t tasks, bool format,
	bool warm, unsigned repeats)
{
	double *ns = calloc(repeats, sizeof *ns);
	uint32_t made = 0;

	if (ns == NULL)
		bench_die("no memory");
	if (warm)
		memory_warm(unavailable, tasks, format);
	for (unsigned i = 0; i < repeats; i++)
		ns[i] = measure_once(unavailable, tasks, format, &made);
	qsort(ns, repeats, sizeof *ns, by_value);
	printf("case=%s tasks=%u seconds=%.6f us_per_task=%.4f min_us_per_task=%.4f\n", name, made,
		ns[repeats / 2] / 1e9, ns[repeats / 2] / 1000 / made, ns[0] / 1000 / made);
	free(ns);
}

static double used(void)
{
	struct mallinfo2 info = mallinfo2();

	return (double)info.uordblks + (double)info.hblkhd;
}

/* Nodes and their graph; then an empty graph takes its place, and the nodes are left; then a
 * graph that replaces them all, while it runs and when it has ended. */
static void measure_memory(uint32_t size)
{
	struct bench bench;
	double before, both, nodes, running, after;
	uint32_t grown, replaced;

	before = used();
	bench_init(&bench, false, false);
	update_run(&bench, size, 1, 1);
	grown = tasks_of_last(&bench);
	both = used();
	update_run(&bench, size, 1, 1);
	if (tasks_of_last(&bench) != 0 || group_default(&bench)->ended_tasks != 0)
		bench_die("the first graph is still there");
	nodes = used();
	update_submit(&bench, size, 2, LANES);
	while (!bench.answered)
		pass(&bench);
	running = used();
	while (!bench.ended || bench.woken || bench.driver->count > 0)
		pass(&bench);
	after = used();
	replaced = tasks_of_last(&bench);
	result_check(&bench, size, 2);
	printf("case=memory nodes=%u tasks=%u node_bytes=%.1f grow_task_bytes=%.1f "
		"replace_task_bytes=%.1f replace_task_bytes_running=%.1f\n", size, replaced,
		(nodes - before) / size, (both - nodes) / grown, (after - nodes) / replaced,
		(running - nodes) / replaced);
	bench_fini(&bench);
}

static void usage(void)
{
	bench_die("usage: executor [-fw] [-r REPEATS] -n TASKS grow|chain|lanes | -m -n NODES");
}

/* The name of a case, and how many nodes it replaces at a time; 0: it starts them. */
static uint32_t case_unavailable(const char *name)
{
	if (strcmp(name, "grow") == 0)
		return 0;
	if (strcmp(name, "chain") == 0)
		return 1;
	if (strcmp(name, "lanes") != 0)
		usage();
	return LANES;
}

int main(int argc, char **argv)
{
	unsigned repeats = 1;
	uint32_t count = 0;
	bool format = false, memory = false, warm = false;
	int option;

	while ((option = getopt(argc, argv, "fmn:r:w")) != -1) {
		switch (option) {
		case 'f': format = true; break;
		case 'm': memory = true; break;
		case 'n': count = (uint32_t)bench_number(optarg, 2 * LIMIT_SIZE); break;
		case 'r': repeats = (unsigned)bench_number(optarg, 10000); break;
		case 'w': warm = true; break;
		default: usage();
		}
	}
	if (count == 0 || optind + !memory != argc)
		usage();
	if (memory)
		measure_memory(count);
	else
		measure_time(argv[optind], case_unavailable(argv[optind]), count, format, warm, repeats);
	return 0;
}
