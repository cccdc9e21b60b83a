#include "config.h"

#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proto/args.h"
#include "proto/limits.h"
#include "state.h"

#define DEFAULT_SOCKET "/run/imd.sock"

/* Of the row of an option: what it takes, and where that goes. */
struct setting {
	const char *name;
	char letter;       /* '\0': none */
	const char *value; /* NULL: takes none */
	const char *help;
	int (*set)(const struct setting *setting, struct config *config, const char *text,
		struct error *error);
	size_t offset;     /* of the member of struct config */
	uint64_t min, max; /* of numbers; max of percentages */
};

enum { NAME_SIZE = 32, MODE_MAX = 0777, SURGE_PERCENT_MAX = 1000 };

/* The option as a person writes it, for messages. */
static const char *setting_title(const struct setting *setting, char *ret_title)
{
	snprintf(ret_title, NAME_SIZE, "--%s", setting->name);
	return ret_title;
}

static void *setting_place(const struct setting *setting, struct config *config)
{
	return (char *)config + setting->offset;
}

static int set_flag(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	(void)text;
	(void)error;
	*(bool *)setting_place(setting, config) = true;
	return 0;
}

static int set_path(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	if (text[0] == '\0')
		return error_set(error, ERR_BAD_ARGUMENT, "--%s must not be empty", setting->name);
	*(const char **)setting_place(setting, config) = text;
	return 0;
}

/* A text of which there is one choice so far: the default. */
static int set_choice(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	const char **place = setting_place(setting, config);

	if (strcmp(text, *place) != 0) {
		return error_set(error, ERR_BAD_ARGUMENT, "--%s must be %s; \"%s\" is not known",
			setting->name, *place, text);
	}
	return 0;
}

static int set_mode(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	unsigned mode = 0;
	const char *at = text;

	while (*at >= '0' && *at <= '7' && mode <= MODE_MAX)
		mode = mode * 8 + (unsigned)(*at++ - '0');
	if (at == text || *at != '\0' || mode > MODE_MAX) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"--%s must be an octal number from 0 to 0777; \"%s\" is not", setting->name, text);
	}
	*(unsigned *)setting_place(setting, config) = mode;
	return 0;
}

static int set_u64(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	char title[NAME_SIZE];

	return arg_number(text, setting_title(setting, title), setting->min, setting->max,
		setting_place(setting, config), error);
}

static int set_u32(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	char title[NAME_SIZE];
	uint64_t value;

	if (arg_number(text, setting_title(setting, title), setting->min, setting->max, &value,
			error) < 0)
		return -1;
	*(uint32_t *)setting_place(setting, config) = (uint32_t)value;
	return 0;
}

static int set_amount(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	char title[NAME_SIZE];

	return arg_amount(text, setting_title(setting, title), (uint32_t)setting->max,
		setting_place(setting, config), error);
}

static int set_duration(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	char title[NAME_SIZE];

	return arg_duration(text, setting_title(setting, title), setting_place(setting, config), error);
}

static int set_probability(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	char title[NAME_SIZE];

	return arg_probability(text, setting_title(setting, title), setting_place(setting, config),
		error);
}

static int set_level(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	int level = log_level_parse(text);

	if (level < 0) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"--%s must be err, warning, notice, info or debug; \"%s\" is none of them",
			setting->name, text);
	}
	*(enum log_level *)setting_place(setting, config) = (enum log_level)level;
	return 0;
}

static int set_mock_seed(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	config->has_mock_seed = true;
	return set_u64(setting, config, text, error);
}

static int set_mock_versions(const struct setting *setting, struct config *config,
	const char *text, struct error *error)
{
	char title[NAME_SIZE];

	return arg_versions(text, setting_title(setting, title), &config->mock.fail_versions,
		&config->mock.fail_version_count, error);
}

/* MIN-MAX, or one duration for both. */
static int set_mock_delay(const struct setting *setting, struct config *config, const char *text,
	struct error *error)
{
	char title[NAME_SIZE];
	struct mock_config *mock = &config->mock;
	const char *hyphen = strchr(text, '-');
	size_t len = hyphen != NULL ? (size_t)(hyphen - text) : strlen(text);
	char *min = strndup(text, len);
	int ret;

	if (min == NULL)
		return error_set(error, ERR_INTERNAL, "out of memory");
	ret = arg_duration(min, setting_title(setting, title), &mock->delay_min_ms, error);
	free(min);
	mock->delay_max_ms = mock->delay_min_ms;
	if (ret < 0 || hyphen == NULL)
		return ret;
	if (arg_duration(hyphen + 1, title, &mock->delay_max_ms, error) < 0)
		return -1;
	if (mock->delay_max_ms < mock->delay_min_ms) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"--%s must be MIN-MAX with MIN not above MAX; \"%s\" is not", setting->name, text);
	}
	return 0;
}

