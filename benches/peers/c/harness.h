/* What every C contender does, and the parts of it that must be the same for all: src/workload.rs for C.
 *
 * A contender includes this, defines the hooks declared below, and has a program
 *
 *     PROGRAM pipes PAIRS ACTIVE WRITES ROUNDS [--timeout] | addremove WATCHERS ROUNDS | toggle WATCHERS ROUNDS
 *           | timers COUNT AGAINS | pingpong ROUND_TRIPS | coalesced SENDS | busy TURNS
 *           | memory TIMERS WATCHERS | timer100us COUNT | periodics LIVE ROUNDS
 *           | signals ROUND_TRIPS | storm KILLS | children EXITS
 *           | stat FILES WRITES
 *
 * that prints its figures as key=value lines. What not every library has is asked for by a definition before the
 * inclusion: HAS_PERIODICS, HAS_SIGNALS, HAS_CHILDREN, HAS_STAT. Everything is static and in one translation unit, so that the compiler
 * may inline the hooks where they are measured.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define IDLE_TIMEOUT_S 10             /* what `pipes --timeout` re-arms for every event: never due, always there */
#define AGAIN_DELAY_S 60              /* what every `again` asks for: later than any deadline it meets */
#define AGAINS_PER_CLOCK_READ 1000    /* a loop re-reads its clock once per iteration, not once per event */
#define NS_PER_S 1000000000ull
#define QUEUE_INTERVAL_S 7200         /* of `periodics`, and the repeat of the timers beside them */

/* ---- hooks of the contender --------------------------------------------------------------------------------- */

/* pipes: watch every ring_reader[i], calling ring_pass_on(i) for it (and re-arming its time-out, if asked), and stop
 * the loop when ring_is_done(); then run the loop until that. */
static void pipes_watch(int with_timeout);
static void pipes_run(void);

/* addremove, toggle and memory: io watchers on quiet descriptors; made and started, then stopped and started. A
 * pass is one turn of the loop that does not wait. */
static void watchers_make(const int *fds, long count);
static void watcher_stop(long index);
static void watcher_start(long index);
static void loop_pass(void);

/* timers and memory: one-shot or re-armed timers that count timers_fired; run_inside runs job in a callback of the
 * loop and returns after the loop has; timers_run returns once timers_fired has reached count. `again` re-arms to
 * AGAIN_DELAY_S from the loop's idea of now, which clock_update brings up to date. */
static void timers_make(long count);
static void timer_start(long index, uint64_t after_ns);
static void timer_stop(long index);
static void timer_again(long index);
static void clock_update(void);
static void run_inside(void (*job)(void));
static void timers_run(long count);

/* The rest measure nothing themselves but one stretch of time each. */
static void busy_run(uint64_t turns);
static void latency_run(uint64_t count);        /* a 100 us timer, count times, one after the other */
static int latency_supported(void);

/* pingpong and coalesced: two loops; a wake-up of loop `me` calls heard(me) in the thread that runs it. */
static void wakers_make(void);
static void waker_send(int to);
static void waker_run(int me);                  /* runs until waker_stop(me) was called inside */
static void waker_stop(int me);
static void waker_run_inside(void (*job)(void)); /* runs job in a callback of loop 0, then until waker_stop(0) */
static void heard(int me);

#ifdef HAS_PERIODICS
/* periodics: timers and periodics in two loops that nothing else is in; each counts in queue_fired. What repeats does
 * so every QUEUE_INTERVAL_S, a periodic at the offset at which it is due after after_ns the first time. queue_inside
 * and queue_run are run_inside and timers_run for that loop. */
enum queue { TIMERS, PERIODICS };
static void queues_make(long count);
static void queue_set(enum queue which, long index, uint64_t after_ns, int repeats);
static void queue_start(enum queue which, long index);
static void queue_stop(enum queue which, long index);
static void queue_inside(enum queue which, void (*job)(void));
static void queue_run(enum queue which, long count);
#endif

#ifdef HAS_SIGNALS
/* signals and storm: signal_watch starts a watcher that calls signal_heard() and stops the loop where that is true;
 * signal_run runs the loop until then. */
static void signal_watch(int signum);
static void signal_run(void);
static int signal_heard(void);
#endif

