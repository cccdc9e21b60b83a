/* A place in a circular list: taking it out needs no head, and whole lists are joined in O(1). */
#ifndef IMD_SERVER_LINK_H
#define IMD_SERVER_LINK_H

#include <stdbool.h>
#include <stddef.h>

struct link {
	struct link *prev;
	struct link *next;
};

/* The struct that a link stands in. */
#define LINK_OWNER(link, type, member) ((type *)(void *)((char *)(link) - offsetof(type, member)))

/* Makes an empty list of a head, or a link that is in no list. */
static inline void link_init(struct link *link)
{
	link->prev = link;
	link->next = link;
}

static inline bool link_empty(const struct link *head)
{
	return head->next == head;
}

/* Harmless for a link that is in no list. */
static inline void link_remove(struct link *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	link_init(link);
}

/* At the end of the list; the link is in no other. */
static inline void link_append(struct link *head, struct link *link)
{
	link->prev = head->prev;
	link->next = head;
	head->prev->next = link;
	head->prev = link;
}

/* Moves all of a list to the end of another. */
static inline void link_join(struct link *head, struct link *from)
{
	if (link_empty(from))
		return;
	from->next->prev = head->prev;
	head->prev->next = from->next;
	from->prev->next = head;
	head->prev = from->prev;
	link_init(from);
}

#endif
