/* The command line of imd: every option in one table, from which --help is made too. */
#ifndef IMD_CONFIG_H
#define IMD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/core.h"
#include "driver/mock.h"
#include "log.h"
#include "proto/error.h"

struct config {
	const char *socket;         /* points into argv, as the other texts here */
	unsigned socket_mode;
	uint32_t max_clients;
	const char *state;
	char *default_state;        /* owned: what state is where no option says; NULL: one does */
	const char *check_state;    /* a file to be checked, and nothing else; NULL: none */
	const char *driver;
	uint64_t keep_events;
	enum log_level log_level;
	struct core_config core;    /* seed and new_id are the caller's to fill in */
	struct mock_config mock;    /* owns its list of versions */
	bool has_mock_seed;         /* otherwise the caller picks one */
	bool help;
	bool version;
};

/* Fills *config from the defaults and the options. -1 with a sentence that says which option is
 * wrong, and what is allowed; config_fini is to be called in either case. */
int config_parse(struct config *config, int argc, char **argv, struct error *error);
void config_fini(struct config *config);

/* What --help prints. */
void config_help(FILE *file);

#endif
