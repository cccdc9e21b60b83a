#include "overflow.h"

#include <pthread.h>
#include <stdio.h>

static unsigned overflow_uid_here = OVERFLOW_DEFAULT, overflow_gid_here = OVERFLOW_DEFAULT;

static void read_id(const char *path, unsigned *id)
{
	FILE *file = fopen(path, "re");
	unsigned value;

	if (!file)
		return;
	if (fscanf(file, "%u", &value) == 1)
		*id = value;
	fclose(file);
}

static void read_ids(void)
{
	read_id("/proc/sys/kernel/overflowuid", &overflow_uid_here);
	read_id("/proc/sys/kernel/overflowgid", &overflow_gid_here);
}

static void read_ids_once(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, read_ids);
}

bool overflow_uid(uid_t uid)
{
	read_ids_once();
	return uid == OVERFLOW_DEFAULT || uid == overflow_uid_here;
}

bool overflow_gid(gid_t gid)
{
	read_ids_once();
	return gid == OVERFLOW_DEFAULT || gid == overflow_gid_here;
}
