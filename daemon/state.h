/* The state of the daemon between two runs: where it is kept, and what is done with it at the start. */
#ifndef IMD_STATE_H
#define IMD_STATE_H

#include "core/core.h"
#include "driver/driver.h"
#include "store/store.h"

struct event_base;

/* The word for a state that is kept nowhere. */
#define STATE_IN_MEMORY ":memory:"

/* Where the state is kept if nobody says: $STATE_DIRECTORY/imd.db where the service manager gives one,
 * else /var/lib/imd/imd.db for root, and $XDG_STATE_HOME/imd/imd.db or ~/.local/state/imd/imd.db for
 * others. The caller's; NULL where there is no such place. */
char *state_default_path(void);

/* Opens what `path` names, and creates the file and its directory if they do not exist. A state that is new gets its
 * incarnation from `ids` (store/schema.h). `unsaved` is set to true when the store is freed if what was committed is in
 * no file that the next start finds; the log says so. */
int state_open(const char *path, const struct id_source *ids, struct event_base *base, bool *unsaved,
	struct store **ret_store, struct error *error);

/* The nodes of the mock driver live in its memory, and die with it. A real one's would have gone on:
 * so those that ran are there again before the daemon looks. */
void state_restore_mock(const struct core *core, struct driver *mock);

#endif
