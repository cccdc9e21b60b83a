/* imd: puts the rooms together, and gives the engine its clock, its turns and its randomness. */
#include <config.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "capacity.h"
#include "chance.h"
#include "daemon/config.h"
#include "driver/mock.h"
#include "engine/engine.h"
#include "log.h"
#include "memory.h"
#include "notes.h"
#include "notify.h"
#include "proto/mem.h"
#include "reload.h"
#include "server/server.h"
#include "state.h"
#include "state_tools.h"
#include "status.h"
#include "survey.h"

enum {
	EXIT_FAILED = 1,
	DRAIN_MAX_S = 5,      /* what is under way may take so long when imd is to end */
	PRIORITY_SIGNALS = 0, /* before all else that a pass has to do, */
	PRIORITY_COUNT = 2,   /* which has the other one */
};

static const int end_signals[] = {SIGTERM, SIGINT};
enum { END_SIGNAL_COUNT = sizeof end_signals / sizeof end_signals[0] };

struct imd {
	struct event_base *base;
	struct server *server;
	struct engine *engine;
	struct store *store;           /* NULL: the engine has it, or it is not open */
	bool state_lost;               /* it was closed, and the next start does not find it */
	struct event *turn;            /* once more, at the end of this pass or in the next */
	struct event *deadline;        /* the engine's one timer */
	struct event *watchdog;        /* NULL: nobody wants to hear */
	struct event *retell;          /* when the service manager is told again what it did not take */
	struct event *ends[END_SIGNAL_COUNT];
	struct event *hangup;          /* the signal that means: read the settings again */
	struct reload reload;
	struct event *asked;           /* SIGUSR1 */
	struct survey survey;
	struct status status;
	struct notes notes;
	int64_t deadline_ms;           /* monotonic; INT64_MAX: none */
	struct sockaddr_un handed_in;  /* where the socket that was handed over is */
	const char *socket;            /* where clients find the socket, */
	uint32_t max_clients;          /* and how many may at once, at the start */
	bool in_turn;
	char storage_error[LIMIT_ERROR_TEXT]; /* why; it is said once */
	int end_signal;                /* 0: none came */
	bool drained;                  /* behind that everybody has been answered */
};

/* ---- time ---------------------------------------------------------------------------------- */

static int64_t clock_us(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static void host_now(void *arg, struct now *ret_now)
{
	(void)arg;
	ret_now->mono_ms = clock_us(CLOCK_MONOTONIC) / 1000;
	ret_now->wall_us = clock_us(CLOCK_REALTIME);
}

static int64_t host_mono_us(void *arg)
{
	(void)arg;
	return clock_us(CLOCK_MONOTONIC);
}

/* ---- the engine's turns -------------------------------------------------------------------- */

static void take_turn(struct imd *imd)
{
	imd->in_turn = true;
	engine_turn(imd->engine);
	imd->in_turn = false;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	take_turn(arg);
}

/* All events of a pass are in the loop's queue before the first is called, so one that is activated now
 * comes after them: all requests of the pass share the turn. A lower priority would say the
 * same, but starve under clients that never pause. A turn that asks for another one has it in
 * the next pass, by a timer of no time, so that it starves nobody either. */
static void host_wake(void *arg)
{
	struct imd *imd = arg;

	if (imd->in_turn)
		event_add(imd->turn, &(struct timeval){0, 0});
	else
		event_active(imd->turn, EV_TIMEOUT, 0);
}

static void host_arm(void *arg, int64_t deadline_ms)
{
	struct imd *imd = arg;
	int64_t left_us;

	if (deadline_ms == imd->deadline_ms)
		return;
	imd->deadline_ms = deadline_ms;
	if (deadline_ms == INT64_MAX) {
		event_del(imd->deadline);
		return;
	}
	left_us = deadline_ms * 1000 - clock_us(CLOCK_MONOTONIC);
	if (left_us < 0)
		left_us = 0;
	event_add(imd->deadline, &(struct timeval){left_us / 1000000, left_us % 1000000});
}

/* The loop reckons timers from the beginning of a pass, so this may come a little early. */
static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct imd *imd = arg;
	int64_t deadline_ms = imd->deadline_ms;

	(void)fd;
	(void)what;
	imd->deadline_ms = INT64_MAX;
	if (clock_us(CLOCK_MONOTONIC) / 1000 < deadline_ms)
		host_arm(imd, deadline_ms);
	else
		take_turn(imd);
}

