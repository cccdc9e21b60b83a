/* How the contract of the driver port (daemon/driver/driver.h) is tested against a driver: what the test needs of it
 * besides the port itself. */
#ifndef IMD_TESTS_DRIVER_CONTRACT_H
#define IMD_TESTS_DRIVER_CONTRACT_H

#include "driver/driver.h"

/* One way to run a driver. All functions work on the driver that was made last; there is one at a time. */
struct contract_driver {
	const char *name;
	/* A driver without nodes. What it leaves to chance follows from the seed. */
	struct driver *(*make)(uint64_t seed);
	/* From now on, starts and stops that begin fail by chance, or do not. */
	void (*set_flaky)(bool flaky);
	/* Returns when nothing is under way any more. */
	void (*await_idle)(void);
	/* A running node becomes unhealthy, which is reported. NULL: the driver knows no unhealthy nodes. */
	void (*harm)(const struct id *id);
	/* A running node ends by itself, which is reported. NULL: no node does. */
	void (*end_node)(const struct id *id);
	/* Frees the driver and all that belongs to it. */
	void (*free)(void);
	uint32_t seeds; /* how many to try */
};

/* The mock driver: everything is done within the call, or takes time. */
extern const struct contract_driver contract_mock_instant, contract_mock_slow;
/* The simulated world, with the same, and with both by chance. */
extern const struct contract_driver contract_world_instant, contract_world_slow, contract_world_mixed;

#endif
