/* A copy goes through these states, in one direction:
 *
 *   NEW      nothing was done
 *   MAKING   SQLite writes pages into the snapshot
 *   MADE     SQLite is done with it, and it is read
 *   CLOSED   it was read to its end, or something failed
 *
 * The owner may end it in each of them, also while the runner works on it: then the job runs to its end and its
 * outcome is dropped. Files are closed by jobs too, because close() may wait for a disk. */
#include "copy.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/mem.h"
#include "schema.h"
#include "snapshot.h"

enum {
	COPY_PAGES = 256, /* in a job */
	ENDED_MAX = 4,    /* copies that wait to be closed, as they do if the disk hangs */
};

struct store_copy {
	TAILQ_ENTRY(store_copy) entry;
	struct copy_source *source;
	struct job job;
	bool working;             /* the job is the runner's */
	bool ended;               /* by the owner */
	/* The worker's, while it works: */
	enum { COPY_NEW, COPY_MAKING, COPY_MADE, COPY_CLOSED } state;
	struct snapshot snapshot;
	struct db_backup *backup; /* of COPY_MAKING */
	off_t offset;             /* of the next piece */
	bool failed;
	struct error error;
	bool read;                /* there is a piece, */
	size_t len;               /* of this length; 0 at the end */
	char data[STORE_COPY_PIECE];
	/* The owner's callback: */
	store_read_fn *done;
	void *arg;
};

/* ---- in the runner ------------------------------------------------------------------------- */

static int copy_create(struct store_copy *copy)
{
	const struct copy_source *source = copy->source;

	snapshot_sweep(source->directory, source->name);
	if (snapshot_create(&copy->snapshot, source->directory, source->name, &copy->error) < 0 ||
		db_backup_begin(source->db, copy->snapshot.fd, &copy->backup, &copy->error) < 0)
		return -1;
	copy->state = COPY_MAKING;
	return 0;
}

static int copy_make_more(struct store_copy *copy)
{
	int more = db_backup_step(copy->backup, COPY_PAGES, &copy->error);

	if (more != 0)
		return more < 0 ? -1 : 0;
	if (snapshot_seal(&copy->snapshot, &copy->error) < 0 ||
		schema_forget_incarnation(db_backup_target(copy->backup), &copy->error) < 0)
		return -1;
	db_backup_end(copy->backup);
	copy->backup = NULL;
	copy->state = COPY_MADE;
	return 0;
}

static int copy_read_piece(struct store_copy *copy)
{
	ssize_t len = snapshot_read(&copy->snapshot, copy->data, sizeof copy->data, copy->offset,
		&copy->error);

	if (len < 0)
		return -1;
	copy->read = true;
	copy->len = (size_t)len;
	copy->offset += len;
	return 0;
}

static void copy_close(struct store_copy *copy)
{
	pthread_mutex_lock(copy->source->mutex);
	db_backup_end(copy->backup);
	pthread_mutex_unlock(copy->source->mutex);
	copy->backup = NULL;
	snapshot_close(&copy->snapshot);
	copy->state = COPY_CLOSED;
}

static int copy_step(struct store_copy *copy)
{
	int ret;

	if (copy->state == COPY_MADE)
		return copy_read_piece(copy);
	pthread_mutex_lock(copy->source->mutex);
	ret = copy->state == COPY_NEW ? copy_create(copy) : copy_make_more(copy);
	pthread_mutex_unlock(copy->source->mutex);
	return ret;
}

static void copy_work(void *arg)
{
	struct store_copy *copy = arg;
	bool bypassed = mem_reserve_bypass(true);

	copy->failed = copy_step(copy) < 0;
	if (copy->failed || (copy->read && copy->len == 0))
		copy_close(copy);
	mem_reserve_bypass(bypassed);
}

static void close_work(void *arg)
{
	copy_close(arg);
}

/* ---- in the loop --------------------------------------------------------------------------- */

static void copy_free(struct store_copy *copy)
{
	TAILQ_REMOVE(&copy->source->copies, copy, entry);
	free(copy);
}

static void close_done(void *arg)
{
	copy_free(arg);
}

static void copy_run(struct store_copy *copy)
{
	copy->working = true;
	copy->source->runner->ops->run(copy->source->runner, &copy->job);
}

static void copy_finish(struct store_copy *copy)
{
	if (copy->state == COPY_CLOSED) {
		copy_free(copy);
		return;
	}
	copy->job.work = close_work;
	copy->job.done = close_done;
	copy_run(copy);
}

/* The callback may end the copy, or read on. */
static void copy_report(struct store_copy *copy, const struct error *error)
{
	store_read_fn *done = copy->done;

	copy->done = NULL;
	done(copy->arg, copy->data, error ? 0 : copy->len, error);
}

static void copy_done(void *arg)
{
	static const struct error ended = {ERR_CONFLICT, "the copy was ended"};
	struct store_copy *copy = arg;

	copy->working = false;
	if (copy->ended) {
		copy_report(copy, &ended);
		copy_finish(copy);
	} else if (copy->failed) {
		copy_report(copy, &copy->error);
	} else if (copy->read) {
		copy_report(copy, NULL);
	} else {
		copy_run(copy);
	}
}

void copy_source_init(struct copy_source *source, struct runner *runner, pthread_mutex_t *mutex)
{
	*source = (struct copy_source){.runner = runner, .directory = -1, .mutex = mutex};
	TAILQ_INIT(&source->copies);
}

static int check_others(const struct copy_source *source, struct error *error)
{
	const struct store_copy *copy;
	unsigned ended = 0;

	TAILQ_FOREACH(copy, &source->copies, entry) {
		if (!copy->ended)
			return error_set(error, ERR_CONFLICT, "another copy is in progress; there is one at a time");
		ended++;
	}
	if (ended >= ENDED_MAX)
		return error_set(error, ERR_CONFLICT, "%u copies that were given up are not closed yet", ended);
	return 0;
}

struct store_copy *copy_begin(struct copy_source *source, struct error *error)
{
	struct store_copy *copy;

	if (check_others(source, error) < 0)
		return NULL;
	copy = mem_zalloc(1, sizeof *copy);
	copy->source = source;
	copy->job = (struct job){.work = copy_work, .done = copy_done, .arg = copy};
	copy->snapshot.fd = -1;
	TAILQ_INSERT_TAIL(&source->copies, copy, entry);
	return copy;
}

void copy_read(struct store_copy *copy, store_read_fn *done, void *arg)
{
	assert(!copy->working && !copy->ended && copy->state != COPY_CLOSED);
	copy->read = false;
	copy->done = done;
	copy->arg = arg;
	copy_run(copy);
}

void copy_end(struct store_copy *copy)
{
	assert(!copy->ended);
	copy->ended = true;
	if (!copy->working)
		copy_finish(copy);
}

void copy_source_fini(struct copy_source *source)
{
	struct store_copy *copy;

	while ((copy = TAILQ_FIRST(&source->copies)) != NULL) {
		copy_close(copy);
		copy_free(copy);
	}
}
