/* Plans as bytes: every plan comes back as it was, takes little room, and bytes that are no plan are found
 * out or make one that is sound. */
#include <stdbool.h>

#include "planner_trial.h"
#include "proto/buf.h"
#include "proto/limits.h"
#include "store/plan.h"
#include "unit.h"

static void graph_release(struct graph *graph)
{
	free(graph->tasks);
	free(graph->prereqs);
	free(graph->dependents);
}

/* ---- comparing ----------------------------------------------------------------------------- */

static bool task_same(const struct task *a, const struct task *b)
{
	return id_equal(&a->node, &b->node) && a->version == b->version && a->slot == b->slot &&
		a->prereqs == b->prereqs && a->dependents == b->dependents &&
		a->action == b->action && a->description == b->description &&
		a->state == b->state && a->gate == b->gate && a->pending == b->pending &&
		a->attempt == b->attempt && a->error == b->error &&
		a->started_us == b->started_us && a->finished_us == b->finished_us &&
		a->changed == b->changed;
}

static void compare_plans(const struct graph *a, const struct graph *b)
{
	size_t edges = a->edge_count * sizeof(uint32_t);

	must(a->task_count == b->task_count && a->edge_count == b->edge_count);
	for (uint32_t t = 0; t < a->task_count; t++)
		must(task_same(&a->tasks[t], &b->tasks[t]));
	must(a->tasks[a->task_count].prereqs == b->tasks[b->task_count].prereqs);
	must(a->tasks[a->task_count].dependents == b->tasks[b->task_count].dependents);
	must(edges == 0 || memcmp(a->prereqs, b->prereqs, edges) == 0);
	must(edges == 0 || memcmp(a->dependents, b->dependents, edges) == 0);
}

/* The number of bytes that the plan takes. */
static size_t round_trip(const struct graph *graph)
{
	struct graph decoded = {.id = graph->id};
	struct buf buf = BUF_INIT;
	struct error error;
	size_t len;

	plan_encode(&buf, graph);
	if (plan_decode(&decoded, graph->task_count, buf.data, buf.len, &error) < 0)
		ck_abort_msg("seed %" PRIu64 ": %s", unit_seed, error.text);
	compare_plans(graph, &decoded);
	graph_release(&decoded);
	len = buf.len;
	buf_fini(&buf);
	return len;
}

/* ---- plans of the planner ------------------------------------------------------------------ */

static uint64_t bytes_in_all, tasks_in_all;

static void take_plan(struct trial *trial, struct run *run)
{
	(void)run;
	bytes_in_all += round_trip(&trial->graph);
	tasks_in_all += trial->graph.task_count;
}

static void take_group(const uint8_t *kinds, uint32_t count)
{
	struct trial trial;

	targets_walk(&trial, kinds, count, take_plan);
}

START_TEST(every_small_plan)
{
	groups_walk(all_kinds, KINDS, 5, take_group);
	groups_walk(all_kinds, MARKED_KINDS, 2, take_group);
	printf("%" PRIu64 " plans, %.1f bytes a task\n", case_count,
		(double)bytes_in_all / (double)tasks_in_all);
}
END_TEST

/* A plan for many nodes, all of them available and at the other version. */
static void large_plan(const char *what, uint32_t nodes, uint32_t size, uint32_t unavailable,
	double most)
{
	struct plan_node *list = calloc(nodes + 1, sizeof *list);
	struct plan_target target = {.size = size, .version = WANTED, .unavailable = unavailable};
	struct graph graph = {.id.bytes = {1, 2, 3}};
	struct error error;
	double bytes;

	for (uint32_t i = 0; i < nodes; i++) {
		list[i] = (struct plan_node){.version = OTHER, .slot = i, .health = PLAN_AVAILABLE};
		for (size_t b = 0; b < sizeof list[i].id.bytes; b++)
			list[i].id.bytes[b] = (uint8_t)random_next();
	}
	ck_assert_int_eq(plan_make(&graph, list, nodes, &target, &error), 0);
	bytes = (double)round_trip(&graph) / graph.task_count;
	printf("%s: %u tasks, %u edges, %.2f bytes a task\n", what, graph.task_count,
		graph.edge_count, bytes);
	ck_assert_double_lt(bytes, most);
	graph_release(&graph);
	free(list);
}

