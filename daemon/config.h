/* The configuration of imd: its files, and the options of the command line, which override them. */
#ifndef IMD_CONFIG_H
#define IMD_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "core/core.h"
#include "driver/mock.h"
#include "log.h"
#include "proto/error.h"
#include "server/server.h"

#define DEFAULT_SOCKET "/run/imd.sock"
#define CONFIG_PATH SYSCONFDIR "/imd/imd.conf"

enum {
	CONFIG_FAILED = 1, /* exit status: it may be better the next time; */
	CONFIG_USAGE = 2,  /* an option is wrong, */
	CONFIG_WRONG = 6,  /* or what a file says */
	SETTINGS_MAX = 64, /* that the sets below have room for */
};

struct setting; /* settings.h */

enum config_section { SECTION_NONE, SECTION_IMD, SECTION_MOCK, SECTION_GROUP };

/* What the files say of one group. */
struct config_group {
	char *name;
	uint64_t given;       /* which settings, a set by their places in the table */
	uint64_t given_here;  /* those of the file that is being read */
	struct policy policy; /* the others are the daemon's once all has been read */
};

/* Where a setting was given. */
struct config_source {
	const char *file; /* one of config->files; NULL: on the command line, or nowhere */
	unsigned line;
};

struct config {
	char *socket; /* texts are owned */
	unsigned socket_mode;
	uint32_t max_clients;
	uint32_t max_clients_per_user;
	char *admin_group; /* "": none */
	char *read_group;  /* "": none */
	char *state;
	char *driver;
	uint64_t send_timeout_ms;
	uint64_t keep_events;
	enum log_level log_level;
	struct core_config core; /* seed and new_id are the caller's to fill in; the policies are of here */
	struct mock_config mock; /* owns its list of versions */
	bool has_mock_seed;      /* otherwise the caller picks one */
	/* Of the command line alone. */
	char *path;              /* the main file that --config names, NULL: the usual one */
	char *check_state;       /* a file to be checked, and nothing else; NULL: none */
	char *restore;           /* a copy that the state goes back to, and nothing else; NULL: none */
	bool truncate_log;       /* of the state, and nothing else */
	bool check_config;
	bool print_config;
	bool help;
	bool version;
	/* How it came about. */
	struct config_group *groups; /* by their names */
	size_t group_count;
	char **files;            /* that were read, in their order */
	size_t file_count;
	const char *main_file;   /* one of them; NULL: it is not there */
	uint64_t by_option;      /* which settings, a set by their places in the table */
	uint64_t given_here;     /* in the file that is being read */
	struct config_source sources[SETTINGS_MAX];
	int exit_status;         /* that goes with the error of config_parse */
};

/* Fills *config from the defaults, the files and the options. -1 with a sentence that says what is wrong,
 * where, and what is allowed; config_fini is to be called in either case. */
int config_parse(struct config *config, int argc, char **argv, struct error *error);
void config_fini(struct config *config);

/* What the server goes by. */
struct server_rules config_rules(const struct config *config);

/* The group's part, made where there is none. */
struct config_group *config_group(struct config *config, const char *name);
/* Remembers a file, whose path the sources point to from here on. */
const char *config_file_add(struct config *config, const char *path);

/* What --help prints. */
void config_help(FILE *file);
/* What --check-config prints. */
void config_summary(const struct config *config, FILE *file);
/* What --print-config prints: a file that says all this. -1 where a value cannot stand in a file. */
int config_print(const struct config *config, FILE *file, struct error *error);

#endif