#define PLACE(member) offsetof(struct config, member)

static const struct setting settings[] = {
	{"socket", 's', "PATH", "the socket that clients talk to (" DEFAULT_SOCKET ")", set_path,
		PLACE(socket), 0, 0},
	{"socket-mode", 0, "MODE", "its permissions, in octal (0660)", set_mode, PLACE(socket_mode), 0,
		0},
	{"max-clients", 0, "N", "clients served at once (1000)", set_u32, PLACE(max_clients), 1,
		1000000},
	{"state", 0, "PATH", "the file with the state, or :memory: (/var/lib/imd/imd.db)", set_path,
		PLACE(state), 0, 0},
	{"check-state", 0, "PATH", "look through a state file, and exit", set_path, PLACE(check_state),
		0, 0},
	{"driver", 0, "DRIVER", "what starts and stops nodes: mock", set_choice, PLACE(driver), 0, 0},
	{"mock-delay", 0, "MIN[-MAX]", "how long the mock driver takes (3s-6s)", set_mock_delay, 0, 0,
		0},
	{"mock-seed", 0, "N", "of the mock driver's delays and failures (random)", set_mock_seed,
		PLACE(mock.seed), 0, UINT64_MAX},
	{"mock-fail-version", 0, "V[,V...]", "versions whose starts fail in the mock driver",
		set_mock_versions, 0, 0, 0},
	{"mock-flaky", 0, "P", "how probably a start or stop fails in the mock driver (0)",
		set_probability, PLACE(mock.flaky_millionths), 0, 0},
	{"max-surge", 0, "N|P%", "nodes above the size while a change runs (0)", set_amount,
		PLACE(core.policy.max_surge), 0, SURGE_PERCENT_MAX},
	{"max-unavailable", 0, "N|P%", "nodes below the size while a change runs (1)", set_amount,
		PLACE(core.policy.max_unavailable), 0, 100},
	{"max-parallel", 0, "N", "tasks in flight at once in a group, 0 for no limit (0)", set_u32,
		PLACE(core.policy.max_parallel), 0, LIMIT_SIZE},
	{"min-ready", 0, "DURATION", "how long a node must run to be available (0)", set_duration,
		PLACE(core.policy.min_ready_ms), 0, 0},
	{"retries", 0, "N", "attempts at a task after the first (3)", set_u32, PLACE(core.retries), 0,
		1000},
	{"retry-delay", 0, "DURATION", "before the first of them, doubled each time (1s)",
		set_duration, PLACE(core.retry_delay_ms), 0, 0},
	{"retry-max", 0, "DURATION", "the longest such delay (60s)", set_duration,
		PLACE(core.retry_max_ms), 0, 0},
	{"heal-delay", 0, "DURATION", "before a slot's second replacement, doubled each time (10s)",
		set_duration, PLACE(core.heal_delay_ms), 0, 0},
	{"heal-max", 0, "DURATION", "the longest such delay (5m)", set_duration,
		PLACE(core.heal_max_ms), 0, 0},
	{"heal-reset", 0, "DURATION", "health after which a slot's deaths are forgotten (10m)",
		set_duration, PLACE(core.heal_reset_ms), 0, 0},
	{"keep-events", 0, "N", "events that a watcher may fall behind (100000)", set_u64,
		PLACE(keep_events), 1, 100000000},
	{"keep-graphs", 0, "N", "ended task graphs kept for a group (100)", set_u32,
		PLACE(core.keep_graphs), 1, 1000000},
	{"keep-tasks", 0, "N", "and their tasks in memory (100000)", set_u64, PLACE(core.keep_tasks), 0,
		UINT32_MAX},
	{"keep-specs", 0, "N", "revisions of the spec kept for a group (100)", set_u32,
		PLACE(core.keep_specs), 1, 1000000},
	{"keep-nodes", 0, "N", "ended nodes kept for a group (1000)", set_u32, PLACE(core.keep_nodes),
		0, 1000000},
	{"max-groups", 0, "N", "groups (1000)", set_u32, PLACE(core.max_groups), 1, 1000000},
	{"log-level", 0, "LEVEL", "err, warning, notice, info or debug (info)", set_level,
		PLACE(log_level), 0, 0},
	{"help", 'h', NULL, "print this, and exit", set_flag, PLACE(help), 0, 0},
	{"version", 'V', NULL, "print the version, and exit", set_flag, PLACE(version), 0, 0},
};
enum { SETTING_COUNT = sizeof settings / sizeof settings[0], LONG_ONLY = 256 };