#ifdef HAS_CHILDREN
/* children: child_start makes a child (fork_idle, where the library takes any) and watches it; its end is told by
 * child_ended(slot) in a callback that also stops the loop and forgets the watcher. */
static void children_make(long slots);
static pid_t child_start(long slot);
static void children_run(void);
static void child_ended(long slot);
#endif

#ifdef HAS_STAT
/* stat: a watcher per path, asked for no interval of its own, calls stat_seen(index) in a callback that also stops the
 * loop. stat_run runs it until then, loop_rest for so long, whatever is seen. */
static void stat_watch(char *const *paths, long count);
static void stat_run(void);
static void loop_rest(int seconds);
static void stat_seen(long index);
#endif

/* ---- small things ------------------------------------------------------------------------------------------- */

static void die(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static void check(int holds, const char *claim)
{
    if (!holds) {
        fprintf(stderr, "not so: %s\n", claim);
        exit(1);
    }
}

static void *make_array(size_t count, size_t size)
{
    void *array = malloc(count * size);
    if (!array)
        die("malloc");
    return array;
}

static void report(const char *key, double value)
{
    printf("%s=%.3f\n", key, value);
}

/* Says that this contender has nothing of the kind. */
static void unsupported(void)
{
    puts("unsupported=1");
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time))
        die("clock_gettime");
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

static uint64_t cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static uint64_t wall_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

static double resident_bytes(void)
{
    long pages;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (!statm || fscanf(statm, "%*s %ld", &pages) != 1)
        die("/proc/self/statm");
    fclose(statm);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* The same numbers for every contender and every run (xorshift64*). */
static uint64_t random_state = 0x9E3779B97F4A7C15ull;

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint64_t)((unsigned __int128)(random_state * 0x2545F4914F6CDD1Dull) * limit >> 64);
}

static void socket_pair(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends))
        die("socketpair");
}

/* `count` descriptors that never become ready. */
static int *quiet_descriptors(long count)
{
    int *fds = make_array((size_t)count + 1, sizeof *fds);
    for (long made = 0; made < count; made += 2)
        socket_pair(fds + made);
    return fds;
}

/* ---- the ring of socket pairs ------------------------------------------------------------------------------- */

/* A token is a byte; reading one at pair i writes one to pair i + 1, while writes remain. */
static long ring_pairs, ring_active;
static int *ring_reader, *ring_writer;
static uint64_t ring_writes_left, ring_events, ring_events_due;

static inline int ring_is_done(void)
{
    return ring_events == ring_events_due;
}

static inline void ring_write_to(long index)
{
    if (send(ring_writer[index], "e", 1, 0) != 1)
        die("send");
}

static inline void ring_pass_on(long index)
{
    char byte;
    if (recv(ring_reader[index], &byte, 1, 0) != 1)
        die("recv");
    ring_events++;
    if (ring_writes_left) {
        ring_writes_left--;
        ring_write_to(index + 1 == ring_pairs ? 0 : index + 1);
    }
}

static void ring_round(uint64_t writes)
{
    ring_writes_left = writes;
    ring_events_due = ring_events + writes + (uint64_t)ring_active;
    for (long token = 0; token < ring_active; token++)
        ring_write_to(token * ring_pairs / ring_active);
    pipes_run();
    check(ring_is_done(), "the loop comes back when the round is over");
}

static void workload_pipes(long pairs, long active, uint64_t writes, uint64_t rounds, int with_timeout)
{
    ring_pairs = pairs;
    ring_active = active;
    ring_reader = make_array((size_t)pairs, sizeof *ring_reader);
    ring_writer = make_array((size_t)pairs, sizeof *ring_writer);
    for (long pair = 0; pair < pairs; pair++) {
        int ends[2];
        socket_pair(ends);
        ring_reader[pair] = ends[0];
        ring_writer[pair] = ends[1];
    }
    pipes_watch(with_timeout);
    ring_round(writes); /* faults memory in and registers what was coalesced */

    uint64_t events_before = ring_events;
    uint64_t wall = wall_ns(), cpu = cpu_ns();
    for (uint64_t round = 0; round < rounds; round++)
        ring_round(writes);
    wall = wall_ns() - wall;
    cpu = cpu_ns() - cpu;
    double events = (double)(ring_events - events_before);
    report("events", events);
    report("wall_ns", (double)wall / events);
    report("cpu_ns", (double)cpu / events);
}

