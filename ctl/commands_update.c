/* Commands that declare a spec, or show what declaring it would do. */

#include "proto/limits.h"

#include "command.h"
#include "follow.h"
#include "plan.h"
#include "request.h"

static int plan_show(struct plan *plan, const struct line *ok)
{
	plan_end(plan, ok);
	return plan_print(plan);
}

int command_plan(struct ctl *ctl)
{
	struct plan plan;
	struct reply_handler handler = {.record = plan_add, .arg = &plan, .records_max = 1 + LIMIT_TASKS};
	const struct line *ok = NULL;
	int status;

	plan_init(&plan, ctl);
	plan.tasks.table.remembers = false;
	status = request_run(ctl, VERB_plan, &handler, &ok);
	if (status == STATUS_OK)
		status = plan_show(&plan, ok);
	plan_fini(&plan);
	return status;
}

static int detach(struct ctl *ctl)
{
	struct plan plan;
	struct reply_handler handler = {.record = plan_add, .arg = &plan, .records_max = 1 + LIMIT_TASKS};
	const struct line *ok = NULL;
	int status = ctl_connect(ctl);
	int tries = 0;
	bool unknown;

	plan_init(&plan, ctl);
	plan.tasks.table.remembers = false;
	while (status == STATUS_OK) {
		status = request_update(ctl, &handler, &ok, &unknown);
		if (status == STATUS_OK)
			break;
		status = request_again(ctl, VERB_update, status, &tries);
	}
	if (status == STATUS_OK)
		status = plan_show(&plan, ok);
	plan_fini(&plan);
	return status;
}

int command_update(struct ctl *ctl)
{
	if (ctl->values[CTL_DRY_RUN] != NULL)
		return command_plan(ctl);
	if (ctl->values[CTL_DETACH] != NULL)
		return detach(ctl);
	return follow_update(ctl);
}
