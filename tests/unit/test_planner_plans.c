/* Plans, task by task. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/planner.h"
#include "unit.h"

enum { NODES = 16, TEXT = 4096 };

/* One row: a group, slot by slot, as words: a(vailable) r(eadying) s(tarting) b(roken) x (stopping), the
 * version, * where it is marked; - is a free slot. What it is to become. And its plan: tasks with
 * their prerequisites, what they do and in which slot, then the bounds, then the slots of the nodes that
 * are released. */
struct row {
	const char *nodes;
	uint32_t size;
	uint64_t version;
	const char *surge, *unavailable;
	const char *plan;
};

static size_t nodes_read(const char *text, struct plan_node *nodes)
{
	static const char letters[] = "arsbx";
	size_t count = 0;
	uint32_t slot = 0;

	for (; *text; slot++) {
		if (*text != '-') {
			struct plan_node *node = &nodes[count++];

			must(count <= NODES && strchr(letters, *text) != NULL);
			memset(node, 0, sizeof *node);
			node->health = (uint8_t)(strchr(letters, *text++) - letters);
			node->version = (uint64_t)(*text - '0');
			node->marked = text[1] == '*';
			node->slot = slot;
			node->id.bytes[0] = (uint8_t)(slot + 1);
		}
		text += strcspn(text, " ");
		text += strspn(text, " ");
	}
	return count;
}

static struct amount amount_read(const char *text)
{
	return (struct amount){.value = (uint32_t)atoi(text), .percent = strchr(text, '%') != NULL};
}

static void task_write(FILE *out, const struct graph *graph, uint32_t number)
{
	static const struct id none;
	const struct task *task = &graph->tasks[number];
	struct id start = plan_node_id(&graph->id, number);
	struct id node = {{(uint8_t)(task->slot + 1)}};
	uint32_t count;
	const uint32_t *prereqs = graph_prereqs(graph, number, &count);

	fprintf(out, "%u ", number);
	for (uint32_t i = 0; i < count; i++)
		fprintf(out, "%s%u%s", i ? " " : "[", prereqs[i], i == count - 1 ? "] " : "");
	if (task->action == ACTION_START_NODE) {
		fprintf(out, "start(%d) %u\n", (int)task->version, task->slot);
		must(id_equal(&task->node, &start));
	} else if (task->action == ACTION_SHUT_DOWN_NODE) {
		fprintf(out, "stop %u\n", task->slot);
		must(id_equal(&task->node, &node));
	} else if (task->description == DESCRIPTION_SETTLE) {
		fprintf(out, "Settle %u\n", task->slot);
		must(id_equal(&task->node, &node));
	} else {
		fprintf(out, "%s\n", task_description_name(task->description));
		must(id_equal(&task->node, &none));
	}
}

static void plan_write(FILE *out, const struct row *row)
{
	struct plan_node nodes[NODES];
	struct policy policy = {
		.max_surge = amount_read(row->surge), .max_unavailable = amount_read(row->unavailable)};
	struct plan_target target = plan_target(row->size, row->version, &policy);
	struct graph graph = {.id = {{1, 2, 3}}};
	size_t count = nodes_read(row->nodes, nodes);
	struct error error;

	must(plan_make(&graph, nodes, count, &target, &error) == 0);
	for (uint32_t i = 0; i < graph.task_count; i++)
		task_write(out, &graph, i);
	fprintf(out, "%u..%u\n", graph.min_available, graph.max_live);
	for (size_t i = 0; i < count; i++)
		if (nodes[i].release)
			fprintf(out, "release %u\n", nodes[i].slot);
	free(graph.tasks);
	free(graph.prereqs);
	free(graph.dependents);
}

static void rows_check(const struct row *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char text[TEXT] = "";
		FILE *out = fmemopen(text, sizeof text, "w");

		must(out != NULL);
		plan_write(out, &rows[i]);
		fclose(out);
		ck_assert_msg(!strcmp(text, rows[i].plan),
			"\"%s\" to %u at %d, surge %s, unavailable %s; the plan is\n%sand not\n%s",
			rows[i].nodes, rows[i].size, (int)rows[i].version, rows[i].surge,
			rows[i].unavailable, text, rows[i].plan);
	}
}

#define ROWS(...) \
	static const struct row rows[] = {__VA_ARGS__}; \
	rows_check(rows, sizeof rows / sizeof rows[0])