/* A stop has the 16 bytes of its node's id, and is half of a replacement. */
START_TEST(large_plans)
{
	enum { NODES = 100000 };

	unit_take_seed();
	large_plan("starts in an empty group", 0, NODES, 1, 4);
	large_plan("a chain of replacements", NODES, NODES, 1, 16);
	large_plan("100 lanes of replacements", NODES, NODES, 100, 16);
	large_plan("stops of a whole group", NODES, 0, 100, 22);
	large_plan("a group that halves", NODES, NODES / 2, 100, 22);
}
END_TEST

/* ---- plans of chance ----------------------------------------------------------------------- */

static void random_bytes(void *to, size_t len)
{
	for (size_t i = 0; i < len; i++)
		((uint8_t *)to)[i] = (uint8_t)random_next();
}

/* A number of random length. */
static uint64_t random_number(unsigned bits)
{
	return random_next() >> (64 - bits) >> random_below(bits);
}

static void random_task(struct graph *graph, uint32_t number)
{
	struct task *task = &graph->tasks[number];

	*task = (struct task){.action = (uint8_t)random_below(TASK_ACTION_COUNT),
		.gate = GATE_PREREQS, .prereqs = graph->edge_count};
	if (task->action == ACTION_DO_NOTHING)
		task->description = (uint8_t)(1 + random_below(TASK_DESCRIPTION_COUNT - 1));
	if (task->action != ACTION_DO_NOTHING || task->description == DESCRIPTION_SETTLE) {
		task->slot = random_below(2) ? random_below(2 * LIMIT_SIZE + 1)
					     : (uint32_t)random_number(20);
		task->version = random_number(64);
		random_bytes(&task->node, sizeof task->node);
	}
	if (task->action == ACTION_START_NODE)
		task->node = plan_node_id(&graph->id, number);
	if (random_below(3) == 0)
		return;
	/* Rising, in runs and with gaps. */
	for (uint32_t at = random_below(number + 1); at < number && random_below(4) != 0;
		at += random_below(3) ? 1 : 1 + random_below(number)) {
		graph->prereqs[graph->edge_count++] = at;
		task->pending++;
		if (task->pending == 4)
			return;
	}
}

/* A graph as no planner makes it: any kind of task, on any node, behind any. */
static void random_graph(struct graph *graph, uint32_t most)
{
	*graph = (struct graph){.task_count = random_below(most + 1)};
	random_bytes(&graph->id, sizeof graph->id);
	graph->tasks = calloc(graph->task_count + 1, sizeof *graph->tasks);
	graph->prereqs = calloc(4 * ((size_t)graph->task_count + 1), sizeof *graph->prereqs);
	ck_assert(graph->tasks != NULL && graph->prereqs != NULL);
	for (uint32_t t = 0; t < graph->task_count; t++)
		random_task(graph, t);
	ck_assert_int_eq(graph_link(graph), 0);
}

START_TEST(random_plans)
{
	unit_take_seed();
	for (uint32_t i = 0; i < 20000; i++) {
		struct graph graph;

		random_graph(&graph, i % 100 == 0 ? 2000 : 40);
		round_trip(&graph);
		graph_release(&graph);
	}
}
END_TEST

/* ---- bytes that are no plan ---------------------------------------------------------------- */

static uint64_t taken, refused;

static void check_task(const struct graph *graph, uint32_t number)
{
	const struct task *task = &graph->tasks[number];
	struct id derived = plan_node_id(&graph->id, number), none = {0};
	bool node = !id_equal(&task->node, &none);
	uint32_t count;
	const uint32_t *prereqs = graph_prereqs(graph, number, &count);

	must(task->state == TASK_WAITING && task->gate == GATE_PREREQS && task->pending == count);
	must(task->action < TASK_ACTION_COUNT && task->description < TASK_DESCRIPTION_COUNT);
	must((task->action == ACTION_DO_NOTHING) == (task->description != DESCRIPTION_NONE));
	must(node == (task->action != ACTION_DO_NOTHING || task->description == DESCRIPTION_SETTLE));
	must(task->action != ACTION_START_NODE || id_equal(&task->node, &derived));
	must(task->slot <= 2 * LIMIT_SIZE);
	for (uint32_t i = 0; i < count; i++)
		must(prereqs[i] < number);
}

