/* Whatever fails under the store in a file, and wherever it does: what was said to be stored is stored, of
 * what was said to have failed there is nothing, and once the fault has passed the store goes on.
 *
 * A story is told again and again; the first time its first operation of a kind fails, then the second,
 * and so on until a story ends without coming to it. Memory is SQLite's only: imd ends where it has
 * none itself. */
#include <sys/stat.h>

#include "store_faults.h"
#include "store_log.h"
#include "store_story.h"

enum { BIG = 1500, LONG_TEXT = 1600000 };

static char base_path[PATH_MAX], crash_path[PATH_MAX], log_path[PATH_MAX], aside_path[PATH_MAX];
static char *last;          /* what is committed, as text */
static uint64_t last_seq;
static char *next;          /* what the commit under way is to make of it; NULL: there is none */
static unsigned failed_commits, failed_loads, failed_opens, failed_copies, failed_fetches;

/* ---- files --------------------------------------------------------------------------------- */

static void begin_files(void)
{
	make_directory();
	snprintf(base_path, sizeof base_path, "%s/base.db", directory);
	snprintf(crash_path, sizeof crash_path, "%s/crash.db", directory);
	snprintf(log_path, sizeof log_path, "%s/log.db", directory);
	snprintf(aside_path, sizeof aside_path, "%s/aside", directory);
}

static void end_files(void)
{
	file_remove(path);
	file_remove(copy_path);
	file_remove(base_path);
	file_remove(crash_path);
	must(rmdir(directory) == 0);
}

/* ---- what must hold ------------------------------------------------------------------------ */

static void note_committed(void)
{
	free(last);
	last = state_text(&keep.core);
	last_seq = keep.seq;
}

/* A store, opened without any fault, has what is committed: with or without the commit under way, of which
 * nobody has been told. Closes it. */
static void check_store(struct store *store, const char *when)
{
	struct core fresh;
	struct error error;
	struct store_history history;
	uint64_t ids = keep.ids;
	char *is;

	core_init(&fresh, &keep.config);
	if (store->ops->load(store, &fresh, &history, &error) < 0)
		ck_abort_msg("%s: %s", when, error.text);
	is = state_text(&fresh);
	must(history.event_seq == last_seq || (next && history.event_seq == last_seq + 1));
	state_expect(is, history.event_seq == last_seq ? last : next, when);
	free(is);
	core_fini(&fresh);
	store_close(store);
	keep.ids = ids;
}

static void check_file(const char *name, const char *when)
{
	check_store(open_file(name, runner_at_once()), when);
}

/* As if the process had ended at this moment. */
static void check_crash(const char *when)
{
	bool armed = fault.armed;

	fault.armed = false;
	file_copy(path, crash_path, "");
	file_copy(path, crash_path, "-wal");
	file_copy(path, crash_path, "-journal");
	log_check(crash_path, log_path);
	check_file(crash_path, when);
	file_remove(crash_path);
	fault.armed = armed;
}

static void look(void)
{
	check_crash("a crash in the middle");
}

static void check_error(const struct error *error)
{
	must(error->code == ERR_STORAGE || (fault.kind == FAULT_MEMORY && error->code == ERR_INTERNAL));
	must(error->text[0] != '\0' && !strstr(error->text, "not an error"));
}

/* Nothing of a commit that failed is left in the log. It cannot be cut if truncating it goes on to fail. */
static void check_log(const char *when)
{
	unsigned leftovers = log_leftovers(path);

	if (leftovers > 0 && !(fault.kind == FAULT_TRUNCATE && fault.lasts))
		ck_abort_msg("%s: %u frames follow the last commit in the log", when, leftovers);
}

/* ---- the story ----------------------------------------------------------------------------- */

static void update_one(const char *group, uint32_t size, uint64_t version)
{
	keep_update(group, size, version, "a note");
	keep_answer_all();
}

static void kill_one(void)
{
	uint32_t ref = 0;
	struct node *node = keep_node(&ref);

	if (node)
		keep_ask(CORE_KILL, &node->id);
}

static void fail_one(const char *text)
{
	struct node *node;

	for (uint32_t ref = 0; (node = keep_node(&ref)) != NULL; ref++)
		if (node->state == NODE_RUNNING) {
			keep_step((struct core_event){.kind = CORE_EXITED, .id = node->id,
				.text = text});
			return;
		}
}

