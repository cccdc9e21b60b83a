#include "peer.h"

#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/mem.h"

enum { UID_NOBODY = 65534, RECORD_SIZE = 16 * 1024 };

uid_t peer_uid(int fd)
{
	struct ucred credentials;
	socklen_t len = sizeof credentials;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) < 0)
		return UID_NOBODY;
	return credentials.uid;
}

/* Returns whether the answer is worth keeping: a lookup that failed may succeed the next time. */
static bool origin_find(uid_t uid, struct origin *ret_origin)
{
	struct passwd record, *found = NULL;
	char *strings = mem_alloc(RECORD_SIZE);
	int failed = getpwuid_r(uid, &record, strings, RECORD_SIZE, &found);
	const char *name = failed == 0 && found != NULL ? found->pw_name : "";

	ret_origin->uid = uid;
	if (name[0] == '\0')
		snprintf(ret_origin->user, sizeof ret_origin->user, "%lu", (unsigned long)uid);
	else
		snprintf(ret_origin->user, sizeof ret_origin->user, "%s", name);
	free(strings);
	return failed == 0;
}

struct origin peers_origin(struct peers *peers, uid_t uid)
{
	struct origin origin;

	for (unsigned i = 0; i < peers->count; i++) {
		if (peers->known[i].uid == uid)
			return peers->known[i];
	}
	if (!origin_find(uid, &origin))
		return origin;
	if (peers->count < PEERS_KNOWN) {
		peers->known[peers->count++] = origin;
	} else {
		peers->known[peers->next] = origin;
		peers->next = (peers->next + 1) % PEERS_KNOWN;
	}
	return origin;
}
