/* The state file: a file of the daemon, changed from outside. It is refused, with a message and unchanged; or it is
 * loaded, and then the daemon works on it as on any other. Inputs are mutations of a valid file, see state_rows.h. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "proto/mem.h"
#include "state_base.h"
#include "state_rows.h"
#include "state_world.h"

/* Groups that are declared larger, and slots that are higher, are loaded and not worked on: that takes long, and shows
 * nothing that small ones do not. */
enum { SIZE_MAX_TRIED = 64, SLOTS_MAX_TRIED = 4096 };

static char base_path[4200], path[4200];

static void set_up(void)
{
	static bool done;

	if (done)
		return;
	done = true;
	snprintf(base_path, sizeof base_path, "%s/base.db", fuzz_directory());
	snprintf(path, sizeof path, "%s/imd.db", fuzz_directory());
	base_make(base_path);
	rows_set_base(base_path);
}

/* ---- words --------------------------------------------------------------------------------- */

static const char *name_word(size_t index)
{
	static const char *const words[] = {
#define NAME(enumerator, word) word,
		NODE_STATES(NAME) GRAPH_STATES(NAME) TASK_STATES(NAME) TASK_ACTIONS(NAME) REASONS(NAME)
#undef NAME
		"start", "stop", "cancel", "kill", "default", "web", "retry", "proving", "sick", "killed", "halves",
		"released", "empty", "set", "set", "set", "from", "swap", "byte", "drop", "copy", "flip",
		"null", "null", "0", "1", "2", "3", "5", "64", "-1", "255", "1000000", "2147483648", "4294967294",
		"4294967295", "4294967296", "4611686018427387903", "9223372036854775807", "-9223372036854775808",
		"50%", "1000%", "4294967295%", "blob:", "blob:0001", "\x01\x1b[2J",
		"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff",
		"0001-01-01T00:00:00.000000Z", "1970-01-01T00:00:00.000000Z", "2026-11-22T10:00:00.000000Z",
		"9999-12-31T23:59:59.999999Z", "set nodes 0 state running\n", "set graphs 0 state running\n",
	};

	return index < sizeof words / sizeof words[0] ? words[index] : NULL;
}

static const char *state_word(size_t index)
{
	const char *word = name_word(index);
	size_t names = 0;

	if (word)
		return word;
	while (name_word(names))
		names++;
	set_up();
	return rows_word(index - names);
}

static void make_line(uint64_t *random, char *ret_line, size_t size)
{
	set_up();
	rows_make_line(random, ret_line, size);
}

const struct fuzz_target fuzz_target = {.name = "state", .max_size = 512, .word = state_word, .make_line = make_line};

/* ---- what is read -------------------------------------------------------------------------- */

static void check_refusal(const struct error *error)
{
	fuzz_require(error->code == ERR_STORAGE, "refused with code %d: %s", (int)error->code, error->text);
	fuzz_require(memchr(error->text, '\0', sizeof error->text) != NULL, "a message without an end");
	fuzz_require(error->text[0] != '\0', "a message without a text");
	for (const unsigned char *c = (const unsigned char *)error->text; *c != '\0'; c++)
		fuzz_require(*c >= 0x20 && *c != 0x7f, "a message with a control character: %s", error->text);
}

static uint8_t *read_file(size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = lseek(fd, 0, SEEK_END);
	uint8_t *data = mem_alloc((size_t)size + 1);

	fuzz_require(fd >= 0 && pread(fd, data, (size_t)size, 0) == size, "the file is gone");
	close(fd);
	*ret_size = (size_t)size;
	return data;
}

static void remove_files(void)
{
	static const char *const suffixes[] = {"", "-wal", "-journal", "-shm"};
	char name[sizeof path + 16];

	for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
		unlink(name);
	}
}

/* ---- what is done with it ------------------------------------------------------------------ */

static bool small(const struct core *core)
{
	for (uint32_t i = 0; i < core->group_count; i++)
		if (core->groups[i]->spec.size > SIZE_MAX_TRIED || core->groups[i]->slots_used > SLOTS_MAX_TRIED)
			return false;
	return true;
}

/* All that is under way comes to its end by itself. */
static void check_rest(const struct world *world, const char *when)
{
	const struct core *core = engine_core(world->engine);

	for (uint32_t i = 0; i < core->group_count; i++) {
		const struct group *group = core->groups[i];
		const struct graph *graph;

		fuzz_require(!group->active, "group %s stands still %s", group->name, when);
		TAILQ_FOREACH(graph, &group->graphs, entry)
			fuzz_require(graph_ended(graph), "group %s: graph %llu has not ended %s", group->name,
				(unsigned long long)graph->serial, when);
	}
}

static void update_all(struct world *world, uint32_t size, uint64_t version)
{
	struct core *core = engine_core(world->engine);

	world_update_all(world, size, version);
	world_run(world, INT64_MAX);
	if (world->storage_failed)
		return;
	check_rest(world, "after UPDATE");
	for (uint32_t i = 0; i < core->group_count; i++) {
		fuzz_require(core->groups[i]->live == size && core->groups[i]->available == size,
			"group %s has %u live nodes after UPDATE %u", core->groups[i]->name, core->groups[i]->live, size);
		fuzz_require(core->groups[i]->proven_revision == core->groups[i]->spec.revision,
			"group %s has not reached its spec", core->groups[i]->name);
	}
}

static void work_on(struct world *world)
{
	world_run(world, INT64_MAX);
	if (world->storage_failed)
		return;
	check_rest(world, "after loading");
	update_all(world, 2, 9);
	if (world->storage_failed)
		return;
	world_kill(world, world_node(world, "default", 1));
	update_all(world, 0, 9);
}

/* Numbers have an upper limit, beyond which there is no next one. A file that says that it has been reached is loaded,
 * and what is numbered then is beyond it. No daemon counts that far. */
static bool numbers_end(const struct error *error)
{
	return strstr(error->text, "invalid event_seq") || strstr(error->text, "invalid serial") ||
		strstr(error->text, "invalid revision");
}

/* What was worked on can be loaded again. */
static void check_again(const struct core_config *config)
{
	struct world world;
	struct error error;
	bool sound;

	if (world_open(&world, path, config, 3, &sound, &error) < 0) {
		fuzz_require(numbers_end(&error), "refused the next time: %s", error.text);
		world_close(&world);
		return;
	}
	fuzz_require(sound, "damaged the next time");
	world_run(&world, INT64_MAX);
	check_rest(&world, "the next time");
	world_close(&world);
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct core_config config;
	struct world world;
	struct error error = {.text = ""};
	size_t before_size, after_size;
	uint8_t *before, *after;
	bool sound, again = false;

	set_up();
	rows_write(path, (const char *)data, size);
	before = read_file(&before_size);
	base_config(&config);
	if (world_open(&world, path, &config, 2, &sound, &error) == 0) {
		again = sound && small(engine_core(world.engine));
		if (small(engine_core(world.engine)))
			work_on(&world);
		fuzz_require(!sound || !world.storage_failed, "a commit to a file that is not damaged has failed");
		world_close(&world);
	} else {
		check_refusal(&error);
		world_close(&world);
		after = read_file(&after_size);
		fuzz_require(after_size == before_size && memcmp(before, after, after_size) == 0,
			"refused and changed: %s", error.text);
		free(after);
	}
	if (again)
		check_again(&config);
	free(before);
	remove_files();
}
