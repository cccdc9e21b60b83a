/* The simulation: the real engine and core between a fake host, a fake driver and a fake store, on one
 * queue of happenings and one seeded generator, so that every run can be had again from its seed.
 *
 *            happenings (requests, deaths, bad versions, crashes …)
 *                 │
 *   store ◄──► engine + core ◄──► driver ── world        model ◄── published events
 *  (durable)   (thrown away      (dies with   (survives     (what a watcher
 *               by a crash)       the engine)  a crash)       would believe)
 *
 * After every step the invariants are checked (check.c). What is durable and what is in the world lives
 * here and survives the engine; whatever the engine was told or asked besides is lost with it. */
#ifndef IMD_SIM_SIM_H
#define IMD_SIM_SIM_H

#include "core/core.h"
#include "core/timers.h"
#include "driver/driver.h"
#include "engine/engine.h"
#include "store/store.h"

enum { GROUP_NAMES = 3 };

/* What a seed decides before it runs. */
struct sim_config {
	struct core_config core;
	uint32_t groups;              /* names of groups that are used, 1..GROUP_NAMES */
	uint32_t op_delay_min_ms;     /* of a start, a stop, a kill, an inspection */
	uint32_t op_delay_max_ms;
	uint32_t op_instant_percent;  /* answered from within the call */
	uint32_t commit_delay_max_ms;
	uint32_t commit_instant_percent;
	uint32_t happenings;
	uint32_t gap_max_ms;          /* between two of them */
	uint32_t crash_weight;
	uint32_t health_weight;
	uint32_t configure_weight;
	uint32_t unreadable_percent;  /* of failed commits, behind which loads fail for a while */
	uint32_t die_within_millionths; /* a call of the host, store or driver is the daemon's last */
	bool slow_clock;              /* time passes while the daemon works */
	bool wall_jumps;
	bool gives_back;              /* the store: tasks of ended graphs need not be in memory */
	bool any_call;                /* the driver takes calls that an engine does not make */
};

enum world_state { WORLD_STARTING, WORLD_RUNNING, WORLD_STOPPING, WORLD_KILLING };

struct world_node {
	struct id id;
	char group[LIMIT_GROUP_NAME + 1];
	uint64_t version;
	uint32_t slot;
	uint32_t timer;   /* while it starts, stops or is killed */
	enum world_state state;
	enum node_op asked; /* and then: what its end answers */
	bool unhealthy;
	bool cancelled;   /* its start ends as cancelled */
	bool used;
};

enum { WORLD_MAX = 256, VERSION_MAX = 4, INSPECT_MAX = 1024 };

struct world {
	struct world_node nodes[WORLD_MAX];
	uint32_t used;
	struct id inspects[INSPECT_MAX]; /* asked and not yet answered; all zero: free */
	bool bad[VERSION_MAX + 1];       /* starts of these versions fail */
	uint32_t flaky_percent;          /* of starts and stops that fail */
	uint64_t starts, stops, kills, inspections;
};

/* The durable state: rows as a database would have them, in no way tied to the core's memory. */
struct task_row {
	struct task task;
	char *error;
};
struct graph_row {
	char group[LIMIT_GROUP_NAME + 1];
	struct graph graph; /* what it points to is not its own, but for error */
	struct task_row *tasks;
	uint32_t *prereqs, *dependents;
};
struct node_row {
	char group[LIMIT_GROUP_NAME + 1];
	struct node node;   /* owns its error */
	struct origin marker;
};
struct group_row {
	char name[LIMIT_GROUP_NAME + 1];
	struct id next_graph;
	uint64_t proven_revision;
	struct spec *specs; /* oldest first */
	uint32_t spec_count;
};
struct rows {
	struct group_row *groups;
	uint32_t group_count;
	struct graph_row **graphs;
	uint32_t graph_count;
	struct node_row **nodes;
	uint32_t node_count;
	uint64_t event_seq;
	struct id incarnation;
};

/* What a commit has copied and not yet stored. */
struct row_change {
	enum change_kind kind;
	struct group_row group;
	struct id id;
	uint64_t number;
	uint32_t task;
	struct spec spec;
	struct graph_row *graph;
	struct node_row *node;
	struct task_row task_row;
	bool found;         /* the task was there when it was copied */
};

struct storage {
	struct rows rows;
	bool failing;
	struct row_change *flying;
	size_t flying_count, flying_capacity;
	uint64_t flying_seq;
	bool flying_fails;
	bool unreadable;      /* loads fail */
	bool lost;            /* the engine's last load did */
	bool told_failed;     /* the host was told so, and not yet that it works again */
	store_done_fn *done;  /* NULL: no commit under way */
	void *done_arg;
	store_done_fn *probed; /* NULL: nothing is tried */
	void *probed_arg;
	uint64_t commits, failures, failed_loads;
};

/* An event as it was noticed. */
struct sim_event {
	uint64_t seq;
	enum event_type type;
	struct id graph, node;
	uint64_t revision;
	uint32_t group, task, task_count, attempt;
	uint32_t ledger;  /* of its group, in struct losses */
	uint8_t node_state, task_state, graph_state;
	bool has_successor;
	bool killed, died, replaces;
};
struct event_list {
	struct sim_event *items;
	size_t count, capacity;
};

