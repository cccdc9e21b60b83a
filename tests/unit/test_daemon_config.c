/* The command line and the files: what each setting sets, and what is said about every kind of mistake. */
#include <stdlib.h>
#include <unistd.h>
#include <string.h>

#include "daemon/config.h"
#include "unit.h"

enum { ARGS_MAX = 8 };

static struct config config;
static struct error error;

/* Parses `imd` and the words given, parted by blanks; a word "''" is an empty one. */
static int parse(const char *line)
{
	static char text[512];
	char *argv[ARGS_MAX + 2] = {text};
	int argc = 1;

	snprintf(text, sizeof text, "imd %s", line);
	strtok(text, " ");
	for (char *word; (word = strtok(NULL, " ")) != NULL; argc++) {
		ck_assert_int_le(argc, ARGS_MAX);
		argv[argc] = strcmp(word, "''") == 0 ? strchr(word, '\0') : word;
	}
	error.text[0] = '\0';
	config_fini(&config);
	return config_parse(&config, argc, argv, &error);
}

static void must_parse(const char *line)
{
	ck_assert_msg(parse(line) == 0, "imd %s: %s", line, error.text);
}

static void must_refuse(const char *line, const char *text)
{
	ck_assert_msg(parse(line) == -1, "imd %s was not refused", line);
	ck_assert_msg(strstr(error.text, text) != NULL, "imd %s: \"%s\" is not in \"%s\"", line, text,
		error.text);
}

START_TEST(defaults)
{
	setenv("STATE_DIRECTORY", "/srv/state", 1);
	must_parse("");
	ck_assert_str_eq(config.state, "/srv/state/imd.db");
	config_fini(&config);
	unsetenv("STATE_DIRECTORY");
	setenv("XDG_STATE_HOME", "/srv/xdg", 1);
	must_parse("");
	ck_assert_str_eq(config.socket, "/run/imd.sock");
	ck_assert_uint_eq(config.socket_mode, 0660);
	ck_assert_uint_eq(config.max_clients, 1000);
	ck_assert_str_eq(config.state,
		geteuid() == 0 ? "/var/lib/imd/imd.db" : "/srv/xdg/imd/imd.db");
	ck_assert_str_eq(config.driver, "mock");
	ck_assert_uint_eq(config.mock.delay_min_ms, 3000);
	ck_assert_uint_eq(config.mock.delay_max_ms, 6000);
	ck_assert_uint_eq(config.keep_events, 100000);
	ck_assert_uint_eq(config.core.policy.max_unavailable.value, 1);
	ck_assert_uint_eq(config.core.policy.max_surge.value, 0);
	ck_assert_int_eq(config.log_level, LEVEL_INFO);
	ck_assert(!config.has_mock_seed && !config.help && !config.version);
}
END_TEST

START_TEST(options_of_the_daemon)
{
	must_parse("-s /tmp/x --socket-mode=0600 --max-clients 7 --keep-events=9 --log-level=debug");
	ck_assert_str_eq(config.socket, "/tmp/x");
	ck_assert_uint_eq(config.socket_mode, 0600);
	ck_assert_uint_eq(config.max_clients, 7);
	ck_assert_uint_eq(config.keep_events, 9);
	ck_assert_int_eq(config.log_level, LEVEL_DEBUG);
	must_parse("--state=:memory: --driver=mock --help");
	ck_assert(config.help && !config.version);
	must_parse("-V");
	ck_assert(config.version);
}
END_TEST

START_TEST(options_of_the_mock_driver)
{
	must_parse("--mock-delay=50ms --mock-seed=18446744073709551615");
	ck_assert_uint_eq(config.mock.delay_min_ms, 50);
	ck_assert_uint_eq(config.mock.delay_max_ms, 50);
	ck_assert(config.has_mock_seed && config.mock.seed == UINT64_MAX);
	must_parse("--mock-delay=300ms-2s --mock-fail-version=2,9223372036854775807 --mock-flaky=0.25");
	ck_assert_uint_eq(config.mock.delay_min_ms, 300);
	ck_assert_uint_eq(config.mock.delay_max_ms, 2000);
	ck_assert_uint_eq(config.mock.fail_version_count, 2);
	ck_assert_uint_eq(config.mock.fail_versions[0], 2);
	ck_assert_uint_eq(config.mock.fail_versions[1], INT64_MAX);
	ck_assert_uint_eq(config.mock.flaky_millionths, 250000);
}
END_TEST

