#include <config.h>

#include "config.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "config_file.h"
#include "proto/mem.h"
#include "settings.h"
#include "state.h"

enum { LONG_ONLY = 256 };

/* ---- what there is -------------------------------------------------------------------------- */

static void config_default(struct config *config)
{
	*config = (struct config){
		.socket = mem_strdup(DEFAULT_SOCKET),
		.socket_mode = 0660,
		.max_clients = 1000,
		.admin_group = mem_strdup(""),
		.read_group = mem_strdup(""),
		.driver = mem_strdup("mock"),
		.send_timeout_ms = 60000,
		.keep_events = 100000,
		.log_level = LEVEL_INFO,
		.mock = {.delay_min_ms = 3000, .delay_max_ms = 6000},
	};
	core_config_default(&config->core);
}

void config_fini(struct config *config)
{
	for (size_t i = 0; i < config->group_count; i++)
		free(config->groups[i].name);
	for (size_t i = 0; i < config->file_count; i++)
		free(config->files[i]);
	free(config->groups);
	free(config->files);
	free(config->core.policies);
	free(config->mock.fail_versions);
	free(config->socket);
	free(config->admin_group);
	free(config->read_group);
	free(config->state);
	free(config->driver);
	free(config->path);
	free(config->check_state);
	free(config->restore);
	*config = (struct config){.exit_status = config->exit_status};
}

struct config_group *config_group(struct config *config, const char *name)
{
	struct config_group *group;
	size_t at = 0;

	while (at < config->group_count && strcmp(config->groups[at].name, name) < 0)
		at++;
	if (at < config->group_count && strcmp(config->groups[at].name, name) == 0)
		return &config->groups[at];
	config->groups = mem_realloc(config->groups, config->group_count + 1,
		sizeof config->groups[0]);
	group = &config->groups[at];
	memmove(group + 1, group, (config->group_count - at) * sizeof *group);
	config->group_count++;
	*group = (struct config_group){.name = mem_strdup(name)};
	return group;
}

const char *config_file_add(struct config *config, const char *path)
{
	config->files = mem_realloc(config->files, config->file_count + 1, sizeof config->files[0]);
	config->files[config->file_count] = mem_strdup(path);
	return config->files[config->file_count++];
}

static const char *name_or_null(const char *name)
{
	return name[0] != '\0' ? name : NULL;
}

struct server_rules config_rules(const struct config *config)
{
	return (struct server_rules){
		.max_clients = config->max_clients,
		.max_clients_per_user = config->max_clients_per_user,
		.send_timeout_ms = config->send_timeout_ms,
		.keep_events = config->keep_events,
		.access = {
			.admin_group = name_or_null(config->admin_group),
			.read_group = name_or_null(config->read_group),
		},
	};
}

/* ---- the command line ---------------------------------------------------------------------- */

/* What was given of each option; a NULL of an option that takes nothing is no different. */
struct options {
	const char *texts[SETTINGS_MAX];
	uint64_t given;
};

/* What getopt_long wants to know, made from the table. */
struct getopt_tables {
	struct option longs[SETTINGS_MAX + 1];
	char shorts[2 * SETTINGS_MAX + 3];
};

