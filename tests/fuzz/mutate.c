/* Mutations of inputs that are lines of words. libFuzzer's own know nothing of words, and would take long to find the
 * name of a column. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

enum { LINE_SIZE = 1024 };

void fuzz_require(bool holds, const char *format, ...)
{
	va_list arguments;

	if (holds)
		return;
	dprintf(STDERR_FILENO, "fuzz_%s: ", fuzz_target.name); /* a target may have another stderr */
	va_start(arguments, format);
	vdprintf(STDERR_FILENO, format, arguments);
	va_end(arguments);
	dprintf(STDERR_FILENO, "\n");
	abort();
}

/* splitmix64 */
uint64_t fuzz_random(uint64_t *state)
{
	uint64_t x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
	x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
	return x ^ (x >> 31);
}

size_t fuzz_below(uint64_t *state, size_t limit)
{
	return (size_t)(fuzz_random(state) % limit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_one(data, size);
	return 0;
}

/* An input that is being changed. */
struct draft {
	uint8_t *data;
	size_t size, max;
	uint64_t random;
};

/* Puts bytes, which may be the draft's own, in the place of others; does nothing if there is no room. */
static void replace(struct draft *draft, size_t at, size_t len, const void *data, size_t data_len)
{
	uint8_t *copy;

	if (draft->size - len + data_len > draft->max)
		return;
	copy = malloc(data_len + 1);
	fuzz_require(copy != NULL, "not enough memory");
	if (data_len > 0)
		memcpy(copy, data, data_len);
	memmove(draft->data + at + data_len, draft->data + at + len, draft->size - at - len);
	if (data_len > 0)
		memcpy(draft->data + at, copy, data_len);
	draft->size += data_len - len;
	free(copy);
}

/* The piece between two of the ends around a place that is taken by chance. */
static void any_piece(struct draft *draft, const char *ends, size_t *ret_at, size_t *ret_len)
{
	size_t at = draft->size > 0 ? fuzz_below(&draft->random, draft->size) : 0, end = at;

	while (at > 0 && !strchr(ends, draft->data[at - 1]))
		at--;
	while (end < draft->size && !strchr(ends, draft->data[end]))
		end++;
	*ret_at = at;
	*ret_len = end - at;
}

const char *fuzz_any_word(uint64_t *random)
{
	static size_t count;

	while (fuzz_target.word(count))
		count++;
	return fuzz_target.word(fuzz_below(random, count));
}

static void change_word(struct draft *draft)
{
	const char *word = fuzz_any_word(&draft->random);
	size_t at, len;

	any_piece(draft, " \n=", &at, &len);
	replace(draft, at, len, word, strlen(word));
}

static void insert_word(struct draft *draft)
{
	const char *word = fuzz_any_word(&draft->random);
	size_t at, len;

	any_piece(draft, " \n", &at, &len);
	replace(draft, at, 0, " ", 1);
	replace(draft, at, 0, word, strlen(word));
}

static void change_number(struct draft *draft)
{
	char text[24];
	size_t at, len;

	any_piece(draft, " \n=", &at, &len);
	snprintf(text, sizeof text, "%zu", fuzz_below(&draft->random, fuzz_below(&draft->random, 8) ? 40 : 100000));
	replace(draft, at, len, text, strlen(text));
}

/* A line with its LF. */
static void any_line(struct draft *draft, size_t *ret_at, size_t *ret_len)
{
	any_piece(draft, "\n", ret_at, ret_len);
	*ret_len += *ret_at + *ret_len < draft->size;
}

static void drop_line(struct draft *draft)
{
	size_t at, len;

	any_line(draft, &at, &len);
	replace(draft, at, len, NULL, 0);
}

static void repeat_line(struct draft *draft)
{
	size_t at, len, other, other_len;

	any_line(draft, &at, &len);
	any_line(draft, &other, &other_len);
	replace(draft, other, 0, draft->data + at, len);
}

static void any_words(uint64_t *random, char *ret_line, size_t size)
{
	size_t words = 1 + fuzz_below(random, 8), len = 0;

	ret_line[0] = '\0';
	for (size_t i = 0; i < words && len < size; i++)
		len += (size_t)snprintf(ret_line + len, size - len, "%s%s", i > 0 ? " " : "", fuzz_any_word(random));
}

/* In the place of another line, or before it. */
static void make_line(struct draft *draft)
{
	char line[LINE_SIZE];
	size_t at, len;

	(fuzz_target.make_line ? fuzz_target.make_line : any_words)(&draft->random, line, sizeof line - 1);
	strcat(line, "\n");
	any_line(draft, &at, &len);
	replace(draft, at, fuzz_below(&draft->random, 2) ? len : 0, line, strlen(line));
}

static void change_bytes(struct draft *draft)
{
	draft->size = LLVMFuzzerMutate(draft->data, draft->size, draft->max);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	static void (*const ways[])(struct draft *) = {make_line, make_line, make_line, change_word, change_word,
		change_number, change_number, insert_word, drop_line, repeat_line, change_bytes};
	struct draft draft = {.data = data, .size = size, .max = max_size, .random = seed};

	do {
		ways[fuzz_below(&draft.random, sizeof ways / sizeof ways[0])](&draft);
	} while (fuzz_below(&draft.random, 2));
	return draft.size;
}
