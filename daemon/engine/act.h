/* What the core asks of the driver is passed on. */
#ifndef IMD_ENGINE_ACT_H
#define IMD_ENGINE_ACT_H

#include "core/core.h"
#include "driver/driver.h"

/* Once the changes of the update are durable. An action whose node has been asked something else since is
 * void. */
void act(const struct core *core, struct driver *driver, const struct update *update);

#endif
