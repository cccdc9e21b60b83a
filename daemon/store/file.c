/* The state in a file. A commit is copied from the core into rows, and the runner writes the rows; there
 * is one set of rows, for there is one commit at a time. Copies are in copy.c.
 *
 * The database is used by one thread at a time, under the mutex: by the runner's, and by the loop's to
 * load. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "copy.h"
#include "identity.h"
#include "load.h"
#include "opening.h"
#include "proto/mem.h"
#include "restore.h"
#include "schema.h"
#include "snapshot.h"
#include "store.h"
#include "tables.h"

struct probe {
	struct job job;
	bool failed;
	struct error error;
	store_done_fn *done;
	void *arg;
};

struct fetch {
	TAILQ_ENTRY(fetch) entry;
	struct store_file *file;
	struct job job;
	uint64_t serial;
	struct graph *graph; /* what came of it; NULL: the error */
	struct error error;
	store_fetched_fn *done;
	void *arg;
};

struct store_file {
	struct store store;
	struct runner *runner;
	pthread_mutex_t mutex;
	struct opening opening;
	struct db *db;               /* of the opening */
	char *name;                  /* of the file, as it was given */
	const struct id_source *ids; /* NULL: it is accepted, or a copy */
	struct tables tables;
	struct node_serials serials;
	struct rows rows;
	struct job job;      /* of the commit */
	bool failed;         /* the commit */
	bool untrimmed;      /* frames may follow the last commit in the log */
	struct identity identity; /* of the state; directory -1: of a copy, in which nothing is kept */
	bool harmed;         /* the paths no longer lead to the files that are open, or a file was cut; */
	struct error harm;   /* which one, and how */
	bool ends;           /* it is being freed */
	store_unsaved_fn *unsaved;
	void *unsaved_arg;
	struct error error;
	store_done_fn *done; /* NULL: no commit is under way */
	void *arg;
	struct probe probe;
	struct copy_source copies;
	struct private_copy checked; /* what is open in the place of the state; path NULL: the state itself is */
	TAILQ_HEAD(, fetch) fetches;
};

static struct store_file *file_of(struct store *store)
{
	return (struct store_file *)store;
}

/* A commit that failed may have left its frames in the log, whole but not counted: after a crash they could be taken
 * for a commit. They are cut off before the failure is reported. If the end of the log is not known yet, or
 * the file cannot be cut, another commit is written over them, which needs no room beyond theirs. */
static void trim_log(struct store_file *file)
{
	if (!file->untrimmed)
		return;
	if (db_trim_log(file->db) == 0 || (schema_touch(file->db, NULL) == 0 && db_trim_log(file->db) == 0))
		file->untrimmed = false;
}

/* Says of what the sentence of the database is about. */
static void name_file(const char *path, struct error *error)
{
	struct error inner = *error;

	if (strstr(inner.text, path) == NULL)
		error_set(error, inner.code, "%s: %s", path, inner.text);
}

/* ---- loading ------------------------------------------------------------------------------- */

static int file_load(struct store *store, struct core *core, struct store_history *ret_history,
	struct error *error)
{
	struct store_file *file = file_of(store);
	int ret;

	pthread_mutex_lock(&file->mutex);
	trim_log(file);
	node_serials_fini(&file->serials);
	ret = load_tables(file->db, core, &file->serials, ret_history, error);
	pthread_mutex_unlock(&file->mutex);
	return ret;
}

/* ---- commits ------------------------------------------------------------------------------- */

static int check_identity(struct store_file *file, const struct db_sizes *sizes)
{
	file->harmed = file->identity.directory >= 0 &&
		identity_check(&file->identity, sizes, file->ends, &file->harm) < 0;
	return file->harmed ? -1 : 0;
}

static int on_committing(void *arg, const struct db_sizes *sizes)
{
	return check_identity(arg, sizes);
}

static int check_files(struct store_file *file)
{
	const struct db_sizes sizes = db_sizes(file->db);

	return check_identity(file, &sizes);
}

typedef int write_fn(struct store_file *file, struct error *error);

/* The files are checked when all is durable (on_committing); and before, if they were wrong the last time. */
static int write_checked(struct store_file *file, write_fn *write, struct error *error)
{
	int ret = file->harmed ? check_files(file) : 0;

	if (ret == 0) {
		ret = write(file, error);
		file->untrimmed = file->untrimmed || ret < 0;
		trim_log(file);
		if (ret < 0 && !file->harmed) /* it may be why */
			check_files(file);
	}
	if (file->harmed && ret < 0)
		*error = file->harm;
	return ret;
}

/* What was answered before is saved if only the log was removed, replaced or cut. */
static int save_log(struct store_file *file)
{
	if (!identity_keeps_database(&file->identity) || db_mend_log(file->db) < 0)
		return -1;
	return db_checkpoint(file->db);
}

