/* Who is at the other end of a connection. */
#ifndef IMD_SERVER_PEER_H
#define IMD_SERVER_PEER_H

#include "core/spec.h"

enum { PEERS_KNOWN = 16 };

/* Names of users that were looked up, by uid: a lookup may ask a server far away, so it is done
 * once for a user. */
struct peers {
	struct origin known[PEERS_KNOWN];
	unsigned count;
	unsigned next; /* the place that the next one takes once all are taken */
};

/* The uid of the process that connected; 65534 where the kernel does not tell. */
uid_t peer_uid(int fd);
/* The uid with the user's name, or its number as text. */
struct origin peers_origin(struct peers *peers, uid_t uid);

#endif
