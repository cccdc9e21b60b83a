/* The store in a file with a thread to work in: commits are done from the loop, copies are made while
 * commits go on, and the store may be freed at any moment. */
#include <event2/event.h>

#include "store_story.h"

static struct event_base *base;
static struct runner *runner;

static void begin_in_thread(void)
{
	base = event_base_new();
	ck_assert_ptr_nonnull(base);
	runner = runner_thread(base);
	ck_assert_ptr_nonnull(runner);
	keep_begin(open_file(path, runner));
}

static void end_in_thread(void)
{
	store_close(keep.store);
	keep_end();
	event_base_free(base);
}

static void wait_for_commit(void)
{
	while (keep.done < keep.begun)
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	if (keep.failed)
		ck_abort_msg("%s", keep.error.text);
}

START_TEST(done_comes_from_the_loop)
{
	char *before;

	begin_in_thread();
	for (uint32_t i = 1; i <= 50; i++) {
		keep_update("default", i, i, NULL);
		keep_commit();
		ck_assert_uint_eq(keep.done, i - 1);
		/* What the commit is of may change at once. */
		keep_answer_all();
		ck_assert_uint_eq(keep.done, i - 1);
		wait_for_commit();
		ck_assert_uint_eq(keep.done, i);
	}
	keep_commit();
	wait_for_commit();
	before = state_text(&keep.core);
	store_close(keep.store);
	keep.store = open_file(path, runner_at_once());
	keep_load_as(before, "after commits in a thread");
	free(before);
	end_in_thread();
}
END_TEST

/* Work that takes a while, as that of a disk does; nothing waits for this time. */
static void work_long(void *arg)
{
	(void)arg;
	usleep(5000);
}

static void must_not_be_fetched(void *arg, struct graph *graph, const struct error *error)
{
	(void)arg;
	(void)graph;
	(void)error;
	ck_abort_msg("a graph is read behind free");
}

static void must_not_be_done(void *arg)
{
	(void)arg;
	ck_abort_msg("a job is done behind free");
}

/* The state is then as it was before the commit or as it is behind it. */
START_TEST(free_while_a_commit_is_under_way)
{
	struct job long_job = {.work = work_long, .done = must_not_be_done};
	unsigned committed = 0;

	unit_take_seed();
	for (uint32_t i = 0; i < 40; i++) {
		char *before, *behind, *is;
		struct error error;

		begin_in_thread();
		keep_update("default", 5, 1, NULL);
		keep_commit();
		wait_for_commit();
		before = state_text(&keep.core);
		keep_update("default", 500, 2, "the one that may be lost");
		behind = state_text(&keep.core);
		if (i % 2 == 0) /* so the commit has to wait */
			runner->ops->run(runner, &long_job);
		keep_commit();
		keep.store->ops->fetch(keep.store, 1, must_not_be_fetched, NULL);
		if (i % 2 != 0)
			usleep(random_below(2000));
		store_close(keep.store);
		ck_assert_uint_eq(keep.done, 1);
		keep.store = open_file(path, runner_at_once());
		ck_assert_int_eq(keep_load(&error), 0);
		is = state_text(&keep.core);
		state_expect(is, keep.seq == 1 ? before : behind, "after free");
		committed += keep.seq == 2;
		free(before);
		free(behind);
		free(is);
		end_in_thread();
		ck_assert_int_eq(unlink(path), 0);
	}
	printf("%u of 40 commits were carried out\n", committed);
}
END_TEST

enum { COPY_COMMITS = 2000, COPY_NODES = 50000 };

/* Commits go on, one behind the other, until the copy is done. */
static void commit_until_copied(char **texts)
{
	keep.store->ops->copy(keep.store, copy_path, copy_done, NULL);
	ck_assert_uint_eq(copies_done, 0);
	while (copies_done == 0) {
		ck_assert_uint_lt(keep.seq + 1, COPY_COMMITS);
		random_event();
		texts[keep.seq + 1] = state_text(&keep.core);
		keep_commit();
		wait_for_commit();
	}
}

START_TEST(a_copy_while_commits_go_on)
{
	char **texts = calloc(COPY_COMMITS, sizeof *texts), *is;
	uint64_t first, last;
	struct error error;

	unit_take_seed();
	begin_in_thread();
	keep_update("big", COPY_NODES, 1, NULL);
	keep_commit();
	wait_for_commit();
	copies_done = 0;
	first = keep.seq;
	texts[first] = state_text(&keep.core);
	commit_until_copied(texts);
	if (copy_failed)
		ck_abort_msg("%s", copy_error.text);
	last = keep.seq;
	store_close(keep.store);
	keep.store = open_file(copy_path, runner_at_once());
	ck_assert_int_eq(store_file_verify(keep.store, &error), 0);
	ck_assert_int_eq(keep_load(&error), 0);
	printf("%" PRIu64 " commits during a copy, which has %" PRIu64 " of them\n", last - first,
		keep.seq - first);
	ck_assert(keep.seq >= first && keep.seq <= last);
	is = state_text(&keep.core);
	state_expect(is, texts[keep.seq], "of a copy");
	free(is);
	for (uint32_t i = 0; i < COPY_COMMITS; i++)
		free(texts[i]);
	free(texts);
	end_in_thread();
}
END_TEST

/* Opens the copy in place of the store, if there is one. Returns whether there is. */
static bool load_copy(const char *expected)
{
	struct error error;

	store_close(keep.store);
	keep.store = store_memory_new();
	if (access(copy_path, F_OK) < 0)
		return false;
	store_close(keep.store);
	keep.store = open_file(copy_path, runner_at_once());
	ck_assert_int_eq(store_file_verify(keep.store, &error), 0);
	keep_load_as(expected, "of a copy");
	return true;
}

/* Whatever moment the store is freed at, a copy is whole or is not there. */
START_TEST(free_while_a_copy_is_under_way)
{
	unsigned whole = 0;

	unit_take_seed();
	for (uint32_t i = 0; i < 30; i++) {
		char *expected;

		begin_in_thread();
		keep_update("big", 3000, 1, NULL);
		expected = state_text(&keep.core);
		keep_commit();
		wait_for_commit();
		copies_done = 0;
		keep.store->ops->copy(keep.store, copy_path, copy_done, NULL);
		keep.store->ops->copy(keep.store, "/nowhere/copy.db", copy_done, NULL);
		ck_assert_uint_eq(copies_done, 1);
		ck_assert(copy_failed && copy_error.code == ERR_CONFLICT);
		for (uint32_t turns = random_below(4); turns > 0; turns--) {
			usleep(random_below(1000));
			event_base_loop(base, EVLOOP_NONBLOCK);
		}
		whole += load_copy(expected);
		free(expected);
		end_in_thread();
		unlink(copy_path);
		ck_assert_int_eq(unlink(path), 0);
	}
	printf("%u of 30 copies are whole\n", whole);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store, in a thread");
	TCase *tests = tcase_create("store, in a thread");

	tcase_set_timeout(tests, 300);
	tcase_add_checked_fixture(tests, make_directory, remove_directory);
	tcase_add_test(tests, done_comes_from_the_loop);
	tcase_add_test(tests, free_while_a_commit_is_under_way);
	tcase_add_test(tests, a_copy_while_commits_go_on);
	tcase_add_test(tests, free_while_a_copy_is_under_way);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
