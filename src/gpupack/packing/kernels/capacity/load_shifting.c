/* Serve what is unmet by shifting load between copies, along augmenting paths.

   A job has a copy in a bin without room; a job beside it has a copy elsewhere, which
   takes over some of its load, and so on, until a bin has room to spare (Ford and
   Fulkerson, "Maximal flow through a network", Canadian Journal of Mathematics 8, 1956;
   by breadth first: Edmonds and Karp, Journal of the ACM 19, 1972). Another option takes
   another amount of room for the same service, so that flow is lost or won on the way. */

#include <string.h>

#include "refilling.h"

#define SPARE 1e-9 /* copies' worth, or share of a bin's room, below which none is left */
#define SHORTER (1.0 - 1e-12)

enum {
    MOST_PATHS = 20, /* for one job at a time */
    MOST_SHIFTED = 4096,
};

shifting *start_shifting(scratch *room, const choices *c, const filling *f)
{
    shifting *s = take(room, 1, sizeof *s);
    int64_t num_slots = c->num_bins * f->num_slots_of_bin;
    s->num_dimensions = c->num_dimensions;
    s->room = take_reals(room, c->num_bins * c->num_dimensions);
    s->first = take_integers(room, c->num_jobs);
    s->next = take_integers(room, num_slots);
    s->previous = take_integers(room, num_slots);
    s->queue = take_integers(room, c->num_bins);
    s->entry = take_integers(room, c->num_bins);
    s->origin = take_integers(room, c->num_bins);
    s->reached = take(room, c->num_bins, sizeof(uint64_t));
    s->shifted = take_integers(room, MOST_SHIFTED);
    s->load_before = take_reals(room, MOST_SHIFTED);
    s->room_before = take_reals(room, MOST_SHIFTED * c->num_dimensions);
    for (int64_t job = 0; job < c->num_jobs; job++)
        s->first[job] = -1;
    for (int64_t bin = 0; bin < c->num_bins; bin++)
        list_copies(c, f, s, bin);
    return s;
}

/* Add a bin's slots to their jobs' lists, and count the room that they leave. */
void list_copies(const choices *c, const filling *f, shifting *s, int64_t bin)
{
    int64_t num_dimensions = c->num_dimensions;
    double *room = s->room + bin * num_dimensions;
    memcpy(room, c->capacity + c->bin_type[bin] * num_dimensions,
           (size_t)num_dimensions * sizeof *room);
    for (int64_t place = 0; place < f->num_slots[bin]; place++) {
        int64_t slot = bin * f->num_slots_of_bin + place, option = f->option[slot];
        int64_t job = c->job[option];
        for (int64_t d = 0; d < num_dimensions; d++)
            room[d] -= f->number[slot] * c->fixed[option * num_dimensions + d] +
                       f->load[slot] * c->loaded[option * num_dimensions + d];
        s->previous[slot] = -1;
        s->next[slot] = s->first[job];
        if (s->first[job] >= 0)
            s->previous[s->first[job]] = slot;
        s->first[job] = slot;
    }
}

/* Take a bin's slots out of their jobs' lists. */
void unlist_copies(const choices *c, const filling *f, shifting *s, int64_t bin)
{
    for (int64_t place = 0; place < f->num_slots[bin]; place++) {
        int64_t slot = bin * f->num_slots_of_bin + place;
        int64_t before = s->previous[slot], after = s->next[slot];
        if (before >= 0)
            s->next[before] = after;
        else
            s->first[c->job[f->option[slot]]] = after;
        if (after >= 0)
            s->previous[after] = before;
    }
}

static bool has_spare_rate(const choices *c, const filling *f, int64_t slot)
{
    return f->load[slot] < f->number[slot] - SPARE && c->gain[f->option[slot]] > 0;
}