/* ---- adding and removing ------------------------------------------------------------------------------------ */

static void workload_addremove(long count, uint64_t rounds)
{
    watchers_make(quiet_descriptors(count), count);
    loop_pass();
    uint64_t remove = 0, add = 0;
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t begin = cpu_ns();
        for (long index = 0; index < count; index++)
            watcher_stop(index);
        loop_pass();
        remove += cpu_ns() - begin;

        begin = cpu_ns();
        for (long index = 0; index < count; index++)
            watcher_start(index);
        loop_pass();
        add += cpu_ns() - begin;
    }
    double operations = (double)count * (double)rounds;
    report("remove_ns", (double)remove / operations);
    report("add_ns", (double)add / operations);
}

static void workload_toggle(long count, uint64_t rounds)
{
    watchers_make(quiet_descriptors(count), count);
    loop_pass();
    uint64_t begin = cpu_ns();
    for (uint64_t round = 0; round < rounds; round++) {
        for (long index = 0; index < count; index++) {
            watcher_stop(index);
            watcher_start(index);
        }
        loop_pass();
    }
    report("toggle_ns", (double)(cpu_ns() - begin) / ((double)count * (double)rounds));
}

/* ---- timers ------------------------------------------------------------------------------------------------- */

/* The order of things is told at TimerPlan in src/workload.rs. */
static long timers_count, timers_fired;
static uint64_t timers_agains;
static uint64_t *timers_soon, *timers_far;
static uint32_t *timers_cancel_order;

static void timers_plan(void)
{
    size_t count = (size_t)timers_count;
    timers_soon = make_array(count, sizeof *timers_soon);
    timers_far = make_array(count, sizeof *timers_far);
    timers_cancel_order = make_array(count, sizeof *timers_cancel_order);
    for (size_t timer = 0; timer < count; timer++)
        timers_soon[timer] = random_below(NS_PER_S);
    for (size_t timer = 0; timer < count; timer++)
        timers_far[timer] = 10 * NS_PER_S + random_below(50 * NS_PER_S);
    for (size_t timer = 0; timer < count; timer++)
        timers_cancel_order[timer] = (uint32_t)timer;
    for (size_t last = count - 1; last > 0; last--) {
        size_t other = random_below(last + 1);
        uint32_t swapped = timers_cancel_order[last];
        timers_cancel_order[last] = timers_cancel_order[other];
        timers_cancel_order[other] = swapped;
    }
}

static void timers_start_soon(void)
{
    uint64_t begin = cpu_ns();
    for (long timer = 0; timer < timers_count; timer++)
        timer_start(timer, timers_soon[timer]);
    report("start_ns", (double)(cpu_ns() - begin) / (double)timers_count);
}

static void timers_start_far(void)
{
    for (long timer = 0; timer < timers_count; timer++)
        timer_start(timer, timers_far[timer]);
}

static void timers_cancel_far(void)
{
    timers_start_far();
    uint64_t begin = cpu_ns();
    for (long turn = 0; turn < timers_count; turn++)
        timer_stop(timers_cancel_order[turn]);
    report("cancel_ns", (double)(cpu_ns() - begin) / (double)timers_count);
}

static void timers_again_far(void)
{
    timers_start_far();
    uint64_t begin = cpu_ns();
    for (uint64_t batch = 0; batch < timers_agains / AGAINS_PER_CLOCK_READ; batch++) {
        clock_update();
        for (int again = 0; again < AGAINS_PER_CLOCK_READ; again++)
            timer_again((long)random_below((uint64_t)timers_count));
    }
    report("again_ns", (double)(cpu_ns() - begin) / (double)timers_agains);
}

static void workload_timers(long count, uint64_t agains)
{
    timers_count = count;
    timers_agains = agains;
    timers_plan();
    timers_make(count);
    run_inside(timers_start_soon);
    usleep(1100 * 1000);
    uint64_t begin = cpu_ns();
    timers_run(count);
    report("fire_ns", (double)(cpu_ns() - begin) / (double)count);
    check(timers_fired == count, "every timer fires once");
    run_inside(timers_cancel_far);
    run_inside(timers_again_far);
}

