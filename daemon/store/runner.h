/* Who does the work of a store that waits for the disk: in a thread of its own, or at once. Jobs are
 * done one at a time, in the order in which they were given, but urgent ones first. */
#ifndef IMD_STORE_RUNNER_H
#define IMD_STORE_RUNNER_H

#include <stdbool.h>
#include <sys/queue.h>

struct event_base;

struct job {
	void (*work)(void *arg); /* wherever the runner has it done; touches nothing of the loop's */
	void (*done)(void *arg); /* then, in the loop; may give the job anew */
	void *arg;
	bool urgent;             /* goes before those that are not */
	TAILQ_ENTRY(job) entry;  /* the runner's */
};
TAILQ_HEAD(jobs, job);

struct runner {
	const struct runner_ops *ops;
};

struct runner_ops {
	/* The job is the caller's, and stays as it is until done was called. */
	void (*run)(struct runner *runner, struct job *job);
	/* Waits for the job that is being worked on. No done is called any more. */
	void (*free)(struct runner *runner);
};

/* Works from within run. */
struct runner *runner_at_once(void);
/* Works in a thread, and calls done from the loop. NULL where there is none to be had. */
struct runner *runner_thread(struct event_base *base);

#endif
