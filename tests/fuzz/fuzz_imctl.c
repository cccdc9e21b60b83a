/* imctl and a server that means harm: whatever it sends, imctl ends, with a status of its manual and output that is
 * safe to look at, and it does not take for success what is none. The first line of an input is a command line of the
 * table; the rest is the script of the server, see imctl_server.h. */
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/command.h"
#include "ctl/ctl.h"
#include "ctl/keep.h"
#include "fuzz.h"
#include "imctl_server.h"
#include "proto/mem.h"

enum { WORDS_MAX = 16, NAME_SIZE = 4200 };

/* FILE is a file that is not there. */
static const char *const command_lines[] = {
	"nodes ls", "-q nodes ls", "--json nodes ls", "-g * nodes ls", "nodes ls --all --no-legend", "nodes get aaaa",
	"--json nodes get aaaa", "nodes kill aaaa", "--json nodes kill aaaa", "nodes mark aaaa", "nodes mark aaaa --no",
	"nodes stream", "--json nodes stream", "spec", "--json spec", "specs ls", "--json specs ls", "groups ls",
	"-q groups ls", "graphs ls", "--json graphs ls", "graphs get aaaa", "--json graphs get aaaa", "graphs dot aaaa",
	"--json graphs dot aaaa", "graphs cancel aaaa", "graphs stream", "--json graphs stream",
	"graphs stream-tasks aaaa", "--json graphs stream-tasks aaaa", "stats", "--json stats", "metrics",
	"--json metrics", "plan 3 7", "--json plan 3 7", "update 3 7", "--json update 3 7", "-q update 3 7",
	"update 3 7 --detach", "update 3 7 --dry-run", "raw PING", "--json raw PING NODES", "ping", "--json ping",
	"backup FILE", "--json backup FILE", "backup -", "completion bash", "help nodes",
};

enum { COMMAND_LINES = sizeof command_lines / sizeof command_lines[0] };

static char file[NAME_SIZE];

/* ---- words --------------------------------------------------------------------------------- */

static const char *server_word(size_t index)
{
	static const char *const words[] = {
		"OK\n", "OK seq=10\n", "OK seq=10", "ERR gone it was pruned\n", "ERR lagged seq=4\n", "ERR not-found no\n",
		"ERR shutting-down bye\n", "~\n", "~close\n", "~wait 10\n", "~wait 9000\n", "EVENT 11 node-state ",
		"EVENT 12 graph-succeeded ", "EVENT 12 graph-superseded ", "EVENT 13 task-started ", "EVENT 14 task-failed ",
		"NODE ", "GRAPH ", "TASK ", "SPEC ", "GROUP ", "STAT ", "COMMAND ", "DATA ", "# TYPE imd_nodes gauge\n",
		"imd_nodes 3\n", "# EOF\n", "id=", "id=0", "id=1", "group=default", "graph=", "node=", "slot=", "slot=3",
		"state=", "running",
		"waiting", "succeeded", "superseded", "failed", "cancelled", "starting", "version=7", "revision=1",
		"task=", "attempt=", "action=start_node", "action=do_nothing", "description=StartNodes", "prereqs=0,1",
		"prereqs=", "waits=prereqs", "successor=", "error=\"it \\\"broke\\\"\"", "marked=yes", "note=\"a b\"",
		"offset=0", "bytes=3", "bytes=0", "base64=AAAA", "seq=10", "tasks=3", "max-live=3", "min-available=2",
		"aaaaaaaa-1111-4111-8111-111111111111", "bbbbbbbb-1111-4111-8111-111111111111", "created=",
		"2026-11-22T10:00:00.000000Z", "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z", "-1", "0", "1",
		"23000003", "4294967296", "9223372036854775807", "18446744073709551615", "18446744073709551616", "\x1b[2J",
		"\xff", "\xc2\x9b", "\xe2\x80\xae", "\"", "\\x00", "\\x1b[2J", "\\xff", "\\n", "\\", "%s%n", "{}",
	};
	size_t count = sizeof words / sizeof words[0];

	if (index < count)
		return words[index];
	return index - count < COMMAND_LINES ? command_lines[index - count] : NULL;
}

const struct fuzz_target fuzz_target = {.name = "imctl", .max_size = 4096, .word = server_word};

/* ---- one run ------------------------------------------------------------------------------- */

struct run {
	int status;
	char *out, *err;
	size_t out_len, err_len;
};

static void set_up(void)
{
	static bool done;
	int null;

	if (done)
		return;
	done = true;
	for (size_t c = 0; command_at(c); c++) {
		bool found = false;

		for (size_t i = 0; i < COMMAND_LINES; i++)
			found = found || strstr(command_lines[i], command_at(c)->name) != NULL;
		fuzz_require(found, "no command line has the command %s", command_at(c)->name);
	}
	setenv("TZ", "UTC", 1);
	unsetenv("TERM");
	snprintf(file, sizeof file, "%s/backup", fuzz_directory());
	/* A backup to standard output is written to the descriptor. */
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	fuzz_require(null >= 0 && dup2(null, STDOUT_FILENO) >= 0, "/dev/null cannot be used");
	close(null);
}