/* ---- periodics, beside timers ------------------------------------------------------------------------------- */

#ifdef HAS_PERIODICS
/* A round, for each kind: start all, far from due; stop all, at random; then start all to be due soon, sleep until they
 * are, fire them in one go: once such that repeat, and once such that do not. What is due soon is so after a tenth of
 * a second, because setting and starting them takes time and a periodic that is late waits for its next interval. */
enum operation { START, STOP, FIRE_AND_REPEAT, FIRE_ONCE, OPERATIONS };

static long queue_count, queue_fired;
static uint64_t *queue_soon, *queue_far;
static uint64_t queue_spent[2][OPERATIONS];
static enum queue queue_now;
static int queue_repeats;

static void queue_start_and_stop(void)
{
    for (long index = 0; index < queue_count; index++)
        queue_set(queue_now, index, queue_far[index], 1);
    uint64_t begin = cpu_ns();
    for (long index = 0; index < queue_count; index++)
        queue_start(queue_now, index);
    queue_spent[queue_now][START] += cpu_ns() - begin;

    begin = cpu_ns();
    for (long index = 0; index < queue_count; index++)
        queue_stop(queue_now, timers_cancel_order[index]);
    queue_spent[queue_now][STOP] += cpu_ns() - begin;
}

static void queue_start_soon(void)
{
    for (long index = 0; index < queue_count; index++) {
        queue_set(queue_now, index, queue_soon[index], queue_repeats);
        queue_start(queue_now, index);
    }
}

static void queue_stop_all(void)
{
    for (long index = 0; index < queue_count; index++)
        queue_stop(queue_now, index);
}

/* Both kinds, and the other one first in the next round. */
static void queue_both(uint64_t round, void (*job)(void))
{
    for (uint64_t turn = 0; turn < 2; turn++) {
        queue_now = (round + turn) % 2 ? PERIODICS : TIMERS;
        job();
    }
}

static void queue_do_start_and_stop(void)
{
    queue_inside(queue_now, queue_start_and_stop);
}

static void queue_do_start_soon(void)
{
    queue_inside(queue_now, queue_start_soon);
}

static void queue_do_fire(void)
{
    queue_fired = 0;
    uint64_t begin = cpu_ns();
    queue_run(queue_now, queue_count);
    queue_spent[queue_now][queue_repeats ? FIRE_AND_REPEAT : FIRE_ONCE] += cpu_ns() - begin;
    check(queue_fired == queue_count, "all that is due fires once");
    if (queue_repeats)
        queue_inside(queue_now, queue_stop_all);
}

static void workload_periodics(long count, uint64_t rounds)
{
    static const char *const operations[OPERATIONS] = {"start", "stop", "repeat", "once"};
    timers_count = queue_count = count;
    timers_plan();
    queue_soon = make_array((size_t)count, sizeof *queue_soon);
    queue_far = make_array((size_t)count, sizeof *queue_far);
    for (long index = 0; index < count; index++) {
        queue_soon[index] = NS_PER_S / 10 + timers_soon[index] * 9 / 10;
        queue_far[index] = QUEUE_INTERVAL_S / 2 * NS_PER_S + timers_far[index];
    }
    queues_make(count);
    queue_both(0, queue_do_start_and_stop); /* faults memory in */
    memset(queue_spent, 0, sizeof queue_spent);
    for (uint64_t round = 0; round < rounds; round++) {
        queue_both(round, queue_do_start_and_stop);
        for (queue_repeats = 1; queue_repeats >= 0; queue_repeats--) {
            queue_both(round, queue_do_start_soon);
            usleep(1100 * 1000);
            queue_both(round, queue_do_fire);
        }
    }
    for (int operation = 0; operation < OPERATIONS; operation++) {
        double timer = (double)queue_spent[TIMERS][operation], periodic = (double)queue_spent[PERIODICS][operation];
        double all = (double)count * (double)rounds;
        printf("timer_%s_ns=%.3f\n", operations[operation], timer / all);
        printf("periodic_%s_ns=%.3f\n", operations[operation], periodic / all);
        printf("%s_ratio=%.3f\n", operations[operation], periodic / timer);
    }
}
#else
static void workload_periodics(long count, uint64_t rounds)
{
    (void)count, (void)rounds;
    unsupported();
}
#endif