struct model_node {
	struct id id;
	uint8_t state;
	bool lost;
};
struct model_graph {
	struct id id;
	uint64_t revision;
	uint32_t group, task_count;
	uint8_t *tasks;    /* states */
	bool *retrying;
	uint8_t state;
	bool ended;
};
struct model {
	struct model_node *nodes;
	size_t node_count, node_capacity;
	struct model_graph *graphs;
	size_t graph_count, graph_capacity;
	uint64_t seq;      /* of the last event it was told */
};

/* What events have told of nodes that were lost. */
struct losses {
	uint64_t lost[GROUP_NAMES], replaced[GROUP_NAMES]; /* by the number of a group's name */
	uint64_t deaths, replacements; /* since the daemon began */
};

/* A request that was answered with OK. */
struct promise {
	enum core_event_kind kind;
	struct id id;            /* of the node, or the graph */
	char note[24];           /* of the request */
	char group[LIMIT_GROUP_NAME + 1];
	uint64_t revision, version;
	uint32_t size;
	bool mark;
	bool given;              /* a mark is there from when it is asked for */
};
struct id_list {
	struct id *ids;
	size_t count, capacity;
};

struct promises {
	struct promise *items;
	size_t count, capacity;
	struct id_list spared; /* nodes that could not be killed */
};

/* The daemon dies at a commit: before it is durable, or once it is, before anything is done about it. */
enum sim_moment { DIES_NEVER, DIES_BEFORE, DIES_WHEN_DURABLE };

/* A request under way. */
struct sim_request {
	struct engine_request request;
	struct sim *sim;
	TAILQ_ENTRY(sim_request) entry;
	char note[24];
	int64_t submitted_ms;
	uint64_t failures_before; /* of the store */
	bool reader;
};
TAILQ_HEAD(sim_requests, sim_request);

struct sim {
	const char *about;       /* what is tried, to be told where it fails; NULL: the seed says it */
	uint64_t seed, random, jump_random, id_random;
	struct sim_config config;
	struct group_policy policies[GROUP_NAMES]; /* that the config points to */
	struct timers queue;
	int64_t mono_ms;
	int64_t wall_us;         /* wall time at mono_ms 0 */
	struct engine *engine;   /* NULL: it is down */
	struct driver *driver;
	uint32_t turn_timer, deadline_timer, commit_timer, probe_timer;
	bool dying;              /* nothing that the daemon still does has an effect */
	enum sim_moment dies;    /* at the end of a commit: */
	uint64_t dies_at;        /* which one, counting those that are durable from 1 */
	uint64_t event_seq;      /* the last noticed */
	uint64_t published;
	struct event_list noticed; /* not yet published */
	struct world world;
	struct storage storage;
	struct model model;
	struct losses losses;
	struct promises promises;
	struct id_list vouched;   /* nodes that the driver said run, since the engine last knew nothing */
	struct id_list available; /* nodes that were, when last all was durable */
	struct sim_requests requests;
	uint64_t request_number;
	uint32_t happenings_left;
	bool verbose;
	bool loaded;             /* in this step; not yet checked */
	uint64_t steps, crashes, configured, answered, refused, last_compared;
	struct error refusal;    /* the last */
	uint32_t clock_reads;    /* in this step */
	uint64_t trace;          /* a hash of all that happened and when */
};

enum queue_kind {
	QUEUE_TURN, QUEUE_DEADLINE, QUEUE_COMMIT, QUEUE_PROBE, /* the daemon's own: gone with it */
	QUEUE_INSPECT, QUEUE_WORLD, QUEUE_HAPPENING, QUEUE_RESTART, QUEUE_STORE_MENDS,
	QUEUE_LOADS_MEND, QUEUE_WORLD_MENDS,
};

/* sim.c */
void sim_config_random(struct sim_config *config, uint64_t seed);
/* What is kept, how often and how soon is tried: what may be changed while the daemon runs. */
void sim_core_random(struct core_config *core, struct sim *random);
/* A calm world: no delay, no failure, nothing by chance. */
void sim_config_calm(struct sim_config *config);
void sim_init(struct sim *sim, uint64_t seed, const struct sim_config *config);
void sim_fini(struct sim *sim);
uint64_t sim_random(uint64_t *state);
uint32_t sim_below(struct sim *sim, uint32_t limit);
bool sim_chance(struct sim *sim, uint32_t percent);
uint32_t sim_later(struct sim *sim, int64_t delay_ms, enum queue_kind kind, uint32_t a);
void sim_cancel(struct sim *sim, uint32_t *timer);
int64_t sim_wall_us(const struct sim *sim);
void sim_boot(struct sim *sim);
void sim_crash(struct sim *sim);
/* By chance the call that is being made is the daemon's last; returns whether it has died. */
bool sim_dies(struct sim *sim);
/* Takes one thing from the queue, does it and checks everything. False where there is none. */
bool sim_step(struct sim *sim);
bool sim_step_before(struct sim *sim, int64_t limit_ms);
/* Steps until nothing is left to do. */
void sim_settle(struct sim *sim);
void sim_run(struct sim *sim);
/* Who comes back to a world at rest looks at it, and leaves it alone. */
void sim_restart_idle(struct sim *sim);
/* Tells the seed, the step and what broke, and ends the program. */
void sim_fail(const struct sim *sim, const char *format, ...)
	__attribute__((format(printf, 2, 3), noreturn));
