/* What the servers do alike that stand for their library under a load: see src/serving.rs. PROGRAM says who complains. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, PROGRAM ": %s: %s\n", what, strerror(errno));
    exit(1);
}

static void check(int holds, const char *claim)
{
    if (!holds) {
        fprintf(stderr, PROGRAM ": not so: %s\n", claim);
        exit(1);
    }
}

/* An orderly end: callgrind and strace then say what they have counted. */
static void end(int signum)
{
    (void)signum;
    _exit(0);
}

static void prepare(void)
{
    struct rlimit limit;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL))
        die("prctl");
    if (getrlimit(RLIMIT_NOFILE, &limit))
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        die("setrlimit");
    if (signal(SIGTERM, end) == SIG_ERR || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        die("signal");
}

static void announce(int listener)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &length))
        die("getsockname");
    if (printf("pid=%ld\nport=%d\n", (long)getpid(), ntohs(address.sin_port)) < 0 || fflush(stdout))
        die("stdout");
}

static struct sockaddr_in any_port(void)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}
