/* The reserve of memory: who holds it may allocate as much, whatever else there is. */
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "proto/mem.h"
#include "unit.h"

enum { MIB = 1 << 20, HELD = 64 * MIB };

static size_t mapped_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages;

	ck_assert(file && fscanf(file, "%lu", &pages) == 1);
	fclose(file);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* From here on there is no more memory than is mapped already. */
static void memory_end(void)
{
	struct rlimit limit;

	ck_assert_int_eq(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = mapped_bytes();
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

/* An allocation that fails even with the reserve uses it all the same. */
static void reserve_break(void)
{
	ck_assert_ptr_null(mem_try_alloc(SIZE_MAX / 4));
}

START_TEST(what_is_held_can_be_allocated)
{
	char *block[4];

	ck_assert_int_eq(mem_reserve_hold(HELD), 0);
	memory_end();
	ck_assert_ptr_null(malloc(HELD / 4));
	for (int i = 0; i < 3; i++) {
		block[i] = mem_alloc(HELD / 4);
		memset(block[i], i, HELD / 4);
	}
	block[3] = mem_large_alloc(HELD / 8, 1);
	ck_assert_ptr_nonnull(block[3]);
	ck_assert_uint_eq(mem_reserve_held(), 0);
	ck_assert_int_eq(mem_reserve_hold(HELD), -1);
	for (int i = 0; i < 4; i++)
		free(block[i]);
	ck_assert_int_eq(mem_reserve_hold(HELD - MIB), 0);
}
END_TEST

START_TEST(zeroed_resized_and_copied_memory_comes_from_the_reserve_too)
{
	char *zeroed, *text;

	ck_assert_int_eq(mem_reserve_hold(HELD), 0);
	memory_end();
	zeroed = mem_zalloc(HELD / 4, 1);
	ck_assert_int_eq(zeroed[HELD / 4 - 1], 0);
	zeroed = mem_realloc(zeroed, HELD / 2, 1);
	text = mem_strdup("text");
	ck_assert_str_eq(text, "text");
	free(text);
	free(zeroed);
}
END_TEST

START_TEST(caches_take_nothing_while_the_reserve_is_in_use)
{
	void *memory;

	ck_assert_int_eq(mem_reserve_hold(MIB), 0);
	memory = mem_cache_realloc(NULL, 100);
	ck_assert_ptr_nonnull(memory);
	free(memory);
	reserve_break();
	ck_assert_ptr_null(mem_cache_realloc(NULL, 100));
	ck_assert_int_eq(mem_reserve_hold(MIB), 0);
	memory = mem_cache_realloc(NULL, 100);
	ck_assert_ptr_nonnull(memory);
	free(memory);
}
END_TEST

START_TEST(a_thread_that_bypasses_the_reserve_leaves_it_as_it_is)
{
	void *memory;

	ck_assert_int_eq(mem_reserve_hold(HELD), 0);
	memory_end();
	ck_assert(!mem_reserve_bypass(true));
	ck_assert_ptr_null(mem_try_alloc(HELD / 2));
	ck_assert_ptr_null(mem_large_alloc(HELD / 2, 1));
	ck_assert_uint_eq(mem_reserve_held(), HELD);
	ck_assert(mem_reserve_bypass(false));
	memory = mem_try_alloc(HELD / 2);
	ck_assert_ptr_nonnull(memory);
	free(memory);
}
END_TEST

START_TEST(the_reserve_grows_and_is_given_back)
{
	ck_assert_int_eq(mem_reserve_hold(MIB), 0);
	ck_assert_int_eq(mem_reserve_hold(HELD), 0);
	ck_assert_uint_eq(mem_reserve_held(), HELD);
	ck_assert_int_eq(mem_reserve_hold(SIZE_MAX), -1);
	ck_assert_uint_eq(mem_reserve_held(), HELD);
	mem_reserve_trim(3 * MIB);
	ck_assert_uint_eq(mem_reserve_held(), 3 * MIB);
	mem_reserve_trim(0);
	ck_assert_uint_eq(mem_reserve_held(), 0);
}
END_TEST

static int handler_calls;

/* As one that writes a line for which there is no memory either. */
static void handler_without_memory(void)
{
	if (++handler_calls > 1)
		_exit(EXIT_SUCCESS);
	mem_realloc(NULL, SIZE_MAX, 2);
}

START_TEST(the_handler_is_called_once)
{
	mem_set_exhausted_handler(handler_without_memory);
	mem_realloc(NULL, SIZE_MAX, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("proto, memory");
	TCase *tests = tcase_create("proto, memory");

	if (!unit_sanitized()) {
		tcase_add_test(tests, what_is_held_can_be_allocated);
		tcase_add_test(tests, zeroed_resized_and_copied_memory_comes_from_the_reserve_too);
		tcase_add_test(tests, caches_take_nothing_while_the_reserve_is_in_use);
		tcase_add_test(tests, a_thread_that_bypasses_the_reserve_leaves_it_as_it_is);
	}
	tcase_add_test(tests, the_reserve_grows_and_is_given_back);
	tcase_add_test_raise_signal(tests, the_handler_is_called_once, SIGABRT);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK);
}