/* ---- what the engine tells ----------------------------------------------------------------- */

static void host_notice(void *arg, const struct notice *notice)
{
	struct imd *imd = arg;

	server_notice(imd->server, notice);
	notes_take(&imd->notes, server_last_seq(imd->server), notice);
	status_soon(&imd->status);
}

static uint64_t host_last_seq(void *arg)
{
	struct imd *imd = arg;

	return server_last_seq(imd->server);
}

static void host_publish(void *arg, uint64_t seq)
{
	struct imd *imd = arg;

	server_publish(imd->server, seq);
	notes_publish(&imd->notes, seq);
}

static void host_retract(void *arg, uint64_t seq)
{
	struct imd *imd = arg;

	server_retract(imd->server, seq);
	notes_retract(&imd->notes, seq);
}

static void host_storage(void *arg, const struct error *error)
{
	struct imd *imd = arg;

	status_soon(&imd->status);
	if (error != NULL && imd->status.storage_failed && strcmp(error->text, imd->storage_error) == 0)
		return; /* it is tried every second, and with every request */
	if (error != NULL)
		snprintf(imd->storage_error, sizeof imd->storage_error, "%s", error->text);
	if (error != NULL)
		log_event(LEVEL_ERR, "storage-failed", LOG_STR("error", error->text));
	else
		log_event(LEVEL_NOTICE, "storage-works", LOG_STR("state", "written again"));
	imd->status.storage_failed = error != NULL;
}

/* ---- signals and the service manager ------------------------------------------------------- */

static void on_drained(void *arg)
{
	struct imd *imd = arg;

	imd->drained = true;
	event_base_loopbreak(imd->base);
}

static void on_end_signal(evutil_socket_t signal, short what, void *arg)
{
	struct imd *imd = arg;

	(void)what;
	if (imd->end_signal != 0) {
		event_base_loopbreak(imd->base); /* whoever asks twice does not want to wait */
		return;
	}
	imd->end_signal = (int)signal;
	log_event(LEVEL_INFO, "stopping", LOG_STR("signal", sigabbrev_np(imd->end_signal)));
	notify_stopping();
	event_base_loopexit(imd->base, &(struct timeval){DRAIN_MAX_S, 0});
	server_drain(imd->server, on_drained, imd);
}

static void on_hangup(evutil_socket_t signal, short what, void *arg)
{
	struct imd *imd = arg;

	(void)signal;
	(void)what;
	if (imd->end_signal == 0)
		reload_run(&imd->reload);
}

static void on_survey_signal(evutil_socket_t signal, short what, void *arg)
{
	struct imd *imd = arg;

	(void)signal;
	(void)what;
	survey_begin(&imd->survey, imd->engine, imd->server);
}

static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	notify_watchdog();
}

static void on_retell(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	notify_flush();
}

static void retell_later(void *arg, int delay_ms)
{
	struct imd *imd = arg;

	event_add(imd->retell, &(struct timeval){delay_ms / 1000, delay_ms % 1000 * 1000});
}

/* ---- setting up and taking down ------------------------------------------------------------ */

