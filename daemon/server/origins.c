#include "origins.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/engine.h"
#include "proto/mem.h"

enum {
	SIZE_MIN = 4096,
	SIZE_MAX_TRIED = 16 * 1024 * 1024,
	FAILED_KEPT_MS = 5000,
	FAILED_KEPT_TIMES = 10, /* and so many times as long as it took: it may have been waited for */
};

/* Returns whether there is a name. */
static bool lookup(uid_t uid, struct origin *ret_origin)
{
	struct passwd record, *found = NULL;
	size_t size = SIZE_MIN;
	char *strings = mem_alloc(size);
	bool named;

	while (getpwuid_r(uid, &record, strings, size, &found) == ERANGE && size < SIZE_MAX_TRIED) {
		size *= 4;
		strings = mem_realloc(strings, size, 1);
	}
	named = found != NULL && found->pw_name[0] != '\0';
	ret_origin->uid = uid;
	if (named)
		snprintf(ret_origin->user, sizeof ret_origin->user, "%s", found->pw_name);
	else
		snprintf(ret_origin->user, sizeof ret_origin->user, "%lu", (unsigned long)uid);
	free(strings);
	return named;
}

/* The user's own place, or the one to be taken for it, whose time is over. */
static struct origins_entry *place_of(struct origins *origins, uid_t uid)
{
	struct origins_entry *oldest = &origins->known[0];

	for (unsigned i = 0; i < origins->count; i++) {
		struct origins_entry *entry = &origins->known[i];

		if (entry->origin.uid == uid)
			return entry;
		if (entry->asked < oldest->asked)
			oldest = entry;
	}
	if (origins->count < ORIGINS_KEPT)
		oldest = &origins->known[origins->count++];
	oldest->until_ms = INT64_MIN;
	return oldest;
}

struct origin origins_find(struct origins *origins, const struct engine *engine, uid_t uid)
{
	struct origins_entry *entry = place_of(origins, uid);
	int64_t begun_ms = engine_now(engine).mono_ms, now_ms;

	entry->asked = ++origins->questions;
	if (begun_ms < entry->until_ms)
		return entry->origin;
	if (lookup(uid, &entry->origin)) {
		entry->until_ms = INT64_MAX;
	} else {
		now_ms = engine_now(engine).mono_ms;
		entry->until_ms = now_ms + FAILED_KEPT_MS + FAILED_KEPT_TIMES * (now_ms - begun_ms);
	}
	return entry->origin;
}

void origins_clear(struct origins *origins)
{
	origins->count = 0;
}