/* The plans of the prototype, and that nothing to do is no task. */
START_TEST(design)
{
	ROWS(
		{"", 3, 1, "0", "1",
			"0 start(1) 0\n1 start(1) 1\n2 start(1) 2\n3 [0 1 2] StartNodes\n"
			"0..3\n"},
		{"a1 a1 a1", 3, 2, "0", "1",
			"0 stop 2\n1 [0] start(2) 2\n2 [1] stop 1\n3 [2] start(2) 1\n"
			"4 [3] stop 0\n5 [4] start(2) 0\n2..3\n"},
		{"a1 a1 a1", 0, 1, "0", "1",
			"0 stop 2\n1 stop 1\n2 stop 0\n3 [0 1 2] KillSome\n0..3\n"},
		{"a1 a1 a1", 0, 2, "0", "1",
			"0 stop 2\n1 stop 1\n2 stop 0\n3 [0 1 2] KillSome\n0..3\n"},
		{"a1 a1 a1", 3, 1, "0", "1",
			"2..3\n"},
		{"", 0, 1, "0", "1",
			"0..0\n"});
}
END_TEST

/* Starts take the lowest free slots; an upgrade follows behind them. */
START_TEST(grow)
{
	ROWS(
		{"a1", 2, 1, "0", "1",
			"0 start(1) 1\n1 [0] StartNodes\n1..2\n"},
		{"- a1 - a1", 5, 1, "0", "1",
			"0 start(1) 0\n1 start(1) 2\n2 start(1) 4\n3 [0 1 2] StartNodes\n"
			"2..5\n"},
		{"a1 a1", 4, 2, "0", "1",
			"0 start(2) 2\n1 start(2) 3\n2 [0 1] StartNodes\n3 [2] stop 1\n"
			"4 [3] start(2) 1\n5 [4] stop 0\n6 [5] start(2) 0\n2..4\n"},
		{"a1 a1", 3, 2, "1", "0",
			"0 start(2) 2\n1 [0] StartNodes\n2 [1] start(2) 3\n3 [2] stop 1\n"
			"4 [3] start(2) 1\n5 [4] stop 0\n2..4\n"});
}
END_TEST

/* The highest slots go; with a new version one pair proves it, then the rest is culled. */
START_TEST(shrink)
{
	ROWS(
		{"a1 a1 a1", 2, 1, "0", "1",
			"0 stop 2\n1 [0] KillSome\n1..3\n"},
		{"a1 a1 a1 a1", 2, 2, "0", "1",
			"0 stop 1\n1 [0] start(2) 1\n2 [1] stop 3\n3 [1] stop 2\n"
			"4 [2 3] KillSome\n5 [4] stop 0\n6 [5] start(2) 0\n1..4\n"},
		{"a1 a1 a1 a1", 2, 2, "1", "0",
			"0 stop 1\n1 [0] start(2) 1\n2 [1] stop 3\n3 [1] stop 2\n"
			"4 [2 3] KillSome\n5 [4] start(2) 4\n6 [5] stop 0\n2..4\n"},
		{"a1 a1 a1 a2", 2, 2, "0", "1",
			"0 stop 2\n1 stop 1\n2 [0 1] KillSome\n3 [2] stop 0\n"
			"4 [3] start(2) 0\n1..4\n"},
		{"a1 a1 a1 b1", 2, 2, "0", "1",
			"0 stop 3\n1 [0] start(2) 3\n2 [1] stop 1\n3 [1] stop 2\n"
			"4 [0 2 3] KillSome\n5 [4] stop 0\n6 [5] start(2) 0\n1..4\n"},
		{"a1 a1 a1", 1, 2, "0", "1",
			"0 stop 0\n1 [0] start(2) 0\n2 [1] stop 2\n3 [1] stop 1\n"
			"4 [2 3] KillSome\n0..3\n"});
}
END_TEST

