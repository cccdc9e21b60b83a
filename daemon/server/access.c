#include "access.h"

#include <stdio.h>
#include <unistd.h>

#include "peer.h"

static bool is_admin(const struct access_rules *rules, const struct peer *peer)
{
	return peer->uid == 0 || peer->uid == geteuid() ||
		(rules->admin_group != NULL && peer_in_group(peer, rules->admin_gid));
}

bool access_admin(const struct access_rules *rules, int fd)
{
	struct peer peer;
	bool admin;

	if (peer_init(&peer, fd) < 0)
		return false;
	admin = is_admin(rules, &peer);
	peer_fini(&peer);
	return admin;
}

unsigned access_rights(const struct access_rules *rules, int fd)
{
	struct peer peer;
	unsigned rights = 0;

	if (rules->admin_group == NULL && rules->read_group == NULL)
		return MAY_ALL;
	if (peer_init(&peer, fd) < 0)
		return 0;
	if (is_admin(rules, &peer))
		rights = MAY_ALL;
	else if (rules->read_group != NULL && peer_in_group(&peer, rules->read_gid))
		rights = MAY_READ;
	peer_fini(&peer);
	return rights;
}

/* For whom a request is, in words. */
static void members(const struct access_rules *rules, bool changes, char *ret_text, size_t size)
{
	const char *admins = rules->admin_group, *readers = changes ? NULL : rules->read_group;

	if (admins != NULL && readers != NULL)
		snprintf(ret_text, size, "members of the groups %.32s and %.32s", admins, readers);
	else if (admins != NULL || readers != NULL)
		snprintf(ret_text, size, "members of the group %.32s", admins != NULL ? admins : readers);
	else
		snprintf(ret_text, size, "root and the user of imd");
}

bool access_allows(unsigned rights, const struct verb_row *verb)
{
	return ((verb->flags & VERB_CHANGES) == 0 || (rights & MAY_CHANGE)) &&
		((verb->flags & VERB_READS) == 0 || (rights & MAY_READ));
}

int access_deny(const struct access_rules *rules, const struct verb_row *verb, const char *user,
	struct error *error)
{
	bool changes = (verb->flags & VERB_CHANGES) != 0;
	char text[LIMIT_ERROR_TEXT];

	members(rules, changes, text, sizeof text);
	return error_set(error, ERR_DENIED, "the user %s may not use %s, which %s: that is for %s", user,
		verb->name, changes ? "changes something" : "shows the state", text);
}
