/* The file is to be read by people too, in the sqlite3 shell: states are words, times are ISO texts,
 * and what the daemon can derive is not in it.
 *
 * A task has a row once it has begun. Before that it waits, or was cancelled with all that waited, at
 * graphs.dropped. What tasks there are, and what waits for what, never changes: that is the
 * plan, a blob for a graph that has tasks (plan.h). */
#include "schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "schema_compare.h"

/* "imds", so that file(1) and other programs can tell. */
#define APPLICATION_ID 0x696d6473

/* What makes a file of version n + 1 of one of version n; the first makes it of nothing. Never
 * change one that was released: add another, and a file to tests/e2e/states. */
static const char *const migrations[SCHEMA_VERSION] = {
	"CREATE TABLE daemon ("
	"  one INTEGER PRIMARY KEY CHECK (one = 1),"
	"  event_seq INTEGER NOT NULL"        /* the number of the last event */
	") STRICT;"
	"INSERT INTO daemon VALUES (1, 0);"
	"CREATE TABLE groups ("
	"  number INTEGER PRIMARY KEY,"       /* in the order in which they came into being */
	"  name TEXT NOT NULL UNIQUE,"
	"  next_graph TEXT NOT NULL,"         /* the id that its next graph will have */
	"  proven_revision INTEGER NOT NULL"  /* the last one that was reached */
	") STRICT;"
	"CREATE TABLE specs ("
	"  group_name TEXT NOT NULL,"
	"  revision INTEGER NOT NULL,"
	"  size INTEGER NOT NULL,"
	"  version INTEGER NOT NULL,"
	"  max_surge TEXT NOT NULL,"
	"  max_unavailable TEXT NOT NULL,"
	"  max_parallel INTEGER NOT NULL,"
	"  min_ready_ms INTEGER NOT NULL,"
	"  created TEXT NOT NULL,"
	"  uid INTEGER NOT NULL,"
	"  user TEXT NOT NULL,"
	"  reason TEXT NOT NULL,"
	"  note TEXT,"
	"  PRIMARY KEY (group_name, revision)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE graphs ("
	"  serial INTEGER PRIMARY KEY,"
	"  id TEXT NOT NULL,"
	"  group_name TEXT NOT NULL,"
	"  revision INTEGER NOT NULL,"
	"  state TEXT NOT NULL,"
	"  reason TEXT NOT NULL,"
	"  tasks INTEGER NOT NULL,"
	"  min_available INTEGER NOT NULL,"
	"  max_live INTEGER NOT NULL,"
	"  created TEXT NOT NULL,"
	"  started TEXT,"
	"  dropped TEXT,"
	"  finished TEXT,"
	"  successor TEXT,"
	"  failed_task INTEGER,"
	"  error TEXT,"
	"  succeeded INTEGER,"                /* how many tasks did, once it has ended */
	"  failed INTEGER,"
	"  cancelled INTEGER"
	") STRICT;"
	"CREATE TABLE plans ("
	"  graph INTEGER PRIMARY KEY,"        /* graphs.serial, of one that has tasks */
	"  tasks BLOB NOT NULL"
	") STRICT;"
	"CREATE TABLE tasks ("
	"  graph INTEGER NOT NULL,"           /* graphs.serial */
	"  id INTEGER NOT NULL,"
	"  action TEXT NOT NULL,"
	"  description TEXT,"
	"  node TEXT,"
	"  slot INTEGER,"
	"  state TEXT NOT NULL,"
	"  attempt INTEGER NOT NULL,"
	"  started TEXT NOT NULL,"
	"  finished TEXT,"
	"  error TEXT,"
	"  PRIMARY KEY (graph, id)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE nodes ("
	"  serial INTEGER PRIMARY KEY,"
	"  id TEXT NOT NULL,"
	"  group_name TEXT NOT NULL,"
	"  slot INTEGER NOT NULL,"
	"  version INTEGER NOT NULL,"
	"  revision INTEGER NOT NULL,"
	"  state TEXT NOT NULL,"
	"  asked TEXT,"                       /* what the driver was asked and has not answered */
	"  marked INTEGER NOT NULL,"
	"  created TEXT NOT NULL,"
	"  started TEXT,"
	"  finished TEXT,"
	"  error TEXT"
	") STRICT;"
	"CREATE VIEW live_nodes AS"
	"  SELECT group_name, slot, id, version, state, created, started, error FROM nodes"
	"  WHERE state IN ('starting', 'running', 'unhealthy', 'shutting_down')"
	"  ORDER BY group_name, slot;"
	"CREATE VIEW running_tasks AS"
	"  SELECT graphs.group_name, graphs.id AS graph, tasks.id AS task, tasks.action,"
	"    tasks.description, tasks.node, tasks.slot, tasks.attempt, tasks.started, tasks.error"
	"  FROM tasks JOIN graphs ON graphs.serial = tasks.graph"
	"  WHERE tasks.state = 'running' ORDER BY tasks.graph, tasks.id;"
	"CREATE VIEW history AS"
	"  SELECT graphs.created AS at, graphs.group_name, graphs.revision, specs.size,"
	"    specs.version, graphs.reason, specs.user, specs.note, graphs.id AS graph, graphs.tasks,"
	"    graphs.state, graphs.finished, graphs.error"
	"  FROM graphs LEFT JOIN specs ON specs.group_name = graphs.group_name"
	"    AND specs.revision = graphs.revision ORDER BY graphs.serial;",

	/* Who asked for a graph: of an update it was told by the spec alone, and of a kill by nothing. */
	"ALTER TABLE graphs ADD COLUMN uid INTEGER;"            /* where nobody did, none, */
	"ALTER TABLE graphs ADD COLUMN user TEXT;"
	"ALTER TABLE graphs ADD COLUMN cancelled_uid INTEGER;"  /* and the same for the cancel */
	"ALTER TABLE graphs ADD COLUMN cancelled_by TEXT;"
	"UPDATE graphs SET (uid, user) = (SELECT specs.uid, specs.user FROM specs"
	"  WHERE specs.group_name = graphs.group_name AND specs.revision = graphs.revision)"
	"  WHERE reason = 'update';"
	"DROP VIEW IF EXISTS history;"
	"CREATE VIEW history AS"
	"  SELECT graphs.created AS at, graphs.group_name, graphs.revision, specs.size,"
	"    specs.version, graphs.reason, graphs.user, specs.note, graphs.id AS graph, graphs.tasks,"
	"    graphs.state, graphs.finished, graphs.error, graphs.cancelled_by"
	"  FROM graphs LEFT JOIN specs ON specs.group_name = graphs.group_name"
	"    AND specs.revision = graphs.revision ORDER BY graphs.serial;",

	/* Who marked a node; of a mark that is older, nobody knows. */
	"ALTER TABLE nodes ADD COLUMN marked_uid INTEGER; ALTER TABLE nodes ADD COLUMN marked_by TEXT;",

	/* The history that the file belongs to (schema.h). */
	("ALTER TABLE daemon ADD COLUMN incarnation TEXT;"
	 "ALTER TABLE daemon ADD COLUMN commits INTEGER NOT NULL DEFAULT 0;"),
};

