/* The ring of events against a naive model: an array of every line there ever was. */
#include <malloc.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proto/mem.h"
#include "server/ring.h"
#include "unit.h"

enum { STEPS = 20000, LINES = 200000, KEEP_MAX = 2000 };
enum { LONG_LINE = 2000, FEW_PAGES = 16 };

/* What a line is made from: its number, and how often it was written (after a retraction it is written
 * anew, otherwise). */
struct written {
	uint32_t nonce;
	uint32_t len;
};

static struct written lines[LINES];

static size_t line_format(uint64_t seq, const struct written *line, char *ret_text)
{
	int len = sprintf(ret_text, "EVENT %" PRIu64 " %u ", seq, line->nonce);

	memset(ret_text + len, 'x', line->len);
	ret_text[(size_t)len + line->len] = '\n';
	return (size_t)len + line->len + 1;
}

static void append(struct ring *ring, uint64_t begin)
{
	char text[512];
	uint64_t seq = ring->last + 1;
	struct written *line = &lines[seq - begin];
	struct ring_event event = {
		.graph = seq * 3,
		.group = (uint32_t)(seq % 7),
		.kinds = 1u << (seq % 4),
	};

	*line = (struct written){(uint32_t)random_next(), (uint32_t)random_below(300)};
	buf_add(ring_begin(ring), text, line_format(seq, line, text));
	ring_end(ring, &event);
	must(ring->last == seq);
}

static void compare(const struct ring *ring, uint64_t begin, uint64_t seq)
{
	char expected[512];
	const char *text;
	const struct ring_event *event = ring_at(ring, seq, &text);
	size_t len = line_format(seq, &lines[seq - begin], expected);

	must(event->len == len && memcmp(text, expected, len) == 0);
	must(event->graph == seq * 3 && event->group == seq % 7 && event->kinds == 1u << (seq % 4));
}

static uint32_t kinds_between(uint64_t after, uint64_t to)
{
	uint32_t kinds = 0;

	for (uint64_t seq = after + 1; seq <= to; seq++)
		kinds |= 1u << (seq % 4);
	return kinds;
}

static void publish(struct ring *ring, uint64_t begin)
{
	uint64_t before = ring->published;
	uint64_t to = before + random_below64(ring->last - before + 1), first = ring->first;
	uint64_t kept = (to - begin <= ring->keep ? begin : to - ring->keep) + 1;
	bool lost = first > before + 1 && to > before; /* whoever watches is to learn that */

	must(ring_publish(ring, to) == (lost ? UINT32_MAX : kinds_between(before, to)));
	must(ring->published == to);
	must(ring->first == (first > kept ? first : kept));
}

static void retract(struct ring *ring)
{
	uint64_t to = ring->published + random_below64(ring->last - ring->published + 1);

	ring_retract(ring, to);
	must(ring->last == to);
}

/* Text and places of what is there, at most two chunks that are not full, and the directory. */
static void check_memory(const struct ring *ring)
{
	uint64_t events = UINT64_C(1) << ring->chunk_bits;
	uint64_t chunks = (ring->last - ring->first + 1) / events + 2;

	must(ring->count <= chunks);
	must(ring->text_bytes <= chunks * events * 350);
	must(ring_events(ring) == ring->last - ring->first + 1);
}

/* Events of a chunk where few are kept. */
enum { CHUNK = 1 << RING_CHUNK_BITS_MIN };

START_TEST(random_against_model)
{
	struct ring ring;
	uint64_t begin;

	random_state = unit_seed + (uint64_t)_i;
	begin = random_below(1000) * (uint64_t)_i;
	ring_init(&ring, 1 + random_below(KEEP_MAX), begin);
	for (int step = 0; step < STEPS && ring.last - begin < LINES - 100; step++) {
		uint64_t count = random_below(30);

		for (uint64_t i = 0; i < count; i++)
			append(&ring, begin);
		if (random_below(3) == 0)
			publish(&ring, begin);
		if (random_below(20) == 0)
			retract(&ring);
		for (int i = 0; i < 3 && ring.last >= ring.first; i++)
			compare(&ring, begin, ring.first + random_below64(ring_events(&ring)));
		check_memory(&ring);
	}
	for (uint64_t seq = ring.first; seq <= ring.last; seq++)
		compare(&ring, begin, seq);
	ring_fini(&ring);
}
END_TEST