/* A descriptor 0, 1 or 2 that is not open would become a client's, or the log's. */
static int hold_standard_fds(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static struct event_base *base_new(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (config == NULL)
		return NULL;
	/* The changes to what is waited for go to the kernel once a pass, and one thread is all. */
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV |
		EVENT_BASE_FLAG_EPOLL_USE_CHANGELIST);
	if (event_config_require_features(config, EV_FEATURE_O1) == 0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	if (base != NULL && event_base_priority_init(base, PRIORITY_COUNT) < 0) {
		event_base_free(base);
		return NULL;
	}
	return base;
}

static int events_new(struct imd *imd)
{
	uint64_t watchdog_us = notify_watchdog_us() / 2;

	imd->turn = evtimer_new(imd->base, on_turn, imd);
	imd->deadline = evtimer_new(imd->base, on_deadline, imd);
	imd->retell = evtimer_new(imd->base, on_retell, imd);
	if (imd->turn == NULL || imd->deadline == NULL || imd->retell == NULL ||
		status_init(&imd->status, imd->base) < 0)
		return -1;
	for (int i = 0; i < END_SIGNAL_COUNT; i++) {
		imd->ends[i] = evsignal_new(imd->base, end_signals[i], on_end_signal, imd);
		if (imd->ends[i] == NULL || event_priority_set(imd->ends[i], PRIORITY_SIGNALS) < 0 ||
			event_add(imd->ends[i], NULL) < 0)
			return -1;
	}
	imd->hangup = evsignal_new(imd->base, SIGHUP, on_hangup, imd);
	if (imd->hangup == NULL || event_add(imd->hangup, NULL) < 0)
		return -1;
	imd->asked = evsignal_new(imd->base, SIGUSR1, on_survey_signal, imd);
	if (imd->asked == NULL || event_add(imd->asked, NULL) < 0)
		return -1;
	if (watchdog_us == 0)
		return 0;
	imd->watchdog = event_new(imd->base, -1, EV_PERSIST, on_watchdog, imd);
	if (imd->watchdog == NULL)
		return -1;
	return event_add(imd->watchdog, &(struct timeval){(time_t)(watchdog_us / 1000000),
		(suseconds_t)(watchdog_us % 1000000)});
}

static void event_free_if(struct event *event)
{
	if (event != NULL)
		event_free(event);
}

static void imd_fini(struct imd *imd)
{
	survey_end(&imd->survey);
	status_fini(&imd->status);
	if (imd->engine != NULL)
		engine_free(imd->engine);
	else if (imd->store != NULL)
		imd->store->ops->free(imd->store);
	if (imd->server != NULL)
		server_free(imd->server);
	for (int i = 0; i < END_SIGNAL_COUNT; i++)
		event_free_if(imd->ends[i]);
	event_free_if(imd->hangup);
	event_free_if(imd->asked);
	event_free_if(imd->watchdog);
	event_free_if(imd->retell);
	event_free_if(imd->deadline);
	event_free_if(imd->turn);
	if (imd->base != NULL)
		event_base_free(imd->base);
	libevent_global_shutdown();
	notes_fini(&imd->notes);
}

/* Where clients find a socket that was handed over: the path of the options is not it. */
static const char *path_of_socket(struct imd *imd, int fd)
{
	socklen_t len = sizeof imd->handed_in - 1; /* the rest stays a NUL */

	if (getsockname(fd, (struct sockaddr *)&imd->handed_in, &len) < 0 ||
		imd->handed_in.sun_path[0] == '\0')
		return "(handed over)";
	return imd->handed_in.sun_path;
}

static int server_set_up(struct imd *imd, struct config *config, struct error *error)
{
	struct server_config server = {
		.path = config->socket,
		.mode = config->socket_mode,
		.rules = config_rules(config),
		.driver = config->driver,
		.store = imd->store->ops->name,
	};

	if (notify_listen_fd(&server.listen_fd, error) < 0)
		return -1;
	imd->reload.handed_in = server.listen_fd >= 0;
	if (imd->reload.handed_in)
		server.path = path_of_socket(imd, server.listen_fd);
	imd->socket = server.path;
	if (limit_clients(config->max_clients, &server.rules.max_clients, error) < 0)
		return -1;
	imd->max_clients = server.rules.max_clients;
	imd->server = server_new(imd->base, &server, error);
	return imd->server != NULL ? 0 : -1;
}

static int engine_set_up(struct imd *imd, struct config *config, struct store_history *ret_history,
	struct error *error)
{
	const struct engine_host host = {
		.now = host_now,
		.mono_us = host_mono_us,
		.wake = host_wake,
		.arm = host_arm,
		.notice = host_notice,
		.last_seq = host_last_seq,
		.publish = host_publish,
		.retract = host_retract,
		.storage = host_storage,
		.arg = imd,
	};
	struct driver *driver;
	struct store *store = imd->store;
	struct error inner;

	config->core.seed = chance_seed();
	config->core.new_id = chance_id;
	if (!config->has_mock_seed)
		config->mock.seed = chance_seed();
	driver = mock_new(imd->base, &config->mock);
	imd->store = NULL; /* the engine's now */
	imd->engine = engine_new(&config->core, store, driver, &host, ret_history, error);
	if (imd->engine == NULL) {
		inner = *error;
		return error_set(error, inner.code, inner.code == ERR_INTERNAL ? "%s: %s" : "%s is not sound: %s",
			config->state, inner.text);
	}
	state_restore_mock(engine_core(imd->engine), driver);
	imd->reload.mock = driver;
	return 0;
}

static int imd_set_up(struct imd *imd, struct config *config, struct error *error)
{
	static const struct id_source ids = {.new_id = chance_id};
	struct store_history history;

	notes_init(&imd->notes);
	imd->deadline_ms = INT64_MAX;
	imd->base = base_new();
	if (imd->base == NULL || events_new(imd) < 0)
		return error_set(error, ERR_INTERNAL, "cannot set up the event loop");
	/* First of all: another daemon that has the state is to find nothing changed by this one. */
	if (state_open(config->state, &ids, imd->base, &imd->state_lost, &imd->store, error) < 0)
		return -1;
	if (server_set_up(imd, config, error) < 0)
		return -1;
	if (engine_set_up(imd, config, &history, error) < 0)
		return -1;
	imd->reload.config = config;
	imd->reload.server = imd->server;
	imd->reload.engine = imd->engine;
	server_start(imd->server, imd->engine, &history);
	memory_started();
	return 0;
}

static void log_unanswered(const struct imd *imd)
{
	struct server_load load;

	server_load(imd->server, &load);
	log_event(LEVEL_WARNING, "unanswered", LOG_U64("clients", load.clients));
}

static int imd_run(struct imd *imd, const struct config *config)
{
	log_event(LEVEL_INFO, "ready", LOG_STR("version", PACKAGE_VERSION),
		LOG_STR("socket", imd->socket), LOG_STR("state", config->state),
		LOG_STR("driver", config->driver), LOG_U64("mock-seed", config->mock.seed),
		LOG_U64("max-clients", imd->max_clients));
	notify_ready();
	status_start(&imd->status, imd->engine);
	int ret = event_base_dispatch(imd->base);

	if (imd->end_signal == 0)
		log_event(LEVEL_ERR, "loop-ended", LOG_STR("error", strerror(errno)));
	else if (!imd->drained)
		log_unanswered(imd);
	server_stop(imd->server);
	return ret < 0 || imd->end_signal == 0 ? EXIT_FAILED : EXIT_SUCCESS;
}

static int print_config(const struct config *config)
{
	struct error error;

	if (config_print(config, stdout, &error) == 0)
		return EXIT_SUCCESS;
	fprintf(stderr, "imd: %s\n", error.text);
	return EXIT_FAILED;
}

static int serve(struct config *config, int argc, char **argv)
{
	struct imd imd = {.reload = {.argc = argc, .argv = argv}};
	struct error error;
	int status = EXIT_FAILED;

	log_open();
	log_set_level(config->log_level);
	notify_open(retell_later, &imd);
	memory_set_up();
	event_set_mem_functions(mem_try_alloc, mem_try_realloc, free);
	if (imd_set_up(&imd, config, &error) < 0)
		log_event(LEVEL_ERR, "cannot-start", LOG_STR("error", error.text));
	else
		status = imd_run(&imd, config);
	/* What could not be answered in time may hang at a disk, which is not to be waited for. The state
	 * survives that as it survives a crash. */
	if (imd.end_signal != 0 && !imd.drained)
		_exit(status);
	imd_fini(&imd);
	return imd.state_lost ? EXIT_FAILED : status;
}

/* A service that cannot start is an event of note; who looks at the settings only is answered. */
static int refuse(const struct config *config, const struct error *error)
{
	if (!config->check_config && !config->print_config && log_open())
		log_event(LEVEL_ERR, "cannot-start", LOG_STR("error", error->text));
	else
		fprintf(stderr, "imd: %s\n", error->text);
	return config->exit_status;
}

/* What was printed and did not get to where it was to is no success. */
static int flush(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fprintf(stderr, "imd: standard output: %s\n", strerror(errno));
	return EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct config config;
	struct error error;
	int status = EXIT_SUCCESS;

	umask(S_IRWXG | S_IRWXO); /* whatever is made is for its owner; who may connect is a mode of its own */
	if (hold_standard_fds() < 0)
		return EXIT_FAILED;
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of the write */
	if (config_parse(&config, argc, argv, &error) < 0) {
		status = refuse(&config, &error);
	} else if (config.help) {
		config_help(stdout);
	} else if (config.version) {
		puts("imd " PACKAGE_VERSION);
	} else if (config.check_state != NULL) {
		status = state_check(config.check_state);
	} else if (config.restore) {
		status = state_restore(config.state, config.restore);
	} else if (config.truncate_log) {
		status = state_truncate_log(config.state);
	} else if (config.check_config) {
		config_summary(&config, stdout);
	} else if (config.print_config) {
		status = print_config(&config);
	} else {
		status = serve(&config, argc, argv);
	}
	config_fini(&config);
	return flush(status);
}
