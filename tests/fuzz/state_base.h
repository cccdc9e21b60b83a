/* The state file of which the target's inputs are mutations: one that a daemon has written, with groups, graphs, tasks
 * and nodes in every state that they can be in. */
#ifndef IMD_TESTS_FUZZ_STATE_BASE_H
#define IMD_TESTS_FUZZ_STATE_BASE_H

#include "core/core.h"

/* The configuration with which every daemon of the target runs. */
void base_config(struct core_config *ret_config);

/* Makes the file at the path, where there is none; the daemon has gone then. It is the same every time. */
void base_make(const char *path);

#endif