/* Whether a bin has room for more load of one of its slots. */
static bool has_room(const choices *c, const filling *f, const shifting *s, int64_t slot)
{
    const double *loaded = c->loaded + f->option[slot] * c->num_dimensions;
    const double *room = s->room + slot / f->num_slots_of_bin * c->num_dimensions;
    for (int64_t d = 0; d < c->num_dimensions; d++)
        if (loaded[d] > 0 && room[d] <= SPARE)
            return false;
    return true;
}

/* Whether less load of one slot makes room for more of another in the same bin. */
static bool makes_room(const choices *c, const filling *f, const shifting *s,
                       int64_t slot, int64_t entry)
{
    const double *given = c->loaded + f->option[slot] * c->num_dimensions;
    const double *taken = c->loaded + f->option[entry] * c->num_dimensions;
    const double *room = s->room + slot / f->num_slots_of_bin * c->num_dimensions;
    for (int64_t d = 0; d < c->num_dimensions; d++)
        if (taken[d] > 0 && room[d] <= SPARE && given[d] <= 0)
            return false;
    return true;
}

/* Put the bins of a job's spare copies into the queue; return how many there are. */
static int64_t reach(const choices *c, const filling *f, shifting *s, int64_t job,
                     int64_t origin, int64_t num_reached)
{
    for (int64_t slot = s->first[job]; slot >= 0; slot = s->next[slot]) {
        int64_t bin = slot / f->num_slots_of_bin;
        if (s->reached[bin] == s->search || !has_spare_rate(c, f, slot))
            continue;
        s->reached[bin] = s->search;
        s->entry[bin] = slot;
        s->origin[bin] = origin;
        s->queue[num_reached++] = bin;
    }
    return num_reached;
}

/* Return the nearest bin with room that load of a job can be shifted to, -1 if none. */
static int64_t find_path(const choices *c, const filling *f, shifting *s, int64_t job)
{
    s->search++;
    int64_t num_reached = reach(c, f, s, job, -1, 0);
    for (int64_t at = 0; at < num_reached; at++) {
        int64_t bin = s->queue[at], entry = s->entry[bin];
        if (has_room(c, f, s, entry))
            return bin;
        for (int64_t place = 0; place < f->num_slots[bin]; place++) {
            int64_t slot = bin * f->num_slots_of_bin + place;
            int64_t other = c->job[f->option[slot]];
            if (slot != entry && f->load[slot] > SPARE && !c->whole[other] &&
                makes_room(c, f, s, slot, entry))
                num_reached = reach(c, f, s, other, slot, num_reached);
        }
    }
    return -1;
}

/* Return the load that has to leave one slot so that more of another has room. */
static double load_leaving(const choices *c, const filling *f, const shifting *s,
                           int64_t slot, int64_t entry, double load)
{
    const double *given = c->loaded + f->option[slot] * c->num_dimensions;
    const double *taken = c->loaded + f->option[entry] * c->num_dimensions;
    const double *room = s->room + slot / f->num_slots_of_bin * c->num_dimensions;
    double leaving = 0.0;
    for (int64_t d = 0; d < c->num_dimensions; d++) {
        double missing = taken[d] * load - room[d];
        if (missing > 0 && given[d] > 0)
            leaving = greater(leaving, missing / given[d]);
        else if (missing > SPARE)
            return -1.0;
    }
    return leaving;
}

/* Return the part of a share that a path lets through, less than 1 if not all of it.

   What has to leave a bin is convex in what comes in: so much less does fit, unless
   another bin of the path then is the narrowest. */
static double part_through(const choices *c, const filling *f, const shifting *s,
                           const int64_t *path, int64_t length, double share)
{
    double part = 1.0;
    for (int64_t at = length - 1; at >= 0; at--) {
        int64_t entry = s->entry[path[at]];
        double load = share / c->gain[f->option[entry]];
        if (load > f->number[entry] - f->load[entry])
            part = lesser(part, (f->number[entry] - f->load[entry]) / load);
        if (at > 0) {
            int64_t slot = s->origin[path[at - 1]];
            double leaving = load_leaving(c, f, s, slot, entry, load);
            if (leaving < 0)
                return 0.0;
            if (leaving > f->load[slot])
                part = lesser(part, f->load[slot] / leaving);
            share = leaving * c->gain[f->option[slot]];
            continue;
        }
        const double *taken = c->loaded + f->option[entry] * c->num_dimensions;
        const double *room = s->room + path[0] * c->num_dimensions;
        for (int64_t d = 0; d < c->num_dimensions; d++)
            if (taken[d] * load > room[d])
                part = lesser(part, greater(0.0, room[d]) / (taken[d] * load));
    }
    return part;
}

