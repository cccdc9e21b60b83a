#include "state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "driver/mock.h"
#include "log.h"
#include "proto/mem.h"
#include "store/files.h"
#include "sys/privileges.h"

/* ---- where --------------------------------------------------------------------------------- */

static char *path_join(const char *directory, const char *rest)
{
	size_t size = strlen(directory) + strlen(rest) + 1;
	char *path = mem_alloc(size);

	snprintf(path, size, "%s%s", directory, rest);
	return path;
}

static bool absolute(const char *path)
{
	return path != NULL && path[0] == '/';
}

char *state_default_path(void)
{
	const char *given = getenv("STATE_DIRECTORY"), *xdg = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");

	if (absolute(given) && strchr(given, ':') == NULL)
		return path_join(given, "/imd.db");
	if (geteuid() == 0)
		return mem_strdup("/var/lib/imd/imd.db");
	if (absolute(xdg))
		return path_join(xdg, "/imd/imd.db");
	if (absolute(home))
		return path_join(home, "/.local/state/imd/imd.db");
	return NULL;
}

/* ---- opening ------------------------------------------------------------------------------- */

int state_open(const char *path, const struct id_source *ids, struct event_base *base, struct store **ret_store,
	struct error *error)
{
	struct runner *runner;
	struct error notice;

	if (strcmp(path, STATE_IN_MEMORY) == 0) {
		*ret_store = store_memory_new(ids);
		return 0;
	}
	if (files_make_directory(path, error) < 0)
		return -1;
	runner = runner_thread(base);
	if (runner == NULL)
		return error_set(error, ERR_INTERNAL, "cannot set up a thread for the state");
	if (store_file_open(path, ids, runner, ret_store, error) < 0)
		return -1;
	if (store_file_notice(*ret_store, &notice))
		log_event(LEVEL_WARNING, "log-incomplete", LOG_STR("notice", notice.text));
	return 0;
}

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

static void print_summary(const char *path, const struct core *core, uint64_t event_seq)
{
	uint64_t live = 0, graphs = 0, revisions = 0;

	for (uint32_t i = 0; i < core->group_count; i++) {
		live += core->groups[i]->live;
		graphs += core->groups[i]->graph_count;
		revisions += core->groups[i]->specs.count;
	}
	printf("%s: sound: groups=%" PRIu32 " revisions=%" PRIu64 " graphs=%" PRIu64
		" live-nodes=%" PRIu64 " events=%" PRIu64 "\n", path, core->group_count, revisions,
		graphs, live, event_seq);
}

static int check_store(const char *path, struct store *store, struct error *error)
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
	if (ret == 0)
		print_summary(path, &core, history.event_seq);
	update_fini(&update);
	core_fini(&core);
	return ret;
}

/* As root, a file is only looked at with the rights of its owner. */
static int become_owner(const char *path, struct error *error)
{
	struct error inner;
	struct stat status;

	if (geteuid() != 0 || lstat(path, &status) < 0 || status.st_uid == 0)
		return 0; /* what is wrong with the file, its opening says */
	if (privileges_drop(status.st_uid, &inner) < 0)
		return error_set(error, ERR_STORAGE, "%s belongs to user %u, and root does not open the "
			"files of others: %s", path, (unsigned)status.st_uid, inner.text);
	return 0;
}

int state_check(const char *path)
{
	struct store *store;
	struct error error;
	int ret;

	if (become_owner(path, &error) < 0 ||
		store_file_open_copy(path, runner_at_once(), &store, &error) < 0) {
		fprintf(stderr, "imd: %s\n", error.text);
		return EXIT_FAILURE;
	}
	ret = check_store(path, store, &error);
	store->ops->free(store);
	if (ret < 0)
		fprintf(stderr, "imd: %s is not sound: %s\n", path, error.text);
	return ret < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the mock driver's world --------------------------------------------------------------- */

void state_restore_mock(const struct core *core, struct driver *mock)
{
	for (uint32_t i = 0; i < core->group_count; i++) {
		const struct group *group = core->groups[i];

		for (uint32_t slot = 0; slot < group->slots_used; slot++) {
			uint32_t ref = group_slot_node(group, slot);

			if (ref != NODE_NONE && node_at(&core->nodes, ref)->started_us != 0)
				mock_restore(mock, &node_at(&core->nodes, ref)->id);
		}
	}
}
