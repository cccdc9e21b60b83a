/* The mock driver, with the event loop that it needs, for the contract of drivers. */
#include <event2/event.h>

#include "driver/mock.h"
#include "driver_contract.h"

static struct event_base *base;
static struct driver *driver;
static struct mock_config config;

static struct driver *make(uint64_t seed, uint64_t delay_ms)
{
	config = (struct mock_config){.delay_min_ms = delay_ms, .delay_max_ms = delay_ms, .seed = seed};
	base = event_base_new();
	driver = mock_new(base, &config);
	return driver;
}

static struct driver *make_instant(uint64_t seed)
{
	return make(seed, 0);
}

/* Time passes for it only in await_idle. */
static struct driver *make_slow(uint64_t seed)
{
	return make(seed, 1);
}

static void set_flaky(bool flaky)
{
	config.flaky_millionths = flaky ? 500000 : 0;
	mock_configure(driver, &config, false);
}

static void await_idle(void)
{
	event_base_dispatch(base);
}

static void free_all(void)
{
	driver->ops->free(driver);
	event_base_free(base);
	libevent_global_shutdown();
}

const struct contract_driver contract_mock_instant = {
	.name = "mock, within the call",
	.make = make_instant,
	.set_flaky = set_flaky,
	.await_idle = await_idle,
	.free = free_all,
	.seeds = 20,
};

const struct contract_driver contract_mock_slow = {
	.name = "mock, with a delay",
	.make = make_slow,
	.set_flaky = set_flaky,
	.await_idle = await_idle,
	.free = free_all,
	.seeds = 1,
};
