#include "settings.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "proto/args.h"
#include "proto/limits.h"
#include "proto/mem.h"
#include "sys/overflow.h"
#include "sys/sysgroup.h"

enum { MODE_MAX = 0777, MILLION = 1000000 };

/* What every kind has to be told. */
#define SET_ARGUMENTS                                                                              \
	const struct setting *setting, struct config *config, void *place, const char *title,         \
		const char *text, struct error *error
#define SHOW_ARGUMENTS                                                                             \
	const struct setting *setting, const struct config *config, const void *place, struct buf *text

/* ---- kinds --------------------------------------------------------------------------------- */

static int set_flag(SET_ARGUMENTS)
{
	(void)setting, (void)config, (void)title, (void)text, (void)error;
	*(bool *)place = true;
	return 0;
}

static bool show_nothing(SHOW_ARGUMENTS)
{
	(void)setting, (void)config, (void)place, (void)text;
	return false;
}

static void text_take(char **place, const char *text)
{
	free(*place);
	*place = mem_strdup(text);
}

static int set_path(SET_ARGUMENTS)
{
	(void)setting, (void)config;
	if (text[0] == '\0')
		return error_set(error, ERR_BAD_ARGUMENT, "%s must not be empty", title);
	text_take(place, text);
	return 0;
}

static bool show_text(SHOW_ARGUMENTS)
{
	const char *const *value = place;

	(void)setting, (void)config;
	if (*value == NULL)
		return false;
	buf_add_str(text, *value);
	return true;
}

/* A text of which there is one choice so far: the default. */
static int set_choice(SET_ARGUMENTS)
{
	const char *const *only = place;

	(void)setting, (void)config;
	if (strcmp(text, *only) != 0) {
		return error_set(error, ERR_BAD_ARGUMENT, "%s must be %s; \"%.40s\" is not known", title,
			*only, text);
	}
	return 0;
}

static int set_mode(SET_ARGUMENTS)
{
	unsigned mode = 0;
	const char *at = text;

	(void)setting, (void)config;
	while (*at >= '0' && *at <= '7' && mode <= MODE_MAX)
		mode = mode * 8 + (unsigned)(*at++ - '0');
	if (at == text || *at != '\0' || mode > MODE_MAX) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"%s must be an octal number from 0 to 0777; \"%.40s\" is not", title, text);
	}
	*(unsigned *)place = mode;
	return 0;
}

static bool show_mode(SHOW_ARGUMENTS)
{
	(void)setting, (void)config;
	buf_addf(text, "%04o", *(const unsigned *)place);
	return true;
}

static int set_u64(SET_ARGUMENTS)
{
	(void)config;
	return arg_number(text, title, setting->min, setting->max, place, error);
}

static bool show_u64(SHOW_ARGUMENTS)
{
	(void)setting, (void)config;
	buf_add_u64(text, *(const uint64_t *)place);
	return true;
}

static int set_u32(SET_ARGUMENTS)
{
	uint64_t value;

	(void)config;
	if (arg_number(text, title, setting->min, setting->max, &value, error) < 0)
		return -1;
	*(uint32_t *)place = (uint32_t)value;
	return 0;
}

static bool show_u32(SHOW_ARGUMENTS)
{
	(void)setting, (void)config;
	buf_add_u64(text, *(const uint32_t *)place);
	return true;
}

static int set_amount(SET_ARGUMENTS)
{
	(void)config;
	return arg_amount(text, title, (uint32_t)setting->max, place, error);
}

static bool show_amount(SHOW_ARGUMENTS)
{
	char shown[16];

	(void)setting, (void)config;
	amount_format(place, shown);
	buf_add_str(text, shown);
	return true;
}

static int set_duration(SET_ARGUMENTS)
{
	(void)setting, (void)config;
	return arg_duration(text, title, place, error);
}

static bool show_duration(SHOW_ARGUMENTS)
{
	char shown[24];

	(void)setting, (void)config;
	duration_format(*(const uint64_t *)place, shown);
	buf_add_str(text, shown);
	return true;
}

static int set_level(SET_ARGUMENTS)
{
	int level = log_level_parse(text);

	(void)setting, (void)config;
	if (level < 0) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"%s must be err, warning, notice, info or debug; \"%.40s\" is none of them", title,
			text);
	}
	*(enum log_level *)place = (enum log_level)level;
	return 0;
}