/* ---- threads ------------------------------------------------------------------------------------------------ */

static uint64_t trips, trips_heard[2];
static int trips_coalesced;

static void heard(int me)
{
    if (trips_coalesced) {
        waker_stop(me);
        return;
    }
    trips_heard[me]++;
    /* The side that began, 0, hears the last word. */
    if (me == 1 || trips_heard[me] < trips)
        waker_send(1 - me);
    if (trips_heard[me] == trips)
        waker_stop(me);
}

/* Keeps the calling thread on a processor of its own. Left alone, the scheduler may put both sides on one, where
 * a wake-up is a mere switch and costs a quarter; that choice is not the contenders' doing. */
static void stay_on_processor(int side)
{
    cpu_set_t allowed, only;
    if (sched_getaffinity(0, sizeof allowed, &allowed))
        die("sched_getaffinity");
    for (int processor = 0; processor < CPU_SETSIZE; processor++) {
        if (!CPU_ISSET(processor, &allowed) || side-- > 0)
            continue;
        CPU_ZERO(&only);
        CPU_SET(processor, &only);
        if (sched_setaffinity(0, sizeof only, &only))
            die("sched_setaffinity");
        return;
    }
}

static void *trips_second_side(void *unused)
{
    stay_on_processor(1);
    waker_run(1);
    return unused;
}

static void workload_pingpong(uint64_t round_trips)
{
    pthread_t other;
    trips = round_trips;
    wakers_make();
    uint64_t begin = wall_ns();
    if (pthread_create(&other, NULL, trips_second_side, NULL))
        die("pthread_create");
    stay_on_processor(0);
    waker_send(1);
    waker_run(0);
    pthread_join(other, NULL);
    report("round_trip_us", (double)(wall_ns() - begin) / 1000.0 / (double)round_trips);
}

static uint64_t coalesced_sends;

static void *coalesced_sender(void *unused)
{
    uint64_t begin = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (uint64_t sent = 0; sent < coalesced_sends; sent++)
        waker_send(0);
    report("send_ns", (double)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)coalesced_sends);
    return unused;
}

/* The loop is inside this callback for as long as the other thread sends. */
static void coalesced_callback(void)
{
    pthread_t sender;
    if (pthread_create(&sender, NULL, coalesced_sender, NULL))
        die("pthread_create");
    pthread_join(sender, NULL);
}

static void workload_coalesced(uint64_t sends)
{
    coalesced_sends = sends;
    trips_coalesced = 1;
    wakers_make();
    waker_run_inside(coalesced_callback);
}

/* ---- other processes ---------------------------------------------------------------------------------------- */

/* fork, for a child that makes no loop and does not outlive its parent. */
static inline pid_t fork_helper(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0 && (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent))
        _exit(1);
    return pid;
}

/* A child that waits to be killed. It holds no descriptors of the loop, as little as a program would. */
static inline pid_t fork_idle(void)
{
    pid_t pid = fork_helper();
    if (pid == 0) {
        syscall(SYS_close_range, 3, ~0u, 0);
        for (;;)
            pause();
    }
    return pid;
}

/* ---- children ----------------------------------------------------------------------------------------------- */

#ifdef HAS_CHILDREN
static const long children_live[] = {10, 100, 1000};

static pid_t *child_pids;
static long child_last_ended;

static void child_ended(long slot)
{
    child_last_ended = slot;
}

/* Kills a child and waits until the loop has told it; the CPU time of this. */
static uint64_t child_kill(long slot)
{
    child_last_ended = -1;
    uint64_t begin = cpu_ns();
    if (kill(child_pids[slot], SIGKILL))
        die("kill");
    children_run();
    uint64_t spent = cpu_ns() - begin;
    check(child_last_ended == slot, "the child that was killed is the one that is told");
    child_pids[slot] = 0;
    return spent;
}

/* As many watched children at every exit that counts. They are replaced two at a time: after a fork every page that is
 * written to is copied first, and the exit of the first of two pays for that unmeasured. */
