/* Commands that declare a spec, or show what declaring it would do. */

#include "command.h"
#include "follow.h"
#include "plan.h"
#include "request.h"

static void plan_show(struct plan *plan, const struct line *ok)
{
	plan_end(plan, ok);
	plan_print(plan);
}

int command_plan(struct ctl *ctl)
{
	struct plan plan;
	struct reply_handler handler = {.record = plan_add, .arg = &plan};
	const struct line *ok = NULL;
	int status;

	plan_init(&plan, ctl);
	status = request_run(ctl, VERB_plan, &handler, &ok);
	if (status == STATUS_OK)
		plan_show(&plan, ok);
	plan_fini(&plan);
	return status;
}

static int detach(struct ctl *ctl)
{
	struct plan plan;
	struct reply_handler handler = {.record = plan_add, .arg = &plan};
	const struct line *ok = NULL;
	int status = ctl_connect(ctl);
	int tries = 0;
	bool unknown;

	plan_init(&plan, ctl);
	while (status == STATUS_OK) {
		status = request_update(ctl, &handler, &ok, &unknown);
		if (status == STATUS_OK)
			break;
		status = request_again(ctl, VERB_update, status, &tries);
	}
	if (status == STATUS_OK)
		plan_show(&plan, ok);
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