START_TEST(nothing_is_allocated_before_the_first_event)
{
	struct ring ring;

	ring_init(&ring, 100000, 41);
	ck_assert_uint_eq(ring_bytes(&ring), 0);
	ck_assert_uint_eq(ring_events(&ring), 0);
	ck_assert_uint_eq(ring_publish(&ring, 41), 0);
	ring_retract(&ring, 41);
	ck_assert_uint_eq(ring_bytes(&ring), 0);
	append(&ring, 0);
	ck_assert_uint_eq(ring.first, 42);
	ck_assert_uint_eq(ring.last, 42);
	ring_fini(&ring);
}
END_TEST

START_TEST(neighbours_are_one_run_of_bytes)
{
	struct ring ring;
	const char *text, *before = NULL;

	ring_init(&ring, 1000, 0);
	for (int i = 0; i < CHUNK; i++)
		append(&ring, 0);
	for (uint64_t seq = 1; seq <= CHUNK; seq++) {
		const struct ring_event *event = ring_at(&ring, seq, &text);

		must(before == NULL || before == text);
		before = text + event->len;
	}
	ring_fini(&ring);
}
END_TEST

START_TEST(chunks_are_in_proportion)
{
	static const struct {
		uint64_t keep;
		unsigned bits;
	} cases[] = {{1, 8}, {2048, 8}, {4095, 8}, {4096, 9}, {65535, 12}, {65536, 13},
		{100000, 13}, {UINT64_MAX, 13}};
	struct ring ring;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		ring_init(&ring, cases[i].keep, 0);
		ck_assert_uint_eq(ring.chunk_bits, cases[i].bits);
		ring_fini(&ring);
	}
}
END_TEST

START_TEST(old_events_give_their_memory_back)
{
	struct ring ring;
	uint64_t most = 0;

	random_state = unit_seed;
	ring_init(&ring, 10 * CHUNK, 0);
	while (ring.last < 150000) {
		append(&ring, 0);
		ring_publish(&ring, ring.last);
			if (ring.last == 20 * CHUNK)
			most = ring_bytes(&ring);
	}
	ck_assert_uint_eq(ring_events(&ring), 10 * CHUNK);
	/* The lines are of random length, so it is not the same to the byte. */
	ck_assert_uint_lt(ring_bytes(&ring), most + most / 5);
	ring_fini(&ring);
}
END_TEST

START_TEST(what_was_retracted_is_written_anew)
{
	struct ring ring;
	uint64_t bytes;

	ring_init(&ring, 1000, 0);
	for (int i = 0; i < 3; i++)
		append(&ring, 0);
	ring_publish(&ring, 3);
	bytes = ring.text_bytes;
	for (int i = 0; i < 3 * CHUNK; i++)
		append(&ring, 0);
	ring_retract(&ring, 3);
	ck_assert_uint_eq(ring.last, 3);
	ck_assert_uint_eq(ring.text_bytes, bytes);
	ck_assert_uint_eq(ring.count, 1);
	append(&ring, 0);
	for (uint64_t seq = 1; seq <= 4; seq++)
		compare(&ring, 0, seq);
	ring_fini(&ring);
}
END_TEST

/* Caches get nothing until the reserve is held again. */
static void memory_fails(bool fails)
{
	if (fails)
		ck_assert_ptr_null(mem_try_alloc(SIZE_MAX / 4));
	ck_assert_int_eq(mem_reserve_hold(1), 0);
	if (fails)
		ck_assert_ptr_null(mem_try_alloc(SIZE_MAX / 4));
}

START_TEST(without_memory_the_oldest_events_are_given_up)
{
	struct ring ring;

	ring_init(&ring, 10 * CHUNK, 0);
	for (int i = 0; i < 3 * CHUNK; i++)
		append(&ring, 0);
	ring_publish(&ring, ring.last);
	memory_fails(true);
	append(&ring, 0);
	ck_assert_uint_eq(ring.first, CHUNK + 1);
	ck_assert_uint_eq(ring.last, 3 * CHUNK + 1);
	for (uint64_t seq = ring.first; seq <= ring.last; seq++)
		compare(&ring, 0, seq);
	memory_fails(false);
	ring_fini(&ring);
}
END_TEST

START_TEST(without_any_memory_events_are_counted_and_lost)
{
	struct ring ring;

	ring_init(&ring, 1000, 0);
	append(&ring, 0);
	ring_publish(&ring, 1);
	memory_fails(true);
	for (int i = 0; i < 3 * CHUNK; i++)
		append(&ring, 0);
	ck_assert_uint_eq(ring.last, 3 * CHUNK + 1);
	ck_assert_uint_eq(ring.first, ring.last + 1);
	ck_assert_uint_eq(ring_publish(&ring, ring.last), UINT32_MAX);
	memory_fails(false);
	append(&ring, 0);
	ck_assert_uint_eq(ring.first, 3 * CHUNK + 2);
	compare(&ring, 0, ring.last);
	ring_retract(&ring, 3 * CHUNK + 1);
	append(&ring, 0);
	compare(&ring, 0, ring.last);
	ring_fini(&ring);
}
END_TEST

