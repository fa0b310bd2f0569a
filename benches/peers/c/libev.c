/* libev. */
#define HAS_PERIODICS
#define HAS_SIGNALS
#define HAS_CHILDREN
#define HAS_STAT
#include "harness.h"

#include <ev.h>
#include <math.h>

static struct ev_loop *new_loop(void)
{
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    check(loop != NULL, "libev makes a loop");
    return loop;
}

/* The one loop of every workload but the two-sided ones. */
static struct ev_loop *the_loop(void)
{
    static struct ev_loop *loop;
    return loop ? loop : (loop = new_loop());
}

/* ---- pipes ---- */

struct pipe_watcher {
    ev_io io;
    ev_timer idle;
};

static void pipe_ready(struct ev_loop *loop, ev_io *io, int events)
{
    (void)events;
    ring_pass_on((long)(intptr_t)io->data);
    if (ring_is_done())
        ev_break(loop, EVBREAK_ONE);
}

static void pipe_ready_rearm(struct ev_loop *loop, ev_io *io, int events)
{
    /* io is the first member. */
    ev_timer_again(loop, &((struct pipe_watcher *)io)->idle);
    pipe_ready(loop, io, events);
}

static void idle_due(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events;
}

static void pipes_watch(int with_timeout)
{
    struct ev_loop *loop = the_loop();
    struct pipe_watcher *watchers = make_array((size_t)ring_pairs, sizeof *watchers);
    for (long pair = 0; pair < ring_pairs; pair++) {
        ev_io_init(&watchers[pair].io, with_timeout ? pipe_ready_rearm : pipe_ready, ring_reader[pair], EV_READ);
        watchers[pair].io.data = (void *)(intptr_t)pair;
        ev_io_start(loop, &watchers[pair].io);
        if (with_timeout) {
            ev_timer_init(&watchers[pair].idle, idle_due, IDLE_TIMEOUT_S, IDLE_TIMEOUT_S);
            ev_timer_start(loop, &watchers[pair].idle);
        }
    }
}

static void pipes_run(void)
{
    ev_run(the_loop(), 0);
}

/* ---- io watchers ---- */

static ev_io *watchers;

static void watcher_ready(struct ev_loop *loop, ev_io *io, int events)
{
    (void)loop, (void)io, (void)events;
}

static void watchers_make(const int *fds, long count)
{
    watchers = make_array((size_t)count, sizeof *watchers);
    for (long index = 0; index < count; index++) {
        ev_io_init(&watchers[index], watcher_ready, fds[index], EV_READ);
        watcher_start(index);
    }
}

static void watcher_stop(long index)
{
    ev_io_stop(the_loop(), &watchers[index]);
}

static void watcher_start(long index)
{
    ev_io_start(the_loop(), &watchers[index]);
}

static void loop_pass(void)
{
    ev_run(the_loop(), EVRUN_NOWAIT);
}

/* ---- timers ---- */

static ev_timer *timers;

static void timer_due(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events;
    timers_fired++;
}

static void timers_make(long count)
{
    timers = make_array((size_t)count, sizeof *timers);
    for (long index = 0; index < count; index++)
        ev_timer_init(&timers[index], timer_due, 0., 0.);
}

static void timer_start(long index, uint64_t after_ns)
{
    /* No repeat for timers that are to fire once; only far ones are re-armed. */
    ev_timer_set(&timers[index], (double)after_ns * 1e-9, after_ns < NS_PER_S ? 0. : AGAIN_DELAY_S);
    ev_timer_start(the_loop(), &timers[index]);
}

static void timer_stop(long index)
{
    ev_timer_stop(the_loop(), &timers[index]);
}

static void timer_again(long index)
{
    ev_timer_again(the_loop(), &timers[index]);
}

static void clock_update(void)
{
    ev_now_update(the_loop());
}

static void inside(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)events;
    ((void (*)(void))timer->data)();
}

static void inside_and_stop(struct ev_loop *loop, ev_timer *timer, int events)
{
    inside(loop, timer, events);
    ev_break(loop, EVBREAK_ONE);
}

static void start_inside(struct ev_loop *loop, void (*callback)(struct ev_loop *, ev_timer *, int), void (*job)(void))
{
    static ev_timer now;
    ev_timer_init(&now, callback, 0., 0.);
    now.data = (void *)job;
    ev_timer_start(loop, &now);
}

static void run_inside(void (*job)(void))
{
    start_inside(the_loop(), inside_and_stop, job);
    ev_run(the_loop(), 0);
}

static void timers_run(long count)
{
    while (timers_fired < count)
        ev_run(the_loop(), EVRUN_ONCE);
}

/* ---- periodics, beside timers ---- */

static struct ev_loop *queue_loops[2];
static ev_timer *queue_timers;
static ev_periodic *queue_periodics;

static void queue_timer_due(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop, (void)timer, (void)events;
    queue_fired++;
}

static void queue_periodic_due(struct ev_loop *loop, ev_periodic *periodic, int events)
{
    (void)loop, (void)periodic, (void)events;
    queue_fired++;
}

static void queues_make(long count)
{
    queue_loops[TIMERS] = new_loop();
    queue_loops[PERIODICS] = new_loop();
    queue_timers = make_array((size_t)count, sizeof *queue_timers);
    queue_periodics = make_array((size_t)count, sizeof *queue_periodics);
    for (long index = 0; index < count; index++) {
        ev_timer_init(&queue_timers[index], queue_timer_due, 0., 0.);
        ev_periodic_init(&queue_periodics[index], queue_periodic_due, 0., 0., 0);
    }
}

