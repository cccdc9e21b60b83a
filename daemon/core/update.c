/* The memory of an update. */
#include <stdlib.h>

#include "update.h"

#include "proto/mem.h"

enum { KEPT_MAX = 64 * 1024 };

void update_init(struct update *update, void (*notice)(void *, const struct notice *), void *arg)
{
	*update = (struct update){.notice = notice, .arg = arg};
}

void update_fini(struct update *update)
{
	free(update->changes);
	free(update->actions);
	update_init(update, NULL, NULL);
}

void update_clear(struct update *update)
{
	/* What a large supersession took is not kept for ever. */
	if (update->change_capacity > KEPT_MAX) {
		free(update->changes);
		update->changes = NULL;
		update->change_capacity = 0;
	}
	update->change_count = 0;
	update->action_count = 0;
}

static size_t grown(size_t capacity)
{
	return capacity ? capacity * 2 : 64;
}

void update_add_change(struct update *update, const struct change *change)
{
	if (update->change_count == update->change_capacity) {
		update->change_capacity = grown(update->change_capacity);
		update->changes = mem_realloc(update->changes, update->change_capacity,
			sizeof *update->changes);
		mem_prefault(update->changes + update->change_count,
			(update->change_capacity - update->change_count) *
				sizeof *update->changes);
	}
	update->changes[update->change_count++] = *change;
}

void update_add_action(struct update *update, const struct action *action)
{
	if (update->action_count == update->action_capacity) {
		update->action_capacity = grown(update->action_capacity);
		update->actions = mem_realloc(update->actions, update->action_capacity,
			sizeof *update->actions);
	}
	update->actions[update->action_count++] = *action;
}
