/* The command line: options, which may stand anywhere, and the words between them. */
#ifndef IMD_CTL_OPTIONS_H
#define IMD_CTL_OPTIONS_H

#include <stddef.h>

#include "proto/verbs.h"

/* imctl's own options, numbered behind those that go into requests (enum verb_option).
 * OPTION(enumerator, key, letter or 0, what its value is or NULL for a flag, what it does). */
#define CTL_OPTIONS(OPTION)                                                                       \
	OPTION(CTL_SOCKET, "socket", 's', "PATH", "the socket; else IMD_SOCKET, else /run/imd.sock") \
	OPTION(CTL_JSON, "json", 0, NULL, "print JSON")                                               \
	OPTION(CTL_QUIET, "quiet", 'q', NULL, "print only what is essential")                         \
	OPTION(CTL_NO_LEGEND, "no-legend", 0, NULL, "print tables without headings")                  \
	OPTION(CTL_TIMEOUT, "timeout", 0, "DURATION", "give up after this time; 0 for never")         \
	OPTION(CTL_HELP, "help", 'h', NULL, "print this help")                                        \
	OPTION(CTL_VERSION, "version", 'V', NULL, "print the version")                                \
	OPTION(CTL_DRY_RUN, "dry-run", 0, NULL, "show the plan and change nothing")                   \
	OPTION(CTL_DETACH, "detach", 0, NULL, "show the plan and do not wait for its end")            \
	OPTION(CTL_NO, "no", 0, NULL, "remove the mark")                                           \
	OPTION(CTL_FORCE, "force", 'f', NULL, "replace the file if it exists")

enum ctl_option {
	CTL_OPTION_BEFORE_FIRST = VERB_OPTION_COUNT - 1,
#define OPTION(enumerator, key, letter, value, help) enumerator,
	CTL_OPTIONS(OPTION)
#undef OPTION
	CTL_OPTION_COUNT
};

/* What an option is called and does, whether its text is here or in proto/verbs.h. */
struct ctl_option_row {
	const char *key;
	char letter;       /* 0: none */
	const char *value; /* NULL: it takes none */
	const char *help;
};

/* An option of a request whose value is "yes|no" is a flag here: --all says all=yes. */
struct ctl_option_row ctl_option_row(unsigned option);

/* Sets of options: OPT(enum verb_option) | OPT(enum ctl_option). */
#define CTL_GLOBAL_OPTIONS                                                                    \
	(OPT(OPT_GROUP) | OPT(CTL_SOCKET) | OPT(CTL_JSON) | OPT(CTL_QUIET) | OPT(CTL_NO_LEGEND) | \
		OPT(CTL_TIMEOUT) | OPT(CTL_HELP) | OPT(CTL_VERSION))
/* Options of requests that imctl sets itself, or shows otherwise. */
#define CTL_HIDDEN_OPTIONS (OPT(OPT_QUIET) | OPT(OPT_INITIAL) | OPT(OPT_SINCE) | OPT(OPT_MARK))

/* Takes argv apart: ret_values[option] is the value given ("" of a flag) or NULL, ret_words (room
 * for argc pointers) are the words that are not options. What is like -1 is a word, so that the
 * daemon says what it thinks of it. 0, or -1 with the message printed. */
int options_parse(int argc, char **argv, const char **ret_values, char **ret_words,
	size_t *ret_word_count);

#endif