/* Pairs are dealt round the lanes, those that start first before those that stop first. */
START_TEST(lanes)
{
	ROWS(
		{"a1 a1 a1 a1", 4, 2, "2", "0",
			"0 start(2) 4\n1 [0] stop 3\n2 start(2) 5\n3 [2] stop 2\n"
			"4 [1] start(2) 3\n5 [4] stop 1\n6 [3] start(2) 2\n7 [6] stop 0\n"
			"4..6\n"},
		{"a1 a1 a1 a1", 4, 2, "2", "1",
			"0 start(2) 4\n1 [0] stop 3\n2 start(2) 5\n3 [2] stop 2\n4 stop 1\n"
			"5 [4] start(2) 1\n6 [1] start(2) 3\n7 [6] stop 0\n3..6\n"},
		{"a1 a1 a1 a1", 4, 2, "1", "1",
			"0 start(2) 4\n1 [0] stop 3\n2 stop 2\n3 [2] start(2) 2\n"
			"4 [1] start(2) 3\n5 [4] stop 1\n6 [3] stop 0\n7 [6] start(2) 0\n"
			"3..5\n"},
		{"a1 a1 a1 a1", 4, 2, "25%", "0%",
			"0 start(2) 4\n1 [0] stop 3\n2 [1] start(2) 3\n3 [2] stop 2\n"
			"4 [3] start(2) 2\n5 [4] stop 1\n6 [5] start(2) 1\n7 [6] stop 0\n"
			"4..5\n"},
		{"a1 a1 a1 a1", 4, 2, "30%", "30%",
			"0 start(2) 4\n1 [0] stop 3\n2 start(2) 5\n3 [2] stop 2\n4 stop 1\n"
			"5 [4] start(2) 1\n6 [1] start(2) 3\n7 [6] stop 0\n3..6\n"},
		{"a1 a1 a1 a1", 4, 2, "0%", "50%",
			"0 stop 3\n1 [0] start(2) 3\n2 stop 2\n3 [2] start(2) 2\n"
			"4 [1] stop 1\n5 [4] start(2) 1\n6 [3] stop 0\n7 [6] start(2) 0\n"
			"2..4\n"},
		{"a1 a1 a1 a1", 4, 2, "0%", "20%",
			"0 stop 3\n1 [0] start(2) 3\n2 [1] stop 2\n3 [2] start(2) 2\n"
			"4 [3] stop 1\n5 [4] start(2) 1\n6 [5] stop 0\n7 [6] start(2) 0\n"
			"3..4\n"});
}
END_TEST

/* Marked ones first, then broken ones; a marked one is kept where all are. */
START_TEST(victims)
{
	ROWS(
		{"a1 a1* a1", 2, 1, "0", "1",
			"0 stop 1\n1 [0] KillSome\n1..3\n"},
		{"a1* a1 a1", 3, 2, "0", "1",
			"0 stop 0\n1 [0] start(2) 0\n2 [1] stop 2\n3 [2] start(2) 2\n"
			"4 [3] stop 1\n5 [4] start(2) 1\n2..3\n"},
		{"a1 b1 a2*", 3, 2, "0", "1",
			"0 stop 1\n1 [0] start(2) 1\n2 [1] ReplaceBroken\n3 [2] stop 0\n"
			"4 [3] start(2) 0\n2..3\n"},
		{"a1* a1", 2, 1, "0", "1",
			"1..2\n"},
		{"a1* a1 b1", 1, 1, "0", "1",
			"0 stop 2\n1 stop 0\n2 [0 1] KillSome\n0..3\n"});
}
END_TEST

/* Broken ones are replaced all at once, before the lanes. */
START_TEST(broken)
{
	ROWS(
		{"b1 a1 a1", 3, 1, "0", "1",
			"0 stop 0\n1 [0] start(1) 0\n2..3\n"},
		{"b1 a1 b1", 3, 2, "0", "1",
			"0 stop 2\n1 [0] start(2) 2\n2 stop 0\n3 [2] start(2) 0\n"
			"4 [1 3] ReplaceBroken\n5 [4] stop 1\n6 [5] start(2) 1\n1..3\n"},
		{"b1 b1 a1", 2, 1, "0", "1",
			"0 stop 1\n1 [0] KillSome\n2 stop 0\n3 [2] start(1) 0\n1..3\n"},
		{"b2 a1 a2", 2, 2, "0", "1",
			"0 stop 0\n1 [0] KillSome\n2 [1] stop 1\n3 [2] start(2) 1\n1..3\n"});
}
END_TEST

/* Stops wait for as many kept nodes in flight as the floor needs. */
START_TEST(settle_kept)
{
	ROWS(
		{"s2 s2 a1", 3, 2, "0", "1",
			"0 Settle 0\n1 Settle 1\n2 [0] stop 2\n3 [2] start(2) 2\n1..3\n"},
		{"r2 a1", 2, 2, "0", "1",
			"0 Settle 0\n1 [0] stop 1\n2 [1] start(2) 1\n1..2\n"},
		{"r2 r2 a1 a1", 2, 2, "0", "1",
			"0 Settle 0\n1 Settle 1\n2 [0] stop 3\n3 [0] stop 2\n"
			"4 [2 3] KillSome\n1..4\n"},
		{"r2 r2 a1 a1", 2, 2, "1", "0",
			"0 Settle 0\n1 Settle 1\n2 [0] stop 3\n3 [1] stop 2\n"
			"4 [2 3] KillSome\n2..4\n"});
}
END_TEST

