/* Randomness, from the kernel. */
#ifndef IMD_CHANCE_H
#define IMD_CHANCE_H

#include <stdint.h>

#include "proto/id.h"

/* A random id, of version 4 by RFC 9562; the shape of core_config's new_id. `arg` is not used. */
void chance_id(void *arg, struct id *ret_id);
/* A seed for a generator. */
uint64_t chance_seed(void);

#endif
