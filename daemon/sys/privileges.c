#include "privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "overflow.h"

int privileges_drop(uid_t uid, struct error *error)
{
	const struct passwd *user = overflow_uid(uid) ? NULL : getpwuid(uid);

	if (!user || uid == 0)
		return error_set(error, ERR_DENIED, "there is no user %u to become", (unsigned)uid);
	if (setgroups(0, NULL) < 0 || setresgid(user->pw_gid, user->pw_gid, user->pw_gid) < 0 ||
		setresuid(uid, uid, uid) < 0)
		return error_set(error, ERR_DENIED, "cannot become user %s: %s", user->pw_name,
			strerror(errno));
	if (setresuid(0, 0, 0) == 0 || seteuid(0) == 0 || geteuid() != uid || getuid() != uid)
		return error_set(error, ERR_DENIED, "user %s could become root again", user->pw_name);
	return 0;
}
