/* The simulated world without a daemon, for the contract of drivers. */
#include "sim.h"
#include "tests/unit/driver_contract.h"

static struct sim sim;

static struct driver *make(uint64_t seed, uint32_t instant_percent)
{
	struct sim_config config;

	sim_config_calm(&config);
	config.op_instant_percent = instant_percent;
	config.op_delay_min_ms = config.op_delay_max_ms = 100;
	config.any_call = true;
	sim_init(&sim, seed, &config);
	sim.driver = world_driver_new(&sim);
	return sim.driver;
}

static struct driver *make_instant(uint64_t seed)
{
	return make(seed, 100);
}

static struct driver *make_slow(uint64_t seed)
{
	return make(seed, 0);
}

static struct driver *make_mixed(uint64_t seed)
{
	return make(seed, 50);
}

static void set_flaky(bool flaky)
{
	sim.world.flaky_percent = flaky ? 50 : 0;
}

static void await_idle(void)
{
	struct timer timer;

	while (timers_pop(&sim.queue, INT64_MAX - 1, &timer)) {
		sim.mono_ms = timer.deadline_ms;
		if (timer.kind == QUEUE_WORLD)
			world_timer(&sim, timer.a);
		else
			world_inspect_timer(&sim, timer.a);
	}
}

static void harm(const struct id *id)
{
	world_set_health(&sim, world_find(&sim, id), false);
}

static void end_node(const struct id *id)
{
	world_exit(&sim, world_find(&sim, id));
}

static void free_all(void)
{
	sim.driver->ops->free(sim.driver);
	sim_fini(&sim);
}

#define WORLD(delay, how)                                                                  \
	{                                                                                  \
		.name = "simulated world, " delay, .make = how, .set_flaky = set_flaky,    \
		.await_idle = await_idle, .harm = harm, .end_node = end_node,              \
		.free = free_all, .seeds = 20,                                             \
	}

const struct contract_driver contract_world_instant = WORLD("within the call", make_instant);
const struct contract_driver contract_world_slow = WORLD("with a delay", make_slow);
const struct contract_driver contract_world_mixed = WORLD("with and without a delay", make_mixed);
