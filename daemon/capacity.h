/* What the system allows: descriptors, and so clients. */
#ifndef IMD_CAPACITY_H
#define IMD_CAPACITY_H

#include <stdint.h>

#include "proto/error.h"

/* As many descriptors as the system allows, and no more clients than they are enough for: fewer than were
 * asked for are told in the log. -1 where there would be none for any client. */
int limit_clients(uint32_t asked, uint32_t *ret_clients, struct error *error);

#endif
