#include "admission.h"

#include "proto/mem.h"

enum { MIB = 1 << 20 };

static size_t rounded_mib(size_t bytes)
{
	return bytes / MIB + 1;
}

/* Clients may have taken what was held for their input. So only what adds to the kept memory makes sure that as much is
 * there for them; the rest was held besides when they were let in. */
int admit(struct batches *batches, const struct core *core, const struct core_event *event, struct error *error)
{
	struct needs needs = needs_of(core, event), most;
	struct batch_needs *booked = &batches->filling->needs;
	size_t own = needs.now + needs.later, clients = needs.after > 0 ? batches->clients_need : 0;

	if (mem_reserve_hold(NEEDS_BASE + batches_need(batches) + clients + (own > needs.after ? own : needs.after)) < 0)
		return error_set(error, ERR_INTERNAL, "not enough memory: the request%s may need up to %zu MiB",
			needs.after > 0 ? " and undoing it" : "",
			rounded_mib(needs.after > own ? needs.after : own));
	if (event->kind == CORE_UPDATE) {
		booked->updates += needs.later;
		return 0;
	}
	most = needs_most(core);
	booked->others += needs.later;
	if (booked->others > most.later)
		booked->others = most.later;
	return 0;
}

bool admission_may_wait(const struct batches *batches)
{
	return batches->flying || batches->durable_count > 0 || batches->filling->update.change_count > 0 ||
		!TAILQ_EMPTY(&batches->filling->requests);
}

bool admit_small(const struct batches *batches)
{
	return mem_reserve_hold(NEEDS_BASE + batches_need(batches)) == 0;
}

bool admit_clients(struct batches *batches, const struct core *core, uint32_t clients)
{
	size_t before = batches->clients_need, kept = clients > NEEDS_BASE_CLIENTS ? needs_kept(core) : NEEDS_BASE;

	batches->clients_need = needs_of_clients(clients);
	if (mem_reserve_hold(kept + batches_need(batches) + batches->clients_need) == 0)
		return true;
	batches->clients_need = before;
	return false;
}

void admit_loaded(struct batches *batches, const struct core *core)
{
	struct needs most = needs_most(core);

	batches->filling->needs.others = most.now + most.later;
}

int admission_begin(const struct batches *batches, const struct core *core, struct error *error)
{
	if (mem_reserve_hold(NEEDS_BASE) < 0)
		return error_set(error, ERR_INTERNAL, "not enough memory: besides the state %zu MiB are needed; "
			"raise the memory limit", rounded_mib(NEEDS_BASE));
	admission_keep(batches, core);
	return 0;
}

/* To hold more than needed costs nothing; to give it back at every turn would. What clients need they may have taken
 * already. If there is less than should be kept, one more step of every group may be enough, and clients have the
 * rest. */
void admission_keep(const struct batches *batches, const struct core *core)
{
	size_t kept = needs_kept(core), all = kept + batches->clients_need;
	struct needs most = needs_most(core);

	if (mem_reserve_hold(all) == 0)
		mem_reserve_trim(2 * all);
	else if (mem_reserve_hold(kept) < 0 && mem_reserve_hold(NEEDS_BASE + most.now + most.later) < 0)
		mem_reserve_hold(NEEDS_BASE);
}
