#include "opening.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "restore.h"
#include "schema.h"

/* ---- for use ------------------------------------------------------------------------------- */

/* Another daemon that has the state shows here, before its log is read while it writes. */
static int inspect_source(const char *path, struct inspection *ret_inspection, struct error *error)
{
	struct source source;
	int ret;

	if (source_open(path, SOURCE_MAY_BE_MISSING, &source, error) < 0)
		return -1;
	ret = inspect_files(&source, path, ret_inspection, error);
	if (ret == 0)
		ret = inspect_check_log(ret_inspection, path, error);
	source_close(&source);
	return ret;
}

static int open_place(const char *path, const char *name, struct opening *opening, struct error *error)
{
	const struct inspection *inspection = &opening->inspection;

	if (inspect_source(path, &opening->inspection, error) < 0 || db_open(path, name, true, &opening->db, error) < 0 ||
		inspect_check_unchanged(inspection, path, name, error) < 0 ||
		schema_check(opening->db, name, true, &opening->version, error) < 0 ||
		inspect_check_lineage(inspection, path, opening->db, error) < 0)
		return -1;
	return schema_try(opening->db, opening->version, error);
}

int opening_for_use(const char *name, struct opening *ret_opening, struct error *error)
{
	struct trust_path place;
	int ret;

	*ret_opening = (struct opening){.db = NULL};
	if (files_resolve(name, &place, error) < 0)
		return -1;
	ret = restore_finish(&place, NULL, NULL, error);
	ret_opening->restored = ret > 0;
	if (ret >= 0)
		ret = open_place(place.path, name, ret_opening, error);
	trust_path_fini(&place);
	return ret;
}

int opening_accept(struct opening *opening, const char *name, const struct id_source *ids, struct error *error)
{
	db_accept(opening->db);
	return schema_accept(opening->db, name, opening->version, ids, error);
}

/* ---- a copy -------------------------------------------------------------------------------- */

static int cut_log(const char *path, struct inspection *inspection, struct error *error)
{
	char *log = files_name(path, STATE_LOG);
	int ret = 0;

	if (truncate(log, inspection->log.size) < 0)
		ret = error_set(error, ERR_STORAGE, "%s cannot be cut: %s", log, strerror(errno));
	inspection->log.end = WAL_WHOLE;
	free(log);
	return ret;
}

static int open_copy(const struct source *source, bool cut, const char *path, struct opening *opening,
	struct error *error)
{
	struct inspection *inspection = &opening->inspection;

	if (inspect_files(source, path, inspection, error) < 0)
		return -1;
	if (cut && inspection->log.end == WAL_DAMAGED && cut_log(path, inspection, error) < 0)
		return -1;
	if (inspect_check_log(inspection, source->path, error) < 0)
		return -1;
	return db_open(path, source->path, false, &opening->db, error);
}

/* Once it is open, the copy needs no name, so that a crash leaves at most an empty directory. */
int opening_of_copy(const struct source *source, bool cut, struct private_copy *ret_copy, struct opening *ret_opening,
	struct error *error)
{
	int ret;

	*ret_opening = (struct opening){.db = NULL};
	if (private_copy_make(source, ret_copy, error) < 0)
		return -1;
	ret = open_copy(source, cut, ret_copy->path, ret_opening, error);
	private_copy_unlink(ret_copy);
	if (ret < 0 || schema_check(ret_opening->db, source->path, false, &ret_opening->version, error) < 0 ||
		inspect_check_lineage(&ret_opening->inspection, source->path, ret_opening->db, error) < 0)
		return -1;
	return schema_accept(ret_opening->db, source->path, ret_opening->version, NULL, error) < 0 ? -1 : 0;
}