START_TEST(options_of_the_core)
{
	must_parse("--max-surge=150% --max-unavailable=25% --max-parallel=4 --min-ready=2s");
	ck_assert(config.core.policy.max_surge.percent);
	ck_assert_uint_eq(config.core.policy.max_surge.value, 150);
	ck_assert_uint_eq(config.core.policy.max_unavailable.value, 25);
	ck_assert_uint_eq(config.core.policy.max_parallel, 4);
	ck_assert_uint_eq(config.core.policy.min_ready_ms, 2000);
	must_parse("--retries=0 --retry-delay=2s --retry-max=2s --heal-delay=1s --heal-max=1m");
	ck_assert_uint_eq(config.core.retries, 0);
	ck_assert_uint_eq(config.core.retry_delay_ms, 2000);
	ck_assert_uint_eq(config.core.retry_max_ms, 2000);
	ck_assert_uint_eq(config.core.heal_delay_ms, 1000);
	ck_assert_uint_eq(config.core.heal_max_ms, 60000);
	must_parse("--heal-reset=3m --keep-graphs=1 --keep-tasks=2 --keep-specs=3 --keep-nodes=4 "
		"--max-groups=5");
	ck_assert_uint_eq(config.core.heal_reset_ms, 180000);
	ck_assert_uint_eq(config.core.keep_graphs, 1);
	ck_assert_uint_eq(config.core.keep_tasks, 2);
	ck_assert_uint_eq(config.core.keep_specs, 3);
	ck_assert_uint_eq(config.core.keep_nodes, 4);
	ck_assert_uint_eq(config.core.max_groups, 5);
}
END_TEST

static const struct {
	const char *line, *text;
} mistakes[] = {
	{"--colour", "unknown option --colour"},
	{"--config", "--config needs a value: PATH"},
	{"-c /a --config=/b", "--config is given twice"},
	{"--config=", "--config must not be empty"},
	{"--check-config=1", "--check-config takes no value"},
	{"--config=/nowhere/imd.conf", "/nowhere/imd.conf cannot be read: No such file"},
	{"--config=/nowhere/imd.conf --retries=x", "--retries must be"}, /* that comes first */
	{"--max", "--max is short for several options: --max-clients, --max-clients-per-user, --max-surge, "
		"--max-unavailable, --max-parallel, --max-groups"},
	{"--mock=1", "--mock is short for several options: --mock-delay, --mock-seed, --mock-fail-version, "
		"--mock-flaky"},
	{"--check", "--check is short for several options: --check-config, --check-state"},
	{"--retries=1 --retry 2", "--retry is short for several options: --retry-delay, --retry-max"},
	{"--m", "--max-groups"}, /* the last one of those that fit it */
	{"--=1", "unknown option --=1"},
	{"-x", "unknown option -x"},
	{"-xs", "unknown option -x"},
	{"3", "takes options only, not \"3\""},
	{"-- -s", "takes options only, not \"-s\""},
	{"--socket", "--socket needs a value: PATH"},
	{"-s", "--socket needs a value: PATH"},
	{"--help=yes", "--help takes no value"},
	{"-s /a --socket=/b", "--socket is given twice"},
	{"--retries=1 --retries=1", "--retries is given twice"},
	{"-hh", "--help is given twice"},
	{"--socket ''", "--socket must not be empty"},
	{"--socket-mode=660x", "--socket-mode must be an octal number"},
	{"--socket-mode=888", "--socket-mode must be an octal number"},
	{"--socket-mode=1000", "--socket-mode must be an octal number"},
	{"--socket-mode=00000000000000000000000000000001000", "from 0 to 0777"},
	{"--socket-mode=-1", "--socket-mode must be an octal number"},
	{"--socket-mode ''", "--socket-mode must be an octal number"},
	{"--max-clients=0", "--max-clients must be a whole number from 1 to 1000000"},
	{"--max-clients=-1", "--max-clients must be"},
	{"--max-clients=+3", "--max-clients must be"},
	{"--max-clients=0x3", "--max-clients must be"},
	{"--max-clients=1.5", "--max-clients must be"},
	{"--max-clients=99999999999999999999", "--max-clients must be"},
	{"--keep-events=0", "--keep-events must be"},
	{"--keep-specs=0", "--keep-specs must be"},
	{"--max-groups=0", "--max-groups must be"},
	{"--state=", "--state must not be empty"},
	{"--check-state=", "--check-state must not be empty"},
	{"--driver=exec", "--driver must be mock"},
	{"--max-unavailable=101%", "--max-unavailable must be"},
	{"--max-surge=-1", "--max-surge must be"},
	{"--min-ready=1d", "--min-ready must be"},
	{"--min-ready=25h", "--min-ready must be"},
	{"--mock-delay ''", "--mock-delay must be"},
	{"--mock-delay=1s-", "--mock-delay must be"},
	{"--mock-delay=-1s", "--mock-delay must be"},
	{"--mock-delay=2s-1s", "with MIN not above MAX"},
	{"--mock-delay=1s-2s-3s", "--mock-delay must be"},
	{"--mock-flaky=1.1", "--mock-flaky must be"},
	{"--mock-fail-version=1,,2", "--mock-fail-version must be"},
	{"--mock-seed=x", "--mock-seed must be"},
	{"--log-level=loud", "--log-level must be err, warning, notice, info or debug"},
	{"--retry-delay=2s --retry-max=1s", "--retry-max must not be below --retry-delay"},
	{"--heal-max=1s", "--heal-max must not be below --heal-delay"},
};

