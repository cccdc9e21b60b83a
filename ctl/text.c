#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/mem.h"
#include "proto/stamp.h"

#include "out.h"

/* What was printed before stands before the message, also where both go into one file. Where
 * stdout has failed already, trying again might wait once more for a reader that stands still. */
void say(const char *format, ...)
{
	struct buf line = BUF_INIT;
	char *text = NULL;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0)
		mem_exhausted();
	buf_add_str(&line, "imctl: ");
	text_add_safe(&line, text);
	buf_add_char(&line, '\n');
	if (!ferror(stdout))
		out_flush();
	fwrite(line.data, 1, line.len, stderr);
	buf_fini(&line);
	free(text);
}

/* The smallest code point that may be written in so many bytes; shorter forms exist below it. */
static const uint32_t utf8_least[] = {0, 0, 0x80, 0x800, 0x10000};

size_t utf8_decode(const char *text, uint32_t *ret_point)
{
	unsigned char first = (unsigned char)text[0];
	size_t len = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
	uint32_t point = len == 1 ? first : first & (0x7fu >> len);

	for (size_t i = 1; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((c & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (c & 0x3f);
	}
	if (point < utf8_least[len] || point > 0x10ffff || (point >= 0xd800 && point < 0xe000))
		return 0;
	*ret_point = point;
	return len;
}

/* Code points that act on a terminal, or that hide or reorder other characters. */
static const struct {
	uint32_t first, last;
} unsafe_points[] = {
	{0x00, 0x1f},     /* C0 controls */
	{0x7f, 0x9f},     /* DEL and the C1 controls */
	{0x061c, 0x061c}, /* the Arabic letter mark, a bidi control */
	{0x200b, 0x200f}, /* zero-width characters and bidi marks */
	{0x2028, 0x202e}, /* line and paragraph separators, bidi embeddings and overrides */
	{0x2060, 0x2069}, /* invisible operators and bidi isolates */
	{0xfeff, 0xfeff}, /* zero-width no-break space */
};

bool point_is_unsafe(uint32_t point)
{
	for (size_t i = 0; i < sizeof unsafe_points / sizeof unsafe_points[0]; i++) {
		if (point >= unsafe_points[i].first && point <= unsafe_points[i].last)
			return true;
	}
	return false;
}

void text_add_safe(struct buf *buf, const char *text)
{
	text_add_safe_part(buf, text, SIZE_MAX);
}

void text_add_safe_part(struct buf *buf, const char *text, size_t max)
{
	for (size_t at = 0; at < max && text[at] != '\0';) {
		uint32_t point = 0;
		size_t len = utf8_decode(text + at, &point);
		size_t bytes = len > 0 ? len : 1;

		if (len > 0 && len <= max - at && !point_is_unsafe(point)) {
			buf_add(buf, text + at, len);
		} else {
			for (size_t i = 0; i < bytes && i < max - at; i++)
				buf_addf(buf, "\\x%02x", (unsigned)(unsigned char)text[at + i]);
		}
		at += bytes;
	}
}

bool text_is_number(const char *text, int64_t *ret_value)
{
	int64_t value = 0;

	if (text[0] == '\0')
		return false;
	for (const char *at = text; *at != '\0'; at++) {
		if (*at < '0' || *at > '9' || value > (INT64_MAX - (*at - '0')) / 10)
			return false;
		value = value * 10 + (*at - '0');
	}
	*ret_value = value;
	return true;
}

static void local_time_format(time_t seconds, char *ret_text)
{
	struct tm tm;

	if (localtime_r(&seconds, &tm) == NULL ||
	    strftime(ret_text, LOCAL_TIME_SIZE, "%Y/%m/%d %H:%M:%S", &tm) == 0)
		strcpy(ret_text, "-");
}

int local_time_of_stamp(const char *stamp, char *ret_text)
{
	int64_t time_us;

	if (stamp_parse(stamp, strlen(stamp), &time_us) < 0)
		return -1;
	local_time_format((time_t)(time_us / 1000000), ret_text);
	return 0;
}

void local_time_now(char *ret_text)
{
	local_time_format(time(NULL), ret_text);
}

#define GREEN "\033[32m"
#define YELLOW "\033[33m"
#define RED "\033[31m"

/* Words of states and the second halves of event types; what is not here stays as it is. */
static const struct {
	const char *word;
	const char *colour;
} colours[] = {
	{"running", GREEN}, {"succeeded", GREEN},
	{"starting", YELLOW}, {"shutting_down", YELLOW}, {"superseded", YELLOW},
	{"cancelled", YELLOW}, {"retrying", YELLOW},
	{"failed", RED}, {"unhealthy", RED}, {"running_errored", RED},
};

const char *state_colour(const char *state)
{
	for (size_t i = 0; i < sizeof colours / sizeof colours[0]; i++) {
		if (strcmp(colours[i].word, state) == 0)
			return colours[i].colour;
	}
	return NULL;
}

bool colour_wanted(void)
{
	static int wanted = -1;

	if (wanted < 0) {
		const char *no_color = getenv("NO_COLOR");
		const char *term = getenv("TERM");

		wanted = (no_color == NULL || no_color[0] == '\0') && term != NULL &&
			term[0] != '\0' && strcmp(term, "dumb") != 0 && isatty(STDOUT_FILENO);
	}
	return wanted;
}
