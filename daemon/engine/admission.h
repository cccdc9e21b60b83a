/* Decides whether the engine may accept an event: only if the reserve covers what it needs besides what the batches
 * under way still need. See needs.h. */
#ifndef IMD_ENGINE_ADMISSION_H
#define IMD_ENGINE_ADMISSION_H

#include "batches.h"
#include "needs.h"

/* Adds an event's needs to those of the batch that fills. -1 with ERR_INTERNAL (error may be NULL) if there is not
 * enough memory; nothing has changed then. If the event is refused later, the caller restores the batch's needs. */
int admit(struct batches *batches, const struct core *core, const struct core_event *event, struct error *error);
/* Whether it may be tried again soon: memory that batches under way may need will be free when they are done. */
bool admission_may_wait(const struct batches *batches);
/* Whether tasks may be started: they need nothing but what is small. */
bool admit_small(const struct batches *batches);
/* Whether there may be so many clients. Their input uses the reserve, which then covers what all of them may take. More
 * than NEEDS_BASE_CLIENTS are let in only if all that is to be kept for undoing is held besides. */
bool admit_clients(struct batches *batches, const struct core *core, uint32_t clients);
/* After a load, plans may be due for every group. */
void admit_loaded(struct batches *batches, const struct core *core);
/* At the start. -1 if there is less memory than is needed for anything that is small. */
int admission_begin(const struct batches *batches, const struct core *core, struct error *error);
/* Between events: holds as much as is to be kept, or as there is, and gives back much more. */
void admission_keep(const struct batches *batches, const struct core *core);

#endif