/* If the disk is full, the room that the log takes may do. */
static int write_once_more(struct store_file *file, write_fn *write, struct error *error)
{
	int ret = write_checked(file, write, error);

	if (ret == 0)
		return 0;
	if (db_write_failed(file->db) && !file->harmed && db_empty_log(file->db) == 0)
		return write_checked(file, write, error);
	if (file->harmed)
		save_log(file);
	return -1;
}

static int write_rows(struct store_file *file, struct error *error)
{
	return tables_write(&file->tables, &file->rows, error);
}

static void commit_work(void *arg)
{
	struct store_file *file = arg;

	pthread_mutex_lock(&file->mutex);
	file->failed = write_once_more(file, write_rows, &file->error) < 0;
	pthread_mutex_unlock(&file->mutex);
}

static void commit_done(void *arg)
{
	struct store_file *file = arg;
	store_done_fn *done = file->done;

	rows_clear(&file->rows);
	file->done = NULL;
	done(file->arg, file->failed ? &file->error : NULL);
}

static void file_commit(struct store *store, const struct core *core,
	const struct change *changes, size_t count, uint64_t event_seq, store_done_fn *done, void *arg)
{
	struct store_file *file = file_of(store);

	rows_take(&file->rows, &file->serials, core, changes, count);
	file->rows.event_seq = event_seq;
	file->done = done;
	file->arg = arg;
	file->runner->ops->run(file->runner, &file->job);
}

/* ---- probes -------------------------------------------------------------------------------- */

static int write_nothing(struct store_file *file, struct error *error)
{
	return schema_touch(file->db, error);
}

static void probe_work(void *arg)
{
	struct store_file *file = arg;

	pthread_mutex_lock(&file->mutex);
	file->probe.failed = write_once_more(file, write_nothing, &file->probe.error) < 0;
	pthread_mutex_unlock(&file->mutex);
}

static void probe_done(void *arg)
{
	const struct probe *probe = &((struct store_file *)arg)->probe;

	probe->done(probe->arg, probe->failed ? &probe->error : NULL);
}

static void file_probe(struct store *store, store_done_fn *done, void *arg)
{
	struct store_file *file = file_of(store);

	file->probe.done = done;
	file->probe.arg = arg;
	file->runner->ops->run(file->runner, &file->probe.job);
}

/* ---- copies -------------------------------------------------------------------------------- */

static struct store_copy *file_copy_begin(struct store *store, struct error *error)
{
	return copy_begin(&file_of(store)->copies, error);
}

/* ---- graphs that are read back ------------------------------------------------------------- */

static void fetch_work(void *arg)
{
	struct fetch *fetch = arg;
	bool bypassed = mem_reserve_bypass(true);

	pthread_mutex_lock(&fetch->file->mutex);
	if (load_graph(fetch->file->db, fetch->serial, &fetch->graph, &fetch->error) < 0)
		fetch->graph = NULL;
	pthread_mutex_unlock(&fetch->file->mutex);
	mem_reserve_bypass(bypassed);
}

static void fetch_done(void *arg)
{
	struct fetch *fetch = arg;

	TAILQ_REMOVE(&fetch->file->fetches, fetch, entry);
	fetch->done(fetch->arg, fetch->graph, fetch->graph != NULL ? NULL : &fetch->error);
	free(fetch);
}

static void file_fetch(struct store *store, uint64_t serial, store_fetched_fn *done, void *arg)
{
	struct store_file *file = file_of(store);
	struct fetch *fetch = mem_zalloc(1, sizeof *fetch);

	fetch->file = file;
	fetch->job = (struct job){.work = fetch_work, .done = fetch_done, .arg = fetch};
	fetch->serial = serial;
	fetch->done = done;
	fetch->arg = arg;
	TAILQ_INSERT_TAIL(&file->fetches, fetch, entry);
	file->runner->ops->run(file->runner, &fetch->job);
}

static void fetches_free(struct store_file *file)
{
	struct fetch *fetch;

	while ((fetch = TAILQ_FIRST(&file->fetches)) != NULL) {
		TAILQ_REMOVE(&file->fetches, fetch, entry);
		graph_free(fetch->graph);
		free(fetch);
	}
}

/* ---- opening and closing ------------------------------------------------------------------- */

/* What is in the place of a file that is gone is left alone. */
static void close_database(struct store_file *file)
{
	file->ends = true;
	if (file->identity.directory >= 0 && check_files(file) < 0) {
		if (save_log(file) < 0 && file->unsaved)
			file->unsaved(file->unsaved_arg, &file->harm);
		db_keep_files(file->db);
	}
	db_close(file->db);
	identity_fini(&file->identity);
}

static void file_free(struct store *store)
{
	struct store_file *file = file_of(store);

	file->runner->ops->free(file->runner);
	copy_source_fini(&file->copies);
	fetches_free(file);
	tables_fini(&file->tables);
	close_database(file);
	private_copy_fini(&file->checked);
	rows_fini(&file->rows);
	node_serials_fini(&file->serials);
	pthread_mutex_destroy(&file->mutex);
	free(file->name);
	free(file);
}

