/* libuv. */
#define HAS_SIGNALS
#define HAS_CHILDREN
#include "harness.h"

#include <uv.h>

static void ok(int result, const char *what)
{
    if (result) {
        fprintf(stderr, "%s: %s\n", what, uv_strerror(result));
        exit(1);
    }
}

/* The one loop of every workload but the two-sided ones. */
static uv_loop_t *the_loop(void)
{
    static uv_loop_t loop;
    static int made;
    if (!made) {
        ok(uv_loop_init(&loop), "uv_loop_init");
        made = 1;
    }
    return &loop;
}

/* libuv counts milliseconds. */
static uint64_t milliseconds(uint64_t ns)
{
    return ns / 1000000;
}

/* ---- pipes ---- */

struct pipe_watcher {
    uv_poll_t poll;
    uv_timer_t idle;
};

static void pipe_ready(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events;
    ring_pass_on((long)(intptr_t)poll->data);
    if (ring_is_done())
        uv_stop(poll->loop);
}

static void pipe_ready_rearm(uv_poll_t *poll, int status, int events)
{
    /* poll is the first member. */
    uv_timer_again(&((struct pipe_watcher *)poll)->idle);
    pipe_ready(poll, status, events);
}

static void idle_due(uv_timer_t *timer)
{
    (void)timer;
}

static void pipes_watch(int with_timeout)
{
    struct pipe_watcher *watchers = make_array((size_t)ring_pairs, sizeof *watchers);
    for (long pair = 0; pair < ring_pairs; pair++) {
        uv_poll_t *poll = &watchers[pair].poll;
        ok(uv_poll_init(the_loop(), poll, ring_reader[pair]), "uv_poll_init");
        poll->data = (void *)(intptr_t)pair;
        ok(uv_poll_start(poll, UV_READABLE, with_timeout ? pipe_ready_rearm : pipe_ready), "uv_poll_start");
        if (with_timeout) {
            uv_timer_init(the_loop(), &watchers[pair].idle);
            ok(uv_timer_start(&watchers[pair].idle, idle_due, IDLE_TIMEOUT_S * 1000, IDLE_TIMEOUT_S * 1000), "start");
        }
    }
}

static void pipes_run(void)
{
    uv_run(the_loop(), UV_RUN_DEFAULT);
}

/* ---- io watchers ---- */

static uv_poll_t *watchers;

static void watcher_ready(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)status, (void)events;
}

static void anchor_due(uv_timer_t *timer)
{
    (void)timer;
}

static void watchers_make(const int *fds, long count)
{
    /* A libuv loop without an active handle does not even look at the kernel; a far timer keeps it alive. */
    static uv_timer_t anchor;
    uv_timer_init(the_loop(), &anchor);
    ok(uv_timer_start(&anchor, anchor_due, 3600 * 1000, 0), "uv_timer_start");

    watchers = make_array((size_t)count, sizeof *watchers);
    for (long index = 0; index < count; index++) {
        ok(uv_poll_init(the_loop(), &watchers[index], fds[index]), "uv_poll_init");
        watcher_start(index);
    }
}

static void watcher_stop(long index)
{
    uv_poll_stop(&watchers[index]);
}

static void watcher_start(long index)
{
    ok(uv_poll_start(&watchers[index], UV_READABLE, watcher_ready), "uv_poll_start");
}

static void loop_pass(void)
{
    uv_run(the_loop(), UV_RUN_NOWAIT);
}

/* ---- timers ---- */

static uv_timer_t *timers;

static void timer_due(uv_timer_t *timer)
{
    (void)timer;
    timers_fired++;
}

static void timers_make(long count)
{
    timers = make_array((size_t)count, sizeof *timers);
    for (long index = 0; index < count; index++)
        uv_timer_init(the_loop(), &timers[index]);
}

static void timer_start(long index, uint64_t after_ns)
{
    /* No repeat for timers that are to fire once; only far ones are re-armed. */
    uv_timer_start(&timers[index], timer_due, milliseconds(after_ns), after_ns < NS_PER_S ? 0 : AGAIN_DELAY_S * 1000);
}

