/* A restore ends in the old state or in the new one, whenever the process ends, and nothing of either is lost. A log
 * is cut after copies of it and of the database are complete. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/repair.h"
#include "store/restore.h"
#include "store_log.h"
#include "tree.h" /* its parameters have names of the story */
#include "store_story.h"

enum { STEPS_MAX = 60 };

/* ---- calls that change files --------------------------------------------------------------- */

static int steps_left = INT_MAX; /* the process ends before the call at which this is 0 */
static bool no_exclusive_rename;
static bool aside_unsynced; /* an old file was moved aside, and the directory was not synced after that */
static unsigned placed, placed_early;
static int syncs_left = INT_MAX; /* the sync at which this is 0 fails */

int __real_renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags);
int __real_renameat(int from_directory, const char *from, int to_directory, const char *to);
int __real_fsync(int fd);
int __real_futimens(int fd, const struct timespec times[2]);
ssize_t __real_pwrite(int fd, const void *data, size_t len, off_t at);
int __wrap_renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags);
int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to);
int __wrap_fsync(int fd);
int __wrap_futimens(int fd, const struct timespec times[2]);
ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at);

static void step(void)
{
	if (steps_left-- == 0)
		_exit(EXIT_SUCCESS);
}

/* The new database gets its place when it loses the name of a restore that counts. */
static void note_rename(const char *from, const char *to)
{
	if (strstr(to, ".before-restore-"))
		aside_unsynced = true;
	if (strstr(from, ".imd-restore")) {
		placed++;
		placed_early += aside_unsynced;
	}
}

static void note_sync(int fd)
{
	struct stat status;

	ck_assert_int_eq(fstat(fd, &status), 0);
	if (S_ISDIR(status.st_mode))
		aside_unsynced = false;
}

int __wrap_renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags)
{
	int ret;

	step();
	if (no_exclusive_rename) {
		errno = EINVAL;
		return -1;
	}
	ret = __real_renameat2(from_directory, from, to_directory, to, flags);
	if (ret == 0)
		note_rename(from, to);
	return ret;
}

int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to)
{
	step();
	return __real_renameat(from_directory, from, to_directory, to);
}

int __wrap_fsync(int fd)
{
	step();
	note_sync(fd);
	if (syncs_left-- == 0) {
		errno = ENOSPC;
		return -1;
	}
	return __real_fsync(fd);
}

int __wrap_futimens(int fd, const struct timespec times[2])
{
	step();
	return __real_futimens(fd, times);
}

ssize_t __wrap_pwrite(int fd, const void *data, size_t len, off_t at)
{
	step();
	return __real_pwrite(fd, data, len, at);
}

/* ---- states -------------------------------------------------------------------------------- */

static char copy_file[PATH_MAX];
static char *old_text, *new_text;

static char *text_of(const char *name)
{
	struct core_config config;
	struct store *store;
	struct error error;
	struct store_history history;
	struct core core;
	char *text;

	core_config_default(&config);
	config.new_id = incarnation_new;
	core_init(&core, &config);
	ck_assert_msg(store_file_open_copy(name, runner_at_once(), &store, &error) == 0, "%s", error.text);
	ck_assert_msg(store->ops->load(store, &core, &history, &error) == 0, "%s", error.text);
	text = state_text(&core);
	core_fini(&core);
	store_close(store);
	return text;
}

/* A process that is killed leaves its log, whose commits the file has not. */
static void change_and_crash(void)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		keep_begin(open_file(path, runner_at_once()));
		keep_update("default", 5, 1, "old");
		keep_answer_all();
		must_commit();
		_exit(EXIT_SUCCESS);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}

static void begin(void)
{
	make_directory();
	snprintf(copy_file, sizeof copy_file, "%s/copied.db", directory);
	change_and_crash();
	old_text = text_of(path);
	keep_begin(open_file(copy_file, runner_at_once()));
	keep_update("web", 2, 7, "new");
	keep_answer_all();
	must_commit();
	store_close(keep.store);
	keep_end();
	new_text = text_of(copy_file);
	ck_assert_str_ne(old_text, new_text);
}

