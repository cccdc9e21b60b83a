#include "story.h"

#include <stdlib.h>

struct sim sim;

void begin_as(const struct sim_config *config)
{
	sim_init(&sim, 1, config);
	sim_boot(&sim);
	sim_settle(&sim);
}

/* A world where every start, stop and kill takes this long. */
struct sim_config slow_world(uint32_t delay_ms)
{
	struct sim_config config;

	sim_config_calm(&config);
	config.op_instant_percent = delay_ms == 0 ? 100 : 0;
	config.op_delay_min_ms = config.op_delay_max_ms = delay_ms;
	return config;
}

void begin(uint32_t delay_ms)
{
	struct sim_config config = slow_world(delay_ms);

	begin_as(&config);
}

void end(void)
{
	sim_fini(&sim);
}

struct core_event *new_update(struct sim_request **ret_request, uint32_t size,
	uint64_t version)
{
	*ret_request = request_new(&sim);
	return request_update(*ret_request, "default", size, version);
}

void update(uint32_t size, uint64_t version)
{
	struct sim_request *request;

	new_update(&request, size, version);
	request_submit(request);
}

void run_ms(int64_t ms)
{
	int64_t until_ms = sim.mono_ms + ms;

	while (sim_step_before(&sim, until_ms))
		;
	sim.mono_ms = until_ms;
}

struct group *group(void)
{
	return core_group_find(engine_core(sim.engine), "default");
}

const struct graph *newest_graph(void)
{
	return TAILQ_LAST(&group()->graphs, graph_list);
}

const struct node *node_in(uint32_t slot)
{
	uint32_t ref = group_slot_node(group(), slot);

	ck_assert_msg(ref != NODE_NONE, "nobody lives in slot %u", slot);
	return node_at(&engine_core(sim.engine)->nodes, ref);
}

bool slot_free(uint32_t slot)
{
	return group_slot_node(group(), slot) == NODE_NONE;
}

void ask(enum core_event_kind kind, struct id id)
{
	struct sim_request *request = request_new(&sim);

	request->request.event = (struct core_event){.kind = kind, .id = id};
	request_submit(request);
}

void die(uint32_t slot)
{
	world_exit(&sim, world_find(&sim, &node_in(slot)->id));
}

/* Everything is as the last UPDATE declared it. */
void expect(uint32_t size, uint64_t version)
{
	ck_assert_uint_eq(group()->spec.size, size);
	ck_assert_uint_eq(group()->spec.version, version);
	check_rest(&sim, true);
}

void begin_with(uint32_t delay_ms, uint32_t size, uint64_t version)
{
	begin(delay_ms);
	update(size, version);
	sim_settle(&sim);
	expect(size, version);
}

int story_run(Suite *suite, TCase *stories)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(stories, 120);
	suite_add_tcase(suite, stories);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