static void timer_stop(long index)
{
    uv_timer_stop(&timers[index]);
}

static void timer_again(long index)
{
    uv_timer_again(&timers[index]);
}

static void clock_update(void)
{
    uv_update_time(the_loop());
}

static void inside(uv_timer_t *timer)
{
    ((void (*)(void))timer->data)();
}

static void inside_and_stop(uv_timer_t *timer)
{
    inside(timer);
    uv_stop(timer->loop);
}

static void start_inside(uv_loop_t *loop, uv_timer_cb callback, void (*job)(void))
{
    static uv_timer_t now;
    uv_timer_init(loop, &now);
    now.data = (void *)job;
    ok(uv_timer_start(&now, callback, 0, 0), "uv_timer_start");
}

static void run_inside(void (*job)(void))
{
    start_inside(the_loop(), inside_and_stop, job);
    uv_run(the_loop(), UV_RUN_DEFAULT);
}

static void timers_run(long count)
{
    while (timers_fired < count)
        uv_run(the_loop(), UV_RUN_ONCE);
}

/* ---- busy, latency ---- */

static uint64_t turns_left;

static void turned(uv_idle_t *idle)
{
    if (!--turns_left)
        uv_stop(idle->loop);
}

static void busy_run(uint64_t turns)
{
    static uv_idle_t idle;
    turns_left = turns;
    uv_idle_init(the_loop(), &idle);
    ok(uv_idle_start(&idle, turned), "uv_idle_start");
    uv_run(the_loop(), UV_RUN_DEFAULT);
}

/* 100 us cannot be asked for. */
static int latency_supported(void)
{
    return 0;
}

static void latency_run(uint64_t count)
{
    (void)count;
}

/* ---- signals ---- */

static void signal_came(uv_signal_t *signal, int signum)
{
    (void)signum;
    if (signal_heard())
        uv_stop(signal->loop);
}

static void signal_watch(int signum)
{
    static uv_signal_t watcher;
    ok(uv_signal_init(the_loop(), &watcher), "uv_signal_init");
    ok(uv_signal_start(&watcher, signal_came, signum), "uv_signal_start");
}

static void signal_run(void)
{
    uv_run(the_loop(), UV_RUN_DEFAULT);
}

/* ---- children ---- */

static uv_process_t *children;

static void child_came(uv_process_t *child, int64_t status, int signum)
{
    (void)status, (void)signum;
    uv_close((uv_handle_t *)child, NULL);
    child_ended(child - children);
    uv_stop(child->loop);
}

static void children_make(long slots)
{
    children = make_array((size_t)slots, sizeof *children);
}

/* It watches none but those that it has spawned, so this one is a program, and dies a little after its parent. */
static pid_t child_start(long slot)
{
    char *args[] = {"sleep", "120", NULL};
    uv_process_options_t options = {.exit_cb = child_came, .file = args[0], .args = args};
    ok(uv_spawn(the_loop(), &children[slot], &options), "uv_spawn");
    return children[slot].pid;
}

static void children_run(void)
{
    uv_run(the_loop(), UV_RUN_DEFAULT);
}

/* ---- threads ---- */

static uv_loop_t sides[2];
static uv_async_t wakers[2];

static void woken(uv_async_t *async)
{
    heard((int)(async - wakers));
}

static void wakers_make(void)
{
    for (int side = 0; side < 2; side++) {
        ok(uv_loop_init(&sides[side]), "uv_loop_init");
        ok(uv_async_init(&sides[side], &wakers[side], woken), "uv_async_init");
    }
}

static void waker_send(int to)
{
    uv_async_send(&wakers[to]);
}

static void waker_run(int me)
{
    uv_run(&sides[me], UV_RUN_DEFAULT);
}

static void waker_stop(int me)
{
    uv_stop(&sides[me]);
}

static void waker_run_inside(void (*job)(void))
{
    start_inside(&sides[0], inside, job);
    uv_run(&sides[0], UV_RUN_DEFAULT);
}
