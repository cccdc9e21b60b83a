#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/mock.h"
#include "log.h"
#include "proto/mem.h"
#include "store/files.h"

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

static void on_unsaved(void *arg, const struct error *error)
{
	bool *unsaved = arg;

	*unsaved = true;
	log_event(LEVEL_ERR, "state-lost", LOG_STR("error", error->text));
}

int state_open(const char *path, const struct id_source *ids, struct event_base *base, bool *unsaved,
	struct store **ret_store, struct error *error)
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
	store_file_on_unsaved(*ret_store, on_unsaved, unsaved);
	if (store_file_restored(*ret_store))
		log_event(LEVEL_NOTICE, "restore-finished", LOG_STR("state", path));
	if (store_file_notice(*ret_store, &notice))
		log_event(LEVEL_WARNING, "log-incomplete", LOG_STR("notice", notice.text));
	return 0;
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