/* A part of it is told of any state, for a commit may have failed before. */
static void tell_part(unsigned part)
{
	keep.policy.max_parallel = 2;
	switch (part % 9) {
	case 0:
		update_one("default", 4, part + 1);
		break;
	case 1: /* a plan of some pages */
		update_one("big", BIG, part + 1);
		break;
	case 2:
		kill_one();
		keep_answer_all();
		break;
	case 3: /* the plan is not wanted any more, */
		update_one("big", 1, part + 1);
		break;
	case 4: /* and goes; other graphs come and go within the commit */
		for (uint32_t i = 0; i < 4; i++)
			update_one("big", i % 2, part + 1);
		break;
	case 5:
		fail_one("exit status 3");
		keep_wait();
		break;
	case 6:
		update_one("web", 2, part + 1);
		keep_answer_all();
		break;
	case 7:
		update_one("default", 1, part + 1);
		break;
	case 8:
		keep_answer_all();
		keep_wait();
		break;
	}
}

enum { PARTS = 9, COPY_AT = 5 };

/* The nodes are as they should be: the driver lost nothing. */
static void inspect_all(void)
{
	struct node *node;

	for (uint32_t ref = 0; (node = keep_node(&ref)) != NULL; ref++)
		if (node->inspecting)
			keep_inspected(node, node->op == OP_START ? FOUND_ABSENT : FOUND_RUNNING);
}

/* Loads what is committed, or fails; then it may be that the fault goes on. */
static bool load(const char *when)
{
	struct error error;
	char *is;

	if (keep_load(&error) < 0) {
		check_error(&error);
		must(fault_reached());
		failed_loads++;
		return false;
	}
	is = state_text(&keep.core);
	state_expect(is, last, when);
	must(keep.seq == last_seq);
	free(is);
	keep_load_end();
	inspect_all();
	return true;
}

/* ---- harm from outside --------------------------------------------------------------------- */

enum harm {
	HARM_LOG_REMOVED, /* these are never undone */
	HARM_LOG_LOST,
	HARM_LOG_CUT,     /* which the store mends */
	HARM_LOG_MOVED,
	HARM_DATABASE_MOVED,
	HARM_LOG_REPLACED,
	HARM_COUNT,
};
static enum harm harm;

static void log_name(char *name, size_t size)
{
	snprintf(name, size, "%s-wal", path);
}

static void do_harm(void)
{
	char log[PATH_MAX + 16];

	log_name(log, sizeof log);
	if (harm == HARM_LOG_REMOVED)
		must(unlink(log) == 0);
	else if (harm == HARM_LOG_CUT)
		must(truncate(log, 100) == 0);
	else
		must(rename(harm == HARM_DATABASE_MOVED ? path : log, aside_path) == 0);
	if (harm == HARM_LOG_REPLACED || harm == HARM_LOG_LOST)
		must(fclose(fopen(log, "w")) == 0);
}

static bool harm_stays(void)
{
	return harm == HARM_LOG_REMOVED || harm == HARM_LOG_LOST;
}

static void undo_harm(void)
{
	char log[PATH_MAX + 16];

	log_name(log, sizeof log);
	if (!harm_stays() && access(aside_path, F_OK) == 0)
		must(rename(aside_path, harm == HARM_DATABASE_MOVED ? path : log) == 0);
}

/* A commit, and if it fails what the engine does then. Returns whether the story can go on. */
static bool commit(void)
{
	unsigned done = keep.done;

	if (fault_comes(FAULT_CUT))
		fault_look();
	next = fault.kind == FAULT_LOOK ? state_text(&keep.core) : NULL;
	keep_commit();
	free(next);
	next = NULL;
	must(keep.done == done + 1);
	if (!keep.failed) {
		note_committed();
		return true;
	}
	failed_commits++;
	must(fault_reached());
	check_error(&keep.error);
	undo_harm();
	check_crash("a crash behind a commit that failed");
	check_log("after a commit that failed");
	if (load("behind a commit that failed"))
		return true;
	/* If it was the load that failed, the next one does not. */
	return !fault.lasts && load("again, behind a commit that failed");
}