/* Starts wait for as many going nodes as the ceiling needs, and take their slots. */
START_TEST(settle_going)
{
	ROWS(
		{"x1 x1", 2, 2, "0", "1",
			"0 Settle 0\n1 Settle 1\n2 [0] start(2) 0\n3 [1] start(2) 1\n"
			"4 [2 3] StartNodes\n0..2\n"},
		{"x1 a1 a1", 2, 2, "1", "0",
			"0 Settle 0\n1 [0] start(2) 0\n2 [1] stop 2\n3 [2] start(2) 2\n"
			"4 [3] stop 1\n2..3\n"},
		{"x1 a1 a1", 3, 1, "0", "1",
			"0 Settle 0\n1 [0] start(1) 0\n2 [1] StartNodes\n2..3\n"},
		{"x1 x1 a1", 4, 1, "2", "1",
			"0 Settle 0\n1 Settle 1\n2 start(1) 3\n3 start(1) 4\n4 start(1) 5\n"
			"5 [2 3 4] StartNodes\n1..6\n"});
}
END_TEST

/* Starts that are no longer wanted are cancelled; a node that readies is stopped at once. */
START_TEST(release)
{
	ROWS(
		{"s1 s1 a1", 3, 2, "0", "1",
			"0 Settle 0\n1 Settle 1\n2 [0] start(2) 0\n3 [1] start(2) 1\n"
			"4 [2 3] StartNodes\n5 [4] stop 2\n6 [5] start(2) 2\n1..3\n"
			"release 0\nrelease 1\n"},
		{"s1 s1 s1", 3, 2, "0", "1",
			"0 Settle 0\n1 Settle 1\n2 Settle 2\n3 [0] start(2) 0\n"
			"4 [1] start(2) 1\n5 [2] start(2) 2\n6 [3 4 5] StartNodes\n0..3\n"
			"release 0\nrelease 1\nrelease 2\n"},
		{"r1 a1", 2, 2, "0", "1",
			"0 stop 0\n1 [0] start(2) 0\n2 [1] ReplaceBroken\n3 [2] stop 1\n"
			"4 [3] start(2) 1\n1..2\nrelease 0\n"},
		{"s2 s2 s2", 1, 2, "0", "1",
			"0 Settle 0\n1 Settle 1\n2 Settle 2\n0..3\nrelease 1\nrelease 2\n"},
		{"s2 a2", 1, 2, "0", "1",
			"0 Settle 0\n0..2\nrelease 0\n"},
		{"r2 a2", 1, 2, "0", "1",
			"0 stop 0\n1 [0] KillSome\n0..2\nrelease 0\n"});
}
END_TEST

static struct plan_target target_of(uint32_t size, const char *surge, const char *unavailable)
{
	struct policy policy = {
		.max_surge = amount_read(surge), .max_unavailable = amount_read(unavailable)};

	return plan_target(size, 7, &policy);
}

/* A surge is rounded up, unavailability down; both 0 makes the latter 1. */
START_TEST(percentages)
{
	static const struct {
		uint32_t size;
		const char *surge, *unavailable;
		uint32_t expected_surge, expected_unavailable;
	} cases[] = {
		{10, "25%", "25%", 3, 2}, {4, "25%", "25%", 1, 1}, {3, "1%", "99%", 1, 2},
		{3, "0%", "33%", 0, 1}, {3, "0%", "0%", 0, 1}, {0, "50%", "50%", 0, 1},
		{5, "0", "0", 0, 1}, {5, "7", "9", 7, 9}, {3, "200%", "100%", 6, 3},
		{1000000, "100%", "100%", 1000000, 1000000}, {1000000, "1000%", "1%", 10000000, 10000},
		{999999, "1%", "1%", 10000, 9999},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct plan_target target =
			target_of(cases[i].size, cases[i].surge, cases[i].unavailable);

		ck_assert_uint_eq(target.size, cases[i].size);
		ck_assert_uint_eq(target.version, 7);
		ck_assert_uint_eq(target.surge, cases[i].expected_surge);
		ck_assert_uint_eq(target.unavailable, cases[i].expected_unavailable);
	}
}
END_TEST