/* What holds for one to a copy. Its files may have no names any more, so it has no log and no journal. */
static const char *const copy_settings[] = {
	"PRAGMA synchronous = OFF",
	"PRAGMA journal_mode = MEMORY",
	"PRAGMA cache_size = -8192",
	"PRAGMA temp_store = MEMORY",
};

/* What holds for a connection. With a WAL a commit is one sync
 * of one file; FULL has it wait for that. */
static const char *const settings[] = {
	"PRAGMA synchronous = FULL",
	"PRAGMA cache_size = -8192",
	"PRAGMA temp_store = MEMORY",
};

/* ---- what there is ------------------------------------------------------------------------- */

/* The schema of a file decides what its rows are, and what happens if they are read or written: a view, a
 * trigger, a generated column or a missing STRICT are code of whoever wrote the file. So it must be what the
 * migrations up to its version make, and nothing else. */
static int compare_with_migrations(struct db *db, int64_t version, struct error *error)
{
	struct db *reference;
	int ret = 0;

	if (db_open_memory(&reference, error) < 0)
		return -1;
	for (int64_t i = 0; i < version && ret == 0; i++)
		ret = db_run(reference, migrations[i], error);
	if (ret == 0)
		ret = schema_compare(db, reference, error);
	db_close(reference);
	return ret;
}

/* Of version 0 there is nothing: check_owner has seen to that. */
static int check_schema(struct db *db, int64_t version, struct error *error)
{
	int64_t utf8;

	if (db_number(db, "SELECT encoding = 'UTF-8' FROM pragma_encoding", &utf8, error) < 0)
		return -1;
	if (!utf8)
		return error_set(error, ERR_STORAGE, "its text is not in UTF-8");
	if (version > 0 && compare_with_migrations(db, version, error) < 0)
		return -1;
	db_trust_schema(db);
	return 0;
}

