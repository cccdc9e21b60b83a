/* What a user declares of a group: size, version and how a change may proceed. */
#ifndef IMD_CORE_SPEC_H
#define IMD_CORE_SPEC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/args.h"
#include "proto/names.h"

struct policy {
	struct amount max_surge;       /* live nodes above the size while a change runs */
	struct amount max_unavailable; /* nodes below the size while a change runs */
	uint32_t max_parallel;         /* tasks in flight at once, 0: no limit */
	uint64_t min_ready_ms;         /* a running node is available after this long */
};

/* Who asked for a change. */
struct origin {
	uid_t uid;
	char user[33]; /* the name of uid, or its number as text; "": nobody did, and uid says nothing */
};

static inline bool origin_known(const struct origin *origin)
{
	return origin->user[0] != '\0';
}

struct spec {
	uint64_t revision;  /* 1, 2, 3 … within the group; 0 before the first UPDATE */
	uint32_t size;
	uint64_t version;
	struct policy policy;
	int64_t created_us; /* wall time, microseconds since the epoch; 0 with revision 0 */
	struct origin origin;
	enum reason reason;
	char *note;         /* owned; NULL where there is none */
};

#endif
