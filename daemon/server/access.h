/* Who may do what, by the user and the groups that a client had when it connected. */
#ifndef IMD_SERVER_ACCESS_H
#define IMD_SERVER_ACCESS_H

#include <stdbool.h>
#include <sys/types.h>

#include "proto/error.h"
#include "proto/verbs.h"

/* Without either group, whoever can connect may do everything. With one of them, only its members may do
 * what it is for, and besides them root and the user that imd runs as. Who may change may look. */
struct access_rules {
	const char *admin_group; /* may change; NULL: there is none. The caller's, as the next one */
	gid_t admin_gid;
	const char *read_group;  /* may look; NULL: there is none */
	gid_t read_gid;
};

enum { MAY_CHANGE = 1 << 0, MAY_READ = 1 << 1, MAY_ALL = MAY_CHANGE | MAY_READ };

/* Whether at the other end of a socket is root, the user that imd runs as, or one of the admin_group. */
bool access_admin(const struct access_rules *rules, int fd);
/* What the client at the other end of a socket may, a set of the above. */
unsigned access_rights(const struct access_rules *rules, int fd);
/* Whether these rights are enough for a request. */
bool access_allows(unsigned rights, const struct verb_row *verb);
/* -1 with ERR_DENIED: why this user's are not. */
int access_deny(const struct access_rules *rules, const struct verb_row *verb, const char *user,
	struct error *error);

#endif