/* Add load to a slot, or take it away, and note what was there. */
static void change_load(const choices *c, const filling *f, shifting *s, int64_t slot,
                        double load)
{
    int64_t num_dimensions = c->num_dimensions;
    const double *loaded = c->loaded + f->option[slot] * num_dimensions;
    double *room = s->room + slot / f->num_slots_of_bin * num_dimensions;
    double *before = s->room_before + s->num_shifted * num_dimensions;
    memcpy(before, room, (size_t)num_dimensions * sizeof *room);
    s->shifted[s->num_shifted] = slot;
    s->load_before[s->num_shifted++] = f->load[slot];
    f->load[slot] = greater(0.0, f->load[slot] + load);
    for (int64_t d = 0; d < num_dimensions; d++)
        room[d] -= load * loaded[d];
}

/* Shift along the path that ends in a bin; return the share that is served by it. */
static double shift_along(const choices *c, const filling *f, shifting *s, int64_t end,
                          double share)
{
    int64_t *path = s->queue, length = 0; /* of which no more is needed */
    for (int64_t bin = end; bin >= 0;) {
        int64_t origin = s->origin[bin];
        path[length++] = bin;
        bin = origin < 0 ? -1 : origin / f->num_slots_of_bin;
    }
    if (s->num_shifted + 2 * length > MOST_SHIFTED)
        return 0.0;
    double part = 0.0;
    for (int64_t tries = 0; tries <= length && part < 1.0; tries++) {
        part = part_through(c, f, s, path, length, share);
        if (part < 1.0)
            share *= part * SHORTER;
        if (share <= 0)
            return 0.0;
    }
    if (part < SHORTER * SHORTER)
        return 0.0;
    double arriving = share;
    for (int64_t at = length - 1; at >= 0; at--) {
        int64_t entry = s->entry[path[at]];
        double load = arriving / c->gain[f->option[entry]];
        if (at > 0) {
            int64_t slot = s->origin[path[at - 1]];
            double leaving =
                greater(0.0, load_leaving(c, f, s, slot, entry, load));
            change_load(c, f, s, slot, -leaving);
            arriving = leaving * c->gain[f->option[slot]];
        }
        change_load(c, f, s, entry, load);
    }
    return share;
}

/* Serve what can be served of what is unmet; return how much loss that saves. */
double shift_loads(const choices *c, const filling *f, shifting *s)
{
    double saved = 0.0;
    s->num_shifted = 0;
    for (int64_t job = 0; job < c->num_jobs; job++) {
        if (c->whole[job] || c->worth[job] <= 0)
            continue;
        for (int64_t paths = 0; paths < MOST_PATHS && f->left[job] > TINY; paths++) {
            int64_t end = find_path(c, f, s, job);
            double share = 0.0;
            if (end >= 0)
                share = shift_along(c, f, s, end, f->left[job]);
            if (share <= 0)
                break;
            f->left[job] -= share;
            saved += c->worth[job] * share;
        }
    }
    return saved;
}

/* Shift everything back, the last first. */
void undo_shifts(const filling *f, shifting *s)
{
    while (s->num_shifted > 0) {
        int64_t slot = s->shifted[--s->num_shifted];
        f->load[slot] = s->load_before[s->num_shifted];
        memcpy(s->room + slot / f->num_slots_of_bin * s->num_dimensions,
               s->room_before + s->num_shifted * s->num_dimensions,
               (size_t)s->num_dimensions * sizeof(double));
    }
}
