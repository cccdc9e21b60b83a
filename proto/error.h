/* An error as it goes over the wire: a code of the protocol and a sentence for a person. */
#ifndef IMD_PROTO_ERROR_H
#define IMD_PROTO_ERROR_H

#include "limits.h"

/* The codes of proto.txt, in its order. ERR_CODE(enumerator, word on the wire). */
#define ERR_CODES(ERR_CODE)                           \
	ERR_CODE(ERR_UNKNOWN_COMMAND, "unknown-command") \
	ERR_CODE(ERR_BAD_REQUEST, "bad-request")         \
	ERR_CODE(ERR_BAD_ARGUMENT, "bad-argument")       \
	ERR_CODE(ERR_NOT_FOUND, "not-found")             \
	ERR_CODE(ERR_CONFLICT, "conflict")               \
	ERR_CODE(ERR_DENIED, "denied")                   \
	ERR_CODE(ERR_LINE_TOO_LONG, "line-too-long")     \
	ERR_CODE(ERR_TOO_MANY, "too-many")               \
	ERR_CODE(ERR_LAGGED, "lagged")                   \
	ERR_CODE(ERR_GONE, "gone")                       \
	ERR_CODE(ERR_STORAGE, "storage")                 \
	ERR_CODE(ERR_SHUTTING_DOWN, "shutting-down")     \
	ERR_CODE(ERR_INTERNAL, "internal")

enum err_code {
#define ERR_CODE(enumerator, word) enumerator,
	ERR_CODES(ERR_CODE)
#undef ERR_CODE
	ERR_CODE_COUNT
};

struct error {
	enum err_code code;
	char text[LIMIT_ERROR_TEXT]; /* one line, no control characters, NUL-terminated */
};

/* Fills *error (which may be NULL) and returns -1, so that a caller writes
 * `return error_set(error, ERR_NOT_FOUND, "no node %s", id);`. Control characters that the
 * formatted text contains are written as \xHH; a text that is too long is cut. */
#define error_set(...) error_minus_one(error_format(__VA_ARGS__))

/* For error_set. That it returns -1 is visible to compilers and analyzers wherever it is called. */
int error_format(struct error *error, enum err_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static inline int error_minus_one(int ignored)
{
	(void)ignored;
	return -1;
}

/* The word of a code on the wire ("bad-argument"), and back; -1 where there is no such code. */
const char *err_code_name(enum err_code code);
int err_code_parse(const char *word);

#endif
