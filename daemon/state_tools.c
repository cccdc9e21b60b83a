#include "state_tools.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/core.h"
#include "proto/mem.h"
#include "state.h"
#include "store/repair.h"
#include "store/restore.h"
#include "store/source.h"
#include "store/store.h"
#include "sys/privileges.h"

/* ---- checking ------------------------------------------------------------------------------ */

static void check_new_id(void *arg, struct id *ret_id)
{
	(void)arg;
	memset(ret_id, 0, sizeof *ret_id);
}

static void check_notice(void *arg, const struct notice *notice)
{
	(void)arg;
	(void)notice;
}

static void print_summary(const struct core *core, uint64_t event_seq)
{
	uint64_t live = 0, graphs = 0, revisions = 0;

	for (uint32_t i = 0; i < core->group_count; i++) {
		live += core->groups[i]->live;
		graphs += core->groups[i]->graph_count;
		revisions += core->groups[i]->specs.count;
	}
	printf("groups=%" PRIu32 " revisions=%" PRIu64 " graphs=%" PRIu64 " live-nodes=%" PRIu64
		" events=%" PRIu64, core->group_count, revisions, graphs, live, event_seq);
}

/* Prints what is in a state that is good, after a text. */
static int check_store(const char *path, const char *text, struct store *store, struct error *error)
{
	struct core_config config = {.new_id = check_new_id};
	struct now now = {.mono_ms = 0};
	struct update update;
	struct core core;
	struct store_history history;
	int ret;

	core_config_default(&config);
	config.new_id = check_new_id;
	core_init(&core, &config);
	update_init(&update, check_notice, NULL);
	ret = store_file_verify(store, error);
	if (ret == 0)
		ret = store->ops->load(store, &core, &history, error);
	if (ret == 0)
		ret = core_load_end(&core, &now, &update, error);
	if (ret == 0) {
		printf("%s: %s: ", path, text);
		print_summary(&core, history.event_seq);
	}
	update_fini(&update);
	core_fini(&core);
	return ret;
}

/* As root, a file is only read and written with the rights of its owner. */
static int become(uid_t owner, const char *path, struct error *error)
{
	struct error inner;

	if (geteuid() != 0 || owner == 0 || privileges_drop(owner, &inner) == 0)
		return 0;
	return error_set(error, ERR_STORAGE, "%s belongs to user %u, and root does not open the files of others: %s", path,
		(unsigned)owner, inner.text);
}

/* If there is no such file, opening it reports that. */
static int become_owner(const char *path, struct error *error)
{
	struct stat status;

	return lstat(path, &status) < 0 ? 0 : become(status.st_uid, path, error);
}

static int failed(const struct error *error)
{
	fprintf(stderr, "imd: %s\n", error->text);
	return EXIT_FAILURE;
}

static int check_in_file(const char *path, struct error *error)
{
	if (strcmp(path, STATE_IN_MEMORY) != 0)
		return 0;
	return error_set(error, ERR_STORAGE, "the state \"%s\" is not in a file; use --state", path);
}

/* Which state is meant; a lack of memory says nothing about it. The text of `inner` may be in *error. */
static int not_good(const char *path, const struct error *inner, struct error *error)
{
	struct error copy = *inner;

	return error_set(error, copy.code, copy.code == ERR_INTERNAL ? "%s: %s" : "%s is not sound: %s", path, copy.text);
}

int state_check(const char *path)
{
	struct error error, notice;
	struct store *store;
	int ret;

	if (become_owner(path, &error) < 0 ||
		store_file_open_copy(path, runner_at_once(), &store, &error) < 0)
		return failed(&error);
	ret = check_store(path, "sound", store, &error);
	if (ret == 0 && store_file_notice(store, &notice))
		printf("; %s", notice.text);
	store->ops->free(store);
	if (ret < 0) {
		not_good(path, &error, &error);
		return failed(&error);
	}
	putchar('\n');
	return EXIT_SUCCESS;
}