static void getopt_tables_fill(struct getopt_tables *ret_tables)
{
	char *letters = ret_tables->shorts;

	*letters++ = '+'; /* stop at the first word that is not an option, */
	*letters++ = ':'; /* and say so where a value is missing */
	for (int i = 0; i < setting_count; i++) {
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
	ret_tables->longs[setting_count] = (struct option){NULL, 0, NULL, 0};
}

/* The place in the table of what getopt_long returned, -1 where it is not there. */
static int setting_find(int code)
{
	if (code >= LONG_ONLY)
		return code - LONG_ONLY;
	for (int i = 0; i < setting_count; i++) {
		if (settings[i].letter != '\0' && settings[i].letter == code)
			return i;
	}
	return -1;
}

/* A long option that getopt_long does not know, or takes for the beginning of several. */
static int refuse_long(const char *word, struct error *error)
{
	const char *name = word + strlen("--"), *sep = "";
	size_t len = strcspn(name, "=");
	struct buf list = BUF_INIT;
	int ret;

	for (int i = 0; i < setting_count && len > 0; i++) {
		if (strncmp(settings[i].name, name, len) != 0)
			continue;
		buf_addf(&list, "%s--%s", sep, settings[i].name);
		sep = ", ";
	}
	buf_add_char(&list, '\0');
	if (list.len > 1) {
		ret = error_set(error, ERR_BAD_ARGUMENT, "--%.*s is short for several options: %s",
			(int)len, name, list.data);
	} else {
		ret = error_set(error, ERR_BAD_ARGUMENT, "unknown option %s; see imd --help", word);
	}
	buf_fini(&list);
	return ret;
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
	return refuse_long(argv[optind - 1], error);
}

static int options_read(struct options *options, int argc, char **argv, struct error *error)
{
	struct getopt_tables tables;
	int code;

	*options = (struct options){.given = 0};
	getopt_tables_fill(&tables);
	opterr = 0;
	optind = 0; /* begin anew, also where it was called before */
	while ((code = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
		int index;

		if (code == '?' || code == ':')
			return refuse_option(argv, code == ':', error);
		index = setting_find(code);
		if (options->given & UINT64_C(1) << index)
			return error_set(error, ERR_BAD_ARGUMENT, "--%s is given twice",
				settings[index].name);
		options->given |= UINT64_C(1) << index;
		options->texts[index] = optarg;
	}
	if (optind < argc) {
		return error_set(error, ERR_BAD_ARGUMENT,
			"imd takes options only, not \"%s\"; see imd --help", argv[optind]);
	}
	return 0;
}

static int options_apply(struct config *config, const struct options *options, struct error *error)
{
	char title[SETTING_TITLE_SIZE];

	for (int i = 0; i < setting_count; i++) {
		const struct setting *setting = &settings[i];

		if ((options->given & UINT64_C(1) << i) == 0)
			continue;
		snprintf(title, sizeof title, "--%s", setting->name);
		if (setting->kind->set(setting, config, setting_place(setting, config, NULL), title,
				options->texts[i], error) < 0)
			return -1;
		config->sources[i] = (struct config_source){NULL, 0};
	}
	config->by_option = options->given;
	return 0;
}

/* ---- what cannot be seen in one setting alone ------------------------------------------------- */

/* Says that one setting must not be below another, where the later of the two was given. */
static int refuse_pair(struct config *config, int high, int low, struct error *error)
{
	uint64_t pair = UINT64_C(1) << high | UINT64_C(1) << low;
	const struct config_source *source = &config->sources[high];

	if (source->file == NULL)
		source = &config->sources[low];
	if ((config->by_option & pair) != 0 || source->file == NULL) {
		config->exit_status = CONFIG_USAGE;
		return error_set(error, ERR_BAD_ARGUMENT, "--%s must not be below --%s",
			settings[high].name, settings[low].name);
	}
	return error_set(error, ERR_BAD_ARGUMENT, "%.100s:%u: [imd] %s must not be below %s",
		source->file, source->line, settings[high].name, settings[low].name);
}

static int check_pair(struct config *config, const char *high_key, const char *low_key,
	struct error *error)
{
	int high = setting_find_key(SECTION_IMD, high_key), low = setting_find_key(SECTION_IMD, low_key);
	const uint64_t *high_ms = setting_place(&settings[high], config, NULL);
	const uint64_t *low_ms = setting_place(&settings[low], config, NULL);

	return *high_ms < *low_ms ? refuse_pair(config, high, low, error) : 0;
}

static int config_check(struct config *config, struct error *error)
{
	if (config->state == NULL)
		config->state = state_default_path();
	if (config->state == NULL) {
		config->exit_status = CONFIG_USAGE;
		return error_set(error, ERR_BAD_ARGUMENT, "--state must be given, for there is no HOME");
	}
	if (check_pair(config, "retry-max", "retry-delay", error) < 0 ||
		check_pair(config, "heal-max", "heal-delay", error) < 0)
		return -1;
	return 0;
}

/* What a group's section leaves out is as the daemon's. */
static void group_complete(struct config *config, struct config_group *group)
{
	struct config_group whole = {.policy = config->core.policy};

	for (int i = 0; i < setting_count; i++) {
		if (group->given & UINT64_C(1) << i)
			memcpy(setting_place(&settings[i], config, &whole),
				setting_place(&settings[i], config, group), settings[i].kind->size);
	}
	group->policy = whole.policy;
}

static void config_complete_groups(struct config *config)
{
	if (config->group_count == 0)
		return;
	config->core.policies = mem_zalloc(config->group_count, sizeof config->core.policies[0]);
	config->core.policy_count = config->group_count;
	for (size_t i = 0; i < config->group_count; i++) {
		group_complete(config, &config->groups[i]);
		config->core.policies[i] = (struct group_policy){
			.group = config->groups[i].name,
			.policy = config->groups[i].policy,
		};
	}
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* The directory beside a main file: its path and ".d". */
static int read_files(struct config *config, const char *path, bool must_be, struct error *error)
{
	size_t size = strlen(path) + sizeof ".d";
	char *directory = mem_alloc(size);
	int ret;

	snprintf(directory, size, "%s.d", path);
	ret = config_file_read(config, path, must_be, error);
	config->main_file = config->file_count > 0 ? config->files[0] : NULL;
	if (ret == 0)
		ret = config_directory_read(config, directory, error);
	free(directory);
	return ret;
}

/* The path of the main file, which a service manager may set; owned by the caller. */
static char *usual_path(void)
{
	const char *directory = getenv("CONFIGURATION_DIRECTORY");
	size_t size;
	char *path;

	if (directory == NULL || directory[0] != '/' || strchr(directory, ':') != NULL)
		return mem_strdup(CONFIG_PATH);
	size = strlen(directory) + sizeof "/imd.conf";
	path = mem_alloc(size);
	snprintf(path, size, "%s/imd.conf", directory);
	return path;
}

static int read_usual_files(struct config *config, struct error *error)
{
	char *path = usual_path();
	int ret = read_files(config, path, false, error);

	free(path);
	return ret;
}

static int config_read(struct config *config, const struct options *options, const char *path,
	struct error *error)
{
	int ret;

	config->exit_status = CONFIG_WRONG;
	ret = path != NULL ? read_files(config, path, true, error) : read_usual_files(config, error);
	if (ret < 0 || options_apply(config, options, error) < 0 || config_check(config, error) < 0)
		return -1;
	config_complete_groups(config);
	return 0;
}

int config_parse(struct config *config, int argc, char **argv, struct error *error)
{
	struct options options;
	bool check, print;
	char *path;
	int ret;

	config_default(config);
	config->exit_status = CONFIG_USAGE;
	/* The options are looked at first, for a bad one is a mistake whatever the files say; and once
	 * more behind the files, which they override. */
	if (options_read(&options, argc, argv, error) < 0 || options_apply(config, &options, error) < 0)
		return -1;
	if (config->help || config->version || config->check_state != NULL)
		return 0;
	path = config->path != NULL ? mem_strdup(config->path) : NULL;
	check = config->check_config;
	print = config->print_config;
	config_fini(config);
	config_default(config);
	config->check_config = check; /* where the files are wrong, too */
	config->print_config = print;
	ret = config_read(config, &options, path, error);
	free(path);
	return ret;
}

/* ---- telling ------------------------------------------------------------------------------- */

void config_help(FILE *file)
{
	fputs("usage: imd [option...]\n\nKeeps groups of nodes at the spec that clients declare; see "
		"imd(8).\n\n", file);
	for (int i = 0; i < setting_count; i++) {
		const struct setting *setting = &settings[i];
		char left[48];

		snprintf(left, sizeof left, "%c%c%s--%s%s%s", setting->letter != 0 ? '-' : ' ',
			setting->letter != 0 ? setting->letter : ' ', setting->letter != 0 ? ", " : "  ",
			setting->name, setting->value != NULL ? "=" : "",
			setting->value != NULL ? setting->value : "");
		fprintf(file, "  %-34s %s\n", left, setting->help);
	}
	fputs("\nAll but those that end imd stand in files, too; see imd.conf(5).\n", file);
}

static void print_no_files(const struct config *config, FILE *file)
{
	char *path = config->path != NULL ? mem_strdup(config->path) : usual_path();

	fprintf(file, "no settings files: neither %s nor files in %s.d\n", path, path);
	free(path);
}

void config_summary(const struct config *config, FILE *file)
{
	for (size_t i = 0; i < config->file_count; i++)
		fprintf(file, "%s: read\n", config->files[i]);
	if (config->file_count == 0)
		print_no_files(config, file);
	for (size_t i = 0; i < config->group_count; i++)
		fprintf(file, "%s%s", i == 0 ? "groups: " : ", ", config->groups[i].name);
	fputs(config->group_count > 0 ? "\nall settings are sound\n" : "all settings are sound\n", file);
}

/* Whether a value comes back as it was from a line of a file, which is trimmed, and ends where a
 * comment begins. */
static bool value_fits(const char *key, const struct buf *value)
{
	if (strlen(key) + 1 + value->len > CONFIG_LINE_MAX)
		return false;
	for (size_t i = 0; i < value->len; i++) {
		unsigned char c = (unsigned char)value->data[i];

		if (c < ' ' || c == 0x7f || (c == ';' && i > 0 && value->data[i - 1] == ' '))
			return false;
	}
	return value->len == 0 || (value->data[0] != ' ' && value->data[0] != ';' &&
		value->data[value->len - 1] != ' ');
}

static int print_setting(const struct config *config, const struct config_group *group,
	const struct setting *setting, FILE *file, struct error *error)
{
	const char *key = setting_key(setting);
	struct buf value = BUF_INIT;
	int ret = 0;

	if (!setting_show(setting, config, group, &value))
		fprintf(file, "#%s=\n", key);
	else if (value_fits(key, &value))
		fprintf(file, "%s=%.*s\n", key, (int)value.len, value.len > 0 ? value.data : "");
	else
		ret = error_set(error, ERR_BAD_ARGUMENT, "the value of %s cannot stand in a file",
			setting->name);
	buf_fini(&value);
	return ret;
}

static int print_section(const struct config *config, enum config_section section,
	const struct config_group *group, FILE *file, struct error *error)
{
	for (int i = 0; i < setting_count; i++) {
		if (!setting_in(&settings[i], section) ||
			(group != NULL && (group->given & UINT64_C(1) << i) == 0))
			continue;
		if (print_setting(config, group, &settings[i], file, error) < 0)
			return -1;
	}
	return 0;
}

int config_print(const struct config *config, FILE *file, struct error *error)
{
	fputs("# The settings of imd " PACKAGE_VERSION " that are in effect.\n[imd]\n", file);
	if (print_section(config, SECTION_IMD, NULL, file, error) < 0)
		return -1;
	fputs("\n[driver mock]\n", file);
	if (print_section(config, SECTION_MOCK, NULL, file, error) < 0)
		return -1;
	for (size_t i = 0; i < config->group_count; i++) {
		fprintf(file, "\n[group %s]\n", config->groups[i].name);
		if (print_section(config, SECTION_GROUP, &config->groups[i], file, error) < 0)
			return -1;
	}
	return 0;
}