static void workload_children(uint64_t exits)
{
    enum { POPULATIONS = sizeof children_live / sizeof *children_live };
    double spent[POPULATIONS];
    long slots = children_live[POPULATIONS - 1] + 1;
    child_pids = make_array((size_t)slots, sizeof *child_pids);
    memset(child_pids, 0, (size_t)slots * sizeof *child_pids);
    children_make(slots);
    for (int population = 0; population < POPULATIONS; population++) {
        long live = children_live[population];
        uint64_t sum = 0;
        for (uint64_t exit = 0; exit < exits; exit++) {
            for (long slot = 0; slot <= live; slot++)
                if (!child_pids[slot])
                    child_pids[slot] = child_start(slot);
            long first = (long)random_below((uint64_t)live + 1);
            long second = (first + 1 + (long)random_below((uint64_t)live)) % (live + 1);
            child_kill(first);
            sum += child_kill(second);
        }
        spent[population] = (double)sum / (double)exits / 1000.0;
        printf("exit_%ld_us=%.3f\n", live, spent[population]);
    }
    report("growth", spent[POPULATIONS - 1] / spent[0]);
    for (long slot = 0; slot < slots; slot++)
        if (child_pids[slot])
            kill(child_pids[slot], SIGKILL);
}
#else
static void workload_children(uint64_t exits)
{
    (void)exits;
    unsupported();
}
#endif

/* ---- signals ------------------------------------------------------------------------------------------------ */

#ifdef HAS_SIGNALS
/* What the two processes share. */
struct sender {
    atomic_ulong begun;    /* kills that have been made, or are just being made */
    atomic_int is_inside;  /* the receiver is inside the callback that awaits the last one */
    atomic_int is_over;    /* the last one has been made */
};

enum signal_work { TO_ITSELF, FROM_ANOTHER, STORM };

static enum signal_work signal_work;
static pid_t signal_receiver;
static uint64_t signal_trips_left, storm_kills, storm_callbacks;
static int signal_request = -1; /* an eventfd: a number of signals that the sender is asked for */
static struct sender *sender;
static int storm_last_awaited;

static void signal_send(void)
{
    if (kill(signal_receiver, SIGUSR1))
        die("kill");
}

static void signal_ask(uint64_t signals)
{
    if (write(signal_request, &signals, sizeof signals) != sizeof signals)
        die("write");
}

/* The other process: one kill where one is asked for, a storm where more are. The last kill of a storm waits until
 * the receiver is inside a callback, where a notice is lost most easily. */
static void sender_run(void)
{
    uint64_t signals;
    stay_on_processor(1);
    while (read(signal_request, &signals, sizeof signals) == sizeof signals) {
        if (signals == 1) {
            signal_send();
            continue;
        }
        for (uint64_t sent = 1; sent < signals; sent++) {
            atomic_store(&sender->begun, sent);
            signal_send();
        }
        while (!atomic_load(&sender->is_inside))
            sched_yield();
        signal_send();
        atomic_store(&sender->is_over, 1);
    }
    _exit(1);
}

