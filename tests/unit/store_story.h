/* What the tests of stores share: a core with a story, and a store that keeps it. Changes gather until they
 * are committed, be it after one step or many. */
#ifndef IMD_TESTS_STORE_STORY_H
#define IMD_TESTS_STORE_STORY_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/core.h"
#include "store/store.h"
#include "store_state.h"
#include "unit.h"

static struct keep {
	struct core core;
	struct core_config config;
	struct update update;    /* what has changed since the last commit */
	struct now now;
	struct policy policy;    /* of the next update */
	struct store *store;
	uint64_t ids;            /* given out */
	uint64_t seq;            /* of the last commit */
	unsigned begun, done;    /* commits */
	unsigned fetched;        /* graphs that were read back, or could not be */
	bool failed;             /* the last commit or fetch that is done */
	struct error error;      /* why */
} keep;

/* ---- the core ------------------------------------------------------------------------------ */

static inline void keep_id(void *arg, struct id *ret_id)
{
	uint64_t number = ++keep.ids;
	uint64_t halves[2] = {state_mix(1, number), state_mix(2, number)};

	(void)arg;
	memcpy(ret_id->bytes, halves, sizeof halves);
}

static inline void keep_notice(void *arg, const struct notice *notice)
{
	(void)arg;
	(void)notice;
}

/* Little is kept, so that refs and places are used again soon. */
static inline void keep_begin(struct store *store)
{
	memset(&keep, 0, sizeof keep);
	keep.store = store;
	core_config_default(&keep.config);
	keep.config.new_id = keep_id;
	keep.config.seed = 42;
	keep.config.keep_graphs = 2;
	keep.config.keep_specs = 3;
	keep.config.keep_nodes = 4;
	keep.policy = keep.config.policy;
	keep.now = (struct now){.mono_ms = 5000, .wall_us = 1700000000000000};
	core_init(&keep.core, &keep.config);
	update_init(&keep.update, keep_notice, NULL);
}

static inline void keep_end(void)
{
	core_fini(&keep.core);
	update_fini(&keep.update);
}

static inline void keep_check(void)
{
	struct error error;

	if (core_check(&keep.core, &error) < 0)
		ck_abort_msg("seed %" PRIu64 ": %s", unit_seed, error.text);
}

static inline void keep_pass(void)
{
	while (core_run(&keep.core, &keep.now, 1000, &keep.update))
		;
	keep.update.action_count = 0;
}

/* Each event is another user's; one of the names is as long as may be. */
static inline struct origin keep_user(void)
{
	struct origin origin = {.uid = (uid_t)(keep.now.mono_ms % 2 ? keep.now.mono_ms : UINT32_MAX)};

	if (keep.now.mono_ms % 5 == 0)
		memset(origin.user, 'u', sizeof origin.user - 1);
	else
		snprintf(origin.user, sizeof origin.user, "user %d's", (int)keep.now.mono_ms);
	return origin;
}

/* One event, and the pass after it. A little time goes by with each. */
static inline int keep_step(struct core_event event)
{
	struct error error;
	int result;

	keep.now.mono_ms++;
	keep.now.wall_us += 1000;
	event.now = keep.now;
	event.origin = keep_user();
	result = core_step(&keep.core, &event, &keep.update, &error);
	keep_pass();
	return result;
}

static inline void keep_update(const char *group, uint32_t size, uint64_t version,
	const char *note)
{
	must(keep_step((struct core_event){.kind = CORE_UPDATE, .update = {.group = group,
		.size = size, .version = version, .policy = keep.policy, .note = note}}) == 0);
}

static inline void keep_answer(const struct node *node, enum core_result result, const char *text)
{
	enum node_op op = node->op == OP_CANCEL ? OP_START : (enum node_op)node->op;

	keep_step((struct core_event){.kind = CORE_DONE, .id = node->id, .text = text,
		.done = {.op = op, .result = result}});
}

