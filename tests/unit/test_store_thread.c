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

static void ignore_done(void *arg)
{
	(void)arg;
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
	copy_start();
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
	keep.store = open_file_to_read(copy_path);
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

static unsigned count_descriptors(void)
{
	DIR *descriptors = opendir("/proc/self/fd");
	unsigned count = 0;

	ck_assert_ptr_nonnull(descriptors);
	while (readdir(descriptors) != NULL)
		count++;
	closedir(descriptors);
	return count;
}

static unsigned asked, pieces, pieces_failed; /* reads of a copy, and what came of them */

static void count_piece(void *arg, const void *data, size_t len, const struct error *error)
{
	(void)arg;
	must(error || (data && len > 0));
	pieces++;
	pieces_failed += error != NULL;
}

/* A copy that nothing was read of. Those before it are ended, but few may wait to be closed. */
static struct store_copy *begin_copy(void)
{
	struct store_copy *copy;
	struct error error;

	while (!(copy = keep.store->ops->copy_begin(keep.store, &error)))
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	return copy;
}

/* Until the last read is answered, and the files of all copies are closed. */
static void await_descriptors(unsigned count)
{
	while (pieces < asked || count_descriptors() > count)
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	ck_assert_uint_eq(count_descriptors(), count);
}

/* Reads a copy for so many turns of the loop; one read is in progress at the end, most often. */
static void read_for(struct store_copy *copy, uint32_t turns)
{
	asked = pieces = pieces_failed = 0;
	for (uint32_t turn = 0; turn < turns; turn++) {
		if (pieces == asked) {
			asked++;
			keep.store->ops->copy_read(copy, count_piece, NULL);
		}
		event_base_loop(base, turn + 1 < turns ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
	}
}

enum { COPY_TURNS = 24 };

/* Before it is made, while SQLite makes it, and while it is read. */
START_TEST(a_copy_may_be_ended_at_any_moment)
{
	unsigned before, broken = 0, read = 0;

	begin_in_thread();
	keep_update("big", 20000, 1, NULL);
	keep_commit();
	wait_for_commit();
	before = count_descriptors();
	for (uint32_t turns = 0; turns < COPY_TURNS; turns++) {
		struct store_copy *copy = begin_copy();

		read_for(copy, turns);
		read += pieces > 0;
		keep.store->ops->copy_end(copy);
		keep.store->ops->copy_end(begin_copy());
		await_descriptors(before);
		must_have_no_snapshot();
		ck_assert_uint_le(pieces_failed, 1); /* the read that was in progress */
		broken += pieces_failed;
	}
	printf("of %d copies %u were ended during a read, %u after a piece\n", COPY_TURNS, broken, read);
	ck_assert_uint_gt(broken, 0);
	ck_assert_uint_gt(read, 0);
	end_in_thread();
}
END_TEST

/* As it is if the disk hangs: those who ask again and again do not take more and more memory. */
START_TEST(copies_that_wait_to_be_closed_are_few)
{
	struct job long_job = {.work = work_long, .done = ignore_done};
	struct store_copy *copy;
	struct error error;
	unsigned begun = 0;

	begin_in_thread();
	runner->ops->run(runner, &long_job);
	while ((copy = keep.store->ops->copy_begin(keep.store, &error)) != NULL) {
		ck_assert_uint_lt(++begun, COPY_TURNS);
		keep.store->ops->copy_read(copy, count_piece, NULL);
		keep.store->ops->copy_end(copy);
	}
	ck_assert_int_eq(error.code, ERR_CONFLICT);
	ck_assert_uint_ge(begun, 2);
	begin_copy();
	end_in_thread();
}
END_TEST

/* Ended or not, being made or read: it goes with the store. */
START_TEST(free_while_a_copy_is_under_way)
{
	unsigned before = 0;

	for (uint32_t turns = 0; turns < COPY_TURNS; turns++) {
		struct store_copy *copy;

		begin_in_thread();
		keep_update("big", 20000, 1, NULL);
		keep_commit();
		wait_for_commit();
		copy = begin_copy();
		read_for(copy, turns);
		if (turns % 2)
			keep.store->ops->copy_end(copy);
		end_in_thread();
		must_have_no_snapshot();
		ck_assert_int_eq(unlink(path), 0);
		if (before == 0)
			before = count_descriptors();
		ck_assert_uint_eq(count_descriptors(), before);
	}
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
	tcase_add_test(tests, a_copy_may_be_ended_at_any_moment);
	tcase_add_test(tests, copies_that_wait_to_be_closed_are_few);
	tcase_add_test(tests, free_while_a_copy_is_under_way);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
