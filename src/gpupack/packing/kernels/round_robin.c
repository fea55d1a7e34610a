/* A processor that goes round among queues in slices, event by event. */

#include "scratch.h"

#include <math.h>

typedef struct {
    int64_t num_queues;
    /* Jobs of queue i are offsets[i] to offsets[i + 1]. */
    const int64_t *offsets;
    /* When jobs arrive, rising within a queue; unused of closed queues. */
    const double *arrivals;
    /* Time of each job before its turn at the processor, and of its work there. */
    const double *before, *work;
    /* What a job takes longer that finds its queue at rest. */
    const double *waking;
    /* A job of a queue has so many blocks, one after the other. In each the work comes
       in so many pieces, evenly over the time before it. */
    const int64_t *blocks, *pieces;
    /* Closed queues begin their next job when one is done. */
    const bool *is_closed;
    double slice, switching, horizon;
} queues;

typedef struct {
    /* Jobs that arrived, and that were begun, counted from the queue's first. */
    int64_t *arrived, *begun;
    /* Blocks done of the job, and pieces handed over of the block. */
    int64_t *blocks_done, *handed;
    bool *is_busy;
    /* When the next piece comes to the processor; INFINITY if none is on its way. */
    double *ready;
    /* From one piece of the job to the next. */
    double *step;
    /* Work left at the processor of the pieces that are there; 0 if none is. */
    double *left, *busy_since;
} state;

static double next_arrival(const queues *given, const state *now, int64_t queue)
{
    int64_t job = given->offsets[queue] + now->arrived[queue];
    if (given->is_closed[queue] || job >= given->offsets[queue + 1])
        return INFINITY;
    return given->arrivals[job];
}

static void begin(const queues *given, state *now, int64_t queue, double time,
                  double waking)
{
    int64_t job = given->offsets[queue] + now->begun[queue];
    now->begun[queue]++;
    now->step[queue] =
        given->before[job] / (double)(given->blocks[queue] * given->pieces[queue]);
    now->blocks_done[queue] = now->handed[queue] = 0;
    now->ready[queue] = time + now->step[queue] + waking;
}

/* Begin what is next in a queue, or leave it at rest. */
static void go_on(const queues *given, state *now, int64_t queue, double time,
                  double *busy)
{
    int64_t num_jobs = given->offsets[queue + 1] - given->offsets[queue];
    int64_t ready = given->is_closed[queue] ? num_jobs : now->arrived[queue];
    if (given->is_closed[queue] && now->begun[queue] == num_jobs)
        now->begun[queue] = 0; /* goes through its jobs again */
    if (now->begun[queue] < ready) {
        begin(given, now, queue, time, 0.0);
        return;
    }
    now->is_busy[queue] = false;
    busy[queue] += time - now->busy_since[queue];
}

/* Return the queue whose turn is after another's; -1 if none has work. */
static int64_t next_turn(const queues *given, const state *now, int64_t last)
{
    for (int64_t step = 1; step <= given->num_queues; step++) {
        int64_t queue = (last + step) % given->num_queues;
        if (now->left[queue] > 0)
            return queue;
    }
    return -1;
}

/* Fill in how long each job took, from its arrival (of closed queues: not at all), and
   whether it found its queue at rest; NAN of jobs that were not done by the horizon.
   `busy` is how long each queue had a job. Returns the number of events. */
EXPORTED int64_t round_robin(int64_t num_queues, const int64_t *offsets,
                             const double *arrivals, const double *before,
                             const double *work, const double *waking,
                             const int64_t *blocks, const int64_t *pieces,
                             const bool *is_closed, double slice, double switching,
                             double horizon, double *sojourns, bool *found_rest,
                             double *busy)
{
    ROOM_OR_RETURN(room);
    queues given = {num_queues, offsets, arrivals,  before, work,      waking,
                    blocks,     pieces,  is_closed, slice,  switching, horizon};
    state now = {
        take_integers(room, num_queues), take_integers(room, num_queues),
        take_integers(room, num_queues), take_integers(room, num_queues),
        take(room, num_queues, sizeof(bool)), take_reals(room, num_queues),
        take_reals(room, num_queues), take_reals(room, num_queues),
        take_reals(room, num_queues),
    };
    for (int64_t job = 0; job < offsets[num_queues]; job++) {
        sojourns[job] = NAN;
        found_rest[job] = false;
    }
    for (int64_t queue = 0; queue < num_queues; queue++) {
        now.ready[queue] = INFINITY;
        busy[queue] = 0.0;
        if (is_closed[queue] && offsets[queue + 1] > offsets[queue]) {
            now.is_busy[queue] = true;
            begin(&given, &now, queue, 0.0, 0.0);
        }
    }
    int64_t events = 0, running = -1, last = 0;
    double began = 0.0, ends = INFINITY, time = 0.0;
    for (;; events++) {
        enum { SLICE, ARRIVAL, READY } kind = SLICE;
        double at = ends;
        int64_t which = running;
        for (int64_t queue = 0; queue < num_queues; queue++) {
            double arrival = next_arrival(&given, &now, queue);
            if (arrival < at)
                at = arrival, which = queue, kind = ARRIVAL;
            if (now.ready[queue] < at)
                at = now.ready[queue], which = queue, kind = READY;
        }
        if (!(at < horizon))
            break;
        time = at;
        int64_t job = offsets[which] + now.begun[which] - 1;
        if (kind == ARRIVAL) {
            now.arrived[which]++;
            if (!now.is_busy[which]) {
                now.is_busy[which] = true;
                now.busy_since[which] = time;
                found_rest[job + 1] = true;
                begin(&given, &now, which, time, waking[which]);
            }
        } else if (kind == READY) {
            now.left[which] += work[which] / (double)(blocks[which] * pieces[which]);
            now.ready[which] += now.step[which];
            if (++now.handed[which] == pieces[which])
                now.ready[which] = INFINITY;
            if (running == which)
                ends = began + lesser(slice, now.left[which]);
        } else {
            now.left[which] -= ends - began;
            if (now.left[which] < 1e-12)
                now.left[which] = 0.0;
            last = running;
            running = -1;
            ends = INFINITY;
            if (now.left[which] > 0.0 || now.handed[which] < pieces[which]) {
                /* Goes on when it is its turn, or when its next piece comes. */
            } else if (++now.blocks_done[which] < blocks[which]) {
                now.handed[which] = 0;
                now.ready[which] = time + now.step[which];
            } else {
                sojourns[job] = is_closed[which] ? 0.0 : time - arrivals[job];
                go_on(&given, &now, which, time, busy);
            }
        }
        if (running < 0) {
            running = next_turn(&given, &now, last);
            if (running >= 0) {
                began = time + (running == last ? 0.0 : switching);
                ends = began + lesser(slice, now.left[running]);
            }
        }
    }
    for (int64_t queue = 0; queue < num_queues; queue++)
        if (now.is_busy[queue])
            busy[queue] += horizon - now.busy_since[queue];
    drop_scratch(room);
    return events;
}