static void config_default(struct config *config)
{
	*config = (struct config){
		.socket = DEFAULT_SOCKET,
		.socket_mode = 0660,
		.max_clients = 1000,
		.driver = "mock",
		.keep_events = 100000,
		.log_level = LEVEL_INFO,
		.mock = {.delay_min_ms = 3000, .delay_max_ms = 6000},
	};
	core_config_default(&config->core);
}

/* What getopt_long wants to know, made from the table. */
struct getopt_tables {
	struct option longs[SETTING_COUNT + 1];
	char shorts[2 * SETTING_COUNT + 3];
};

static void getopt_tables_fill(struct getopt_tables *ret_tables)
{
	char *letters = ret_tables->shorts;

	*letters++ = '+'; /* stop at the first word that is not an option, */
	*letters++ = ':'; /* and say so where a value is missing */
	for (int i = 0; i < SETTING_COUNT; i++) {
		bool takes = settings[i].value != NULL;

		ret_tables->longs[i] = (struct option){settings[i].name,
			takes ? required_argument : no_argument, NULL, LONG_ONLY + i};
		if (settings[i].letter == '\0')
			continue;
		*letters++ = settings[i].letter;
		if (takes)
			*letters++ = ':';
	}
	*letters = '\0';
	ret_tables->longs[SETTING_COUNT] = (struct option){NULL, 0, NULL, 0};
}

/* The place in the table of what getopt_long returned, -1 where it is not there. */
static int setting_find(int code)
{
	if (code >= LONG_ONLY)
		return code - LONG_ONLY;
	for (int i = 0; i < SETTING_COUNT; i++) {
		if (settings[i].letter != '\0' && settings[i].letter == code)
			return i;
	}
	return -1;
}

/* Says what getopt_long did not like: optopt is 0 where it did not know a long option. */
static int refuse_option(char **argv, bool missing, struct error *error)
{
	int index = setting_find(optopt);

	if (missing) {
		return error_set(error, ERR_BAD_ARGUMENT, "--%s needs a value: %s", settings[index].name,
			settings[index].value);
	}
	if (index >= 0)
		return error_set(error, ERR_BAD_ARGUMENT, "--%s takes no value", settings[index].name);
	if (optopt != 0)
		return error_set(error, ERR_BAD_ARGUMENT, "unknown option -%c; see imd --help", optopt);
	return error_set(error, ERR_BAD_ARGUMENT, "unknown option %s; see imd --help",
		argv[optind - 1]);
}

/* What cannot be seen in one option alone. */
static int config_check(struct config *config, struct error *error)
{
	if (config->state == NULL)
		config->state = config->default_state = state_default_path();
	if (config->state == NULL)
		return error_set(error, ERR_BAD_ARGUMENT, "--state must be given, for there is no HOME");
	if (config->core.retry_max_ms < config->core.retry_delay_ms)
		return error_set(error, ERR_BAD_ARGUMENT, "--retry-max must not be below --retry-delay");
	if (config->core.heal_max_ms < config->core.heal_delay_ms)
		return error_set(error, ERR_BAD_ARGUMENT, "--heal-max must not be below --heal-delay");
	return 0;
}

int config_parse(struct config *config, int argc, char **argv, struct error *error)
{
	struct getopt_tables tables;
	bool given[SETTING_COUNT] = {false};
	int code;

	config_default(config);
	getopt_tables_fill(&tables);
	opterr = 0;
	optind = 0; /* begin anew, also where it was called before */
	while ((code = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
		if (code == '?' || code == ':')
			return refuse_option(argv, code == ':', error);
		int index = setting_find(code);
		const struct setting *setting = &settings[index];

		if (given[index])
			return error_set(error, ERR_BAD_ARGUMENT, "--%s is given twice", setting->name);
		given[index] = true;
		if (setting->set(setting, config, optarg, error) < 0)
			return -1;
	}
	if (optind < argc) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"imd takes options only, not \"%s\"; see imd --help", argv[optind]);
	}
	return config_check(config, error);
}

void config_fini(struct config *config)
{
	free(config->default_state);
	config->default_state = NULL;
	free(config->mock.fail_versions);
	config->mock.fail_versions = NULL;
	config->mock.fail_version_count = 0;
}

void config_help(FILE *file)
{
	fputs("usage: imd [option...]\n\nKeeps groups of nodes at the spec that clients declare; see "
		"imd(8).\n\n", file);
	for (int i = 0; i < SETTING_COUNT; i++) {
		const struct setting *setting = &settings[i];
		char left[48];

		snprintf(left, sizeof left, "%c%c%s--%s%s%s", setting->letter != 0 ? '-' : ' ',
			setting->letter != 0 ? setting->letter : ' ', setting->letter != 0 ? ", " : "  ",
			setting->name, setting->value != NULL ? "=" : "",
			setting->value != NULL ? setting->value : "");
		fprintf(file, "  %-34s %s\n", left, setting->help);
	}
}
