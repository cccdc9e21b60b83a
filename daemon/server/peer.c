#include "peer.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "proto/mem.h"
#include "sys/overflow.h"

enum { GROUPS_USUAL = 32 };

/* ---- users and their clients ---------------------------------------------------------------- */

struct user *users_find(const struct users *users, uid_t uid)
{
	for (size_t i = 0; i < users->count; i++) {
		if (users->list[i].uid == uid)
			return &users->list[i];
	}
	return NULL;
}

uint32_t users_clients(const struct users *users, uid_t uid)
{
	const struct user *user = users_find(users, uid);

	return user != NULL ? user->clients : 0;
}

void users_add(struct users *users, uid_t uid)
{
	struct user *user = users_find(users, uid);

	if (user != NULL) {
		user->clients++;
		return;
	}
	if (users->count == users->capacity) {
		users->capacity = users->capacity > 0 ? users->capacity * 2 : 8;
		users->list = mem_realloc(users->list, users->capacity, sizeof users->list[0]);
	}
	users->list[users->count++] = (struct user){.uid = uid, .clients = 1};
}

void users_remove(struct users *users, uid_t uid)
{
	struct user *user = users_find(users, uid);

	assert(user != NULL);
	if (--user->clients == 0)
		*user = users->list[--users->count];
}

/* ---- one that connected -------------------------------------------------------------------- */

/* The kernel says how much room it wants where there is too little. */
static int peer_read_groups(struct peer *peer, int fd)
{
	socklen_t len = GROUPS_USUAL * sizeof(gid_t);
	int ret;

	do {
		peer->groups = mem_realloc(peer->groups, len, 1);
		ret = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &len);
	} while (ret < 0 && errno == ERANGE);
	peer->group_count = ret < 0 ? 0 : len / sizeof(gid_t);
	return ret;
}

int peer_init(struct peer *peer, int fd)
{
	struct ucred credentials;
	socklen_t len = sizeof credentials;

	*peer = (struct peer){.groups = NULL};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) < 0)
		return -1;
	peer->uid = credentials.uid;
	peer->gid = credentials.gid;
	if (peer_read_groups(peer, fd) == 0)
		return 0;
	peer_fini(peer);
	return -1;
}

void peer_fini(struct peer *peer)
{
	free(peer->groups);
	peer->groups = NULL;
}

uid_t peer_uid(int fd)
{
	struct ucred credentials;
	socklen_t len = sizeof credentials;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) < 0)
		return OVERFLOW_DEFAULT;
	return credentials.uid;
}