static void copy(void)
{
	copies_done = 0;
	copy_start();
	must(copies_done == 1);
	must_have_no_snapshot();
	if (copy_failed) {
		failed_copies++;
		must(fault_reached());
		check_error(&copy_error);
	} else {
		bool armed = fault.armed;

		fault.armed = false;
		check_store(open_file_to_read(copy_path), "of a copy");
		fault.armed = armed;
	}
	file_remove(copy_path);
}

static void fetch(void)
{
	if (keep_fetch_all())
		return;
	failed_fetches++;
	must(fault_reached());
	check_error(&keep.error);
}

/* Opens the file, in spite of a fault that comes once. */
static bool open_state(void)
{
	struct error error;

	if (store_open(path, runner_at_once(), &keep.store, &error) == 0)
		return true;
	check_error(&error);
	must(strstr(error.text, path) != NULL);
	must(fault_reached());
	failed_opens++;
	if (fault.lasts)
		return false;
	if (store_open(path, runner_at_once(), &keep.store, &error) < 0)
		ck_abort_msg("opened a second time: %s", error.text);
	return true;
}

static void tell_story(void)
{
	if (!load("behind open") && (fault.lasts || !load("again, behind open")))
		return;
	for (unsigned part = 0; part < PARTS; part++) {
		tell_part(part);
		if (!commit())
			return;
		if (part == COPY_AT)
			copy();
		if (part == COPY_AT + 1)
			fetch();
	}
}

/* The fault has passed: there is no need to open the file again. */
static void go_on(void)
{
	fault.armed = false;
	must(load("when the fault has passed"));
	tell_part(0);
	must(commit());
	tell_part(7);
	must(commit());
}

/* ---- beginnings ---------------------------------------------------------------------------- */

/* What a story begins with: no file, or one with much in it that is free. */
static struct beginning {
	char *text;
	uint64_t seq, ids;
	struct now now;
} beginnings[2];

static void note_beginning(struct beginning *beginning)
{
	*beginning = (struct beginning){.text = state_text(&keep.core), .seq = keep.seq,
		.ids = keep.ids, .now = keep.now};
}

/* A text that was long, and is gone, leaves many pages free. */
static void make_base(void)
{
	char *text = malloc(LONG_TEXT + 1);

	must(text != NULL);
	memset(text, 'x', LONG_TEXT);
	text[LONG_TEXT] = '\0';
	keep.store = open_file(base_path, runner_at_once());
	update_one("default", 2, 1);
	fail_one(text);
	must_commit();
	for (uint32_t i = 0; i < 12; i++) {
		keep_answer_all();
		keep_wait();
		fail_one("short");
	}
	must_commit();
	store_close(keep.store);
	free(text);
}

static void make_beginnings(void)
{
	keep_begin(NULL);
	note_beginning(&beginnings[false]);
	make_base();
	note_beginning(&beginnings[true]);
	keep_end();
}

static void free_beginnings(void)
{
	free(beginnings[false].text);
	free(beginnings[true].text);
}

/* Returns whether the fault came. `passes`: it is over before the store is closed, if it lasts. */
static bool try_story(enum fault_kind kind, uint64_t at, bool lasts, bool passes, bool base)
{
	const struct beginning *beginning = &beginnings[base];

	keep_begin(NULL);
	keep.now = beginning->now;
	keep.ids = beginning->ids;
	last = strdup(beginning->text);
	last_seq = beginning->seq;
	file_remove(path);
	if (base)
		file_copy(base_path, path, "");
	fault_arm(kind, at, lasts);
	if (open_state()) {
		tell_story();
		if (!lasts || passes)
			go_on();
		fault.armed = true;
		store_close(keep.store);
	}
	fault.armed = false;
	check_file(path, "opened again");
	keep_end();
	free(last);
	return fault_reached();
}

static int64_t file_size(const char *name)
{
	struct stat status;

	must(stat(name, &status) == 0);
	return status.st_size;
}

/* ---- the tests ----------------------------------------------------------------------------- */

enum { STORIES_QUICK = 70, STORIES_MEMORY = 500 };

/* Every operation in its turn. Of allocations, which are some 10,000 in a story, 500 at equal distances, and of
 * all operations some with IMD_TEST_QUICK: others each time. Prints how many there were, and how many of them
 * failed. */
