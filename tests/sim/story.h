/* Words to tell a story about imd with, between a fake world and a fake store. Every step of a story is
 * checked as in the simulation, besides what the story itself asserts. */
#ifndef IMD_SIM_STORY_H
#define IMD_SIM_STORY_H

#include <check.h>

#include "sim.h"

extern struct sim sim;

void begin_as(const struct sim_config *config);
struct sim_config slow_world(uint32_t delay_ms);
void begin(uint32_t delay_ms);
void end(void);
struct core_event *new_update(struct sim_request **ret_request, uint32_t size,
	uint64_t version);
void update(uint32_t size, uint64_t version);
void run_ms(int64_t ms);
struct group *group(void);
const struct graph *newest_graph(void);
const struct node *node_in(uint32_t slot);
bool slot_free(uint32_t slot);
void ask(enum core_event_kind kind, struct id id);
void die(uint32_t slot);
void expect(uint32_t size, uint64_t version);
void begin_with(uint32_t delay_ms, uint32_t size, uint64_t version);
int story_run(Suite *suite, TCase *stories);

#endif