static bool show_level(SHOW_ARGUMENTS)
{
	static const char *const words[] = {"err", "warning", "notice", "info", "debug"};

	(void)setting, (void)config;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (log_level_parse(words[i]) == (int)*(const enum log_level *)place)
			buf_add_str(text, words[i]);
	}
	return true;
}

static int set_seed(SET_ARGUMENTS)
{
	config->has_mock_seed = true;
	return set_u64(setting, config, place, title, text, error);
}

static bool show_seed(SHOW_ARGUMENTS)
{
	return config->has_mock_seed && show_u64(setting, config, place, text);
}

static int set_versions(SET_ARGUMENTS)
{
	struct mock_config *mock = place;
	uint64_t *versions;
	size_t count;

	(void)setting, (void)config;
	if (arg_versions(text, title, &versions, &count, error) < 0)
		return -1;
	free(mock->fail_versions);
	mock->fail_versions = versions;
	mock->fail_version_count = count;
	return 0;
}

static bool show_versions(SHOW_ARGUMENTS)
{
	const struct mock_config *mock = place;

	(void)setting, (void)config;
	for (size_t i = 0; i < mock->fail_version_count; i++)
		buf_addf(text, "%s%" PRIu64, i > 0 ? "," : "", mock->fail_versions[i]);
	return mock->fail_version_count > 0;
}

static int set_probability(SET_ARGUMENTS)
{
	(void)setting, (void)config;
	return arg_probability(text, title, place, error);
}

static bool show_probability(SHOW_ARGUMENTS)
{
	uint32_t millionths = *(const uint32_t *)place;

	(void)setting, (void)config;
	if (millionths % MILLION == 0)
		buf_add_u64(text, millionths / MILLION);
	else
		buf_addf(text, "0.%06" PRIu32, millionths);
	return true;
}

/* MIN-MAX, or one duration for both. */
static int set_delay(SET_ARGUMENTS)
{
	struct mock_config *mock = place;
	const char *hyphen = strchr(text, '-');
	size_t len = hyphen != NULL ? (size_t)(hyphen - text) : strlen(text);
	char *min = strndup(text, len);
	int ret;

	(void)setting, (void)config;
	if (min == NULL)
		return error_set(error, ERR_INTERNAL, "out of memory");
	ret = arg_duration(min, title, &mock->delay_min_ms, error);
	free(min);
	mock->delay_max_ms = mock->delay_min_ms;
	if (ret < 0 || hyphen == NULL)
		return ret;
	if (arg_duration(hyphen + 1, title, &mock->delay_max_ms, error) < 0)
		return -1;
	if (mock->delay_max_ms < mock->delay_min_ms) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"%s must be MIN-MAX with MIN not above MAX; \"%.60s\" is not", title, text);
	}
	return 0;
}

static bool show_delay(SHOW_ARGUMENTS)
{
	const struct mock_config *mock = place;

	show_duration(setting, config, &mock->delay_min_ms, text);
	if (mock->delay_max_ms == mock->delay_min_ms)
		return true;
	buf_add_char(text, '-');
	return show_duration(setting, config, &mock->delay_max_ms, text);
}

/* A group that exists, or the empty text. If its lookup fails, a later start may succeed: that is no mistake in
 * the settings. The ID is not kept, because it may change while imd runs. */
static int set_sysgroup(SET_ARGUMENTS)
{
	gid_t gid = 0;
	int failed = text[0] != '\0' ? sysgroup_find(text, &gid) : 0;

	(void)setting;
	if (failed == ENOENT)
		return error_set(error, ERR_BAD_ARGUMENT, "%s: no such group: \"%.40s\"", title, text);
	if (failed != 0) {
		config->exit_status = CONFIG_FAILED;
		return error_set(error, ERR_INTERNAL, "%s: cannot look up the group \"%.40s\": %s", title,
			text, strerror(failed));
	}
	if (overflow_gid(gid))
		return error_set(error, ERR_BAD_ARGUMENT, "%s: the group \"%.40s\" has the ID %u, which stands "
			"for all groups without a mapping; use another group", title, text, (unsigned)gid);
	text_take(place, text);
	return 0;
}