static inline void keep_ask(enum core_event_kind kind, const struct id *id)
{
	keep_step((struct core_event){.kind = kind, .id = *id, .mark = true});
}

/* The next live node from a ref on, NULL: none. */
static inline struct node *keep_node(uint32_t *ref)
{
	for (; *ref < keep.core.nodes.used; ++*ref) {
		struct node *node = node_at(&keep.core.nodes, *ref);

		if (node->used && node_live(node))
			return node;
	}
	return NULL;
}

/* Answers all that the driver was asked, but not what it is asked because of that. */
static inline void keep_answer_all(void)
{
	uint32_t end = keep.core.nodes.used;
	struct node *node;

	for (uint32_t ref = 0; (node = keep_node(&ref)) != NULL && ref < end; ref++)
		if (node->op == OP_CANCEL)
			keep_answer(node, RESULT_CANCELLED, NULL);
		else if (node->op != OP_NONE)
			keep_answer(node, RESULT_OK, NULL);
}

/* Lets the time pass until the core wants to be called. */
static inline void keep_wait(void)
{
	int64_t deadline_ms = core_deadline(&keep.core);

	if (deadline_ms == INT64_MAX)
		return;
	if (deadline_ms > keep.now.mono_ms) {
		keep.now.wall_us += (deadline_ms - keep.now.mono_ms) * 1000;
		keep.now.mono_ms = deadline_ms;
	}
	keep_step((struct core_event){.kind = CORE_TICK});
}

/* ---- the store ----------------------------------------------------------------------------- */

static inline void keep_done(void *arg, const struct error *error)
{
	(void)arg;
	ck_assert_uint_lt(keep.done, keep.begun);
	keep.done++;
	keep.failed = error != NULL;
	if (error)
		keep.error = *error;
}

/* Begins to store what has changed. */
static inline void keep_commit(void)
{
	ck_assert_uint_eq(keep.begun, keep.done);
	keep.begun++;
	core_changes_taken(&keep.core, &keep.update);
	keep.store->ops->commit(keep.store, &keep.core, keep.update.changes,
		keep.update.change_count, ++keep.seq, keep_done, NULL);
	update_clear(&keep.update);
}

/* What is stored takes the place of the core; -1 where it cannot be loaded: the core is then as it was
 * made. What was not committed is lost. */
static inline int keep_load(struct error *error)
{
	struct store_history history = {.event_seq = keep.seq};
	int ret;

	core_fini(&keep.core);
	update_clear(&keep.update);
	core_init(&keep.core, &keep.config);
	ret = keep.store->ops->load(keep.store, &keep.core, &history, error);
	keep.seq = history.event_seq;
	if (ret == 0)
		return 0;
	core_fini(&keep.core);
	core_init(&keep.core, &keep.config);
	return ret;
}

/* Loads what must be there. */
static inline void keep_load_as(const char *expected, const char *when)
{
	struct error error;
	char *is;

	if (keep_load(&error) < 0)
		ck_abort_msg("seed %" PRIu64 ", %s: %s", unit_seed, when, error.text);
	is = state_text(&keep.core);
	state_expect(is, expected, when);
	free(is);
}

/* The end of loading, as the engine does it: what is derived need not be stored. */
static inline void keep_load_end(void)
{
	struct error error;

	if (core_load_end(&keep.core, &keep.now, &keep.update, &error) < 0)
		ck_abort_msg("seed %" PRIu64 ": %s", unit_seed, error.text);
	core_changes_taken(&keep.core, &keep.update);
	update_clear(&keep.update);
	keep_check();
}

static inline void keep_inspected(const struct node *node, enum core_found found)
{
	keep_step((struct core_event){.kind = CORE_INSPECTED, .id = node->id, .found = found});
}

/* Stores what has changed, which must succeed from within the call. */
static inline void must_commit(void)
{
	keep_commit();
	if (keep.failed)
		ck_abort_msg("seed %" PRIu64 ": %s", unit_seed, keep.error.text);
	must(keep.done == keep.begun);
}