START_TEST(a_mistake_is_named)
{
	must_refuse(mistakes[_i].line, mistakes[_i].text);
	ck_assert_ptr_null(strchr(error.text, '\n'));
}
END_TEST

/* What is said of a file: the whole message behind its name. */
static const struct {
	const char *text, *said;
} file_mistakes[] = {
	{"retries=1\n", ":1: a key stands in no section"},
	{"[imd]\n\n# a comment\nretries=x\n", ":4: [imd] retries must be a whole number from 0 to 1000; \"x\""},
	{"[imd]\ncolour=red\n", ":2: [imd] has no key colour; see imd.conf(5)"},
	{"[imd]\nmock-seed=1\n", ":2: [imd] has no key mock-seed"},
	{"[imd]\nhelp=1\n", ":2: [imd] has no key help"},
	{"[imd]\ncheck-state=/x\n", ":2: [imd] has no key check-state"},
	{"[imd]\nretries\n", ":2: neither [section] nor key=value nor a comment"},
	{"[imd]\nretries=\n", ":2: [imd] retries must be"},
	{"[imd]\nretries=1\nsocket=/x\nretries=1\n", ":4: [imd] retries is given twice in this file"},
	{"[imd]\n[imd]\nretries=1\n[driver mock]\n[imd]\nretries=1\n", ":6: [imd] retries is given twice"},
	{"[imd]\ndriver=docker\n", ":2: [imd] driver must be mock; \"docker\""},
	{"[imd]\nlog-level=loud\n", ":2: [imd] log-level must be err, warning, notice, info or debug; \"loud\""},
	{"[imd]\nretry-delay=1m\nretry-max=1s\n", ":3: [imd] retry-max must not be below retry-delay"},
	{"[imd]\nheal-delay=1h\n", ":2: [imd] heal-max must not be below heal-delay"},
	{"[driver mock]\nsocket=/x\n", ":2: [driver mock] has no key socket; it has delay, seed, fail-version, flaky"},
	{"[driver mock]\ndelay=2s-1s\n", ":2: [driver mock] delay must be MIN-MAX with MIN not above MAX; \"2s-1s\""},
	{"[driver docker]\n", ":1: [driver docker] is no section; there are [imd], [driver mock] and [group NAME]"},
	{"[]\n", ":1: [] is no section"},
	{"[imd\nretries=1\n", ":1: a section has no ] at its end"},
	{"[imd] retries=1\n", ":1: something stands behind the ]"},
	{"[group]\n", ":1: [group] is no section"},
	{"[group Web]\n", ":1: group must be"},
	{"[group web]\nretries=1\n", ":2: [group web] has no key retries; it has max-surge, max-unavailable, "
		"max-parallel, min-ready"},
	{"[group web]\nmax-surge=x\n", ":2: [group web] max-surge must be"},
	{"[group web]\nmin-ready=1s\n[group db]\nmin-ready=1s\n[group web]\nmin-ready=1s\n",
		":6: [group web] min-ready is given twice"},
};

static char file_path[] = "/tmp/imd-config.XXXXXX";