/* ---- restoring ----------------------------------------------------------------------------- */

/* The owner of the state, or of the directory that it is to be in; the effective user if there is neither. */
static uid_t find_owner(const char *path)
{
	char *directory = files_directory(path);
	uid_t owner = geteuid();
	struct stat status;

	if (lstat(path, &status) == 0 || stat(directory, &status) == 0)
		owner = status.st_uid;
	free(directory);
	return owner;
}

static int check_other(const char *path, const struct source *copy, struct error *error)
{
	struct stat state, other;

	if (copy->files[STATE_DATABASE] < 0 || fstat(copy->files[STATE_DATABASE], &other) < 0 || stat(path, &state) < 0 ||
		state.st_dev != other.st_dev || state.st_ino != other.st_ino)
		return 0;
	return error_set(error, ERR_STORAGE, "%s is the state itself, not a copy", copy->path);
}

static void print_moved(void *arg, const char *from, const char *to)
{
	(void)arg;
	printf("%s: moved to %s\n", from, to);
}

static int restore_from(const char *path, const struct source *copy, struct error *error)
{
	struct store *store;
	int ret;

	if (check_other(path, copy, error) < 0 || become(find_owner(path), path, error) < 0 ||
		store_file_open_source(copy, false, runner_at_once(), &store, error) < 0)
		return -1;
	ret = check_store(copy->path, "sound", store, error);
	if (ret < 0)
		not_good(copy->path, error, error);
	else
		putchar('\n');
	if (ret == 0)
		ret = restore_state(path, store, print_moved, NULL, error);
	store->ops->free(store);
	return ret;
}

int state_restore(const char *path, const char *copy_path)
{
	struct source copy;
	struct error error;
	int ret;

	if (check_in_file(path, &error) < 0)
		return failed(&error);
	if (source_open(copy_path, SOURCE_ANY_OWNER, &copy, &error) < 0)
		return failed(&error);
	ret = restore_from(path, &copy, &error);
	source_close(&copy);
	if (ret < 0)
		return failed(&error);
	printf("%s: restored from %s\n", path, copy_path);
	return EXIT_SUCCESS;
}

/* ---- cutting a log ------------------------------------------------------------------------- */

/* What is left must be a state by itself: the database may have taken over commits from beyond the damage. */
static int check_rest(const struct source *source, struct error *error)
{
	struct store *store;
	int ret;

	if (store_file_open_source(source, true, runner_at_once(), &store, error) < 0)
		return -1;
	ret = check_store(source->path, "sound without them", store, error);
	store->ops->free(store);
	if (ret < 0)
		return not_good(source->path, error, error);
	putchar('\n');
	return 0;
}

static void print_kept(void *arg, const char *from, const char *to)
{
	(void)arg;
	printf("%s: copied to %s\n", from, to);
}

static int truncate_log(const struct trust_path *place, struct error *error)
{
	struct source source;
	struct wal log;
	int ret;

	if (source_open(place->path, SOURCE_EXCLUSIVE, &source, error) < 0)
		return -1;
	ret = repair_inspect(&source, &log, error);
	if (ret == 0)
		ret = check_rest(&source, error);
	if (ret == 0)
		ret = repair_cut(place, &source, &log, print_kept, NULL, error);
	source_close(&source);
	if (ret == 0)
		printf("%s-wal: cut after commit %" PRIu64 "; the later ones, at least %" PRIu64 ", are lost\n", place->path,
			log.commits, log.lost > 0 ? log.lost : 1);
	return ret;
}

int state_truncate_log(const char *path)
{
	struct trust_path place;
	struct error error;
	int ret;

	if (check_in_file(path, &error) < 0 || become_owner(path, &error) < 0 || files_resolve(path, &place, &error) < 0)
		return failed(&error);
	ret = restore_check_none(place.path, &error);
	if (ret == 0)
		ret = truncate_log(&place, &error);
	trust_path_fini(&place);
	return ret < 0 ? failed(&error) : EXIT_SUCCESS;
}
