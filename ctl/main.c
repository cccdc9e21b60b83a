/* imctl: declares specs to imd, and shows what it does. See imctl(1). */

#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/args.h"
#include "proto/mem.h"

#include "command.h"
#include "ctl.h"
#include "out.h"
#include "text.h"

#define DEFAULT_SOCKET "/run/imd.sock"

bool ctl_any_group(const struct ctl *ctl)
{
	const char *group = ctl->values[OPT_GROUP];

	return group != NULL && strcmp(group, "*") == 0;
}

int ctl_connect(struct ctl *ctl)
{
	if (ctl->client.fd >= 0)
		return STATUS_OK;
	client_init(&ctl->client, ctl->socket, ctl->deadline_ms);
	return client_open(&ctl->client);
}

/* The socket of the option, else of the environment, else the usual one. */
static int choose_socket(struct ctl *ctl)
{
	const char *env = getenv("IMD_SOCKET");

	ctl->socket = ctl->values[CTL_SOCKET];
	if (ctl->socket == NULL)
		ctl->socket = env != NULL && env[0] != '\0' ? env : DEFAULT_SOCKET;
	if (ctl->socket[0] != '\0')
		return 0;
	say("option --socket needs a value: PATH");
	return -1;
}

static int choose_deadline(struct ctl *ctl)
{
	struct error error;
	uint64_t timeout_ms = 0;

	ctl->deadline_ms = CLIENT_NO_DEADLINE;
	if (ctl->values[CTL_TIMEOUT] == NULL)
		return 0;
	if (arg_duration(ctl->values[CTL_TIMEOUT], "timeout", &timeout_ms, &error) < 0) {
		say("%s", error.text);
		return -1;
	}
	if (timeout_ms > 0)
		ctl->deadline_ms = client_clock_ms() + (int64_t)timeout_ms;
	return 0;
}

static int prepare(struct ctl *ctl, size_t word_count)
{
	size_t name_words = 0;

	if (choose_socket(ctl) < 0 || choose_deadline(ctl) < 0)
		return -1;
	ctl->command = command_find(ctl->args, word_count, &name_words);
	if (ctl->command == NULL)
		return -1;
	ctl->args += name_words;
	ctl->arg_count = word_count - name_words;
	return command_check(ctl);
}

/* What cut a command short is said here, once, with what a person must know about it. */
static void say_end(const struct ctl *ctl, int status)
{
	if (status == STATUS_INTERRUPTED)
		say("interrupted%s", ctl->afterword);
	else if (status == STATUS_TIMED_OUT)
		say("timed out%s", ctl->afterword);
}

static int run(struct ctl *ctl, size_t word_count)
{
	int status;
	int flushed;

	ctl->json = ctl->values[CTL_JSON] != NULL;
	ctl->quiet = ctl->values[CTL_QUIET] != NULL;
	ctl->legend = ctl->values[CTL_NO_LEGEND] == NULL;
	ctl->arg_count = word_count;
	if (ctl->values[CTL_VERSION] != NULL)
		status = version_print(ctl);
	else if (ctl->values[CTL_HELP] != NULL)
		status = help_print(ctl);
	else
		status = prepare(ctl, word_count) < 0 ? STATUS_USAGE : ctl->command->run(ctl);
	client_close(&ctl->client);
	say_end(ctl, status);
	flushed = out_flush();
	return status != STATUS_OK ? status : flushed;
}

/* A descriptor below 3 that is closed would be taken by the socket, and written to as if it were
 * the output. Read-only, so that writing to it fails as it should. */
static void occupy_standard_files(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* imctl prints UTF-8 in every locale, so that is what the width of a table's cell is computed from. */
static void set_locale(void)
{
	setlocale(LC_ALL, "");
	if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		setlocale(LC_CTYPE, "C.UTF-8");
}

/* In place of say(), which takes memory. What was printed by then stays. */
static void out_of_memory(void)
{
	fputs("imctl: out of memory\n", stderr);
	exit(STATUS_FAILED);
}

int main(int argc, char **argv)
{
	struct ctl ctl = {.client = {.fd = -1}};
	char **words;
	size_t word_count = 0;
	int status = STATUS_USAGE;

	mem_set_exhausted_handler(out_of_memory);
	words = mem_zalloc((size_t)argc + 1, sizeof *words);
	occupy_standard_files();
	set_locale();
	signal(SIGPIPE, SIG_IGN);
	ctl.args = words;
	if (options_parse(argc, argv, ctl.values, words, &word_count) == 0)
		status = run(&ctl, word_count);
	free(words);
	return status;
}