static void write_file(const char *text)
{
	FILE *file = fopen(file_path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

static const char *with_file(const char *options)
{
	static char line[256];

	snprintf(line, sizeof line, "--config=%s %s", file_path, options);
	return line;
}

START_TEST(a_mistake_in_a_file_is_named)
{
	char said[512];

	write_file(file_mistakes[_i].text);
	snprintf(said, sizeof said, "%s%s", file_path, file_mistakes[_i].said);
	must_refuse(with_file(""), said);
	ck_assert_int_eq(config.exit_status, CONFIG_WRONG);
	must_refuse(with_file("--retries=x"), "--retries must be"); /* before the files */
	ck_assert_int_eq(config.exit_status, CONFIG_USAGE);
}
END_TEST

START_TEST(files_are_read_and_options_override)
{
	write_file("\xef\xbb\xbf; a comment\n[imd]\r\n  retries = 7 ; why\n\theal-max=7m\n"
		"state=/srv/x\n[driver mock] # more\ndelay=1s\nseed=5\nfail-version=3,4\n"
		"[group web]\nmax-surge=25%\n[group  db]\nmin-ready=3s\n[group none]\n");
	must_parse(with_file("--max-surge=2 --heal-max=8m --mock-fail-version=9"));
	ck_assert_uint_eq(config.core.retries, 7);
	ck_assert_uint_eq(config.core.heal_max_ms, 480000);
	ck_assert_str_eq(config.state, "/srv/x");
	ck_assert_uint_eq(config.mock.delay_max_ms, 1000);
	ck_assert(config.has_mock_seed && config.mock.seed == 5);
	ck_assert_uint_eq(config.mock.fail_version_count, 1);
	ck_assert_uint_eq(config.mock.fail_versions[0], 9);
	ck_assert_uint_eq(config.core.policy_count, 3);
	ck_assert(core_policy(&config.core, "web")->max_surge.percent);
	ck_assert_uint_eq(core_policy(&config.core, "web")->max_unavailable.value, 1);
	ck_assert_uint_eq(core_policy(&config.core, "db")->min_ready_ms, 3000);
	ck_assert_uint_eq(core_policy(&config.core, "db")->max_surge.value, 2);
	ck_assert_uint_eq(core_policy(&config.core, "none")->max_surge.value, 2);
	ck_assert_ptr_eq(core_policy(&config.core, "other"), &config.core.policy);
	must_refuse(with_file("--heal-delay=1h"), "--heal-max must not be below --heal-delay");
	ck_assert_int_eq(config.exit_status, CONFIG_USAGE);
}
END_TEST

START_TEST(a_long_line_is_refused)
{
	char text[400];

	snprintf(text, sizeof text, "[imd]\nstate=/%0190d\nretries=1\n", 0);
	write_file(text);
	must_parse(with_file(""));
	ck_assert_uint_eq(strlen(config.state), 191);
	snprintf(text, sizeof text, "[imd]\nstate=/%0191d\nretries=1\n", 0);
	write_file(text);
	must_refuse(with_file(""), ":2: the line is too long: 197 bytes are the most");
	snprintf(text, sizeof text, "[imd]\nstate=/%0300d", 0);
	write_file(text);
	must_refuse(with_file(""), ":2: the line is too long");
}
END_TEST

/* --help tells every option that there is: each stands in it with the value that it takes. */
START_TEST(help_tells_the_options)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(file);
	config_help(file);
	fclose(file);
	ck_assert_ptr_nonnull(strstr(text, "-s, --socket=PATH"));
	ck_assert_ptr_nonnull(strstr(text, "    --mock-delay=MIN[-MAX]"));
	ck_assert_ptr_nonnull(strstr(text, "-h, --help "));
	free(text);
}
END_TEST

static Suite *config_suite(void)
{
	Suite *suite = suite_create("config");
	TCase *tests = tcase_create("config");

	tcase_add_test(tests, defaults);
	tcase_add_test(tests, options_of_the_daemon);
	tcase_add_test(tests, options_of_the_mock_driver);
	tcase_add_test(tests, options_of_the_core);
	tcase_add_loop_test(tests, a_mistake_is_named, 0,
		(int)(sizeof mistakes / sizeof mistakes[0]));
	tcase_add_loop_test(tests, a_mistake_in_a_file_is_named, 0,
		(int)(sizeof file_mistakes / sizeof file_mistakes[0]));
	tcase_add_test(tests, files_are_read_and_options_override);
	tcase_add_test(tests, a_long_line_is_refused);
	tcase_add_test(tests, help_tells_the_options);
	suite_add_tcase(suite, tests);
	return suite;
}

int main(void)
{
	int status, fd = mkstemp(file_path);

	if (fd < 0)
		return EXIT_FAILURE;
	close(fd);
	setenv("CONFIGURATION_DIRECTORY", "/nowhere", 1);
	status = unit_run(config_suite(), CK_FORK_GETENV);
	config_fini(&config);
	unlink(file_path);
	return status;
}