static inline void keep_fetched(void *arg, struct graph *graph, const struct error *error)
{
	const struct graph *kept = arg;
	char *is, *expected;

	keep.fetched++;
	keep.failed = error != NULL;
	if (error)
		keep.error = *error;
	must((graph == NULL) == (error != NULL));
	if (!graph)
		return;
	is = state_graph_text(graph);
	expected = state_graph_text(kept);
	state_expect(is, expected, "a graph that is read back");
	free(is);
	free(expected);
	graph_free(graph);
}

/* Reads every graph back that has ended, from within the calls. Returns whether that succeeded. */
static inline bool keep_fetch_all(void)
{
	const struct graph *graph;

	for (uint32_t i = 0; i < keep.core.group_count; i++)
		TAILQ_FOREACH(graph, &keep.core.groups[i]->graphs, entry) {
			unsigned fetched = keep.fetched;

			if (!graph_ended(graph))
				continue;
			keep.store->ops->fetch(keep.store, graph->serial, keep_fetched,
				(void *)(uintptr_t)graph);
			must(keep.fetched == fetched + 1);
			if (keep.failed)
				return false;
		}
	return true;
}

/* ---- files --------------------------------------------------------------------------------- */

/* A test's directory, in memory where there is such a place, and what it may have in there. */
static char directory[32];
static char path[PATH_MAX], copy_path[PATH_MAX];

static inline void make_directory(void)
{
	const char *place = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(directory, sizeof directory, "%s/imd-store-XXXXXX", place);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/state.db", directory);
	snprintf(copy_path, sizeof copy_path, "%s/copy.db", directory);
}

static inline void remove_directory(void)
{
	static const char *const names[] = {"state.db", "state.db-wal", "copy.db", "copy.db-wal"};
	char name[PATH_MAX];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(name, sizeof name, "%s/%s", directory, names[i]);
		unlink(name);
	}
	/* So nothing else was left there. */
	ck_assert_int_eq(rmdir(directory), 0);
}

static inline void incarnation_new(void *arg, struct id *ret_id)
{
	static uint64_t given;
	uint64_t number = ++given, halves[2] = {state_mix(3, number), state_mix(4, number)};

	(void)arg;
	memcpy(ret_id->bytes, halves, sizeof halves);
}

static const struct id_source incarnations = {.new_id = incarnation_new};

/* Opens a file and accepts it. */
static inline int store_open(const char *name, struct runner *runner, struct store **ret_store, struct error *error)
{
	if (store_file_open(name, &incarnations, runner, ret_store, error) < 0)
		return -1;
	if ((*ret_store)->ops->accept(*ret_store, error) >= 0)
		return 0;
	(*ret_store)->ops->free(*ret_store);
	return -1;
}

static inline struct store *open_file(const char *name, struct runner *runner)
{
	struct store *store;
	struct error error;

	if (store_open(name, runner, &store, &error) < 0)
		ck_abort_msg("%s", error.text);
	return store;
}

/* A copy that is put into use gets new IDs; this reads it as it is. */
static inline struct store *open_file_to_read(const char *name)
{
	struct store *store;
	struct error error;

	if (store_file_open_copy(name, runner_at_once(), &store, &error) < 0)
		ck_abort_msg("%s", error.text);
	return store;
}

static inline void store_close(struct store *store)
{
	store->ops->free(store);
}

/* ---- copies -------------------------------------------------------------------------------- */

static struct store_copy *copying; /* NULL: no copy is under way */
static FILE *copy_out;             /* what was read of it, at copy_path */
static unsigned copies_done;
static bool copy_failed;
static struct error copy_error;

static inline void copy_ends(const struct error *error)
{
	must(fclose(copy_out) == 0);
	if (error) {
		copy_error = *error;
		must(unlink(copy_path) == 0);
	}
	copy_failed = error != NULL;
	copies_done++;
	keep.store->ops->copy_end(copying);
	copying = NULL;
}

