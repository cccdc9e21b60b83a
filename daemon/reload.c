#include "reload.h"

#include <assert.h>
#include <string.h>

#include "capacity.h"
#include "notify.h"
#include "settings.h"

/* ---- what is new --------------------------------------------------------------------------- */

static void show_policy(const struct config *config, const char *name, const struct setting *setting,
	struct buf *text)
{
	struct config_group group = {.policy = *core_policy(&config->core, name)};

	setting_show(setting, config, &group, text);
}

static bool group_differs(const struct config *a, const struct config *b, const char *name)
{
	bool differs = false;

	for (int i = 0; i < setting_count && !differs; i++) {
		struct buf was = BUF_INIT, is = BUF_INIT;

		if ((settings[i].flags & SETTING_GROUP) == 0)
			continue;
		show_policy(a, name, &settings[i], &was);
		show_policy(b, name, &settings[i], &is);
		differs = was.len != is.len || memcmp(was.data, is.data, is.len) != 0;
		buf_fini(&was);
		buf_fini(&is);
	}
	return differs;
}

static void add_name(struct buf *list, const char *before, const char *name)
{
	if (list->len > 0)
		buf_add_char(list, ',');
	buf_add_str(list, before);
	buf_add_str(list, name);
}

/* Groups that have a section, or had one, and now another policy. */
static void list_groups(const struct config *old, const struct config *fresh, struct buf *list)
{
	for (size_t i = 0; i < fresh->group_count; i++) {
		if (group_differs(old, fresh, fresh->groups[i].name))
			add_name(list, "group ", fresh->groups[i].name);
	}
	for (size_t i = 0; i < old->group_count; i++) {
		const char *name = old->groups[i].name;

		if (core_policy(&fresh->core, name) == &fresh->core.policy &&
			group_differs(old, fresh, name))
			add_name(list, "group ", name);
	}
}

/* What cannot be changed stays as it is, its text too, which the server may point to. */
static void keep_setting(struct config *old, struct config *fresh, const struct setting *setting)
{
	char kept[sizeof(uint64_t)];
	void *from = setting_place(setting, old, NULL), *to = setting_place(setting, fresh, NULL);

	assert(setting->kind->size > 0 && setting->kind->size <= sizeof kept);
	memcpy(kept, to, setting->kind->size);
	memcpy(to, from, setting->kind->size);
	memcpy(from, kept, setting->kind->size);
}

static void warn_kept(const struct reload *reload, const struct setting *setting, const char *running,
	const char *configured)
{
	if ((setting->flags & SETTING_LISTEN) && reload->handed_in)
		log_event(LEVEL_WARNING, "setting-unused", LOG_STR("setting", setting->name),
			LOG_STR("configured", configured),
			LOG_STR("reason", "the service manager hands the socket over"));
	else
		log_event(LEVEL_WARNING, "needs-restart", LOG_STR("setting", setting->name),
			LOG_STR("running", running), LOG_STR("configured", configured));
}

static void compare_setting(const struct reload *reload, struct config *fresh, const struct setting *setting,
	struct buf *list)
{
	struct config *old = reload->config;
	struct buf was = BUF_INIT, is = BUF_INIT;
	bool differs;

	setting_show(setting, old, NULL, &was);
	setting_show(setting, fresh, NULL, &is);
	buf_add_char(&was, '\0');
	buf_add_char(&is, '\0');
	differs = strcmp(was.data, is.data) != 0;
	if (setting->flags & SETTING_RESTART)
		keep_setting(old, fresh, setting);
	if (differs && (setting->flags & SETTING_RESTART))
		warn_kept(reload, setting, was.data, is.data);
	else if (differs)
		add_name(list, "", setting->name);
	buf_fini(&was);
	buf_fini(&is);
}

static void compare(const struct reload *reload, struct config *fresh, struct buf *ret_list)
{
	for (int i = 0; i < setting_count; i++) {
		if ((settings[i].flags & SETTING_OPTION) == 0)
			compare_setting(reload, fresh, &settings[i], ret_list);
	}
	list_groups(reload->config, fresh, ret_list);
}

/* ---- applying it --------------------------------------------------------------------------- */

static void apply(struct reload *reload, struct config *fresh, uint32_t max_clients)
{
	const struct config *old = reload->config;
	struct server_rules rules = config_rules(fresh);
	/* A seed that is as it was goes on from where it is. */
	bool reseed = fresh->has_mock_seed &&
		(!old->has_mock_seed || fresh->mock.seed != old->mock.seed);

	if (!fresh->has_mock_seed)
		fresh->mock.seed = old->mock.seed;
	rules.max_clients = max_clients;
	log_set_level(fresh->log_level);
	core_configure(engine_core(reload->engine), &fresh->core);
	server_configure(reload->server, &rules);
	mock_configure(reload->mock, &fresh->mock, reseed);
}

/* Takes *fresh over where it can be applied. */
static int reload_apply(struct reload *reload, struct config *fresh, struct error *error)
{
	struct buf list = BUF_INIT;
	uint32_t max_clients;

	if (limit_clients(fresh->max_clients, &max_clients, error) < 0)
		return -1;
	compare(reload, fresh, &list);
	buf_add_char(&list, '\0');
	apply(reload, fresh, max_clients);
	log_event(LEVEL_NOTICE, "reloaded", LOG_U64("files", fresh->file_count),
		LOG_STR("changed", list.len > 1 ? list.data : NULL));
	buf_fini(&list);
	config_fini(reload->config);
	*reload->config = *fresh;
	return 0;
}

/* A main file that an editor or an administrator is about to put back must not take with it what it
 * says of who may do what. The parts beside it may go: that is how they are taken away. */
static int check_main_file(const struct config *old, const struct config *fresh, struct error *error)
{
	if (old->main_file == NULL || fresh->main_file != NULL)
		return 0;
	return error_set(error, ERR_NOT_FOUND,
		"%.100s was read before and is gone; only a restart goes on without it", old->main_file);
}

void reload_run(struct reload *reload)
{
	struct config fresh;
	struct error error;

	notify_reloading();
	if (config_parse(&fresh, reload->argc, reload->argv, &error) < 0 ||
		check_main_file(reload->config, &fresh, &error) < 0 ||
		reload_apply(reload, &fresh, &error) < 0) {
		log_event(LEVEL_ERR, "reload-failed", LOG_STR("error", error.text));
		config_fini(&fresh);
	}
	notify_ready();
}
