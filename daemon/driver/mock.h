/* The mock driver: nodes that are nothing but a memory of having been started. It takes its time, and
 * fails as it is told to, so that a person can rehearse a rollout. */
#ifndef IMD_DRIVER_MOCK_H
#define IMD_DRIVER_MOCK_H

#include <event2/event.h>

#include "driver.h"

struct mock_config {
	uint64_t delay_min_ms; /* a start or a stop takes from min to max, uniformly; */
	uint64_t delay_max_ms; /* 0 and 0: it is done within the call */
	uint64_t seed;
	uint64_t *fail_versions; /* starts of these versions fail; copied */
	size_t fail_version_count;
	uint32_t flaky_millionths; /* how probable it is that a start or a stop fails */
};

struct driver *mock_new(struct event_base *base, const struct mock_config *config);
/* Goes by another config from here on; what is under way ends as it was to. With `reseed`, chance begins
 * anew. */
void mock_configure(struct driver *driver, const struct mock_config *config, bool reseed);
/* The node ran before the driver was there, and runs. */
void mock_restore(struct driver *driver, const struct id *id);

#endif
