/* Loaded with LD_PRELOAD: shifts the wall clock for one process, and no other clock. The machine's clock
 * is never touched. The probe finds the shift by name and sets it. */
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Seconds that CLOCK_REALTIME is ahead of the truth. */
volatile long evloop_wall_clock_shift;

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && clock == CLOCK_REALTIME)
        now->tv_sec += evloop_wall_clock_shift;
    return (int)result;
}
