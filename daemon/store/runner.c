#include "runner.h"

static void at_once_run(struct runner *runner, struct job *job)
{
	(void)runner;
	job->work(job->arg);
	job->done(job->arg);
}

static void at_once_free(struct runner *runner)
{
	(void)runner;
}

struct runner *runner_at_once(void)
{
	static const struct runner_ops ops = {at_once_run, at_once_free};
	static struct runner runner = {&ops};

	return &runner;
}