static inline void copy_piece(void *arg, const void *data, size_t len, const struct error *error)
{
	(void)arg;
	if (error || len == 0) {
		copy_ends(error);
		return;
	}
	must(len <= STORE_COPY_PIECE && fwrite(data, 1, len, copy_out) == len);
	keep.store->ops->copy_read(copying, copy_piece, NULL);
}

/* Begins a copy into the file at copy_path. */
static inline void copy_start(void)
{
	copying = keep.store->ops->copy_begin(keep.store, &copy_error);
	copy_failed = !copying;
	if (!copying) {
		copies_done++;
		return;
	}
	copy_out = fopen(copy_path, "w");
	must(copy_out != NULL);
	keep.store->ops->copy_read(copying, copy_piece, NULL);
}

/* Nothing that a copy is made in has a name. */
static inline void must_have_no_snapshot(void)
{
	DIR *names = opendir(directory);
	const struct dirent *entry;

	must(names != NULL);
	while ((entry = readdir(names)) != NULL)
		must(!strstr(entry->d_name, ".imd-copy."));
	closedir(names);
}

/* ---- chance -------------------------------------------------------------------------------- */

static inline struct node *random_node(void)
{
	uint32_t ref = keep.core.nodes.used ? random_below(keep.core.nodes.used) : 0;
	struct node *node = keep_node(&ref);

	ref = 0;
	return node ? node : keep_node(&ref);
}

static inline const char *random_text(void)
{
	static const char *const texts[] = {NULL, "", "no luck", "it said \"no\"; 'never' % \\",
		"\xc3\xa4\xe2\x82\xac"};

	return texts[random_below(sizeof texts / sizeof texts[0])];
}

static inline void random_update(void)
{
	static const char *const groups[] = {"default", "web", "db"};
	bool percent = random_below(2);

	keep.policy = (struct policy){
		.max_surge = {random_below(percent ? 101 : 3), percent},
		.max_unavailable = {random_below(percent ? 101 : 3), percent},
		.max_parallel = random_below(3), .min_ready_ms = random_below(3) ? 0 : 5000};
	keep_update(groups[random_below(3)], random_below(7),
		random_below(9) ? 1 + random_below(3) : INT64_MAX, random_text());
}

static inline void random_cancel(void)
{
	const struct group *group = keep.core.groups[random_below(keep.core.group_count)];

	if (group->active)
		keep_ask(CORE_CANCEL, &group->active->id);
}

static inline void random_answer(const struct node *node)
{
	uint32_t dice = random_below(10);

	if (node->op == OP_NONE)
		return;
	if (node->op == OP_CANCEL && dice < 7)
		keep_answer(node, RESULT_CANCELLED, NULL);
	else
		keep_answer(node, dice < 8 ? RESULT_OK : RESULT_FAILED, random_text());
}

static inline void random_event_of(struct node *node)
{
	uint32_t dice = random_below(100);
	struct core_event event = {.id = node->id, .text = random_text()};

	if (node->inspecting) {
		keep_inspected(node, (enum core_found)random_below(3));
	} else if (dice < 10) {
		keep_ask(CORE_KILL, &node->id);
	} else if (dice < 18) {
		event.kind = CORE_MARK;
		event.mark = random_below(3) != 0;
		event.origin.uid = random_below(5);
		snprintf(event.origin.user, sizeof event.origin.user, "marker%u", (unsigned)event.origin.uid);
		keep_step(event);
	} else if (dice < 28) {
		event.kind = CORE_HEALTH;
		event.healthy = random_below(2);
		keep_step(event);
	} else if (dice < 36) {
		event.kind = CORE_EXITED;
		keep_step(event);
	} else {
		random_answer(node);
	}
}

static inline void random_event(void)
{
	struct node *node = random_node();
	uint32_t dice = random_below(100);

	if (!node || dice < 10)
		random_update();
	else if (dice < 14)
		random_cancel();
	else if (dice < 24)
		keep_wait();
	else
		random_event_of(node);
}

#endif
