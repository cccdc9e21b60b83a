/* Who is at the other end of a connection. */
#ifndef IMD_SERVER_PEER_H
#define IMD_SERVER_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A user that has clients, and how many. */
struct user {
	uid_t uid;
	uint32_t clients;
	uint64_t preview_tasks; /* previews.h */
	uint64_t pass, spent;   /* the last pass of its sessions, and what they took of it (turns.h) */
};

/* Those that have any, in no order: they are few, however many the clients. */
struct users {
	struct user *list;
	size_t count;
	size_t capacity;
};

/* NULL if the user has no client. Valid until a client comes or goes. */
struct user *users_find(const struct users *users, uid_t uid);
uint32_t users_clients(const struct users *users, uid_t uid);
void users_add(struct users *users, uid_t uid);
void users_remove(struct users *users, uid_t uid);

/* The process that connected, as it was when it did. */
struct peer {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* the supplementary ones, owned */
	size_t group_count;
};

/* -1 where the kernel does not tell. */
int peer_init(struct peer *peer, int fd);
void peer_fini(struct peer *peer);

/* The uid of the process that connected; OVERFLOW_DEFAULT if the kernel does not report it. */
uid_t peer_uid(int fd);

#endif
