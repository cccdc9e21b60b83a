/* The commands of imctl: one row each, from which dispatch, usage and help are made. */
#ifndef IMD_CTL_COMMAND_H
#define IMD_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/buf.h"
#include "proto/verbs.h"

struct ctl;

struct command {
	const char *name;      /* one word or two: "nodes ls" */
	int verb;              /* the request that it makes; VERB_COUNT: none of its own */
	unsigned own_options;  /* a set of options beyond the request's and the global ones */
	const char *args;      /* "ID", NULL where they are the request's */
	const char *help;      /* a phrase, NULL where it is the request's */
	int (*run)(struct ctl *ctl); /* returns the exit status */
};

/* Finds the command that the words begin with and says how many of them are its name.
 * NULL with the message printed. */
const struct command *command_find(char **words, size_t count, size_t *ret_name_words);

/* The rows in the order of the help, NULL behind the last. */
const struct command *command_at(size_t index);

/* Whether the command is one of several that begin with this word: "nodes ls" with "nodes". */
bool command_begins_with(const struct command *command, const char *word);

/* The set of options that the command takes besides the global ones. */
unsigned command_options(const struct command *command);
const char *command_help(const struct command *command);
/* Appends the arguments as a usage shows them: SIZE VERSION, ID, LINE…, [COMMAND]. */
void command_add_args(struct buf *buf, const struct command *command);
/* Appends "nodes get ID". */
void command_add_name(struct buf *buf, const struct command *command);
/* Appends "nodes ls [--all]". */
void command_add_usage(struct buf *buf, const struct command *command);

/* Checks the options given and the number of arguments against the row. 0, or -1 with the message
 * printed. */
int command_check(const struct ctl *ctl);

/* Makes the request of the command and says nothing when it went well; JSON tells what the daemon's
 * OK told. */
int command_act(struct ctl *ctl);

/* The functions of the rows, in commands_*.c, completion.c and help.c. */
int command_update(struct ctl *ctl);
int command_plan(struct ctl *ctl);
int command_spec(struct ctl *ctl);
int command_specs_ls(struct ctl *ctl);
int command_nodes_ls(struct ctl *ctl);
int command_nodes_get(struct ctl *ctl);
int command_nodes_kill(struct ctl *ctl);
int command_backup(struct ctl *ctl);
int command_nodes_mark(struct ctl *ctl);
int command_nodes_stream(struct ctl *ctl);
int command_graphs_ls(struct ctl *ctl);
int command_graphs_get(struct ctl *ctl);
int command_graphs_cancel(struct ctl *ctl);
int command_graphs_stream(struct ctl *ctl);
int command_graphs_stream_tasks(struct ctl *ctl);
int command_graphs_dot(struct ctl *ctl);
int command_groups_ls(struct ctl *ctl);
int command_stats(struct ctl *ctl);
int command_metrics(struct ctl *ctl);
int command_ping(struct ctl *ctl);
int command_raw(struct ctl *ctl);
int command_completion(struct ctl *ctl);
int command_help_command(struct ctl *ctl);

/* What --help and --version print; also without a command. */
int help_print(struct ctl *ctl);
int version_print(struct ctl *ctl);

#endif
