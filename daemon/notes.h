/* What of the events goes to the log: how rollouts end, and which nodes die and are replaced. They wait
 * here until they are durable, for the log must not tell of what never came to be. */
#ifndef IMD_NOTES_H
#define IMD_NOTES_H

#include <sys/queue.h>

#include "core/core.h"

STAILQ_HEAD(notes, note);

void notes_init(struct notes *notes);
void notes_fini(struct notes *notes);

/* Takes a note of the event that was just given this number, if it is of note. */
void notes_take(struct notes *notes, uint64_t seq, const struct notice *notice);
/* Events up to this number are durable: they are logged. */
void notes_publish(struct notes *notes, uint64_t seq);
/* Events after this number never happened. */
void notes_retract(struct notes *notes, uint64_t seq);

#endif
