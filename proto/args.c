#include "args.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "limits.h"
#include "mem.h"

enum { SHOWN_MAX = 40, DAY_MS = 24 * 3600 * 1000, MILLION = 1000000 };

/* What was given, quoted, for a message; a long one is cut. */
struct shown {
	char text[SHOWN_MAX + 8];
};

static const char *show(struct shown *shown, const char *text)
{
	size_t len = strlen(text);
	size_t cut = len > SHOWN_MAX ? SHOWN_MAX : len;

	while (cut < len && cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
		cut--;
	snprintf(shown->text, sizeof shown->text, "\"%.*s%s\"", (int)cut, text,
		cut < len ? "..." : "");
	return shown->text;
}

/* Fails with "WHAT must be ALLOWED; GIVEN WRONG". */
static int refuse(struct error *error, const char *what, const char *allowed, const char *given,
	const char *wrong)
{
	struct shown shown;

	return error_set(error, ERR_BAD_ARGUMENT, "%s must be %s; %s %s", what, allowed,
		show(&shown, given), wrong);
}

/* Reads decimal digits up to `end` and stops there. NULL where that went well, and else what is wrong:
 * the text has another byte in it, none at all, or a value that is beyond 64 bits. */
static const char *read_digits(const char *text, const char *end, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (text == end)
		return "has no digits";
	for (const char *at = text; at < end; at++) {
		if ((*at == '-' || *at == '+') && at == text)
			return "has a sign";
		if ((*at == '.' || *at == ',') && at > text)
			return "is not whole";
		if (*at < '0' || *at > '9')
			return "is not made of decimal digits";
	}
	for (const char *at = text; at < end; at++) {
		unsigned digit = (unsigned)(*at - '0');

		if (value > (UINT64_MAX - digit) / 10)
			return "is too large";
		value = value * 10 + digit;
	}
	*ret_value = value;
	return NULL;
}

static const char *read_range(const char *text, const char *end, uint64_t min, uint64_t max,
	uint64_t *ret_value)
{
	const char *wrong = read_digits(text, end, ret_value);

	if (wrong != NULL)
		return wrong;
	if (*ret_value < min)
		return "is too small";
	return *ret_value > max ? "is too large" : NULL;
}

static const char *wrong_or_empty(const char *text, const char *wrong)
{
	return text[0] == '\0' ? "is empty" : wrong;
}

int arg_number(const char *text, const char *what, uint64_t min, uint64_t max, uint64_t *ret_value,
	struct error *error)
{
	const char *wrong = read_range(text, text + strlen(text), min, max, ret_value);
	char allowed[80];

	if (wrong == NULL)
		return 0;
	snprintf(allowed, sizeof allowed, "a whole number from %" PRIu64 " to %" PRIu64, min, max);
	return refuse(error, what, allowed, text, wrong_or_empty(text, wrong));
}

static const char *read_position(const char *text, struct position *ret_position)
{
	const char *at = strchr(text, '@');
	const char *wrong = read_range(text, at ? at : text + strlen(text), 0, INT64_MAX, &ret_position->seq);

	ret_position->incarnation = (struct id){0};
	if (wrong || !at)
		return wrong;
	if (id_parse(at + 1, strlen(at + 1), &ret_position->incarnation) < 0 ||
		!position_has_incarnation(ret_position))
		return "has no incarnation after the @";
	return NULL;
}

int arg_position(const char *text, const char *what, struct position *ret_position, struct error *error)
{
	const char *wrong = read_position(text, ret_position);
	char allowed[120];

	if (!wrong)
		return 0;
	snprintf(allowed, sizeof allowed, "SEQ or SEQ@INCARNATION, a whole number from 0 to %" PRIi64 " and a UUID",
		INT64_MAX);
	return refuse(error, what, allowed, text, wrong_or_empty(text, wrong));
}

int arg_size(const char *text, uint32_t *ret_size, struct error *error)
{
	uint64_t size;

	if (arg_number(text, "size", 0, LIMIT_SIZE, &size, error) < 0)
		return -1;
	*ret_size = (uint32_t)size;
	return 0;
}

int arg_version(const char *text, uint64_t *ret_version, struct error *error)
{
	return arg_number(text, "version", 0, INT64_MAX, ret_version, error);
}

int arg_amount(const char *text, const char *what, uint32_t max_percent, struct amount *ret_amount,
	struct error *error)
{
	size_t len = strlen(text);
	bool percent = len > 0 && text[len - 1] == '%';
	uint64_t value;
	const char *wrong = read_range(text, text + len - percent, 0,
		percent ? max_percent : LIMIT_SIZE, &value);
	char allowed[80];

	if (wrong == NULL) {
		ret_amount->value = (uint32_t)value;
		ret_amount->percent = percent;
		return 0;
	}
	snprintf(allowed, sizeof allowed, "a whole number from 0 to %d, or from 0%% to %" PRIu32 "%%",
		LIMIT_SIZE, max_percent);
	return refuse(error, what, allowed, text, wrong_or_empty(text, wrong));
}

struct unit {
	const char *name;
	uint32_t ms;
};

/* The largest first. */
static const struct unit units[] = {{"h", 3600 * 1000}, {"m", 60 * 1000}, {"s", 1000}, {"ms", 1}};
enum { UNIT_COUNT = sizeof units / sizeof units[0] };

static const struct unit *find_unit(const char *name)
{
	if (name[0] == '\0')
		name = "s";
	for (size_t i = 0; i < UNIT_COUNT; i++) {
		if (strcmp(units[i].name, name) == 0)
			return &units[i];
	}
	return NULL;
}

int arg_duration(const char *text, const char *what, uint64_t *ret_ms, struct error *error)
{
	static const char allowed[] = "a time such as 0, 50ms, 3s, 2m or 1h, at most 24h";
	size_t len = strlen(text);
	size_t digits = len;
	const struct unit *unit;
	const char *wrong;
	uint64_t value;

	while (digits > 0 && text[digits - 1] >= 'a' && text[digits - 1] <= 'z')
		digits--;
	unit = find_unit(text + digits);
	wrong = read_digits(text, text + digits, &value);
	if (wrong == NULL && unit == NULL)
		wrong = "has an unknown unit";
	if (wrong == NULL && value > DAY_MS / unit->ms)
		wrong = "is too long";
	if (wrong != NULL)
		return refuse(error, what, allowed, text, wrong_or_empty(text, wrong));
	*ret_ms = value * unit->ms;
	return 0;
}

int arg_bool(const char *text, const char *what, bool *ret_value, struct error *error)
{
	if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
		return refuse(error, what, "yes or no", text, wrong_or_empty(text, "is neither"));
	*ret_value = text[0] == 'y';
	return 0;
}

/* Reads what stands behind the point of a fraction, six digits at most, in millionths. */
static const char *read_fraction(const char *text, uint64_t *ret_millionths)
{
	size_t len = strlen(text);

	if (read_digits(text, text + len, ret_millionths) != NULL)
		return "is not one";
	if (len > 6)
		return "has more than six digits behind its point";
	for (; len < 6; len++)
		*ret_millionths *= 10;
	return NULL;
}

int arg_probability(const char *text, const char *what, uint32_t *ret_millionths, struct error *error)
{
	static const char allowed[] = "a decimal number from 0 to 1, such as 0.25";
	const char *point = strchr(text, '.');
	const char *end = point != NULL ? point : text + strlen(text);
	uint64_t fraction = 0;
	uint64_t whole = 0;
	const char *wrong = read_digits(text, end, &whole) != NULL ? "is not one" : NULL;

	if (wrong == NULL && point != NULL)
		wrong = read_fraction(point + 1, &fraction);
	if (wrong == NULL && (whole > 1 || whole * MILLION + fraction > MILLION))
		wrong = "is too large";
	if (wrong != NULL)
		return refuse(error, what, allowed, text, wrong_or_empty(text, wrong));
	*ret_millionths = (uint32_t)(whole * MILLION + fraction);
	return 0;
}

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

int arg_group(const char *text, struct error *error)
{
	static const char allowed[] = "1 to 63 of a-z 0-9 . _ -, the first a letter or digit";
	size_t len = strlen(text);

	if (len == 0)
		return refuse(error, "group", allowed, text, "is empty");
	if (len > LIMIT_GROUP_NAME)
		return refuse(error, "group", allowed, text, "is too long");
	if (!is_alphanumeric(text[0]))
		return refuse(error, "group", allowed, text, "begins otherwise");
	for (size_t i = 1; i < len; i++) {
		if (!is_alphanumeric(text[i]) && strchr("._-", text[i]) == NULL)
			return refuse(error, "group", allowed, text, "has another character");
	}
	return 0;
}

int arg_versions(const char *text, const char *what, uint64_t **ret_versions, size_t *ret_count,
	struct error *error)
{
	static const char allowed[] = "versions (0 to 9223372036854775807) parted by commas";
	uint64_t *versions = NULL;
	size_t count = 0;
	const char *at = text;

	for (;;) {
		const char *end = at + strcspn(at, ",");
		const char *wrong;

		versions = mem_realloc(versions, count + 1, sizeof *versions);
		wrong = read_range(at, end, 0, INT64_MAX, &versions[count]);
		if (wrong != NULL) {
			char *version = strndup(at, (size_t)(end - at));

			refuse(error, what, allowed, version != NULL ? version : "",
				end == at ? "is empty" : wrong);
			free(version);
			free(versions);
			return -1;
		}
		count++;
		if (*end == '\0')
			break;
		at = end + 1;
	}
	*ret_versions = versions;
	*ret_count = count;
	return 0;
}

void amount_format(const struct amount *amount, char *ret_text)
{
	snprintf(ret_text, 16, "%" PRIu32 "%s", amount->value, amount->percent ? "%" : "");
}

void duration_format(uint64_t ms, char *ret_text)
{
	const struct unit *unit = units;

	if (ms == 0) {
		memcpy(ret_text, "0", 2);
		return;
	}
	while (ms % unit->ms != 0)
		unit++;
	snprintf(ret_text, 24, "%" PRIu64 "%s", ms / unit->ms, unit->name);
}
