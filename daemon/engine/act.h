/* What the core asks of the driver is passed on. */
#ifndef IMD_ENGINE_ACT_H
#define IMD_ENGINE_ACT_H

#include "core/core.h"
#include "driver/driver.h"

/* Once the changes of the update are durable. An action is void if the driver has answered it since, or something
 * was asked of its node since, be it the same again: that may not be durable yet. */
void act(const struct core *core, struct driver *driver, const struct update *update);

#endif