static int check_owner(struct db *db, const char *name, int64_t *ret_version, struct error *error)
{
	int64_t application, tables;

	if (db_number(db, "PRAGMA application_id", &application, error) < 0 ||
		db_number(db, "PRAGMA user_version", ret_version, error) < 0 ||
		db_number(db, "SELECT count(*) FROM sqlite_schema", &tables, error) < 0)
		return -1;
	if (application == 0 && *ret_version == 0 && tables == 0)
		return 0; /* it is new, or was being made when the daemon ended */
	if (application != APPLICATION_ID || *ret_version < 1)
		return error_set(error, ERR_STORAGE,
			"%s is a database, but not a state file of imd: name another file", name);
	if (*ret_version > SCHEMA_VERSION)
		return error_set(error, ERR_STORAGE, "%s has version %" PRIi64 ", made by a newer imd; "
			"this one knows versions up to %d", name, *ret_version, SCHEMA_VERSION);
	return 0;
}

/* ---- setting up ---------------------------------------------------------------------------- */

static int use_wal(struct db *db, const char *name, struct error *error)
{
	struct db_statement *statement;
	bool is_wal = false;
	int row, ret = 0;

	if (db_prepare(db, "PRAGMA journal_mode = WAL", &statement, error) < 0)
		return -1;
	/* The header is written after the row: so the statement succeeds at its end alone. */
	while ((row = db_next(statement, error)) > 0) {
		const char *mode = db_column_text(statement, 0, NULL);

		is_wal = mode && strcmp(mode, "wal") == 0;
	}
	if (row < 0)
		ret = -1;
	else if (!is_wal)
		ret = error_set(error, ERR_STORAGE, "%s cannot be used with a write-ahead log", name);
	db_finish(statement);
	/* The next transaction creates the log if the file had none; so it is there from here on. */
	return ret < 0 ? -1 : db_run(db, "BEGIN IMMEDIATE; ROLLBACK", error);
}

static int migrate_once(struct db *db, int64_t version, struct error *error)
{
	char numbers[96];

	snprintf(numbers, sizeof numbers, "PRAGMA application_id = %d; PRAGMA user_version = %" PRIi64,
		APPLICATION_ID, version + 1);
	return db_run(db, migrations[version], error) < 0 || db_run(db, numbers, error) < 0 ? -1 : 0;
}

static int migrate(struct db *db, int64_t version, struct error *error)
{
	for (; version < SCHEMA_VERSION; version++)
		if (migrate_once(db, version, error) < 0)
			return -1;
	return 0;
}

static int assign_id(struct db *db, const char *sql, int64_t key, const struct id_source *ids, struct error *error)
{
	struct db_statement *statement;
	char text[ID_TEXT_LEN];
	struct id id;
	int ret;

	ids->new_id(ids->arg, &id);
	id_format(&id, text);
	if (db_prepare(db, sql, &statement, error) < 0)
		return -1;
	db_bind_text(statement, 1, text, sizeof text);
	db_bind_number(statement, 2, key);
	ret = db_execute(statement, error);
	db_finish(statement);
	return ret;
}

/* The IDs of graphs to come are new too: those in a copy may be taken by graphs of the state that was copied. IDs of
 * nodes follow from those of graphs. */
static int assign_next_graphs(struct db *db, const struct id_source *ids, struct error *error)
{
	int64_t count;

	if (db_number(db, "SELECT count(*) FROM groups", &count, error) < 0)
		return -1;
	for (int64_t number = 0; number < count; number++)
		if (assign_id(db, "UPDATE groups SET next_graph = ?1 WHERE number = ?2", number, ids, error) < 0)
			return -1;
	return 0;
}

static int assign_incarnation(struct db *db, const struct id_source *ids, struct error *error)
{
	if (assign_id(db, "UPDATE daemon SET incarnation = ?1 WHERE one = ?2", 1, ids, error) < 0)
		return -1;
	return assign_next_graphs(db, ids, error);
}

/* Whether a database of SCHEMA_VERSION has no incarnation of its own. What a daemon leaves has a log, or had one:
 * a file in another journal mode was made otherwise, as from a dump, and has the incarnation of what it was made of. */
static int lacks_incarnation(struct db *db, int64_t *ret_lacks, struct error *error)
{
	static const char query[] = "SELECT count(*) FROM daemon, pragma_journal_mode"
		" WHERE incarnation IS NULL OR journal_mode <> 'wal'";

	return db_number(db, query, ret_lacks, error);
}