static void queue_set(enum queue which, long index, uint64_t after_ns, int repeats)
{
    double after = (double)after_ns * 1e-9, interval = repeats ? QUEUE_INTERVAL_S : 0.;
    if (which == TIMERS) {
        ev_timer_set(&queue_timers[index], after, interval);
        return;
    }
    double at = ev_now(queue_loops[PERIODICS]) + after;
    ev_periodic_set(&queue_periodics[index], repeats ? fmod(at, interval) : at, interval, 0);
}

static inline void queue_start(enum queue which, long index)
{
    if (which == TIMERS)
        ev_timer_start(queue_loops[TIMERS], &queue_timers[index]);
    else
        ev_periodic_start(queue_loops[PERIODICS], &queue_periodics[index]);
}

static inline void queue_stop(enum queue which, long index)
{
    if (which == TIMERS)
        ev_timer_stop(queue_loops[TIMERS], &queue_timers[index]);
    else
        ev_periodic_stop(queue_loops[PERIODICS], &queue_periodics[index]);
}

static void queue_inside(enum queue which, void (*job)(void))
{
    start_inside(queue_loops[which], inside_and_stop, job);
    ev_run(queue_loops[which], 0);
}

static void queue_run(enum queue which, long count)
{
    while (queue_fired < count)
        ev_run(queue_loops[which], EVRUN_ONCE);
}

/* ---- busy, latency ---- */

static uint64_t turns_left;

static void turned(struct ev_loop *loop, ev_idle *idle, int events)
{
    (void)idle, (void)events;
    if (!--turns_left)
        ev_break(loop, EVBREAK_ONE);
}

static void busy_run(uint64_t turns)
{
    ev_idle idle;
    turns_left = turns;
    ev_idle_init(&idle, turned);
    ev_idle_start(the_loop(), &idle);
    ev_run(the_loop(), 0);
}

static uint64_t latencies_left;

static void latency_due(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    if (--latencies_left) {
        ev_timer_set(timer, 100e-6, 0.);
        ev_timer_start(loop, timer);
    }
}

static int latency_supported(void)
{
    return 1;
}

static void latency_run(uint64_t count)
{
    ev_timer timer;
    latencies_left = count;
    ev_timer_init(&timer, latency_due, 100e-6, 0.);
    ev_timer_start(the_loop(), &timer);
    ev_run(the_loop(), 0);
}

/* ---- signals ---- */

static void signal_came(struct ev_loop *loop, ev_signal *signal, int events)
{
    (void)signal, (void)events;
    if (signal_heard())
        ev_break(loop, EVBREAK_ONE);
}

static void signal_watch(int signum)
{
    static ev_signal watcher;
    ev_signal_init(&watcher, signal_came, signum);
    ev_signal_start(the_loop(), &watcher);
}

static void signal_run(void)
{
    ev_run(the_loop(), 0);
}

/* ---- children ---- */

static ev_child *children;

static void child_came(struct ev_loop *loop, ev_child *child, int events)
{
    (void)events;
    ev_child_stop(loop, child);
    child_ended(child - children);
    ev_break(loop, EVBREAK_ONE);
}

/* Only the default loop takes children. */
static void children_make(long slots)
{
    check(ev_default_loop(EVFLAG_AUTO) != NULL, "libev makes its default loop");
    children = make_array((size_t)slots, sizeof *children);
}

static pid_t child_start(long slot)
{
    pid_t pid = fork_idle();
    ev_child_init(&children[slot], child_came, pid, 0);
    ev_child_start(EV_DEFAULT_UC, &children[slot]);
    return pid;
}

static void children_run(void)
{
    ev_run(EV_DEFAULT_UC, 0);
}

/* ---- files ---- */

static ev_stat *stats;

static void stat_came(struct ev_loop *loop, ev_stat *stat, int events)
{
    (void)events;
    stat_seen(stat - stats);
    ev_break(loop, EVBREAK_ONE);
}

static void stat_watch(char *const *paths, long count)
{
    stats = make_array((size_t)count, sizeof *stats);
    for (long index = 0; index < count; index++) {
        ev_stat_init(&stats[index], stat_came, paths[index], 0.);
        ev_stat_start(the_loop(), &stats[index]);
    }
}

static void stat_run(void)
{
    ev_run(the_loop(), 0);
}

static void rest_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    *(int *)timer->data = 1;
    ev_break(loop, EVBREAK_ONE);
}

static void loop_rest(int seconds)
{
    ev_timer timer;
    int is_over = 0;
    ev_now_update(the_loop());
    ev_timer_init(&timer, rest_over, seconds, 0.);
    timer.data = &is_over;
    ev_timer_start(the_loop(), &timer);
    while (!is_over)
        ev_run(the_loop(), 0);
}

/* ---- threads ---- */

static struct ev_loop *sides[2];
static ev_async wakers[2];

static void woken(struct ev_loop *loop, ev_async *async, int events)
{
    (void)loop, (void)events;
    heard((int)(async - wakers));
}

static void wakers_make(void)
{
    for (int side = 0; side < 2; side++) {
        sides[side] = new_loop();
        ev_async_init(&wakers[side], woken);
        ev_async_start(sides[side], &wakers[side]);
    }
}

static void waker_send(int to)
{
    ev_async_send(sides[to], &wakers[to]);
}

static void waker_run(int me)
{
    ev_run(sides[me], 0);
}

static void waker_stop(int me)
{
    ev_break(sides[me], EVBREAK_ONE);
}

static void waker_run_inside(void (*job)(void))
{
    start_inside(sides[0], inside, job);
    ev_run(sides[0], 0);
}