void store_file_on_unsaved(struct store *store, store_unsaved_fn *unsaved, void *arg)
{
	struct store_file *file = file_of(store);

	file->unsaved = unsaved;
	file->unsaved_arg = arg;
}

int store_file_verify(struct store *store, struct error *error)
{
	struct db *db = file_of(store)->db;

	if (db_verify(db, true, error) < 0 || db_verify_free_pages(db, error) < 0)
		return -1;
	return load_check_orphans(db, error);
}

bool store_file_restored(const struct store *store)
{
	return ((const struct store_file *)store)->opening.restored;
}

bool store_file_notice(struct store *store, struct error *ret_notice)
{
	const struct store_file *file = file_of(store);

	return inspect_notice(&file->opening.inspection, file->name, ret_notice);
}

/* SQLite has opened the files by their names, and it may have been long ago. So the names may lead to other ones, which
 * are left alone then. */
static int take_identity(struct store_file *file, struct error *error)
{
	if (identity_take(&file->identity, file->name, db_path(file->db), error) == 0 &&
		db_check_place(file->db, error) == 0)
		return 0;
	identity_fini(&file->identity);
	db_keep_files(file->db);
	return -1;
}

static int put_into_use(struct store_file *file, struct error *error)
{
	int changed = opening_accept(&file->opening, file->name, file->ids, error);

	/* Statements are prepared now: a change of the schema would have them prepared again in the middle of a commit. */
	if (changed < 0 || tables_init(&file->tables, file->db, error) < 0 ||
		take_identity(file, error) < 0)
		return -1;
	db_watch(file->db, on_committing, file);
	file->untrimmed = true;
	trim_log(file);
	file->copies.directory = file->identity.directory;
	file->copies.name = identity_name(&file->identity);
	snapshot_sweep(file->copies.directory, file->copies.name);
	return changed;
}

static int file_accept(struct store *store, struct error *error)
{
	struct store_file *file = file_of(store);
	int ret = 0;

	pthread_mutex_lock(&file->mutex);
	if (file->ids)
		ret = put_into_use(file, error);
	if (ret < 0)
		name_file(file->name, error);
	else
		file->ids = NULL;
	pthread_mutex_unlock(&file->mutex);
	return ret;
}

static struct store_file *file_new(const char *name, struct runner *runner)
{
	static const struct store_ops ops = {
		.name = "sqlite",
		.load = file_load,
		.accept = file_accept,
		.commit = file_commit,
		.probe = file_probe,
		.copy_begin = file_copy_begin,
		.copy_read = copy_read,
		.copy_end = copy_end,
		.fetch = file_fetch,
		.free = file_free,
	};
	struct store_file *file = mem_zalloc(1, sizeof *file);

	file->store.ops = &ops;
	file->identity.directory = -1;
	file->runner = runner;
	file->name = mem_strdup(name);
	/* Commits go before reads and copies. */
	file->job = (struct job){.work = commit_work, .done = commit_done, .arg = file, .urgent = true};
	file->probe.job = (struct job){.work = probe_work, .done = probe_done, .arg = file};
	pthread_mutex_init(&file->mutex, NULL);
	TAILQ_INIT(&file->fetches);
	copy_source_init(&file->copies, runner, &file->mutex);
	return file;
}

static int finish_opening(struct store_file *file, int opened, struct store **ret_store, struct error *error)
{
	file->db = file->opening.db;
	if (opened < 0) {
		name_file(file->name, error);
		file_free(&file->store);
		return -1;
	}
	file->copies.db = file->db;
	*ret_store = &file->store;
	return 0;
}

int store_file_open(const char *path, const struct id_source *ids, struct runner *runner, struct store **ret_store,
	struct error *error)
{
	struct store_file *file = file_new(path, runner);

	file->ids = ids;
	return finish_opening(file, opening_for_use(path, &file->opening, error), ret_store, error);
}

int store_file_open_source(const struct source *source, bool cut, struct runner *runner, struct store **ret_store,
	struct error *error)
{
	struct store_file *file = file_new(source->path, runner);
	int opened = opening_of_copy(source, cut, &file->checked, &file->opening, error);

	if (opened == 0) {
		file->copies.directory = file->checked.directory;
		file->copies.name = private_copy_name(&file->checked);
	}
	return finish_opening(file, opened, ret_store, error);
}

int store_file_open_copy(const char *path, struct runner *runner, struct store **ret_store,
	struct error *error)
{
	struct source source;
	int ret;

	if (restore_check_none(path, error) < 0 || source_open(path, 0, &source, error) < 0) {
		runner->ops->free(runner);
		name_file(path, error);
		return -1;
	}
	ret = store_file_open_source(&source, false, runner, ret_store, error);
	source_close(&source);
	return ret;
}
