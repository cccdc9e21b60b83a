/* The limits of the wire protocol, as proto.txt states them. */
#ifndef IMD_PROTO_LIMITS_H
#define IMD_PROTO_LIMITS_H

enum {
	LIMIT_REQUEST = 4096,     /* bytes of a request line, its LF not counted */
	LIMIT_WORDS = 64,         /* words of a request line */
	LIMIT_GROUP_NAME = 63,    /* bytes of a group's name */
	LIMIT_SIZE = 1000000,     /* nodes a group may be declared to have */
	LIMIT_SURGE_PERCENT = 1000, /* of the size: nodes above it while a change runs, */
	LIMIT_UNAVAILABLE_PERCENT = 100, /* and below it */
	LIMIT_ID_PREFIX = 4,      /* hexadecimal digits of the shortest id prefix */
	LIMIT_ERROR_TEXT = 256,   /* bytes of an error's text, its NUL counted */
	LIMIT_NOTE = 1024,        /* bytes of a note */
	LIMIT_DATA = 12288,       /* bytes of a copy in one DATA record, divisible by 3 */
	LIMIT_WAITING = 256 * 1024, /* bytes of replies waiting for one client */
};

/* What imd sends. A group has at most its size and its surge of live nodes: the planner starts none beyond that.
 * A plan settles and stops each of them at most once, and starts SIZE nodes; three barriers and a proof are the
 * rest (planner_init in daemon/core/planner.c). The longest line is the record of a barrier that waits for a
 * stop of every live node: a comma and at most eight digits each. No other line has a list in it; the longest of
 * these is a spec with a note of which every byte is escaped. */
enum {
	LIMIT_LIVE = LIMIT_SIZE + LIMIT_SIZE / 100 * LIMIT_SURGE_PERCENT, /* 11,000,000 */
	LIMIT_TASKS = 2 * LIMIT_LIVE + LIMIT_SIZE + 4,                    /* 23,000,004 */
	LIMIT_LINE = 64 * 1024,                   /* bytes of a line, its LF not counted, */
	LIMIT_TASK_LINE = LIMIT_LINE + 9 * LIMIT_LIVE, /* but for a TASK record: 99,065,536 */
	LIMIT_LINE_WORDS = 256,                   /* words of a line; a record has some 20 */
};

#endif