static void try_all(enum fault_kind kind, bool lasts, bool base)
{
	uint64_t count, stride, tried = 0;

	must(!try_story(kind, UINT64_MAX, lasts, true, base));
	count = fault.count;
	/* So the story has given pages back. */
	must(!base || file_size(path) < file_size(base_path) - 64 * 4096);
	stride = kind == FAULT_MEMORY ? 1 + count / STORIES_MEMORY : 1;
	if (getenv("IMD_TEST_QUICK"))
		stride = 1 + count / STORIES_QUICK;
	for (uint64_t at = 1 + random_below64(stride); try_story(kind, at, lasts, tried % 2, base);
		at += stride)
		tried++;
	ck_assert_uint_ge(tried, count / stride);
	printf("  %s, in %s: %" PRIu64 " of %" PRIu64 "\n", lasts ? "for good" : "once",
		base ? "a file that is there" : "a new file", tried, count);
}

START_TEST(faults)
{
	static const char *const names[FAULT_LOOK] = {
		[FAULT_OPEN] = "open", [FAULT_READ] = "read", [FAULT_WRITE] = "write",
		[FAULT_SYNC] = "sync", [FAULT_TRUNCATE] = "truncate", [FAULT_DELETE] = "delete",
		[FAULT_MEMORY] = "memory",
	};
	unit_take_seed();
	faults_set_up();
	make_beginnings();
	printf("%s fails\n", names[_i]);
	for (unsigned way = 0; way < 4; way++)
		try_all((enum fault_kind)_i, way & 1, way & 2);
	free_beginnings();
	printf("  of commits failed %u, of loads %u, of opens %u, of copies %u, of graphs"
		" %u\n", failed_commits, failed_loads, failed_opens, failed_copies, failed_fetches);
}
END_TEST

/* The process may end before any change of a file: a commit is then stored as a whole or not at all. */
START_TEST(crashes)
{
	faults_set_up();
	fault_look = look;
	make_beginnings();
	for (unsigned base = 0; base < 2; base++) {
		must(try_story(FAULT_LOOK, 1, true, true, base));
		printf("%" PRIu64 " moments at which the process might have ended\n", fault.count);
	}
	free_beginnings();
}
END_TEST

/* Returns whether the harm came, which is after so many changes of files. */
static bool try_harm(uint64_t at)
{
	const struct beginning *beginning = &beginnings[true];

	keep_begin(NULL);
	keep.now = beginning->now;
	keep.ids = beginning->ids;
	last = strdup(beginning->text);
	last_seq = beginning->seq;
	file_copy(base_path, path, "");
	must(open_state());
	fault_arm(harm == HARM_LOG_CUT ? FAULT_CUT : FAULT_HARM, at, false);
	tell_story();
	undo_harm();
	if (!harm_stays() || !fault_reached())
		go_on();
	store_close(keep.store);
	fault.armed = false;
	undo_harm();
	check_file(path, "opened again, after harm");
	file_remove(path);
	unlink(aside_path);
	keep_end();
	free(last);
	return fault_reached();
}

/* Somebody does something to the files before any change that the store makes, or cuts the log between two commits:
 * nothing is lost that was said to be stored, and the store goes on when the files are back. */
START_TEST(harms)
{
	static const char *const names[HARM_COUNT] = {"the log is removed", "the log is replaced for good",
		"the log is cut", "the log is moved", "the database is moved", "the log is replaced"};
	uint64_t at, stride = 1;

	unit_take_seed();
	faults_set_up();
	fault_look = do_harm;
	make_beginnings();
	harm = (enum harm)_i;
	must(!try_harm(UINT64_MAX));
	if (getenv("IMD_TEST_QUICK"))
		stride = 1 + fault.count / STORIES_QUICK;
	for (at = 1 + random_below64(stride); try_harm(at); at += stride)
		;
	free_beginnings();
	printf("%s: %" PRIu64 " moments, %u commits failed, %u loads\n", names[harm], fault.count, failed_commits,
		failed_loads);
	ck_assert_uint_gt(failed_commits, 0);
	ck_assert_uint_eq(failed_loads, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store, faults");
	TCase *tests = tcase_create("store, faults");

	tcase_set_timeout(tests, 300);
	tcase_add_checked_fixture(tests, begin_files, end_files);
	tcase_add_loop_test(tests, faults, 0, FAULT_LOOK);
	tcase_add_test(tests, crashes);
	tcase_add_loop_test(tests, harms, 0, HARM_COUNT);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