void sim_say(const struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
void sim_trace(struct sim *sim, const void *data, size_t len);
const char *sim_id(const struct id *id);

/* world.c */
struct driver *world_driver_new(struct sim *sim);
void world_timer(struct sim *sim, uint32_t place);
void world_inspect_timer(struct sim *sim, uint32_t place);
void world_forget_inspections(struct sim *sim);
struct world_node *world_find(struct sim *sim, const struct id *id);
/* A random running node, NULL where there is none. */
struct world_node *world_any_running(struct sim *sim);
void world_exit(struct sim *sim, struct world_node *node);
void world_set_health(struct sim *sim, struct world_node *node, bool healthy);
uint32_t world_count(const struct sim *sim, const char *group);

/* store.c, rows.c, compare.c */
struct store *storage_store_new(struct sim *sim);
void storage_timer(struct sim *sim);
void storage_probe_timer(struct sim *sim);
void storage_lose(struct sim *sim); /* a commit under way, in a crash */
void storage_fini(struct storage *storage);
struct group_row *rows_group(const struct rows *rows, const char *name);
struct graph_row *rows_graph(const struct rows *rows, const struct id *id);
struct node_row *rows_node(const struct rows *rows, const struct id *id);
void rows_copy(struct row_change *ret_row, const struct core *core, const struct change *change);
void rows_apply(struct rows *rows, struct row_change *row);
void row_change_fini(struct row_change *row);
int rows_load(struct sim *sim, struct core *core, struct error *error);
void rows_fini(struct rows *rows);
/* Whether what is stored is all that the core knows, and nothing besides. */
void rows_compare(struct sim *sim, const struct core *core);
bool sim_same_origin(const struct origin *a, const struct origin *b);

/* model.c */
void model_notice(struct sim *sim, const struct notice *notice);
void model_publish(struct sim *sim, uint64_t seq);
void model_retract(struct sim *sim, uint64_t seq);
void model_compare(struct sim *sim, const struct core *core);
struct model_graph *model_graph(const struct model *model, const struct id *id);
struct model_node *model_node(const struct model *model, const struct id *id);
void model_fini(struct model *model);

/* losses.c */
void losses_notice(struct sim_event *event, const struct notice *notice);
/* The node is as it was before the event. */
void losses_tell_node(struct sim *sim, struct model_node *node, const struct sim_event *event);
void losses_tell_task(struct sim *sim, const struct sim_event *event);
void losses_boot(struct sim *sim);
void losses_loaded(struct sim *sim, const struct core *core);
void losses_compare(const struct sim *sim, const struct core *core);

/* promises.c */
void promise_ask(struct sim *sim, const struct sim_request *request);
void promise_give(struct sim *sim, const struct sim_request *request);
/* Whether the mark that this request asks for is the last one of its node that anybody has asked for. */
bool promise_asked(const struct sim *sim, const char *note);
bool promise_given(const struct sim *sim, const char *note);
/* A node could not be killed, so it may live on although a KILL was answered. */
void promise_spare(struct sim *sim, const struct id *id);
bool promise_spared(const struct sim *sim, const struct id *id);
/* Whether all that was answered is so. */
void promises_check(const struct sim *sim, const struct core *core);
void promises_fini(struct promises *promises);

/* floor.c */
void ids_add(struct id_list *list, const struct id *id);
/* Its place, or the count if it is not there. */
size_t ids_place(const struct id_list *list, const struct id *id);
void floor_forget_vouched(struct sim *sim);
void floor_vouch(struct sim *sim, const struct id *id);
void floor_check_stop(struct sim *sim, const struct core *core, const struct notice *notice);
void floor_remember(struct sim *sim, const struct core *core);
void floor_node_state(struct sim *sim, const struct id *id);
void floor_check_loaded(const struct sim *sim, const struct core *core);
void floor_fini(struct sim *sim);

/* check.c */
void check_step(struct sim *sim);
void check_task_started(struct sim *sim, const struct notice *notice);
void check_answer(struct sim *sim, const struct sim_request *request, const struct error *failed);
/* All is quiet, and nothing fails any more: every group is what it declares; where it was not `updated`
 * since, it may also have been given up. */
void check_rest(struct sim *sim, bool updated);

/* requests.c */
struct sim_request *request_new(struct sim *sim);
struct core_event *request_update(struct sim_request *request, const char *group, uint32_t size,
	uint64_t version);
void request_submit(struct sim_request *request);
void request_wait(struct sim_request *request);
void request_forget_any(struct sim *sim);
void request_drop_all(struct sim *sim);
/* Submits an UPDATE after having compared its plan with the one that a preview tells. */
void request_update_previewed(struct sim_request *request);

/* happen.c */
void happen(struct sim *sim);
const char *happen_group_name(uint32_t number);

#endif