static void end(void)
{
	free(old_text);
	free(new_text);
	tree_remove(directory);
}

static void restore(void)
{
	struct store *copy;
	struct error error;

	ck_assert_msg(store_file_open_copy(copy_file, runner_at_once(), &copy, &error) == 0, "%s", error.text);
	ck_assert_msg(restore_state(path, copy, NULL, NULL, &error) == 0, "%s", error.text);
	store_close(copy);
}

/* Whether it came to its end before that step. */
static bool restore_until(int number)
{
	pid_t child = fork();
	int status;

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		steps_left = number;
		restore();
		_exit(EXIT_FAILURE);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status) != EXIT_SUCCESS;
}

/* How many names in the directory of the state contain this. */
static unsigned count_names(const char *part)
{
	const struct dirent *entry;
	DIR *entries = opendir(directory);
	unsigned count = 0;

	ck_assert_ptr_nonnull(entries);
	while ((entry = readdir(entries)) != NULL)
		count += strstr(entry->d_name, part) != NULL;
	closedir(entries);
	return count;
}

/* The database that was moved aside; false if there is none. */
static bool find_aside(char *ret_path)
{
	const struct dirent *entry;
	DIR *entries = opendir(directory);
	bool found = false;

	ck_assert_ptr_nonnull(entries);
	while ((entry = readdir(entries)) != NULL) {
		size_t len = strlen(entry->d_name);

		if (!strstr(entry->d_name, ".before-restore-") || entry->d_name[len - 1] != 'Z')
			continue;
		ck_assert(!found);
		found = true;
		snprintf(ret_path, PATH_MAX, "%s/%s", directory, entry->d_name);
	}
	closedir(entries);
	return found;
}

static void must_have(const char *name, const char *text)
{
	char *is = text_of(name);

	ck_assert_str_eq(is, text);
	free(is);
}

/* A start finds the old state, or the new one and the old one aside. Returns whether it is the new one. */
static bool must_be_whole(void)
{
	char kept[PATH_MAX];
	bool is_new;

	store_close(open_file(path, runner_at_once()));
	is_new = find_aside(kept);
	must_have(path, is_new ? new_text : old_text);
	if (is_new)
		must_have(kept, old_text);
	return is_new;
}

static void try_every_step(void)
{
	bool ended = false, was_new = false;
	int number = 0;

	for (; !ended && number < STEPS_MAX; number++) {
		bool is_new;

		begin();
		ended = restore_until(number);
		is_new = must_be_whole();
		ck_assert(is_new || !was_new);
		was_new = is_new;
		end();
	}
	ck_assert(ended && was_new);
	printf("%d moments at which the process might have ended\n", number - 1);
}

START_TEST(a_restore_may_end_at_every_step)
{
	try_every_step();
}
END_TEST

START_TEST(a_file_system_need_not_have_an_exclusive_rename)
{
	no_exclusive_rename = true;
	try_every_step();
}
END_TEST

/* The one that was interrupted is finished, and then replaced. */
START_TEST(a_restore_is_repeated_after_one_that_was_interrupted)
{
	bool ended = false;

	for (int number = 0; !ended; number++) {
		begin();
		ended = restore_until(number);
		restore();
		must_have(path, new_text);
		end();
	}
}
END_TEST

/* A power loss keeps any of the renames that were not synced, also a later one without an earlier one. */
START_TEST(old_files_are_durably_aside_before_the_new_one_takes_their_place)
{
	begin();
	restore();
	ck_assert_uint_eq(placed, 1);
	ck_assert_uint_eq(placed_early, 0);
	end();
}
END_TEST

/* ---- cutting a log ------------------------------------------------------------------------- */

static char log_file[PATH_MAX + 8];

