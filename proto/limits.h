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
	LIMIT_WAITING = 256 * 1024, /* bytes of replies waiting for one client */
};

#endif
