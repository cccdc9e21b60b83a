/* Reading the arguments of requests and options: each says what was wrong and what is allowed.
 * `what` names the argument in the message ("size", "max-surge"). All return 0, or -1 with
 * ERR_BAD_ARGUMENT. Nothing is trimmed: a sign, a blank, 0x or a fraction is an error. */
#ifndef IMD_PROTO_ARGS_H
#define IMD_PROTO_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"
#include "position.h"

/* A number of nodes, or a percentage of the size. */
struct amount {
	uint32_t value;
	bool percent;
};

/* A decimal number from min to max; leading zeros are allowed. */
int arg_number(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *ret_value,
	struct error *error);
/* 0..LIMIT_SIZE, and 0..2^63-1. */
int arg_size(const char *text, uint32_t *ret_size, struct error *error);
int arg_version(const char *text, uint64_t *ret_version, struct error *error);
/* "3" (0..LIMIT_SIZE) or "25%" (0..max_percent). */
int arg_amount(const char *text, const char *what, uint32_t max_percent, struct amount *ret_amount,
	struct error *error);
/* "0", "50ms", "3s", "2m", "1h"; a number without a unit is seconds; at most 24 h. */
int arg_duration(const char *text, const char *what, uint64_t *ret_ms, struct error *error);
/* "yes" or "no". */
int arg_bool(const char *text, const char *what, bool *ret_value, struct error *error);
/* A decimal fraction from 0 to 1, in parts of a million: "0.25" is 250000. */
int arg_probability(const char *text, const char *what, uint32_t *ret_millionths, struct error *error);
/* [a-z0-9][a-z0-9._-]{0,62} */
int arg_group(const char *text, struct error *error);
/* "40", or "40@" and an ID, which is the incarnation; 0..2^63-1. */
int arg_position(const char *text, const char *what, struct position *ret_position, struct error *error);
/* A list of versions parted by commas; *ret_versions is allocated and then the caller's. */
int arg_versions(const char *text, const char *what, uint64_t **ret_versions, size_t *ret_count,
	struct error *error);

/* Writes "3" or "25%" and a NUL; text has room for 16 bytes. */
void amount_format(const struct amount *amount, char *ret_text);
/* Writes "50ms", "3s", "0" and a NUL; text has room for 24 bytes. */
void duration_format(uint64_t ms, char *ret_text);

#endif
