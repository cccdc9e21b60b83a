/* One run of imctl: what its command line asked for, and the connection that it uses. */
#ifndef IMD_CTL_CTL_H
#define IMD_CTL_CTL_H

#include <stdbool.h>
#include <stdint.h>

#include "client.h"
#include "options.h"

/* Exit statuses, as imctl(1) states them. */
enum status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,
	STATUS_USAGE = 2,
	STATUS_UNREACHABLE = 3,
	STATUS_NOT_FOUND = 4,
	STATUS_DENIED = 5,
	STATUS_TIMED_OUT = 124,
	STATUS_INTERRUPTED = 130,
};

struct command;

struct ctl {
	const struct command *command;
	const char *values[CTL_OPTION_COUNT]; /* of the options given, NULL where not given */
	char **args;          /* the words behind the command's name */
	size_t arg_count;
	const char *socket;
	bool json;
	bool quiet;
	bool legend;
	int64_t deadline_ms;  /* CLIENT_NO_DEADLINE if there is none */
	struct client client; /* opened by the commands that need it */
	/* What a person must know when the command is cut short: "; the rollout goes on". */
	char afterword[128];
};

/* Whether every group is meant (--group '*'). */
bool ctl_any_group(const struct ctl *ctl);

/* Connects to the daemon, where there is no connection yet. 0, or the exit status with the message printed. */
int ctl_connect(struct ctl *ctl);

#endif
