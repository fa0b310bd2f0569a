/* libevent's bufferevents as an echo server for `load`: what src/bin/serve is for the other contenders.
 *
 *     PROGRAM echo|stream|idle|idle-timeout
 *
 * Listens on a port of the system's choice, says `pid=N` and `port=N`, and serves until SIGTERM. */
#define _GNU_SOURCE
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

#define PROGRAM "serve-libevent"
#include "serving.h"

#define BACKLOG 1024
#define READ_TIMEOUT_S 60
/* `stream` stops reading with more output than this, and goes on with half of it. */
#define LIMIT (256 * 1024)

static enum { ECHO, STREAM, IDLE, IDLE_TIMEOUT } mode;

/* ---- a connection ---- */

static void echo(struct bufferevent *connection, void *of)
{
    (void)of;
    check(bufferevent_write_buffer(connection, bufferevent_get_input(connection)) == 0, "libevent takes output");
}

static void echo_unless_full(struct bufferevent *connection, void *of)
{
    echo(connection, of);
    if (evbuffer_get_length(bufferevent_get_output(connection)) > LIMIT)
        check(bufferevent_disable(connection, EV_READ) == 0, "libevent stops reading");
}

/* Below the write low-water mark. */
static void drained(struct bufferevent *connection, void *of)
{
    (void)of;
    if (!(bufferevent_get_enabled(connection) & EV_READ))
        check(bufferevent_enable(connection, EV_READ) == 0, "libevent reads on");
}

static void flushed(struct bufferevent *connection, void *of)
{
    (void)of;
    bufferevent_free(connection);
}

static void happened(struct bufferevent *connection, short what, void *of)
{
    int has_output = evbuffer_get_length(bufferevent_get_output(connection)) > 0;
    if (what == (BEV_EVENT_READING | BEV_EVENT_EOF) && has_output) {
        bufferevent_setwatermark(connection, EV_WRITE, 0, 0);
        bufferevent_setcb(connection, NULL, flushed, happened, of);
    } else {
        bufferevent_free(connection);
    }
}

static void accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int length, void *of)
{
    (void)from, (void)length;
    struct event_base *base = evconnlistener_get_base(listener);
    struct bufferevent *connection = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
    check(connection != NULL, "libevent makes a bufferevent");
    if (mode == STREAM) {
        bufferevent_setcb(connection, echo_unless_full, drained, happened, of);
        bufferevent_setwatermark(connection, EV_WRITE, LIMIT / 2, 0);
    } else {
        bufferevent_setcb(connection, echo, NULL, happened, of);
    }
    if (mode == IDLE_TIMEOUT) {
        struct timeval limit = {.tv_sec = READ_TIMEOUT_S};
        check(bufferevent_set_timeouts(connection, &limit, NULL) == 0, "libevent takes a time-out");
    }
    check(bufferevent_enable(connection, EV_READ | EV_WRITE) == 0, "libevent enables a bufferevent");
}

static void accept_failed(struct evconnlistener *listener, void *of)
{
    (void)listener, (void)of;
    die("accept");
}

/* ---- the server ---- */

int main(int argc, char **argv)
{
    static const char *const modes[] = {"echo", "stream", "idle", "idle-timeout"};
    size_t count = sizeof modes / sizeof *modes, which = 0;
    while (argc == 2 && which < count && strcmp(argv[1], modes[which]) != 0)
        which++;
    if (argc != 2 || which == count) {
        fprintf(stderr, "usage: serve-libevent echo|stream|idle|idle-timeout\n");
        return 2;
    }
    mode = which;
    prepare();

    struct event_base *base = event_base_new();
    check(base != NULL, "libevent makes a base");
    struct sockaddr_in address = any_port();
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    struct evconnlistener *listener =
        evconnlistener_new_bind(base, accepted, NULL, flags, BACKLOG, (struct sockaddr *)&address, sizeof address);
    if (!listener)
        die("listen");
    evconnlistener_set_error_cb(listener, accept_failed);
    announce(evconnlistener_get_fd(listener));
    check(event_base_dispatch(base) == 0, "libevent runs until it is ended");
    return 1;
}