static void damage_log(void)
{
	enum { SALT_AT = 16 }; /* in the header, with which every commit is lost */
	int fd = open(log_file, O_RDWR);
	char byte;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, &byte, 1, SALT_AT), 1);
	byte ^= 1;
	ck_assert_int_eq(__real_pwrite(fd, &byte, 1, SALT_AT), 1);
	close(fd);
}

static void copy_kept(void *arg, const char *from, const char *to)
{
	unsigned *kept = arg;

	ck_assert_ptr_nonnull(strstr(to, ".before-truncate-"));
	ck_assert_int_eq(access(from, F_OK), 0);
	ck_assert_int_eq(access(to, F_OK), 0);
	(*kept)++;
}

/* Cuts the log of `source`, which is closed then. Returns whether it was cut; the copies are reported or not there. */
static bool cut_source(const struct trust_path *place, struct source *source, const struct wal *log)
{
	unsigned kept = 0;
	struct error error;
	int ret = repair_cut(place, source, log, copy_kept, &kept, &error);

	source_close(source);
	syncs_left = INT_MAX;
	ck_assert_uint_eq(count_names(".before-truncate-"), kept);
	ck_assert(ret < 0 || kept == 2);
	return ret == 0;
}

static void inspect(struct trust_path *place, struct source *source, struct wal *log)
{
	struct error error;

	begin();
	snprintf(log_file, sizeof log_file, "%s-wal", path);
	damage_log();
	ck_assert_msg(files_resolve(path, place, &error) == 0, "%s", error.text);
	ck_assert_msg(source_open(place->path, SOURCE_EXCLUSIVE, source, &error) == 0, "%s", error.text);
	ck_assert_msg(repair_inspect(source, log, &error) == 0, "%s", error.text);
}

static off_t size_of(const char *name)
{
	struct stat status;

	ck_assert_int_eq(stat(name, &status), 0);
	return status.st_size;
}

/* The copy of the database, that of the log, and the directory are synced, and then the log that was cut. */
START_TEST(a_log_is_not_cut_and_no_copy_stays_if_one_cannot_be_written)
{
	enum { SYNCS_BEFORE = 3 };

	for (int number = 0; number <= SYNCS_BEFORE; number++) {
		struct trust_path place;
		struct source source;
		struct wal log;
		off_t size;

		inspect(&place, &source, &log);
		size = size_of(log_file);
		if (number < SYNCS_BEFORE)
			syncs_left = number;
		ck_assert(cut_source(&place, &source, &log) == (number == SYNCS_BEFORE));
		ck_assert_int_eq(size_of(log_file), number < SYNCS_BEFORE ? size : log.size);
		trust_path_fini(&place);
		end();
	}
}
END_TEST

START_TEST(a_log_that_was_replaced_meanwhile_is_not_cut)
{
	struct trust_path place;
	struct source source;
	struct wal log;
	off_t size;

	inspect(&place, &source, &log);
	ck_assert_int_eq(rename(log_file, copy_file), 0);
	file_copy(copy_file, log_file, "");
	size = size_of(log_file);
	ck_assert(!cut_source(&place, &source, &log));
	ck_assert_int_eq(size_of(log_file), size);
	trust_path_fini(&place);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("restore");
	TCase *tests = tcase_create("restore");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, a_restore_may_end_at_every_step);
	tcase_add_test(tests, a_file_system_need_not_have_an_exclusive_rename);
	tcase_add_test(tests, a_restore_is_repeated_after_one_that_was_interrupted);
	tcase_add_test(tests, old_files_are_durably_aside_before_the_new_one_takes_their_place);
	tcase_add_test(tests, a_log_is_not_cut_and_no_copy_stays_if_one_cannot_be_written);
	tcase_add_test(tests, a_log_that_was_replaced_meanwhile_is_not_cut);
	suite_add_tcase(suite, tests);
	return unit_run(suite, CK_FORK_GETENV);
}