/* The command line of the first line; some other one if the table has none like it. */
static const char *choose(const char *line, size_t len)
{
	size_t sum = 0;

	for (size_t i = 0; i < COMMAND_LINES; i++)
		if (strlen(command_lines[i]) == len && memcmp(command_lines[i], line, len) == 0)
			return command_lines[i];
	for (size_t i = 0; i < len; i++)
		sum += (unsigned char)line[i];
	return command_lines[sum % COMMAND_LINES];
}

static int split(char *words, char **ret_list)
{
	static char program[] = "imctl", socket[] = "--socket=/s", timeout[] = "--timeout=5s";
	int count = 0;

	ret_list[count++] = program;
	ret_list[count++] = socket;
	ret_list[count++] = timeout;
	for (char *word = strtok(words, " "); word; word = strtok(NULL, " "))
		ret_list[count++] = strcmp(word, "FILE") == 0 ? file : word;
	ret_list[count] = NULL;
	return count;
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGXFSZ};
enum { SIGNALS = sizeof signals / sizeof signals[0] };

/* imctl is a process of its own elsewhere: what it changes of one is put back. */
static void run_imctl(const char *command_line, struct run *ret_run)
{
	struct sigaction before[SIGNALS];
	FILE *out = stdout, *err = stderr;
	char *words = mem_strdup(command_line), *list[WORDS_MAX];
	int count = split(words, list);

	*ret_run = (struct run){0};
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], NULL, &before[i]);
	stdout = open_memstream(&ret_run->out, &ret_run->out_len);
	stderr = open_memstream(&ret_run->err, &ret_run->err_len);
	fuzz_require(stdout != NULL && stderr != NULL, "not enough memory");
	ret_run->status = imctl_main(count, list);
	fclose(stdout);
	fclose(stderr);
	stdout = out;
	stderr = err;
	for (int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &before[i], NULL);
	free(words);
}

/* ---- what must hold ------------------------------------------------------------------------ */

/* The length of a character in UTF-8 that a terminal shows or that ends a line; 0: it is none. */
static size_t character_length(const unsigned char *at, size_t len)
{
	size_t more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : *at >= 0xe0 && *at < 0xf0 ? 2
		: *at >= 0xf0 && *at < 0xf5 ? 3 : len;

	if (more >= len || (*at < 0x20 && *at != '\n' && *at != '\t') || *at == 0x7f)
		return 0;
	for (size_t i = 1; i <= more; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if (*at == 0xc2 && at[1] < 0xa0)
		return 0; /* a control character */
	return more + 1;
}

static void check_text(const char *command_line, const char *text, size_t len)
{
	size_t step;

	for (size_t at = 0; at < len; at += step) {
		step = character_length((const unsigned char *)text + at, len - at);
		fuzz_require(step > 0, "imctl %s prints byte 0x%02x at %zu", command_line, (unsigned char)text[at], at);
	}
}

/* Values of JSON, one after another. */
static void check_json(const char *command_line, const struct run *run)
{
	size_t at = 0;

	while (at < run->out_len) {
		json_error_t error;
		json_t *value = json_loadb(run->out + at, run->out_len - at,
			JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, &error);

		fuzz_require(value != NULL, "imctl %s prints no JSON at %zu: %s: %s", command_line, at, error.text,
			run->out);
		json_decref(value);
		at += (size_t)error.position;
		at += strspn(run->out + at, "\n");
	}
}

static void check_status(const char *command_line, const struct run *run)
{
	bool local = strncmp(command_line, "help", 4) == 0 || strncmp(command_line, "completion", 10) == 0;

	switch (run->status) {
	case STATUS_OK:
		fuzz_require(local || server_said_ok(), "imctl %s ends well without an OK", command_line);
		break;
	case STATUS_FAILED:
	case STATUS_UNREACHABLE:
	case STATUS_NOT_FOUND:
	case STATUS_DENIED:
	case STATUS_TIMED_OUT:
		/* What raw receives it prints, also if it is ERR. */
		fuzz_require(run->err_len > 0 || strstr(command_line, "raw"), "imctl %s ends with %d without a message",
			command_line, run->status);
		break;
	default:
		fuzz_require(false, "imctl %s ends with %d: %s", command_line, run->status, run->err);
	}
	fuzz_require(run->err_len == 0 || run->err[run->err_len - 1] == '\n', "the message %s has no end", run->err);
}

static void check_file(const char *command_line, const struct run *run)
{
	bool there = access(file, F_OK) == 0, wanted = strstr(command_line, "FILE") != NULL && run->status == STATUS_OK;

	fuzz_require(there == wanted, "imctl %s ends with %d, and the file is %s", command_line, run->status,
		there ? "there" : "not there");
	if (there)
		unlink(file);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *lf = size > 0 ? memchr(text, '\n', size) : NULL;
	size_t line_len = lf ? (size_t)(lf - text) : size, head = lf ? line_len + 1 : size;
	const char *command_line = choose(text, line_len);
	struct run run;

	set_up();
	server_begin(size > 0 ? text + head : "", size - head);
	run_imctl(command_line, &run);
	check_status(command_line, &run);
	check_text(command_line, run.out, run.out_len);
	check_text(command_line, run.err, run.err_len);
	if (strstr(command_line, "--json") && run.status == STATUS_OK)
		check_json(command_line, &run);
	check_file(command_line, &run);
	fuzz_require(keep_take(KEEP_MAX), "imctl has not given back what it counts as kept");
	keep_give(KEEP_MAX);
	free(run.out);
	free(run.err);
}