/* A UUID of version 8 that follows from graph and task, and from nothing else. */
START_TEST(ids_of_starts)
{
	struct id graph = {{9, 8, 7}}, other = graph;
	struct id first = plan_node_id(&graph, 0), again = plan_node_id(&graph, 0);

	other.bytes[15] = 1;
	ck_assert(id_equal(&first, &again));
	again = plan_node_id(&other, 0);
	ck_assert(!id_equal(&first, &again));
	for (uint32_t i = 0; i < 1000; i++) {
		struct id id = plan_node_id(&graph, i);

		must(id.bytes[6] >> 4 == 8);
		must(id.bytes[8] >> 6 == 2);
		for (uint32_t k = 0; k < i; k++) {
			struct id earlier = plan_node_id(&graph, k);

			/* Their first digits are what tells them apart for a person. */
			must(memcmp(earlier.bytes, id.bytes, 6) != 0);
		}
	}
}
END_TEST

/* The same group in another order of the array is the same group. */
START_TEST(order_of_nodes)
{
	struct plan_node nodes[NODES];
	struct plan_target target = target_of(4, "1", "1");
	struct graph graph = {.id = {{1}}}, turned = {.id = {{1}}};
	size_t count = nodes_read("a1 b1 s7 x1 a7* r7 a1", nodes);
	struct error error;

	ck_assert(plan_make(&graph, nodes, count, &target, &error) == 0);
	for (size_t i = 0; i < count / 2; i++) {
		struct plan_node node = nodes[i];

		nodes[i] = nodes[count - 1 - i];
		nodes[count - 1 - i] = node;
	}
	ck_assert(plan_make(&turned, nodes, count, &target, &error) == 0);
	ck_assert_uint_gt(graph.task_count, 0);
	ck_assert_uint_eq(graph.task_count, turned.task_count);
	ck_assert_uint_eq(graph.edge_count, turned.edge_count);
	ck_assert_mem_eq(graph.tasks, turned.tasks, graph.task_count * sizeof *graph.tasks);
	ck_assert_mem_eq(graph.prereqs, turned.prereqs,
		graph.edge_count * sizeof *graph.prereqs);
	for (int i = 0; i < 2; i++) {
		struct graph *made = i ? &turned : &graph;

		free(made->tasks);
		free(made->prereqs);
		free(made->dependents);
	}
}
END_TEST

/* A hundred thousand nodes: edges stay linear in the tasks, for any shape of plan. */
START_TEST(edges_are_linear)
{
	enum { MANY = 100000 };
	static struct plan_node nodes[MANY];
	static const struct {
		uint32_t count, size;
		const char *surge, *unavailable;
		uint32_t tasks;
	} cases[] = {
		{0, MANY, "0", "1", MANY + 1}, {MANY, MANY, "0", "1", 2 * MANY},
		{MANY, MANY, "100", "0", 2 * MANY}, {MANY, MANY, "100%", "0", 2 * MANY},
		{MANY, MANY, "50%", "50%", 2 * MANY}, {MANY, 0, "0", "1", MANY + 1},
		{MANY / 2, MANY, "10%", "10%", 2 * MANY - MANY / 2 + 1},
		{MANY, MANY / 2, "10%", "10%", MANY + MANY / 2 + 1},
	};

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct plan_target target =
			target_of(cases[i].size, cases[i].surge, cases[i].unavailable);
		struct graph graph = {.id = {{1}}};
		struct error error;

		for (uint32_t n = 0; n < cases[i].count; n++)
			nodes[n] = (struct plan_node){.slot = n, .version = 1};
		ck_assert(plan_make(&graph, nodes, cases[i].count, &target, &error) == 0);
		ck_assert_uint_eq(graph.task_count, cases[i].tasks);
		ck_assert_uint_le(graph.edge_count, 3 * (uint64_t)graph.task_count);
		free(graph.tasks);
		free(graph.prereqs);
		free(graph.dependents);
	}
}
END_TEST

static Suite *plans_suite(void)
{
	Suite *suite = suite_create("planner, plans");
	TCase *tests = tcase_create("planner, plans");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, design);
	tcase_add_test(tests, grow);
	tcase_add_test(tests, shrink);
	tcase_add_test(tests, lanes);
	tcase_add_test(tests, victims);
	tcase_add_test(tests, broken);
	tcase_add_test(tests, settle_kept);
	tcase_add_test(tests, settle_going);
	tcase_add_test(tests, release);
	tcase_add_test(tests, percentages);
	tcase_add_test(tests, ids_of_starts);
	tcase_add_test(tests, order_of_nodes);
	tcase_add_test(tests, edges_are_linear);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	return unit_run(plans_suite(), CK_FORK_GETENV);
}
