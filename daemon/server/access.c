#include "access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/engine.h"
#include "log.h"
#include "peer.h"
#include "sys/overflow.h"
#include "sys/sysgroup.h"

/* An answer is kept for so many times as long as its lookup took, too, because a lookup blocks all clients. */
enum { KEPT_TIMES = 10 };

static int64_t now_ms(const struct engine *engine)
{
	return engine_now(engine).mono_ms;
}

/* Until when the answer of a lookup is kept that began at a time. */
static int64_t kept_until(const struct engine *engine, int64_t begun_ms)
{
	int64_t ended_ms = now_ms(engine);

	return ended_ms + ACCESS_KEPT_MS + KEPT_TIMES * (ended_ms - begun_ms);
}

void access_configure(struct access *access, const struct access_rules *rules)
{
	*access = (struct access){.rules = *rules, .groups_until_ms = INT64_MIN};
}

/* ---- the groups ---------------------------------------------------------------------------- */

static void group_look_up(struct access_group *group, const char *setting, const char *name)
{
	int failed;

	group->found = false;
	if (!name)
		return;
	failed = sysgroup_find(name, &group->gid);
	group->found = failed == 0 && !overflow_gid(group->gid);
	if (!group->found && !group->reported)
		log_event(LEVEL_WARNING, "group-unknown", LOG_STR("setting", setting),
			LOG_STR("group", name),
			LOG_STR("error", failed != 0 ? strerror(failed) : "it has the overflow ID"));
	group->reported = !group->found;
}

static void groups_look_up(struct access *access, const struct engine *engine)
{
	int64_t begun_ms = now_ms(engine);

	if (begun_ms < access->groups_until_ms)
		return;
	group_look_up(&access->admins, "admin-group", access->rules.admin_group);
	group_look_up(&access->readers, "read-group", access->rules.read_group);
	access->groups_until_ms = kept_until(engine, begun_ms);
}

static bool has_group(const struct access_group *group, const gid_t *gids, size_t count)
{
	for (size_t i = 0; group->found && i < count; i++) {
		if (gids[i] == group->gid)
			return true;
	}
	return false;
}

static unsigned rights_of_groups(const struct access *access, const gid_t *gids, size_t count)
{
	if (has_group(&access->admins, gids, count))
		return MAY_ALL;
	return has_group(&access->readers, gids, count) ? MAY_READ : 0;
}

/* ---- users --------------------------------------------------------------------------------- */

/* The user's entry, a free one, or the one that is due first. */
static struct access_user *user_entry(struct access *access, uid_t uid)
{
	struct access_user *first = &access->users[0];

	for (unsigned i = 0; i < access->user_count; i++) {
		struct access_user *user = &access->users[i];

		if (user->uid == uid)
			return user;
		if (user->until_ms < first->until_ms)
			first = user;
	}
	if (access->user_count < ACCESS_USERS)
		first = &access->users[access->user_count++];
	*first = (struct access_user){.uid = uid, .until_ms = INT64_MIN};
	return first;
}

static unsigned user_rights(struct access *access, const struct engine *engine, uid_t uid,
	int64_t *ret_until_ms)
{
	struct access_user *user = user_entry(access, uid);
	int64_t begun_ms = now_ms(engine);
	gid_t *gids = NULL;
	size_t count = 0;

	if (begun_ms >= user->until_ms) {
		groups_look_up(access, engine);
		user->rights = sysgroup_of_user(uid, &gids, &count) == 0
			? rights_of_groups(access, gids, count) : 0;
		free(gids);
		user->until_ms = kept_until(engine, begun_ms);
	}
	*ret_until_ms = user->until_ms;
	return user->rights;
}

/* Of a dynamic user: the groups that its unit gave the process. */
static unsigned process_rights(struct access *access, const struct engine *engine, int fd,
	int64_t *ret_until_ms)
{
	struct peer peer;
	unsigned rights;

	groups_look_up(access, engine);
	*ret_until_ms = access->groups_until_ms;
	if (peer_init(&peer, fd) < 0)
		return 0;
	rights = rights_of_groups(access, peer.groups, peer.group_count) |
		rights_of_groups(access, &peer.gid, 1);
	peer_fini(&peer);
	return rights;
}

unsigned access_rights(struct access *access, const struct engine *engine, int fd, uid_t uid,
	int64_t *ret_until_ms)
{
	bool grouped = access->rules.admin_group || access->rules.read_group;

	*ret_until_ms = INT64_MAX;
	if ((uid == 0 || uid == geteuid()) && !overflow_uid(uid))
		return MAY_ALL | MAY_ALWAYS;
	if (!grouped)
		return MAY_READ;
	if (overflow_uid(uid))
		return 0;
	if (sysgroup_user_is_dynamic(uid))
		return process_rights(access, engine, fd, ret_until_ms);
	return user_rights(access, engine, uid, ret_until_ms);
}

/* ---- requests ------------------------------------------------------------------------------ */

bool access_allows(unsigned rights, const struct verb_row *verb)
{
	return ((verb->flags & VERB_RESTRICTED) == 0 || (rights & MAY_CHANGE)) &&
		((verb->flags & VERB_READS) == 0 || (rights & MAY_READ));
}

int access_deny(const struct access *access, const struct verb_row *verb, const char *user,
	struct error *error)
{
	const char *admins = access->rules.admin_group;
	const char *readers = (verb->flags & VERB_RESTRICTED) ? NULL : access->rules.read_group;

	if (admins && readers)
		return error_set(error, ERR_DENIED, "not permitted: %s requires membership in %.63s or %.63s; "
			"the user is %.32s", verb->name, admins, readers, user);
	if (admins || readers)
		return error_set(error, ERR_DENIED, "not permitted: %s requires membership in %.63s; "
			"the user is %.32s", verb->name, admins ? admins : readers, user);
	return error_set(error, ERR_DENIED, "not permitted: %s is for root and the user of imd "
		"unless admin-group is set; the user is %.32s", verb->name, user);
}