/* That the edges stand in both directions, and that all is as a task may be. */
static void check_plan(const struct graph *graph)
{
	uint64_t edges = 0, sum = 0;

	for (uint32_t t = 0; t < graph->task_count; t++) {
		uint32_t count;
		const uint32_t *list;

		check_task(graph, t);
		graph_prereqs(graph, t, &count);
		sum += (uint64_t)t * count;
		list = graph_dependents(graph, t, &count);
		edges += count;
		for (uint32_t i = 0; i < count; i++) {
			must(list[i] > t && list[i] < graph->task_count);
			sum -= list[i];
		}
	}
	must(edges == graph->edge_count && sum == 0);
}

static void decode_any(const void *data, size_t len, uint32_t task_count)
{
	/* In a block of its own, so that reading behind it shows. */
	uint8_t *bytes = malloc(len + 1), *end;
	struct graph graph = {.id.bytes = {1, 2, 3}};
	struct error error = {ERR_INTERNAL, ""};

	must(bytes != NULL);
	end = bytes + 1;
	if (len > 0)
		memcpy(end, data, len);
	if (plan_decode(&graph, task_count, end, len, &error) == 0) {
		must(graph.task_count == task_count);
		check_plan(&graph);
		graph_release(&graph);
		taken++;
	} else {
		must(error.code == ERR_STORAGE && error.text[0] != '\0');
		must(!graph.tasks && !graph.prereqs && !graph.dependents);
		must(graph.task_count == 0 && graph.edge_count == 0);
		refused++;
	}
	free(bytes);
}

static void damage(const struct buf *buf, uint32_t count)
{
	for (size_t len = 0; len < buf->len; len++)
		decode_any(buf->data, len, count);
	for (size_t bit = 0; bit < buf->len * 8; bit++) {
		buf->data[bit / 8] ^= (char)(1 << bit % 8);
		decode_any(buf->data, buf->len, count);
		buf->data[bit / 8] ^= (char)(1 << bit % 8);
	}
}

START_TEST(damaged_plans)
{
	unit_take_seed();
	taken = refused = 0;
	for (uint32_t i = 0; i < 400; i++) {
		struct buf buf = BUF_INIT;
		struct graph graph;

		random_graph(&graph, 1 + i / 16);
		plan_encode(&buf, &graph);
		damage(&buf, graph.task_count);
		decode_any(buf.data, buf.len, graph.task_count + 1);
		if (graph.task_count > 0)
			decode_any(buf.data, buf.len, graph.task_count - 1);
		graph_release(&graph);
		buf_fini(&buf);
	}
	printf("damaged plans: %" PRIu64 " refused, %" PRIu64 " are plans\n", refused, taken);
	ck_assert(refused > 0 && taken > 0);
}
END_TEST

/* Bytes of chance, most of them small, so that they get further. */
START_TEST(bytes_of_chance)
{
	unit_take_seed();
	taken = refused = 0;
	for (uint32_t i = 0; i < 300000; i++) {
		uint8_t bytes[48];
		size_t len = random_below(sizeof bytes + 1);
		unsigned bits = 1 + random_below(8);

		for (size_t b = 0; b < len; b++)
			bytes[b] = (uint8_t)random_number(bits);
		decode_any(bytes, len, random_below(12));
	}
	printf("bytes of chance: %" PRIu64 " refused, %" PRIu64 " are plans\n", refused, taken);
	ck_assert_uint_gt(taken, 0);
}
END_TEST

/* Numbers that only much memory could keep what they promise. */
START_TEST(promises)
{
	static const uint8_t endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff};
	static const uint8_t many_edges[] = {0xff, 0xff, 0xff, 0xff, 0x0f, 0x02, 0x00};
	static const uint8_t long_run[] = {4, 2, 0, 2, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f};
	static const uint8_t many_runs[] = {4, 6, 0, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};

	refused = 0;
	decode_any(endless, sizeof endless, 2);
	decode_any(many_edges, sizeof many_edges, 1);
	decode_any(long_run, sizeof long_run, 2);
	decode_any(many_runs, sizeof many_runs, 2);
	decode_any("", 0, UINT32_MAX - 1);
	decode_any(many_runs, sizeof many_runs, UINT32_MAX - 1);
	decode_any(many_runs, sizeof many_runs, UINT32_MAX);
	ck_assert_uint_eq(refused, 7);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store, plans");
	TCase *tests = tcase_create("store, plans");

	tcase_set_timeout(tests, 300);
	tcase_add_test(tests, every_small_plan);
	tcase_add_test(tests, large_plans);
	tcase_add_test(tests, random_plans);
	tcase_add_test(tests, damaged_plans);
	tcase_add_test(tests, bytes_of_chance);
	tcase_add_test(tests, promises);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
