/* The identity of a node or a task graph: a UUID (RFC 9562), kept as its 16 bytes. */
#ifndef IMD_PROTO_ID_H
#define IMD_PROTO_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "error.h"

enum { ID_TEXT_LEN = 36 }; /* characters of an id as text, without a NUL */

struct id {
	uint8_t bytes[16];
};

/* What a person typed for an id: all of it, or its first digits. */
struct id_prefix {
	struct id id;    /* the digits given, the rest zero */
	unsigned digits; /* how many hexadecimal digits were given: 4..32 */
};

/* Where new IDs come from. */
struct id_source {
	void (*new_id)(void *arg, struct id *ret_id);
	void *arg;
};

static inline bool id_equal(const struct id *a, const struct id *b)
{
	return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}

/* Writes the 36 lower-case characters, no NUL. */
void id_format(const struct id *id, char *ret_text);
/* The same with a NUL behind it: ret_text has 37 bytes. */
void id_format_z(const struct id *id, char *ret_text);

/* Reads a whole id, in upper or lower case. -1 and no message where it is not one. */
int id_parse(const char *text, size_t len, struct id *ret_id);

/* Reads a whole id or a prefix of one: at least LIMIT_ID_PREFIX hexadecimal digits, with hyphens
 * only where an id has them. ERR_BAD_ARGUMENT says what was wrong and what is allowed. */
int id_prefix_parse(const char *text, size_t len, struct id_prefix *ret_prefix, struct error *error);

/* Whether the id begins with the prefix. */
bool id_has_prefix(const struct id *id, const struct id_prefix *prefix);

#endif