/* SQLite writes no row that is as it was before, but it writes this number always. */
int schema_mark_log(struct db *db, struct error *error)
{
	char sql[64];

	if (!db_log_begins(db))
		return 0;
	snprintf(sql, sizeof sql, "PRAGMA user_version = %d", SCHEMA_VERSION);
	return db_run(db, sql, error);
}

/* Within a transaction. */
static int count_transaction(struct db *db, struct error *error)
{
	return db_run(db, "UPDATE daemon SET commits = commits + 1", error) < 0 ? -1 : schema_mark_log(db, error);
}

static int write_changes(struct db *db, int64_t version, const struct id_source *ids, struct error *error)
{
	if (db_run(db, "BEGIN IMMEDIATE", error) < 0 || migrate(db, version, error) < 0)
		return -1;
	if (ids && assign_incarnation(db, ids, error) < 0)
		return -1;
	if (count_transaction(db, error) < 0)
		return -1;
	return db_run(db, "COMMIT", error);
}

/* 1: something was written. One transaction, so that no file of this version that is in use ever has no incarnation. */
static int bring_up_to_date(struct db *db, int64_t version, const struct id_source *ids, struct error *error)
{
	if (write_changes(db, version, ids, error) < 0) {
		db_rollback(db);
		return -1;
	}
	if (ids && db_checkpoint(db) == 0) /* else it is in the log */
		db_trim_log(db);
	return 1;
}

static int use_settings(struct db *db, bool lasting, struct error *error)
{
	const char *const *list = lasting ? settings : copy_settings;
	size_t count = lasting ? sizeof settings / sizeof settings[0]
			       : sizeof copy_settings / sizeof copy_settings[0];

	for (size_t i = 0; i < count; i++)
		if (db_run(db, list[i], error) < 0)
			return -1;
	return 0;
}

int schema_check(struct db *db, const char *name, bool lasting, int64_t *ret_version, struct error *error)
{
	if (check_owner(db, name, ret_version, error) < 0 || check_schema(db, *ret_version, error) < 0)
		return -1;
	/* Damage that nobody reads would show in a commit, some day. */
	return db_verify(db, false, error) < 0 ? -1 : use_settings(db, lasting, error);
}

static int asks_for_log(struct db *db, int64_t *ret_asks, struct error *error)
{
	return db_number(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", ret_asks, error);
}

/* Pages stay in memory until a transaction is committed. A database that has no log yet must not get a journal. */
int schema_try(struct db *db, int64_t version, struct error *error)
{
	int64_t has_log;

	if (version == SCHEMA_VERSION)
		return 0;
	if (asks_for_log(db, &has_log, error) < 0 ||
		(!has_log && db_run(db, "PRAGMA journal_mode = MEMORY", error) < 0) ||
		db_run(db, "PRAGMA cache_spill = OFF", error) < 0 || db_run(db, "BEGIN IMMEDIATE", error) < 0)
		return -1;
	return migrate(db, version, error);
}

static int end_try(struct db *db, struct error *error)
{
	int64_t has_log;

	if (db_run(db, "ROLLBACK", error) < 0 || db_run(db, "PRAGMA cache_spill = ON", error) < 0 ||
		asks_for_log(db, &has_log, error) < 0)
		return -1;
	return has_log ? 0 : db_run(db, "PRAGMA journal_mode = DELETE", error);
}

int schema_accept(struct db *db, const char *name, int64_t version, const struct id_source *ids, struct error *error)
{
	int64_t lacks = 0;

	if (!ids)
		return version < SCHEMA_VERSION ? bring_up_to_date(db, version, NULL, error) : 0;
	if (version < SCHEMA_VERSION ? end_try(db, error) < 0 : lacks_incarnation(db, &lacks, error) < 0)
		return -1;
	/* The log comes first: a journal of what follows would look like that of another file (rollback.h). */
	if (use_wal(db, name, error) < 0)
		return -1;
	return version < SCHEMA_VERSION || lacks ? bring_up_to_date(db, version, ids, error) : 0;
}

/* Without memory, a rollback can fail: then the next one has to do. */
int schema_touch(struct db *db, struct error *error)
{
	db_rollback(db);
	if (!db_log_begins(db))
		return db_run(db, "UPDATE daemon SET commits = commits + 1", error);
	if (db_run(db, "BEGIN IMMEDIATE", error) == 0 && count_transaction(db, error) == 0 &&
		db_run(db, "COMMIT", error) == 0)
		return 0;
	db_rollback(db);
	return -1;
}

int schema_forget_incarnation(struct db *db, struct error *error)
{
	return db_run(db, "UPDATE daemon SET incarnation = NULL, commits = commits + 1", error);
}
