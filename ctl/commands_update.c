/* Commands that declare a spec, or show what declaring it would do. */

#include "command.h"
#include "follow.h"
#include "plan.h"
#include "request.h"

static int show_plan(struct ctl *ctl, enum verb verb)
{
	struct plan plan;
	struct reply_handler handler = {.record = plan_add, .arg = &plan};
	const struct line *ok = NULL;
	int status;

	plan_init(&plan, ctl);
	status = request_run(ctl, verb, &handler, &ok);
	if (status == STATUS_OK) {
		plan_end(&plan, ok);
		plan_print(&plan);
	}
	plan_fini(&plan);
	return status;
}

int command_plan(struct ctl *ctl)
{
	return show_plan(ctl, VERB_plan);
}

int command_update(struct ctl *ctl)
{
	if (ctl->values[CTL_DRY_RUN] != NULL)
		return show_plan(ctl, VERB_plan);
	if (ctl->values[CTL_DETACH] != NULL)
		return show_plan(ctl, VERB_update);
	return follow_update(ctl);
}
