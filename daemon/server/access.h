/* Who may do what.
 *
 * Root, the user that imd runs as and the members of the admin group may do everything; nobody else may change
 * anything. Members of the read group may read. If neither group is configured, whoever can open the socket may
 * read.
 *
 * Membership is what the user database says now, not what the process was given when it logged in: rights end
 * when a user is removed from a group, whatever connections are open. An answer is kept for a few
 * seconds, because a lookup may ask a server on the network. A user or group that cannot be looked up has no rights.
 * Only a dynamic user of systemd, which no database lists, has the groups of its process. Overflow IDs identify
 * nobody (sys/overflow.h) and have no more rights than everybody who can connect. */
#ifndef IMD_SERVER_ACCESS_H
#define IMD_SERVER_ACCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/error.h"
#include "proto/verbs.h"

struct engine;

enum {
	MAY_CHANGE = 1 << 0,
	MAY_READ = 1 << 1,
	MAY_ALL = MAY_CHANGE | MAY_READ,
	MAY_ALWAYS = 1 << 2, /* with MAY_ALL: root and the user of imd, by no group */
};

/* The groups by their names; NULL: none. The caller's, and valid until the next access_configure. */
struct access_rules {
	const char *admin_group; /* its members may change and read */
	const char *read_group;  /* its members may read */
};

enum {
	ACCESS_KEPT_MS = 5000,
	ACCESS_USERS = 256, /* whose rights are kept; of more users, the ones due first are looked up again */
};

struct access_group {
	gid_t gid;
	bool found;
	bool reported; /* that it was not found */
};

struct access {
	struct access_rules rules;
	struct access_group admins, readers;
	int64_t groups_until_ms; /* when the groups are due to be looked up */
	struct access_user {
		uid_t uid;
		unsigned rights;
		int64_t until_ms;
	} users[ACCESS_USERS];
	unsigned user_count;
};

/* Takes other rules, and forgets what was looked up. */
void access_configure(struct access *access, const struct access_rules *rules);
/* The rights of the client at the other end of a socket, whose user is `uid`: a set of the above. They are good
 * until *ret_until_ms, monotonic. The engine is asked for the time. */
unsigned access_rights(struct access *access, const struct engine *engine, int fd, uid_t uid,
	int64_t *ret_until_ms);
/* Whether these rights are enough for a request. */
bool access_allows(unsigned rights, const struct verb_row *verb);
/* -1 with ERR_DENIED: what the request takes that this user has not. */
int access_deny(const struct access *access, const struct verb_row *verb, const char *user,
	struct error *error);

#endif
