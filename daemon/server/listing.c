#include "listing.h"

#include <string.h>

#include "metrics.h"
#include "records.h"

/* One go of a listing. */
struct go {
	struct listing *listing;
	const struct core *core;
	struct buf *buf;
	size_t limit;
	size_t visits; /* entries that were passed over without a record */
	struct error *error;
};

static bool go_full(const struct go *go)
{
	return go->buf->len >= go->limit || go->visits >= LISTING_VISITS;
}

void listing_init(struct listing *listing)
{
	*listing = (struct listing){0};
}

void listing_fini(struct listing *listing)
{
	if (listing->preview != NULL)
		graph_free(listing->preview);
	listing_init(listing);
}

void listing_of_group(struct listing *listing, unsigned parts, const struct group *group)
{
	listing_init(listing);
	listing->parts = parts;
	listing->group_first = group != NULL ? group->index : 0;
	listing->group_end = group != NULL ? group->index + 1 : GROUPS_ALL;
	listing->group = listing->group_first;
}

void listing_of_graph(struct listing *listing, unsigned parts, const struct id *graph)
{
	listing_init(listing);
	listing->parts = parts;
	listing->graph = *graph;
}

void listing_of_preview(struct listing *listing, unsigned parts, struct graph *preview,
	const char *group)
{
	listing_of_graph(listing, parts, &preview->id);
	listing->preview = preview;
	memcpy(listing->preview_group, group, strlen(group) + 1);
}

/* ---- the parts of one group: each returns whether the group is through ---------------------- */

static bool list_specs(struct go *go, const struct group *group)
{
	const struct spec *spec;

	while ((spec = group_spec_from(group, go->listing->at)) != NULL) {
		if (go_full(go))
			return false;
		records_spec(go->buf, group->name, spec);
		go->listing->at = spec->revision + 1;
	}
	return true;
}

static bool list_nodes(struct go *go, const struct group *group)
{
	for (; go->listing->at < group->slots_used; go->listing->at++) {
		uint32_t ref = group_slot_node(group, (uint32_t)go->listing->at);

		if (go_full(go))
			return false;
		go->visits += ref == NODE_NONE;
		if (ref == NODE_NONE)
			continue;
		records_node(go->buf, go->core, node_at(&go->core->nodes, ref));
	}
	return true;
}

static bool list_ended(struct go *go, const struct group *group)
{
	for (;; go->listing->at++) {
		uint32_t ref = group_ended_from(group, &go->listing->at);

		if (ref == NODE_NONE)
			return true;
		if (go_full(go))
			return false;
		records_node(go->buf, go->core, node_at(&go->core->nodes, ref));
	}
}

static bool list_graphs(struct go *go, const struct group *group)
{
	const struct graph *graph = group_graph_from(group, go->listing->at);

	for (; graph != NULL; graph = TAILQ_NEXT(graph, entry)) {
		go->listing->at = graph->serial;
		if (go_full(go))
			return false;
		records_graph(go->buf, group->name, graph);
		go->listing->at = graph->serial + 1;
	}
	return true;
}

/* The tasks of a graph from the next one on; returns whether they are through. */
static bool list_graph_tasks(struct go *go, const struct graph *graph)
{
	for (; go->listing->task < graph->task_count; go->listing->task++) {
		if (go_full(go) || !records_task(go->buf, graph, go->listing->task,
					&go->listing->place, go->limit))
			return false;
	}
	return true;
}

void listing_end_line(struct listing *listing, struct buf *buf)
{
	if (listing->place.open)
		buf_add_char(buf, '\n');
	listing->place = (struct record_place){0};
}

static bool list_open_tasks(struct go *go, const struct group *group)
{
	const struct graph *graph = group_graph_from(group, go->listing->at);

	for (; graph != NULL; graph = TAILQ_NEXT(graph, entry)) {
		/* A graph whose listing was interrupted is finished even if it has ended since; one
		 * that is not in memory any more leaves its number of a task to no other. */
		if (graph->serial != go->listing->at || !graph_loaded(graph)) {
			listing_end_line(go->listing, go->buf);
			go->listing->task = 0;
		}
		go->listing->at = graph->serial;
		if (graph_ended(graph) && go->listing->task == 0 && !go->listing->place.open) {
			if (go_full(go))
				return false;
			go->visits++;
			continue;
		}
		if (!list_graph_tasks(go, graph))
			return false;
		go->listing->at = graph->serial + 1;
		go->listing->task = 0;
	}
	listing_end_line(go->listing, go->buf);
	return true;
}

/* ---- parts: each returns whether it is through, -1 where its thing is gone ------------------ */

