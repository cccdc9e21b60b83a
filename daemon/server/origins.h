/* Names of users, as the system knows them, for a while: a lookup may ask a server far away, and nothing else
 * is answered until it has answered. So a name is kept until the settings are read again, and that there was
 * none for some seconds. */
#ifndef IMD_SERVER_ORIGINS_H
#define IMD_SERVER_ORIGINS_H

#include <stdint.h>

#include "core/spec.h"

struct engine;

enum { ORIGINS_KEPT = 256 }; /* of more users, those are forgotten who were not asked for the longest */

struct origins {
	struct origins_entry {
		struct origin origin;
		int64_t until_ms; /* monotonic; INT64_MAX: it is the name */
		uint64_t asked;   /* the number of the last question */
	} known[ORIGINS_KEPT];
	unsigned count;
	uint64_t questions;
};

/* The uid with the user's name, or its number as text. The engine is asked for the time. */
struct origin origins_find(struct origins *origins, const struct engine *engine, uid_t uid);
void origins_clear(struct origins *origins);

#endif