static const struct setting_kind kind_flag = {set_flag, show_nothing, 0};
static const struct setting_kind kind_path = {set_path, show_text, sizeof(char *)};
static const struct setting_kind kind_choice = {set_choice, show_text, sizeof(char *)};
static const struct setting_kind kind_mode = {set_mode, show_mode, sizeof(unsigned)};
static const struct setting_kind kind_u64 = {set_u64, show_u64, sizeof(uint64_t)};
static const struct setting_kind kind_u32 = {set_u32, show_u32, sizeof(uint32_t)};
static const struct setting_kind kind_amount = {set_amount, show_amount, sizeof(struct amount)};
static const struct setting_kind kind_duration = {set_duration, show_duration, sizeof(uint64_t)};
static const struct setting_kind kind_level = {set_level, show_level, sizeof(enum log_level)};
static const struct setting_kind kind_seed = {set_seed, show_seed, 0};
static const struct setting_kind kind_versions = {set_versions, show_versions, 0};
static const struct setting_kind kind_probability = {set_probability, show_probability,
	sizeof(uint32_t)};
static const struct setting_kind kind_sysgroup = {set_sysgroup, show_text, sizeof(char *)};
static const struct setting_kind kind_delay = {set_delay, show_delay, 0};

/* ---- the table ----------------------------------------------------------------------------- */

#define PLACE(member) offsetof(struct config, member)

const struct setting settings[] = {
	{"config", 'c', "PATH", "the main file with settings (" CONFIG_PATH ")", &kind_path,
		PLACE(path), 0, 0, SETTING_OPTION},
	{"check-config", 0, NULL, "check the settings of all files and options, and exit", &kind_flag,
		PLACE(check_config), 0, 0, SETTING_OPTION},
	{"print-config", 0, NULL, "print the settings that are in effect, as a file, and exit",
		&kind_flag, PLACE(print_config), 0, 0, SETTING_OPTION},
	{"socket", 's', "PATH", "the socket that clients talk to (" DEFAULT_SOCKET ")", &kind_path,
		PLACE(socket), 0, 0, SETTING_RESTART | SETTING_LISTEN},
	{"socket-mode", 0, "MODE", "its permissions, in octal (0660)", &kind_mode, PLACE(socket_mode),
		0, 0, SETTING_RESTART | SETTING_LISTEN},
	{"max-clients", 0, "N", "clients served at once (1000)", &kind_u32, PLACE(max_clients), 1,
		1000000, 0},
	{"max-clients-per-user", 0, "N", "of them for one user, 0 for no limit (0)", &kind_u32,
		PLACE(max_clients_per_user), 0, 1000000, 0},
	{"admin-group", 0, "GROUP", "whose members may make changes (root and the user of imd alone)",
		&kind_sysgroup, PLACE(admin_group), 0, 0, 0},
	{"read-group", 0, "GROUP", "whose members may read (everybody who can open the socket)", &kind_sysgroup,
		PLACE(read_group), 0, 0, 0},
	{"send-timeout", 0, "DURATION", "how long a large reply may wait to be read, 0 for no limit (60s)",
		&kind_duration, PLACE(send_timeout_ms), 0, 0, 0},
	{"state", 0, "PATH", "the file with the state, or :memory: (/var/lib/imd/imd.db)", &kind_path,
		PLACE(state), 0, 0, SETTING_RESTART},
	{"check-state", 0, "PATH", "look through a state file, and exit", &kind_path,
		PLACE(check_state), 0, 0, SETTING_OPTION},
	{"restore", 0, "COPY", "restore the state from a copy, and exit", &kind_path, PLACE(restore), 0, 0,
		SETTING_OPTION},
	{"truncate-log", 0, NULL, "cut the log of the state before its damage, and exit", &kind_flag,
		PLACE(truncate_log), 0, 0, SETTING_OPTION},
	{"driver", 0, "DRIVER", "what starts and stops nodes: mock", &kind_choice, PLACE(driver), 0, 0,
		SETTING_RESTART},
	{"mock-delay", 0, "MIN[-MAX]", "how long the mock driver takes (3s-6s)", &kind_delay,
		PLACE(mock), 0, 0, SETTING_MOCK},
	{"mock-seed", 0, "N", "of the mock driver's delays and failures (random)", &kind_seed,
		PLACE(mock.seed), 0, UINT64_MAX, SETTING_MOCK},
	{"mock-fail-version", 0, "V[,V...]", "versions whose starts fail in the mock driver",
		&kind_versions, PLACE(mock), 0, 0, SETTING_MOCK},
	{"mock-flaky", 0, "P", "how probably a start or stop fails in the mock driver (0)",
		&kind_probability, PLACE(mock.flaky_millionths), 0, 0, SETTING_MOCK},
	{"max-surge", 0, "N|P%", "nodes above the size while a change runs (0)", &kind_amount,
		PLACE(core.policy.max_surge), 0, LIMIT_SURGE_PERCENT, SETTING_GROUP},
	{"max-unavailable", 0, "N|P%", "nodes below the size while a change runs (1)", &kind_amount,
		PLACE(core.policy.max_unavailable), 0, LIMIT_UNAVAILABLE_PERCENT, SETTING_GROUP},
	{"max-parallel", 0, "N", "tasks in flight at once in a group, 0 for no limit (0)", &kind_u32,
		PLACE(core.policy.max_parallel), 0, LIMIT_SIZE, SETTING_GROUP},
	{"min-ready", 0, "DURATION", "how long a node must run to be available (0)", &kind_duration,
		PLACE(core.policy.min_ready_ms), 0, 0, SETTING_GROUP},
	{"retries", 0, "N", "attempts at a task after the first (3)", &kind_u32, PLACE(core.retries), 0,
		1000, 0},
	{"retry-delay", 0, "DURATION", "before the first of them, doubled each time (1s)",
		&kind_duration, PLACE(core.retry_delay_ms), 0, 0, 0},
	{"retry-max", 0, "DURATION", "the longest such delay (60s)", &kind_duration,
		PLACE(core.retry_max_ms), 0, 0, 0},
	{"heal-delay", 0, "DURATION", "before a slot's second replacement, doubled each time (10s)",
		&kind_duration, PLACE(core.heal_delay_ms), 0, 0, 0},
	{"heal-max", 0, "DURATION", "the longest such delay (5m)", &kind_duration,
		PLACE(core.heal_max_ms), 0, 0, 0},
	{"heal-reset", 0, "DURATION", "health after which a slot's deaths are forgotten (10m)",
		&kind_duration, PLACE(core.heal_reset_ms), 0, 0, 0},
	{"keep-events", 0, "N", "events that a watcher may fall behind (100000)", &kind_u64,
		PLACE(keep_events), 1, 100000000, 0},
	{"keep-graphs", 0, "N", "ended task graphs kept for a group (100)", &kind_u32,
		PLACE(core.keep_graphs), 1, 1000000, 0},
	{"keep-tasks", 0, "N", "and their tasks in memory (100000)", &kind_u64, PLACE(core.keep_tasks),
		0, UINT32_MAX, 0},
	{"keep-specs", 0, "N", "revisions of the spec kept for a group (100)", &kind_u32,
		PLACE(core.keep_specs), 1, 1000000, 0},
	{"keep-nodes", 0, "N", "ended nodes kept for a group (1000)", &kind_u32,
		PLACE(core.keep_nodes), 0, 1000000, 0},
	{"max-groups", 0, "N", "groups (1000)", &kind_u32, PLACE(core.max_groups), 1, 1000000, 0},
	{"log-level", 0, "LEVEL", "err, warning, notice, info or debug (info)", &kind_level,
		PLACE(log_level), 0, 0, 0},
	{"help", 'h', NULL, "print this, and exit", &kind_flag, PLACE(help), 0, 0, SETTING_OPTION},
	{"version", 'V', NULL, "print the version, and exit", &kind_flag, PLACE(version), 0, 0,
		SETTING_OPTION},
};
const int setting_count = sizeof settings / sizeof settings[0];
_Static_assert(sizeof settings / sizeof settings[0] <= SETTINGS_MAX, "a set is one word");