static void sender_start(void)
{
    signal_receiver = getpid();
    signal_request = eventfd(0, EFD_CLOEXEC);
    sender = mmap(NULL, sizeof *sender, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (signal_request < 0 || sender == MAP_FAILED)
        die("eventfd or mmap");
    if (fork_helper() == 0)
        sender_run();
    stay_on_processor(0);
    alarm(60); /* a signal that is lost must not hang the comparison */
}

static int storm_heard(void)
{
    storm_callbacks++;
    if (storm_last_awaited)
        return 1;
    if (atomic_load(&sender->begun) == storm_kills - 1) {
        atomic_store(&sender->is_inside, 1);
        while (!atomic_load(&sender->is_over))
            sched_yield();
        storm_last_awaited = 1;
    }
    return 0;
}

static int signal_heard(void)
{
    if (signal_work == STORM)
        return storm_heard();
    if (--signal_trips_left == 0)
        return 1;
    if (signal_work == TO_ITSELF)
        signal_send();
    else
        signal_ask(1);
    return 0;
}

static double signal_trips(enum signal_work work, uint64_t trips)
{
    signal_work = work;
    signal_trips_left = trips + 1;
    uint64_t begin = wall_ns();
    if (work == TO_ITSELF)
        signal_send();
    else
        signal_ask(1);
    signal_run();
    return (double)(wall_ns() - begin) / (double)(trips + 1);
}

static void workload_signals(uint64_t trips)
{
    sender_start();
    signal_watch(SIGUSR1);
    signal_trips(TO_ITSELF, trips / 10);
    report("itself_ns", signal_trips(TO_ITSELF, trips));
    signal_trips(FROM_ANOTHER, trips / 100);
    report("another_us", signal_trips(FROM_ANOTHER, trips / 10) / 1000.0);
}

static void workload_storm(uint64_t kills)
{
    signal_work = STORM;
    storm_kills = kills;
    sender_start();
    signal_watch(SIGUSR1);
    uint64_t begin = cpu_ns();
    signal_ask(kills);
    signal_run(); /* comes back only if the last kill has been told */
    report("kill_ns", (double)(cpu_ns() - begin) / (double)kills);
    report("callbacks", (double)storm_callbacks);
}
#else
static void workload_signals(uint64_t trips)
{
    (void)trips;
    unsupported();
}

static void workload_storm(uint64_t kills)
{
    (void)kills;
    unsupported();
}
#endif

/* ---- files -------------------------------------------------------------------------------------------------- */

#ifdef HAS_STAT
#define STAT_REST_S 3
#define STAT_SETTLE_S 1 /* the first look at everything is not rest */

/* Others may still be telling of an earlier write in the same iteration. */
static long stat_awaited = -1;

static void stat_seen(long index)
{
    if (index == stat_awaited)
        stat_awaited = -1;
}

/* A directory of `count` files; in memory if it can be, where every library trusts what inotify says. */
static char **stat_files(long count)
{
    char *directory = strdup(access("/dev/shm", W_OK) ? "/tmp/peers-XXXXXX" : "/dev/shm/peers-XXXXXX");
    char **paths = make_array((size_t)count + 1, sizeof *paths);
    if (!directory || !mkdtemp(directory))
        die("mkdtemp");
    for (long index = 0; index < count; index++) {
        if (asprintf(&paths[index], "%s/%ld", directory, index) < 0)
            die("asprintf");
        int fd = open(paths[index], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0 || close(fd))
            die(paths[index]);
    }
    paths[count] = directory;
    return paths;
}

static void stat_remove(char *const *paths, long count)
{
    for (long index = 0; index < count; index++)
        unlink(paths[index]);
    rmdir(paths[count]);
}

/* Every watch of every inotify instance is a line of /proc/self/fdinfo. */
static long inotify_watches(void)
{
    long watches = 0;
    DIR *all = opendir("/proc/self/fdinfo");
    if (!all)
        die("/proc/self/fdinfo");
    for (struct dirent *entry; (entry = readdir(all));) {
        char line[512];
        int fd = openat(dirfd(all), entry->d_name, O_RDONLY | O_CLOEXEC);
        FILE *about = fd < 0 || entry->d_name[0] == '.' ? NULL : fdopen(fd, "r");
        while (about && fgets(line, sizeof line, about))
            watches += !strncmp(line, "inotify wd:", 11);
        if (about)
            fclose(about);
        else if (fd >= 0)
            close(fd);
    }
    closedir(all);
    return watches;
}

static void workload_stat(long count, uint64_t writes)
{
    char **paths = stat_files(count);
    stat_watch(paths, count);
    loop_rest(STAT_SETTLE_S);
    uint64_t wall = wall_ns(), cpu = cpu_ns();
    loop_rest(STAT_REST_S);
    wall = wall_ns() - wall;
    cpu = cpu_ns() - cpu;
    report("rest_percent", 100. * (double)cpu / (double)wall);
    report("inotify_watches", (double)inotify_watches());

    uint64_t sum = 0;
    for (uint64_t written = 0; written < writes; written++) {
        long index = (long)random_below((uint64_t)count);
        int fd = open(paths[index], O_WRONLY | O_APPEND | O_CLOEXEC);
        stat_awaited = index;
        uint64_t begin = wall_ns();
        if (fd < 0 || write(fd, "e", 1) != 1)
            die(paths[index]);
        while (stat_awaited == index)
            stat_run();
        sum += wall_ns() - begin;
        close(fd);
    }
    report("seen_us", (double)sum / 1000. / (double)writes);
    stat_remove(paths, count);
}
#else
static void workload_stat(long count, uint64_t writes)
{
    (void)count, (void)writes;
    unsupported();
}
#endif

/* ---- the rest ----------------------------------------------------------------------------------------------- */

static void workload_busy(uint64_t turns)
{
    watchers_make(quiet_descriptors(1), 1);
    uint64_t begin = cpu_ns();
    busy_run(turns);
    report("turn_ns", (double)(cpu_ns() - begin) / (double)turns);
}

static long memory_timers;

static void memory_start_timers(void)
{
    for (long timer = 0; timer < memory_timers; timer++)
        timer_start(timer, IDLE_TIMEOUT_S * NS_PER_S);
}

static void workload_memory(long timers, long watchers)
{
    memory_timers = timers;
    double before = resident_bytes();
    timers_make(timers);
    run_inside(memory_start_timers);
    report("timer_bytes", (resident_bytes() - before) / (double)timers);

    int *fds = quiet_descriptors(watchers);
    before = resident_bytes();
    watchers_make(fds, watchers);
    loop_pass();
    report("io_bytes", (resident_bytes() - before) / (double)watchers);
}

static void workload_timer100us(uint64_t count)
{
    if (!latency_supported()) {
        unsupported();
        return;
    }
    uint64_t begin = wall_ns();
    latency_run(count);
    report("fire_us", (double)(wall_ns() - begin) / 1000.0 / (double)count);
}

static void raise_fd_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        die("setrlimit");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    int with_timeout = argc > 2 && !strcmp(argv[argc - 1], "--timeout");
    int numbers = argc - 2 - with_timeout;
    long number[4] = {0, 0, 0, 0};
    for (int i = 0; i < numbers && i < 4; i++)
        number[i] = atol(argv[2 + i]);
    raise_fd_limit();
    if (!strcmp(name, "pipes") && numbers == 4 && 0 < number[1] && number[1] <= number[0])
        workload_pipes(number[0], number[1], (uint64_t)number[2], (uint64_t)number[3], with_timeout);
    else if (!strcmp(name, "addremove") && numbers == 2)
        workload_addremove(number[0], (uint64_t)number[1]);
    else if (!strcmp(name, "toggle") && numbers == 2)
        workload_toggle(number[0], (uint64_t)number[1]);
    else if (!strcmp(name, "timers") && numbers == 2)
        workload_timers(number[0], (uint64_t)number[1]);
    else if (!strcmp(name, "pingpong") && numbers == 1)
        workload_pingpong((uint64_t)number[0]);
    else if (!strcmp(name, "coalesced") && numbers == 1)
        workload_coalesced((uint64_t)number[0]);
    else if (!strcmp(name, "busy") && numbers == 1)
        workload_busy((uint64_t)number[0]);
    else if (!strcmp(name, "memory") && numbers == 2)
        workload_memory(number[0], number[1]);
    else if (!strcmp(name, "timer100us") && numbers == 1)
        workload_timer100us((uint64_t)number[0]);
    else if (!strcmp(name, "periodics") && numbers == 2 && number[0] > 0 && number[1] > 0)
        workload_periodics(number[0], (uint64_t)number[1]);
    else if (!strcmp(name, "signals") && numbers == 1)
        workload_signals((uint64_t)number[0]);
    else if (!strcmp(name, "storm") && numbers == 1 && number[0] > 2)
        workload_storm((uint64_t)number[0]);
    else if (!strcmp(name, "children") && numbers == 1 && number[0] > 0)
        workload_children((uint64_t)number[0]);
    else if (!strcmp(name, "stat") && numbers == 2 && number[0] > 0 && number[1] > 0)
        workload_stat(number[0], (uint64_t)number[1]);
    else {
        fprintf(stderr, "%s: bad workload or wrong numbers: %s\n", argv[0], name);
        return 2;
    }
    fflush(stdout);
    _exit(0); /* tearing a million timers down is nobody's figure */
}