static void append_line(struct ring *ring, size_t len)
{
	struct ring_event event = {.graph = RING_NO_GRAPH};
	char line[LONG_LINE];

	memset(line, 'x', len);
	buf_add(ring_begin(ring), line, len);
	ring_end(ring, &event);
}

/* With no more addresses than are mapped already, and a few. */
static void limit_memory(bool limited)
{
	FILE *file = fopen("/proc/self/statm", "re");
	struct rlimit limit;
	unsigned long pages;

	ck_assert(file && fscanf(file, "%lu", &pages) == 1);
	fclose(file);
	ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = limited ? (pages + FEW_PAGES) * (rlim_t)sysconf(_SC_PAGESIZE) : limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

/* The lines of the second chunk are longer than there is room for: its text grows into the memory of the first one. */
START_TEST(a_text_that_grows_takes_the_memory_of_the_oldest_events_only)
{
	struct ring ring;

	mallopt(M_MMAP_THRESHOLD, 128 * 1024); /* so that what is freed is unmapped */
	ring_init(&ring, 10 * CHUNK, 0);
	for (int i = 0; i < CHUNK; i++)
		append_line(&ring, LONG_LINE * 5 / 9);
	append_line(&ring, LONG_LINE);
	ring_publish(&ring, ring.last);
	limit_memory(true);
	for (int i = 1; i < CHUNK; i++)
		append_line(&ring, LONG_LINE);
	limit_memory(false);
	ck_assert_uint_eq(ring.last, 2 * CHUNK);
	ck_assert_uint_eq(ring.first, CHUNK + 1);
	ring_fini(&ring);
}
END_TEST

START_TEST(random_failures_of_memory)
{
	struct ring ring;

	random_state = unit_seed + (uint64_t)_i;
	ring_init(&ring, 1 + random_below(KEEP_MAX), 0);
	for (int step = 0; step < STEPS && ring.last < LINES - 100; step++) {
		if (random_below(30) == 0)
			memory_fails(random_below(2) == 0);
		for (uint32_t i = random_below(30); i > 0; i--)
			append(&ring, 0);
		if (random_below(3) == 0)
			publish(&ring, 0);
		if (random_below(20) == 0)
			retract(&ring);
		for (int i = 0; i < 3 && ring.last >= ring.first; i++)
			compare(&ring, 0, ring.first + random_below64(ring_events(&ring)));
		check_memory(&ring);
	}
	memory_fails(false);
	ring_fini(&ring);
}
END_TEST

/* What will be gone when all is published need not be there before. */
START_TEST(a_flood_of_unseen_events_takes_no_more_than_is_kept)
{
	struct ring ring;

	random_state = unit_seed;
	ring_init(&ring, 2 * CHUNK, 0);
	append(&ring, 0);
	ring_publish(&ring, 1);
	for (int i = 0; i < 100 * CHUNK; i++)
		append(&ring, 0);
	ck_assert_uint_le(ring.count, 4);
	ring_publish(&ring, ring.last);
	ck_assert_uint_eq(ring_events(&ring), 2 * CHUNK);
	for (uint64_t seq = ring.first; seq <= ring.last; seq++)
		compare(&ring, 0, seq);
	ring_fini(&ring);
}
END_TEST

static Suite *ring_suite(void)
{
	Suite *suite = suite_create("ring");
	TCase *tests = tcase_create("ring");

	tcase_set_timeout(tests, 120);
	tcase_add_loop_test(tests, random_against_model, 0, 6);
	tcase_add_test(tests, nothing_is_allocated_before_the_first_event);
	tcase_add_test(tests, neighbours_are_one_run_of_bytes);
	tcase_add_test(tests, chunks_are_in_proportion);
	tcase_add_test(tests, old_events_give_their_memory_back);
	tcase_add_test(tests, what_was_retracted_is_written_anew);
	if (!unit_sanitized()) {
		tcase_add_test(tests, without_memory_the_oldest_events_are_given_up);
		tcase_add_test(tests, a_text_that_grows_takes_the_memory_of_the_oldest_events_only);
		tcase_add_test(tests, without_any_memory_events_are_counted_and_lost);
		tcase_add_loop_test(tests, random_failures_of_memory, 0, 6);
	}
	tcase_add_test(tests, a_flood_of_unseen_events_takes_no_more_than_is_kept);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	unit_take_seed();
	return unit_run(ring_suite(), CK_FORK_GETENV);
}