const char *setting_key(const struct setting *setting)
{
	return setting->flags & SETTING_MOCK ? setting->name + strlen("mock-") : setting->name;
}

bool setting_in(const struct setting *setting, enum config_section section)
{
	if (setting->flags & SETTING_OPTION)
		return false;
	if (section == SECTION_GROUP)
		return (setting->flags & SETTING_GROUP) != 0;
	return section == (setting->flags & SETTING_MOCK ? SECTION_MOCK : SECTION_IMD);
}

int setting_find_key(enum config_section section, const char *key)
{
	for (int i = 0; i < setting_count; i++) {
		if (setting_in(&settings[i], section) && strcmp(key, setting_key(&settings[i])) == 0)
			return i;
	}
	return -1;
}

void *setting_place(const struct setting *setting, struct config *config, struct config_group *group)
{
	if (group == NULL)
		return (char *)config + setting->offset;
	assert(setting->flags & SETTING_GROUP);
	return (char *)&group->policy + (setting->offset - PLACE(core.policy));
}

bool setting_show(const struct setting *setting, const struct config *config,
	const struct config_group *group, struct buf *text)
{
	const char *place = (const char *)config + setting->offset;

	if (group != NULL)
		place = (const char *)&group->policy + (setting->offset - PLACE(core.policy));
	return setting->kind->show(setting, config, place, text);
}
