/* libevent. */
#define HAS_SIGNALS
#include "harness.h"

#include <event2/event.h>
#include <event2/thread.h>

static struct event_base *new_base(int flags)
{
    struct event_config *config = event_config_new();
    event_config_set_flag(config, flags);
    struct event_base *base = event_base_new_with_config(config);
    check(base != NULL, "libevent makes a base");
    event_config_free(config);
    return base;
}

/* The one base of every workload but the two-sided ones. */
static struct event_base *the_base(void)
{
    static struct event_base *base;
    return base ? base : (base = new_base(0));
}

static struct event *new_event(struct event_base *base, int fd, short what, event_callback_fn callback, void *of)
{
    struct event *event = event_new(base, fd, what, callback, of);
    check(event != NULL, "libevent makes an event");
    return event;
}

static void add_event(struct event *event, const struct timeval *timeout)
{
    check(event_add(event, timeout) == 0, "libevent adds an event");
}

static struct timeval timeval_of(uint64_t ns)
{
    struct timeval time = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_usec = (suseconds_t)(ns % NS_PER_S / 1000)};
    return time;
}

/* ---- pipes ---- */

static void pipe_ready(evutil_socket_t fd, short what, void *pair)
{
    (void)fd, (void)what;
    ring_pass_on((long)(intptr_t)pair);
    if (ring_is_done())
        event_base_loopbreak(the_base());
}

static void pipes_watch(int with_timeout)
{
    /* A persistent event re-arms its own time-out whenever it becomes active. */
    struct timeval idle = {.tv_sec = IDLE_TIMEOUT_S};
    for (long pair = 0; pair < ring_pairs; pair++) {
        void *of = (void *)(intptr_t)pair;
        struct event *event = new_event(the_base(), ring_reader[pair], EV_READ | EV_PERSIST, pipe_ready, of);
        add_event(event, with_timeout ? &idle : NULL);
    }
}

static void pipes_run(void)
{
    event_base_loop(the_base(), 0);
}

/* ---- io watchers ---- */

static struct event **watchers;

static void nothing(evutil_socket_t fd, short what, void *of)
{
    (void)fd, (void)what, (void)of;
}

static void watchers_make(const int *fds, long count)
{
    watchers = make_array((size_t)count, sizeof *watchers);
    for (long index = 0; index < count; index++) {
        watchers[index] = new_event(the_base(), fds[index], EV_READ | EV_PERSIST, nothing, NULL);
        watcher_start(index);
    }
}

static void watcher_stop(long index)
{
    event_del(watchers[index]);
}

static void watcher_start(long index)
{
    add_event(watchers[index], NULL);
}

static void loop_pass(void)
{
    event_base_loop(the_base(), EVLOOP_NONBLOCK);
}

/* ---- timers ---- */

static struct event **timers;

static void timer_due(evutil_socket_t fd, short what, void *of)
{
    (void)fd, (void)what, (void)of;
    timers_fired++;
}

static void timers_make(long count)
{
    timers = make_array((size_t)count, sizeof *timers);
    for (long index = 0; index < count; index++)
        timers[index] = new_event(the_base(), -1, 0, timer_due, NULL);
}

static void timer_start(long index, uint64_t after_ns)
{
    struct timeval after = timeval_of(after_ns);
    add_event(timers[index], &after);
}

static void timer_stop(long index)
{
    event_del(timers[index]);
}

static void timer_again(long index)
{
    static const struct timeval delay = {.tv_sec = AGAIN_DELAY_S};
    add_event(timers[index], &delay);
}

static void clock_update(void)
{
    event_base_update_cache_time(the_base());
}

static void inside(evutil_socket_t fd, short what, void *job)
{
    (void)fd, (void)what;
    ((void (*)(void))job)();
}

static void start_inside(struct event_base *base, void (*job)(void))
{
    struct timeval now = {0, 0};
    check(event_base_once(base, -1, EV_TIMEOUT, inside, (void *)job, &now) == 0, "libevent takes a job");
}

static void run_inside(void (*job)(void))
{
    start_inside(the_base(), job);
    event_base_loop(the_base(), EVLOOP_ONCE);
}

static void timers_run(long count)
{
    while (timers_fired < count)
        event_base_loop(the_base(), EVLOOP_ONCE);
}

/* ---- busy, latency ---- */

/* libevent has no idle watcher; running without waiting is its way to do something else in between. */
static void busy_run(uint64_t turns)
{
    while (turns--)
        event_base_loop(the_base(), EVLOOP_NONBLOCK);
}

static uint64_t latencies_left;
static struct event *latency;
static const struct timeval latency_delay = {.tv_usec = 100};

static void latency_due(evutil_socket_t fd, short what, void *of)
{
    (void)fd, (void)what, (void)of;
    if (--latencies_left)
        add_event(latency, &latency_delay);
}

static int latency_supported(void)
{
    return 1;
}

/* The coarse clock it takes by default cannot tell 100 us; this is what the flag is for. */
static void latency_run(uint64_t count)
{
    struct event_base *base = new_base(EVENT_BASE_FLAG_PRECISE_TIMER);
    latencies_left = count;
    latency = new_event(base, -1, 0, latency_due, NULL);
    add_event(latency, &latency_delay);
    event_base_loop(base, 0);
}

/* ---- signals ---- */

static void signal_came(evutil_socket_t signum, short what, void *of)
{
    (void)signum, (void)what, (void)of;
    if (signal_heard())
        event_base_loopbreak(the_base());
}

static void signal_watch(int signum)
{
    add_event(new_event(the_base(), signum, EV_SIGNAL | EV_PERSIST, signal_came, NULL), NULL);
}

static void signal_run(void)
{
    event_base_loop(the_base(), 0);
}

/* ---- threads ---- */

static struct event_base *sides[2];
static struct event *wakers[2];

static void woken(evutil_socket_t fd, short what, void *me)
{
    (void)fd, (void)what;
    heard((int)(intptr_t)me);
}

static void wakers_make(void)
{
    /* Only here: locks would burden every other workload. */
    check(evthread_use_pthreads() == 0, "libevent takes pthreads");
    for (int side = 0; side < 2; side++) {
        sides[side] = new_base(0);
        wakers[side] = new_event(sides[side], -1, EV_PERSIST, woken, (void *)(intptr_t)side);
        add_event(wakers[side], NULL);
    }
}

static void waker_send(int to)
{
    event_active(wakers[to], EV_READ, 0);
}

static void waker_run(int me)
{
    event_base_loop(sides[me], EVLOOP_NO_EXIT_ON_EMPTY);
}

static void waker_stop(int me)
{
    event_base_loopbreak(sides[me]);
}

static void waker_run_inside(void (*job)(void))
{
    start_inside(sides[0], job);
    waker_run(0);
}