static int list_each_group(struct go *go, bool (*list)(struct go *, const struct group *))
{
	struct listing *listing = go->listing;

	while (listing->group < listing->group_end && listing->group < go->core->group_count) {
		if (go_full(go) || !list(go, go->core->groups[listing->group]))
			return 0;
		go->visits++;
		listing->group++;
		listing->at = 0;
		listing->task = 0;
	}
	listing->group = listing->group_first;
	return 1;
}

/* The place in core->by_name of the first group behind the one listed last. New groups may have
 * come in between, so a place is not kept. */
static uint32_t next_by_name(const struct go *go)
{
	const struct core *core = go->core;
	uint32_t low = 0, high = core->group_count;
	const char *last;

	if (go->listing->at == 0)
		return 0;
	last = core->groups[go->listing->group]->name;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (strcmp(core->by_name[middle]->name, last) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int list_groups(struct go *go)
{
	for (uint32_t i = next_by_name(go); i < go->core->group_count; i++) {
		const struct group *group = go->core->by_name[i];

		if (go_full(go))
			return 0;
		records_spec(go->buf, group->name, &group->spec);
		go->listing->group = group->index;
		go->listing->at = 1;
	}
	go->listing->group = go->listing->group_first;
	go->listing->at = 0;
	return 1;
}

/* One metric after the other, for the samples of each stand together. */
static int list_metrics(struct go *go)
{
	struct listing *listing = go->listing;

	for (; listing->at < METRICS_OF_GROUPS; listing->at++) {
		for (; listing->group < go->core->group_count; listing->group++) {
			if (go_full(go))
				return 0;
			if (listing->group == 0)
				metrics_group_head(go->buf, (unsigned)listing->at);
			metrics_group(go->buf, (unsigned)listing->at, go->core->groups[listing->group]);
		}
		listing->group = 0;
	}
	listing->at = 0;
	return 1;
}

const struct graph *listing_graph(const struct listing *listing, const struct core *core)
{
	if (listing->preview != NULL)
		return listing->preview;
	return core_graph_find(core, &listing->graph);
}

/* Finds the graph again, and its tasks if they are needed. */
static int find_graph(struct go *go, bool tasks, const struct graph **ret_graph)
{
	char text[ID_TEXT_LEN + 1];

	*ret_graph = listing_graph(go->listing, go->core);
	if (*ret_graph != NULL && (!tasks || graph_loaded(*ret_graph)))
		return 0;
	listing_end_line(go->listing, go->buf);
	id_format_z(&go->listing->graph, text);
	return error_set(go->error, ERR_GONE, *ret_graph == NULL
			? "graph %s is not kept any more"
			: "the tasks of graph %s are not in memory any more; ask again", text);
}

static int list_graph(struct go *go)
{
	const struct graph *graph;

	if (find_graph(go, false, &graph) < 0)
		return -1;
	if (go->listing->preview != NULL)
		records_graph(go->buf, go->listing->preview_group, graph);
	else
		records_graph(go->buf, go->core->groups[graph->group]->name, graph);
	return 1;
}

static int list_tasks(struct go *go)
{
	const struct graph *graph;

	if (find_graph(go, true, &graph) < 0)
		return -1;
	return list_graph_tasks(go, graph) ? 1 : 0;
}

static int list_part(struct go *go, enum listing_part part)
{
	switch (part) {
	case PART_SPECS:
		return list_each_group(go, list_specs);
	case PART_GROUPS:
		return list_groups(go);
	case PART_METRICS:
		return list_metrics(go);
	case PART_NODES:
		return list_each_group(go, list_nodes);
	case PART_ENDED:
		return list_each_group(go, list_ended);
	case PART_GRAPHS:
		return list_each_group(go, list_graphs);
	case PART_OPEN_TASKS:
		return list_each_group(go, list_open_tasks);
	case PART_GRAPH:
		return list_graph(go);
	case PART_TASKS:
		return list_tasks(go);
	case PART_COUNT:
		break;
	}
	return 1;
}

int listing_go(struct listing *listing, const struct core *core, struct buf *buf, size_t limit,
	size_t *ret_visits, struct error *error)
{
	struct go go = {listing, core, buf, limit, 0, error};
	int through = 1;

	for (unsigned part = 0; part < PART_COUNT && through > 0; part++) {
		if ((listing->parts & PARTS(part)) == 0)
			continue;
		through = list_part(&go, (enum listing_part)part);
		if (through > 0)
			listing->parts &= ~PARTS(part);
	}
	*ret_visits = go.visits;
	return through < 0 ? -1 : 0;
}
